//! Golden bytes of the wire and of flash: each set's digest stands in the changelog.
//!
//! The golden files are what other versions have sent and stored; a change of one is a change of a format.
//! So the digest over a set is written in `CHANGELOG.md`, where the entry must say what it means for compatibility;
//! a set whose digest is not there fails.

use super::Finding;
use crate::repository::Tree;

/// A name for the changelog, and the folder of golden files.
const SETS: [(&str, &str); 2] = [("wire", "tests/wire/golden/"), ("flash", "tests/store/golden/")];

/// Sets of golden files whose digest the changelog does not state.
pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let changelog = tree.text("CHANGELOG.md").unwrap_or("");
    let mut findings = Vec::new();
    for (name, folder) in SETS {
        let Some(digest) = digest(tree, folder) else { continue };
        let line = format!("golden bytes of {name}: {digest}");
        if !changelog.contains(&line) {
            let text = format!(
                "the {name} layout changed without its doc; say in CHANGELOG.md what it means for \
                 compatibility, with the line `{line}`"
            );
            findings.push(Finding::new(folder, 0, text));
        }
    }
    findings
}

/// The first 16 hex digits of BLAKE3 over names and bytes of a folder's files; `None` if it has none.
fn digest(tree: &Tree, folder: &str) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    let mut any = false;
    for (path, bytes) in tree.files().filter(|(path, _)| path.starts_with(folder)) {
        any = true;
        for part in [path.as_bytes(), bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    any.then(|| hasher.finalize().to_hex()[..16].to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::super::testing::check;
    use super::*;

    #[test]
    fn golden_bytes_that_the_changelog_does_not_state_are_found() {
        let golden = ("tests/wire/golden/hello.hex", "01 02");
        let digest = digest(&Tree::made_up(&[golden]), "tests/wire/golden/").unwrap();
        let changelog = format!("## 0.1.0\n- golden bytes of wire: {digest}\n");
        check(findings, &[], &[]);
        check(findings, &[golden], &["tests/wire/golden/:0"]);
        check(findings, &[("CHANGELOG.md", &changelog), golden], &[]);
        let changed = ("tests/wire/golden/hello.hex", "01 03");
        check(findings, &[("CHANGELOG.md", &changelog), changed], &["tests/wire/golden/:0"]);
    }
}
