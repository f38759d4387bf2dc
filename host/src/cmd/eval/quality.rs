//! `threshold eval quality`: how many good and bad pictures the quality gate takes, and for what it refuses the others.
//!
//! Owns the table and its page. The gate is `threshold_models::quality`'s with the limits that enrolment and the door have.
//! Refuses to say that a picture is bad: its folder does. A *cause* is the code that the log has.

use super::{named, over, page, percent, title};
use crate::engines::Engines;
use crate::meant::Meant;
use crate::report::plot::PlotError;
use crate::say::table;
use crate::{args, pictures, report};
use maud::{Markup, html};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use threshold_models::engine::Engine;
use threshold_models::quality::{QualityLimits, assess};
use threshold_record::Cause;

/// What the gate refuses for, in its own order.
const CAUSES: [Cause; 9] = [
    Cause::NoFace,
    Cause::MoreThanOne,
    Cause::TooFar,
    Cause::TooNear,
    Cause::TooDark,
    Cause::TooBright,
    Cause::Blurred,
    Cause::TurnedAway,
    Cause::Covered,
];

/// The most wrongly judged pictures in a page, of each folder.
const MAX_SHOWN: usize = 50;

/// The pictures of one kind, and what became of them.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Row {
    /// `good`, `bad`, or the cause that the folder below the bad ones is named after.
    kind: String,
    pictures: usize,
    taken: usize,
    /// Those refused for the cause that the folder names; null where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    named_right: Option<usize>,
    /// How many were refused for each cause.
    refused: BTreeMap<&'static str, usize>,
    /// Paths of good pictures that were refused, of bad ones that were taken or refused for another cause.
    wrong: Vec<(String, &'static str)>,
}

/// What a picture should be judged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Good,
    Bad(Option<Cause>),
}

impl Expected {
    /// Of a bad picture the first folder below says what is bad about it.
    fn of_bad(folder: &Path, picture: &Path) -> Self {
        let below = picture.strip_prefix(folder).unwrap_or(picture);
        let first = below.components().next().map(|first| first.as_os_str());
        Self::Bad(CAUSES.into_iter().find(|cause| first == Some(cause.text().as_ref())))
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad(None) => "bad",
            Self::Bad(Some(cause)) => cause.text(),
        }
    }

    fn is_right(self, found: Cause) -> bool {
        match self {
            Self::Good => found == Cause::None,
            Self::Bad(None) => found != Cause::None,
            Self::Bad(Some(cause)) => found == cause,
        }
    }
}

pub(super) fn run(meant: &Meant, typed: &args::EvalQuality) -> anyhow::Result<()> {
    let mut pictures = Vec::new();
    for (folder, is_good) in [(&typed.good, true), (&typed.bad, false)] {
        let Some(folder) = folder else { continue };
        pictures::folder(folder)?;
        for picture in pictures::named(std::slice::from_ref(folder))? {
            let expected = match is_good {
                true => Expected::Good,
                false => Expected::of_bad(folder, &picture),
            };
            pictures.push((picture, expected));
        }
    }
    let detector = Engines::open(meant)?.detector()?;
    let paths: Vec<PathBuf> = pictures.iter().map(|(path, _)| path.clone()).collect();
    let limits = QualityLimits::default();
    let found =
        over(meant, &detector, None, typed.min_face, Path::new(""), &paths, |engine, frame| {
            Ok(assess(frame, &engine.detect(frame)?, &limits).cause)
        })?;
    let rows = rows(pictures.into_iter().zip(found));
    let title = title("quality gate", &detector);
    let line = format!(
        "a picture is taken if the quality of its largest face is 50 % or more and no other is nearly as large; faces from {} px \
         on; rates count pictures",
        typed.min_face
    );
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    let mut value = named(&serde_json::json!({ "rows": rows }), &detector)?;
    page::write(&typed.page, &mut value, &title, || body(typed, &line, &rows, &cells))?;
    meant.say.result(&value, || format!("{title}\n{line}\n{}", table(&HEAD, &cells)))?;
    Ok(())
}

/// Counts by kind; the good ones first, then what the folders name, in the order of the causes.
fn rows(judged: impl Iterator<Item = ((PathBuf, Expected), Cause)>) -> Vec<Row> {
    let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
    for ((path, expected), found) in judged {
        let place = match expected {
            Expected::Good => 0,
            Expected::Bad(None) => 1,
            Expected::Bad(Some(cause)) => {
                2 + CAUSES.iter().position(|&one| one == cause).unwrap_or(CAUSES.len())
            }
        };
        let row = rows.entry(place).or_default();
        expected.kind().clone_into(&mut row.kind);
        row.pictures += 1;
        match found {
            Cause::None => row.taken += 1,
            cause => *row.refused.entry(cause.text()).or_default() += 1,
        }
        let is_right = expected.is_right(found);
        if let Expected::Bad(Some(_)) = expected {
            *row.named_right.get_or_insert(0) += usize::from(is_right);
        }
        if !is_right {
            row.wrong.push((path.display().to_string(), found.text()));
        }
    }
    rows.into_values().collect()
}

const HEAD: [&str; 5] = ["pictures", "of them", "taken", "refused for that", "refused for"];

impl Row {
    fn cells(&self) -> Vec<String> {
        let of = |n: usize| format!("{n} ({})", percent(n as f64 / self.pictures.max(1) as f64));
        let refused = self.refused.iter().map(|(cause, n)| format!("{cause} {n}"));
        vec![
            self.kind.clone(),
            self.pictures.to_string(),
            of(self.taken),
            self.named_right.map_or_else(String::new, of),
            refused.collect::<Vec<_>>().join(", "),
        ]
    }
}

fn body(
    typed: &args::EvalQuality,
    line: &String,
    rows: &[Row],
    cells: &[Vec<String>],
) -> Result<Markup, PlotError> {
    let wrong = rows.iter().filter(|row| !row.wrong.is_empty());
    Ok(html! {
        (page::tabled(&typed.page, std::slice::from_ref(line), &HEAD, cells))
        @if rows.iter().any(|row| !row.wrong.is_empty()) {
            h2 { "Judged otherwise than the folder says" }
            p.warn { (page::PICTURES_OF_PEOPLE) }
        }
        @for row in wrong {
            h3 { (row.kind) ": " (row.wrong.len()) @if row.wrong.len() > MAX_SHOWN { ", the first " (MAX_SHOWN) } }
            div.wide {
                table {
                    tr { th { "judged" } th { "picture" } }
                    @for (path, found) in row.wrong.iter().take(MAX_SHOWN) {
                        tr {
                            td { @if *found == Cause::None.text() { "taken" } @else { (found) } }
                            td { (report::picture(path, Path::new(path))) }
                        }
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_counted_by_what_their_folder_says() {
        let bad = |picture: &str| Expected::of_bad(Path::new("bad"), Path::new(picture));
        assert_eq!(bad("bad/too_far/more/1.png"), Expected::Bad(Some(Cause::TooFar)));
        assert_eq!(bad("bad/odd/1.png"), Expected::Bad(None));
        assert_eq!(bad("bad/too_far.png"), Expected::Bad(None));
        let judged = [
            ("a", Expected::Good, Cause::None),
            ("b", Expected::Good, Cause::Blurred),
            ("c", Expected::Bad(Some(Cause::TooFar)), Cause::TooFar),
            ("d", Expected::Bad(Some(Cause::TooFar)), Cause::NoFace),
            ("e", Expected::Bad(Some(Cause::TooFar)), Cause::None),
            ("f", Expected::Bad(None), Cause::Covered),
        ];
        let rows = rows(judged.into_iter().map(|(path, is, found)| ((path.into(), is), found)));
        let told: Vec<_> =
            rows.iter().map(|row| (row.kind.as_str(), row.pictures, row.taken)).collect();
        assert_eq!(told, [("good", 2, 1), ("bad", 1, 0), ("too_far", 3, 1)]);
        assert_eq!((rows[0].named_right, rows[2].named_right), (None, Some(1)));
        assert_eq!(rows[2].refused, BTreeMap::from([("too_far", 1), ("no_face", 1)]));
        assert_eq!(rows[0].wrong, [("b".to_owned(), "blurred")]);
        assert_eq!(rows[2].cells()[2..4], ["1 (33.33 %)", "1 (33.33 %)"]);
    }
}
