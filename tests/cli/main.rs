//! Tests of the area `cli`; each file is one subject.
