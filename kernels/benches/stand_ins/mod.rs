//! What benchmarks take in a camera's, a pack's and people's place: none of it changes how long anything takes.

use threshold_kernels::KernelError;
use threshold_models::crop::CropRule;
use threshold_models::frame::Frame;
use threshold_models::net;
use threshold_models::pack::{Network, Pack, PackMeta};
use threshold_models::raw::PixelFormat;
use threshold_models::synthetic;
use threshold_record::{PersonId, Template};

/// People among whom a face is sought.
pub(crate) const PEOPLE: u32 = 1000;

/// A picture as a camera sends it: YUYV, of which the kernels make RGB. Grey, since only the bytes' number matters.
pub(crate) fn yuyv(picture: &Frame) -> Vec<u8> {
    let (width, stride) = (picture.width(), PixelFormat::Yuyv.stride(picture.width()));
    let luma = |pixel: &[u8]| {
        ((u32::from(pixel[0]) + 2 * u32::from(pixel[1]) + u32::from(pixel[2])) / 4) as u8
    };
    let mut bytes = vec![128; PixelFormat::Yuyv.len(picture.height(), stride)];
    for (i, pixel) in picture.rgb().chunks_exact(3).enumerate() {
        let (x, y) = (i % width, i / width);
        bytes[y * stride + 2 * x] = luma(pixel);
    }
    bytes
}

/// FaceNet with drawn weights: its own would fill the folder that travels. What another embedder's pack says beside its network
/// is taken over.
///
/// # Errors
/// If such a pack is none.
pub(crate) fn facenet(other: &Pack) -> Result<Pack, KernelError> {
    let mut meta = PackMeta {
        name: "facenet-drawn".to_owned(),
        network: Network::InceptionResnetV1,
        golden: Vec::new(),
        ..other.meta.clone()
    };
    if let Some(embedder) = &mut meta.embedder {
        embedder.crop = CropRule::SquaredBox { size_px: 160, margin_px: 0.0 };
        embedder.embedding_len = 512;
        embedder.scores = None;
    }
    let pack = Pack::new(meta, &synthetic::weights([&net::inception_resnet_v1()]));
    pack.map_err(|error| KernelError::Pack(Box::new(error)))
}

/// As many people as there are, one template each, drawn.
pub(crate) fn people(pack: &Pack, embedding_len: usize) -> Vec<Template> {
    let mut state = 1u32;
    let mut drawn = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as i8
    };
    let template = |person| Template {
        person: PersonId(person),
        slot: 0,
        quality: 100,
        model: pack.id.tag(),
        scale: 1e-3,
        vector: (0..embedding_len).map(|_| drawn()).collect(),
    };
    (1..=PEOPLE).map(template).collect()
}
