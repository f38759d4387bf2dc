//! Tests of the area `store`; each file is one subject.
