//! The boot's load: a folder opened and every template read into memory. The page cache is warm for all sides alike.

use crate::measure::Figures;
use crate::work::{Enrolment, Side, enrolment};
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::Instant;

/// People with [`SLOTS`] templates each: 10,000 templates.
const PEOPLE: u32 = 1250;
const SLOTS: u8 = 8;
const TURNS: usize = 7;

/// What each side's loads took, and the bytes of its folder.
pub(crate) fn loads(folder: &Path, dimensions: usize) -> Result<[(Figures, u64); 3]> {
    let people: Vec<Enrolment> =
        (1..=PEOPLE).map(|number| enrolment(number, SLOTS, dimensions)).collect::<Result<_>>()?;
    let expected = people.iter().flat_map(|one| &one.templates);
    let expected: i64 = expected.map(|template| crate::work::sum(&template.vector)).sum();
    let places = Side::ALL.map(|side| folder.join(format!("load-{dimensions}-{}", side.name())));
    for (side, place) in Side::ALL.into_iter().zip(&places) {
        std::fs::create_dir_all(place)?;
        side.fill(place, &people)?;
    }
    let mut figures = [const { Vec::new() }; 3];
    for _ in 0..TURNS {
        for ((side, place), times) in Side::ALL.into_iter().zip(&places).zip(&mut figures) {
            let start = Instant::now();
            let found = side.open(place)?.load()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            ensure!(found == (10_000, expected), "{} loads something else", side.name());
        }
    }
    let mut done = [const { (Figures { times: Vec::new(), passed: 0, dirtied: 0 }, 0) }; 3];
    for ((one, times), place) in done.iter_mut().zip(figures).zip(&places) {
        one.0.times = times;
        one.1 = bytes_of_folder(place)?;
    }
    Ok(done)
}

/// Bytes of all files of a folder.
pub(crate) fn bytes_of_folder(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}
