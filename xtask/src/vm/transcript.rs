//! What a run of the virtual unit said, as a page under `docs/`.
//!
//! Refuses paths and names of the machine that ran it: arguments that are paths stand with their file's name only.

use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// A transcript that is written.
#[derive(Default)]
pub(super) struct Transcript {
    text: String,
}

impl Transcript {
    /// A part of the run.
    pub(super) fn part(&mut self, title: &str) {
        println!("{title}");
        let _ = writeln!(self.text, "\n# {title}");
    }

    /// Something that happened, so many seconds after the power came.
    pub(super) fn event(&mut self, seconds: f64, what: &str) {
        println!("  {seconds:6.1} s  {what}");
        let _ = writeln!(self.text, "{seconds:6.1} s  {what}");
    }

    /// A command of the administrator's, with what it printed.
    pub(super) fn command(&mut self, seconds: f64, arguments: &[&str], said: &str) {
        let typed: Vec<String> = arguments.iter().map(|word| shown(word)).collect();
        self.event(seconds, &format!("$ threshold {}", typed.join(" ")));
        self.lines(arguments, said);
    }

    /// What a command that was begun before has printed until its end.
    pub(super) fn end_of(&mut self, seconds: f64, arguments: &[&str], said: &str) {
        let what = arguments.iter().find(|word| !word.starts_with('-')).copied();
        self.event(
            seconds,
            &format!("`threshold {}` is over, and said:", what.unwrap_or_default()),
        );
        self.lines(arguments, said);
    }

    fn lines(&mut self, arguments: &[&str], said: &str) {
        // The tool tells paths as they were typed.
        let paths = arguments.iter().filter(|word| word.starts_with('/'));
        let said = paths.fold(said.to_owned(), |said, path| said.replace(path, &shown(path)));
        for line in said.lines() {
            let _ = writeln!(self.text, "          {line}");
        }
    }

    /// An entry of the unit's log.
    pub(super) fn entry(&mut self, seconds: f64, entry: &Value) {
        let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
        let mut words = format!("entry {}: {}", entry["sequence"], text("kind"));
        for key in ["decision", "person_name", "reason", "cause"] {
            match text(key).as_str() {
                "" | "none" => {}
                value => words += &format!(", {value}"),
            }
        }
        self.event(seconds, &words);
    }

    /// The page's lines.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// A word as typed, a path without its folders.
fn shown(word: &str) -> String {
    let name = Path::new(word).file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_names_no_folder_of_the_machine() {
        let mut transcript = Transcript::default();
        let typed = ["enrol", "Ada", "--photo", "/somewhere/photos/ada.jpg"];
        transcript.command(1.0, &typed, "Ada is enrolled\n  slot 0  /somewhere/photos/ada.jpg\n");
        assert!(transcript.text().contains("$ threshold enrol Ada --photo ada.jpg\n"));
        assert!(transcript.text().contains("  slot 0  ada.jpg\n"));
        assert!(!transcript.text().contains('/'));
    }
}
