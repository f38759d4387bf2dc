//! A sweep of fuzz targets, hours long, in parts: one that was ended goes on where it was, as long as its sources are the same.
//!
//! Owns the page, which is written anew after each part and is all that a later call knows of the earlier ones. Refuses to add up runs
//! of different sources: then a sweep begins anew, and so it does once it was whole.

use super::head;
use crate::fuzz::{self, Figures};
use crate::program::said;
use crate::repository::root;
use anyhow::{Context as _, Result};
use std::process::Command;
use std::time::Instant;

/// Parts of a sweep, each with a share of every target's runs: minutes of a core, a second of it to start.
const PARTS: u64 = 100;

/// What fails any run of a target.
const LAWS: &str =
    "A panic, an overflow, an input of more than 10 s and a broken law of a target fail the run";

/// How far a sweep came.
#[derive(Clone, Debug, Default, PartialEq)]
struct Reached {
    parts: u64,
    seconds: f64,
    figures: Vec<(&'static str, Figures)>,
}

/// Runs a group's targets, each by count, and writes `docs/soak-<page>.md`.
///
/// # Errors
/// If a target cannot be built or finds something.
pub(super) fn run(
    page: &str,
    group: fuzz::Group,
    runs: &[(&'static str, u64)],
    laws: &str,
) -> Result<()> {
    let tool = fuzz::tool()?;
    let (head, sources, start) = (head(page)?, sources(group.sources())?, Instant::now());
    fuzz::prepare(&tool, group)?;
    let version = fuzz::version(&tool)?;
    let name = format!("docs/soak-{page}.md");
    let targets: Vec<_> = runs.iter().map(|(target, _)| *target).collect();
    let before = std::fs::read_to_string(root().join(&name)).unwrap_or_default();
    let mut reached = sources
        .as_ref()
        .and_then(|sources| reached(&before, sources, &targets))
        .filter(|reached| reached.parts < PARTS)
        .unwrap_or_else(|| Reached::of(&targets));
    println!("{page}: {} of {PARTS} parts were run before", reached.parts);
    let of = sources.unwrap_or_else(|| "sources that are not committed".to_owned());
    let earlier_s = reached.seconds;
    while reached.parts < PARTS {
        for ((_, sum), (target, runs)) in reached.figures.iter_mut().zip(runs) {
            let limit = fuzz::Limit::Runs(runs.div_ceil(PARTS));
            fuzz::runs(&[(*target, limit)])?.iter().for_each(|(_, found)| sum.add(found));
        }
        reached.parts += 1;
        reached.seconds = earlier_s + start.elapsed().as_secs_f64();
        let text = format!(
            "{head}\n{}\n{version}. {LAWS}.\n{laws}\n{}",
            line(&reached, &of),
            fuzz::table(&reached.figures)
        );
        std::fs::write(root().join(&name), text).with_context(|| format!("writing {name}"))?;
        println!("written: {name}, part {}", reached.parts);
    }
    Ok(())
}

impl Reached {
    /// Nothing of these targets.
    fn of(targets: &[&'static str]) -> Self {
        let figures = targets.iter().map(|target| (*target, Figures::default())).collect();
        Self { figures, ..Self::default() }
    }
}

/// The line of a page that says how far its sweep came, and of what.
fn line(reached: &Reached, sources: &str) -> String {
    format!("Part {} of {PARTS}, {:.0} s; of {sources}.", reached.parts, reached.seconds)
}

/// How far the sweep of a page came, if that was of these sources and targets.
fn reached(page: &str, sources: &str, targets: &[&'static str]) -> Option<Reached> {
    let line = page.lines().find_map(|line| line.strip_prefix("Part "))?;
    let (parts, rest) = line.split_once(&format!(" of {PARTS}, "))?;
    let (seconds, of) = rest.split_once(" s; of ")?;
    if of.strip_suffix('.') != Some(sources) {
        return None;
    }
    let row = |target: &&'static str| Some((*target, fuzz::figures_of_row(page, target)?));
    let figures = targets.iter().map(row).collect::<Option<_>>()?;
    Some(Reached { parts: parts.parse().ok()?, seconds: seconds.parse().ok()?, figures })
}

/// Folders with what git has of them; `None` if one is not as it was committed.
fn sources(folders: &[&str]) -> Result<Option<String>> {
    let git = |arguments: &[&str]| said(Command::new("git").args(arguments).current_dir(root()));
    if !git(&[&["status", "--porcelain", "--"], folders].concat())?.is_empty() {
        return Ok(None);
    }
    let of = |folder: &&str| -> Result<String> {
        let tree = git(&["rev-parse", "--short=12", &format!("HEAD:{folder}")])?;
        Ok(format!("`{folder}` {}", tree.trim()))
    };
    let each: Vec<String> = folders.iter().map(of).collect::<Result<_>>()?;
    Ok(Some(each.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: [&str; 2] = ["frames", "messages"];

    #[test]
    fn a_sweep_goes_on_where_its_page_ends_and_only_of_the_same_sources() {
        let figures = |runs| Figures { runs, seconds: 7.0, edges: 12, corpus: 34 };
        let figures = vec![("frames", figures(1_000)), ("messages", figures(2_000))];
        let before = Reached { parts: 31, seconds: 457.0, figures };
        let of = "`edge/wire` 0123456789ab, `edge/record` ba9876543210";
        let page = format!("# Soak\n\n{}\n\n{}", line(&before, of), fuzz::table(&before.figures));
        assert_eq!(reached(&page, of, &TARGETS), Some(before));
        assert_eq!(reached(&page, &of.replace("ab,", "ac,"), &TARGETS), None);
        assert_eq!(reached(&page, of, &["frames", "handshake"]), None);
        assert_eq!(reached("# Soak\n", of, &TARGETS), None);
    }

    #[test]
    fn folders_are_named_with_their_trees() {
        let folders = fuzz::Group::Wire.sources();
        if let Some(named) = sources(folders).expect("git") {
            assert!(folders.iter().all(|folder| named.contains(folder)), "{named}");
        }
    }
}
