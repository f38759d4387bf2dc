//! The draw of a batch: P people, any or near ones, with K photos of each, or as many of all photos, and what is done to a crop.
//!
//! Owns the order of photos and the augmentation. A batch follows from its stream of numbers alone.

use super::mined::Mined;
use super::run::People;
use crate::config::out_of_range;
use crate::random::Random;
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// What is drawn of a crop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Left and right change places in one of two.
    pub mirror: bool,
    /// Up to so many pixels in each direction; what comes in repeats the edge.
    pub shift_px: usize,
}

impl Augment {
    /// Whether nothing is done.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What is out of range, as a clause.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        out_of_range(&[("augment.shift_px", self.shift_px, 0, 32)])
    }

    /// A crop of `side` as it is drawn.
    fn draw(self, crop: &[f32], side: usize, random: &mut Random, rows: &mut Vec<f32>) {
        if self.is_none() {
            return rows.extend(crop);
        }
        let mirror = self.mirror && random.coin();
        let mut shift = || random.below(2 * self.shift_px + 1);
        let (down, right) = (shift(), shift());
        let at = |i: usize, shift: usize| (i + shift).saturating_sub(self.shift_px).min(side - 1);
        for y in 0..side {
            for x in 0..side {
                let x = at(x, right);
                let x = if mirror { side - 1 - x } else { x };
                rows.extend(&crop[(at(y, down) * side + x) * 3..][..3]);
            }
        }
    }
}

/// Photos as the network takes them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Their rows, one after the other.
    pub rows: Vec<f32>,
    /// Whose each is, by place among those to learn from.
    pub people: Vec<usize>,
    /// Which of all photos each is.
    pub photos: Vec<usize>,
}

/// Photos whose rows are laid side by side at a time: those of a block are 65 KB each.
const AT_ONCE: usize = 256;

/// Photos to learn from, those of people with one photo last, and whose they are.
#[derive(Debug)]
pub struct Photos<'a> {
    /// Each photo's row.
    pub rows: Vec<&'a [f32]>,
    /// Where the photos of each person start, and behind them where those of people with one start.
    starts: Vec<usize>,
    augment: Augment,
}

impl<'a> Photos<'a> {
    /// Of these people.
    #[must_use]
    pub fn of(people: &'a People, augment: Augment) -> Self {
        let mut starts = vec![0];
        for subject in &people.learn {
            starts.push(starts[starts.len() - 1] + subject.pictures.len());
        }
        Self { rows: people.learnt(0).collect(), starts, augment }
    }

    /// So many people and so many photos of each; where they were mined, somebody and those who lie nearest.
    #[must_use]
    pub fn of_people(
        &self,
        people: usize,
        photos: usize,
        mined: Option<&Mined>,
        random: &mut Random,
    ) -> Batch {
        let mut batch = Batch::default();
        let all = self.starts.len() - 1;
        let people = match mined {
            Some(mined) => mined.near(random.below(all), people),
            None => drawn(all, people, random),
        };
        for person in people {
            let [start, end] = [self.starts[person], self.starts[person + 1]];
            for photo in drawn(end - start, photos, random) {
                batch.people.push(person);
                batch.photos.push(start + photo);
            }
        }
        self.filled(batch, random)
    }

    /// Those who have two photos or more, by embeddings (N, `len`) of all their photos, whose rows `embed` is given.
    ///
    /// # Errors
    /// If `embed` fails.
    pub fn mined(&self, len: usize, embed: impl Fn(&[f32]) -> Result<Vec<f32>>) -> Result<Mined> {
        let mut embeddings = Vec::new();
        for rows in self.rows[..self.starts[self.starts.len() - 1]].chunks(AT_ONCE) {
            embeddings.extend(embed(&rows.concat())?);
        }
        Ok(Mined::of(&embeddings, len, self.starts.windows(2).map(|ends| ends[1] - ends[0])))
    }

    /// So many of all photos, those of people with one included, each as if it were somebody else's.
    #[must_use]
    pub fn of_all(&self, photos: usize, random: &mut Random) -> Batch {
        let photos = drawn(self.rows.len(), photos, random);
        self.filled(Batch { people: photos.clone(), photos, ..Batch::default() }, random)
    }

    /// The rows of so many photos, as they are.
    #[must_use]
    pub fn some(&self, photos: usize, random: &mut Random) -> Vec<f32> {
        let photos = drawn(self.rows.len(), photos, random).into_iter();
        photos.flat_map(|photo| self.rows[photo].iter().copied()).collect()
    }

    fn filled(&self, mut batch: Batch, random: &mut Random) -> Batch {
        for &photo in &batch.photos {
            let row = self.rows[photo];
            let side = (row.len() / 3).isqrt();
            self.augment.draw(row, side, random, &mut batch.rows);
        }
        batch
    }
}

/// So many different numbers below `n`, or all, in a drawn order.
fn drawn(n: usize, wanted: usize, random: &mut Random) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    for i in 0..wanted.min(n) {
        all.swap(i, i + random.below(n - i));
    }
    all.truncate(wanted);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_is_mirrored_and_moved_with_its_edge_repeated() {
        let crop: Vec<f32> = (0..16).flat_map(|i| [i as f32, 0.0, 0.0]).collect();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let augment = Augment { mirror: true, shift_px: 1 };
            let mut row = Vec::new();
            augment.draw(&crop, 4, &mut Random::of(&[seed]), &mut row);
            assert_eq!(row.len(), crop.len());
            let reds: Vec<usize> = row.iter().step_by(3).map(|&red| red as usize).collect();
            let across: Vec<usize> = (0..4).map(|x| reds[x] % 4).collect();
            let down: Vec<usize> = (0..4).map(|y| reds[y * 4] / 4).collect();
            let moved = |by: i64| -> Vec<usize> {
                (0..4).map(|i: i64| (i + by).clamp(0, 3) as usize).collect()
            };
            let known = [-1, 0, 1].map(moved);
            let turned = known.clone().map(|way| way.into_iter().map(|x| 3 - x).collect());
            assert!(known.contains(&down), "{down:?}");
            assert!(known.contains(&across) || turned.contains(&across), "{across:?}");
            seen.insert((across, down));
        }
        assert_eq!(seen.len(), 18);
    }

    #[test]
    fn nothing_is_done_and_nothing_drawn_without_augmentation() {
        let (mut row, mut random) = (Vec::new(), Random::of(&[1]));
        Augment::default().draw(&[1.0, 2.0, 3.0], 1, &mut random, &mut row);
        assert_eq!(row, [1.0, 2.0, 3.0]);
        assert_eq!(random.bits(), Random::of(&[1]).bits());
    }
}
