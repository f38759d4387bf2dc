//! What is wrong with a configuration file: every problem, each with its line and the nearest thing that would be right.
//!
//! Owns the walk over the file beside what the types say of it. Each value is read alone, so that one that is wrong hides none
//! of the others. Refuses to repair a misspelt key by itself: what a door does shall stand in the file.

use super::Config;
use super::shape::{ELEMENT, Shape, shape_at};
use serde::Deserialize as _;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Line from 1; 0 for the whole file.
    pub(super) line: usize,
    /// What is wrong, and what would be right.
    pub(super) what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

/// The configuration of a text.
///
/// # Errors
/// Everything that is wrong with it, in the order of lines; never empty.
pub(super) fn read(text: &str) -> Result<Config, Vec<Problem>> {
    let (document, faults) = DeTable::parse_recoverable(text);
    let mut walk = Walk { text, problems: Vec::new() };
    for fault in &faults {
        walk.found(fault.span(), fault.message().to_owned());
    }
    let unreadable: Vec<usize> = walk.problems.iter().map(|problem| problem.line).collect();
    walk.table(&[], document.get_ref());
    // What could be saved of a line that is no TOML says nothing that its own problem does not.
    let mut problems = walk.problems;
    let mut nth = 0;
    problems.retain(|problem| {
        nth += 1;
        nth <= unreadable.len() || !unreadable.contains(&problem.line)
    });
    if problems.is_empty() {
        match toml::from_str::<Config>(text) {
            Ok(config) => {
                let mut walk = Walk { text, problems };
                for (section, what) in config.broken() {
                    // A check begins with the key.
                    let key = what.split_whitespace().next().unwrap_or_default();
                    walk.found(span_of(document.get_ref(), section, key), what.clone());
                }
                problems = walk.problems;
                if problems.is_empty() {
                    return Ok(config);
                }
            }
            // What no value shows alone.
            Err(error) => {
                let mut walk = Walk { text, problems };
                walk.found(error.span(), error.message().to_owned());
                problems = walk.problems;
            }
        }
    }
    problems.sort_by_key(|problem| problem.line);
    Err(problems)
}

/// Where a key's value stands.
fn span_of(document: &DeTable<'_>, section: &str, key: &str) -> Option<Range<usize>> {
    document.get(section)?.get_ref().as_table()?.get(key).map(Spanned::span)
}

struct Walk<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn found(&mut self, span: Option<Range<usize>>, what: String) {
        let before = span.and_then(|span| self.text.get(..span.start));
        let line = before.map_or(0, |before| before.matches('\n').count() + 1);
        self.problems.push(Problem { line, what });
    }

    /// Looks at each key of a table that has keys of its own.
    fn table(&mut self, path: &[&str], table: &DeTable<'_>) {
        let Shape::Table(known) = shape_at::<Config>(path) else { return };
        for (key, value) in table {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                self.found(Some(key.span()), unknown(path, name, known));
                continue;
            }
            let path: Vec<&str> = path.iter().copied().chain([name]).collect();
            let inner: Vec<&str> = path.iter().copied().chain([ELEMENT]).collect();
            match (value.get_ref(), shape_at::<Config>(&path)) {
                (DeValue::Table(table), Shape::Table(_)) => {
                    let before = self.problems.len();
                    self.table(&path, table);
                    // A table within a section is read whole once each part is right: a key may be missing.
                    if path.len() > 1 && self.problems.len() == before {
                        self.value(&path, value);
                    }
                }
                (DeValue::Array(elements), Shape::List)
                    if matches!(shape_at::<Config>(&inner), Shape::Table(_)) =>
                {
                    for element in elements {
                        let before = self.problems.len();
                        if let DeValue::Table(table) = element.get_ref() {
                            self.table(&inner, table);
                        }
                        // The whole of it only if each part is right: a key may be missing.
                        if self.problems.len() == before {
                            self.value(&inner, element);
                        }
                    }
                }
                _ => self.value(&path, value),
            }
        }
    }

    /// Reads a configuration that says nothing but this.
    fn value(&mut self, path: &[&str], value: &Spanned<DeValue<'_>>) {
        let alone = path.iter().rev().fold(value.clone(), |inner, &step| {
            let whole = match step {
                ELEMENT => DeValue::Array([inner].into_iter().collect()),
                key => {
                    let key = Spanned::new(value.span(), key.to_owned().into());
                    DeValue::Table([(key, inner)].into_iter().collect())
                }
            };
            Spanned::new(value.span(), whole)
        });
        let Err(error) = Config::deserialize(toml::de::ValueDeserializer::from(alone)) else {
            return;
        };
        // A part of a table in a section, read alone, misses its siblings.
        let part = path.len() > 2 && path.last() != Some(&ELEMENT);
        if part && error.message().starts_with("missing field") {
            return;
        }
        let near = match (value.get_ref().as_str(), shape_at::<Config>(path)) {
            (Some(said), Shape::Choice(known)) => did_you_mean(said, known),
            _ => String::new(),
        };
        let at = error.span().filter(|span| !span.is_empty()).unwrap_or_else(|| value.span());
        let keys = path.iter().filter(|&&step| step != ELEMENT);
        let key = keys.copied().collect::<Vec<_>>().join(".");
        self.found(Some(at), format!("{key}: {}{near}", error.message()));
    }
}

/// What is said of a key that nobody knows.
fn unknown(path: &[&str], name: &str, known: &[&str]) -> String {
    let place = match path {
        [] => "there is no section".to_owned(),
        path => format!("[{}] has no key", path.join(".").replace(&format!(".{ELEMENT}"), "")),
    };
    let Shape::Table(sections) = shape_at::<Config>(&[]) else {
        return format!("{place} `{name}`");
    };
    let elsewhere = sections.iter().find(|&&section| {
        matches!(shape_at::<Config>(&[section]), Shape::Table(keys) if keys.contains(&name))
    });
    let hint = match (did_you_mean(name, known), elsewhere) {
        (near, None) => near,
        (_, Some(section)) => format!("; it belongs into [{section}]"),
    };
    if !hint.is_empty() {
        return format!("{place} `{name}`{hint}");
    }
    match known {
        [] => format!("{place} `{name}`, and no other"),
        known => format!("{place} `{name}`; there are {}", known.join(", ")),
    }
}

/// The nearest known word, if about one letter in three is wrong at most.
fn did_you_mean(said: &str, known: &[&str]) -> String {
    let distance = |word: &&&str| strsim::damerau_levenshtein(&said.to_lowercase(), word);
    let nearest = known.iter().min_by_key(distance);
    let near = nearest.filter(|word| distance(word) <= word.len().div_ceil(3));
    near.map_or_else(String::new, |word| format!("; did you mean `{word}`?"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn every_problem_is_said_with_its_line_and_what_is_nearest() {
        let text = "[unit]\nnaem = \"north\"\n\n[engin]\nthreads = 2\n\n[engine]\nkind = \"cdua\"\n\
                    threads = \"two\"\nmin_face_px = -1\ndata = \"d\"\nwhat = 1\nthreads = 3\n";
        let problems = read(text).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            "line 2: [unit] has no key `naem`; did you mean `name`?",
            "line 4: there is no section `engin`; did you mean `engine`?",
            "line 8: engine.kind: unknown variant `cdua`, expected `cpu` or `cuda`; did you mean `cuda`?",
            "line 9: engine.threads: invalid type: string \"two\", expected u16",
            "line 10: engine.min_face_px: invalid value: integer `-1`, expected u32",
            "line 11: [engine] has no key `data`; it belongs into [unit]",
            "line 12: [engine] has no key `what`; there are kind, model, packs, kernels, threads, min_face_px",
            "line 13: duplicate key",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn what_is_no_toml_is_said_with_its_line_and_hides_no_misspelt_key() {
        let problems = read("[unit]\nname = north\n[engine]\ntreads = 2\n").unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert_eq!((problems[0].line, problems[1].line), (2, 4));
        assert!(problems[1].what.contains("did you mean `threads`"), "{problems:?}");
    }

    #[test]
    fn a_value_out_of_its_range_is_said_with_its_line() {
        for (text, expected) in [
            (
                "[engine]\nmin_face_px = 3\n",
                "line 2: min_face_px in [engine] is 3: it may be 12 to 4096",
            ),
            ("[engine]\n\n\nthreads = 0\n", "line 4: threads in [engine] is 0: it may be 1 to 64"),
        ] {
            let problems = read(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].to_string(), expected);
        }
    }

    #[test]
    fn a_section_that_is_no_table_and_a_file_that_is_none_are_problems_with_a_line() {
        for text in ["engine = 3\n", "\u{0}", "[engine\n", "engine = [1]\n"] {
            let problems = read(text).unwrap_err();
            assert!(problems.iter().all(|problem| problem.line == 1), "{text:?}: {problems:?}");
        }
    }
}
