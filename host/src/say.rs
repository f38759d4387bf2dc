//! What the user sees: results on stdout, warnings and progress on stderr.
//!
//! Owns every print of this program, so that stdout stays clean under `--json`.
//! Refuses to decide what is said; commands hand it finished text and values.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the file that prints")]

use crate::remedy;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::Value;
use std::io::Write;
use threshold_record::misleads;

/// The user's end of the program.
#[derive(Clone, Copy, Debug)]
pub struct Say {
    json: bool,
}

impl Say {
    /// Text, or JSON.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// True if results are printed as JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: the value as one line under `--json`, else the text.
    ///
    /// # Errors
    /// If stdout is closed or full.
    pub fn result(self, value: &Value, text: impl FnOnce() -> String) -> std::io::Result<()> {
        if self.json { Self::line(&value.to_string()) } else { Self::text(&text()) }
    }

    /// Prints text on stdout, what would not print as itself escaped.
    ///
    /// # Errors
    /// If stdout is closed or full.
    pub fn text(text: &str) -> std::io::Result<()> {
        let lines: Vec<String> = text.trim_end().lines().map(plain).collect();
        Self::line(&lines.join("\n"))
    }

    /// Prints one line on stdout and flushes it, so that a follower sees it now.
    ///
    /// # Errors
    /// If stdout is closed or full.
    pub fn line(text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Prints a warning on stderr.
    pub fn warn(self, text: &str) {
        eprintln!("warning: {}", plain(text));
    }

    /// Prints a remark on stderr, as text mode has it; nothing under `--json`.
    pub fn note(self, text: &str) {
        if !self.json {
            text.lines().for_each(|line| eprintln!("{}", plain(line)));
        }
    }

    /// Prints an error's chain in one line and its remedy in another, on stderr.
    pub fn error(self, error: &anyhow::Error) {
        eprintln!("error: {}", plain(&remedy::without(error)));
        eprintln!("try: {}", plain(&remedy::of(error)));
    }

    /// A line on stderr that says how something stands, and is drawn anew; silent where stderr is no terminal.
    #[must_use]
    pub fn live(self) -> ProgressBar {
        let bar = ProgressBar::new(1);
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len}  {msg}") {
            bar.set_style(style);
        }
        bar
    }

    /// A progress bar on stderr; silent where stderr is no terminal.
    #[must_use]
    pub fn bar(self, steps: u64, what: &'static str) -> ProgressBar {
        Self::styled(steps, what, STEPS)
    }

    /// The same of bytes over a line, with their rate.
    #[must_use]
    pub fn transfer(self, bytes: u64, what: &'static str) -> ProgressBar {
        Self::styled(bytes, what, BYTES)
    }

    /// The same of entries of a log, with their rate.
    #[must_use]
    pub fn entries(self, entries: u64, what: &'static str) -> ProgressBar {
        Self::styled(entries, what, ENTRIES)
    }

    fn styled(steps: u64, what: &'static str, template: &str) -> ProgressBar {
        // indicatif draws to stderr and hides itself there unless it is a terminal.
        let bar = ProgressBar::new(steps).with_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.0}", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate));
        }
        bar
    }
}

/// Steps, of which some take longer than others.
const STEPS: &str = "{msg} {bar:30} {pos}/{len} ({eta} left)";
/// Bytes over a line.
const BYTES: &str = "{msg} {bar:30} {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)";
/// Entries of a log.
const ENTRIES: &str = "{msg} {bar:30} {pos}/{len} ({rate} a second, {eta} left)";

/// One line of text with every character that would not print as itself written as its code: what a unit, a file or a
/// file's name says must neither move the terminal's cursor nor pass for a line of this program.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if misleads(character) {
            line.extend(character.escape_unicode());
        } else {
            line.push(character);
        }
    }
    line
}

/// Bytes as hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A table in columns as wide as their widest cell; numbers are the caller's to align.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_has_a_style_and_what_moves_tells_rate_and_time_left() {
        for template in [STEPS, BYTES, ENTRIES] {
            // One that is none would be left out silently.
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
            assert!(template.contains("{eta} left"), "{template}");
        }
        assert!(BYTES.contains("{bytes_per_sec}") && ENTRIES.contains("{rate} a second"));
    }

    #[test]
    fn what_moves_the_cursor_or_hides_is_written_as_its_code() {
        let cases = [
            ("Zoë 日本 👋", "Zoë 日本 👋"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("door\nstate armed", "door\\u{a}state armed"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ];
        for (text, printed) in cases {
            assert_eq!(plain(text), printed);
        }
    }

    #[test]
    fn table_columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["1".to_owned(), "Ann".to_owned()], vec!["12".to_owned(), "B".to_owned()]];
        assert_eq!(table(&["id", "name"], &rows), "id  name\n1   Ann\n12  B");
    }
}
