//! The house rules that rustc and clippy do not know; each is a function from a tree to findings.
//!
//! | module | rules |
//! | --- | --- |
//! | `source` | file header, file length, `unsafe`, printing and processes out of place, `allow` without a reason |
//! | `words` | file names that say nothing, unfinished work, foreign hosts, paths of one machine, photos and weights |
//! | `manifests` | dependency table, arrows between crates |
//! | `formats` | a wire or flash layout that changed without its line in the changelog |
//! | `licences` | a dependency's licence outside the list |
//!
//! Refuses to repair: it says what is wrong and what would be right.

mod formats;
mod licences;
mod manifests;
mod source;
mod words;

use crate::program::{cargo, output};
use crate::repository::Tree;
use anyhow::{Result, bail};
use std::fmt;

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Path from the root.
    path: String,
    /// Line from 1; 0 for the whole file.
    line: usize,
    /// What is wrong, and what would be right.
    text: String,
}

impl Finding {
    fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.text),
            line => write!(f, "{}:{line}: {}", self.path, self.text),
        }
    }
}

/// Checks the checkout.
///
/// # Errors
/// If any rule is broken; the findings are printed.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::of_checkout()?;
    let mut findings = Vec::new();
    let rules: [fn(&Tree) -> Vec<Finding>; 5] = [
        source::findings,
        words::findings,
        manifests::findings,
        formats::findings,
        licences::list_findings,
    ];
    for rule in rules {
        findings.extend(rule(&tree));
    }
    let metadata = output(&mut cargo(&["metadata", "--format-version", "1", "--locked"]))?;
    findings.extend(licences::findings(&metadata)?);
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("tidy found {count} breaches of the house rules, listed above"),
    }
}

#[cfg(test)]
mod testing {
    //! What the tests of all rules share.

    use super::Finding;
    use crate::repository::Tree;

    /// Asserts that a rule finds exactly these `path:line` in a made-up tree.
    pub(super) fn check(
        rule: fn(&Tree) -> Vec<Finding>,
        files: &[(&str, &str)],
        expected: &[&str],
    ) {
        let findings = rule(&Tree::made_up(files));
        let found: Vec<String> =
            findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect();
        assert_eq!(found, expected, "{findings:#?}");
    }
}
