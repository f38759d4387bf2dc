//! What every device does with memory and steps, whatever kernels it has: one body, run on each that there is.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::emulator::Emulator;
use super::{Device, DeviceError, Launch, Step};

/// Runs a body on the emulator, and on the first GPU if there is one with images.
macro_rules! on_every_device {
    ($body:ident) => {
        // One runs a graph when it is waited for, the other when it is begun.
        $body(&Emulator::new(1).unwrap());
        $body(&Emulator::new(2).unwrap());
        #[cfg(feature = "cuda")]
        if let Some(device) = cuda() {
            $body(&device);
        }
    };
}

#[cfg(feature = "cuda")]
fn cuda() -> Option<super::cuda::Cuda> {
    // A folder for a card names its own (`cargo xtask gpu pack`).
    let images =
        std::env::var_os("THRESHOLD_KERNELS").unwrap_or_else(|| "../target/kernels".into());
    let images = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(images);
    let said = |error| {
        use std::io::Write as _;
        // Past the harness, which keeps what a passing test prints.
        let line = format!("\nskipped: the contract of devices on a GPU ({error})\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    };
    super::cuda::Cuda::open(0, &images).map_err(said).ok()
}

fn memory<D: Device>(device: &D) {
    let mut buffer = device.alloc(1000).unwrap();
    let mut all = [0xEE; 1000];
    device.read(&buffer, 0, &mut all).unwrap();
    assert_eq!(all, [0; 1000]);
    assert_eq!(device.staging(77).unwrap().as_ref(), [0; 77]);
    device.write(&mut buffer, 998, &[1, 2]).unwrap();
    device.write(&mut buffer, 1000, &[]).unwrap();
    let mut end = [0; 3];
    device.read(&buffer, 997, &mut end).unwrap();
    assert_eq!(end, [0, 1, 2]);
    for first in [999, 1001, usize::MAX] {
        let write = device.write(&mut buffer, first, &[0; 2]).unwrap_err();
        let read = device.read(&buffer, first, &mut end).unwrap_err();
        for error in [write, read] {
            let of =
                matches!(error, DeviceError::OutOfRange { at, buffer: 1000, .. } if at == first);
            assert!(of, "{error}");
        }
    }
    device.read(&device.alloc(0).unwrap(), 0, &mut []).unwrap();
}

#[test]
fn memory_is_zero_at_first_keeps_what_is_written_and_has_an_end() {
    on_every_device!(memory);
}

fn steps<D: Device>(device: &D) {
    let buffer = device.alloc(6).unwrap();
    let (mut input, result) = (device.staging(6).unwrap(), device.staging(6).unwrap());
    let (at, to) = (device.address(&buffer), device.staging_address(&result));
    let steps = vec![
        Step::Upload { from: device.staging_address(&input), to: at, len: 6 },
        Step::Clear { at: at.offset(2), len: 2 },
        Step::Download { from: at, to, len: 5 },
    ];
    // SAFETY: the buffer and the staging outlive every use of the steps; so below.
    let mut graph = unsafe { device.record(steps.clone()) }.unwrap();
    assert_eq!(result.as_ref(), [0; 6], "recording does nothing");
    input.as_mut().copy_from_slice(b"abcdef");
    device.replay(&mut graph).unwrap();
    assert_eq!(result.as_ref(), b"ab\0\0e\0");
    input.as_mut().copy_from_slice(b"ghijkl");
    device.replay(&mut graph).unwrap();
    assert_eq!(result.as_ref(), b"gh\0\0k\0", "a replay reads anew");
    input.as_mut().copy_from_slice(b"mnopqr");
    // SAFETY: as above.
    unsafe { device.run(&steps) }.unwrap();
    assert_eq!(result.as_ref(), b"mn\0\0q\0");
    input.as_mut().copy_from_slice(b"stuvwx");
    // SAFETY: as above.
    let times = unsafe { device.time_us(&steps) }.unwrap();
    assert_eq!(result.as_ref(), b"st\0\0w\0");
    assert!(times.len() == 3 && times.iter().all(|&us| us >= 0.0), "{times:?}");
}

#[test]
fn steps_run_in_order_timed_or_not_and_recorded_ones_only_when_replayed() {
    on_every_device!(steps);
}

fn begun<D: Device>(device: &D) {
    let made = || {
        let (input, result) = (device.staging(4).unwrap(), device.staging(4).unwrap());
        let buffer = device.alloc(4).unwrap();
        let (at, to) = (device.address(&buffer), device.staging_address(&result));
        let steps = vec![
            Step::Upload { from: device.staging_address(&input), to: at, len: 4 },
            Step::Download { from: at, to, len: 4 },
        ];
        // SAFETY: what the steps touch is handed on with the graph, and outlives it below.
        let graph = unsafe { device.record(steps) }.unwrap();
        (graph, input, result, buffer)
    };
    let (mut first, mut input, result, _buffer) = made();
    let (mut second, mut other_input, other_result, _other_buffer) = made();
    input.as_mut().copy_from_slice(b"abcd");
    other_input.as_mut().copy_from_slice(b"efgh");
    // SAFETY: nobody touches either's memory until both are finished.
    unsafe { device.begin(&mut first) }.unwrap();
    // SAFETY: as above.
    unsafe { device.begin(&mut second) }.unwrap();
    device.finish(&mut second).unwrap();
    assert_eq!(other_result.as_ref(), b"efgh");
    device.finish(&mut first).unwrap();
    assert_eq!(result.as_ref(), b"abcd");
    input.as_mut().copy_from_slice(b"ijkl");
    device.finish(&mut first).unwrap();
    assert_eq!(result.as_ref(), b"abcd", "what was not begun does nothing");
    // SAFETY: as above, until it is dropped.
    unsafe { device.begin(&mut first) }.unwrap();
    drop(first);
    device.replay(&mut second).unwrap();
    assert_eq!(other_result.as_ref(), b"efgh");
}

#[test]
fn two_graphs_are_under_way_at_a_time_and_one_that_is_dropped_has_ended() {
    on_every_device!(begun);
}

fn unknown<D: Device>(device: &D) {
    let launch = |kernel| {
        let (grid, block) = ([1, 1, 1], [32, 1, 1]);
        vec![Step::Launch(Launch {
            kernel,
            grid,
            block,
            shared_bytes: 0,
            params: vec![0; 8],
            overlaps: false,
        })]
    };
    // SAFETY: no step here reads or writes anything, since no kernel has that name.
    let run = unsafe { device.run(&launch("no_such_kernel")) };
    let error = run.unwrap_err();
    let named = matches!(&error, DeviceError::UnknownKernel { name } if name == "no_such_kernel");
    assert!(named, "{error}");
    // The device is none the worse for it.
    assert!(device.alloc(16).is_ok());
}

#[test]
fn a_kernel_that_is_not_there_is_named_and_the_device_goes_on() {
    on_every_device!(unknown);
}
