//! Tests of the area `parity`; each file is one subject.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod embedders;
mod engine;
mod fixtures;
mod networks;
mod paper;
