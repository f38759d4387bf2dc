//! Tests of the area `cli`; each file is one subject. They drive the real binaries.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

mod at_door;
mod binary;
mod cluster;
mod commission;
mod configured;
mod door;
mod enrolled;
mod evaluation;
mod flash;
mod gallery;
mod judged;
mod kept;
mod keys;
mod managed;
mod other_version;
mod pairing;
mod photos;
mod port;
mod prune;
mod replaced;
mod server;
mod site;
mod start;
mod store;
mod tables;
mod typed;
mod update;
mod vault;
