//! What a vault is filled from: a list of people and photos, or a folder with a folder of photos for each person.
//!
//! A list's columns are `name` and `photo`, and if wanted `consent` (the day on which it was given) and `keep_until` (the last day on
//! which the data may be kept), days as 2027-01-31. It is CSV with a line of their names, or, in a file ending in .jsonl, an object of
//! JSON in each line, in which what `vault list --jsonl` says besides is passed over. A line is one photo; a photo's path is meant
//! from the list's folder. Refuses columns of other names, since a misspelt one would lose what stands in it; a row that cannot be
//! used is told with the others, and takes none of them with it.
//! What any row says of consent and retention holds for everybody of its name, also where its photo is none: the latest consent, and
//! the retention that ends first. Of whoever's retention is over or cannot be read, no row is taken.

use super::{Dates, VaultError};
use crate::error::HostError;
use crate::people::id_of;
use crate::pictures;
use csv::{ReaderBuilder, StringRecord, Trim};
use jiff::civil::Date;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use threshold_record::Name;

/// A photo that is to be kept, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The line of the list; `None` from a folder.
    pub line: Option<u64>,
    /// Whose.
    pub name: Name,
    /// What the whole list says of the name's consent and retention.
    pub dates: Dates,
    /// The photo.
    pub photo: PathBuf,
}

/// A row that cannot be used.
#[derive(Debug)]
pub struct BadRow {
    /// The line of the list; `None` from a folder.
    pub line: Option<u64>,
    /// What it names.
    pub photo: Option<PathBuf>,
    /// What is wrong.
    pub error: anyhow::Error,
}

/// What a list or a folder says.
#[derive(Debug, Default)]
pub struct Listed {
    /// What can be used.
    pub wanted: Vec<Wanted>,
    /// What cannot.
    pub bad: Vec<BadRow>,
    /// Consent and retention by name, of all rows.
    pub dates: BTreeMap<Name, Dates>,
    /// Of whom some row has a retention that is no day.
    unread: BTreeSet<Name>,
}

/// The rows of a list, or the photos of a folder of people.
///
/// # Errors
/// [`VaultError::List`] and [`HostError`] for one that is neither; a bad row is none.
pub fn read(path: &Path, today: Date) -> anyhow::Result<Listed> {
    if path.is_dir() {
        return folder(path);
    }
    let mut listed = Listed::default();
    let is_json = path.extension().is_some_and(|found| found.eq_ignore_ascii_case("jsonl"));
    if is_json {
        listed.take_json(path, today)?
    } else {
        listed.take_csv(path, today)?
    }
    if listed.wanted.is_empty() && listed.bad.is_empty() {
        return Err(fault(path, "it has no rows".to_owned()).into());
    }
    listed.spread(today);
    Ok(listed)
}

fn fault(path: &Path, what: String) -> VaultError {
    VaultError::List { path: path.to_path_buf(), what }
}

/// A row's cell; of JSON every value is text, so that a day which is none is told as one, with whom it concerns.
#[derive(Default, Deserialize)]
#[serde(from = "Value")]
struct Cell(String);

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::default(),
            Value::String(text) => Self(text),
            other => Self(other.to_string()),
        }
    }
}

/// A row as it was typed; what is not there is empty.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Row {
    name: Cell,
    photo: Cell,
    consent: Cell,
    keep_until: Cell,
    /// What `vault list --jsonl` says besides, which the vault knows by itself.
    #[serde(rename = "person")]
    _person: IgnoredAny,
    #[serde(rename = "crops")]
    _crops: IgnoredAny,
    #[serde(rename = "over")]
    _over: IgnoredAny,
}

fn folder(folder: &Path) -> anyhow::Result<Listed> {
    let mut listed = Listed::default();
    for photo in pictures::named(&[folder.to_path_buf()])? {
        let name = match person_of(folder, &photo) {
            Ok(Some(person)) => name(person),
            Ok(None) => {
                let below = photo.strip_prefix(folder).unwrap_or(&photo);
                let what = format!("{} is in no person's folder", below.display());
                Err(VaultError::List { path: folder.to_path_buf(), what }.into())
            }
            Err(error) => Err(error.into()),
        };
        match name {
            Ok(name) => {
                listed.wanted.push(Wanted { line: None, name, dates: Dates::default(), photo });
            }
            Err(error) => listed.bad.push(BadRow { line: None, photo: Some(photo), error }),
        }
    }
    Ok(listed)
}

/// Whose folder a picture is in; nobody's if it lies in the folder itself.
///
/// # Errors
/// [`VaultError::FolderName`]: written as text anyhow, two people's folders could have one name.
pub fn person_of<'a>(folder: &Path, picture: &'a Path) -> Result<Option<&'a str>, VaultError> {
    let mut parts = picture.strip_prefix(folder).unwrap_or(picture).components();
    let Some(person) = parts.next().filter(|_| parts.next().is_some()) else { return Ok(None) };
    let name = person.as_os_str().to_str();
    let fault = || VaultError::FolderName { path: folder.join(person) };
    name.map(Some).ok_or_else(fault)
}

impl Listed {
    fn take_csv(&mut self, path: &Path, today: Date) -> anyhow::Result<()> {
        let file = File::open(path).map_err(HostError::file(path))?;
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(file);
        let fault = |what: String| fault(path, what);
        let columns = reader.headers().map_err(|error| fault(error.to_string()))?.clone();
        let known = ["name", "photo", "consent", "keep_until"];
        let place = |column: &str| columns.iter().position(|found| found == column);
        if let Some(other) = columns.iter().find(|found| !known.contains(found)) {
            return Err(fault(format!("it has a column {other:?}")).into());
        }
        for column in known {
            if columns.iter().filter(|&found| found == column).count() > 1 {
                return Err(fault(format!("it has the column {column} twice")).into());
            }
        }
        for needed in &known[..2] {
            place(needed).ok_or_else(|| fault(format!("it has no column {needed}")))?;
        }
        let places = known.map(place);
        let cells = |record: &StringRecord| {
            let cell = |place: Option<usize>| {
                Cell(place.and_then(|place| record.get(place)).unwrap_or_default().to_owned())
            };
            let [name, photo, consent, keep_until] = places.map(cell);
            Row { name, photo, consent, keep_until, ..Row::default() }
        };
        for record in reader.records() {
            match record {
                Ok(record) => {
                    let line = record.position().map(csv::Position::line);
                    self.take(path, line, Ok(cells(&record)), today);
                }
                // A disk that fails would be asked for ever.
                Err(error) if error.is_io_error() => return Err(fault(error.to_string()).into()),
                Err(error) => {
                    let line = error.position().map(csv::Position::line);
                    let what = match error.kind() {
                        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                            format!("the row has {len} fields and should have {expected_len}")
                        }
                        _ => "the row is no UTF-8".to_owned(),
                    };
                    self.take(path, line, Err(what), today);
                }
            }
        }
        Ok(())
    }

    fn take_json(&mut self, path: &Path, today: Date) -> anyhow::Result<()> {
        let file = File::open(path).map_err(HostError::file(path))?;
        for (place, line) in BufReader::new(file).split(b'\n').enumerate() {
            let line = line.map_err(HostError::file(path))?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            // Read as a row, a list would have its cells by their places.
            let row = match line.trim_ascii_start().starts_with(b"{") {
                true => serde_json::from_slice(&line).map_err(|error| error.to_string()),
                false => Err("it does not begin with a brace".to_owned()),
            };
            let row = row.map_err(|what| format!("the line is no object of these columns: {what}"));
            self.take(path, Some(place as u64 + 1), row, today);
        }
        Ok(())
    }

    /// Takes a row, or tells why it is none.
    fn take(&mut self, path: &Path, line: Option<u64>, row: Result<Row, String>, today: Date) {
        let beside = path.parent().unwrap_or(Path::new(""));
        let row = row.map_err(|what| VaultError::Row { what }.into());
        match row.and_then(|row| self.row(row, today)) {
            Ok((name, photo)) => {
                let (dates, photo) = (Dates::default(), beside.join(photo));
                self.wanted.push(Wanted { line, name, dates, photo });
            }
            Err(error) => self.bad.push(BadRow { line, photo: None, error }),
        }
    }

    /// Name and photo of a row; its days are kept even if it is a bad one.
    fn row(&mut self, row: Row, today: Date) -> anyhow::Result<(Name, String)> {
        let cells = [row.name, row.photo, row.consent, row.keep_until];
        let [typed, photo, consent, keep_until] = cells.map(|Cell(text)| text.trim().to_owned());
        let name = name(&typed)?;
        let bad = |what: String| anyhow::Error::new(VaultError::Row { what });
        let day = |column: &str, typed: &str| -> anyhow::Result<Option<Date>> {
            let wrong = || bad(format!("{column} {typed:?} is no day as 2027-01-31"));
            if typed.is_empty() { Ok(None) } else { typed.parse().map(Some).map_err(|_| wrong()) }
        };
        let given = match day("consent", &consent) {
            Ok(Some(day)) if day > today => {
                Err(bad(format!("the consent of {consent} is in the future")))
            }
            given => given,
        };
        let ends = day("keep_until", &keep_until);
        if ends.is_err() {
            self.unread.insert(name.clone());
        }
        let flat = |day: &anyhow::Result<Option<Date>>| day.as_ref().ok().copied().flatten();
        let dates = Dates { consent: flat(&given), keep_until: flat(&ends) };
        let held = self.dates.entry(name.clone()).or_default();
        *held = held.and(dates);
        given.and(ends)?;
        if photo.is_empty() {
            return Err(VaultError::NoPhoto { name: name.as_str().to_owned() }.into());
        }
        Ok((name, photo))
    }

    /// Puts the days of a name on each of its rows, and makes bad ones of those which must not be taken.
    fn spread(&mut self, today: Date) {
        for row in std::mem::take(&mut self.wanted) {
            let dates = self.dates.get(&row.name).copied().unwrap_or_default();
            let name = row.name.as_str().to_owned();
            let error = match dates.keep_until.filter(|_| dates.is_over(today)) {
                Some(until) => VaultError::Over { name, until },
                None if self.unread.contains(&row.name) => {
                    let what = format!("another row of {name} has a keep_until that is no day");
                    VaultError::Row { what }
                }
                None => {
                    self.wanted.push(Wanted { dates, ..row });
                    continue;
                }
            };
            let (line, photo) = (row.line, Some(row.photo));
            self.bad.push(BadRow { line, photo, error: error.into() });
        }
        self.bad.sort_by_key(|row| row.line);
    }
}

fn name(typed: &str) -> anyhow::Result<Name> {
    let name = Name::new(typed)?;
    if id_of(&name).is_some() {
        let what = format!("{typed:?} would be taken for the person with that id");
        return Err(HostError::BadName { what }.into());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn today() -> Date {
        "2026-11-26".parse().unwrap()
    }

    fn read_list(text: &[u8]) -> anyhow::Result<Listed> {
        read_as("people.csv", text)
    }

    fn read_as(name: &str, text: &[u8]) -> anyhow::Result<Listed> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path, today())
    }

    #[test]
    fn every_bad_row_is_told_with_its_line_and_the_good_ones_stay() {
        let text = b"photo,name,keep_until,consent\n\
            ann.jpg, Ann ,2027-12-31,2026-01-02\n\
            bob.jpg,,,\n\
            bob.jpg,Bob\n\
            carl.jpg,Carl,31.12.2027,\n\
            bob.jpg,Bob,,2026-11-27\n\
            dora.jpg,Dora,2026-11-25,\n\
            ,Bob,,\n\
            bob.jpg,#7,,\n\
            bob.jpg,B\xffb,,\n\
            bob.jpg,Bob,2026-11-26,2026-11-26\n";
        let Listed { wanted, bad, .. } = read_list(text).unwrap();
        let lines: Vec<u64> = bad.iter().filter_map(|row| row.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9, 10]);
        let told = [
            "the name is empty",
            "the row has 2 fields and should have 4",
            "keep_until \"31.12.2027\" is no day",
            "the consent of 2026-11-27 is in the future",
            "the data of Dora may be kept until 2026-11-25, which is over",
            "it names no photo",
            "\"#7\" would be taken for the person with that id",
            "the row is no UTF-8",
        ];
        for (row, told) in bad.iter().zip(told) {
            assert!(row.error.to_string().starts_with(told), "{}", row.error);
        }
        assert_eq!(wanted.len(), 2);
        let [ann, bob] = &wanted[..] else { panic!("{wanted:?}") };
        assert_eq!((ann.name.as_str(), bob.name.as_str()), ("Ann", "Bob"));
        assert!(ann.photo.ends_with("ann.jpg") && ann.photo.is_absolute());
        assert_eq!(ann.dates.keep_until, Some("2027-12-31".parse().unwrap()));
        assert_eq!(bob.dates.consent, Some(today()));
    }

    #[test]
    fn days_hold_for_every_row_of_a_name_also_those_of_bad_rows() {
        let text = b"name,photo,consent,keep_until\n\
            Ann,1.jpg,,2030-01-31\n\
            Ann,,2026-01-02,2028-01-31\n\
            Ann,2.jpg,2026-02-03,2029-01-31\n\
            Bob,1.jpg,2026-01-02,\n\
            Bob,2.jpg,2026-01-02,2026-11-25\n\
            Carl,1.jpg,,\n\
            Carl,2.jpg,,soon\n";
        let Listed { wanted, bad, dates, .. } = read_list(text).unwrap();
        let day = |text: &str| Some(text.parse::<Date>().unwrap());
        let ann = Dates { consent: day("2026-02-03"), keep_until: day("2028-01-31") };
        let found: Vec<_> = wanted.iter().map(|row| (row.name.as_str(), row.dates)).collect();
        assert_eq!(found, [("Ann", ann), ("Ann", ann)]);
        let told: Vec<_> = bad.iter().map(|row| (row.line, row.error.to_string())).collect();
        let starts = [
            (3, "it names no photo"),
            (5, "the data of Bob may be kept until 2026-11-25, which is over"),
            (6, "the data of Bob may be kept until 2026-11-25, which is over"),
            (7, "another row of Carl has a keep_until that is no day"),
            (8, "keep_until \"soon\" is no day"),
        ];
        assert_eq!(told.len(), starts.len(), "{told:?}");
        for ((line, told), (expected, start)) in told.iter().zip(starts) {
            assert!(*line == Some(expected) && told.starts_with(start), "{line:?} {told}");
        }
        // Of whoever is over too: the vault has to know.
        assert_eq!(dates[&Name::new("Bob").unwrap()].keep_until, day("2026-11-25"));
    }

    #[test]
    fn lines_of_json_are_rows_and_bad_ones_take_none_with_them() {
        let text =
            br#"{"name": " Ann ", "photo": "1.jpg", "consent": "2026-01-02", "keep_until": null}

{"person": 7, "crops": 2, "over": false, "name": "Bob", "photo": "2.jpg"}
{"name": "Bob", "photo": "3.jpg", "concent": "2026-01-02"}
{"name": "Bob", "photo": "3.jpg"
["Bob", "3.jpg"]
{"name": "Bob"}
{"name": "Ann", "name": "Bob", "photo": "4.jpg"}
{"name": "Carl", "photo": "5.jpg"}
{"name": "Carl", "photo": "6.jpg", "keep_until": 31.12}
"#;
        let Listed { wanted, bad, .. } = read_as("people.JSONL", text).unwrap();
        let found: Vec<_> = wanted.iter().map(|row| (row.line, row.name.as_str())).collect();
        assert_eq!(found, [(Some(1), "Ann"), (Some(3), "Bob")]);
        assert_eq!(wanted[0].dates.consent, Some("2026-01-02".parse().unwrap()));
        assert!(wanted[1].photo.ends_with("2.jpg") && wanted[1].photo.is_absolute());
        let told: Vec<_> = bad.iter().map(|row| (row.line, row.error.to_string())).collect();
        let says = [
            (4, "unknown field `concent`"),
            (5, "the line is no object of these columns"),
            (6, "the line is no object of these columns"),
            (7, "it names no photo"),
            (8, "duplicate field `name`"),
            (9, "another row of Carl has a keep_until that is no day"),
            (10, "keep_until \"31.12\" is no day"),
        ];
        assert_eq!(told.len(), says.len(), "{told:?}");
        for ((line, told), (expected, says)) in told.iter().zip(says) {
            assert!(*line == Some(expected) && told.contains(says), "{line:?} {told}");
        }
        let empty = read_as("people.jsonl", b"\n").unwrap_err().to_string();
        assert!(empty.contains("it has no rows"), "{empty}");
    }

    #[test]
    fn a_list_that_is_none_is_an_error() {
        for (text, told) in [
            (&b""[..], "it has no column name"),
            (b"name,photo\n", "it has no rows"),
            (b"name,photo,name\nAnn,a.jpg,Bob\n", "it has the column name twice"),
            (b"name\nAnn\n", "it has no column photo"),
            (b"name,photo,concent\nAnn,a.jpg,2026-01-01\n", "it has a column \"concent\""),
        ] {
            let error = read_list(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_folder_of_people_names_them_and_a_photo_of_nobody_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("Ann")).unwrap();
        for name in ["Ann/1.jpg", "lone.jpg"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let Listed { wanted, bad, .. } = read(folder.path(), today()).unwrap();
        assert_eq!((wanted.len(), bad.len()), (1, 1));
        assert_eq!(wanted[0].name.as_str(), "Ann");
        assert!(bad[0].error.to_string().contains("lone.jpg is in no person's folder"));
    }

    #[test]
    fn folders_that_are_no_text_are_not_taken_for_one_person() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().unwrap();
        for name in [&b"Ren\xe9"[..], b"Ren\xe8"] {
            let person = folder.path().join(std::ffi::OsStr::from_bytes(name));
            std::fs::create_dir(&person).unwrap();
            std::fs::write(person.join("1.jpg"), "").unwrap();
        }
        let Listed { wanted, bad, .. } = read(folder.path(), today()).unwrap();
        assert_eq!((wanted.len(), bad.len()), (0, 2));
        for (row, name) in bad.iter().zip(["Ren\\xE8", "Ren\\xE9"]) {
            let error = row.error.to_string();
            assert!(error.contains(name) && error.contains("is no UTF-8; rename it"), "{error}");
        }
    }
}
