//! Rules on manifests: one dependency table with default features off, and the arrows between crates.

use super::Finding;
use crate::repository::Tree;
use toml::{Table, Value};

/// Which of our crates each of our crates may use; a crate that is not here may use none.
///
/// The unit and the administrator's tool never appear in each other's row, nor in that of xtask, which drives them
/// as a user does.
const ARROWS: [(&str, &[&str]); 17] = [
    ("threshold-wire", &["threshold-record"]),
    ("threshold-policy", &["threshold-record"]),
    ("threshold-store", &["threshold-record"]),
    ("threshold-mtd", &["threshold-store"]),
    ("threshold-tpm", &["threshold-store"]),
    ("threshold-models", &["threshold-record"]),
    // The kernels for its tests, which run what was trained on the emulator.
    ("threshold-train", &["threshold-kernels", "threshold-models"]),
    ("threshold-kernels", &["threshold-models", "threshold-record"]),
    ("threshold-slots", &["threshold-bundle"]),
    (
        "threshold-edge",
        &[
            "threshold-bundle",
            "threshold-kernels",
            "threshold-models",
            "threshold-mtd",
            "threshold-policy",
            "threshold-record",
            "threshold-slots",
            "threshold-store",
            "threshold-tpm",
            "threshold-wire",
        ],
    ),
    ("threshold-host", LOWER),
    (
        "threshold-tests",
        &[
            "threshold-bundle",
            "threshold-edge",
            "threshold-host",
            "threshold-kernels",
            "threshold-models",
            "threshold-mtd",
            "threshold-policy",
            "threshold-record",
            "threshold-slots",
            "threshold-store",
            "threshold-tpm",
            "threshold-wire",
        ],
    ),
    ("threshold-bare", &["threshold-policy", "threshold-record", "threshold-wire"]),
    ("threshold-store-fuzz", &["threshold-record", "threshold-store"]),
    ("threshold-wire-fuzz", &["threshold-record", "threshold-wire"]),
    ("threshold-peers", &["threshold-record", "threshold-store"]),
    (
        "xtask",
        &[
            "threshold-bundle",
            "threshold-kernels",
            "threshold-models",
            "threshold-record",
            "threshold-wire",
        ],
    ),
];

const LOWER: &[&str] = &[
    "threshold-bundle",
    "threshold-kernels",
    "threshold-models",
    "threshold-policy",
    "threshold-record",
    "threshold-store",
    "threshold-wire",
];

/// Breaches in any manifest.
pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        if path != "Cargo.toml" && !path.ends_with("/Cargo.toml") {
            continue;
        }
        match text.parse::<Table>() {
            Ok(manifest) => findings.extend(of_manifest(path, &manifest)),
            Err(error) => findings.push(Finding::new(path, 0, format!("is no TOML: {error}"))),
        }
    }
    findings
}

fn of_manifest(path: &str, manifest: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    let table = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    for (name, entry) in table.and_then(Value::as_table).into_iter().flatten() {
        let own = entry.get("path").is_some();
        let off = entry.get("default-features").and_then(Value::as_bool) == Some(false);
        if !own && !off {
            let text =
                format!("`{name}` in the dependency table without `default-features = false`");
            findings.push(Finding::new(path, 0, text));
        }
    }
    let crate_name = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(Value::as_str)
        .unwrap_or("");
    let allowed =
        ARROWS.iter().find(|(from, _)| *from == crate_name).map_or(&[][..], |(_, to)| *to);
    for (name, entry) in dependencies(manifest) {
        if entry.get("workspace").and_then(Value::as_bool) != Some(true) {
            let text =
                format!("`{name}` is outside the dependency table; write `workspace = true`");
            findings.push(Finding::new(path, 0, text));
        }
        if name.starts_with("threshold-") && !allowed.contains(&name) {
            let text =
                format!("an arrow from `{crate_name}` to `{name}`, which the design forbids");
            findings.push(Finding::new(path, 0, text));
        }
    }
    findings
}

/// Every dependency of a manifest: of the crate, its tests, its build script, on every target.
fn dependencies(manifest: &Table) -> Vec<(&str, &Value)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = std::iter::once(manifest)
        .chain(targets.into_iter().flat_map(|all| all.values().filter_map(Value::as_table)));
    tables
        .flat_map(|table| {
            ["dependencies", "dev-dependencies", "build-dependencies"]
                .into_iter()
                .filter_map(|kind| table.get(kind)?.as_table())
                .flatten()
        })
        .map(|(name, entry)| (name.as_str(), entry))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::findings;

    #[test]
    fn a_table_entry_with_default_features_is_found() {
        let text = "[workspace.dependencies]\na = { path = \"a\" }\nb = \"1\"\n\
            c = { version = \"1\", default-features = false }\nd = { version = \"1\" }\n";
        check(findings, &[("Cargo.toml", text)], &["Cargo.toml:0", "Cargo.toml:0"]);
    }

    #[test]
    fn a_dependency_outside_the_table_is_found_on_every_target() {
        let text = "[package]\nname = \"threshold-edge\"\n[dependencies]\na.workspace = true\n\
            [dev-dependencies]\nb = \"1\"\n[target.'cfg(unix)'.dependencies]\nc = { version = \"1\" }\n";
        check(findings, &[("edge/Cargo.toml", text)], &["edge/Cargo.toml:0", "edge/Cargo.toml:0"]);
    }

    #[test]
    fn arrows_against_the_design_are_found() {
        let manifest = |from: &str, to: &str| {
            format!("[package]\nname = \"{from}\"\n[dependencies]\n{to}.workspace = true\n")
        };
        let cases = [
            ("threshold-wire", "threshold-record", true),
            ("threshold-record", "threshold-wire", false),
            ("threshold-policy", "threshold-store", false),
            ("threshold-models", "threshold-edge", false),
            ("threshold-edge", "threshold-host", false),
            ("threshold-host", "threshold-edge", false),
            ("threshold-host", "threshold-wire", true),
            ("threshold-tests", "threshold-edge", true),
            ("xtask", "threshold-host", false),
        ];
        for (from, to, allowed) in cases {
            let text = manifest(from, to);
            let expected: &[&str] = if allowed { &[] } else { &["a/Cargo.toml:0"] };
            check(findings, &[("a/Cargo.toml", &text)], expected);
        }
    }
}
