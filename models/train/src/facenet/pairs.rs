//! Validation: pairs of photos of people who were not learnt from, judged by LFW's protocol.
//!
//! Owns the draw of pairs; the protocol is `eval::lfw`'s, in as many folds as there are people for, 10 at most, of which
//! no two share a person: for each, the threshold comes from the others.
//! A list of pairs (LFW's) may stand in their place.
//! Genuine are all pairs of a person's photos, 10 of each person at most; as many impostor pairs are drawn. The draw has
//! a seed of its own: runs of other seeds are judged by the same pairs.

use super::network::embeddings;
use crate::random::Random;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use threshold_models::engine::Embedding;
use threshold_models::eval::embeddings::Subject;
use threshold_models::eval::lfw::{Embedded, Pair, Pairs, evaluate};
use threshold_models::graph::Graph;
use threshold_models::import::description;
use threshold_models::pack;
use threshold_models::tensor::TensorSource;

/// Folds at most, as LFW has them.
const FOLDS: usize = 10;
/// Genuine pairs of a person at most: somebody with 14 photos must not be most of them.
const GENUINE_EACH: usize = 10;
/// What the draw follows from.
const SEED: u64 = 0x7061_6972;

/// How pairs were judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Part of the pairs judged rightly, the folds' mean, 0 to 1.
    pub accuracy: f64,
    /// Its population standard deviation over the folds.
    pub sd: f64,
    /// Part of the genuine pairs accepted where 1 of 100 impostor pairs is.
    pub tar_at_far_1e2: f64,
    /// The squared distance that is right most often over all pairs.
    pub threshold: f64,
}

/// Pairs of unseen people, with their photos' rows.
#[derive(Clone, Debug)]
pub struct Unseen {
    pairs: Pairs,
    names: Vec<String>,
    rows: Vec<f32>,
    people: usize,
}

impl Unseen {
    /// Draws the pairs; the first frame of a subject's picture is its row.
    ///
    /// # Errors
    /// If fewer than two people have two photos.
    pub fn draw(subjects: &[Subject]) -> Result<Self> {
        let several = |subject: &&Subject| subject.pictures.len() > 1;
        let n_folds = subjects.iter().filter(several).count().min(subjects.len() / 2).min(FOLDS);
        if n_folds == 0 {
            bail!("of the unseen people nobody has two photos to compare; add people");
        }
        let mut random = Random::of(&[SEED]);
        // Those of several photos first, so that every fold has as many of them.
        let (several, single): (Vec<_>, Vec<_>) = subjects.iter().partition(several);
        let mut folds: Vec<Vec<&Subject>> = vec![Vec::new(); n_folds];
        for (i, subject) in several.into_iter().chain(single).enumerate() {
            folds[i % n_folds].push(subject);
        }
        let mut pairs = Vec::new();
        for (fold, subjects) in folds.iter().enumerate() {
            let first = pairs.len();
            for subject in subjects {
                genuine(subject, &mut random, |pictures| {
                    pairs.push(Pair { fold, genuine: true, pictures });
                });
            }
            let mut drawn = BTreeSet::new();
            let wanted = pairs.len() - first;
            // A small fold may not have as many different ones.
            for _ in 0..wanted * 20 {
                let [a, b] = [random.below(subjects.len()), random.below(subjects.len())];
                let mut any = |at: usize| {
                    let photos = &subjects[at].pictures;
                    photos[random.below(photos.len())].0.clone()
                };
                let pictures = [any(a.min(b)), any(a.max(b))];
                if a != b && drawn.len() < wanted && drawn.insert(pictures.clone()) {
                    pairs.push(Pair { fold, genuine: false, pictures });
                }
            }
        }
        Self::of(Pairs { n_folds, pairs }, subjects)
    }

    /// Takes the pairs of a list, in its folds, whose photos are all these subjects'.
    ///
    /// # Errors
    /// If it does not read, or a fold has none of a kind.
    pub fn listed(list: &Path, subjects: &[Subject]) -> Result<Self> {
        let mut pairs = read(list)?;
        let all = subjects.iter().flat_map(|subject| &subject.pictures);
        let known: BTreeSet<&String> = all.map(|(name, _)| name).collect();
        pairs.pairs.retain(|pair| pair.pictures.iter().all(|name| known.contains(name)));
        for (fold, genuine) in (0..pairs.n_folds).flat_map(|fold| [(fold, true), (fold, false)]) {
            if !pairs.pairs.iter().any(|pair| (pair.fold, pair.genuine) == (fold, genuine)) {
                bail!("{}: fold {} has no pair left of a kind", list.display(), fold + 1);
            }
        }
        Self::of(pairs, subjects)
    }

    fn of(pairs: Pairs, subjects: &[Subject]) -> Result<Self> {
        let all = subjects.iter().flat_map(|subject| &subject.pictures);
        let features: BTreeMap<&str, &Vec<Embedding>> =
            all.map(|(name, frames)| (name.as_str(), frames)).collect();
        let names: Vec<String> = pairs.pictures().into_iter().map(str::to_owned).collect();
        let mut values = Vec::new();
        for name in &names {
            let frames = features.get(name.as_str()).and_then(|frames| frames.first());
            values.extend(&frames.with_context(|| format!("{name} has no features"))?.0);
        }
        let person = |name: &String| name.split('/').next().map(str::to_owned);
        let people = names.iter().map(person).collect::<BTreeSet<_>>().len();
        Ok(Self { pairs, names, rows: values, people })
    }

    /// People, photos and pairs.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        [self.people, self.names.len(), self.pairs.pairs.len()]
    }

    /// Judges a network by its weights, by the CPU engine.
    ///
    /// # Errors
    /// If a tensor is missing, or the network gives what is no number.
    pub fn judge(&self, graph: &Graph, weights: &dyn TensorSource) -> Result<Judged> {
        let embedding = graph.find("embedding").context("the network has no embedding")?;
        let values = embeddings(graph, weights, &self.rows)?;
        self.judge_embeddings(&values, graph.shape(embedding).len())
    }

    /// Judges the photos' rows themselves, less this mean and made unit: what a network has to be better than.
    ///
    /// # Errors
    /// If a pair has no number.
    pub fn judge_rows(&self, mean: &[f32]) -> Result<Judged> {
        let unit = |row: &[f32]| {
            let centred: Vec<f32> =
                row.iter().zip(mean).map(|(value, mean)| value - mean).collect();
            let length = centred.iter().map(|value| value * value).sum::<f32>().sqrt();
            centred.into_iter().map(move |value| value / length.max(1e-12))
        };
        let values: Vec<f32> = self.rows.chunks_exact(mean.len()).flat_map(unit).collect();
        self.judge_embeddings(&values, mean.len())
    }

    fn judge_embeddings(&self, values: &[f32], len: usize) -> Result<Judged> {
        let embeddings = values.chunks_exact(len).map(|values| Embedding(values.to_vec()));
        let embedded = |(name, embedding): (&String, Embedding)| {
            (name.clone(), Embedded { embedding, face_found: true })
        };
        let embedded = self.names.iter().zip(embeddings).map(embedded).collect();
        // As a pack of it will say.
        let meta = description(pack::Network::InceptionResnetV1At128).embedder;
        let metric = meta.context("an embedder has a metric")?.metric;
        let result = evaluate(&self.pairs, metric, &embedded)?;
        Ok(Judged {
            accuracy: result.accuracy,
            sd: result.sd,
            tar_at_far_1e2: result.tar_at_far.first().map_or(0.0, |rate| rate.tar),
            threshold: result.threshold,
        })
    }
}

/// A list of pairs as it stands in its file.
///
/// # Errors
/// If it does not read, with its line.
pub fn read(list: &Path) -> Result<Pairs> {
    let at = || list.display().to_string();
    let text = std::fs::read_to_string(list).with_context(at)?;
    Pairs::parse(&text).with_context(at)
}

/// A person's genuine pairs: all, or so many drawn.
fn genuine(subject: &Subject, random: &mut Random, mut push: impl FnMut([String; 2])) {
    let photos = &subject.pictures;
    let mut all: Vec<[usize; 2]> =
        (0..photos.len()).flat_map(|b| (0..b).map(move |a| [a, b])).collect();
    while all.len() > GENUINE_EACH {
        all.swap_remove(random.below(all.len()));
    }
    all.into_iter().for_each(|pair| push(pair.map(|at| photos[at].0.clone())));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    fn subjects(photos: &[usize]) -> Vec<Subject> {
        let subject = |(i, &n): (usize, &usize)| {
            let picture = |k| (format!("p{i}/{k}.jpg"), vec![Embedding(vec![i as f32; 1792])]);
            Subject { name: format!("p{i}"), pictures: (0..n).map(picture).collect() }
        };
        photos.iter().enumerate().map(subject).collect()
    }

    #[test]
    fn pairs_are_as_many_of_each_kind_and_folds_share_nobody() {
        let photos: Vec<usize> = (0..60).map(|i| if i % 3 == 0 { 1 + i / 6 } else { 1 }).collect();
        let unseen = Unseen::draw(&subjects(&photos)).unwrap();
        let Pairs { n_folds, pairs } = &unseen.pairs;
        assert_eq!(*n_folds, 10);
        let mut fold_of = BTreeMap::new();
        for pair in pairs {
            let people: Vec<&str> =
                pair.pictures.iter().map(|name| name.split('/').next().unwrap()).collect();
            assert_eq!(people[0] == people[1], pair.genuine);
            assert_ne!(pair.pictures[0], pair.pictures[1]);
            for person in people {
                assert_eq!(*fold_of.entry(person.to_owned()).or_insert(pair.fold), pair.fold);
            }
        }
        let genuine = pairs.iter().filter(|pair| pair.genuine).count();
        let each = |n: usize| (n * n.saturating_sub(1) / 2).min(GENUINE_EACH);
        assert_eq!(genuine, photos.iter().map(|&n| each(n)).sum::<usize>());
        assert!(pairs.len() - genuine > genuine * 9 / 10, "{} of {}", genuine, pairs.len());
        assert_eq!(unseen.counts()[2], pairs.len());
    }

    #[test]
    fn of_a_list_the_pairs_of_these_people_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("pairs.txt");
        let text = "1\t2\nAnn\t1\t2\nBob\t1\t2\nAnn\t1\tBob\t2\nAnn\t2\tCy\t1\n";
        std::fs::write(&list, text.replace("1\t2\nAnn\t1\t2", "2\nAnn\t1\t2")).unwrap();
        let photo = |name: &str, n: u32| {
            (format!("{name}/{name}_{n:04}.jpg"), vec![Embedding(vec![n as f32; 1792])])
        };
        let person = |name: &str| Subject {
            name: name.to_owned(),
            pictures: vec![photo(name, 1), photo(name, 2)],
        };
        let unseen = Unseen::listed(&list, &[person("Ann"), person("Bob")]).unwrap();
        assert_eq!(unseen.counts(), [2, 4, 3]);
        let why = Unseen::listed(&list, &[person("Cy")]).err().unwrap().to_string();
        assert!(why.contains("pairs.txt: fold 1 has no pair left"), "{why}");
    }

    #[test]
    fn people_of_one_photo_each_cannot_be_judged() {
        let why = Unseen::draw(&subjects(&[1, 1, 1])).err().unwrap().to_string();
        assert!(why.contains("nobody has two photos"), "{why}");
        assert!(Unseen::draw(&[]).is_err());
    }
}
