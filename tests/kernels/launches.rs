//! What launches ask of a card, whatever card it is: told by paper, which keeps them and computes nothing.

use crate::rig::drawn;
use threshold_kernels::device::Step;
use threshold_kernels::device::paper::Paper;
use threshold_kernels::{CudaEngine, DeviceGallery, DeviceNetwork, Enrolled};
use threshold_models::cascade::CascadeOptions;
use threshold_models::engine::Embedding;
use threshold_models::raw::{Colour, PixelFormat, RawFrame};
use threshold_models::{net, synthetic};
use threshold_record::{Metric, PersonId};

/// Shared memory that a block has on every card whose kernels are built: 99 KB on compute capability 8.6, 163 on an Orin.
const SHARED_MOST: u32 = 99 << 10;

/// All that is recorded for a card of so many multiprocessors: frames, networks at several batches, searches.
fn record(paper: &Paper) {
    let tensors = drawn();
    for (size, min_face_px) in [([16, 16], 12.0), ([640, 480], 20.0), ([4096, 2160], 80.0)] {
        let options = CascadeOptions { min_face_px, ..CascadeOptions::default() };
        let bytes = vec![0; 2 * size[0] * size[1]];
        for format in [PixelFormat::Yuyv, PixelFormat::Nv12] {
            let stride = format.stride(size[0]);
            let raw = RawFrame::new(format, size, stride, Colour::default(), &bytes).unwrap();
            CudaEngine::new(paper, &tensors, options).unwrap().detect_raw(&raw).unwrap();
        }
    }
    for graph in [net::inception_resnet_v1(), net::dlib_resnet29()] {
        let network = DeviceNetwork::new(&paper, &graph, &synthetic::weights([&graph])).unwrap();
        for batch in [1, 2, 8, 32] {
            network.timed(&paper, batch, 1).unwrap();
        }
    }
    let embedding = || Embedding(vec![0.5; 512]);
    let enrolled =
        (1..100).map(|id| Enrolled { person: PersonId(id), slot: 0, embedding: embedding() });
    let enrolled: Vec<Enrolled> = enrolled.collect();
    let mut gallery = DeviceGallery::of_halves(&paper, Metric::SquaredL2, &enrolled).unwrap();
    for probes in [1, 4, 8, 16] {
        gallery.search(&paper, &vec![embedding(); probes]).unwrap();
    }
}

#[test]
fn no_block_asks_for_more_shared_memory_than_every_card_has() {
    for multiprocessors in [8, 132] {
        let paper = Paper::new(multiprocessors);
        record(&paper);
        let mut launches = 0;
        for step in paper.recorded().into_iter().flatten() {
            let Step::Launch(launch) = step else { continue };
            launches += 1;
            let (kernel, asked) = (launch.kernel, launch.shared_bytes);
            assert!(asked <= SHARED_MOST, "{kernel} asks for {asked} bytes");
        }
        assert!(launches > 500, "{launches} launches");
    }
}
