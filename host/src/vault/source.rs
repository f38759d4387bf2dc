//! What a vault is filled from: a CSV list of people and photos, or a folder with a folder of photos for each person.
//!
//! The list has a line of column names: `name` and `photo`, and if wanted `consent` (the day on which it was given) and
//! `keep_until` (the last day on which the data may be kept), days as 2027-01-31. A line is one photo; a photo's path is meant
//! from the list's folder. Refuses columns of other names, since a misspelt one would lose what stands in it; a row that cannot be
//! used is told with the others, and takes none of them with it.

use super::{Dates, VaultError};
use crate::error::HostError;
use crate::people::id_of;
use crate::pictures;
use csv::{ReaderBuilder, StringRecord, Trim};
use jiff::civil::Date;
use std::fs::File;
use std::path::{Path, PathBuf};
use threshold_record::Name;

/// A photo that is to be kept, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The line of the list; `None` from a folder.
    pub line: Option<u64>,
    /// Whose.
    pub name: Name,
    /// What the list says of consent and retention.
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

/// The rows of a list, or the photos of a folder of people.
///
/// # Errors
/// [`VaultError::List`] and [`HostError`] for one that is neither; a bad row is none.
pub fn read(path: &Path, today: Date) -> anyhow::Result<(Vec<Wanted>, Vec<BadRow>)> {
    if path.is_dir() { folder(path) } else { list(path, today) }
}

fn folder(folder: &Path) -> anyhow::Result<(Vec<Wanted>, Vec<BadRow>)> {
    let (mut wanted, mut bad) = (Vec::new(), Vec::new());
    for photo in pictures::named(&[folder.to_path_buf()])? {
        let below = photo.strip_prefix(folder).unwrap_or(&photo);
        let mut parts = below.components().map(|part| part.as_os_str().to_string_lossy());
        let person = parts.next().filter(|_| parts.next().is_some());
        let name = match person {
            Some(person) => name(&person),
            None => {
                let what = format!("{} is in no person's folder", below.display());
                Err(VaultError::List { path: folder.to_path_buf(), what }.into())
            }
        };
        match name {
            Ok(name) => wanted.push(Wanted { line: None, name, dates: Dates::default(), photo }),
            Err(error) => bad.push(BadRow { line: None, photo: Some(photo), error }),
        }
    }
    Ok((wanted, bad))
}

fn list(path: &Path, today: Date) -> anyhow::Result<(Vec<Wanted>, Vec<BadRow>)> {
    let file = File::open(path).map_err(HostError::file(path))?;
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(file);
    let fault = |what: String| VaultError::List { path: path.to_path_buf(), what };
    let columns = reader.headers().map_err(|error| fault(error.to_string()))?.clone();
    let known = ["name", "photo", "consent", "keep_until"];
    let place = |column: &str| columns.iter().position(|found| found == column);
    if let Some(other) = columns.iter().find(|found| !known.contains(found)) {
        return Err(fault(format!("it has a column {other:?}")).into());
    }
    for needed in &known[..2] {
        place(needed).ok_or_else(|| fault(format!("it has no column {needed}")))?;
    }
    let places = known.map(place);
    let beside = path.parent().unwrap_or(Path::new(""));
    let (mut wanted, mut bad) = (Vec::new(), Vec::new());
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map(csv::Position::line);
                match row(&record, places, beside, today) {
                    Ok((name, dates, photo)) => wanted.push(Wanted { line, name, dates, photo }),
                    Err(error) => bad.push(BadRow { line, photo: None, error }),
                }
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
                bad.push(BadRow { line, photo: None, error: VaultError::Row { what }.into() });
            }
        }
    }
    if wanted.is_empty() && bad.is_empty() {
        return Err(fault("it has no rows".to_owned()).into());
    }
    Ok((wanted, bad))
}

fn row(
    record: &StringRecord,
    places: [Option<usize>; 4],
    beside: &Path,
    today: Date,
) -> anyhow::Result<(Name, Dates, PathBuf)> {
    let [typed, photo, consent, keep_until] =
        places.map(|place| place.and_then(|place| record.get(place)).unwrap_or_default());
    let name = name(typed)?;
    let bad = |what: String| anyhow::Error::new(VaultError::Row { what });
    let day = |column: &str, typed: &str| {
        let wrong = || bad(format!("{column} {typed:?} is no day as 2027-01-31"));
        if typed.is_empty() { Ok(None) } else { typed.parse().map(Some).map_err(|_| wrong()) }
    };
    if photo.is_empty() {
        return Err(bad("it names no photo".to_owned()));
    }
    let dates =
        Dates { consent: day("consent", consent)?, keep_until: day("keep_until", keep_until)? };
    if dates.consent.is_some_and(|day| day > today) {
        return Err(bad(format!("the consent of {consent} is in the future")));
    }
    if dates.is_over(today) {
        return Err(bad(format!("the data may be kept until {keep_until}, which is over")));
    }
    Ok((name, dates, beside.join(photo)))
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

    fn read_list(text: &[u8]) -> anyhow::Result<(Vec<Wanted>, Vec<BadRow>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        std::fs::write(&path, text).unwrap();
        read(&path, today())
    }

    #[test]
    fn every_bad_row_is_told_with_its_line_and_the_good_ones_stay() {
        let text = b"photo,name,keep_until,consent\n\
            ann.jpg, Ann ,2027-12-31,2026-01-02\n\
            bob.jpg,,,\n\
            bob.jpg,Bob\n\
            bob.jpg,Bob,31.12.2027,\n\
            bob.jpg,Bob,,2026-11-27\n\
            bob.jpg,Bob,2026-11-25,\n\
            ,Bob,,\n\
            bob.jpg,#7,,\n\
            bob.jpg,B\xffb,,\n\
            bob.jpg,Bob,2026-11-26,2026-11-26\n";
        let (wanted, bad) = read_list(text).unwrap();
        let lines: Vec<u64> = bad.iter().filter_map(|row| row.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9, 10]);
        let told = [
            "the name is empty",
            "the row has 2 fields and should have 4",
            "keep_until \"31.12.2027\" is no day",
            "the consent of 2026-11-27 is in the future",
            "the data may be kept until 2026-11-25, which is over",
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
    fn a_list_that_is_none_is_an_error() {
        for (text, told) in [
            (&b""[..], "it has no column name"),
            (b"name,photo\n", "it has no rows"),
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
        let (wanted, bad) = read(folder.path(), today()).unwrap();
        assert_eq!((wanted.len(), bad.len()), (1, 1));
        assert_eq!(wanted[0].name.as_str(), "Ann");
        assert!(bad[0].error.to_string().contains("lone.jpg is in no person's folder"));
    }
}
