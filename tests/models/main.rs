//! Tests of the area `models`; each file is one subject.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod archives;
mod dlib;
mod memory;
mod mutations;
mod pack_dir;
mod packs;
mod pickles;
mod pictures;
mod quality;
mod ranges;
mod self_test;
mod stages;
mod tensorflow;
mod torch;
mod torch_files;
mod zip_files;

use std::fmt::{Debug, Display};
use std::sync::OnceLock;
use threshold_models::import::{description, with_golden};
use threshold_models::pack::{Network, Pack};
use threshold_models::tensor::{Tensor, Tensors};
use threshold_tests::lots::Lots;

/// The text of an error, which must end with a remedy as every error here does.
#[track_caller]
fn fault<T: Debug, E: Display>(outcome: Result<T, E>) -> String {
    let text = outcome.map(|_| "it was taken").map_err(|error| error.to_string()).unwrap_err();
    assert!(text.contains("; ") || text.contains(": set "), "{text:?} has no remedy");
    assert!(!text.ends_with('.'), "{text:?}");
    text
}

/// An error's text with this in it.
#[track_caller]
fn check_fault<T: Debug, E: Display>(outcome: Result<T, E>, part: &str) {
    let text = fault(outcome);
    assert!(text.contains(part), "{text:?} lacks {part:?}");
}

/// Weights of a network that mean nothing, small enough that no output saturates.
fn drawn(network: Network) -> Tensors {
    let mut lots = Lots(network.name().len() as u64);
    let specs = network.weights().into_iter();
    specs
        .map(|spec| {
            let fan_in = spec.len() / spec.shape[0];
            let bound = 1.5 / (fan_in as f32).sqrt();
            let data = (0..spec.len()).map(|_| (lots.unit() * 2.0 - 1.0) * bound).collect();
            (spec.name, Tensor { shape: spec.shape, data })
        })
        .collect()
}

/// A detector's pack of such weights, golden vectors and all.
fn detector() -> &'static Pack {
    static PACK: OnceLock<Pack> = OnceLock::new();
    PACK.get_or_init(|| with_golden(description(Network::Mtcnn), drawn(Network::Mtcnn)).unwrap())
}
