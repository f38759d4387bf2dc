//! The search against a scalar loop that scores and sorts everything: the same candidates, the same bits.
//!
//! Owns random and adversarial galleries. Refuses tolerances: scores are compared as bits.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use super::*;
use crate::engine::Embedding;
use threshold_record::Score;

const METRICS: [Metric; 2] = [Metric::SquaredL2, Metric::L2];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn vector(&mut self, len: usize) -> Vec<i8> {
        (0..len).map(|_| (self.below(255) as i16 - 127) as i8).collect()
    }

    /// Components of one kind: any, the extremes, few and small (many equal scores), or none but zeros.
    fn vector_of_a_kind(&mut self, len: usize) -> Vec<i8> {
        match self.below(8) {
            0 => (0..len).map(|_| if self.below(2) == 0 { -127 } else { 127 }).collect(),
            1 => (0..len).map(|_| self.below(3) as i8 - 1).collect(),
            2 => vec![[0, 127, -127, 1][self.below(4) as usize]; len],
            _ => self.vector(len),
        }
    }

    /// A scale: usual, equal among many, or of no use.
    fn scale(&mut self) -> f32 {
        match self.below(12) {
            0 => [0.0, f32::NAN, f32::INFINITY, -1e-3, 1e-42, 1e20, 3e38][self.below(7) as usize],
            1..6 => 1e-3,
            _ => 1e-4 + self.below(1000) as f32 * 1e-5,
        }
    }
}

pub(super) fn template(person: u32, slot: u8, scale: f32, vector: &[i8]) -> Template {
    Template {
        person: PersonId(person),
        slot,
        quality: 100,
        model: ModelTag([7; 8]),
        scale,
        vector: vector.try_into().unwrap(),
    }
}

/// An embedding that quantises to this vector if one of its components is 127 or -127.
fn embedding(vector: &[i8]) -> Embedding {
    Embedding(vector.iter().map(|&component| f32::from(component) * (1.0 / 1024.0)).collect())
}

/// Every template's candidate, the best first.
fn scalar_loop(metric: Metric, templates: &[Template], probe: &Embedding) -> Vec<Candidate> {
    let (scale, probe) = quantise(probe);
    let of = |template: &Template| {
        let norm = dot(&template.vector, &template.vector);
        let product = dot(&probe, &template.vector);
        let score = score(metric, product, (scale, dot(&probe, &probe)), (template.scale, norm));
        Candidate { person: template.person, slot: template.slot, score }
    };
    let mut all: Vec<Candidate> = templates.iter().map(of).collect();
    all.sort_by(|a, b| {
        let by_score = b.score.0.total_cmp(&a.score.0);
        by_score.then(a.person.cmp(&b.person)).then(a.slot.cmp(&b.slot))
    });
    all
}

/// A candidate whose score is compared as bits.
fn bits(candidate: &Candidate) -> (u32, u8, u32) {
    (candidate.person.0, candidate.slot, candidate.score.0.to_bits())
}

/// Compares a gallery's search and top candidates with the scalar loop's, on every instruction set.
fn check(metric: Metric, templates: &[Template], probe: &Embedding) {
    let all = scalar_loop(metric, templates, probe);
    let best = all.first();
    let runner_up = all.iter().find(|candidate| Some(candidate.person) != best.map(|b| b.person));
    let mut index = Index::new(metric, templates).unwrap();
    for simd in Simd::available() {
        index = index.with_simd(simd);
        let what = format!("{metric:?} {simd:?}: {} x {}", templates.len(), probe.0.len());
        let found = index.search(probe).unwrap();
        assert_eq!(found.best.as_ref().map(bits), best.map(bits), "best of {what}");
        assert_eq!(found.runner_up.as_ref().map(bits), runner_up.map(bits), "runner-up of {what}");
        let first = templates.first().map_or(PersonId(1), |template| template.person);
        for person in [first, best.map_or(first, |best| best.person), PersonId(u32::MAX)] {
            let found = index.verify(probe, person).unwrap();
            let of = all.iter().find(|candidate| candidate.person == person);
            let other = all.iter().find(|candidate| candidate.person != person);
            assert_eq!(found.best.as_ref().map(bits), of.map(bits), "claimed one of {what}");
            assert_eq!(found.runner_up.as_ref().map(bits), other.map(bits), "other of {what}");
        }
        for n in [0, 1, 2, 5, all.len(), all.len() + 1] {
            let found: Vec<_> = index.top(probe, n).unwrap().iter().map(bits).collect();
            let expected: Vec<_> = all.iter().take(n).map(bits).collect();
            assert_eq!(found, expected, "top {n} of {what}");
        }
    }
}

#[test]
fn random_galleries_of_every_length_are_ranked_as_by_the_scalar_loop() {
    let mut random = Random(1);
    let ends = [1, 2, 3, 63, 64, 65, 127, 128, 129, 255, 256, 257, 510, 511, 512];
    let odd = (5..MAX_EMBEDDING_LEN).step_by(22);
    for len in ends.into_iter().chain(odd) {
        for n in [1, 3, 64, 65, 150] {
            let people = [1, 2, 40][random.below(3) as usize];
            let templates: Vec<Template> = (0..n)
                .map(|i| {
                    let (scale, vector) = (random.scale(), random.vector_of_a_kind(len));
                    template(random.below(people) as u32 + 1, i as u8, scale, &vector)
                })
                .collect();
            let probe = embedding(&random.vector_of_a_kind(len));
            METRICS.iter().for_each(|&metric| check(metric, &templates, &probe));
        }
    }
}

#[test]
fn near_ties_around_the_runner_up_are_ranked_as_by_the_scalar_loop() {
    let mut random = Random(2);
    for len in [3, 128, 512] {
        for round in 0..40 {
            let mut base = random.vector(len);
            base[0] = 127;
            // A step or two of one component, or another scale by a few last bits, parts the scores by little or nothing.
            let templates: Vec<Template> = (0..200)
                .map(|i| {
                    let mut vector = base.clone();
                    let at = random.below(len as u64) as usize;
                    vector[at] = vector[at].saturating_add(random.below(5) as i8 - 2).max(-127);
                    let scale = f32::from_bits(1e-3f32.to_bits() + random.below(4) as u32);
                    template(random.below(30) as u32 + 1, i as u8, scale, &vector)
                })
                .collect();
            // Far from the templates, near them, and opposite.
            let probe = match round % 3 {
                0 => random.vector(len),
                1 => base.clone(),
                _ => base.iter().map(|component| -component).collect(),
            };
            METRICS.iter().for_each(|&metric| check(metric, &templates, &embedding(&probe)));
        }
    }
}

#[test]
fn equal_scores_and_one_person_alone_are_ranked_as_by_the_scalar_loop() {
    let mut random = Random(3);
    let vector = random.vector(128);
    let same: Vec<Template> = (0..200)
        .map(|i| template(random.below(20) as u32 + 1, (199 - i) as u8, 1e-3, &vector))
        .collect();
    let lone: Vec<Template> =
        (0..200).map(|i| template(9, i as u8, 1e-3, &random.vector(128))).collect();
    // The other person comes last, after many a template of the first.
    let mut crowded = lone.clone();
    crowded.push(template(2, 0, 1e-3, &random.vector(128)));
    for templates in [same, lone, crowded] {
        for probe in [random.vector(128), vector.clone(), vec![0; 128]] {
            METRICS.iter().for_each(|&metric| check(metric, &templates, &embedding(&probe)));
        }
    }
}

#[test]
fn probes_without_numbers_rank_as_by_the_scalar_loop_and_score_lowest() {
    let mut random = Random(4);
    let templates: Vec<Template> =
        (0..100).map(|i| template(i % 7 + 1, i as u8, 1e-3, &random.vector(128))).collect();
    for bad in [0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE] {
        let mut probe = Embedding(vec![0.0; 128]);
        probe.0[77] = bad;
        for metric in METRICS {
            check(metric, &templates, &probe);
            let index = Index::new(metric, &templates).unwrap();
            let found = index.search(&probe).unwrap();
            let of = |candidate: Candidate| (candidate.person.0, candidate.slot, candidate.score);
            assert_eq!(found.best.map(of), Some((1, 0, LOWEST)), "{bad}");
            assert_eq!(found.runner_up.map(of), Some((2, 1, LOWEST)), "{bad}");
        }
    }
}

#[test]
fn vectors_without_components_find_nobody() {
    let templates = [template(1, 0, 1e-3, &[]), template(2, 0, 1e-3, &[])];
    let index = Index::new(Metric::L2, &templates).unwrap();
    let nothing = Embedding(Vec::new());
    assert_eq!(index.search(&nothing), Ok(Candidates::default()));
    assert_eq!(index.top(&nothing, 3), Ok(Vec::new()));
    let probe = Embedding(vec![1.0]);
    assert_eq!(index.search(&probe), Err(SearchError::Length { expected: 0, found: 1 }));
}

#[test]
fn a_floor_excludes_only_scores_below_it_and_nearly_all_of_those() {
    let mut random = Random(5);
    let (mut n_below, mut n_excluded) = (0, 0);
    for round in 0..200_000 {
        let len = [1, 2, 128, 512][round % 4];
        let (probe, vector) = (random.vector(len), random.vector(len));
        let of_probe = (random.scale(), dot(&probe, &probe));
        let of_template = (random.scale(), dot(&vector, &vector));
        // Any product that two vectors of these norms can have, up to the largest, which gives a score of 1.
        let most = (f64::from(of_probe.1) * f64::from(of_template.1)).sqrt() as i32;
        let product = match random.below(4) {
            0 => dot(&probe, &vector),
            1 => most,
            _ => random.below(2 * most as u64 + 1) as i32 - most,
        };
        for metric in METRICS {
            let exact = score(metric, product, of_probe, of_template);
            let nudged = |steps: i32| {
                let towards = if steps < 0 { f32::next_down } else { f32::next_up };
                (0..steps.abs()).fold(exact.0, |score, _| towards(score))
            };
            for steps in [-100, -2, -1, 0, 1, 2, 3, 100] {
                let floor = Floor::new(metric, Some(Score(nudged(steps))), of_probe);
                let excluded = floor.excludes(product, of_template);
                assert!(!excluded || steps > 0, "{metric:?} {exact:?} at {steps} bits more");
            }
            // A cosine near 0 is told from its neighbours only roughly, as is an L2 near 1, the best there is.
            if exact.0 > LOWEST.0 && exact.0 < 0.99 && exact.0.abs() > 0.01 {
                let floor = Floor::new(metric, Some(Score(exact.0 + 3e-6)), of_probe);
                n_below += 1;
                n_excluded += u32::from(floor.excludes(product, of_template));
            }
            let none = Floor::new(metric, None, of_probe);
            assert!(!none.excludes(product, of_template));
        }
    }
    assert!(n_below > 100_000 && n_excluded == n_below, "{n_excluded} of {n_below}");
}
