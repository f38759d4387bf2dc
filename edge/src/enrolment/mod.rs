//! An enrolment at the door: somebody looks into the unit's own camera while an enroller asks, over the line, how it goes.
//!
//! Owns what is known of one: for whom and by whom it is, what the frames showed, what was gathered, and when it is over. Pure: frames'
//! measures, embeddings and time come in. Refuses to be a visit: it decides nothing, moves nothing and counts no attempt. Refuses to
//! hold a picture; what it gathered goes with its end, kept or not.
//! It ends by itself when nobody asks for it any more, so that a cut line leaves a door that works.

pub(crate) mod shots;

use crate::unit::track;
use shots::{OF_EACH, Offered, Shot, Shots, pose_of};
use threshold_models::engine::{Detection, Embedding};
use threshold_models::frame::Frame;
use threshold_models::quality::{
    Quality, QualityLimits, assess, assess_without_face, grade, measure,
};
use threshold_models::search::Candidate;
use threshold_record::{Cause, EnrolmentEnd, HeadPose, KeyId, KeyTag, Name, PersonId};
use threshold_wire::enrolment::{EnrolmentStage, EnrolmentStatus};
use threshold_wire::message::Resembled;

/// An enrolment that nobody asks for ends after so long: some polls of a slow line.
pub(crate) const SILENCE_MS: u64 = 5_000;

/// The longest that one takes, polled or not: nobody else comes in meanwhile.
pub(crate) const LONGEST_MS: u64 = 90_000;

/// Time between two shots: frames of one instant tell the same.
const EVERY_MS: u64 = 200;

/// A face that was not seen for so long is another's when it comes again.
const ABSENCE_MS: u64 = 1_000;

/// What one frame showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    /// When it was captured.
    pub(crate) at_ms: u64,
    /// The face, if there was exactly one.
    pub(crate) face: Option<Detection>,
    pub(crate) quality: Quality,
    /// Turn of the head in degrees, positive to the picture's right; 0 without a face.
    pub(crate) yaw_deg: f32,
}

impl Seen {
    /// What a frame shows. What the door would refuse has the door's cause; beside that any second face is one too many here, however
    /// small, so that nobody stands behind somebody's templates; and where no face is found the light is told, if that is why.
    pub(crate) fn of(frame: &Frame, faces: &[Detection], limits: &QualityLimits) -> Self {
        let at_ms = frame.captured_at_ms;
        if let [face] = faces {
            let measures = measure(frame, face);
            let quality = grade(&measures, limits);
            return Self { at_ms, face: Some(*face), quality, yaw_deg: measures.yaw_deg };
        }
        let quality = match assess(frame, faces, limits) {
            _ if faces.is_empty() => assess_without_face(frame, limits),
            poor if !poor.is_good() => poor,
            _ => Quality { percent: 0, cause: Cause::MoreThanOne },
        };
        Self { at_ms, face: None, quality, yaw_deg: 0.0 }
    }
}

/// Who began it: by the key, or over a line that is obeyed without a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct By {
    pub(crate) key: Option<KeyId>,
}

impl By {
    pub(crate) fn tag(self) -> KeyTag {
        self.key.map_or(KeyTag::NOBODY, KeyId::tag)
    }
}

/// For whom it is.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: Name,
    /// Who has the name already.
    pub(crate) person: Option<PersonId>,
    /// Templates to keep, at most.
    pub(crate) templates: u8,
    /// Although the face resembles somebody else's.
    pub(crate) force: bool,
}

/// An enrolment, under way or over.
#[derive(Debug)]
pub(crate) struct Enrolment {
    number: u32,
    by: By,
    wanted: Wanted,
    begun_ms: u64,
    polled_ms: u64,
    shots: Shots,
    /// The face that was seen last, and when.
    face: Option<(Detection, u64)>,
    shot_ms: Option<u64>,
    cause: Cause,
    quality: u8,
    yaw_deg: f32,
    frames: u32,
    discarded: u16,
    resembled: Option<Candidate>,
    ended: Option<EnrolmentEnd>,
}

impl Enrolment {
    /// One that begins now.
    pub(crate) fn begin(number: u32, by: By, wanted: Wanted, shots: Shots, now_ms: u64) -> Self {
        Self {
            number,
            by,
            wanted,
            begun_ms: now_ms,
            polled_ms: now_ms,
            shots,
            face: None,
            shot_ms: None,
            cause: Cause::NoFace,
            quality: 0,
            yaw_deg: 0.0,
            frames: 0,
            discarded: 0,
            resembled: None,
            ended: None,
        }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn by(&self) -> By {
        self.by
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    pub(crate) fn shots(&self) -> &Shots {
        &self.shots
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.ended.is_none()
    }

    /// True once there are enough shots of every pose.
    pub(crate) fn is_enough(&self) -> bool {
        self.is_under_way() && self.shots.asked().is_none()
    }

    /// Somebody asks for it.
    pub(crate) fn polled(&mut self, now_ms: u64) {
        self.polled_ms = now_ms;
    }

    /// How time ends it now, and what for; `None` while it goes on.
    pub(crate) fn over(&self, now_ms: u64) -> Option<(EnrolmentEnd, Cause)> {
        if !self.is_under_way() {
            return None;
        }
        if now_ms.saturating_sub(self.polled_ms) >= SILENCE_MS {
            return Some((EnrolmentEnd::LineGone, Cause::None));
        }
        let long = now_ms.saturating_sub(self.begun_ms) >= LONGEST_MS;
        long.then_some((EnrolmentEnd::TimedOut, self.cause))
    }

    /// Ends it, and forgets what was gathered.
    pub(crate) fn end(&mut self, end: EnrolmentEnd, cause: Cause) {
        self.shots.clear();
        (self.face, self.cause, self.ended) = (None, cause, Some(end));
    }

    /// Takes in what a frame shows; the pose if its embedding is wanted. A face that is gone, or not where it was, gives up what was
    /// gathered before.
    pub(crate) fn sees(&mut self, seen: &Seen) -> Option<HeadPose> {
        if !self.is_under_way() {
            return None;
        }
        self.frames = self.frames.saturating_add(1);
        (self.cause, self.quality) = (seen.quality.cause, seen.quality.percent);
        self.yaw_deg = seen.yaw_deg;
        let before = self.face;
        match (&seen.face, before) {
            (Some(face), Some((earlier, earlier_ms))) => {
                let gone = seen.at_ms.saturating_sub(earlier_ms) >= ABSENCE_MS;
                self.face = Some((*face, seen.at_ms));
                if gone || !track::is_same_face(&earlier, face) {
                    self.discard();
                    return None;
                }
            }
            (Some(face), None) => self.face = Some((*face, seen.at_ms)),
            (None, Some((_, earlier_ms))) => {
                if seen.at_ms.saturating_sub(earlier_ms) >= ABSENCE_MS {
                    self.face = None;
                    self.give_up();
                }
            }
            (None, None) => {}
        }
        seen.face?;
        let pose = pose_of(seen.yaw_deg).filter(|_| seen.quality.is_good())?;
        let soon =
            self.shot_ms.is_some_and(|shot_ms| seen.at_ms.saturating_sub(shot_ms) < EVERY_MS);
        (!soon && self.shots.needs(pose, seen.quality.percent)).then_some(pose)
    }

    /// Takes the embedding of a frame that was wanted; true if it was taken.
    pub(crate) fn takes(&mut self, seen: &Seen, pose: HeadPose, embedding: Embedding) -> bool {
        if !self.is_under_way() {
            return false;
        }
        self.shot_ms = Some(seen.at_ms);
        let shot = Shot { embedding, quality: seen.quality.percent, pose };
        match self.shots.offer(shot) {
            Offered::Taken => true,
            Offered::NotNeeded => false,
            Offered::AnotherPerson => {
                self.discard();
                false
            }
        }
    }

    /// The face resembles somebody else's who is enrolled.
    pub(crate) fn resembles(&mut self, other: Candidate) {
        self.resembled = Some(other);
    }

    /// Another face came.
    fn discard(&mut self) {
        self.cause = Cause::AnotherPerson;
        self.give_up();
    }

    fn give_up(&mut self) {
        if !self.shots.is_empty() {
            self.shots.clear();
            self.discarded = self.discarded.saturating_add(1);
        }
    }

    /// How it goes; whom the face resembles is for an owner.
    pub(crate) fn status(&self, now_ms: u64, for_owner: bool) -> EnrolmentStatus {
        let stage = match self.ended {
            Some(end) => EnrolmentStage::Ended(end),
            None if self.is_enough() => EnrolmentStage::Enough,
            None => EnrolmentStage::Gathering,
        };
        let left_ms = LONGEST_MS.saturating_sub(now_ms.saturating_sub(self.begun_ms));
        let resembled = self.resembled.filter(|_| for_owner);
        EnrolmentStatus {
            stage,
            pose: self.shots.asked().unwrap_or(HeadPose::Right),
            cause: self.cause,
            quality: self.quality,
            yaw_deg: self.yaw_deg as i8,
            taken: self.shots.taken(),
            of_each: OF_EACH as u8,
            frames: self.frames,
            discarded: self.discarded,
            left_ms: left_ms as u32,
            resembled: resembled.map(|it| Resembled { person: it.person, score: it.score }),
        }
    }
}
