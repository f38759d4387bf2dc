//! Log files on the administrator's disk: JSON Lines, CSV or, in a build with feature `parquet`, a table of typed columns, written so
//! that a pull can be continued.
//!
//! Owns the forms, the check that every sequence follows the one before, and the mending of a last line that an
//! interrupted pull left half written.
//! Refuses to write over a file that is not such a log, and to write an entry out of order.

#[cfg(feature = "parquet")]
mod table;

use crate::error::HostError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use threshold_record::{KeyTag, LogEntry, PersonId};

/// One entry as files and `--json` show it; the keys are documented in docs/json.md and stable.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Row {
    /// Position in the log, from 1.
    pub sequence: u64,
    /// Count of starts of the unit.
    pub boot: u32,
    /// Milliseconds since that start.
    pub monotonic_ms: u64,
    /// Wall clock, milliseconds since 1970 UTC.
    pub wall_unix_ms: u64,
    /// Whether the unit's clock had been set.
    pub wall_trusted: bool,
    /// What happened.
    pub kind: String,
    /// `admit` or `refuse` for a decision, else empty.
    pub decision: String,
    /// Why; `None` for an entry that is no decision, as for the three scores.
    pub reason: Option<String>,
    /// What lies behind the reason.
    pub cause: String,
    /// Presentation-attack verdict.
    pub presentation: String,
    /// Percent.
    pub quality: u8,
    /// Best candidate's id, 0 for nobody.
    pub person: u32,
    /// The name of that person when the entry was read, empty if the id is no longer enrolled.
    pub person_name: String,
    /// Runner-up's id, 0 for nobody.
    pub runner_up: u32,
    /// Best candidate's score.
    pub best_score: Option<f64>,
    /// Runner-up's score.
    pub runner_up_score: Option<f64>,
    /// Threshold in force.
    pub threshold: Option<f64>,
    /// Detection, milliseconds.
    pub detect_ms: f64,
    /// Embedding and search, milliseconds.
    pub embed_ms: f64,
    /// First frame with the face to the decision, milliseconds.
    pub total_ms: f64,
    /// Context record of the model.
    pub context_model: u16,
    /// Context record of the policy.
    pub context_policy: u16,
    /// Context record of the configuration.
    pub context_config: u16,
    /// First digits of the key of the administrator who did it, empty for nobody.
    pub by: String,
    /// First digits of the key of the administrator whom it was done to, empty for nobody.
    pub about: String,
}

fn tag(tag: KeyTag) -> String {
    if tag.is_nobody() { String::new() } else { tag.to_string() }
}

impl Row {
    /// The row of an entry; `name_of` gives the names of those who are enrolled.
    #[must_use]
    pub fn of(entry: &LogEntry, name_of: &dyn Fn(PersonId) -> Option<String>) -> Self {
        let tenths = |dms: u16| f64::from(dms) / 10.0;
        let decides = entry.kind == threshold_record::EntryKind::Decision;
        // Four digits are finer than the log's 1/16384 steps need, and read better than nine.
        let score = |score: threshold_record::Score| {
            decides.then(|| (f64::from(score.0) * 1e4).round() / 1e4)
        };
        Self {
            sequence: entry.sequence,
            boot: entry.boot,
            monotonic_ms: entry.monotonic_ms,
            wall_unix_ms: entry.wall.unix_ms,
            wall_trusted: entry.wall.trusted,
            kind: entry.kind.to_string(),
            decision: decision_word(entry).to_owned(),
            reason: decides.then(|| entry.reason.to_string()),
            cause: entry.cause.to_string(),
            presentation: entry.presentation.to_string(),
            quality: entry.quality,
            person: entry.person.0,
            person_name: name_of(entry.person).unwrap_or_default(),
            runner_up: entry.runner_up.0,
            best_score: score(entry.best_score),
            runner_up_score: score(entry.runner_up_score),
            threshold: score(entry.threshold),
            detect_ms: tenths(entry.detect_dms),
            embed_ms: tenths(entry.embed_dms),
            total_ms: tenths(entry.total_dms),
            context_model: entry.context_model,
            context_policy: entry.context_policy,
            context_config: entry.context_config,
            by: tag(entry.by),
            about: tag(entry.about),
        }
    }
}

/// `admit` or `refuse` for a decision, empty for every other kind of entry.
#[must_use]
pub fn decision_word(entry: &LogEntry) -> &'static str {
    match (entry.kind, entry.reason) {
        (threshold_record::EntryKind::Decision, threshold_record::Reason::Matched) => "admit",
        (threshold_record::EntryKind::Decision, _) => "refuse",
        _ => "",
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    JsonLines,
    Csv,
    #[cfg(feature = "parquet")]
    Table,
}

impl Form {
    fn of(path: &Path) -> Result<Self, HostError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl") => Ok(Self::JsonLines),
            Some("csv") => Ok(Self::Csv),
            #[cfg(feature = "parquet")]
            Some("parquet") => Ok(Self::Table),
            #[cfg(not(feature = "parquet"))]
            Some("parquet") => Err(HostError::NoParquet { path: path.display().to_string() }),
            _ => Err(HostError::LogFileKind { path: path.display().to_string() }),
        }
    }
}

/// Reads a log file through, row by row; a half-written last line is left out.
///
/// # Errors
/// [`HostError::LogFileKind`] for another ending, [`HostError::LogFile`] for a line that is no entry or out of order,
/// [`HostError::File`] if the disk refuses.
pub fn read(path: &Path, each: &mut dyn FnMut(Row)) -> Result<(), HostError> {
    let form = Form::of(path)?;
    let file = File::open(path).map_err(HostError::file(path))?;
    Contents::of(path, form, &file, each).map(|_| ())
}

/// An open log file that takes the next entries.
pub struct LogFile {
    path: PathBuf,
    out: Out,
    last: Option<u64>,
    contexts: BTreeSet<u16>,
    mended: bool,
}

/// What takes the entries.
enum Out {
    Lines(Form, BufWriter<File>),
    #[cfg(feature = "parquet")]
    Table(Box<table::Table>),
}

impl LogFile {
    /// Opens or makes the file; an existing one is read through and continued.
    ///
    /// # Errors
    /// [`HostError::LogFileKind`] for another ending, [`HostError::LogFile`] for a line that is no entry or out of order,
    /// [`HostError::FileBusy`] while another run of this program writes it, [`HostError::File`] if the disk refuses.
    pub fn open(path: &Path) -> Result<Self, HostError> {
        let form = Form::of(path)?;
        let mut contexts = BTreeSet::new();
        let mut note = |row: Row| contexts.extend([row.context_model, row.context_policy]);
        #[cfg(feature = "parquet")]
        if form == Form::Table {
            let out = table::Table::open(path)?;
            let last = Contents::of_table(path, &mut note)?.last;
            let out = Out::Table(Box::new(out));
            return Ok(Self { path: path.to_path_buf(), out, last, contexts, mended: false });
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(HostError::file(path))?;
        // Before the mending: what another run has half written is no line that was cut off.
        crate::kept::claim(&file, path)?;
        let there = Contents::of(path, form, &file, &mut note)?;
        let len = file.metadata().map_err(HostError::file(path))?.len();
        file.set_len(there.whole_bytes).map_err(HostError::file(path))?;
        let mut out = BufWriter::new(file);
        out.seek(SeekFrom::End(0)).map_err(HostError::file(path))?;
        let mut log = Self {
            path: path.to_path_buf(),
            out: Out::Lines(form, out),
            last: there.last,
            contexts,
            mended: len != there.whole_bytes,
        };
        if form == Form::Csv && there.whole_bytes == 0 {
            log.write_line(&csv_line(None))?;
        }
        Ok(log)
    }

    /// The last sequence in the file; `None` if it holds none.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// The context records of model and policy that its entries name; 0 for none.
    #[must_use]
    pub fn contexts(&self) -> &BTreeSet<u16> {
        &self.contexts
    }

    /// True if a half-written last line was cut off when the file was opened.
    #[must_use]
    pub fn was_mended(&self) -> bool {
        self.mended
    }

    /// Appends one entry.
    ///
    /// # Errors
    /// [`HostError::LogGap`] if it does not follow the last one, [`HostError::File`] if the disk refuses.
    pub fn append(&mut self, row: &Row) -> Result<(), HostError> {
        if let Some(last) = self.last
            && row.sequence != last + 1
        {
            return Err(HostError::LogGap { expected: last + 1, found: row.sequence });
        }
        match &mut self.out {
            Out::Lines(Form::Csv, _) => self.write_line(&csv_line(Some(row)))?,
            Out::Lines(..) => {
                self.write_line(&(serde_json::to_string(row).unwrap_or_default() + "\n"))?;
            }
            #[cfg(feature = "parquet")]
            Out::Table(table) => table.append(row)?,
        }
        self.last = Some(row.sequence);
        self.contexts.extend([row.context_model, row.context_policy]);
        Ok(())
    }

    /// Brings everything to the disk.
    ///
    /// # Errors
    /// [`HostError::File`] if the disk refuses.
    pub fn finish(self) -> Result<(), HostError> {
        match self.out {
            Out::Lines(_, mut out) => {
                out.flush().map_err(HostError::file(&self.path))?;
                out.get_ref().sync_all().map_err(HostError::file(&self.path))
            }
            #[cfg(feature = "parquet")]
            Out::Table(table) => table.finish(),
        }
    }

    fn write_line(&mut self, line: &str) -> Result<(), HostError> {
        match &mut self.out {
            Out::Lines(_, out) => {
                out.write_all(line.as_bytes()).map_err(HostError::file(&self.path))
            }
            #[cfg(feature = "parquet")]
            Out::Table(_) => Ok(()),
        }
    }
}

/// What an existing file holds.
struct Contents {
    last: Option<u64>,
    /// Bytes up to the end of the last whole line.
    whole_bytes: u64,
}

impl Contents {
    fn of(
        path: &Path,
        form: Form,
        file: &File,
        each: &mut dyn FnMut(Row),
    ) -> Result<Self, HostError> {
        match form {
            #[cfg(feature = "parquet")]
            Form::Table => Self::of_table(path, each),
            _ => Self::of_lines(path, form, file, each),
        }
    }

    /// A table is whole or none.
    #[cfg(feature = "parquet")]
    fn of_table(path: &Path, each: &mut dyn FnMut(Row)) -> Result<Self, HostError> {
        let mut last = None;
        let mut broken = None;
        table::read(path, &mut |row| {
            if last.is_some_and(|last| row.sequence != last + 1) {
                broken.get_or_insert(row.sequence);
            }
            last = Some(row.sequence);
            each(row);
        })?;
        match broken {
            Some(line) => Err(HostError::LogFile {
                path: path.display().to_string(),
                line,
                what: format!("entry {line} does not follow the one above"),
            }),
            None => Ok(Self { last, whole_bytes: 0 }),
        }
    }

    fn of_lines(
        path: &Path,
        form: Form,
        file: &File,
        each: &mut dyn FnMut(Row),
    ) -> Result<Self, HostError> {
        let mut there = Self { last: None, whole_bytes: 0 };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let len = reader.read_until(b'\n', &mut line).map_err(HostError::file(path))?;
            if len == 0 {
                break;
            }
            let foreign = |what: String| HostError::LogFile {
                path: path.display().to_string(),
                line: number,
                what,
            };
            if line.last() != Some(&b'\n') {
                if starts_like_a_line(form, number, &line) {
                    break;
                }
                return Err(foreign("a line that is not whole".to_owned()));
            }
            let text = std::str::from_utf8(&line).map_err(|error| foreign(error.to_string()))?;
            if form == Form::Csv && number == 1 {
                if text != csv_line(None) {
                    return Err(foreign("the head of the table is another".to_owned()));
                }
            } else {
                let row = row_of(form, text).map_err(foreign)?;
                let sequence = row.sequence;
                if there.last.is_some_and(|last| sequence != last + 1) {
                    return Err(foreign(format!("entry {sequence} does not follow the one above")));
                }
                there.last = Some(sequence);
                each(row);
            }
            there.whole_bytes += len as u64;
        }
        Ok(there)
    }
}

/// Whether a line without an end is what an interrupted pull leaves: nothing else may be cut off.
fn starts_like_a_line(form: Form, number: u64, line: &[u8]) -> bool {
    let agrees = |start: &[u8]| start.iter().zip(line).all(|(a, b)| a == b);
    match form {
        Form::Csv if number == 1 => agrees(csv_line(None).as_bytes()),
        Form::Csv => line.first().is_some_and(u8::is_ascii_digit),
        _ => agrees(b"{\"sequence\":"),
    }
}

fn row_of(form: Form, line: &str) -> Result<Row, String> {
    match form {
        Form::Csv => {
            let mut reader =
                csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let row = reader.deserialize().next().ok_or("an empty line")?;
            row.map_err(|error: csv::Error| error.to_string())
        }
        _ => serde_json::from_str(line).map_err(|error| error.to_string()),
    }
}

/// One line of CSV with its line end; the head for `None`.
///
/// A name that starts with a character that spreadsheets take for a formula is quoted with an apostrophe, as they do
/// themselves: names are typed by others than the reader of the table.
fn csv_line(row: Option<&Row>) -> String {
    let blank = Row::of(&LogEntry::of(threshold_record::EntryKind::Boot), &|_| None);
    let mut writer = csv::WriterBuilder::new().has_headers(row.is_none()).from_writer(Vec::new());
    let mut row_out = row.unwrap_or(&blank).clone();
    if row_out.person_name.starts_with(['=', '+', '-', '@', '\t']) {
        row_out.person_name.insert(0, '\'');
    }
    // Writing a flat row to memory cannot fail.
    let _ = writer.serialize(&row_out);
    let text = String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default();
    match row {
        Some(_) => text,
        None => text.split_inclusive('\n').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_record::EntryKind;

    fn row(sequence: u64, name: &str) -> Row {
        let mut entry = LogEntry::of(EntryKind::Decision);
        entry.sequence = sequence;
        entry.person = PersonId(7);
        Row::of(&entry, &|_| Some(name.to_owned()))
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_second_pull_goes_on_where_the_file_ends() {
        for ending in ["jsonl", "csv"] {
            let folder = folder();
            let path = folder.path().join(format!("log.{ending}"));
            let mut file = LogFile::open(&path).unwrap();
            assert_eq!(file.last(), None);
            file.append(&row(1, "Ann, \"A\"")).unwrap();
            file.append(&row(2, "=HYPERLINK(1)")).unwrap();
            file.finish().unwrap();
            let mut file = LogFile::open(&path).unwrap();
            assert_eq!(file.last(), Some(2), "{ending}");
            assert!(!file.was_mended());
            let gap = file.append(&row(4, "")).unwrap_err();
            assert_eq!(gap.to_string(), "the log has a gap: entry 3 was due, the unit sent 4");
            file.append(&row(3, "")).unwrap();
            file.finish().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().count(), if ending == "csv" { 4 } else { 3 }, "{text}");
        }
    }

    #[test]
    fn an_entry_that_decides_nothing_has_no_reason_and_no_scores() {
        let mut boot = LogEntry::of(EntryKind::Boot);
        boot.sequence = 1;
        let boot = Row::of(&boot, &|_| None);
        let json = serde_json::to_value(&boot).unwrap();
        for key in ["reason", "best_score", "runner_up_score", "threshold"] {
            assert_eq!(json[key], serde_json::Value::Null, "{key}");
        }
        let line = csv_line(Some(&boot));
        assert!(line.starts_with("1,0,0,0,false,boot,,,none,not_assessed,0,0,,0,,,,0.0"), "{line}");
        assert_eq!(row_of(Form::Csv, &line).map(|row| row.sequence), Ok(1));
        // What earlier builds wrote is read all the same.
        let old =
            line.replace("boot,,,none", "boot,,matched,none").replace("0,,,,", "0,0.0,0.0,0.0,");
        assert_eq!(row_of(Form::Csv, &old).map(|row| row.sequence), Ok(1));
    }

    #[test]
    fn scores_are_rounded_in_every_form() {
        let mut entry = LogEntry::of(EntryKind::Decision);
        entry.best_score = threshold_record::Score(0.123_456);
        entry.detect_dms = 123;
        let json = serde_json::to_value(Row::of(&entry, &|_| None)).unwrap().to_string();
        assert!(json.contains("\"best_score\":0.1235,"), "{json}");
        assert!(json.contains("\"detect_ms\":12.3,"), "{json}");
    }

    #[test]
    fn a_formula_in_a_name_is_text_in_a_spreadsheet() {
        assert!(csv_line(Some(&row(1, "=1+1"))).contains(",'=1+1,"));
    }

    #[test]
    fn a_half_written_last_line_is_cut_off() {
        for ending in ["jsonl", "csv"] {
            let folder = folder();
            let path = folder.path().join(format!("log.{ending}"));
            let mut file = LogFile::open(&path).unwrap();
            (1..=3).for_each(|sequence| file.append(&row(sequence, "Ann")).unwrap());
            file.finish().unwrap();
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
            let mut file = LogFile::open(&path).unwrap();
            assert_eq!((file.last(), file.was_mended()), (Some(2), true), "{ending}");
            file.append(&row(3, "Ann")).unwrap();
            file.finish().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_file_that_is_no_log_is_left_alone() {
        let folder = folder();
        for (name, text) in [
            ("a.jsonl", "{\"x\":1}\n"),
            ("b.csv", "name,age\n"),
            ("c.jsonl", "hello\n"),
            ("d.csv", "no end"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = LogFile::open(&path).err().unwrap();
            assert!(matches!(error, HostError::LogFile { line: 1, .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let error = LogFile::open(&folder.path().join("log.txt")).err().unwrap();
        assert!(matches!(error, HostError::LogFileKind { .. }));
    }
}
