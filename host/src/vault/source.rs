//! What a vault is filled from: a CSV list of people and photos, or a folder with a folder of photos for each person.
//!
//! The list has a line of column names: `name` and `photo`, and if wanted `consent` (the day on which it was given) and
//! `keep_until` (the last day on which the data may be kept), days as 2027-01-31. A line is one photo; a photo's path is meant
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
use std::collections::{BTreeMap, BTreeSet};
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
    if path.is_dir() { folder(path) } else { list(path, today) }
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

fn list(path: &Path, today: Date) -> anyhow::Result<Listed> {
    let file = File::open(path).map_err(HostError::file(path))?;
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(file);
    let fault = |what: String| VaultError::List { path: path.to_path_buf(), what };
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
    let beside = path.parent().unwrap_or(Path::new(""));
    let mut listed = Listed::default();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map(csv::Position::line);
                match listed.row(&record, places, today) {
                    Ok((name, photo)) => {
                        let (dates, photo) = (Dates::default(), beside.join(photo));
                        listed.wanted.push(Wanted { line, name, dates, photo });
                    }
                    Err(error) => listed.bad.push(BadRow { line, photo: None, error }),
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
                listed.bad.push(BadRow {
                    line,
                    photo: None,
                    error: VaultError::Row { what }.into(),
                });
            }
        }
    }
    if listed.wanted.is_empty() && listed.bad.is_empty() {
        return Err(fault("it has no rows".to_owned()).into());
    }
    listed.spread(today);
    Ok(listed)
}

impl Listed {
    /// Name and photo of a row; its days are kept even if it is a bad one.
    fn row<'a>(
        &mut self,
        record: &'a StringRecord,
        places: [Option<usize>; 4],
        today: Date,
    ) -> anyhow::Result<(Name, &'a str)> {
        let [typed, photo, consent, keep_until] =
            places.map(|place| place.and_then(|place| record.get(place)).unwrap_or_default());
        let name = name(typed)?;
        let bad = |what: String| anyhow::Error::new(VaultError::Row { what });
        let day = |column: &str, typed: &str| -> anyhow::Result<Option<Date>> {
            let wrong = || bad(format!("{column} {typed:?} is no day as 2027-01-31"));
            if typed.is_empty() { Ok(None) } else { typed.parse().map(Some).map_err(|_| wrong()) }
        };
        let given = match day("consent", consent) {
            Ok(Some(day)) if day > today => {
                Err(bad(format!("the consent of {consent} is in the future")))
            }
            given => given,
        };
        let ends = day("keep_until", keep_until);
        if ends.is_err() {
            self.unread.insert(name.clone());
        }
        let flat = |day: &anyhow::Result<Option<Date>>| day.as_ref().ok().copied().flatten();
        let dates = Dates { consent: flat(&given), keep_until: flat(&ends) };
        let held = self.dates.entry(name.clone()).or_default();
        *held = held.and(dates);
        given.and(ends)?;
        if photo.is_empty() {
            return Err(bad("it names no photo".to_owned()));
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
