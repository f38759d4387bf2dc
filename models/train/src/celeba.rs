//! CelebA's lists: one labelled face a picture with its box and five landmarks, and who it is where that list is at hand.
//!
//! Owns the lists' text form and how they are joined by file name. Refuses a list that does not read, with its line, and a picture
//! that one list has and another has not: half of a label teaches something else.
//!
//! ```text
//! list_bbox_celeba.txt       202599                          number of rows
//!                            image_id x_1 y_1 width height   names of the columns
//!                            000001.jpg 95 71 226 313        pixels of the picture as it was taken ("in the wild")
//! list_landmarks_celeba.txt  the same with 10 numbers: x and y of the eyes, nose and mouth's corners, those at the picture's left first
//! identity_CelebA.txt        000001.jpg 2880                 no head; the person's number
//! ```

use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use threshold_models::engine::{BBox, Landmarks};

/// A picture's label.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Labelled {
    /// File name in the folder of pictures.
    pub(crate) name: String,
    /// The face's box, pixel edges; `None` where the list has one without an area.
    pub(crate) bbox: Option<BBox>,
    pub(crate) landmarks: Landmarks,
    /// The person's number, where it is known.
    pub(crate) person: Option<String>,
}

/// Joins the lists' texts, by file name.
///
/// # Errors
/// If a list does not read, with its line, or names another picture than the others.
pub(crate) fn join(
    boxes: &str,
    landmarks: &str,
    identities: Option<&str>,
) -> Result<Vec<Labelled>> {
    let boxes: BTreeMap<&str, [f32; 4]> = rows(boxes, 2).context("the list of boxes")?;
    let landmarks: BTreeMap<&str, [f32; 10]> =
        rows(landmarks, 2).context("the list of landmarks")?;
    let persons: Option<BTreeMap<&str, [f32; 1]>> =
        identities.map(|text| rows(text, 0)).transpose().context("the list of identities")?;
    if let Some(name) = landmarks.keys().find(|name| !boxes.contains_key(*name)) {
        bail!(
            "{name} is in the list of landmarks and not in that of boxes: take both of one release"
        );
    }
    let mut all = Vec::with_capacity(boxes.len());
    for (name, [x, y, width, height]) in boxes {
        let points = landmarks.get(name).with_context(|| {
            format!("{name} is in the list of boxes and not in that of landmarks: take both of one release")
        })?;
        let person = match &persons {
            None => None,
            Some(persons) => {
                let [number] = persons.get(name).with_context(|| {
                    format!("{name} is not in the list of identities: leave that out, or take the one of the same release")
                })?;
                Some(number.to_string())
            }
        };
        let has_area = width > 0.0 && height > 0.0;
        all.push(Labelled {
            name: name.to_owned(),
            bbox: has_area.then_some(BBox { x1: x, y1: y, x2: x + width, y2: y + height }),
            landmarks: std::array::from_fn(|i| [points[2 * i], points[2 * i + 1]]),
            person,
        });
    }
    Ok(all)
}

/// The rows behind so many lines of a head: a file name and `N` numbers.
fn rows<const N: usize>(text: &str, head: usize) -> Result<BTreeMap<&str, [f32; N]>> {
    let mut all = BTreeMap::new();
    for (at, line) in text.lines().enumerate().skip(head) {
        let at = at + 1;
        let mut fields = line.split_whitespace();
        let Some(name) = fields.next() else { continue };
        // What is joined to a folder must stay in it.
        if name.contains(['/', '\\']) || name == ".." {
            bail!("line {at}: expected a file's name, found {name:?}");
        }
        let numbers: Option<Vec<f32>> = fields.map(|field| field.parse().ok()).collect();
        let numbers = numbers.and_then(|numbers| <[f32; N]>::try_from(numbers).ok());
        let numbers = numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite()));
        let Some(numbers) = numbers else {
            bail!("line {at}: expected a file's name and {N} numbers, found {line:?}");
        };
        if all.insert(name, numbers).is_some() {
            bail!("line {at}: {name} stands there twice");
        }
    }
    if all.is_empty() {
        bail!("it has no row behind its head of {head} lines");
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    const BOXES: &str =
        "2\nimage_id x_1 y_1 width height\nb.jpg 72 94 221 306\na.jpg 95  71 226 0\n";
    const POINTS: &str = "2\nlefteye_x lefteye_y ...\na.jpg 1 2 3 4 5 6 7 8 9 10\nb.jpg 140 204 220 204 168 254 146 289 226 289\n";

    #[test]
    fn lists_are_joined_by_name_and_boxes_without_an_area_are_none() {
        let all = join(BOXES, POINTS, Some("a.jpg 2880\nb.jpg 11\n")).unwrap();
        let names: Vec<_> = all.iter().map(|one| (&*one.name, one.person.as_deref())).collect();
        assert_eq!(names, [("a.jpg", Some("2880")), ("b.jpg", Some("11"))]);
        assert_eq!(all[0].bbox, None);
        let bbox = BBox { x1: 72.0, y1: 94.0, x2: 293.0, y2: 400.0 };
        assert_eq!((all[1].bbox, all[1].landmarks[2]), (Some(bbox), [168.0, 254.0]));
        assert!(join(BOXES, POINTS, None).unwrap().iter().all(|one| one.person.is_none()));
    }

    #[test]
    fn what_does_not_read_is_named_with_its_line() {
        let fault = |boxes: &str, points: &str, identities| {
            format!("{:#}", join(boxes, points, identities).unwrap_err())
        };
        let wrong = BOXES.replace("306", "many");
        assert!(fault(&wrong, POINTS, None).starts_with("the list of boxes: line 3: expected"));
        let short = POINTS.replace(" 289\n", "\n");
        assert!(
            fault(BOXES, &short, None).contains("landmarks: line 4: expected a file's name and 10")
        );
        let outside = BOXES.replace("b.jpg", "../b.jpg");
        assert!(fault(&outside, POINTS, None).contains("line 3: expected a file's name, found"));
        let twice = BOXES.replace("b.jpg", "a.jpg");
        assert!(fault(&twice, POINTS, None).contains("line 4: a.jpg stands there twice"));
        assert!(fault("0\nhead\n", POINTS, None).contains("no row behind its head"));
        let fewer = POINTS.replace("a.jpg", "c.jpg");
        assert!(fault(BOXES, &fewer, None).contains("c.jpg is in the list of landmarks and not"));
        let fewer = BOXES.replace("b.jpg 72", "c.jpg 72") + "b.jpg 1 1 2 2\n";
        assert!(fault(&fewer, POINTS, None).contains("c.jpg is in the list of boxes and not"));
        assert!(
            fault(BOXES, POINTS, Some("a.jpg 1\n")).contains("b.jpg is not in the list of ident")
        );
    }
}
