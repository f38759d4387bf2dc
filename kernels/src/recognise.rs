//! From a frame to candidates without the host: detection, crops, embeddings and search in one graph.
//!
//! Owns the programs of those graphs, one for each size of batch. How many faces there are is known on the device alone, which
//! leaves out the rest of the batch. The host gets a frame's status, its detections and their candidates back, each written
//! where it reads them by the kernel that found it; embeddings stay on the device until somebody asks.

use crate::device::{Device, Program, Region};
use crate::embed::Embedder;
use crate::engine::KernelError;
use crate::gallery::DeviceGallery;
use crate::launch::{self, FoundTemplate, Measured, Status, TILE};
use crate::room::Room;
use threshold_models::engine::{Compared, Embedding};
use threshold_models::quality::Measures;

/// A program behind a room's detections.
struct Chain<D: Device> {
    batch: usize,
    program: Program<D>,
    embeddings: Region,
}

/// The programs for a room, each with the room's own steps before. They point into the room, the weights and the gallery:
/// whoever owns all of them drops these first.
pub(crate) struct Chains<D: Device> {
    all: Vec<Chain<D>>,
    /// Which of them ran last, for how many faces that there were.
    last: Option<(usize, usize)>,
}

impl<D: Device> Default for Chains<D> {
    fn default() -> Self {
        Self { all: Vec::new(), last: None }
    }
}

/// Most faces of a frame that are recognised.
pub(crate) const MOST: usize = TILE;

impl<D: Device> Chains<D> {
    /// Runs over the room's input, for at most so many faces: measures and candidates of each place of the batch, of which as
    /// many mean something as the room has detections. An embedding that is no number is like nobody.
    pub(crate) fn run(
        &mut self,
        device: &D,
        room: &Room<D>,
        embedder: &Embedder<D>,
        gallery: Option<&DeviceGallery<D>>,
        most: usize,
    ) -> Result<Vec<Compared>, KernelError> {
        self.last = None;
        let gallery = gallery.filter(|gallery| !gallery.is_empty());
        let batch = match gallery {
            Some(gallery) => gallery.batch_of(most),
            None => most.next_power_of_two().min(MOST),
        };
        let at = match self.all.iter().position(|chain| chain.batch == batch) {
            Some(at) => at,
            None => {
                self.all.push(Chain::new(device, room, embedder, gallery, batch)?);
                self.all.len() - 1
            }
        };
        let found = self.all[at].program.run_filled(device)?;
        self.last = Some((at, (room.result().0.detections as usize).min(batch)));
        let (measured, found) = found.split_at(batch * size_of::<Measured>());
        let measures = measured.chunks_exact(size_of::<Measured>()).map(|bytes| {
            let measured: Measured = bytemuck::pod_read_unaligned(bytes);
            Measures::from(measured)
        });
        let mut candidates = gallery.map(|gallery| gallery.candidates(found));
        let mut of_place = || candidates.as_mut().and_then(Iterator::next).unwrap_or_default();
        let compared = |measures| Compared { measures, candidates: of_place() };
        Ok(measures.map(compared).collect())
    }

    /// The room has another frame now.
    pub(crate) fn forget_last(&mut self) {
        self.last = None;
    }

    /// The embeddings of the first `n` faces of the last run, at most as many as there were; none if there was none.
    pub(crate) fn embeddings(
        &self,
        device: &D,
        embedder: &Embedder<D>,
        n: usize,
    ) -> Result<Vec<Embedding>, KernelError> {
        let Some((at, faces)) = self.last else { return Ok(Vec::new()) };
        let chain = &self.all[at];
        let bytes = chain.program.read(device, chain.embeddings)?;
        embedder.embeddings(&bytes, n.min(faces))
    }
}

impl<D: Device> Chain<D> {
    fn new(
        device: &D,
        room: &Room<D>,
        embedder: &Embedder<D>,
        gallery: Option<&DeviceGallery<D>>,
        batch: usize,
    ) -> Result<Self, KernelError> {
        let found_len = gallery.map_or(0, |_| batch * 2 * size_of::<FoundTemplate>());
        let measured_len = batch * size_of::<Measured>();
        let mut program = Program::new(device, 0, measured_len + found_len)?;
        let (measured, found) = program.output_region(device).split_at(measured_len);
        room.steps().iter().for_each(|step| program.push(step.clone()));
        let [faces, status] = room.faces();
        let (from, count) = ((room.picture(), faces), Some(Status::detections_in(status)));
        program.push(launch::quality(batch, room.picture(), faces, status, measured));
        let embeddings = embedder.push(&mut program, device, batch, from, count)?;
        if let Some(gallery) = gallery {
            for step in gallery.steps(batch, embeddings, found) {
                program.push(step);
            }
        }
        program.record(device)?;
        Ok(Self { batch, program, embeddings })
    }
}
