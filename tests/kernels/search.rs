//! The gallery's search: int8 against `models::search::Index`, halves against a plain loop in the same order of sums; whoever
//! is found and every bit of the scores must be equal.

use crate::rig::{Machine, machine, rounds};
use half::f16;
use threshold_kernels::{DeviceGallery, Enrolled, KernelError};
use threshold_models::engine::Embedding;
use threshold_models::search::{Candidate, Candidates, Index, LOWEST, SearchError};
use threshold_record::{Metric, ModelTag, PersonId, Score, Template};
use threshold_tests::lots::Lots;

const METRICS: [Metric; 2] = [Metric::SquaredL2, Metric::L2];

/// Components of one kind: any, the extremes, few and small (many equal scores), or none but zeros.
fn vector(lots: &mut Lots, len: usize) -> Vec<i8> {
    match lots.below(8) {
        0 => (0..len).map(|_| lots.one_of(&[-127, 127])).collect(),
        1 => (0..len).map(|_| lots.below(3) as i8 - 1).collect(),
        2 => vec![lots.one_of(&[0, 127, -127, 1]); len],
        _ => (0..len).map(|_| (lots.below(255) as i16 - 127) as i8).collect(),
    }
}

/// A scale: usual, equal among many, or of no use.
fn scale(lots: &mut Lots) -> f32 {
    match lots.below(12) {
        0 => lots.one_of(&[0.0, f32::NAN, f32::INFINITY, -1e-3, 1e-42, 1e20, 3e38]),
        1..6 => 1e-3,
        _ => 1e-4 + lots.below(1000) as f32 * 1e-5,
    }
}

fn template(person: u32, slot: u8, scale: f32, vector: &[i8]) -> Template {
    Template {
        person: PersonId(person),
        slot,
        quality: 100,
        model: ModelTag([7; 8]),
        scale,
        vector: vector.try_into().unwrap(),
    }
}

/// Templates of so many people, in no order, some twice.
fn templates(lots: &mut Lots, n: usize, len: usize, people: u64) -> Vec<Template> {
    let mut all: Vec<Template> = Vec::with_capacity(n);
    for i in 0..n {
        let (person, slot) = (lots.below(people) as u32 + 1, lots.below(4) as u8);
        // Another's vector, at times, so that scores are equal.
        let copied = (i > 0 && lots.below(5) == 0).then(|| lots.below(i as u64) as usize);
        all.push(match copied {
            Some(i) => Template { person: PersonId(person), slot, ..all[i].clone() },
            None => template(person, slot, scale(lots), &vector(lots, len)),
        });
    }
    all
}

/// A probe: near a template, any, or one that cannot be compared.
fn probe(lots: &mut Lots, len: usize, templates: &[Template]) -> Embedding {
    let mut values: Vec<f32> = match lots.below(8) {
        0..3 if !templates.is_empty() => {
            let near = &templates[lots.below(templates.len() as u64) as usize].vector;
            near.iter().map(|&c| f32::from(c) * (1.0 / 1024.0)).collect()
        }
        // Multiples of a half step, so that halves are rounded.
        3 => (0..len).map(|_| lots.below(509) as f32 - 254.0).collect(),
        _ => (0..len).map(|_| lots.unit() - 0.5).collect(),
    };
    if lots.below(6) == 0 && len > 0 {
        let at = lots.below(len as u64) as usize;
        match lots.below(5) {
            0 => values.fill(0.0),
            1 => values.fill(f32::MIN_POSITIVE),
            _ => {
                values[at] = lots.one_of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX]);
            }
        }
    }
    Embedding(values)
}

/// A candidate whose score is compared as bits.
fn candidate_bits(one: Candidate) -> (u32, u8, u32) {
    (one.person.0, one.slot, one.score.0.to_bits())
}

fn bits(found: &Candidates) -> [Option<(u32, u8, u32)>; 2] {
    [found.best.map(candidate_bits), found.runner_up.map(candidate_bits)]
}

fn all_bits(found: &[Candidates]) -> Vec<[Option<(u32, u8, u32)>; 2]> {
    found.iter().map(bits).collect()
}

fn check(lots: &mut Lots, metric: Metric, templates: &[Template], probes: &[Embedding]) {
    let index = Index::new(metric, templates).unwrap();
    let expected: Vec<_> = probes.iter().map(|probe| index.search(probe).unwrap()).collect();
    let device = machine(lots.below(99));
    let mut gallery = DeviceGallery::new(&device, metric, templates).unwrap();
    assert_eq!((gallery.len(), gallery.is_empty()), (index.len(), index.is_empty()));
    // Replayed: nothing of a search is left for the next one.
    for replay in 0..2 {
        let found = gallery.search(&device, probes).unwrap();
        let len = probes.first().map_or(0, |probe| probe.0.len());
        let what = format!("{metric:?}, {} x {len}, replay {replay}", templates.len());
        assert_eq!(all_bits(&found), all_bits(&expected), "{what}");
    }
}

/// The best so many, on the device and by the index.
fn check_top(lots: &mut Lots, metric: Metric, templates: &[Template], probes: &[Embedding]) {
    let index = Index::new(metric, templates).unwrap();
    let device = machine(lots.below(99));
    let mut gallery = DeviceGallery::new(&device, metric, templates).unwrap();
    for n in [0, 1, 3, 16] {
        let expected: Vec<_> = probes.iter().map(|probe| index.top(probe, n).unwrap()).collect();
        for replay in 0..2 {
            let found = gallery.top(&device, probes, n).unwrap();
            let one = |&candidate: &Candidate| candidate_bits(candidate);
            let bits = |all: &[Vec<Candidate>]| -> Vec<Vec<_>> {
                all.iter().map(|of_probe| of_probe.iter().map(one).collect()).collect()
            };
            let what = format!("{metric:?}, top {n} of {}, replay {replay}", templates.len());
            assert_eq!(bits(&found), bits(&expected), "{what}");
        }
    }
}

#[test]
fn galleries_of_every_size_and_length_are_searched_as_by_the_index() {
    for mut lots in rounds(501) {
        for len in [1, 15, 16, 17, 64, 127, 128, 512] {
            for n in [1, 2, 15, 16, 17, 31, 32, 33, 257] {
                let people = lots.one_of(&[1, 2, 40]);
                let templates = templates(&mut lots, n, len, people);
                let n_probes = lots.one_of(&[1, 2, 4, 5, 8, 9]);
                let probes: Vec<_> =
                    (0..n_probes).map(|_| probe(&mut lots, len, &templates)).collect();
                check(&mut lots, METRICS[n % 2], &templates, &probes);
            }
        }
    }
}

#[test]
fn batches_of_every_size_are_searched_as_by_the_index() {
    for mut lots in rounds(502) {
        for n_probes in [0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 70] {
            let templates = templates(&mut lots, 700, 128, 90);
            let probes: Vec<_> = (0..n_probes).map(|_| probe(&mut lots, 128, &templates)).collect();
            METRICS.iter().for_each(|&metric| check(&mut lots, metric, &templates, &probes));
        }
    }
}

#[test]
fn the_best_so_many_are_those_of_the_index() {
    for mut lots in rounds(507) {
        for n in [0, 1, 17, 600] {
            for people in [5, 1000] {
                let templates = templates(&mut lots, n, 128, people);
                for n_probes in [1, 33] {
                    let probes: Vec<_> =
                        (0..n_probes).map(|_| probe(&mut lots, 128, &templates)).collect();
                    let metric = lots.one_of(&METRICS);
                    check_top(&mut lots, metric, &templates, &probes);
                }
            }
        }
        let without = [template(1, 0, 1e-3, &[]), template(2, 0, 1e-3, &[])];
        check_top(&mut lots, Metric::L2, &without, &[Embedding(Vec::new())]);
    }
}

#[test]
fn many_tiles_a_warp_exclude_nothing_that_ranks() {
    for mut lots in rounds(503) {
        // Long vectors, as well: an L2 is the small difference of large squares then, and scales just below the third
        // probe's give differences that f32 does not tell from each other.
        for size in [1e-3f32, 3e-2] {
            // A step or two of one component, or a scale that differs by little, parts the scores by little or nothing.
            let base: Vec<i8> = (0..128)
                .map(|i| if i == 0 { 127 } else { (lots.below(255) as i16 - 127) as i8 })
                .collect();
            let mut templates = templates(&mut lots, 9000, 128, 4000);
            for template in templates.iter_mut().step_by(2) {
                template.vector = base[..].try_into().unwrap();
                if lots.below(2) == 0 {
                    let at = lots.below(128) as usize;
                    let moved = template.vector[at].saturating_add(lots.below(5) as i8 - 2);
                    template.vector[at] = moved.max(-127);
                    template.scale = f32::from_bits(size.to_bits() + lots.below(4) as u32);
                } else {
                    template.scale = size * (1.0 + lots.below(2000) as f32 * 1e-6);
                }
            }
            let embedding =
                |size: f32| Embedding(base.iter().map(|&c| f32::from(c) * size).collect());
            let mut probes = vec![embedding(size), embedding(-size), embedding(1.002 * size)];
            probes.extend((0..9).map(|_| probe(&mut lots, 128, &templates)));
            for n in [1, 12] {
                METRICS
                    .iter()
                    .for_each(|&metric| check(&mut lots, metric, &templates, &probes[..n]));
            }
        }
    }
}

#[test]
fn equal_scores_go_to_the_lower_person_then_the_lower_slot() {
    for mut lots in rounds(504) {
        let same = vector(&mut lots, 128);
        let mut templates: Vec<Template> =
            (0..300).map(|i| template(i % 100 + 1, (i / 100) as u8, 1e-3, &same)).collect();
        for i in (1..templates.len()).rev() {
            templates.swap(i, lots.below(i as u64 + 1) as usize);
        }
        let mut probes: Vec<_> = (0..4).map(|_| probe(&mut lots, 128, &templates)).collect();
        probes.push(Embedding(vec![f32::NAN; 128]));
        METRICS.iter().for_each(|&metric| check(&mut lots, metric, &templates, &probes));
        let device = machine(lots.below(99));
        let mut gallery = DeviceGallery::new(&device, Metric::L2, &templates).unwrap();
        let found = gallery.search(&device, &probes[4..]).unwrap();
        let lowest = LOWEST.0.to_bits();
        assert_eq!(bits(&found[0]), [Some((1, 0, lowest)), Some((2, 0, lowest))]);
    }
}

#[test]
fn one_person_has_no_runner_up_and_nobody_no_candidate() {
    let mut lots = Lots(505);
    for n in [1, 40, 500] {
        let templates = templates(&mut lots, n, 128, 1);
        let probes: Vec<_> = (0..5).map(|_| probe(&mut lots, 128, &templates)).collect();
        METRICS.iter().for_each(|&metric| check(&mut lots, metric, &templates, &probes));
        let device = machine(1);
        let mut gallery = DeviceGallery::new(&device, Metric::L2, &templates).unwrap();
        let found = gallery.search(&device, &probes).unwrap();
        assert!(found.iter().all(|one| one.best.is_some() && one.runner_up.is_none()), "{n}");
    }
    // The other person comes last, after many a template of the first.
    let mut crowded = templates(&mut lots, 500, 128, 1);
    crowded.push(template(2, 0, 1e-3, &vector(&mut lots, 128)));
    check(&mut lots, Metric::SquaredL2, &crowded, &[Embedding(vec![0.5; 128])]);
    // An empty gallery finds nobody, whatever the probe's length, and so do vectors without components.
    check(&mut lots, Metric::L2, &[], &[Embedding(vec![0.5; 128]), Embedding(Vec::new())]);
    let without = [template(1, 0, 1e-3, &[]), template(2, 0, 1e-3, &[])];
    check(&mut lots, Metric::L2, &without, &[Embedding(Vec::new())]);
}

fn refused(fault: KernelError) -> SearchError {
    match fault {
        KernelError::Search(fault) => fault,
        fault => panic!("{fault}"),
    }
}

#[test]
fn odd_templates_and_probes_are_refused_as_by_the_index() {
    let short = template(1, 0, 1e-3, &[1, 2]);
    let long = template(2, 0, 1e-3, &[1, 2, 3]);
    let other = Template { model: ModelTag([8; 8]), ..short.clone() };
    let both = Template { model: ModelTag([8; 8]), ..long.clone() };
    let device = machine(1);
    for odd in [long, other, both] {
        let templates = [short.clone(), odd];
        let expected = Index::new(Metric::L2, &templates).unwrap_err();
        let fault = DeviceGallery::new(&device, Metric::L2, &templates).map(|_| ()).unwrap_err();
        assert_eq!(refused(fault), expected);
    }
    let mut gallery = DeviceGallery::new(&device, Metric::L2, &[short]).unwrap();
    let probes = [Embedding(vec![1.0; 2]), Embedding(vec![1.0; 3])];
    let fault = gallery.search(&device, &probes).unwrap_err();
    assert_eq!(refused(fault), SearchError::Length { expected: 2, found: 3 });
}

/// The search of halves, one product after the other.
fn search_halves(metric: Metric, enrolled: &[Enrolled], probe: &Embedding) -> Candidates {
    let halves = |embedding: &Embedding| -> Vec<f32> {
        embedding.0.iter().map(|&value| f16::from_f32(value).to_f32()).collect()
    };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0.0f32, |sum, (a, b)| sum + a * b);
    let probe = halves(probe);
    let norm = dot(&probe, &probe);
    let score = |one: &Enrolled| {
        let vector = halves(&one.embedding);
        let (product, other) = (dot(&vector, &probe), dot(&vector, &vector));
        let usable = |norm: f32| norm.is_finite() && norm > 0.0;
        if !usable(norm) || !usable(other) {
            return LOWEST;
        }
        let [product, norm, other] = [product, norm, other].map(f64::from);
        match metric {
            Metric::SquaredL2 => Score((product / (norm * other).sqrt()) as f32),
            Metric::L2 => metric.score((norm + other - 2.0 * product).max(0.0).sqrt() as f32),
        }
    };
    let mut all: Vec<Candidate> = enrolled
        .iter()
        .map(|one| Candidate { person: one.person, slot: one.slot, score: score(one) })
        .collect();
    all.sort_by(|a, b| {
        let by_score = b.score.0.total_cmp(&a.score.0);
        by_score.then(a.person.cmp(&b.person)).then(a.slot.cmp(&b.slot))
    });
    let best = all.first().copied();
    let other = |one: &&Candidate| best.is_some_and(|best| best.person != one.person);
    Candidates { best, runner_up: all.iter().find(other).copied() }
}

#[test]
fn halves_are_searched_as_by_a_plain_loop() {
    for mut lots in rounds(506) {
        for len in [1, 7, 8, 9, 64, 127, 128, 512] {
            for n in [0, 1, 2, 31, 33, 300] {
                let people = lots.one_of(&[1, 2, 40]);
                // Components of int8 templates in half, and noise: near ties, equal scores, vectors of no use.
                let enrolled: Vec<_> = templates(&mut lots, n, len, people)
                    .into_iter()
                    .map(|one| Enrolled {
                        person: one.person,
                        slot: one.slot,
                        embedding: match lots.below(3) {
                            0 => probe(&mut lots, len, std::slice::from_ref(&one)),
                            _ => Embedding(
                                one.vector.iter().map(|&c| f32::from(c) / 127.0).collect(),
                            ),
                        },
                    })
                    .collect();
                let n_probes = lots.one_of(&[1, 3, 8, 16, 20]);
                let probes: Vec<_> = (0..n_probes).map(|_| probe(&mut lots, len, &[])).collect();
                for metric in METRICS {
                    let device = machine(lots.below(99));
                    let mut gallery = DeviceGallery::of_halves(&device, metric, &enrolled).unwrap();
                    let found = gallery.search(&device, &probes).unwrap();
                    let expected: Vec<_> = probes
                        .iter()
                        .map(|probe| search_halves(metric, &enrolled, probe))
                        .collect();
                    assert_eq!(all_bits(&found), all_bits(&expected), "{metric:?}, {n} x {len}");
                }
            }
        }
    }
}

#[test]
fn halves_of_another_length_are_refused() {
    let enrolled = [2, 3].map(|len| Enrolled {
        person: PersonId(1),
        slot: 0,
        embedding: Embedding(vec![1.0; len]),
    });
    let device: Machine = machine(1);
    let gallery = DeviceGallery::of_halves(&device, Metric::L2, &enrolled);
    let fault = gallery.map(|_| ()).unwrap_err();
    assert_eq!(refused(fault), SearchError::Length { expected: 2, found: 3 });
}
