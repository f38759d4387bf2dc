//! Tests of the area `wire`; each file is one subject.
