//! Sorting, suppression, regression and placing: the same bits as `models::cascade`, on inputs made to tie, to saturate and
//! to overflow.

use crate::rig::{alone, drawn, rounds};
use threshold_kernels::Cell;
use threshold_kernels::launch::{Levels, ONET_ANSWERS, ONET_MAX, PNET_MAX, RNET_ANSWERS, RNET_MAX};
use threshold_models::cascade::nms::{Nms, Overlap};
use threshold_models::cascade::proposal::{Proposal, crop_window};
use threshold_models::cascade::{PNetMap, proposal, pyramid, regress};
use threshold_models::engine::BBox;
use threshold_models::net::pnet_cells;
use threshold_tests::lots::Lots;

const FACTOR: f64 = 0.709;

fn edges(bbox: &BBox) -> [f32; 4] {
    [bbox.x1, bbox.y1, bbox.x2, bbox.y2]
}

fn bbox([x1, y1, x2, y2]: [f32; 4]) -> BBox {
    BBox { x1, y1, x2, y2 }
}

/// A score of a few, so that many tie.
fn score(lots: &mut Lots, kinds: u64) -> f32 {
    1.0 - lots.below(kinds) as f32 / 64.0
}

fn number(lots: &mut Lots, range: f32) -> f32 {
    (lots.below(2001) as f32 / 1000.0 - 1.0) * range
}

/// What stays of boxes that the frame has pixels of.
fn in_frame(boxes: impl Iterator<Item = BBox>, [width, height]: [usize; 2]) -> Vec<[f32; 4]> {
    boxes.filter(|b| crop_window(b, width, height).is_some()).map(|b| edges(&b)).collect()
}

/// P-Net's side of the cascade: `n` of all cells at random.
/// How many proposals there are for R-Net.
fn check_propose(lots: &mut Lots, size: [usize; 2], min_face: f64, n: usize, kinds: u64) -> usize {
    let levels: Vec<_> = pyramid::levels(size[0], size[1], min_face, FACTOR).collect();
    let mut maps: Vec<PNetMap> = levels
        .iter()
        .map(|level| {
            let (height, width) = (pnet_cells(level.height), pnet_cells(level.width));
            let prob = vec![0.0; height * width];
            PNetMap { height, width, reg: vec![0.0; 4 * prob.len()], prob }
        })
        .collect();
    let total: usize = maps.iter().map(|map| map.prob.len()).sum();
    // Some in clusters, so that much overlaps, in an order that is none.
    let mut chosen: Vec<usize> = (0..total).collect();
    for i in (1..total).rev() {
        chosen.swap(i, lots.below(i as u64 + 1) as usize);
    }
    chosen.truncate(n);
    let mut found = Vec::new();
    for &cell in &chosen {
        let (mut at, mut level) = (cell, 0);
        while at >= maps[level].prob.len() {
            at -= maps[level].prob.len();
            level += 1;
        }
        let (score, reg) = (score(lots, kinds), [(); 4].map(|()| number(lots, 0.4)));
        maps[level].prob[at] = score;
        maps[level].reg[4 * at..][..4].copy_from_slice(&reg);
        found.push(Cell { cell: cell as u32, score, reg });
    }
    let what = format!("{n} of {total} cells, {} levels, {kinds} scores", levels.len());

    // As `Cascade::propose`, but for the capacity: the best of all levels, in the order of the design.
    let mut all = Vec::new();
    for (map, level) in maps.iter().zip(&levels) {
        let mut proposals = Vec::new();
        proposal::collect(map, level.scale, 0.01, &mut proposals).unwrap();
        all.extend(proposals.into_iter().map(|proposal| (level, proposal)));
    }
    let mut best: Vec<usize> = (0..all.len()).collect();
    best.sort_by(|&a, &b| all[b].1.score.total_cmp(&all[a].1.score).then(a.cmp(&b)));
    best.truncate(PNET_MAX);
    best.sort_unstable();
    let mut survivors = Vec::new();
    for level in &levels {
        let own = best.iter().filter(|&&i| all[i].0 == level).map(|&i| all[i].1);
        let own: Vec<Proposal> = own.collect();
        let kept = Nms::default().keep(&own, Overlap::Union, 0.5).to_vec();
        survivors.extend(kept.iter().map(|&i| own[i as usize]));
    }
    let kept = Nms::default().keep(&survivors, Overlap::Union, 0.7).to_vec();
    let squared = kept.iter().map(|&i| {
        let Proposal { bbox, reg, .. } = &survivors[i as usize];
        regress::squared(&regress::regress_plain(bbox, reg))
    });
    let expected = in_frame(squared, size);

    let table = Levels::new(size[0], size[1], min_face, FACTOR);
    let kernels = alone(&drawn(), lots.below(99));
    let (status, boxes) = kernels.propose(size, &table, &found, [0.5, 0.7]).unwrap();
    assert_eq!(status.pnet_kept as usize, n.min(PNET_MAX), "{what}");
    assert_eq!(status.rnet_found as usize, expected.len(), "{what}");
    assert_eq!(boxes, expected[..expected.len().min(RNET_MAX)], "{what}");
    assert_eq!(status.rnet_kept as usize, boxes.len(), "{what}");
    expected.len()
}

#[test]
fn proposals_are_suppressed_as_the_cascade_does() {
    for mut lots in rounds(402) {
        for n in [0, 1, 2, 3, 31, 32, 33, 64, 200] {
            for kinds in [1, 3, 40] {
                check_propose(&mut lots, [160, 120], 24.0, n, kinds);
            }
        }
        check_propose(&mut lots, [320, 240], 20.0, 1500, 2);
        check_propose(&mut lots, [320, 240], 20.0, 1500, 60);
    }
}

#[test]
fn the_best_stay_where_there_are_more_than_fit() {
    for mut lots in rounds(403) {
        check_propose(&mut lots, [320, 240], 12.0, PNET_MAX + 1, 64);
        check_propose(&mut lots, [320, 240], 12.0, PNET_MAX + 3000, 1);
        // So few overlap that more than R-Net's crops stay.
        assert!(check_propose(&mut lots, [640, 480], 12.0, 6000, 64) > RNET_MAX);
    }
}

/// Boxes around a few places, so that some overlap much, some little.
fn boxes(lots: &mut Lots, n: usize, size: [usize; 2]) -> Vec<[f32; 4]> {
    let one = |lots: &mut Lots| {
        let (x, y) = (lots.below(size[0] as u64) as f32, lots.below(size[1] as u64) as f32);
        let side = 4.0 + lots.below(60) as f32;
        [x - side / 2.0, y - side / 2.0, x + side / 2.0, y + side / 2.0]
    };
    let places: Vec<_> = (0..n.div_ceil(6)).map(|_| one(lots)).collect();
    (0..n).map(|i| places[i / 6].map(|edge| edge + number(lots, 5.0))).collect()
}

/// Two logits whose score is one of a few, among them exactly 1, and everything after them at random.
fn answers<const COLUMNS: usize>(lots: &mut Lots, n: usize) -> Vec<[f32; COLUMNS]> {
    (0..n)
        .map(|_| {
            let mut answer = [(); COLUMNS].map(|()| number(lots, 0.3));
            (answer[0], answer[1]) = (0.0, lots.one_of(&[-3.0, 0.5, 1.0, 2.0, 4.0, 30.0]));
            answer
        })
        .collect()
}

fn score_of(answer: &[f32]) -> f32 {
    1.0 / (1.0 + (answer[0] - answer[1]).exp())
}

/// How many proposals there are for O-Net.
fn check_refine(lots: &mut Lots, n: usize) -> usize {
    let size = [320, 240];
    let (boxes, answers) = (boxes(lots, n, size), answers::<RNET_ANSWERS>(lots, n));
    let passing = boxes.iter().zip(&answers).filter(|(_, answer)| score_of(*answer) > 0.7);
    let survivors: Vec<Proposal> = passing
        .map(|(&edges, answer)| Proposal {
            bbox: bbox(edges),
            score: score_of(answer),
            reg: [answer[2], answer[3], answer[4], answer[5]],
        })
        .collect();
    let kept = Nms::default().keep(&survivors, Overlap::Union, 0.7).to_vec();
    let squared = kept.iter().map(|&i| {
        let Proposal { bbox, reg, .. } = &survivors[i as usize];
        regress::squared(&regress::regress_inclusive(bbox, reg))
    });
    let expected = in_frame(squared, size);
    let kernels = alone(&drawn(), lots.below(99));
    let (status, found) = kernels.refine(size, &boxes, &answers, [0.7, 0.7]).unwrap();
    assert_eq!(status.onet_found as usize, expected.len(), "{n} boxes");
    assert_eq!(found, expected[..expected.len().min(ONET_MAX)], "{n} boxes");
    assert_eq!(status.onet_kept as usize, found.len(), "{n} boxes");
    expected.len()
}

#[test]
fn r_nets_proposals_are_refined_as_the_cascade_does() {
    for mut lots in rounds(404) {
        for n in [0, 1, 2, 31, 33, 100, 257, 600] {
            check_refine(&mut lots, n);
        }
        // More than O-Net's crops stay.
        assert!(check_refine(&mut lots, RNET_MAX) > ONET_MAX);
    }
}

fn check_place(lots: &mut Lots, n: usize) {
    let (boxes, answers) = (boxes(lots, n, [320, 240]), answers::<ONET_ANSWERS>(lots, n));
    let mut landmarks = Vec::new();
    let mut survivors = Vec::new();
    for (&edges, answer) in boxes.iter().zip(&answers) {
        if score_of(answer) > 0.7 {
            let (before, reg) = (bbox(edges), [answer[2], answer[3], answer[4], answer[5]]);
            let bbox = regress::regress_inclusive(&before, &reg);
            survivors.push(Proposal { bbox, score: score_of(answer), reg });
            let fractions: [f32; 10] = std::array::from_fn(|i| answer[6 + i]);
            landmarks.push(regress::place_landmarks(&before, &fractions));
        }
    }
    let kept = Nms::default().keep(&survivors, Overlap::Smaller, 0.7).to_vec();
    let mut expected: Vec<_> =
        kept.iter().map(|&i| (survivors[i as usize], landmarks[i as usize])).collect();
    let area = |b: &BBox| (b.x2 - b.x1) * (b.y2 - b.y1);
    expected.sort_by(|(a, _), (b, _)| {
        area(&b.bbox).total_cmp(&area(&a.bbox)).then(b.score.total_cmp(&a.score))
    });
    let kernels = alone(&drawn(), lots.below(99));
    let (status, found) = kernels.place(&boxes, &answers, [0.7, 0.7]).unwrap();
    assert_eq!(status.detections as usize, expected.len(), "{n} boxes");
    for (found, (proposal, landmarks)) in found.iter().zip(&expected) {
        assert_eq!(found.bbox, edges(&proposal.bbox), "{n} boxes");
        assert_eq!(found.landmarks, *landmarks, "{n} boxes");
        assert!((found.score - proposal.score).abs() < 1e-6, "{n} boxes");
    }
}

#[test]
fn o_nets_proposals_are_placed_as_the_cascade_does() {
    for mut lots in rounds(405) {
        for n in [0, 1, 2, 31, 33, 100, 257, ONET_MAX] {
            check_place(&mut lots, n);
        }
    }
}
