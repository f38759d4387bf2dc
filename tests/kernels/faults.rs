//! What is no detection: values that are not finite, frames without a level, options out of range, broken launches.

use crate::rig::{Machine, drawn, machine, noise, weights};
use threshold_kernels::device::{Device as _, DeviceError};
use threshold_kernels::launch::{Levels, PNET_MAX};
use threshold_kernels::{Counts, CudaEngine, DeviceNetwork, KernelError};
use threshold_models::cascade::CascadeOptions;
use threshold_models::engine::{Embedding, Engine as _, EngineError, Recognition};
use threshold_models::frame::Frame;
use threshold_models::graph::{Act, Conv, Graph, Pool, PoolKind, Shape};
use threshold_models::import::description;
use threshold_models::pack::{Network, Pack};
use threshold_models::raw::{Colour, PixelFormat, RawFrame};
use threshold_models::search::{LOWEST, quantise};
use threshold_models::synthetic;
use threshold_models::tensor::Tensors;
use threshold_record::{Metric, PersonId, Template};
use threshold_tests::lots::Lots;

fn engine(tensors: &Tensors, options: CascadeOptions) -> Result<CudaEngine<Machine>, KernelError> {
    CudaEngine::new(machine(1), tensors, options)
}

#[test]
fn a_sum_that_is_not_a_number_is_an_error_and_never_a_face() {
    let frame = Frame::from_rgb(40, 30, noise(&mut Lots(421), 40 * 30 * 3)).unwrap();
    let low = CascadeOptions { thresholds: [0.0; 3], ..CascadeOptions::default() };
    for (tensor, network) in [
        ("pnet.conv2.weight", "P-Net"),
        ("pnet.conv4_2.bias", "P-Net"),
        ("rnet.conv3.weight", "R-Net"),
        ("onet.conv2.weight", "O-Net"),
    ] {
        let mut tensors = drawn();
        let values = &mut tensors.get_mut(tensor).unwrap().data;
        values.iter_mut().step_by(2).for_each(|value| *value = 60_000.0);
        values.iter_mut().skip(1).step_by(2).for_each(|value| *value = -60_000.0);
        if tensor.ends_with("bias") {
            values.fill(f32::NAN);
        }
        let mut engine = engine(&tensors, low).unwrap();
        assert!(engine.self_test().is_err(), "{tensor}");
        let found = engine.detect(&frame);
        assert!(
            matches!(found, Err(EngineError::NotFinite { network: named }) if named == network),
            "{tensor}: {found:?}"
        );
    }
}

#[test]
fn an_embedding_that_is_not_a_number_is_an_error() {
    let mut graph = Graph::new("drawn", Shape { h: 9, w: 9, c: 3 });
    let x = graph.conv("conv", graph.input(), Conv::new(16, 3, 3).act(Act::Relu));
    let pooled = graph.pool("pool", x, Pool::new(PoolKind::Max, 3, 2));
    let x = graph.dense("dense", pooled, 16, true, Act::None);
    let x = graph.l2_norm("embedding", x);
    graph.output("embedding", x);
    let (machine, input) = (machine(1), vec![0.5; 9 * 9 * 3]);
    for (tensor, value) in
        [("conv.weight", 60_000.0), ("conv.bias", f32::NAN), ("dense.bias", f32::NAN)]
    {
        let mut tensors = synthetic::weights([&graph]);
        let fine = DeviceNetwork::new(&machine, &graph, &tensors).unwrap().run(&machine, &input);
        assert!(fine.is_ok(), "{fine:?}");
        tensors.get_mut(tensor).unwrap().data.fill(value);
        let mut network = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
        let found = network.run(&machine, &input);
        let named =
            matches!(found, Err(KernelError::Engine(EngineError::NotFinite { network: "drawn" })));
        assert!(named, "{tensor}: {found:?}");
    }
    // A vector without a length is no fault of the arithmetic; nobody is like it.
    let zeros = synthetic::weights([&graph]).into_iter().map(|(name, mut tensor)| {
        tensor.data.fill(0.0);
        (name, tensor)
    });
    let mut network = DeviceNetwork::new(&machine, &graph, &zeros.collect::<Tensors>()).unwrap();
    assert_eq!(network.run(&machine, &input).unwrap(), vec![0.0; 16]);
}

#[test]
fn recognition_in_one_go_of_an_embedding_that_is_not_a_number_is_an_error() {
    let meta = description(Network::DlibResnet29);
    // Noise is no face; with these thresholds it passes for some.
    let options = CascadeOptions { thresholds: [0.1, 0.01, 0.01], ..CascadeOptions::default() };
    let bytes = noise(&mut Lots(424), 60 * 50);
    let raw = RawFrame::new(PixelFormat::Grey, [60, 50], 60, Colour::default(), &bytes).unwrap();
    let recognised = |change: fn(&mut Tensors)| {
        let mut weights = synthetic::weights(&meta.network.graphs());
        change(&mut weights);
        let pack = Pack::new(meta.clone(), &weights).unwrap();
        let (scale, vector) =
            quantise(&Embedding(synthetic::input(9, Shape { h: 1, w: 1, c: 128 })));
        let template = Template {
            person: PersonId(1),
            slot: 0,
            model: pack.id.tag(),
            quality: 90,
            scale,
            vector: vector.into_iter().collect(),
        };
        let mut engine = engine(&drawn(), options).unwrap().with_embedder(&pack).unwrap();
        // Whose scores have a least one, however long drawn weights' embeddings are.
        engine.set_gallery(Metric::SquaredL2, &[template]).unwrap();
        let found = engine.recognise_raw(&raw, 1);
        let embeddings = engine.last_embeddings(1).unwrap();
        let faces = engine.detect_raw(&raw).unwrap();
        let one_by_one = engine.embed_raw(&raw, &faces[..1]);
        (found, embeddings, one_by_one)
    };
    let best = |found: Recognition| found.compared[0].candidates.best.unwrap().score;

    let (found, embeddings, _) = recognised(|_| ());
    assert!(best(found.unwrap()) > LOWEST);
    assert!(embeddings[0].0.iter().any(|&value| value != 0.0));

    // More than half precision holds, and what becomes of it.
    let (found, embeddings, one_by_one) = recognised(|weights| {
        weights.get_mut("conv1.weight").unwrap().data.fill(60_000.0);
    });
    for fault in [found.map(|_| ()), one_by_one.map(|_| ())] {
        let named = "dlib ResNet-29";
        assert!(
            matches!(fault, Err(KernelError::Engine(EngineError::NotFinite { network })) if network == named),
            "{fault:?}"
        );
    }
    assert!(embeddings.is_empty(), "of a frame that nothing came of");

    // A vector without a length is no fault of the arithmetic; nobody is like it.
    let (found, embeddings, one_by_one) = recognised(|weights| {
        weights.values_mut().for_each(|tensor| tensor.data.fill(0.0));
    });
    assert_eq!(best(found.unwrap()), LOWEST);
    assert_eq!((&embeddings[0].0, one_by_one.unwrap()), (&vec![0.0; 128], embeddings.clone()));
}

#[test]
fn a_frame_with_more_proposals_than_there_is_room_for_says_how_many() {
    let options = CascadeOptions {
        min_face_px: 12.0,
        // Every cell passes, nothing that R-Net sees.
        thresholds: [0.0, 1.0, 1.0],
        ..CascadeOptions::default()
    };
    let mut engine = engine(&drawn(), options).unwrap();
    let frame = Frame::from_rgb(160, 160, noise(&mut Lots(422), 160 * 160 * 3)).unwrap();
    engine.detect(&frame).unwrap();
    let cells = Levels::new(160, 160, 12.0, 0.709).cells();
    let Counts { pnet, lost, .. } = engine.counts();
    assert_eq!((pnet as usize, lost[0] as usize), (cells, cells - PNET_MAX));
    assert!(lost[0] > 0 && engine.overflow() >= cells - PNET_MAX, "{lost:?}");
    let small = Frame::from_rgb(30, 30, noise(&mut Lots(423), 30 * 30 * 3)).unwrap();
    engine.detect(&small).unwrap();
    assert_eq!(engine.overflow(), 0);
}

#[test]
fn a_frame_that_is_smaller_than_the_face_has_none() {
    let options = CascadeOptions { min_face_px: 40.0, ..CascadeOptions::default() };
    let mut engine = engine(&drawn(), options).unwrap();
    let frame = Frame::from_rgb(39, 200, vec![90; 39 * 200 * 3]).unwrap();
    assert!(engine.detect(&frame).unwrap().is_empty());
    assert_eq!(engine.counts(), Counts::default());
}

#[test]
fn a_frame_whose_sums_do_not_fit_is_refused() {
    let mut engine = engine(&drawn(), CascadeOptions::default()).unwrap();
    let bytes = vec![0; 8_193 * 16];
    for size in [[8_193, 16], [16, 8_193]] {
        let stride = size[0];
        let raw =
            RawFrame::new(PixelFormat::Grey, size, stride, Colour::default(), &bytes).unwrap();
        let fault = engine.detect_raw(&raw).unwrap_err();
        assert!(matches!(fault, KernelError::Frame { .. }), "{fault}");
    }
}

#[test]
fn frames_of_changing_geometry_have_their_own_answers() {
    // Noise is no face; with these thresholds it passes for some.
    let options = CascadeOptions { thresholds: [0.1, 0.01, 0.01], ..CascadeOptions::default() };
    let mut engine = engine(&weights(), options).unwrap();
    let mut lots = Lots(422);
    let big = noise(&mut lots, 90 * 70 * 3);
    let small = noise(&mut lots, 60 * 40);
    let big = RawFrame::new(PixelFormat::Rgb24, [90, 70], 270, Colour::default(), &big).unwrap();
    let small = RawFrame::new(PixelFormat::Grey, [60, 40], 60, Colour::default(), &small).unwrap();
    let first = (engine.detect_raw(&big).unwrap(), engine.counts());
    let other = (engine.detect_raw(&small).unwrap(), engine.counts());
    assert_ne!(first.1, other.1);
    assert_eq!((engine.detect_raw(&big).unwrap(), engine.counts()), first);
    assert_eq!((engine.detect_raw(&small).unwrap(), engine.counts()), other);
    // Written where the device reads it, a frame is what it is when it is copied there.
    engine.input(&big).unwrap().copy_from_slice(big.bytes());
    assert_eq!((engine.detect_filled().unwrap(), engine.counts()), first);
}

#[test]
fn options_out_of_range_and_missing_tensors_are_named() {
    let options = CascadeOptions { min_face_px: 1.0, ..CascadeOptions::default() };
    let fault = engine(&drawn(), options).map(|_| ()).unwrap_err();
    assert!(matches!(fault, KernelError::Engine(EngineError::CascadeOption { .. })), "{fault}");
    let mut tensors = drawn();
    tensors.remove("onet.conv3.slope");
    let fault = engine(&tensors, CascadeOptions::default()).map(|_| ()).unwrap_err();
    assert!(fault.to_string().contains("onet.conv3.slope"), "{fault}");
}

#[cfg(feature = "gpu")]
#[test]
fn memory_that_a_card_does_not_have_is_refused_and_the_card_goes_on() {
    let device = machine(1);
    let much = 1 << 50;
    let fault = device.alloc(much).unwrap_err();
    let told = |asked, free: usize| asked == much && free > 0 && free < much;
    assert!(
        matches!(fault, DeviceError::OutOfMemory { asked, free } if told(asked, free)),
        "{fault}"
    );
    assert!(device.alloc(8).is_ok());
}

#[test]
fn copies_beyond_a_buffer_are_refused() {
    let device = machine(1);
    let mut buffer = device.alloc(8).unwrap();
    let fault = device.write(&mut buffer, 4, &[0; 5]).unwrap_err();
    assert!(matches!(fault, DeviceError::OutOfRange { at: 4, len: 5, buffer: 8 }), "{fault}");
    assert!(device.read(&buffer, usize::MAX, &mut [0; 2]).is_err());
    device.write(&mut buffer, 3, &[7; 5]).unwrap();
    let mut bytes = [9; 8];
    device.read(&buffer, 0, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 0, 0, 7, 7, 7, 7, 7]);
}
