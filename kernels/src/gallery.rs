//! A gallery that lies on a device, and its search: the candidates of `threshold_models::search::Index`, bit for bit.
//!
//! Owns the vectors' layout, their memory on the device and a recorded program for each size of batch. Refuses what the CPU's
//! index refuses, with the same errors. Templates lie in the order of person and slot, so that a template's place alone
//! settles between equal scores; who they are stays on the host.
//!
//! ```text
//! vectors  tile of 32 templates: chunk 0 of template 0, of template 1, .. of template 31; chunk 1 of template 0, ..
//! sides    scale and sum of squares, 8 bytes a template
//! persons  4 bytes a template
//! ```
//!
//! A chunk is 16 bytes. Tiles, because a thread that has a template of its own needs no other thread's sum, and 32 chunks in a
//! row are what a warp reads at once; whole vectors one behind the other would give 32 threads 32 places to read from.

use crate::device::{Device, DeviceError, Program, Region};
use crate::engine::KernelError;
use crate::launch::{
    self, CHUNK_BYTES, Element, FoundTemplate, GalleryShape, NO_TEMPLATE, PAIR_BYTES, Side, TILE,
};
use half::f16;
use threshold_models::engine::Embedding;
use threshold_models::search::{Candidate, Candidates, Index, SearchError};
use threshold_record::{Metric, PersonId, Score, Template};

/// Tiles that are laid out at once: 4 MB of 512-D int8.
const UPLOAD_TILES: usize = 256;

/// An embedding of somebody, which a gallery of halves keeps more precisely than a template does.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrolled {
    /// Whose face.
    pub person: PersonId,
    /// Which of the person's.
    pub slot: u8,
    /// What the model says of it.
    pub embedding: Embedding,
}

/// What a program is recorded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Probes.
    pub(crate) batch: usize,
    /// Rounds, each of which finds the best of what the ones before did not.
    pub(crate) rounds: usize,
}

/// The templates of a gallery in a device's memory, which several programs may search at a time.
pub struct DeviceGallery<D: Device> {
    // Before the buffers, which their graphs use, since fields are dropped in this order.
    programs: Vec<(Request, Program<D>)>,
    shape: GalleryShape,
    blocks: usize,
    /// Whose template and which of theirs, by place.
    owners: Vec<(PersonId, u8)>,
    /// Vectors, sides, persons.
    templates: [Region; 3],
    _buffers: Vec<D::Buffer>,
}

impl<D: Device> DeviceGallery<D> {
    /// A gallery of int8 templates of one model.
    ///
    /// # Errors
    /// [`SearchError`] if the templates differ in length or model; [`DeviceError`] if the device has no room.
    pub fn new(device: &D, metric: Metric, templates: &[Template]) -> Result<Self, KernelError> {
        Ok(Self::of(device, &Index::new(metric, templates)?)?)
    }

    /// The gallery of the CPU's index.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no room.
    pub fn of(device: &D, index: &Index) -> Result<Self, DeviceError> {
        let (metric, len, n) = (index.metric(), index.embedding_len(), index.len());
        let shape = GalleryShape { element: Element::Int8, metric, len, n };
        Self::laid_out(
            device,
            shape,
            |i| index.owner(i),
            |i, row| {
                for (byte, component) in row.iter_mut().zip(index.vector(i)) {
                    *byte = component as u8;
                }
                let (scale, norm) = index.scale_and_norm(i);
                Side { scale, norm: norm as f32 }
            },
        )
    }

    /// A gallery of half-precision vectors, of one model.
    ///
    /// Components are rounded to half; sums run in f32 from the first component to the last, so that scores are the same on
    /// every device. One that half does not hold, above 65,504 in size or no number, makes a vector that cannot be compared.
    ///
    /// # Errors
    /// [`SearchError::Length`] if the embeddings differ in length; [`DeviceError`] if the device has no room.
    pub fn of_halves(
        device: &D,
        metric: Metric,
        enrolled: &[Enrolled],
    ) -> Result<Self, KernelError> {
        let len = enrolled.first().map_or(0, |first| first.embedding.0.len());
        for one in enrolled {
            check_len(len, one.embedding.0.len())?;
        }
        let shape = GalleryShape { element: Element::Half, metric, len, n: enrolled.len() };
        let owner = |i: usize| (enrolled[i].person, enrolled[i].slot);
        let gallery = Self::laid_out(device, shape, owner, |i, row| {
            let (two_bytes, _) = row.as_chunks_mut::<2>();
            let mut norm = 0.0f32;
            for (bytes, &value) in two_bytes.iter_mut().zip(&enrolled[i].embedding.0) {
                let value = f16::from_f32(value);
                *bytes = value.to_le_bytes();
                norm += value.to_f32() * value.to_f32();
            }
            Side { scale: if norm.is_finite() { 1.0 } else { 0.0 }, norm }
        });
        Ok(gallery?)
    }

    /// Lays templates out in the order of their owners. `write` is given a template's number and its row of zeros.
    fn laid_out(
        device: &D,
        mut shape: GalleryShape,
        owner: impl Fn(usize) -> (PersonId, u8),
        write: impl Fn(usize, &mut [u8]) -> Side,
    ) -> Result<Self, DeviceError> {
        let mut order: Vec<usize> = (0..shape.n).collect();
        order.sort_by_key(|&i| owner(i));
        let owners: Vec<_> = order.iter().map(|&i| owner(i)).collect();
        if shape.len == 0 {
            // Vectors without components find nobody.
            (shape.n, order) = (0, Vec::new());
        }
        let row_bytes = shape.chunks() * CHUNK_BYTES;
        let mut vectors = device.alloc(shape.tiles() * shape.tile_bytes())?;
        let mut sides = Vec::with_capacity(shape.n);
        let mut row = vec![0; row_bytes];
        let mut tiles = Vec::new();
        for (i, places) in order.chunks(UPLOAD_TILES * TILE).enumerate() {
            tiles.clear();
            tiles.resize(places.len().div_ceil(TILE) * shape.tile_bytes(), 0);
            for (place, &template) in places.iter().enumerate() {
                row.fill(0);
                sides.push(write(template, &mut row));
                let (tile, lane) = (place / TILE, place % TILE);
                for (chunk, bytes) in row.chunks_exact(CHUNK_BYTES).enumerate() {
                    let at = tile * shape.tile_bytes() + (chunk * TILE + lane) * CHUNK_BYTES;
                    tiles[at..at + CHUNK_BYTES].copy_from_slice(bytes);
                }
            }
            device.write(&mut vectors, i * UPLOAD_TILES * shape.tile_bytes(), &tiles)?;
        }
        let persons: Vec<u32> = owners.iter().take(shape.n).map(|(person, _)| person.0).collect();
        let blocks = shape.blocks(device.multiprocessors());
        let mut buffers = Vec::new();
        let mut keep = |buffer: D::Buffer, len: usize| {
            let region = Region { at: device.address(&buffer), len };
            buffers.push(buffer);
            region
        };
        let filled = |bytes: &[u8]| -> Result<D::Buffer, DeviceError> {
            let mut buffer = device.alloc(bytes.len())?;
            device.write(&mut buffer, 0, bytes)?;
            Ok(buffer)
        };
        let templates = [
            keep(vectors, shape.tiles() * shape.tile_bytes()),
            keep(filled(bytemuck::cast_slice(&sides))?, size_of_val(&sides[..])),
            keep(filled(bytemuck::cast_slice(&persons))?, size_of_val(&persons[..])),
        ];
        let programs = Vec::new();
        Ok(Self { programs, shape, blocks, owners, templates, _buffers: buffers })
    }

    /// Number of templates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Components of a vector; 0 without a template.
    #[must_use]
    pub fn embedding_len(&self) -> usize {
        self.shape.len
    }

    /// True if there is no template.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// For each probe the best candidate and the best of another person, as `Index::search` finds them.
    ///
    /// # Errors
    /// [`SearchError::Length`] if a probe is of another length than the templates; [`DeviceError`] if the device fails.
    pub fn search(
        &mut self,
        device: &D,
        probes: &[Embedding],
    ) -> Result<Vec<Candidates>, KernelError> {
        let rounds = self.rounds(device, probes, 1)?;
        Ok(rounds.into_iter().flatten().collect())
    }

    /// For each probe the best `n` candidates, the best first, as `Index::top` finds them. Every one of them takes a scan of
    /// the whole gallery.
    ///
    /// # Errors
    /// As [`DeviceGallery::search`].
    pub fn top(
        &mut self,
        device: &D,
        probes: &[Embedding],
        n: usize,
    ) -> Result<Vec<Vec<Candidate>>, KernelError> {
        let n = n.min(self.len());
        let rounds = self.rounds(device, probes, n)?;
        let best = |probe: Vec<Candidates>| probe.iter().filter_map(|round| round.best).collect();
        Ok(rounds.into_iter().map(best).collect())
    }

    /// What each round finds, probe by probe.
    fn rounds(
        &mut self,
        device: &D,
        probes: &[Embedding],
        rounds: usize,
    ) -> Result<Vec<Vec<Candidates>>, KernelError> {
        if self.is_empty() {
            return Ok(vec![vec![Candidates::default(); rounds]; probes.len()]);
        }
        for probe in probes {
            check_len(self.shape.len, probe.0.len())?;
        }
        let mut all = Vec::with_capacity(probes.len());
        let mut input = Vec::new();
        for probes in probes.chunks(self.batch_of(usize::MAX)) {
            let batch = self.batch_of(probes.len());
            input.clear();
            for probe in probes {
                input.extend_from_slice(bytemuck::cast_slice(&probe.0));
            }
            // The rest of the batch are zeros, whose answers nobody reads.
            input.resize(batch * self.shape.len * size_of::<f32>(), 0);
            let at = self.program(device, Request { batch, rounds })?;
            let (_, program) = &mut self.programs[at];
            let found: Vec<_> = candidates(&self.owners, program.run(device, &input)?).collect();
            let of_probe = |probe| (0..rounds).map(|round| found[round * batch + probe]).collect();
            all.extend((0..probes.len()).map(of_probe));
        }
        Ok(all)
    }

    /// The size of the batch in which so many probes are searched, or the largest.
    #[must_use]
    pub fn batch_of(&self, n_probes: usize) -> usize {
        launch::batch_of(self.shape.element, n_probes)
    }

    /// Adds so many rounds of a search to a program that has the embeddings on the device already: `batch` of f32, one behind
    /// the other, of which some may mean nothing. Two [`FoundTemplate`] a probe and round are written to `found`, for
    /// [`DeviceGallery::candidates`].
    ///
    /// # Panics
    /// If a region is too short, or `batch` is none that [`DeviceGallery::batch_of`] gives.
    pub(crate) fn push(
        &self,
        program: &mut Program<D>,
        device: &D,
        Request { batch, rounds }: Request,
        [embeddings, found]: [Region; 2],
    ) -> Result<(), DeviceError> {
        let (shape, blocks) = (&self.shape, self.blocks);
        let mut take = |len: usize| program.take(device, len);
        // What lies between the kernels is this program's alone, since others may search at the same time.
        let probes = take(shape.probe_bytes(batch))?;
        let probe_sides = take(batch * size_of::<Side>())?;
        let pairs = take(blocks * batch * PAIR_BYTES)?;
        // Zeros, for ever; and the best key of the round before, for each probe.
        let (no_ceilings, lasts) =
            (take(batch * size_of::<u64>())?, take(batch * size_of::<u64>())?);
        program.push(launch::quantise(shape, batch, [embeddings, probes, probe_sides]));
        let (mut ceilings, mut rest) = (no_ceilings, found);
        for _ in 0..rounds {
            let (found, after) = rest.split_at(batch * 2 * size_of::<FoundTemplate>());
            let regions = [probes, probe_sides, ceilings, pairs];
            program.push(launch::scan(shape, batch, blocks, self.templates, regions));
            program.push(launch::rank(batch, blocks, [pairs, found, lasts]));
            (ceilings, rest) = (lasts, after);
        }
        Ok(())
    }

    /// What the bytes at `found` say, probe by probe.
    pub fn candidates(&self, found: &[u8]) -> impl Iterator<Item = Candidates> {
        candidates(&self.owners, found)
    }

    /// The program for such requests, recorded when the first one comes.
    fn program(&mut self, device: &D, request: Request) -> Result<usize, DeviceError> {
        if let Some(at) = self.programs.iter().position(|(own, _)| *own == request) {
            return Ok(at);
        }
        let Request { batch, rounds } = request;
        let input_len = batch * self.shape.len * size_of::<f32>();
        let round_len = batch * 2 * size_of::<FoundTemplate>();
        let mut program = Program::new(device, input_len, rounds * round_len)?;
        let embeddings = program.take(device, input_len)?;
        let found = program.take(device, rounds * round_len)?;
        program.push_input(device, embeddings);
        self.push(&mut program, device, request, [embeddings, found])?;
        program.push_output(device, found, 0);
        program.record(device)?;
        self.programs.push((request, program));
        Ok(self.programs.len() - 1)
    }
}

fn check_len(expected: usize, found: usize) -> Result<(), SearchError> {
    if found == expected { Ok(()) } else { Err(SearchError::Length { expected, found }) }
}

fn candidates(owners: &[(PersonId, u8)], found: &[u8]) -> impl Iterator<Item = Candidates> {
    let candidate = |bytes: &[u8]| {
        let found: FoundTemplate = bytemuck::pod_read_unaligned(bytes);
        let &(person, slot) = owners.get(found.place as usize)?;
        Some(Candidate { person, slot, score: Score(found.score) })
    };
    found.chunks_exact(2 * size_of::<FoundTemplate>()).map(move |two| {
        let (best, runner_up) = two.split_at(size_of::<FoundTemplate>());
        Candidates { best: candidate(best), runner_up: candidate(runner_up) }
    })
}

// A place that no owner has.
const _: () = assert!(NO_TEMPLATE == u32::MAX);
