//! The licences of all dependencies, from `cargo metadata`, against the list.
//!
//! `deny.toml` has the same list for `cargo deny`, which also reads the advisory database; that database lives
//! outside the package registries, so it is for those with internet, and this check for everyone.

use super::Finding;
use crate::repository::Tree;
use anyhow::{Context as _, Result};
use serde_json::Value;
use spdx::{Expression, ParseMode};
use toml::Table;

/// Licences that a dependency may have; a new one is a decision, and stands in the changelog.
const ALLOWED: [&str; 10] = [
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "IJG",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// A breach if `deny.toml` allows other licences than this list.
pub(super) fn list_findings(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text("deny.toml") else { return Vec::new() };
    let deny = text.parse::<Table>().unwrap_or_default();
    let allow = deny.get("licenses").and_then(|table| table.get("allow")?.as_array());
    let listed: Option<Vec<&str>> =
        allow.map(|all| all.iter().filter_map(toml::Value::as_str).collect());
    match listed.as_deref() == Some(&ALLOWED) {
        true => Vec::new(),
        false => vec![Finding::new(
            "deny.toml",
            0,
            format!("its licences are not those of tidy/licences.rs: {}", ALLOWED.join(", ")),
        )],
    }
}

/// Packages whose licence the list does not satisfy.
///
/// # Errors
/// If the text is not the output of `cargo metadata`.
pub(super) fn findings(metadata: &str) -> Result<Vec<Finding>> {
    let metadata: Value =
        serde_json::from_str(metadata).context("cargo metadata printed no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or("?");
        let version = package["version"].as_str().unwrap_or("?");
        let problem = match package["license"].as_str() {
            None => Some("states no licence".to_owned()),
            Some(licence) => match Expression::parse_mode(licence, ParseMode::LAX) {
                Err(_) => Some(format!("licence `{licence}` is no SPDX expression")),
                Ok(expression) => (!allowed(&expression))
                    .then(|| format!("licence `{licence}` is not in the list of tidy/licences.rs")),
            },
        };
        if let Some(problem) = problem {
            findings.push(Finding::new(&format!("{name} {version}"), 0, problem));
        }
    }
    Ok(findings)
}

fn allowed(expression: &Expression) -> bool {
    expression.evaluate(|requirement| {
        requirement.license.id().is_some_and(|id| ALLOWED.contains(&id.name))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::super::testing;
    use super::*;

    fn check(licence: Option<&str>, passes: bool) {
        let licence = licence.map_or("null".to_owned(), |text| format!("\"{text}\""));
        let metadata = format!(
            "{{\"packages\":[{{\"name\":\"a\",\"version\":\"1.0.0\",\"license\":{licence}}}]}}"
        );
        assert_eq!(findings(&metadata).unwrap().is_empty(), passes, "{licence}");
    }

    #[test]
    fn a_licence_outside_the_list_is_found() {
        check(Some("MIT"), true);
        check(Some("MIT OR GPL-3.0"), true);
        check(Some("MIT/Apache-2.0"), true);
        check(Some("Apache-2.0 WITH LLVM-exception"), true);
        check(Some("(MIT OR Apache-2.0) AND Unicode-3.0"), true);
        check(Some("MIT AND GPL-3.0"), false);
        check(Some("GPL-3.0-only"), false);
        check(Some("of my own"), false);
        check(None, false);
    }

    #[test]
    fn a_deny_toml_with_other_licences_is_found() {
        let list = |licences: &[&str]| format!("[licenses]\nallow = {licences:?}\n");
        let same = list(&ALLOWED);
        testing::check(list_findings, &[("deny.toml", &same)], &[]);
        let other = list(&["MIT", "GPL-3.0"]);
        testing::check(list_findings, &[("deny.toml", &other)], &["deny.toml:0"]);
    }
}
