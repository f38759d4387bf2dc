//! Embeddings on a device: faces are cut out of the frame and run through the pack's network, in one graph for each size of
//! batch.
//!
//! Owns the way from a frame and its faces to embeddings. Refuses to know which network it is: `models::plan` says what it
//! does, and `lower` turns that into launches.
//!
//! ```text
//! division -> lower -> network -> mod (Embedder) -> engine
//! weights  ----^
//! ```

mod division;
mod lower;
mod network;
mod weights;

pub use network::{DeviceNetwork, Recorded, Timed, Traced};

use crate::device::{Device, Program, Region, Step};
use crate::engine::{KernelError, check_size};
use crate::launch::{self, Counted, Found, PictureView, crop_bytes};
use crate::picture;
use crate::room::Geometry;
use network::{CLASSES, FEW, class_of};
use threshold_models::crop::{CropRule, crop};
use threshold_models::engine::{Detection, Embedding, EngineError};
use threshold_models::frame::Frame;
use threshold_models::graph::Graph;
use threshold_models::pack::{
    EmbedderMeta, GOLDEN_TOLERANCE_F16, Pack, PackError, PackMeta, Preprocessing,
};
use threshold_models::raw::RawFrame;
use threshold_record::{Metric, ModelTag};

/// An embedder's pack on a device.
pub struct Embedder<D: Device> {
    // Before the weights, which their steps point into, since fields are dropped in this order.
    programs: [Option<Program<D>>; CLASSES.len()],
    geometry: Option<Geometry>,
    network: DeviceNetwork<D>,
    rule: CropRule,
    metric: Metric,
    meta: PackMeta,
    model: ModelTag,
}

impl<D: Device> Embedder<D> {
    /// A pack's network with its weights.
    ///
    /// # Errors
    /// [`PackError::WrongNetwork`] if it is a detector's; [`KernelError`] if the device has no room.
    pub fn new(device: &D, pack: &Pack) -> Result<Self, KernelError> {
        let EmbedderMeta { crop: rule, metric, .. } = *pack.embedder().map_err(wrong_pack)?;
        let graph = pack.meta.network.graphs().swap_remove(0);
        Ok(Self {
            programs: Default::default(),
            geometry: None,
            network: DeviceNetwork::new(device, &graph, pack)?,
            rule,
            metric,
            meta: pack.meta.clone(),
            model: pack.id.tag(),
        })
    }

    /// One embedding for each face, in that order.
    ///
    /// # Errors
    /// [`KernelError`] if the device failed or an embedding is not finite.
    pub fn embed(
        &mut self,
        device: &D,
        frame: &RawFrame<'_>,
        faces: &[Detection],
    ) -> Result<Vec<Embedding>, KernelError> {
        check_size(frame)?;
        let geometry = Geometry::of(frame);
        if self.geometry != Some(geometry) {
            // Dropped first: both at once would need twice the memory.
            self.programs = Default::default();
            self.geometry = Some(geometry);
        }
        let (mut rest, mut embeddings) = (faces, Vec::with_capacity(faces.len()));
        while !rest.is_empty() {
            let (class, n) = class_of(rest.len());
            let (faces, further) = rest.split_at(n);
            embeddings.extend(self.embed_class(device, class, frame, faces)?);
            rest = further;
        }
        Ok(embeddings)
    }

    /// Reads the weights back and runs the pack's golden vectors: the device, its memory and the kernels do what they did when
    /// they were tested.
    ///
    /// # Errors
    /// [`DeviceError::Corrupt`](crate::device::DeviceError::Corrupt) for other weights than were copied there;
    /// [`PackError::SelfTest`] with the largest difference; what the device failed with.
    pub fn self_test(&mut self, device: &D) -> Result<(), KernelError> {
        self.network.verify_weights(device)?;
        let Self { meta, network, .. } = self;
        let run = |_, _: &Graph, input: &[f32]| {
            Ok(vec![network.run(device, input).map_err(EngineError::from)?])
        };
        meta.self_test(GOLDEN_TOLERANCE_F16, run).map_err(wrong_pack)
    }

    /// The embedding of a face that the processor cut out, for the self-test.
    ///
    /// # Errors
    /// [`KernelError`] if the device failed or the embedding is not finite.
    pub(crate) fn embed_cut(
        &mut self,
        device: &D,
        frame: &Frame,
        face: &Detection,
    ) -> Result<Embedding, KernelError> {
        let mut pixels = vec![0.0; self.rule.len()];
        crop(frame, face, &self.rule, &mut pixels);
        let Preprocessing { mean, scale } = self.meta.preprocessing;
        for pixel in pixels.chunks_exact_mut(mean.len()) {
            pixel.iter_mut().zip(mean).for_each(|(value, mean)| *value = (*value - mean) * scale);
        }
        Ok(Embedding(self.network.run(device, &pixels)?))
    }

    /// Values of an embedding.
    pub(crate) fn embedding_len(&self) -> usize {
        self.output_bytes() / size_of::<f32>()
    }

    /// What the distance of two of its embeddings measures.
    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    /// Whose templates may be compared with its embeddings.
    pub(crate) fn model(&self) -> ModelTag {
        self.model
    }

    /// Changes a byte of the weights on the device: for the test that such a change is found.
    ///
    /// # Errors
    /// [`KernelError::Device`].
    pub fn flip_weight(&mut self, device: &D, at: usize) -> Result<(), KernelError> {
        Ok(self.network.flip_weight(device, at)?)
    }

    fn embed_class(
        &mut self,
        device: &D,
        class: usize,
        frame: &RawFrame<'_>,
        faces: &[Detection],
    ) -> Result<Vec<Embedding>, KernelError> {
        if self.programs[class].is_none() {
            self.programs[class] = Some(self.program(device, CLASSES[class], frame)?);
        }
        let Some(program) = &mut self.programs[class] else { return Ok(Vec::new()) };
        let mut found: Vec<Found> = faces.iter().map(Found::from).collect();
        found.resize(CLASSES[class], Found::default());
        let (bytes, rest) = program.input().split_at_mut(picture::input_bytes(frame));
        bytes[..frame.bytes().len()].copy_from_slice(frame.bytes());
        rest.copy_from_slice(bytemuck::cast_slice(&found));
        let bytes = program.run_filled(device)?;
        embeddings(&self.network, bytes, faces.len())
    }

    /// Bytes of an embedding on the device.
    pub(crate) fn output_bytes(&self) -> usize {
        self.network.core.output_bytes()
    }

    /// The first `n` embeddings in the bytes of a batch.
    pub(crate) fn embeddings(&self, bytes: &[u8], n: usize) -> Result<Vec<Embedding>, KernelError> {
        embeddings(&self.network, bytes, n)
    }

    /// Adds the way from a picture and `n` faces on the device, or as many of them as are counted there, to their embeddings.
    pub(crate) fn push(
        &self,
        program: &mut Program<D>,
        device: &D,
        n: usize,
        (picture, faces): (PictureView, Region),
        count: Option<Region>,
    ) -> Result<Region, KernelError> {
        let crops = program.take(device, n * crop_bytes(&self.rule))?;
        let rule = (&self.rule, self.meta.preprocessing);
        program.push(launch::cut(n, picture, rule, [faces, crops], count));
        let counted = count.map(|count| Counted { count, few: FEW });
        self.network.core.push(program, device, n, counted, crops)
    }

    /// Frame and faces in, embeddings out.
    fn program(
        &self,
        device: &D,
        n: usize,
        frame: &RawFrame<'_>,
    ) -> Result<Program<D>, KernelError> {
        let frame_len = picture::input_bytes(frame);
        let faces_len = n * size_of::<Found>();
        let output_len = n * self.network.core.output_bytes();
        let mut program = Program::new(device, frame_len + faces_len, output_len)?;
        let (bytes, from) = program.input_region(device).split_at(frame_len);
        let picture = picture::push(&mut program, device, (frame, bytes), None)?;
        let faces = program.take(device, faces_len)?;
        program.push(Step::Upload { from: from.at, to: faces.at, len: faces_len });
        let output = self.push(&mut program, device, n, (picture, faces), None)?;
        program.push_output(device, output, 0);
        program.record(device)?;
        Ok(program)
    }
}

fn embeddings<D: Device>(
    network: &DeviceNetwork<D>,
    bytes: &[u8],
    n: usize,
) -> Result<Vec<Embedding>, KernelError> {
    let values = network.core.outputs(bytes, n)?;
    let of_face = |values: &[f32]| Embedding(values.to_vec());
    Ok(values.chunks_exact(network.core.output_bytes() / size_of::<f32>()).map(of_face).collect())
}

fn wrong_pack(error: PackError) -> KernelError {
    KernelError::Pack(Box::new(error))
}
