//! The emulator itself: it catches every planted mistake, names who made it, and lets the right version pass.

use half::f16;
use std::process::Command;
use threshold_kernels::device::DeviceError;
use threshold_kernels::device::emulator::Emulator;
use threshold_tests::lots::Lots;
use threshold_tests::skipped;

const SEEDS: u64 = 8;

/// Halves that are small whole numbers, so that sums are exact.
fn input(n: usize) -> (Vec<f32>, Vec<u8>) {
    let mut lots = Lots(431);
    let values: Vec<f32> = (0..n).map(|_| lots.below(17) as f32 - 8.0).collect();
    let bytes = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
    (values, bytes)
}

/// The right version gives `expected` for every seed; the wrong one gives something else for at least one.
fn check(kernel: &'static str, threads: u32, n: u32, input: &[u8], expected: &[f32]) {
    let run = |seed, wrong| {
        let device = Emulator::planted(seed).unwrap();
        device.run_planted(kernel, threads, input, (n, expected.len()), wrong).unwrap()
    };
    let mut caught = 0;
    for seed in 0..SEEDS {
        assert_eq!(run(seed, false), expected, "{kernel}, seed {seed}");
        caught += u64::from(run(seed, true) != expected);
    }
    assert!(caught > 0, "{kernel}: the mistake was not seen");
}

/// The right version runs; the wrong one is refused with this sentence for every seed.
fn check_refused(kernel: &'static str, threads: u32, n: u32, sentence: &str) {
    let (_, input) = input(256);
    for seed in 0..SEEDS {
        let device = Emulator::planted(seed).unwrap();
        device.run_planted(kernel, threads, &input, (n, 64), false).unwrap();
        let fault = device.run_planted(kernel, threads, &input, (n, 64), true).unwrap_err();
        let DeviceError::Refused { kernel: named, message } = fault else {
            panic!("{kernel}: {fault}")
        };
        assert_eq!(named, kernel);
        assert!(message.contains("block (0, 0, 0), thread ("), "{kernel}: {message}");
        assert!(message.contains(sentence), "{kernel}: {message}");
    }
}

#[test]
fn a_missing_barrier_is_seen() {
    let expected: Vec<f32> = (0..128).map(|i| ((i + 32) % 128) as f32).collect();
    check("missing_barrier", 128, 0, &input(8).1, &expected);
}

#[test]
fn a_copy_that_is_not_waited_for_is_seen() {
    let (values, bytes) = input(512);
    check("wait_off_by_one", 32, 512, &bytes, &values);
    // What lies beyond the source's end is zeros, and not read.
    let (values, bytes) = input(400);
    check("wait_off_by_one", 32, 400, &bytes, &[&values[..], &[0.0; 112]].concat());
}

#[test]
fn the_wrong_half_of_a_row_is_seen_and_products_are_exact() {
    let (values, bytes) = input(256 + 128);
    let product = |row: usize, column: usize| -> f32 {
        (0..16).map(|k| values[row * 16 + k] * values[256 + column * 16 + k]).sum()
    };
    let expected: Vec<f32> = (0..128).map(|i| product(i / 8, i % 8)).collect();
    check("wrong_half", 32, 0, &bytes, &expected);
}

#[test]
fn a_total_that_is_read_too_early_is_seen() {
    let (values, bytes) = input(256);
    let count = values.iter().filter(|&&value| value > 0.0).count() as f32;
    check("early_count", 256, 0, &bytes, &vec![count; 256]);
}

#[test]
fn ended_threads_in_a_warps_operation_are_named() {
    let text = "ends while its warp waits for it";
    let other = "names a thread which has ended";
    for seed in 0..SEEDS {
        let device = Emulator::planted(seed).unwrap();
        device.run_planted("ended_lanes", 32, &input(32).1, (20, 32), false).unwrap();
        let fault =
            device.run_planted("ended_lanes", 32, &input(32).1, (20, 32), true).unwrap_err();
        let message = fault.to_string();
        assert!(message.contains(text) || message.contains(other), "seed {seed}: {message}");
    }
}

#[test]
fn a_barrier_that_not_all_reach_and_a_misaligned_row_are_named() {
    check_refused("divergent_barrier", 64, 0, "barrier");
    check_refused("misaligned_row", 32, 0, "not on a boundary of 16 bytes");
}

#[test]
fn launches_that_no_device_would_take_are_refused() {
    let device = Emulator::planted(0).unwrap();
    let fault = device.run_planted("none", 32, &[0; 2], (0, 1), false).unwrap_err();
    assert!(matches!(&fault, DeviceError::UnknownKernel { name } if name == "none"), "{fault}");
    let fault = device.run_planted("early_count", 512, &[0; 2], (0, 1), false).unwrap_err();
    assert!(fault.to_string().contains("the kernel takes 1 to 256"), "{fault}");
}

/// The floats of shared memory that a planted kernel is given.
const SHARED_VALUES: u32 = 512;

/// A kernel that stores one value too many, with how many it may, and its source.
const BEHIND: [(&str, u32, &str); 2] = [
    ("out_of_bounds", 64, include_str!("../../kernels/emulator/planted/out_of_bounds.cu")),
    (
        "behind_shared",
        SHARED_VALUES,
        include_str!("../../kernels/emulator/planted/behind_shared.cu"),
    ),
];

#[test]
fn a_store_behind_the_end_of_a_buffer_or_of_shared_memory_is_named_by_its_line() {
    const VICTIM: &str = "THRESHOLD_PLANTED_VICTIM";
    let run = |(kernel, n, _): (&'static str, u32, &str), wrong| {
        Emulator::planted(0).unwrap().run_planted(kernel, 32, &[0; 2], (n, 64), wrong)
    };
    if let Ok(victim) = std::env::var(VICTIM) {
        // The sanitizer ends this process here.
        let _ = run(BEHIND.into_iter().find(|(kernel, ..)| *kernel == victim).unwrap(), true);
        return;
    }
    for behind in BEHIND {
        assert_eq!(run(behind, false).unwrap(), [1.0; 64]);
    }
    if std::env::var_os("ASAN_OPTIONS").is_none() {
        return skipped("stores behind the end", "no sanitizer: cargo xtask sanitize");
    }
    let test = std::thread::current().name().unwrap().to_owned();
    for (kernel, _, source) in BEHIND {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "--nocapture", &test]).env(VICTIM, kernel);
        let done = child.output().unwrap();
        let text = String::from_utf8_lossy(&done.stderr);
        let is_line = |line: &str| line.contains("AddressSanitizer names");
        let line = 1 + source.lines().position(is_line).unwrap();
        assert!(!done.status.success(), "{text}");
        assert!(text.contains("heap-buffer-overflow"), "{text}");
        assert!(text.contains(&format!("{kernel}.cu:{line}")), "{text}");
    }
}

#[test]
fn a_library_that_is_none_is_named() {
    let fault = Emulator::open("no/library.so".as_ref(), 1).unwrap_err();
    assert!(
        matches!(&fault, DeviceError::Unreadable { file, .. } if file == "no/library.so"),
        "{fault}"
    );
}
