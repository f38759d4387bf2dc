//! The whole run, and its tables.

use crate::load::{bytes_of_folder, loads};
use crate::measure::{Figures, turn};
use crate::syncs;
use crate::work::{BATCH, Bench, Enrolment, Side, Work, enrolment};
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::path::Path;

/// People who are there before anybody is enrolled.
const PEOPLE: u32 = 1000;

/// A piece of work with its turns, the acts of a turn, and what the page says of it.
const WORKS: [(Work, u32, u32, &str); 3] = [
    (
        Work::Enrol,
        5,
        10,
        "One person with one template of 512 components, into a gallery of 1,000 such people",
    ),
    (Work::Commit, 5, 100, "One log entry"),
    (Work::Batch, 5, 100, "Twenty log entries appended, then one sync"),
];

const _: () = assert!(BATCH == 20, "the page says twenty");

/// Measures everything in a new folder below the one that is given.
pub(crate) fn tables(folder: &Path) -> Result<String> {
    let folder = folder.join("run");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let mut page = String::new();
    for (work, turns, times, what) in WORKS {
        eprintln!("{}", work.name());
        of_work(&mut page, &folder, work, [turns, times], what)?;
    }
    page.push_str(
        "\n## Boot load of 10,000 templates\n\nA folder opened and every template read into memory, from a warm page cache; 1,250 people with \
         eight templates each.\n\n| components | side | ms | ours over it | bytes of the folder |\n| --- | --- | --- | --- | --- |\n",
    );
    for dimensions in [128, 512] {
        eprintln!("load {dimensions}");
        let loaded = loads(&folder, dimensions)?;
        let ours = loaded[0].0.median();
        for (side, (figures, bytes)) in Side::ALL.into_iter().zip(&loaded) {
            let ms = figures.median();
            let _ = writeln!(
                page,
                "| {dimensions} | {} | {ms:.2} | {} | {bytes} |",
                side.name(),
                ratio(side, ours, ms)
            );
        }
    }
    Ok(page)
}

/// A piece of work by all sides in turns.
fn of_work(
    page: &mut String,
    folder: &Path,
    work: Work,
    [turns, times]: [u32; 2],
    what: &str,
) -> Result<()> {
    let people: Vec<Enrolment> = match work {
        Work::Enrol => {
            (1..=PEOPLE).map(|number| enrolment(number, 1, 512)).collect::<Result<_>>()?
        }
        Work::Commit | Work::Batch => Vec::new(),
    };
    let mut sides = Vec::new();
    for side in Side::ALL {
        let place = folder.join(format!("{}-{}", work.name(), side.name()));
        std::fs::create_dir_all(&place)?;
        side.fill(&place, &people)?;
        sides.push((side, side.open(&place)?, Figures::default(), place));
    }
    for _ in 0..turns {
        for (_, bench, figures, _) in &mut sides {
            turn(figures, bench.as_mut(), work, times)?;
        }
    }
    let _ = write!(
        page,
        "\n## {what}\n\n{turns} turns of {times}.\n\n\
         | side | ms, median | ours over it | bytes passed to write | bytes of pages dirtied | fsync and fdatasync | bytes of the folder |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    let ours = sides.first().map_or(f64::NAN, |(_, _, figures, _)| figures.median());
    for (side, bench, figures, place) in sides {
        // What a side leaves when it is closed is its file size.
        drop::<Box<dyn Bench>>(bench);
        let syncs = syncs::of(folder, side, work)?;
        let _ = writeln!(
            page,
            "| {} | {:.3} | {} | {:.0} | {:.0} | {} | {} |",
            side.name(),
            figures.median(),
            ratio(side, ours, figures.median()),
            figures.each(figures.passed),
            figures.each(figures.dirtied),
            syncs.map_or_else(|| "—".to_owned(), |syncs| format!("{syncs:.2}")),
            bytes_of_folder(&place)?
        );
    }
    Ok(())
}

fn ratio(side: Side, ours: f64, theirs: f64) -> String {
    match side {
        Side::Ours => String::new(),
        Side::Redb | Side::Sqlite => format!("{:.2}", ours / theirs),
    }
}
