//! Tests of the area `parity`; each file is one subject.
mod networks;
