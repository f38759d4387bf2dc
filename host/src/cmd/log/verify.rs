//! `threshold log verify`: whether the kept log is what the unit signed, and the unit's log still what was kept.
//!
//! Owns the verdict and its words. Refuses to change the file: a bad one is evidence.

use super::keep::{self, Live};
use crate::cmd::Answer;
use crate::error::HostError;
use crate::kept::{self, Contents};
use crate::meant::Meant;
use crate::session::Session;
use crate::{args, remedy, trust};
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::path::Path;

/// Checks.
///
/// # Errors
/// A unit that was not paired or does not answer, and a file that is no kept log. What is found is no error but the answer no.
pub fn run(meant: &Meant, typed: &args::VerifyLog) -> anyhow::Result<Answer> {
    let keychain = &meant.keychain;
    let (unit, key, mut live) = match &typed.name {
        Some(name) => {
            let nothing = || HostError::NothingKept { unit: name.clone() };
            (name.clone(), keychain.identity(name)?.ok_or_else(nothing)?, None)
        }
        None => {
            let mut session = Session::open_started(meant)?;
            let unit = session.hello().unit.as_str().to_owned();
            let nothing = || HostError::NothingKept { unit: unit.clone() };
            let identity = trust::identity(keychain, &mut session)?.ok_or_else(nothing)?;
            (unit, identity.key, Some((session, identity)))
        }
    };
    let path = keychain.kept(&key, "log");
    if !path.exists() {
        return Err(HostError::NothingKept { unit }.into());
    }
    let len = std::fs::metadata(&path).map_err(HostError::file(&path))?.len();
    let (found, contents) = kept::read(&path)?;
    let is_other = live.as_ref().is_some_and(|(_, identity)| *identity != found);
    if found.key != key || is_other {
        return Err(HostError::KeptForeign { path }.into());
    }
    let mut report =
        Report { half: contents.bad.is_none() && contents.whole_bytes < len, ..Report::default() };
    if let (None, Some((session, identity))) = (contents.bad, &mut live) {
        match keep::compare(session, identity, contents.tip, contents.signed) {
            Ok(live) => report.live = Some(live),
            Err(error) => match error.downcast_ref() {
                Some(HostError::UnitRolledBack { .. }) => report.unit_fault = Some(error),
                Some(HostError::UnitDiffers { .. }) => {
                    let different = keep::first_different(session, &path)?;
                    report.unit_fault = Some(match different {
                        Some(first) => HostError::UnitDiffers { first, last: first }.into(),
                        None => error,
                    });
                }
                _ => return Err(error),
            },
        }
    }
    let verdict = report.verdict(&path, &contents);
    let value = report.value(&unit, &path, &contents, &verdict);
    meant.say.result(&value, || report.text(&path, &contents, &verdict))?;
    Ok(if verdict.is_whole { Answer::Yes } else { Answer::No })
}

/// What was found beside the file's contents.
#[derive(Default)]
struct Report {
    /// A half-written record stands at the file's end.
    half: bool,
    /// The unit's log, if it goes on from the kept one.
    live: Option<Live>,
    /// Why it does not.
    unit_fault: Option<anyhow::Error>,
}

/// The answer, in a word and in words.
struct Verdict {
    is_whole: bool,
    word: &'static str,
    /// The first entry that is not vouched for.
    first_bad: Option<u64>,
    why: Option<String>,
    remedy: Option<String>,
}

impl Report {
    fn verdict(&self, path: &Path, contents: &Contents) -> Verdict {
        let no = |word, first_bad, error: &anyhow::Error| Verdict {
            is_whole: false,
            word,
            first_bad,
            why: Some(remedy::without(error)),
            remedy: Some(remedy::of(error)),
        };
        if let Some(bad) = contents.bad {
            let error = HostError::KeptBad { path: path.to_path_buf(), bad };
            return no("bad", Some(bad.sequence), &error.into());
        }
        if let Some(error) = &self.unit_fault {
            let (word, first) = match error.downcast_ref() {
                Some(HostError::UnitRolledBack { unit_last, .. }) => ("rolled_back", unit_last + 1),
                Some(HostError::UnitDiffers { first, .. }) => ("differs", *first),
                _ => ("differs", contents.signed + 1),
            };
            return no(word, Some(first), error);
        }
        let still_there = |lost: &&RangeInclusive<u64>| {
            self.live.as_ref().is_some_and(|live| live.oldest > 0 && live.oldest <= *lost.end())
        };
        if let Some(lost) = contents.lost.iter().find(still_there) {
            let oldest = self.live.as_ref().map_or(0, |live| live.oldest).max(*lost.start());
            let bad =
                kept::Bad { sequence: oldest, kind: kept::BadKind::TakenOut { last: *lost.end() } };
            let error = HostError::KeptBad { path: path.to_path_buf(), bad };
            return no("bad", Some(oldest), &error.into());
        }
        if let Some(first) = self.first_unsigned(contents) {
            let error = HostError::KeptUnsigned { first, last: contents.tip.sequence };
            return no("unsigned", Some(first), &error.into());
        }
        Verdict { is_whole: true, word: "whole", first_bad: None, why: None, remedy: None }
    }

    /// The first entry that no signature vouches for; what the unit signs now vouches for the last ones too.
    fn first_unsigned(&self, contents: &Contents) -> Option<u64> {
        let vouched = self.live.as_ref().is_some_and(|live| live.lost.is_none());
        let tail = contents.signed < contents.tip.sequence && !vouched;
        let ranges = contents.unsigned.iter().map(|range| *range.start());
        ranges.chain(tail.then_some(contents.signed + 1)).min()
    }

    fn lost(&self, contents: &Contents) -> Vec<(u64, u64)> {
        let kept = contents.lost.iter().map(|lost| (*lost.start(), *lost.end()));
        kept.chain(self.live.as_ref().and_then(|live| live.lost)).collect()
    }

    fn value(&self, unit: &str, path: &Path, contents: &Contents, verdict: &Verdict) -> Value {
        json!({
            "unit": unit,
            "kept": path.display().to_string(),
            "verdict": verdict.word,
            "first_bad": verdict.first_bad,
            "why": verdict.why,
            "remedy": verdict.remedy,
            "entries": contents.entries,
            "first": contents.first,
            "last": contents.tip.sequence,
            "signed": contents.signed,
            "checkpoints": contents.checkpoints,
            "half_record": self.half,
            "lost": self.lost(contents),
            "unit_head": self.live.as_ref().map(|live| live.head),
        })
    }

    fn text(&self, path: &Path, contents: &Contents, verdict: &Verdict) -> String {
        let (first, last) = (contents.first, contents.tip.sequence);
        let mut lines = Vec::new();
        match (&verdict.why, &verdict.remedy) {
            (Some(why), Some(remedy)) => {
                lines.extend([format!("no: {why}"), format!("try: {remedy}")])
            }
            _ if contents.entries == 0 => lines.push("no entry is kept".to_owned()),
            _ => lines.push(format!("entries {first} to {last} are as the unit signed them")),
        }
        for (first, last) in self.lost(contents) {
            lines.push(format!(
                "entries {first} to {last} are not kept here: the unit had overwritten or pruned them before they were pulled, or they were taken out of this file after an owner pruned them there"
            ));
        }
        if self.half {
            lines.push(
                "a pull was cut off within the last record, which counts for nothing".to_owned(),
            );
        }
        lines.push(match &self.live {
            Some(live) if live.head > last => {
                format!("the unit's log goes on from there to entry {}", live.head)
            }
            Some(_) => "the unit's log ends there too".to_owned(),
            None if self.unit_fault.is_some() || contents.bad.is_some() => {
                format!("checked up to entry {last} in {}", path.display())
            }
            None => "the unit was not asked: name none to compare with the unit itself".to_owned(),
        });
        lines.join("\n")
    }
}
