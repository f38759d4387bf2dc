//! A frozen picture: frames whose bytes were there before.
//!
//! No sensor gives the same bytes twice: it has noise. A camera, a cable or a driver that repeats a picture shows somebody
//! who is not there any more, so a repeated frame is no evidence, and going on for a while it is a fault.
//! The last frames are remembered, not the last one only, since a stuck driver may go round its buffers.
//! Owns that judgement. Pure: digests and times come in.

/// Frames that are remembered: as many as a driver has buffers, and as many again.
const REMEMBERED: usize = 8;

/// A picture that repeats for so long is frozen. It is less than the rest between two decisions on somebody who stays in
/// view, so that a frozen picture is a fault before it could open the door a second time.
const FROZEN_MS: u64 = 1_500;

/// Frames in a row that must be new before a frozen picture counts as live again: a dark picture behind a coarse encoder
/// may change now and then, and must not write a fault into the log each time.
const LIVE: u32 = 5;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// New bytes of a camera that is live.
    Live,
    /// Bytes that were there before, or new ones right after a freeze; no evidence.
    Repeated,
    /// The picture is frozen.
    Frozen,
}

/// Whether the picture moves.
#[derive(Debug, Default)]
pub(super) struct Freeze {
    /// Digests of the last frames.
    last: heapless::HistoryBuf<[u8; 32], REMEMBERED>,
    /// Since when every frame was there before.
    since_ms: Option<u64>,
    frozen: bool,
    /// New frames in a row.
    fresh: u32,
}

impl Freeze {
    /// Judges a frame by its digest and the instant of its capture.
    pub(super) fn look(&mut self, digest: [u8; 32], at_ms: u64) -> Seen {
        let repeated = self.last.as_slice().contains(&digest);
        if repeated {
            self.fresh = 0;
            let since_ms = *self.since_ms.get_or_insert(at_ms);
            self.frozen |= at_ms.saturating_sub(since_ms) >= FROZEN_MS;
        } else {
            self.last.write(digest);
            self.fresh += 1;
            self.frozen &= self.fresh < LIVE;
            self.since_ms = None;
        }
        match (self.frozen, repeated) {
            (true, _) => Seen::Frozen,
            (false, true) => Seen::Repeated,
            (false, false) => Seen::Live,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Seen::{Frozen, Live, Repeated};

    /// Frames 100 ms apart, each named by a number; what each is.
    fn check(frames: &[u8], expected: &[Seen]) {
        let mut freeze = Freeze::default();
        let found: Vec<_> = frames
            .iter()
            .enumerate()
            .map(|(i, &name)| freeze.look([name; 32], i as u64 * 100))
            .collect();
        assert_eq!(found, expected, "{frames:?}");
    }

    #[test]
    fn new_bytes_are_live_and_old_ones_are_no_evidence() {
        check(&[1, 2, 3], &[Live; 3]);
        check(&[1, 1, 2, 2, 3], &[Live, Repeated, Live, Repeated, Live]);
    }

    #[test]
    fn a_picture_that_stays_is_frozen_before_anybody_is_asked_again() {
        let mut expected = vec![Live];
        expected.extend([Repeated; 15]);
        expected.extend([Frozen; 5]);
        check(&[1; 21], &expected);
    }

    #[test]
    fn a_driver_that_goes_round_its_buffers_is_frozen() {
        let frames: Vec<u8> = (0..24).map(|i| i % 4).collect();
        let mut expected = vec![Live; 4];
        expected.extend([Repeated; 15]);
        expected.extend([Frozen; 5]);
        check(&frames, &expected);
    }

    #[test]
    fn a_frozen_picture_is_live_after_several_new_frames_and_not_after_one() {
        let mut frames = vec![1; 17];
        let mut expected = vec![Live];
        expected.extend([Repeated; 15]);
        expected.push(Frozen);
        frames.extend([2, 2, 3, 4, 5, 6, 7, 8]);
        expected.extend([Frozen, Frozen, Frozen, Frozen, Frozen, Frozen, Live, Live]);
        check(&frames, &expected);
    }
}
