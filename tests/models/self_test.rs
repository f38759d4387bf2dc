//! The self-test: a weight that is not what it was when the golden vectors were made keeps the unit from arming.

use crate::{detector, fault};
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::pack::{Network, Pack, PackError};
use threshold_tests::lots::Lots;
use threshold_tests::{packs, skipped};

/// The pack's file with one bit of some weights flipped, read again: the description, golden vectors among it, is the
/// old one, and the bytes are as sound as any.
fn flipped(pack: &Pack, tensor: &str, weights: &[usize]) -> Pack {
    let mut tensors = pack.tensors();
    let data = &mut tensors.get_mut(tensor).unwrap().data;
    for &index in weights {
        data[index] = f32::from_bits(data[index].to_bits() ^ (1 << EXPONENT_BIT));
    }
    let changed = Pack::new(pack.meta.clone(), &tensors).unwrap();
    let read = Pack::from_bytes(changed.bytes()).unwrap();
    assert_ne!(read.id, pack.id);
    read
}

fn self_test(detector: &Pack, embedder: Option<&Pack>) -> Result<(), PackError> {
    CpuEngine::new(detector, embedder, &EngineOptions::default()).unwrap().self_test()
}

/// An exponent bit: the weight is 256 times as large, or as small.
const EXPONENT_BIT: u32 = 26;

#[test]
fn a_flipped_exponent_bit_of_any_tensor_of_the_detector_fails_it() {
    let pack = detector();
    self_test(pack, None).unwrap();
    let mut lots = Lots(81);
    for (name, tensor) in &pack.tensors() {
        let len = tensor.data.len();
        // The largest of a few, so that the flip is of a weight that says something. A slope says nothing where its
        // channel is positive throughout, as some are on these inputs, so all of them are flipped.
        let size = |i: &usize| tensor.data[*i].abs();
        let largest = (0..16).map(|_| lots.below(len as u64) as usize);
        let largest = largest.max_by(|a, b| size(a).total_cmp(&size(b))).unwrap();
        let weights = if name.ends_with("slope") { (0..len).collect() } else { vec![largest] };
        let error = self_test(&flipped(pack, name, &weights), None).unwrap_err();
        let PackError::SelfTest { network, difference, tolerance, .. } = error else {
            panic!("{name}: {error}")
        };
        assert!(difference > tolerance, "{name}");
        let expected = match &name[..4] {
            "pnet" => "P-Net",
            "rnet" => "R-Net",
            _ => "O-Net",
        };
        assert_eq!(network, expected, "{name}");
    }
}

#[test]
fn the_message_names_pack_network_and_what_to_do() {
    let changed = flipped(detector(), "rnet.conv1.bias", &[0]);
    let text = fault(self_test(&changed, None));
    assert!(text.starts_with("self-test of mtcnn failed: R-Net differs by "), "{text}");
    assert!(
        text.ends_with(
            ", at most 2e-5 is right; the memory or the processor may be faulty: restart, then make the pack again \
             with `threshold model fetch`"
        ),
        "{text}"
    );
}

#[test]
fn a_golden_vector_that_was_changed_fails_it() {
    for stage in 0..3 {
        let mut pack = detector().clone();
        pack.meta.golden[stage].outputs[0][0] += 1e-3;
        assert!(matches!(self_test(&pack, None), Err(PackError::SelfTest { .. })), "stage {stage}");
        let mut pack = detector().clone();
        pack.meta.golden[stage].seed += 1;
        assert!(matches!(self_test(&pack, None), Err(PackError::SelfTest { .. })), "stage {stage}");
    }
}

#[test]
fn a_pack_without_a_golden_vector_for_each_network_fails_it() {
    for (stage, network) in ["P-Net", "R-Net", "O-Net"].into_iter().enumerate() {
        let mut pack = detector().clone();
        pack.meta.golden.remove(stage);
        assert_eq!(
            fault(self_test(&pack, None)),
            format!(
                "the pack's description is wrong: it has no golden vector for {network}; make it again with \
                 `threshold model fetch`"
            )
        );
    }
    let mut pack = detector().clone();
    pack.meta.golden.clear();
    assert!(self_test(&pack, None).is_err());
}

#[test]
fn a_flipped_exponent_bit_of_the_published_embedders_fails_it() {
    let Some(packs) = packs() else {
        return skipped("self-test of the embedders with flipped bits", "no packs");
    };
    let found = packs.embedders().find(|entry| entry.meta.network == Network::DlibResnet29);
    let Some(entry) = found else {
        return skipped("self-test of dlib's ResNet-29 with flipped bits", "no such pack");
    };
    let (detector, pack) = (packs.detector().unwrap(), packs.find(entry.id().unwrap()).unwrap());
    self_test(&detector, Some(&pack)).unwrap();
    for name in
        ["conv1.weight", "conv1.bias", "block7.conv2.weight", "block14.conv2.weight", "fc.weight"]
    {
        let data = &pack.tensors()[name].data;
        let index =
            (0..data.len()).max_by(|&a, &b| data[a].abs().total_cmp(&data[b].abs())).unwrap();
        let error = self_test(&detector, Some(&flipped(&pack, name, &[index]))).unwrap_err();
        assert!(matches!(error, PackError::SelfTest { .. }), "{name}: {error}");
    }
}
