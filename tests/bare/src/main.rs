//! A program of the contract crates alone that has neither `std` nor an allocator: that it links proves that they need none.
//!
//! A build of the whole workspace would not show it: a method of `std` on a number is found wherever some crate brings `std` along.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;
use threshold_policy::Policy;
use threshold_record::{Metric, Name};
use threshold_wire::Decoder;

// For what starts a program, and nothing else: there is no allocator that Rust's code could call.
#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// What `core` as it is shipped asks for: how to unwind, which this program never does.
// SAFETY: no other symbol of the program has this name, and nobody calls it.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

/// What a C program begins with.
// SAFETY: no other symbol of the program has this name.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> i32 {
    let name = Name::new(black_box("somebody"));
    let policy = black_box(Policy::for_model(Metric::SquaredL2, 1.1)).check();
    let frame = Decoder::new().feed(&mut black_box(&b"nothing\0"[..])).is_some();
    i32::from(name.is_err() || policy.is_err() || !frame)
}
