//! Tests of the area `models`; each file is one subject.
