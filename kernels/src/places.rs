//! The places in which frames lie while the device looks at them: two, so that one frame is written while another is under way.
//!
//! Owns what belongs to a place: the room of its frames' geometry, the chains behind that room, and whether a frame is under
//! way in it. Refuses to give a place to anybody while one is. Rooms and chains of two places share weights and the gallery, which
//! no step writes, and nothing else, so that the device may work on both at a time.

use crate::device::Device;
use crate::engine::{KernelError, check_size};
use crate::gallery::DeviceGallery;
use crate::launch::Levels;
use crate::recognise::{Asked, Chains};
use crate::room::{Geometry, Room};
use crate::weights::Packed;
use std::sync::Arc;
use threshold_models::cascade::CascadeOptions;
use threshold_models::engine::Compared;
use threshold_models::raw::RawFrame;

/// Places of an engine.
pub(crate) const PLACES: usize = 2;

/// A frame that is under way, for [`CudaEngine::finish`](crate::CudaEngine::finish). Whoever drops it gives the frame up: its place is
/// free again once the device is done with it.
#[derive(Debug)]
#[must_use = "a frame that nobody finishes was looked at in vain"]
pub struct Pending(Arc<()>);

/// What is under way in a place.
struct Flight {
    /// Shared with the frame's [`Pending`], as long as that is there.
    ticket: Arc<()>,
    /// Most faces that are recognised; `None` for detection alone.
    most: Option<usize>,
}

/// A place.
pub(crate) struct Place<D: Device> {
    // Before the room, which their graphs use, since fields are dropped in this order.
    chains: Chains<D>,
    room: Option<Room<D>>,
    flight: Option<Flight>,
}

impl<D: Device> Default for Place<D> {
    fn default() -> Self {
        Self { chains: Chains::default(), room: None, flight: None }
    }
}

impl<D: Device> Place<D> {
    /// Whether a frame may be written here. One that was given up is waited for.
    pub(crate) fn is_free(&mut self, device: &D) -> Result<bool, KernelError> {
        match &self.flight {
            Some(flight) if Arc::strong_count(&flight.ticket) > 1 => Ok(false),
            Some(_) => self.finish(device, None).map(|_| true),
            None => Ok(true),
        }
    }

    /// Whether this frame is under way here.
    pub(crate) fn has(&self, Pending(ticket): &Pending) -> bool {
        self.flight.as_ref().is_some_and(|flight| Arc::ptr_eq(&flight.ticket, ticket))
    }

    /// Makes room for frames like this one, if there is none yet. The place must be free.
    pub(crate) fn fit(
        &mut self,
        device: &D,
        frame: &RawFrame<'_>,
        options: &CascadeOptions,
        packed: &Packed,
    ) -> Result<(), KernelError> {
        if self.room.as_ref().is_none_or(|room| room.geometry != Geometry::of(frame)) {
            let (width, height) = (frame.width(), frame.height());
            check_size(frame)?;
            let levels = Levels::new(width, height, options.min_face_px, options.factor);
            if !levels.are_countable() {
                return Err(KernelError::Frame { width, height });
            }
            // Dropped first: both at once would need twice the memory.
            self.chains = Chains::default();
            self.room = None;
            if !levels.is_empty() {
                let room = Room::new(device, frame, &levels, options.thresholds, packed)?;
                self.room = Some(room);
            }
        }
        Ok(())
    }

    /// Its room; none for frames without a level, before the first frame, and while one is under way.
    pub(crate) fn room(&mut self) -> Option<&mut Room<D>> {
        self.room.as_mut().filter(|_| self.flight.is_none())
    }

    /// Begins over the room's input: detection alone, or the largest faces' recognition too.
    pub(crate) fn begin(
        &mut self,
        device: &D,
        asked: Option<Asked<'_, D>>,
    ) -> Result<Pending, KernelError> {
        if !self.is_free(device)? {
            return Err(KernelError::UnderWay);
        }
        let most = asked.as_ref().map(|asked| asked.most);
        if let Some(room) = &mut self.room {
            match asked {
                Some(asked) => self.chains.begin(device, room, asked)?,
                None => room.begin(device)?,
            }
        }
        let ticket = Arc::default();
        self.flight = Some(Flight { ticket: Arc::clone(&ticket), most });
        Ok(Pending(ticket))
    }

    /// Waits for the frame that is under way: what was compared of its faces, if they were recognised. The faces are the room's to
    /// tell then. The gallery is that of the beginning.
    pub(crate) fn finish(
        &mut self,
        device: &D,
        gallery: Option<&DeviceGallery<D>>,
    ) -> Result<Option<Vec<Compared>>, KernelError> {
        let flight = self.flight.take();
        let (Some(Flight { most, .. }), Some(room)) = (flight, &mut self.room) else {
            return Ok(None);
        };
        let Some(most) = most else {
            room.finish(device)?;
            return Ok(None);
        };
        let mut compared = self.chains.finish(device, gallery)?;
        compared.truncate(most);
        Ok(Some(compared))
    }

    /// The chains of the last recognition, for its embeddings.
    pub(crate) fn chains(&self) -> &Chains<D> {
        &self.chains
    }

    /// Embedder or gallery change: what is recorded with them goes, and a recognition that is under way is given up.
    pub(crate) fn forget_chains(&mut self) {
        self.chains = Chains::default();
        self.flight = self.flight.take().filter(|flight| flight.most.is_none());
    }
}

#[cfg(all(test, feature = "emulator"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::CudaEngine;
    use crate::device::emulator::Emulator;
    use crate::device::failing::Failing;
    use crate::self_test::whole::tests::drawn_embedder;
    use threshold_models::engine::EngineError;
    use threshold_models::raw::{Colour, PixelFormat};
    use threshold_models::{net, synthetic};

    #[test]
    fn a_device_that_is_lost_fails_what_is_under_way_and_leaves_both_places_free() {
        let weights = synthetic::weights(&[net::pnet(12, 12), net::rnet(), net::onet()]);
        let options = CascadeOptions { thresholds: [0.1, 0.01, 0.01], ..CascadeOptions::default() };
        let bytes = [1, 7].map(|by| (0..60 * 50).map(|i| (i * by % 251) as u8).collect::<Vec<_>>());
        let frames = bytes.each_ref().map(|bytes| {
            RawFrame::new(PixelFormat::Grey, [60, 50], 60, Colour::default(), bytes).unwrap()
        });
        // The one runs late and the other early.
        for seed in [1, 2] {
            let failing = Failing::new(Emulator::new(seed).unwrap());
            let mut engine = CudaEngine::new(&failing, &weights, options).unwrap();
            let expected = frames.map(|frame| engine.detect_raw(&frame).unwrap());
            let counts = engine.counts();
            let is_lost = |fault: KernelError| matches!(fault, KernelError::Device(_));
            // In the midst of two.
            let [first, second] = frames.map(|frame| engine.begin(&frame).unwrap());
            failing.is_lost.set(true);
            assert!(engine.finish(first).is_err_and(is_lost));
            assert!(engine.finish(second).is_err_and(is_lost));
            // Before the second, and with nothing under way.
            failing.is_lost.set(false);
            let first = engine.begin(&frames[0]).unwrap();
            failing.is_lost.set(true);
            assert!(engine.begin(&frames[1]).is_err_and(is_lost));
            assert!(engine.self_test().is_err_and(is_lost));
            failing.is_lost.set(false);
            assert_eq!(engine.finish(first).unwrap().faces, expected[0], "seed {seed}");
            failing.is_lost.set(true);
            assert!(engine.detect_raw(&frames[0]).is_err_and(is_lost));
            // One that came back is none the worse for it, and neither is the engine.
            failing.is_lost.set(false);
            let [first, second] = frames.map(|frame| engine.begin(&frame).unwrap());
            assert_eq!(engine.finish(first).unwrap().faces, expected[0], "seed {seed}");
            assert_eq!(engine.finish(second).unwrap().faces, expected[1], "seed {seed}");
            assert_eq!(engine.counts(), counts, "seed {seed}");
        }
    }

    #[test]
    fn a_device_that_is_lost_in_recognition_is_an_error_of_the_device_and_nobodys_candidate() {
        let weights = synthetic::weights(&[net::pnet(12, 12), net::rnet(), net::onet()]);
        let options = CascadeOptions { thresholds: [0.1, 0.01, 0.01], ..CascadeOptions::default() };
        let bytes: Vec<u8> = (0..60 * 50).map(|i| (i % 251) as u8).collect();
        let frame =
            RawFrame::new(PixelFormat::Grey, [60, 50], 60, Colour::default(), &bytes).unwrap();
        let failing = Failing::new(Emulator::new(5).unwrap());
        let engine = CudaEngine::new(&failing, &weights, options).unwrap();
        let mut engine = engine.with_embedder(&drawn_embedder()).unwrap();
        let is_lost = |fault: EngineError| matches!(fault, EngineError::Device { .. });
        let expected = engine.recognise_raw(&frame, 1).unwrap();
        assert!(!expected.faces.is_empty() && expected.compared.len() == 1);
        let pending = engine.begin_recognition(&frame, 1).unwrap();
        failing.is_lost.set(true);
        assert!(engine.finish(pending).map_err(EngineError::from).is_err_and(is_lost));
        assert!(engine.recognise_raw(&frame, 1).map_err(EngineError::from).is_err_and(is_lost));
        assert!(engine.last_embeddings(1).unwrap().is_empty(), "of a frame that nothing came of");
        failing.is_lost.set(false);
        let again = engine.recognise_raw(&frame, 1).unwrap();
        assert_eq!(again.faces, expected.faces);
        assert_eq!(again.compared[0].measures, expected.compared[0].measures);
    }
}
