//! Tests of the area `cascade`; each file is one subject.
