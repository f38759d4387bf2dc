//! From a frame's detections to candidates without the host: crops, embeddings and search in one graph behind the detection's.
//!
//! Owns the programs of that graph, one for each stretch of faces and size of batch. Refuses to choose faces: those of the
//! detections come first that are largest. How many there are the host must know before it launches this graph, one number
//! read back with the detections; a conditional node would spare that, and waits for a card on which it can be tried.

use crate::device::{Device, Program};
use crate::embed::Embedder;
use crate::engine::KernelError;
use crate::gallery::DeviceGallery;
use crate::launch::{Found, FoundTemplate};
use crate::room::Room;
use threshold_models::engine::{Detection, Embedding};
use threshold_models::raw::RawFrame;
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

/// Which faces a program is for: from the `first`, `batch` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    first: usize,
    batch: usize,
}

/// The programs behind a room's detections. Its steps point into the room, the weights and the gallery, which outlive it:
/// whoever owns it drops it first.
pub(crate) struct Chains<D: Device>(Vec<(Stretch, Program<D>)>);

impl<D: Device> Default for Chains<D> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<D: Device> Chains<D> {
    /// Embeds and searches the first faces that the room's last run found.
    pub(crate) fn run(
        &mut self,
        device: &D,
        (room, frame): (&Room<D>, &RawFrame<'_>),
        embedder: &Embedder<D>,
        gallery: Option<&DeviceGallery<D>>,
        faces: &[Detection],
    ) -> Result<Vec<Recognised>, KernelError> {
        let gallery = gallery.filter(|gallery| !gallery.is_empty());
        let batch_of = |n: usize| match gallery {
            Some(gallery) => gallery.batch_of(n),
            None => n.next_power_of_two().min(MOST),
        };
        let (mut all, mut first) = (Vec::with_capacity(faces.len()), 0);
        while first < faces.len() {
            let batch = batch_of(faces.len() - first);
            let of_batch = &faces[first..faces.len().min(first + batch)];
            let stretch = Stretch { first, batch };
            let at = match self.0.iter().position(|(own, _)| *own == stretch) {
                Some(at) => at,
                None => {
                    let program = chain(device, (room, frame), embedder, gallery, stretch)?;
                    self.0.push((stretch, program));
                    self.0.len() - 1
                }
            };
            let bytes = self.0[at].1.run(device, &[])?;
            let (embeddings, found) = bytes.split_at(batch * embedder.output_bytes());
            let embeddings = embedder.embeddings(embeddings, of_batch.len())?;
            let mut candidates = gallery.map(|gallery| gallery.candidates(found));
            for (&detection, embedding) in of_batch.iter().zip(embeddings) {
                let candidates = candidates.as_mut().and_then(Iterator::next).unwrap_or_default();
                all.push(Recognised { detection, embedding, candidates });
            }
            first += of_batch.len();
        }
        Ok(all)
    }
}

/// Most faces at a time where there is no gallery that says.
const MOST: usize = 32;

fn chain<D: Device>(
    device: &D,
    (room, frame): (&Room<D>, &RawFrame<'_>),
    embedder: &Embedder<D>,
    gallery: Option<&DeviceGallery<D>>,
    Stretch { first, batch }: Stretch,
) -> Result<Program<D>, KernelError> {
    let embedded = batch * embedder.output_bytes();
    let found_len = gallery.map_or(0, |_| batch * 2 * size_of::<FoundTemplate>());
    let mut program = Program::new(device, 0, embedded + found_len)?;
    let (view, found) = room.frame_and_found(frame);
    let (_, faces) = found.split_at(first * size_of::<Found>());
    let embeddings = embedder.push(&mut program, device, batch, (view, faces))?;
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
