//! The log as a table of typed columns, a Parquet file: the columns of CSV, and the wall clock as a timestamp.
//!
//! Owns that a file is whole at any time: it ends with its own index, so nothing can be put behind it. What a pull adds goes into a file
//! beside it, behind all that was there, which takes its place at the end: a pull that ends in between leaves the file of before.
//! Refuses to read a table with other columns.

use super::Row;
use crate::error::HostError;
use parquet::basic::Repetition;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows that are held until they are written together: 20 MB of memory.
const GROUP_ROWS: usize = 1 << 16;

/// How a column gets its values of a row.
#[derive(Clone, Copy)]
enum Of {
    Bool(fn(&Row) -> bool),
    Int32(fn(&Row) -> u32),
    Int64(fn(&Row) -> u64),
    Text(fn(&Row) -> &str),
    /// `None` is no text at all.
    SomeText(fn(&Row) -> Option<&str>),
    Number(fn(&Row) -> f64),
    SomeNumber(fn(&Row) -> Option<f64>),
}

/// The columns, in the order of [`Row`]: name, what stands for its type behind it, values.
const COLUMNS: [(&str, &str, Of); 25] = [
    ("sequence", "(INTEGER(64,false))", Of::Int64(|row| row.sequence)),
    ("boot", "(INTEGER(32,false))", Of::Int32(|row| row.boot)),
    ("monotonic_ms", "(INTEGER(64,false))", Of::Int64(|row| row.monotonic_ms)),
    ("wall_unix_ms", "(TIMESTAMP(MILLIS,true))", Of::Int64(|row| row.wall_unix_ms)),
    ("wall_trusted", "", Of::Bool(|row| row.wall_trusted)),
    ("kind", "(STRING)", Of::Text(|row| &row.kind)),
    ("decision", "(STRING)", Of::Text(|row| &row.decision)),
    ("reason", "(STRING)", Of::SomeText(|row| row.reason.as_deref())),
    ("cause", "(STRING)", Of::Text(|row| &row.cause)),
    ("presentation", "(STRING)", Of::Text(|row| &row.presentation)),
    ("quality", "(INTEGER(8,false))", Of::Int32(|row| row.quality.into())),
    ("person", "(INTEGER(32,false))", Of::Int32(|row| row.person)),
    ("person_name", "(STRING)", Of::Text(|row| &row.person_name)),
    ("runner_up", "(INTEGER(32,false))", Of::Int32(|row| row.runner_up)),
    ("best_score", "", Of::SomeNumber(|row| row.best_score)),
    ("runner_up_score", "", Of::SomeNumber(|row| row.runner_up_score)),
    ("threshold", "", Of::SomeNumber(|row| row.threshold)),
    ("detect_ms", "", Of::Number(|row| row.detect_ms)),
    ("embed_ms", "", Of::Number(|row| row.embed_ms)),
    ("total_ms", "", Of::Number(|row| row.total_ms)),
    ("context_model", "(INTEGER(16,false))", Of::Int32(|row| row.context_model.into())),
    ("context_policy", "(INTEGER(16,false))", Of::Int32(|row| row.context_policy.into())),
    ("context_config", "(INTEGER(16,false))", Of::Int32(|row| row.context_config.into())),
    ("by", "(STRING)", Of::Text(|row| &row.by)),
    ("about", "(STRING)", Of::Text(|row| &row.about)),
];

impl Of {
    /// Its physical type.
    const fn physical(self) -> &'static str {
        match self {
            Self::Bool(_) => "boolean",
            Self::Int32(_) => "int32",
            Self::Int64(_) => "int64",
            Self::Text(_) | Self::SomeText(_) => "binary",
            Self::Number(_) | Self::SomeNumber(_) => "double",
        }
    }

    const fn repetition(self) -> Repetition {
        match self {
            Self::SomeText(_) | Self::SomeNumber(_) => Repetition::OPTIONAL,
            _ => Repetition::REQUIRED,
        }
    }
}

/// A table that takes the next entries.
pub(super) struct Table {
    path: PathBuf,
    /// The file beside it that takes its place.
    fresh: PathBuf,
    /// Held for as long as this run may write it.
    claimed: File,
    writer: Option<SerializedFileWriter<File>>,
    rows: Vec<Row>,
}

impl Table {
    /// Claims the table for this run; nothing is written before the first entry.
    ///
    /// # Errors
    /// [`HostError::FileBusy`] while another run of this program writes it, [`HostError::File`] if the disk refuses.
    pub(super) fn open(path: &Path) -> Result<Self, HostError> {
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".part");
        let fresh = PathBuf::from(fresh);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let claimed = options.open(&fresh).map_err(HostError::file(&fresh))?;
        crate::kept::claim(&claimed, &fresh)?;
        check_place(&claimed, &fresh)?;
        Ok(Self { path: path.to_path_buf(), fresh, claimed, writer: None, rows: Vec::new() })
    }

    /// Appends one entry.
    ///
    /// # Errors
    /// [`HostError::File`] if the disk refuses.
    pub(super) fn append(&mut self, row: &Row) -> Result<(), HostError> {
        if self.writer.is_none() {
            self.begin()?;
        }
        self.rows.push(row.clone());
        match self.rows.len() >= GROUP_ROWS {
            true => self.write_rows(),
            false => Ok(()),
        }
    }

    /// Brings everything to the disk, in the place of what was there.
    ///
    /// # Errors
    /// [`HostError::File`] if the disk refuses.
    pub(super) fn finish(mut self) -> Result<(), HostError> {
        if self.writer.is_none() {
            if self.path.exists() {
                return std::fs::remove_file(&self.fresh).map_err(HostError::file(&self.fresh));
            }
            self.begin()?;
        }
        if !self.rows.is_empty() {
            self.write_rows()?;
        }
        let Self { path, fresh, claimed, writer, .. } = self;
        if let Some(writer) = writer {
            writer.close().map_err(fault(&fresh))?;
        }
        claimed.sync_all().map_err(HostError::file(&fresh))?;
        std::fs::rename(&fresh, &path).map_err(HostError::file(&path))?;
        crate::kept::sync_own_folder(&path)
    }

    /// Begins the file that takes the place, with all that is there.
    fn begin(&mut self) -> Result<(), HostError> {
        self.claimed.set_len(0).map_err(HostError::file(&self.fresh))?;
        let out = self.claimed.try_clone().map_err(HostError::file(&self.fresh))?;
        let properties = Arc::new(WriterProperties::builder().build());
        let writer = schema().and_then(|schema| SerializedFileWriter::new(out, schema, properties));
        self.writer = Some(writer.map_err(fault(&self.fresh))?);
        let mut failed = None;
        let path = self.path.clone();
        read(&path, &mut |row| {
            if failed.is_none() {
                failed = self.append(&row).err();
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn write_rows(&mut self) -> Result<(), HostError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        write_group(writer, &self.rows).map_err(fault(&self.fresh))?;
        self.rows.clear();
        Ok(())
    }
}

/// Refuses a file that has gone from its place since it was opened: another run has finished it meanwhile, and it is the table now.
fn check_place(file: &File, path: &Path) -> Result<(), HostError> {
    let opened = file.metadata().map_err(HostError::file(path))?;
    match std::fs::metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (opened.dev(), opened.ino()) => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(HostError::file(path)(error))
        }
        Ok(_) | Err(_) => Err(HostError::FileBusy { path: path.to_path_buf() }),
    }
}

/// Reads a table through, row by row; one that is not there has none.
///
/// # Errors
/// [`HostError::LogFile`] for a file that is no such table, [`HostError::File`] if the disk refuses.
pub(super) fn read(path: &Path, each: &mut dyn FnMut(Row)) -> Result<(), HostError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(HostError::file(path))?,
    };
    let mut line = 0;
    let outcome = rows(file, &mut |row| {
        line += 1;
        each(row);
    });
    outcome.map_err(|what| HostError::LogFile {
        path: path.display().to_string(),
        line: line + 1,
        what,
    })
}

fn rows(file: File, each: &mut dyn FnMut(Row)) -> Result<(), String> {
    let text = |error: ParquetError| error.to_string();
    let reader = SerializedFileReader::new(file).map_err(text)?;
    // Before a value is read: of another type it would be one that nobody asks for.
    if *reader.metadata().file_metadata().schema() != *schema().map_err(text)? {
        return Err("its columns are others".to_owned());
    }
    for row in reader.get_row_iter(None).map_err(text)? {
        let row = row.map_err(text)?;
        let fields = row.get_column_iter().map(|(name, field)| (name.clone(), value(field)));
        let row = Value::Object(fields.collect::<Map<_, _>>());
        each(serde_json::from_value(row).map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// A value as JSON has it; of the types that the columns have.
fn value(field: &Field) -> Value {
    match field {
        Field::Bool(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::TimestampMillis(value) => value.cast_unsigned().into(),
        Field::Double(value) => (*value).into(),
        Field::Str(value) => value.as_str().into(),
        _ => Value::Null,
    }
}

fn schema() -> Result<TypePtr, ParquetError> {
    let column = |(name, meant, of): &(&str, &str, Of)| {
        format!("{} {} {name} {meant};", of.repetition(), of.physical())
    };
    let columns: Vec<String> = COLUMNS.iter().map(column).collect();
    parse_message_type(&format!("message log {{ {} }}", columns.join(" "))).map(Arc::new)
}

fn write_group(writer: &mut SerializedFileWriter<File>, rows: &[Row]) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for (name, _, of) in COLUMNS {
        let missing = || ParquetError::General(format!("no column {name}"));
        let mut column = group.next_column()?.ok_or_else(missing)?;
        match of {
            Of::Bool(of) => {
                let values: Vec<bool> = rows.iter().map(of).collect();
                column.typed::<BoolType>().write_batch(&values, None, None)?
            }
            Of::Int32(of) => {
                let values: Vec<i32> = rows.iter().map(|row| of(row).cast_signed()).collect();
                column.typed::<Int32Type>().write_batch(&values, None, None)?
            }
            Of::Int64(of) => {
                let values: Vec<i64> = rows.iter().map(|row| of(row).cast_signed()).collect();
                column.typed::<Int64Type>().write_batch(&values, None, None)?
            }
            Of::Text(of) => {
                let values: Vec<ByteArray> = rows.iter().map(|row| of(row).into()).collect();
                column.typed::<ByteArrayType>().write_batch(&values, None, None)?
            }
            Of::SomeText(of) => {
                let values: Vec<ByteArray> =
                    rows.iter().filter_map(|row| of(row).map(Into::into)).collect();
                let there = there(rows, |row| of(row).is_some());
                column.typed::<ByteArrayType>().write_batch(&values, Some(&there), None)?
            }
            Of::Number(of) => {
                let values: Vec<f64> = rows.iter().map(of).collect();
                column.typed::<DoubleType>().write_batch(&values, None, None)?
            }
            Of::SomeNumber(of) => {
                let values: Vec<f64> = rows.iter().filter_map(of).collect();
                let there = there(rows, |row| of(row).is_some());
                column.typed::<DoubleType>().write_batch(&values, Some(&there), None)?
            }
        };
        column.close()?;
    }
    group.close().map(drop)
}

/// For each row 1 if it has a value, else 0.
fn there(rows: &[Row], has: impl Fn(&Row) -> bool) -> Vec<i16> {
    rows.iter().map(|row| i16::from(has(row))).collect()
}

/// The fault of a file that could not be written; what a table refuses is a fault of ours, and named as the disk's.
fn fault(path: &Path) -> impl Fn(ParquetError) -> HostError {
    let path = path.to_path_buf();
    move |error| HostError::file(&path)(std::io::Error::other(error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::{LogFile, read};
    use super::*;
    use threshold_record::{EntryKind, LogEntry, PersonId, Reason, Score};

    /// Entries of every shape by turns: decisions with scores and without, other kinds, names and none, the largest numbers.
    fn row(sequence: u64) -> Row {
        let kind =
            [EntryKind::Decision, EntryKind::Boot, EntryKind::Enrolled][sequence as usize % 3];
        let mut entry = LogEntry::of(kind);
        entry.sequence = sequence;
        entry.boot = sequence as u32 / 7;
        entry.monotonic_ms = sequence * 40;
        entry.wall.unix_ms = 1_790_000_000_000 + sequence * 1_000;
        entry.wall.trusted = sequence.is_multiple_of(2);
        entry.reason = if sequence.is_multiple_of(5) { Reason::Matched } else { Reason::Unknown };
        entry.quality = (sequence % 101) as u8;
        entry.person = PersonId(sequence as u32 % 9);
        entry.best_score = Score(-0.25 + sequence as f32 / 1e4);
        entry.threshold = Score(-0.8);
        entry.total_dms = sequence as u16;
        entry.context_policy = 3 + (sequence / 1000) as u16;
        if sequence == 11 {
            entry.boot = u32::MAX;
            entry.monotonic_ms = u64::MAX;
            entry.context_config = u16::MAX;
            entry.runner_up = PersonId(u32::MAX);
        }
        Row::of(&entry, &|id| (id.0 % 2 == 0).then(|| format!("Zoë, \"{}\"\n=1+1", id.0)))
    }

    fn rows_of(path: &Path) -> Vec<Row> {
        let mut rows = Vec::new();
        read(path, &mut |row| rows.push(row)).unwrap();
        rows
    }

    fn pull(path: &Path, sequences: std::ops::Range<u64>) {
        let mut file = LogFile::open(path).unwrap();
        sequences.for_each(|sequence| file.append(&row(sequence)).unwrap());
        file.finish().unwrap();
    }

    #[test]
    fn a_table_has_each_row_that_json_lines_has_over_several_pulls() {
        let folder = tempfile::tempdir().unwrap();
        let (table, lines) = (folder.path().join("log.parquet"), folder.path().join("log.jsonl"));
        // More than a group of rows at once, some, none, one.
        let ends = [1, 70_001, 70_500, 70_500, 70_501];
        for pair in ends.windows(2) {
            pull(&table, pair[0]..pair[1]);
            pull(&lines, pair[0]..pair[1]);
            assert_eq!(rows_of(&table), rows_of(&lines));
        }
        assert_eq!(rows_of(&table).len(), 70_500);
        let mut file = LogFile::open(&table).unwrap();
        assert_eq!((file.last(), file.was_mended()), (Some(70_500), false));
        let contexts: Vec<u16> = file.contexts().iter().copied().collect();
        assert_eq!((contexts[0], *contexts.last().unwrap()), (0, 73));
        let gap = file.append(&row(70_502)).unwrap_err();
        assert!(matches!(gap, HostError::LogGap { expected: 70_501, .. }), "{gap}");
        // A pull that ends here leaves the table of before, and the next one goes on.
        file.append(&row(70_501)).unwrap();
        drop(file);
        assert_eq!(rows_of(&table).len(), 70_500);
        pull(&table, 70_501..70_502);
        assert_eq!(rows_of(&table).last(), Some(&row(70_501)));
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn an_empty_log_is_a_table_without_rows_and_two_runs_do_not_write_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.parquet");
        let first = LogFile::open(&path).unwrap();
        let busy = LogFile::open(&path).err().unwrap();
        assert!(matches!(busy, HostError::FileBusy { .. }), "{busy}");
        first.finish().unwrap();
        assert_eq!(rows_of(&path), []);
        assert_eq!(LogFile::open(&path).unwrap().last(), None);
    }

    #[test]
    fn a_file_that_took_its_place_while_it_was_opened_is_not_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let (part, table) =
            (folder.path().join("log.parquet.part"), folder.path().join("log.parquet"));
        let file = File::create(&part).unwrap();
        check_place(&file, &part).unwrap();
        let busy = |what| {
            let error = check_place(&file, &part).unwrap_err();
            assert!(matches!(error, HostError::FileBusy { .. }), "{what}: {error}");
        };
        std::fs::rename(&part, &table).unwrap();
        busy("in its place");
        File::create(&part).unwrap();
        busy("another one of its name");
    }

    #[test]
    fn the_columns_are_those_of_csv_with_types_of_their_own() {
        let head = super::super::csv_line(None);
        let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, head.trim().split(',').collect::<Vec<_>>());
        let mut text = Vec::new();
        parquet::schema::printer::print_schema(&mut text, &schema().unwrap());
        let text = String::from_utf8(text).unwrap();
        for expected in [
            "REQUIRED INT64 wall_unix_ms (TIMESTAMP(MILLIS,true));",
            "REQUIRED INT64 sequence (INTEGER(64,false));",
            "REQUIRED BOOLEAN wall_trusted;",
            "OPTIONAL BYTE_ARRAY reason (STRING);",
            "OPTIONAL DOUBLE best_score;",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_such_table_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let sound = folder.path().join("sound.parquet");
        pull(&sound, 1..40);
        let bytes = std::fs::read(&sound).unwrap();
        let other = folder.path().join("other.parquet");
        let schema = Arc::new(parse_message_type("message m { required int32 x; }").unwrap());
        let properties = Arc::new(WriterProperties::builder().build());
        let file = File::create(&other).unwrap();
        SerializedFileWriter::new(file, schema, properties).unwrap().close().unwrap();
        let path = folder.path().join("log.parquet");
        for foreign in
            [&b"dear Ada"[..], b"", &bytes[..bytes.len() - 9], &std::fs::read(&other).unwrap()]
        {
            std::fs::write(&path, foreign).unwrap();
            let error = LogFile::open(&path).err().unwrap();
            assert!(matches!(error, HostError::LogFile { line: 1, .. }), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), foreign);
        }
    }
}
