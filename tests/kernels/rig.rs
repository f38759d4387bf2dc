//! What the areas share: a detector whose weights mean nothing, noise as frames, the kernels alone.

use threshold_kernels::Alone;
use threshold_kernels::device::emulator::Emulator;
use threshold_kernels::weights::Packed;
use threshold_models::net;
use threshold_models::tensor::{Tensors, synthetic};
use threshold_tests::lots::Lots;
use threshold_tests::packs;

/// Weights for the cascade that need no file; they keep values in range.
pub(crate) fn drawn() -> Tensors {
    let graphs = [net::pnet(12, 12), net::rnet(), net::onet()];
    synthetic(&graphs)
}

/// The published weights where they are, else drawn ones.
pub(crate) fn weights() -> Tensors {
    packs().map_or_else(drawn, |packs| packs.detector().unwrap().tensors())
}

/// The kernels with these weights, in an order of blocks and threads that follows from the seed.
pub(crate) fn alone(tensors: &Tensors, seed: u64) -> Alone<Emulator> {
    Alone::new(Emulator::new(seed).unwrap(), Packed::of(tensors).unwrap()).unwrap()
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
