//! Layouts that other versions rely on: the wire's messages, the log entry, and golden files; the changelog states
//! the digest of each.
//!
//! A layout that changes has another digest, so the change fails here until the changelog says what it means for
//! compatibility. Refuses to judge whether the change was wise; it only cannot pass unseen.

use super::Finding;
use crate::repository::Tree;
use threshold_record::{
    Cause, EntryKind, KeyTag, LogEntry, PersonId, Presentation, Reason, Score, WallTime,
};

/// Sets of golden files: a name for the changelog, and the folder.
const GOLDEN: [(&str, &str); 2] =
    [("wire", "tests/wire/golden/"), ("flash", "tests/store/golden/")];

/// Layouts whose line is not in the changelog.
pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let changelog = tree.text("CHANGELOG.md").unwrap_or("");
    let golden = GOLDEN.iter().filter_map(|(name, folder)| {
        Some(format!("golden bytes of {name}: {}", digest_of_folder(tree, folder)?))
    });
    [wire_line(), entry_line()]
        .into_iter()
        .chain(golden)
        .filter(|line| !changelog.contains(line.as_str()))
        .map(|line| {
            let text = format!(
                "a layout changed without its doc; say what it means for compatibility, and add `{line}`"
            );
            Finding::new("CHANGELOG.md", 0, text)
        })
        .collect()
}

/// The wire's version with the digest of its endpoint table, as the hello compares it.
fn wire_line() -> String {
    format!(
        "wire protocol {}: {}",
        threshold_wire::PROTOCOL,
        hex(&threshold_wire::endpoints::DIGEST.to_be_bytes())
    )
}

/// The log entry's version with a digest of an entry whose fields all differ.
fn entry_line() -> String {
    let entry = LogEntry {
        sequence: 0x0102_0304_0506_0708,
        boot: 0x090a_0b0c,
        monotonic_ms: 0x0d0e_0f10_1112,
        wall: WallTime { unix_ms: 0x1314_1516_1718, trusted: true },
        kind: EntryKind::Decision,
        reason: Reason::Ambiguous,
        cause: Cause::TurnedAway,
        presentation: Presentation::Spoof,
        quality: 0x19,
        person: PersonId(0x1a1b_1c1d),
        runner_up: PersonId(0x1e1f_2021),
        best_score: Score(0.75),
        runner_up_score: Score(-0.5),
        threshold: Score(0.25),
        detect_dms: 0x2223,
        embed_dms: 0x2425,
        total_dms: 0x2627,
        context_model: 0x2829,
        context_policy: 0x2a2b,
        context_config: 0x2c2d,
        by: KeyTag([0x2e, 0x2f, 0x30, 0x31]),
        about: KeyTag([0x32, 0x33, 0x34, 0x35]),
    };
    let digest = blake3::hash(&entry.to_bytes());
    format!("log entry {}: {}", LogEntry::VERSION, hex(&digest.as_bytes()[..8]))
}

/// The first 8 bytes of BLAKE3 over names and bytes of a folder's files, in hex; `None` if it has none.
fn digest_of_folder(tree: &Tree, folder: &str) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    let mut any = false;
    for (path, bytes) in tree.files().filter(|(path, _)| path.starts_with(folder)) {
        any = true;
        for part in [path.as_bytes(), bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    any.then(|| hex(&hasher.finalize().as_bytes()[..8]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::super::testing::check;
    use super::*;

    #[test]
    fn a_layout_that_the_changelog_does_not_state_is_found() {
        let stated = format!("{}\n{}\n", wire_line(), entry_line());
        check(findings, &[("CHANGELOG.md", &stated)], &[]);
        check(findings, &[("CHANGELOG.md", &entry_line())], &["CHANGELOG.md:0"]);
        check(findings, &[], &["CHANGELOG.md:0", "CHANGELOG.md:0"]);
    }

    #[test]
    fn golden_bytes_that_the_changelog_does_not_state_are_found() {
        let golden = ("tests/wire/golden/hello.hex", "01 02");
        let digest = digest_of_folder(&Tree::made_up(&[golden]), "tests/wire/golden/").unwrap();
        let stated =
            format!("{}\n{}\n- golden bytes of wire: {digest}\n", wire_line(), entry_line());
        check(findings, &[("CHANGELOG.md", &stated), golden], &[]);
        let changed = ("tests/wire/golden/hello.hex", "01 03");
        check(findings, &[("CHANGELOG.md", &stated), changed], &["CHANGELOG.md:0"]);
    }
}
