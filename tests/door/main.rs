//! Tests of the area `door`; each file is one subject.
