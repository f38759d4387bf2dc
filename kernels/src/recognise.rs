//! From a frame's detections to candidates without the host: crops, embeddings and search in one graph behind the detection's.
//!
//! Owns the programs of that graph, one for each size of batch. Refuses to choose faces: the caller says how many of the largest.
//! The host must know how many there are before it launches this graph, and gives their boxes back, 64 bytes each; a
//! conditional node would spare both, and waits for a card on which it can be tried.

use crate::device::{Device, Program};
use crate::embed::Embedder;
use crate::engine::KernelError;
use crate::gallery::DeviceGallery;
use crate::launch::{Found, FoundTemplate};
use crate::room::Room;
use threshold_models::engine::{Detection, Embedding};
use threshold_models::search::Candidates;

/// A face with what it is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognised {
    /// Where it is.
    pub detection: Detection,
    /// What the network says of it.
    pub embedding: Embedding,
    /// The best candidate of the gallery and the best of another person.
    pub candidates: Candidates,
}

/// The programs behind a room's detections, with the batch of each. Their steps point into the room, the weights and the
/// gallery: whoever owns all of them drops these first.
pub(crate) struct Chains<D: Device>(Vec<(usize, Program<D>)>);

impl<D: Device> Default for Chains<D> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<D: Device> Chains<D> {
    /// Embeds and searches faces of the room's last frame.
    pub(crate) fn run(
        &mut self,
        device: &D,
        room: &Room<D>,
        embedder: &Embedder<D>,
        gallery: Option<&DeviceGallery<D>>,
        faces: &[Detection],
    ) -> Result<Vec<Recognised>, KernelError> {
        let gallery = gallery.filter(|gallery| !gallery.is_empty());
        let batch_of = |n: usize| match gallery {
            Some(gallery) => gallery.batch_of(n),
            None => n.next_power_of_two().min(MOST),
        };
        let mut all = Vec::with_capacity(faces.len());
        let mut rest = faces;
        while !rest.is_empty() {
            let batch = batch_of(rest.len());
            let (of_batch, further) = rest.split_at(rest.len().min(batch));
            rest = further;
            let at = match self.0.iter().position(|(own, _)| *own == batch) {
                Some(at) => at,
                None => {
                    let program = chain(device, room, embedder, gallery, batch)?;
                    self.0.push((batch, program));
                    self.0.len() - 1
                }
            };
            let mut found: Vec<Found> = of_batch.iter().map(Found::from).collect();
            found.resize(batch, Found::default());
            let bytes = self.0[at].1.run(device, bytemuck::cast_slice(&found))?;
            let (embeddings, found) = bytes.split_at(batch * embedder.output_bytes());
            let embeddings = embedder.embeddings(embeddings, of_batch.len())?;
            let mut candidates = gallery.map(|gallery| gallery.candidates(found));
            for (&detection, embedding) in of_batch.iter().zip(embeddings) {
                let candidates = candidates.as_mut().and_then(Iterator::next).unwrap_or_default();
                all.push(Recognised { detection, embedding, candidates });
            }
        }
        Ok(all)
    }
}

/// Most faces at a time where there is no gallery that says.
const MOST: usize = 32;

fn chain<D: Device>(
    device: &D,
    room: &Room<D>,
    embedder: &Embedder<D>,
    gallery: Option<&DeviceGallery<D>>,
    batch: usize,
) -> Result<Program<D>, KernelError> {
    let embedded = batch * embedder.output_bytes();
    let found_len = gallery.map_or(0, |_| batch * 2 * size_of::<FoundTemplate>());
    let faces_len = batch * size_of::<Found>();
    let mut program = Program::new(device, faces_len, embedded + found_len)?;
    let faces = program.take(device, faces_len)?;
    program.push_input(device, faces);
    let embeddings = embedder.push(&mut program, device, batch, (room.picture(), faces))?;
    program.push_output(device, embeddings, 0);
    if let Some(gallery) = gallery {
        let templates = program.take(device, found_len)?;
        for step in gallery.steps(batch, embeddings, templates) {
            program.push(step);
        }
        program.push_output(device, templates, embedded);
    }
    program.record(device)?;
    Ok(program)
}
