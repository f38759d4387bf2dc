//! What the areas share: a detector whose weights mean nothing, noise as frames, the kernels alone.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use threshold_kernels::Alone;
use threshold_kernels::weights::Packed;
use threshold_models::net;
use threshold_models::synthetic;
use threshold_models::tensor::Tensors;
use threshold_tests::lots::Lots;
use threshold_tests::packs;

#[cfg(feature = "gpu")]
pub(crate) use threshold_kernels::device::cuda::Cuda as Machine;
#[cfg(not(feature = "gpu"))]
pub(crate) use threshold_kernels::device::emulator::Emulator as Machine;

/// The machine that kernels run on: the emulator, which orders blocks and threads by the seed.
#[cfg(not(feature = "gpu"))]
pub(crate) fn machine(seed: u64) -> Machine {
    Machine::new(seed).unwrap()
}

/// The same, as if it had so many multiprocessors among which work is divided.
#[cfg(not(feature = "gpu"))]
pub(crate) fn machine_of(seed: u64, multiprocessors: u32) -> Machine {
    machine(seed).of_multiprocessors(multiprocessors)
}

/// The first GPU has as many as it has.
#[cfg(feature = "gpu")]
pub(crate) fn machine_of(seed: u64, _: u32) -> Machine {
    machine(seed)
}

/// The machine that kernels run on: the first GPU, which orders blocks and threads as it likes.
#[cfg(feature = "gpu")]
pub(crate) fn machine(_: u64) -> Machine {
    // Loading the images takes most of a small test's time under a sanitizer.
    thread_local! {
        static FIRST: Machine =
            Machine::open(0, std::env::var_os("THRESHOLD_KERNELS").unwrap().as_ref()).unwrap();
    }
    FIRST.with(|first| first.another().unwrap())
}

/// How often random shapes are drawn anew: once, or as often as `THRESHOLD_ROUNDS` says, as in the long sweeps.
pub(crate) fn n_rounds() -> u64 {
    std::env::var("THRESHOLD_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Lots for each round. With `THRESHOLD_SECONDS` no round begins later than so long after the process's first, whatever its
/// number, and each test tells past the harness, which keeps what a test prints, how many of its rounds there were.
pub(crate) fn rounds(seed: u64) -> impl Iterator<Item = Lots> {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let limit = std::env::var("THRESHOLD_SECONDS").ok().and_then(|text| text.parse().ok());
    let limit = limit.map(Duration::from_secs);
    let (first, all, mut done) = (*FIRST.get_or_init(Instant::now), n_rounds(), 0);
    std::iter::from_fn(move || {
        let is_late = limit.is_some_and(|limit| done > 0 && first.elapsed() >= limit);
        if done == all || is_late {
            if limit.is_some() {
                let test = std::thread::current();
                let test = test.name().unwrap_or("?");
                let line = format!("rounds: {test} {done} {all}\n");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
            }
            return None;
        }
        done += 1;
        Some(Lots(seed + 1000 * (done - 1)))
    })
}

/// Weights for the cascade that need no file; they keep values in range.
pub(crate) fn drawn() -> Tensors {
    let graphs = [net::pnet(12, 12), net::rnet(), net::onet()];
    synthetic::weights(&graphs)
}

/// The published weights where they are, else drawn ones.
pub(crate) fn weights() -> Tensors {
    packs().map_or_else(drawn, |packs| packs.detector().unwrap().tensors())
}

/// The kernels with these weights, in an order of blocks and threads that follows from the seed.
pub(crate) fn alone(tensors: &Tensors, seed: u64) -> Alone<Machine> {
    Alone::new(machine(seed), Packed::of(tensors).unwrap()).unwrap()
}

/// Bytes of a frame: patches of noise, so that neighbours are alike but not equal.
pub(crate) fn noise(lots: &mut Lots, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let (base, run) = (lots.below(256), 1 + lots.below(40) as usize);
        bytes.extend((0..run).map(|_| (base + lots.below(17)).min(255) as u8));
    }
    bytes.truncate(len);
    bytes
}
