//! The engine on a device: one graph for each frame, no host round trip inside, and two frames under way at most.
//!
//! Owns the weights on the device and the places of frames. Refuses to fall back: a device that fails is
//! an error, and who asked decides what then.

use crate::device::{Device, DeviceError};
use crate::embed::Embedder;
use crate::fragments::Uploaded;
use crate::gallery::DeviceGallery;
use crate::launch::{Found, Status};
use crate::places::{PLACES, Pending, Place};
use crate::recognise::Asked;
use crate::room::Room;
use crate::self_test::{self, Expected};
use crate::stages::Stages;
use crate::weights::Packed;
use threshold_models::cascade::CascadeOptions;
use threshold_models::engine::{
    BBox, Compared, Detection, Embedding, Engine, EngineError, Recognition,
};
use threshold_models::frame::Frame;
use threshold_models::pack::{Pack, PackError};
use threshold_models::quality::Measures;
use threshold_models::raw::RawFrame;
use threshold_models::search::{Index, LOWEST, SearchError};
use threshold_models::tensor::TensorSource;
use threshold_record::{Metric, Template};

/// Most pixels of a side: the sum of a row stays below 2^21 then (`picture.cuh`), and products of a side and a level's, at most
/// twice as long, below 2^32.
const MOST_SIDE: usize = 8192;

/// Why an engine was not made, or gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A frame whose pixels the kernels cannot count.
    #[error(
        "a frame of {width} x {height} is too large for the kernels; at most {MOST_SIDE} pixels a side, and a larger smallest face"
    )]
    Frame {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A network that the kernels do not run.
    #[error(
        "{network} does not run on the kernels, because of {step}: {why}; embed with the CPU engine"
    )]
    Network {
        /// Its name.
        network: &'static str,
        /// The step that stands in the way.
        step: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A pack of another kind than asked for, or one that does not give what its golden vectors say.
    #[error(transparent)]
    Pack(Box<PackError>),
    /// A device on which a kernel between the networks or behind them does something else than the processor's code.
    #[error(
        "self-test over a drawn frame: {what}: other than the processor makes of it; this device does not run the kernels rightly: \
         use the CPU engine, and check the kernels there (`cargo xtask gpu pack`)"
    )]
    SelfTest {
        /// What differs.
        what: &'static str,
    },
    /// A detector with which nothing behind it can be compared with the processor's.
    #[error(
        "self-test over a drawn frame: this detector leaves no face of it, so that nothing behind the detector was compared: use the \
         CPU engine"
    )]
    NothingCompared,
    /// The weights, the options or the networks' answers.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Templates or probes that cannot be searched.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// No place for another frame.
    #[error("the frames that there is room for are under way; finish one of them first")]
    UnderWay,
    /// A frame that is not under way in this engine.
    #[error(
        "this frame is not under way: the gallery or the embedder changed since it began, or another engine has it; begin it again"
    )]
    NotUnderWay,
}

impl From<KernelError> for EngineError {
    fn from(fault: KernelError) -> Self {
        match fault {
            KernelError::Engine(fault) => fault,
            KernelError::Search(fault) => Self::Search(fault),
            fault => Self::Device { what: fault.to_string() },
        }
    }
}

/// How many proposals each stage of the last frame had, and how many of them were over its capacity: the best stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cells that P-Net passed.
    pub pnet: u32,
    /// Crops that R-Net was given.
    pub rnet: u32,
    /// Crops that O-Net was given.
    pub onet: u32,
    /// Proposals that did not fit, before the suppression, R-Net and O-Net.
    pub lost: [u32; 3],
}

impl From<Status> for Counts {
    fn from(status: Status) -> Self {
        Self {
            pnet: status.pnet_found,
            rnet: status.rnet_kept,
            onet: status.onet_kept,
            lost: [
                status.pnet_found - status.pnet_kept.min(status.pnet_found),
                status.rnet_found - status.rnet_kept.min(status.rnet_found),
                status.onet_found - status.onet_kept.min(status.onet_found),
            ],
        }
    }
}

/// Detection and embedding on a device.
pub struct CudaEngine<D: Device> {
    // Before what their graphs use, since fields are dropped in this order.
    places: [Place<D>; PLACES],
    /// The place that [`CudaEngine::input`] gave last.
    filled: usize,
    /// The place of the recognition that ended last and how many faces it found, if no frame was begun since.
    last: Option<(usize, usize)>,
    /// With the number of the index that it was made of.
    gallery: Option<(u64, DeviceGallery<D>)>,
    packed: Packed,
    weights: Uploaded<D>,
    /// What the cascade's networks answer in the self-test, or why the CPU engine gave no answer.
    expected: Result<Expected, EngineError>,
    embedder: Option<Embedder<D>>,
    options: CascadeOptions,
    counts: Counts,
    device: D,
}

impl<D: Device> CudaEngine<D> {
    /// An engine with a detector's weights.
    ///
    /// # Errors
    /// [`KernelError`] if an option is out of range, a tensor is missing, or the device has no room.
    pub fn new(
        device: D,
        detector: &dyn TensorSource,
        options: CascadeOptions,
    ) -> Result<Self, KernelError> {
        options.check()?;
        let (packed, weights) = Packed::of(detector)?.upload(&device)?;
        let (expected, counts) = (Expected::new(detector), Counts::default());
        let (places, filled, last, gallery, embedder) = Default::default();
        let detector = Self {
            places,
            filled,
            last,
            gallery,
            packed,
            weights,
            expected,
            embedder,
            options,
            counts,
            device,
        };
        Ok(detector)
    }

    /// The same with an embedder.
    ///
    /// # Errors
    /// [`KernelError`] if the pack is a detector's, or the device has no room.
    pub fn with_embedder(mut self, pack: &Pack) -> Result<Self, KernelError> {
        let embedder = Embedder::new(&self.device, pack)?;
        // A gallery is of one embedder's templates.
        self.forget_gallery();
        self.embedder = Some(embedder);
        Ok(self)
    }

    /// Reads the weights back from the device, runs each network of the cascade beside the CPU engine's answers and the
    /// embedder's golden vectors, and drawn frames through the graphs that the door uses: a unit arms only after that.
    ///
    /// # Errors
    /// [`DeviceError::Corrupt`] for other weights than were copied to the device; [`PackError::SelfTest`] with the largest
    /// difference; [`KernelError::SelfTest`] with what is not the processor's; [`KernelError::NothingCompared`]; what the device
    /// failed with.
    pub fn self_test(&mut self) -> Result<(), KernelError> {
        self.weights.verify(&self.device)?;
        let stages = Stages { device: &self.device, packed: &self.packed };
        match &self.expected {
            Ok(expected) => expected.check(&stages)?,
            Err(fault) => {
                let what = format!("self-test of the detector on the processor: {fault}");
                return Err(EngineError::Device { what }.into());
            }
        }
        if let Some(embedder) = &mut self.embedder {
            embedder.self_test(&self.device)?;
        }
        self_test::check_whole(&stages, self.embedder.as_mut())
    }

    /// Changes a byte of the detector's weights on the device: for the test that such a change is found.
    ///
    /// # Errors
    /// [`KernelError::Device`].
    pub fn flip_weight(&mut self, at: usize) -> Result<(), KernelError> {
        Ok(self.weights.flip(&self.device, at)?)
    }

    /// How many proposals the stages of the frame had that ended last.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Faces of a frame as the camera gave it, by box area descending, then score, then index.
    ///
    /// # Errors
    /// As [`CudaEngine::finish`].
    pub fn detect_raw(&mut self, frame: &RawFrame<'_>) -> Result<Vec<Detection>, KernelError> {
        let pending = self.begin(frame)?;
        Ok(self.finish(pending)?.faces)
    }

    /// Where the bytes of the next frame like this one go, of which only the geometry counts; empty for a frame without a level.
    /// The memory is pinned, and the device reads it: a camera's bytes that are written here are copied no further, and
    /// [`CudaEngine::begin_filled`] begins with them. What is not written keeps what it held. It is never that of a frame which is
    /// under way.
    ///
    /// # Errors
    /// [`KernelError`] if two frames are under way, the frame is too large or the device has no room.
    pub fn input(&mut self, like: &RawFrame<'_>) -> Result<&mut [u8], KernelError> {
        let mut free = None;
        for (at, place) in self.places.iter_mut().enumerate() {
            if place.is_free(&self.device)? {
                free = Some((at, place));
                break;
            }
        }
        // The first that is free, so that whoever has one frame at a time has one room.
        let (at, place) = free.ok_or(KernelError::UnderWay)?;
        self.filled = at;
        place.fit(&self.device, like, &self.options, &self.packed)?;
        Ok(place.room().map_or(&mut [], Room::input))
    }

    /// Faces of the frame whose bytes [`CudaEngine::input`] was given, as [`CudaEngine::detect_raw`] finds them.
    ///
    /// # Errors
    /// As [`CudaEngine::finish`].
    pub fn detect_filled(&mut self) -> Result<Vec<Detection>, KernelError> {
        let pending = self.begin_filled()?;
        Ok(self.finish(pending)?.faces)
    }

    /// Begins to look for the faces of a frame, and returns while the device works: the next frame may be begun before
    /// [`CudaEngine::finish`] is asked for this one. Two are under way at most.
    ///
    /// # Errors
    /// [`KernelError`] if two frames are under way, the frame is too large, or the device failed.
    pub fn begin(&mut self, frame: &RawFrame<'_>) -> Result<Pending, KernelError> {
        self.fill(frame)?;
        self.begin_filled()
    }

    /// The same of the frame whose bytes [`CudaEngine::input`] was given.
    ///
    /// # Errors
    /// As [`CudaEngine::begin`].
    pub fn begin_filled(&mut self) -> Result<Pending, KernelError> {
        self.last = None;
        self.places[self.filled].begin(&self.device, None)
    }

    /// Begins to recognise the `most` largest faces of a frame, as [`CudaEngine::recognise_raw`] does.
    ///
    /// # Errors
    /// As [`CudaEngine::begin`]; [`EngineError::NoEmbedder`] without an embedder.
    pub fn begin_recognition(
        &mut self,
        frame: &RawFrame<'_>,
        most: usize,
    ) -> Result<Pending, KernelError> {
        self.fill(frame)?;
        self.begin_recognition_filled(most)
    }

    /// The same of the frame whose bytes [`CudaEngine::input`] was given.
    ///
    /// # Errors
    /// As [`CudaEngine::begin_recognition`].
    pub fn begin_recognition_filled(&mut self, most: usize) -> Result<Pending, KernelError> {
        self.last = None;
        let embedder = self.embedder.as_ref().ok_or(EngineError::NoEmbedder)?;
        let gallery = self.gallery.as_ref().map(|(_, gallery)| gallery);
        let asked = Asked { embedder, gallery, most };
        self.places[self.filled].begin(&self.device, Some(asked))
    }

    /// Waits for a frame that is under way: its faces, and what was compared if that was asked for.
    ///
    /// # Errors
    /// [`KernelError`] if the device failed, a network gave a value that is not finite or a measure is no number;
    /// [`KernelError::NotUnderWay`] if gallery or embedder changed since the frame's recognition began, or if another engine began it.
    pub fn finish(&mut self, pending: Pending) -> Result<Recognition, KernelError> {
        (self.counts, self.last) = (Counts::default(), None);
        let at = self.places.iter().position(|place| place.has(&pending));
        let at = at.ok_or(KernelError::NotUnderWay)?;
        let gallery = self.gallery.as_ref().map(|(_, gallery)| gallery);
        let compared = self.places[at].finish(&self.device, gallery)?;
        let faces = self.detections(at)?;
        self.last = compared.is_some().then_some((at, faces.len()));
        let mut compared = compared.unwrap_or_default();
        compared.truncate(faces.len());
        self.check_numbers(&compared).inspect_err(|_| self.last = None)?;
        Ok(Recognition { faces, compared })
    }

    /// Refuses measures that are no numbers, and embeddings of the recognition that ended last.
    ///
    /// The search takes an embedding that is not finite as it takes zeros: it has the lowest score with every template. So only where
    /// a score is that low are the embeddings read, which takes time, and asked; zeros pass. Without a template nobody is
    /// compared, and nothing is read.
    fn check_numbers(&self, compared: &[Compared]) -> Result<(), KernelError> {
        if !compared.iter().all(|one| are_numbers(&one.measures)) {
            return Err(EngineError::NotFinite { network: "the measuring of a face" }.into());
        }
        let is_low = |one: &Compared| {
            one.candidates.best.is_some_and(|best| best.score.0.is_nan() || best.score <= LOWEST)
        };
        if compared.iter().any(is_low) {
            self.last_embeddings(compared.len())?;
        }
        Ok(())
    }

    /// What the room of a place found in its last frame.
    fn detections(&mut self, place: usize) -> Result<Vec<Detection>, KernelError> {
        let Some(room) = self.places[place].room() else { return Ok(Vec::new()) };
        let (status, found) = room.result();
        self.counts = status.into();
        let networks = ["P-Net", "R-Net", "O-Net"].into_iter().enumerate();
        if let Some((_, network)) = networks.into_iter().find(|(i, _)| status.faults >> i & 1 == 1)
        {
            return Err(EngineError::NotFinite { network }.into());
        }
        Ok(found.map(detection).collect())
    }

    /// One embedding for each face of a frame as the camera gave it, in that order.
    ///
    /// # Errors
    /// [`EngineError::NoEmbedder`] without an embedder; [`KernelError`] if the device failed or an embedding is not finite.
    pub fn embed_raw(
        &mut self,
        frame: &RawFrame<'_>,
        faces: &[Detection],
    ) -> Result<Vec<Embedding>, KernelError> {
        let embedder = self.embedder.as_mut().ok_or(EngineError::NoEmbedder)?;
        embedder.embed(&self.device, frame, faces)
    }

    /// Keeps the templates of a gallery on the device, for [`CudaEngine::recognise_raw`], instead of those from before.
    ///
    /// # Errors
    /// [`EngineError::NoEmbedder`] without an embedder; [`SearchError`] if the templates differ in length or model, or are not
    /// as long as the embedder's; [`DeviceError`] if the device has no room. Nobody is recognised then.
    pub fn set_gallery(
        &mut self,
        metric: Metric,
        templates: &[Template],
    ) -> Result<(), KernelError> {
        self.forget_gallery();
        self.keep(&Index::new(metric, templates)?)
    }

    /// Keeps the templates of an index instead of those from before; nothing happens if these are the same.
    fn keep(&mut self, index: &Index) -> Result<(), KernelError> {
        if self.gallery.as_ref().is_some_and(|(number, _)| *number == index.number()) {
            return Ok(());
        }
        // Dropped first: what is no longer the gallery is in no memory, whatever comes next.
        self.forget_gallery();
        let embedder = self.embedder.as_ref().ok_or(EngineError::NoEmbedder)?;
        if let Some(found) = index.model().filter(|&model| model != embedder.model()) {
            return Err(SearchError::Model { expected: embedder.model(), found }.into());
        }
        let (expected, found) = (embedder.output_bytes() / size_of::<f32>(), index.embedding_len());
        if !index.is_empty() && expected != found {
            return Err(SearchError::Length { expected, found }.into());
        }
        self.gallery = Some((index.number(), DeviceGallery::of(&self.device, index)?));
        Ok(())
    }

    fn forget_gallery(&mut self) {
        self.places.iter_mut().for_each(Place::forget_chains);
        (self.gallery, self.last) = (None, None);
    }

    /// All faces of a frame, with measures and candidates of the `most` largest, 32 at most: detection, quality, crops,
    /// embeddings and search on the device, the frame read once and one graph launched.
    ///
    /// # Errors
    /// As [`CudaEngine::begin_recognition`] and [`CudaEngine::finish`].
    pub fn recognise_raw(
        &mut self,
        frame: &RawFrame<'_>,
        most: usize,
    ) -> Result<Recognition, KernelError> {
        let pending = self.begin_recognition(frame, most)?;
        self.finish(pending)
    }

    /// The same of the frame whose bytes [`CudaEngine::input`] was given.
    ///
    /// # Errors
    /// As [`CudaEngine::recognise_raw`].
    pub fn recognise_filled(&mut self, most: usize) -> Result<Recognition, KernelError> {
        let pending = self.begin_recognition_filled(most)?;
        self.finish(pending)
    }

    /// The embeddings of the first `n` faces of the recognition that ended last, at most as many as it found, read from the device;
    /// none once another frame was begun.
    ///
    /// # Errors
    /// [`EngineError::NoEmbedder`] without an embedder; [`KernelError`] if the device failed or an embedding is not finite.
    pub fn last_embeddings(&self, n: usize) -> Result<Vec<Embedding>, KernelError> {
        let embedder = self.embedder.as_ref().ok_or(EngineError::NoEmbedder)?;
        let Some((at, faces)) = self.last else { return Ok(Vec::new()) };
        self.places[at].chains().embeddings(&self.device, embedder, n.min(faces))
    }

    /// Each step of a frame with its time in microseconds, by the device's clock; empty for a frame without a level.
    ///
    /// # Errors
    /// As [`CudaEngine::detect_raw`].
    pub fn time_us(
        &mut self,
        frame: &RawFrame<'_>,
    ) -> Result<Vec<(&'static str, f32)>, KernelError> {
        self.fill(frame)?;
        match self.places[self.filled].room() {
            Some(room) => Ok(room.time_us(&self.device)?),
            None => Ok(Vec::new()),
        }
    }

    fn fill(&mut self, frame: &RawFrame<'_>) -> Result<(), KernelError> {
        let input = self.input(frame)?;
        if !input.is_empty() {
            input.copy_from_slice(frame.bytes());
        }
        Ok(())
    }
}

/// A detection as the kernels wrote it.
pub(crate) fn detection(found: Found) -> Detection {
    let [x1, y1, x2, y2] = found.bbox;
    Detection { bbox: BBox { x1, y1, x2, y2 }, landmarks: found.landmarks, score: found.score }
}

/// True if what was summed over pixels are numbers, as they are of every face. Angles, and the part of a box that the frame has, may
/// be none where landmarks coincide or a box has no area: on the processor too, and no such face is good enough.
fn are_numbers(measures: &Measures) -> bool {
    let m = measures;
    let sums = [m.brightness, m.dark, m.bright, m.sharpness, m.texture, m.band];
    sums.iter().all(|sum| !sum.is_nan())
}

/// Refuses a frame whose pixels and bytes the kernels cannot count.
pub(crate) fn check_size(frame: &RawFrame<'_>) -> Result<(), KernelError> {
    let (width, height) = (frame.width(), frame.height());
    if width.max(height) <= MOST_SIDE && u32::try_from(frame.bytes().len()).is_ok() {
        return Ok(());
    }
    Err(KernelError::Frame { width, height })
}

impl<D: Device + Send> Engine for CudaEngine<D>
where
    D::Buffer: Send,
    D::Staging: Send,
    D::Graph: Send,
{
    fn detect(&mut self, frame: &Frame) -> Result<Vec<Detection>, EngineError> {
        Ok(self.detect_raw(&RawFrame::of(frame))?)
    }

    fn overflow(&self) -> usize {
        self.counts.lost.iter().map(|&lost| lost as usize).sum()
    }

    fn embed(&mut self, frame: &Frame, faces: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
        Ok(self.embed_raw(&RawFrame::of(frame), faces)?)
    }

    fn recognise(
        &mut self,
        frame: &Frame,
        gallery: &Index,
        most: usize,
    ) -> Result<Recognition, EngineError> {
        self.keep(gallery)?;
        Ok(self.recognise_raw(&RawFrame::of(frame), most)?)
    }

    fn recognises_at_once(&self) -> bool {
        true
    }

    fn hold(&mut self, gallery: Option<&Index>) -> Result<(), EngineError> {
        match gallery {
            Some(gallery) => Ok(self.keep(gallery)?),
            None => {
                self.forget_gallery();
                Ok(())
            }
        }
    }
}

#[cfg(all(test, feature = "emulator"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::device::emulator::Emulator;
    use threshold_models::search::Candidates;
    use threshold_models::{net, synthetic};

    #[test]
    fn a_sum_over_a_faces_pixels_that_is_no_number_is_an_error_and_an_angle_is_not() {
        let weights = synthetic::weights(&[net::pnet(12, 12), net::rnet(), net::onet()]);
        let device = Emulator::new(1).unwrap();
        let engine = CudaEngine::new(device, &weights, CascadeOptions::default()).unwrap();
        let checked = |measures| {
            let fine =
                Compared { measures: Measures::default(), candidates: Candidates::default() };
            engine.check_numbers(&[fine, Compared { measures, ..fine }])
        };
        let none = f32::NAN;
        let rest = Measures::default();
        for measures in [
            rest,
            Measures { yaw_deg: none, pitch_deg: none, roll_deg: none, ..rest },
            Measures { visible: none, ..rest },
        ] {
            assert!(checked(measures).is_ok(), "{measures:?}");
        }
        for measures in [
            Measures { brightness: none, ..rest },
            Measures { dark: none, ..rest },
            Measures { bright: none, ..rest },
            Measures { sharpness: none, ..rest },
            Measures { texture: none, ..rest },
            Measures { band: none, ..rest },
        ] {
            let fault = checked(measures).unwrap_err();
            let named = matches!(fault, KernelError::Engine(EngineError::NotFinite { .. }));
            assert!(named, "{measures:?}: {fault}");
        }
    }
}
