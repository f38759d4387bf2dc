//! From a frame to candidates without the host: detection, crops, embeddings and search in one graph.
//!
//! Owns the programs of those graphs, one for each size of batch. How many faces there are is known on the device alone, which
//! leaves out the rest of the batch. The host gets a frame's status, its detections and their candidates back, each written
//! where it reads them by the kernel that found it; embeddings stay on the device until somebody asks.

use crate::device::{Device, Program, Region};
use crate::embed::Embedder;
use crate::engine::KernelError;
use crate::gallery::{DeviceGallery, Request};
use crate::launch::{self, FoundTemplate, Measured, Status, TILE};
use crate::room::Room;
use threshold_models::engine::{Compared, Embedding};
use threshold_models::quality::Measures;

/// What is asked for beside detection.
pub(crate) struct Asked<'a, D: Device> {
    pub(crate) embedder: &'a Embedder<D>,
    /// Nobody is sought without one.
    pub(crate) gallery: Option<&'a DeviceGallery<D>>,
    /// Most faces that are recognised.
    pub(crate) most: usize,
}

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
    /// Which of them was begun last.
    begun: usize,
}

impl<D: Device> Default for Chains<D> {
    fn default() -> Self {
        Self { all: Vec::new(), begun: 0 }
    }
}

/// Most faces of a frame that are recognised.
const MOST: usize = TILE;

impl<D: Device> Chains<D> {
    /// Begins over the room's input.
    pub(crate) fn begin(
        &mut self,
        device: &D,
        room: &Room<D>,
        Asked { embedder, gallery, most }: Asked<'_, D>,
    ) -> Result<(), KernelError> {
        let gallery = gallery.filter(|gallery| !gallery.is_empty());
        let most = most.clamp(1, MOST);
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
        self.begun = at;
        Ok(self.all[at].program.begin(device)?)
    }

    /// Waits for what was begun: measures and candidates of each place of the batch, of which as many mean something as the room
    /// has detections. An embedding that is no number has the lowest score with everybody; whoever asked for candidates looks
    /// into that (`CudaEngine::finish`).
    pub(crate) fn finish(
        &mut self,
        device: &D,
        gallery: Option<&DeviceGallery<D>>,
    ) -> Result<Vec<Compared>, KernelError> {
        let gallery = gallery.filter(|gallery| !gallery.is_empty());
        let Some(chain) = self.all.get_mut(self.begun) else { return Ok(Vec::new()) };
        let found = chain.program.finish(device)?;
        let (measured, found) = found.split_at(chain.batch * size_of::<Measured>());
        let measures = measured.chunks_exact(size_of::<Measured>()).map(|bytes| {
            let measured: Measured = bytemuck::pod_read_unaligned(bytes);
            Measures::from(measured)
        });
        let mut candidates = gallery.map(|gallery| gallery.candidates(found));
        let mut of_place = || candidates.as_mut().and_then(Iterator::next).unwrap_or_default();
        let compared = |measures| Compared { measures, candidates: of_place() };
        Ok(measures.map(compared).collect())
    }

    /// The embeddings of the first `n` faces of the last run that the room found, at most as many as the batch has; none if
    /// nothing ran.
    pub(crate) fn embeddings(
        &self,
        device: &D,
        embedder: &Embedder<D>,
        n: usize,
    ) -> Result<Vec<Embedding>, KernelError> {
        let Some(chain) = self.all.get(self.begun) else { return Ok(Vec::new()) };
        let bytes = chain.program.read(device, chain.embeddings)?;
        embedder.embeddings(&bytes, n.min(chain.batch))
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
            gallery.push(
                &mut program,
                device,
                Request { batch, rounds: 1 },
                [embeddings, found],
            )?;
        }
        program.record(device)?;
        Ok(Self { batch, program, embeddings })
    }
}
