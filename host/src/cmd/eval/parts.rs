//! What each part of a decision is worth: the rows of `eval identify` that differ in one part alone, beside each other.
//!
//! Owns which rows those are and the word for the difference. Refuses to call a difference one that the interval of the row without the
//! part holds: then they are not told apart, whichever of the two figures is smaller.

use super::identify::{Found, Row, Table, words};
use super::verify::share;
use serde::Serialize;
use threshold_models::eval::bootstrap::Interval;
use threshold_models::eval::identify::Frames;

/// FNIR at one FPIR without a part and with it, of the same people in the same galleries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Part {
    /// What is added.
    part: String,
    /// To what.
    to: String,
    people: usize,
    fpir: f64,
    without: Interval,
    with: Interval,
    /// `lower`, `higher`, or `not told apart`.
    fnir: &'static str,
}

/// Every two rows that differ in one part.
pub(super) fn parts(found: &[Found]) -> Vec<Part> {
    let mut parts = Vec::new();
    for base in found {
        for one in found {
            let Some(part) = added(&base.row, &one.row) else { continue };
            for (without, with) in base.points.iter().zip(&one.points) {
                parts.push(Part {
                    part: part.clone(),
                    to: told(&base.row),
                    people: base.row.plan.people,
                    fpir: without.fpir,
                    without: without.fnir,
                    with: with.fnir,
                    fnir: word(without.fnir, with.fnir.at),
                });
            }
        }
    }
    parts
}

/// What a row has and another has not, if that is one part and the people are the same.
fn added(base: &Row, one: &Row) -> Option<String> {
    let people = |row: &Row| (row.plan.people, row.plan.least_enrolled, row.plan.least_stranger);
    if people(base) != people(one) {
        return None;
    }
    let (templates, margin) = (one.plan.templates, one.rule.margin);
    let same_templates = base.plan.templates == templates;
    let same_frames = base.plan.frames == one.plan.frames;
    let same_margin = base.rule.margin == margin;
    match (same_templates, same_frames, same_margin) {
        (false, true, true) if base.plan.templates == 1 => Some(format!("{templates} templates")),
        (true, false, true) if base.plan.frames == Frames::One => {
            Some(words(one.plan.frames, one.rule))
        }
        (true, true, false) if base.rule.margin == 0.0 => Some(format!("margin {margin}")),
        _ => None,
    }
}

fn told(row: &Row) -> String {
    let Row { plan, rule } = row;
    let s = if plan.templates == 1 { "" } else { "s" };
    let frames = match plan.frames {
        Frames::One => "1 frame".to_owned(),
        frames => words(frames, *rule),
    };
    let margin = match rule.margin {
        0.0 => "no margin".to_owned(),
        margin => format!("margin {margin}"),
    };
    format!("{} template{s}, {frames}, {margin}", plan.templates)
}

fn word(without: Interval, with: f64) -> &'static str {
    if with < without.low {
        "lower"
    } else if with > without.high {
        "higher"
    } else {
        "not told apart"
    }
}

/// What the table is of.
pub(super) const WHAT: &str = "what a part of the decision is worth, at the same FPIR: \"not told apart\" where FNIR with it lies in the \
                               95 % interval of FNIR without it";

pub(super) fn table(parts: &[Part]) -> Table {
    let row = |one: &Part| {
        let [without, interval] = share(one.without);
        let [with, _] = share(one.with);
        vec![
            one.people.to_string(),
            one.part.clone(),
            one.to.clone(),
            one.fpir.to_string(),
            without,
            interval,
            with,
            one.fnir.to_owned(),
        ]
    };
    let head = ["N", "with", "added to", "FPIR", "FNIR without", "95 %", "FNIR with", "FNIR is"];
    (head.map(str::to_owned).to_vec(), parts.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::identify::{FPIRS, rows};
    use super::*;
    use threshold_models::eval::identify::FnirAtFpir;
    use threshold_record::Metric;

    fn found(fnir: impl Fn(&Row) -> f64) -> Vec<Found> {
        let all = rows(Metric::SquaredL2, 5, 50).into_iter();
        let of = |row: Row| {
            let at = fnir(&row);
            let fnir = Interval { at, low: at - 0.02, high: at + 0.02 };
            let point =
                |fpir| FnirAtFpir { fpir, fnir, threshold: Interval::default(), admitted: 1 };
            Found {
                points: FPIRS.map(point).to_vec(),
                row,
                stranger_searches: 1,
                enrolled_searches: 1,
            }
        };
        all.map(of).collect()
    }

    #[test]
    fn rows_that_differ_in_one_part_stand_beside_each_other_and_no_others_do() {
        let found = found(|row| match row.plan.templates {
            1 if row.rule.margin > 0.0 => 0.101,
            1 => 0.1,
            _ => 0.05,
        });
        let all = parts(&found);
        let of = |part: &str| -> Vec<&Part> { all.iter().filter(|one| one.part == part).collect() };
        let templates = of("3 templates");
        assert_eq!(templates.len() % FPIRS.len(), 0);
        assert!(!templates.is_empty() && templates.iter().all(|one| one.fnir == "lower"));
        assert!(templates.iter().all(|one| one.to.starts_with("1 template, ")));
        let margins: Vec<&Part> =
            all.iter().filter(|one| one.part.starts_with("margin ")).collect();
        assert!(margins.len() > 4 && margins.iter().all(|one| one.fnir == "not told apart"));
        assert!(margins.iter().all(|one| one.to.ends_with("no margin")));
        assert_eq!(of("2 of 3, other pictures").len(), FPIRS.len(), "of the same strangers");
        assert!(all.iter().all(|one| one.people == 30), "{all:?}");
        assert_eq!(word(Interval { at: 0.1, low: 0.08, high: 0.12 }, 0.13), "higher");
    }
}
