//! Rules on names and words, in every file: no names that say nothing, no unfinished work, no foreign hosts, no
//! paths of one machine, no photos, no weights.
//!
//! The words are spelt in parts here, so that this file passes its own rules.

use super::Finding;
use crate::repository::Tree;

/// Names of files and folders that say nothing of what is inside.
const EMPTY_NAMES: [&str; 4] = ["utils", "common", "helpers", "misc"];

/// Marks of unfinished work.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX:")];

/// Hosts that a text may name; any other is a mirror of one place or a typing error.
const HOSTS: [&str; 12] = [
    "arxiv.org",
    "doc.rust-lang.org",
    "docs.rs",
    "embarkstudios.github.io",
    "github.com",
    "keepachangelog.com",
    "opensource.org",
    "rustup.rs",
    "semver.org",
    "spdx.org",
    "www.apache.org",
    "www.w3.org",
];

/// Starts of absolute paths that hold on one machine only.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

/// Files that show people or hold weights: they come by set-up, never by a commit.
const HEAVY: [&str; 9] = ["jpg", "jpeg", "webp", "npy", "safetensors", "pack", "pt", "dat", "onnx"];

/// Largest test picture; drawn ones are smaller, and a photo in which a face can be found is larger.
const MAX_FIXTURE_BYTES: usize = 16 * 1024;

/// Breaches in names and words.
pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, bytes) in tree.files() {
        let stem = |part: &str| part.split('.').next().unwrap_or("").to_owned();
        if let Some(part) = path.split('/').find(|part| EMPTY_NAMES.contains(&stem(part).as_str()))
        {
            let text = format!("`{part}` says nothing; name the file after its one idea");
            findings.push(Finding::new(path, 0, text));
        }
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        let fixture = path.starts_with("tests/") && path.contains("/fixtures/");
        let small = fixture && bytes.len() <= MAX_FIXTURE_BYTES;
        if HEAVY.contains(&extension.to_ascii_lowercase().as_str()) && !small {
            findings.push(Finding::new(
                path,
                0,
                "a photo or weights; `cargo xtask setup` fetches them",
            ));
        }
    }
    // The lock file is cargo's: its sources are checked apart, its words are not ours.
    for (path, text) in tree.texts().filter(|(path, _)| *path != "Cargo.lock") {
        for (index, line) in text.lines().enumerate() {
            let mut found = |text: String| findings.push(Finding::new(path, index + 1, text));
            if let Some(mark) = MARKS.iter().find(|mark| line.contains(*mark)) {
                found(format!("`{mark}`: finish it, or open an issue and leave the mark out"));
            }
            if let Some(host) = foreign_host(line) {
                found(format!("host `{host}` is not among those that a text may name"));
            }
            if let Some(start) = MACHINE_PATHS.iter().find(|start| holds_path(line, start)) {
                found(format!("`{start}...` exists on one machine only"));
            }
        }
    }
    findings.extend(lock_sources(tree));
    findings
}

/// The first host of a web address in a line that is not in the list.
fn foreign_host(line: &str) -> Option<&str> {
    line.split("://").skip(1).zip(line.split("://")).find_map(|(after, before)| {
        let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        let end = after
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'))
            .unwrap_or(after.len());
        let host = &after[..end];
        let web = ["http", "https", "ftp", "git", "ssh"].contains(&scheme);
        (web && host.contains('.') && !HOSTS.contains(&host)).then_some(host)
    })
}

/// True if the line holds an absolute path that starts so, and not a relative one that merely contains it.
fn holds_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "._-/~})>*".contains(c)))
    })
}

/// Packages of the lock file that come from elsewhere than the public registry.
fn lock_sources(tree: &Tree) -> Vec<Finding> {
    let lines = tree.text("Cargo.lock").unwrap_or("").lines().enumerate();
    let foreign = lines.filter(|(_, line)| {
        line.starts_with("source = ")
            && *line != "source = \"registry+https://github.com/rust-lang/crates.io-index\""
    });
    foreign
        .map(|(index, _)| {
            Finding::new("Cargo.lock", index + 1, "a package from outside the public registry")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::findings;

    #[test]
    fn names_that_say_nothing_are_found() {
        let files = [
            ("edge/src/utils.rs", ""),
            ("host/common/mod.rs", ""),
            ("models/src/commonality.rs", ""),
        ];
        check(findings, &files, &["edge/src/utils.rs:0", "host/common/mod.rs:0"]);
    }

    #[test]
    fn photos_and_weights_are_found() {
        let large = "x".repeat(16 * 1024 + 1);
        let files = [
            ("docs/flow.svg", ""),
            ("docs/person.JPG", ""),
            ("models/onet.pt", ""),
            ("tests/cli/fixtures/cmyk.jpg", "small"),
            ("tests/cli/fixtures/person.jpg", &large),
        ];
        let expected = ["docs/person.JPG:0", "models/onet.pt:0", "tests/cli/fixtures/person.jpg:0"];
        check(findings, &files, &expected);
    }

    #[test]
    fn marks_of_unfinished_work_are_found() {
        let text = format!("fine\n{}: later\n// {}\n", concat!("TO", "DO"), concat!("FIX", "ME"));
        check(findings, &[("README.md", &text)], &["README.md:2", "README.md:3"]);
    }

    #[test]
    fn foreign_hosts_are_found() {
        let scheme = concat!("ht", "tp://");
        let text = format!(
            "https://github.com/a\n{scheme}mirror.net/b\nsee <{scheme}a.b/c>\n{scheme}localhost:80\n"
        );
        check(findings, &[("README.md", &text)], &["README.md:2", "README.md:3"]);
    }

    #[test]
    fn paths_of_one_machine_are_found_and_relative_ones_are_not() {
        let text = format!(
            "see {0}a\n\"{1}b\"\ndata{0}c\n../x{0}d\n",
            concat!("/wo", "rk/"),
            concat!("/ro", "ot/")
        );
        check(findings, &[(".ci/run", &text)], &[".ci/run:1", ".ci/run:2"]);
    }

    #[test]
    fn a_package_from_another_registry_is_found() {
        let lock = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"git+https://a\"\n";
        check(findings, &[("Cargo.lock", lock)], &["Cargo.lock:2"]);
    }
}
