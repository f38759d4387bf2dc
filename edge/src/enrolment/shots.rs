//! What an enrolment at the door gathers: embeddings of one face in several poses, and which of them are worth a template.
//!
//! Owns the rule that no two people are mixed: whatever is taken is, by the model's threshold, the same person as everything that was
//! taken before. Refuses to keep a picture: a shot is an embedding.
//! Terms: a *shot* is one good frame that was taken.

use threshold_models::engine::Embedding;
use threshold_models::search::{Mean, distance, most_redundant};
use threshold_record::{HeadPose, Metric, Score, Threshold};

/// Shots of each pose: of three, one blink or one blur is two too few, and three poses fill the slots of one person.
pub(crate) const OF_EACH: usize = 3;

/// A head that is turned by no more than this looks straight on: the estimate is good to 10 degrees or so.
const FRONTAL_DEG: f32 = 10.0;

/// A head that is turned by this much shows another side; what lies between is neither, so that no pose flickers.
const TURNED_DEG: f32 = 13.0;

/// The pose of a head that is turned so, positive to the picture's right; `None` between two.
pub(crate) fn pose_of(yaw_deg: f32) -> Option<HeadPose> {
    if yaw_deg.abs() <= FRONTAL_DEG {
        Some(HeadPose::Frontal)
    } else if yaw_deg >= TURNED_DEG {
        // The person faces the camera: the picture's right is the own left.
        Some(HeadPose::Left)
    } else if yaw_deg <= -TURNED_DEG {
        Some(HeadPose::Right)
    } else {
        // What is no number too.
        None
    }
}

/// One good frame that was taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shot {
    pub(crate) embedding: Embedding,
    /// Percent.
    pub(crate) quality: u8,
    pub(crate) pose: HeadPose,
}

/// What became of a shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It was taken.
    Taken,
    /// There are as good ones of its pose.
    NotNeeded,
    /// It is of another person than what was taken before.
    AnotherPerson,
}

/// What was gathered. Holding some proves that every two of them are one person by the model's threshold.
#[derive(Debug)]
pub(crate) struct Shots {
    metric: Metric,
    threshold: Threshold,
    held: Vec<Shot>,
}

impl Shots {
    /// Nothing, to be compared by this threshold.
    pub(crate) fn new(metric: Metric, threshold: Threshold) -> Self {
        Self { metric, threshold, held: Vec::new() }
    }

    /// The threshold that shots are compared by.
    pub(crate) fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// How many there are of each pose, in the order of [`HeadPose`].
    pub(crate) fn taken(&self) -> [u8; HeadPose::ALL.len()] {
        let mut taken = [0; HeadPose::ALL.len()];
        for (count, &pose) in taken.iter_mut().zip(HeadPose::ALL) {
            *count = self.of(pose).count() as u8;
        }
        taken
    }

    /// The first pose of which there are not enough.
    pub(crate) fn asked(&self) -> Option<HeadPose> {
        HeadPose::ALL.iter().copied().find(|&pose| self.of(pose).count() < OF_EACH)
    }

    /// True if a shot of this pose and quality would be taken: the first pose comes first, since everything else is held against it, and
    /// of a pose of which there are enough a better one takes the place of the worst.
    pub(crate) fn needs(&self, pose: HeadPose, quality: u8) -> bool {
        if pose != HeadPose::Frontal && self.asked() == Some(HeadPose::Frontal) {
            return false;
        }
        let worst = self.of(pose).map(|shot| shot.quality).min().unwrap_or(0);
        self.of(pose).count() < OF_EACH || quality > worst
    }

    /// Takes a shot, if it is needed and of the same person as every other one.
    pub(crate) fn offer(&mut self, shot: Shot) -> Offered {
        let accepts = |held: &Shot| self.threshold.accepts(self.score(held, &shot));
        if !self.held.iter().all(accepts) {
            return Offered::AnotherPerson;
        }
        if !self.needs(shot.pose, shot.quality) {
            return Offered::NotNeeded;
        }
        if self.of(shot.pose).count() >= OF_EACH {
            let of_pose = self.held.iter().enumerate().filter(|(_, held)| held.pose == shot.pose);
            if let Some((worst, _)) = of_pose.min_by_key(|(_, held)| held.quality) {
                self.held.remove(worst);
            }
        }
        self.held.push(shot);
        Offered::Taken
    }

    /// The mean of what was gathered; `None` as long as nothing was.
    pub(crate) fn mean(&self) -> Option<Mean> {
        Mean::of(self.held.iter().map(|shot| &shot.embedding))
    }

    /// Gives everything up.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    /// True if nothing was.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The most telling of them: as long as there are more than so many, of the two most alike the worse one goes. The last of a pose
    /// stays as long as there is another pose with two.
    pub(crate) fn most_telling(&self, most: usize) -> Vec<Shot> {
        let mut left: Vec<Shot> = self.held.clone();
        while left.len() > most {
            let several = |shot: &Shot| left.iter().filter(|it| it.pose == shot.pose).count() > 1;
            let none_has_two = !left.iter().any(several);
            let may_go = |at: usize| none_has_two || several(&left[at]);
            let score = |one: &Shot, other: &Shot| self.score(one, other);
            match most_redundant(&left, may_go, score, |shot| shot.quality) {
                Some(at) => drop(left.remove(at)),
                None => break,
            }
        }
        left.sort_by_key(|shot| shot.pose.code());
        left
    }

    fn of(&self, pose: HeadPose) -> impl Iterator<Item = &Shot> {
        self.held.iter().filter(move |shot| shot.pose == pose)
    }

    fn score(&self, one: &Shot, other: &Shot) -> Score {
        self.metric.score(distance(self.metric, &one.embedding, &other.embedding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit vector in a plane, at an angle from the first axis.
    fn at(degrees: f32) -> Embedding {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Embedding([cos, sin].into_iter().chain([0.0; 126]).collect())
    }

    fn shot(degrees: f32, quality: u8, pose: HeadPose) -> Shot {
        Shot { embedding: at(degrees), quality, pose }
    }

    /// Squared L2 of up to 1.14, which is an angle of 64.5 degrees.
    fn none() -> Shots {
        let metric = Metric::SquaredL2;
        Shots::new(metric, Threshold(metric.score(1.14)))
    }

    #[test]
    fn a_turn_is_a_pose_and_between_two_there_is_none() {
        for (yaw_deg, pose) in [
            (0.0, Some(HeadPose::Frontal)),
            (-10.0, Some(HeadPose::Frontal)),
            (11.5, None),
            (13.0, Some(HeadPose::Left)),
            (44.0, Some(HeadPose::Left)),
            (-20.0, Some(HeadPose::Right)),
            (f32::NAN, None),
        ] {
            assert_eq!(pose_of(yaw_deg), pose, "{yaw_deg}");
        }
    }

    #[test]
    fn every_two_shots_are_one_person() {
        let mut shots = none();
        assert_eq!(shots.offer(shot(0.0, 80, HeadPose::Frontal)), Offered::Taken);
        assert_eq!(shots.offer(shot(60.0, 80, HeadPose::Frontal)), Offered::Taken);
        // Alike enough to one of them, and not to the other.
        assert_eq!(shots.offer(shot(100.0, 80, HeadPose::Frontal)), Offered::AnotherPerson);
        assert_eq!(shots.offer(shot(-10.0, 80, HeadPose::Left)), Offered::AnotherPerson);
        assert_eq!(shots.taken(), [2, 0, 0]);
        shots.clear();
        assert_eq!(shots.offer(shot(100.0, 80, HeadPose::Frontal)), Offered::Taken);
    }

    #[test]
    fn the_first_pose_comes_first_and_a_better_shot_takes_the_place_of_the_worst() {
        let mut shots = none();
        assert!(!shots.needs(HeadPose::Left, 100));
        for quality in [70, 60, 80] {
            assert_eq!(shots.asked(), Some(HeadPose::Frontal));
            assert_eq!(shots.offer(shot(0.0, quality, HeadPose::Frontal)), Offered::Taken);
        }
        assert_eq!(shots.asked(), Some(HeadPose::Left));
        assert_eq!(shots.offer(shot(1.0, 60, HeadPose::Frontal)), Offered::NotNeeded);
        assert_eq!(shots.offer(shot(1.0, 61, HeadPose::Frontal)), Offered::Taken);
        let mut qualities: Vec<u8> = shots.held.iter().map(|shot| shot.quality).collect();
        qualities.sort_unstable();
        assert_eq!(qualities, [61, 70, 80]);
        // Either side, whichever comes first.
        for pose in [HeadPose::Right, HeadPose::Left] {
            for _ in 0..OF_EACH {
                assert_eq!(shots.offer(shot(2.0, 90, pose)), Offered::Taken);
            }
        }
        assert_eq!((shots.asked(), shots.taken()), (None, [3, 3, 3]));
    }

    #[test]
    fn the_most_redundant_goes_and_the_last_of_a_pose_stays() {
        let mut shots = none();
        for (degrees, quality, pose) in [
            (0.0, 90, HeadPose::Frontal),
            (1.0, 70, HeadPose::Frontal),
            (20.0, 60, HeadPose::Frontal),
            (20.5, 99, HeadPose::Left),
            (40.0, 55, HeadPose::Right),
        ] {
            assert!(shots.held.iter().all(|held| held.quality != quality));
            shots.held.push(shot(degrees, quality, pose));
        }
        let kept = |most| shots.most_telling(most).iter().map(|shot| shot.quality).collect();
        let qualities: [Vec<u8>; 5] = [kept(5), kept(4), kept(3), kept(2), kept(0)];
        // 60 goes first, since 99 beside it is the only one of its side; then the worse of 90 and 70.
        assert_eq!(qualities[0], [90, 70, 60, 99, 55]);
        assert_eq!(qualities[1], [90, 70, 99, 55]);
        assert_eq!(qualities[2], [90, 99, 55]);
        assert_eq!(qualities[3], [90, 99]);
        assert!(qualities[4].is_empty());
    }
}
