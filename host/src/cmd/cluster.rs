//! `threshold cluster`: the faces of a folder in groups that are one person's by the model's threshold.
//!
//! Owns what is said of the groups, and who in a folder of people may be one person. The threshold is the loosest that a unit of this
//! model takes: everybody is compared with everybody, as a door does, and the one that is best on LFW's pairs would join a third of
//! the people to somebody. The linkage is `threshold_models::cluster`'s. Of a picture only its faces' embeddings are kept, so that memory is bounded by their number.
//! Refuses to say that two people are one: a threshold is wrong now and then, and somebody looks.

use super::eval::page;
use super::{Answer, door_distance, round};
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::plain;
use crate::vault::source::person_of;
use crate::{args, parallel, pictures, remedy, report};
use maud::{Markup, html};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use threshold_models::cluster;
use threshold_models::engine::{Embedding, Engine};
use threshold_models::picture;
use threshold_models::search::distance;
use threshold_record::Metric;

/// The most faces: their embeddings take 40 MB, and all pairs of them are compared some three times, in a few minutes.
const MAX_FACES: usize = 20_000;

/// What a page shows at most, so that it stays below 50 MB: groups and pairs of people, and faces of each group.
const MAX_SHOWN: usize = 200;
const MAX_FACES_SHOWN: usize = 8;

/// A face of a picture.
struct Face {
    /// Place of the picture.
    picture: usize,
    /// Which of its faces, by area, and whether it is the only one.
    face: usize,
    alone: bool,
}

/// Two people who may be one.
#[derive(Debug, PartialEq)]
struct Double {
    people: [String; 2],
    distance: f32,
    /// Places of the two faces that are nearest.
    faces: [usize; 2],
}

/// Groups the faces; [`Answer::No`] if some people may be one.
///
/// # Errors
/// A folder that cannot be listed, a person's folder of which the name is no UTF-8, a missing pack, [`HostError::TooManyFaces`], and
/// [`HostError::PicturesLeft`] at the end if pictures could not be read.
pub fn run(meant: &Meant, typed: &args::Cluster) -> anyhow::Result<Answer> {
    pictures::folder(&typed.folder)?;
    let pictures = pictures::named(std::slice::from_ref(&typed.folder))?;
    let people: Vec<Option<&str>> =
        pictures.iter().map(|path| person_of(&typed.folder, path)).collect::<Result<_, _>>()?;
    let engines = Engines::open(meant)?;
    let (detector, pack) = (engines.detector()?, engines.embedder(meant.model.as_ref())?);
    let embedder = pack.embedder()?;
    let (metric, threshold) = (embedder.metric, door_distance(embedder));
    let bar = meant.say.bar(pictures.len() as u64, "looking at pictures");
    let (workers, threads_each) = Engines::shares(meant.threads, pictures.len());
    let n_faces = AtomicUsize::new(0);
    let found = parallel::over(
        &pictures,
        workers,
        || anyhow::Ok(Engines::engine(&detector, Some(&pack), typed.min_face, threads_each)?),
        |engine, path| {
            let embedded = (|| -> anyhow::Result<Vec<Embedding>> {
                let frame = picture::read(path)?;
                let faces = engine.detect(&frame)?;
                Ok(engine.embed(&frame, &faces)?)
            })();
            bar.inc(1);
            let more = embedded.as_ref().map_or(0, Vec::len);
            // As soon as it is known: a folder of a million pictures would be held in memory for nothing.
            if n_faces.fetch_add(more, Ordering::Relaxed) + more > MAX_FACES {
                let path = typed.folder.display().to_string();
                return Err(HostError::TooManyFaces { path, max: MAX_FACES }.into());
            }
            Ok(embedded)
        },
    )?;
    bar.finish_and_clear();
    let (mut faces, mut embeddings) = (Vec::new(), Vec::new());
    let (mut without, mut faults) = (Vec::new(), Vec::new());
    for (picture, found) in found.into_iter().enumerate() {
        match found {
            Ok(found) if found.is_empty() => without.push(picture),
            Ok(found) => {
                let alone = found.len() == 1;
                faces.extend((0..found.len()).map(|face| Face { picture, face, alone }));
                embeddings.extend(found);
            }
            Err(error) => {
                meant.say.error(&error);
                faults.push(remedy::without(&error));
            }
        }
    }
    let groups = in_groups(&cluster::groups(metric, threshold, &embeddings));
    let person = |face: usize| {
        let Face { picture, alone, .. } = faces[face];
        people[picture].filter(|_| alone)
    };
    let doubles = doubles(metric, &groups, &embeddings, person);
    let name = |face: usize| {
        let Face { picture, face, alone } = faces[face];
        let path = pictures[picture].display();
        if alone { path.to_string() } else { format!("{path} (face {})", face + 1) }
    };
    let path = |&picture: &usize| pictures[picture].display().to_string();
    let face =
        |&face: &usize| json!({ "picture": path(&faces[face].picture), "face": faces[face].face });
    let double = |double: &Double| {
        json!({
            "people": double.people,
            "distance": round(double.distance),
            "faces": double.faces.iter().map(face).collect::<Vec<Value>>(),
        })
    };
    let mut value = json!({
        "model": pack.id.to_string(),
        "model_name": pack.meta.name,
        "distance_unit": metric.unit(),
        "distance_threshold": round(threshold),
        "pictures": pictures.len(),
        "faces": faces.len(),
        "groups": groups.iter().map(|group| group.iter().map(face).collect()).collect::<Vec<Value>>(),
        "doubles": doubles.iter().map(double).collect::<Vec<Value>>(),
        "without_face": without.iter().map(path).collect::<Vec<_>>(),
        "faults": faults,
    });
    let summary = format!(
        "{} faces in {} pictures make {} groups by {} (mean distance up to {threshold:.3} {})",
        faces.len(),
        pictures.len(),
        groups.len(),
        pack.meta.name,
        metric.unit()
    );
    let shown = |face: usize| (name(face), pictures[faces[face].picture].as_path());
    page::write(&typed.page, &mut value, "faces in groups", || {
        Ok(body(&typed.page, &summary, &groups, &doubles, metric, shown))
    })?;
    meant.say.result(&value, || {
        let mut lines = vec![summary];
        for (number, group) in groups.iter().enumerate().filter(|(_, group)| group.len() > 1) {
            let faces: Vec<String> = group.iter().map(|&face| name(face)).collect();
            lines.push(format!("group {}: {}", number + 1, faces.join(", ")));
        }
        for Double { people: [a, b], distance, faces: [face, other] } in &doubles {
            lines.push(format!(
                "{a} and {b} may be one person: {} and {} are {distance:.3} {} apart",
                name(*face),
                name(*other),
                metric.unit()
            ));
        }
        if !without.is_empty() {
            let names: Vec<String> = without.iter().map(path).collect();
            lines.push(format!("no face: {}", names.join(", ")));
        }
        lines.join("\n")
    })?;
    match faults.len() {
        0 if doubles.is_empty() => Ok(Answer::Yes),
        0 => Ok(Answer::No),
        failed => Err(HostError::PicturesLeft { failed, all: pictures.len() }.into()),
    }
}

/// The page: who may be one person, then every group of two faces or more.
fn body<'a>(
    typed: &args::Page,
    summary: &String,
    groups: &[Vec<usize>],
    doubles: &[Double],
    metric: Metric,
    shown: impl Fn(usize) -> (String, &'a Path),
) -> Markup {
    let face = |face: usize| {
        let (name, path) = shown(face);
        report::picture(&name, path)
    };
    let grouped: Vec<(usize, &Vec<usize>)> =
        groups.iter().enumerate().filter(|(_, group)| group.len() > 1).collect();
    html! {
        (page::origin(typed.html.as_deref(), std::slice::from_ref(summary)))
        p.warn { (page::PICTURES_OF_PEOPLE) }
        @if !doubles.is_empty() {
            h2 { "Who may be one person" }
            @if doubles.len() > MAX_SHOWN { p.note { "The first " (MAX_SHOWN) " of " (doubles.len()) "." } }
            div.wide {
                table {
                    tr { th { "people" } th.n { "distance, " (metric.unit()) } th { "one" } th { "the other" } }
                    @for Double { people: [a, b], distance, faces } in doubles.iter().take(MAX_SHOWN) {
                        tr {
                            td { (plain(a)) " and " (plain(b)) }
                            td.n { (format!("{distance:.3}")) }
                            @for &one in faces { td { (face(one)) } }
                        }
                    }
                }
            }
        }
        h2 { "Groups of two faces or more: " (grouped.len()) }
        @if grouped.len() > MAX_SHOWN { p.note { "The first " (MAX_SHOWN) "; the JSON has all." } }
        @for (number, group) in grouped.iter().take(MAX_SHOWN) {
            h3 { "Group " (number + 1) ": " (group.len()) " faces" @if group.len() > MAX_FACES_SHOWN { ", the first " (MAX_FACES_SHOWN) } }
            div.wide {
                table { tr { @for &one in group.iter().take(MAX_FACES_SHOWN) { td { (face(one)) } } } }
            }
        }
    }
}

/// The members of each group.
fn in_groups(group_of: &[usize]) -> Vec<Vec<usize>> {
    let mut groups = vec![Vec::new(); group_of.iter().max().map_or(0, |last| last + 1)];
    for (face, &group) in group_of.iter().enumerate() {
        groups[group].push(face);
    }
    groups
}

/// People whose faces are in one group, each two with their nearest faces.
fn doubles<'a>(
    metric: Metric,
    groups: &[Vec<usize>],
    embeddings: &[Embedding],
    person: impl Fn(usize) -> Option<&'a str>,
) -> Vec<Double> {
    let mut nearest: BTreeMap<[&str; 2], (f32, [usize; 2])> = BTreeMap::new();
    for group in groups {
        let named: Vec<(usize, &str)> =
            group.iter().filter_map(|&face| Some((face, person(face)?))).collect();
        let people: BTreeSet<&str> = named.iter().map(|(_, person)| *person).collect();
        if people.len() < 2 {
            continue;
        }
        for (place, &(face, of)) in named.iter().enumerate() {
            for &(other, of_other) in named[place + 1..].iter().filter(|(_, other)| *other != of) {
                let apart = distance(metric, &embeddings[face], &embeddings[other]);
                let (key, faces) = match of < of_other {
                    true => ([of, of_other], [face, other]),
                    false => ([of_other, of], [other, face]),
                };
                let held = nearest.entry(key).or_insert((apart, faces));
                if apart < held.0 {
                    *held = (apart, faces);
                }
            }
        }
    }
    let mut doubles: Vec<Double> = nearest
        .into_iter()
        .map(|(people, (distance, faces))| Double {
            people: people.map(str::to_owned),
            distance,
            faces,
        })
        .collect();
    doubles.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    doubles
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::path::Path;

    #[test]
    fn people_who_share_a_group_are_named_once_with_their_nearest_faces() {
        let places: [(f32, Option<&str>); 7] = [
            (0.0, Some("Ann")),
            (0.3, Some("Bob")),
            (0.1, Some("Bob")),
            (5.0, Some("Carol")),
            (5.1, None),
            (9.0, Some("Ann")),
            (9.2, Some("Carol")),
        ];
        let embeddings: Vec<Embedding> = places.iter().map(|(x, _)| Embedding(vec![*x])).collect();
        let groups = in_groups(&[0, 0, 0, 1, 1, 2, 2]);
        let found = doubles(Metric::L2, &groups, &embeddings, |face| places[face].1);
        let told: Vec<([&str; 2], [usize; 2])> = found
            .iter()
            .map(|double| ([double.people[0].as_str(), double.people[1].as_str()], double.faces))
            .collect();
        assert_eq!(told, [(["Ann", "Bob"], [0, 2]), (["Ann", "Carol"], [5, 6])]);
        assert!((found[0].distance - 0.1).abs() < 1e-6);
    }

    #[test]
    fn a_picture_is_of_the_person_whose_folder_it_is_in() {
        let of = |picture| person_of(Path::new("in"), Path::new(picture)).unwrap();
        assert_eq!(of("in/Ann/1.jpg"), Some("Ann"));
        assert_eq!(of("in/Ann/more/1.jpg"), Some("Ann"));
        assert_eq!(of("in/1.jpg"), None);
    }
}
