//! Rules on Rust sources, read as tokens, so that words in comments and strings do not count.

use super::Finding;
use crate::repository::Tree;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Lines past which a file is two ideas.
const MAX_LINES: usize = 900;

/// Where `unsafe` may stand: the SIMD kernels and the devices, the system calls of raw flash, and the program that starts without `std`, for
/// its symbols' names.
const UNSAFE_PLACES: [&str; 4] =
    ["models/src/cpu", "kernels/src/device", "edge/mtd/src/calls.rs", "tests/bare"];

/// Who may print: the administrator's tool, the one that trains, the developer's tasks, and tests, which say what they
/// skipped.
const PRINTING_PLACES: [&str; 5] =
    ["host/", "models/train/src/say.rs", "models/train/tests/", "xtask/", "tests/"];

/// The launcher, which becomes the unit (exec) and starts nothing beside it, and its tests.
const LAUNCHER: [&str; 2] = ["edge/slots/src/main.rs", "edge/slots/tests/"];

const PRINT_MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// Breaches in any Rust source.
pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.sources() {
        if !text.starts_with("//!") {
            findings.push(Finding::new(
                path,
                1,
                "no header; open the file with `//!`: what it owns, what it refuses, its terms",
            ));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            findings.push(Finding::new(
                path,
                0,
                format!("{lines} lines, more than {MAX_LINES}; split it by idea"),
            ));
        }
        match text.parse::<TokenStream>() {
            Ok(tokens) => Scan { path, findings: &mut findings }.tokens(tokens),
            Err(error) => findings.push(Finding::new(path, 0, format!("is no Rust: {error}"))),
        }
    }
    findings
}

struct Scan<'a> {
    path: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Scan<'_> {
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for at in 0..tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => {
                    if group.delimiter() == Delimiter::Bracket && is_attribute(&tokens[..at]) {
                        self.attribute(group.stream());
                    }
                    self.tokens(group.stream());
                }
                TokenTree::Ident(word) => {
                    let line = word.span().start().line;
                    self.word(&word.to_string(), line, &tokens[at + 1..]);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn word(&mut self, word: &str, line: usize, rest: &[TokenTree]) {
        let is_macro =
            matches!(rest.first(), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
        if word == "unsafe" && !UNSAFE_PLACES.iter().any(|place| self.path.starts_with(place)) {
            self.found(line, format!("`unsafe` outside {}", UNSAFE_PLACES.join(", ")));
        }
        if is_macro && PRINT_MACROS.contains(&word) && !self.may_print() {
            self.found(line, format!("`{word}!`: only host and xtask print; return it or log it"));
        }
        // Spelt in two parts, so that this file does not name what it looks for.
        if is_macro && [concat!("to", "do"), concat!("unimple", "mented")].contains(&word) {
            self.found(line, "unfinished code; write it or leave it out".to_owned());
        }
        let launches = LAUNCHER.iter().any(|place| self.path.starts_with(place));
        if word == "process" && self.path.starts_with("edge/") && !launches {
            let next = rest.iter().find_map(|token| match token {
                TokenTree::Punct(mark) if mark.as_char() == ':' => None,
                TokenTree::Ident(name) => Some(Some(name.to_string())),
                _ => Some(None),
            });
            let path_follows =
                matches!(rest.first(), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
            // Ending with a status and naming oneself start nothing.
            let harmless = ["ExitCode", "Termination", "id"];
            let starts = match next.flatten() {
                Some(name) => path_follows && !harmless.contains(&name.as_str()),
                None => path_follows,
            };
            if starts {
                self.found(line, "std::process: the unit starts no process".to_owned());
            }
        }
    }

    fn attribute(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for pair in tokens.windows(2) {
            if let [TokenTree::Ident(word), TokenTree::Group(inner)] = pair {
                let silences = word == "allow" || word == "expect";
                if silences && !names_reason(inner.stream()) {
                    let line = word.span().start().line;
                    self.found(line, format!("`{word}` without `reason = \"...\"`"));
                } else if word == "cfg_attr" {
                    self.attribute(inner.stream());
                }
            }
        }
    }

    fn may_print(&self) -> bool {
        self.path.ends_with("build.rs")
            || PRINTING_PLACES.iter().any(|place| self.path.starts_with(place))
    }

    fn found(&mut self, line: usize, text: String) {
        self.findings.push(Finding::new(self.path, line, text));
    }
}

/// True if a bracket after these tokens opens an attribute: `#[` or `#![`.
fn is_attribute(before: &[TokenTree]) -> bool {
    let mark = |token: Option<&TokenTree>, wanted: char| matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == wanted);
    let last = before.last();
    mark(last, '#') || (mark(last, '!') && mark(before.iter().rev().nth(1), '#'))
}

fn names_reason(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| matches!(token, TokenTree::Ident(word) if word == "reason"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::findings;

    #[test]
    fn a_source_without_a_header_is_found() {
        let files = [("a.rs", "fn a() {}\n"), ("b.rs", "//! Header.\nfn b() {}\n")];
        check(findings, &files, &["a.rs:1"]);
    }

    #[test]
    fn a_source_of_901_lines_is_found() {
        let header = "//! Header.\n";
        let (fits, long) = (header.repeat(900), header.repeat(901));
        check(findings, &[("fits.rs", &fits), ("long.rs", &long)], &["long.rs:0"]);
    }

    #[test]
    fn unsafe_is_found_outside_its_places_and_not_in_words() {
        let code = "//! Header.\nfn a() { unsafe { b() } }\n";
        let words = "//! unsafe\n#![forbid(unsafe_code)]\nconst A: &str = \"unsafe\";\n";
        let files = [
            ("edge/src/unit.rs", code),
            ("models/src/cpu/conv.rs", code),
            ("models/src/pack.rs", code),
            ("models/src/words.rs", words),
        ];
        check(findings, &files, &["edge/src/unit.rs:2", "models/src/pack.rs:2"]);
    }

    #[test]
    fn printing_is_found_outside_host_and_xtask() {
        let code = "//! Header.\nfn a() {\n    println!(\"hello\");\n}\n";
        let files = [
            ("edge/build.rs", code),
            ("edge/src/unit.rs", code),
            ("host/src/main.rs", code),
            ("models/src/search.rs", code),
            ("xtask/src/main.rs", code),
        ];
        check(findings, &files, &["edge/src/unit.rs:3", "models/src/search.rs:3"]);
    }

    #[test]
    fn unfinished_macros_are_found() {
        let code = format!(
            "//! Header.\nfn a() {{ {}!() }}\nfn b() {{ {}!() }}\n",
            concat!("to", "do"),
            concat!("unimple", "mented")
        );
        check(findings, &[("models/src/a.rs", &code)], &["models/src/a.rs:2", "models/src/a.rs:3"]);
    }

    #[test]
    fn a_process_is_found_in_the_unit_and_its_own_exit_is_not() {
        let starts =
            "//! Header.\nuse std::process::Command;\nuse std::process::{Command, Stdio};\n";
        let ends = "//! Header.\nuse std::process::ExitCode;\nfn process(a: u8) { process(a) }\n";
        let files = [
            ("edge/src/a.rs", starts),
            ("edge/src/b.rs", ends),
            ("edge/slots/src/main.rs", starts),
            ("host/src/a.rs", starts),
        ];
        check(findings, &files, &["edge/src/a.rs:2", "edge/src/a.rs:3"]);
    }

    #[test]
    fn an_allow_without_a_reason_is_found() {
        let code = "//! Header.\n#![allow(dead_code)]\n#[allow(dead_code, reason = \"kept\")]\nfn a() {}\n\
            #[cfg_attr(test, expect(dead_code))]\nfn b() { allow(1) }\n";
        check(findings, &[("host/src/a.rs", code)], &["host/src/a.rs:2", "host/src/a.rs:5"]);
    }
}
