//! Sets of photos as they are read, labelled and mined; skipped aloud where references or packs are missing.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod references;

use references::references;
use std::path::{Path, PathBuf};
use threshold_models::pack::Pack;
use threshold_train::pictures::{CelebA, Labels, Loaded, People, Sets, Wider, load};
use threshold_train::sample::{NEGATIVE, overlap};

fn read(
    sets: &(Vec<Wider>, Vec<People>),
    detector: &Pack,
    threads: usize,
) -> anyhow::Result<Loaded> {
    let labels = Labels { detector, min_face_px: 24.0, depth: 2, threads };
    let sets = Sets { wider: &sets.0, celeba: &[], people: &sets.1 };
    load(sets, 0.4, &labels, &|_, _| ())
}

/// The first pictures of the WIDER subset, and a folder of a few people with a picture that is cut off.
fn sets(shared: &Path, folder: &Path) -> (Vec<Wider>, Vec<People>) {
    let text = std::fs::read_to_string(shared.join("wider-dev/gt.txt")).unwrap();
    let mut few = String::new();
    let mut lines = text.lines();
    for _ in 0..5 {
        let (path, count) = (lines.next().unwrap(), lines.next().unwrap());
        few += &format!("{path}\n{count}\n");
        for _ in 0..count.parse::<usize>().unwrap().max(1) {
            few += &format!("{}\n", lines.next().unwrap());
        }
    }
    few += "0--Parade/missing.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n";
    let list = folder.join("gt.txt");
    std::fs::write(&list, few).unwrap();
    let people = folder.join("people");
    let mut named: Vec<PathBuf> = std::fs::read_dir(shared.join("lfw-dev/images"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    named.sort();
    for person in &named[..6] {
        let to = people.join(person.file_name().unwrap());
        std::fs::create_dir_all(&to).unwrap();
        for photo in std::fs::read_dir(person).unwrap() {
            let photo = photo.unwrap().path();
            let bytes = std::fs::read(&photo).unwrap();
            std::fs::write(to.join(photo.file_name().unwrap()), &bytes).unwrap();
            std::fs::write(to.join("cut.jpg"), &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    let images = shared.join("wider-dev/images");
    (vec![Wider { list, images }], vec![People { images: people, limit: Some(5) }])
}

#[test]
fn sets_are_read_labelled_and_mined_the_same_on_any_number_of_threads() {
    let Some((shared, detector)) = references("sets of photos") else { return };
    let folder = tempfile::tempdir().unwrap();
    let sets = sets(&shared, folder.path());
    let loaded = read(&sets, &detector, 1).unwrap();
    assert_eq!(loaded.skipped.len(), 6, "{:?}", loaded.skipped);
    assert_eq!(loaded.skipped.iter().filter(|why| why.contains("cut.jpg")).count(), 5);
    let sides = [&loaded.train, &loaded.held];
    let all = || sides.iter().flat_map(|side| side.pictures.iter());
    // Held back are whole people.
    let group = |name: &str| name.split_once('/').map_or("", |(first, _)| first).to_owned();
    let people = |i: usize| -> Vec<String> {
        let names = sides[i].pictures.iter().filter(|p| !p.name.contains("--"));
        names.map(|picture| group(&picture.name)).collect()
    };
    assert!(people(0).iter().all(|person| !people(1).contains(person)));
    // A face of LFW is labelled with its landmarks, within its box.
    for picture in all().filter(|picture| !picture.name.contains("--")) {
        assert!(!picture.faces.is_empty(), "{}", picture.name);
        for face in &picture.faces {
            let [x, y] = face.landmarks.unwrap()[2];
            assert!(face.bbox.x1 < x && x < face.bbox.x2 && face.bbox.y1 < y && y < face.bbox.y2);
        }
    }
    // Some of WIDER's are found by the cascade, and have landmarks then.
    let wider = all().filter(|picture| picture.name.contains("--"));
    assert!(wider.flat_map(|picture| &picture.faces).any(|face| face.landmarks.is_some()));
    let mined =
        sides.iter().flat_map(|side| side.mined.iter().map(|&(at, w)| (&side.pictures[at], w)));
    let mined: Vec<_> = mined.collect();
    assert!(!mined.is_empty());
    for (picture, window) in &mined {
        assert!(picture.faces.iter().all(|face| overlap(&window.bbox(), &face.bbox) < NEGATIVE));
    }
    let again = read(&sets, &detector, 3).unwrap();
    for (a, b) in sides.into_iter().zip([&again.train, &again.held]) {
        assert_eq!(a.mined, b.mined);
        assert!(
            a.pictures
                .iter()
                .map(|p| (&p.name, &p.faces))
                .eq(b.pictures.iter().map(|p| (&p.name, &p.faces)))
        );
    }
}

#[test]
fn a_list_that_does_not_read_names_its_line_and_an_empty_folder_is_an_error() {
    let Some((shared, detector)) = references("wrong lists") else { return };
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("gt.txt");
    std::fs::write(&list, "a.jpg\n1\n1 2 three 4 0 0 0 0 0 0\n").unwrap();
    let images = shared.join("wider-dev/images");
    let why = read(&(vec![Wider { list, images }], vec![]), &detector, 1).err().unwrap();
    let why = format!("{why:#}");
    assert!(why.contains("gt.txt") && why.contains("line 3"), "{why}");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let why =
        read(&(vec![], vec![People { images: empty, limit: None }]), &detector, 1).err().unwrap();
    assert!(why.to_string().contains("no set names a picture"), "{why}");
}

#[test]
fn celebas_lists_give_a_face_with_its_landmarks_and_keep_clear_of_the_others() {
    let Some((shared, detector)) = references("CelebA's lists") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let labels = Labels { detector: &detector, min_face_px: 24.0, depth: 1, threads: 1 };
    let images = shared.join("wider-dev");
    // A picture of many people, one of whom is labelled, and somewhat off where the cascade sees the face.
    let people = [People { images: shared.join("none"), limit: None }];
    assert!(load(Sets { people: &people, ..Sets::default() }, 0.0, &labels, &|_, _| ()).is_err());
    let frame = threshold_models::picture::read(&images.join("multiface.jpg")).unwrap();
    let options = threshold_models::cpu::EngineOptions::default();
    let mut cpu = threshold_models::cpu::CpuEngine::new(&detector, None, &options).unwrap();
    let found = threshold_models::engine::Engine::detect(&mut cpu, &frame).unwrap();
    assert!(found.len() > 3);
    let first = found[0].bbox;
    let text = |numbers: &[f32]| {
        let told: Vec<String> = numbers.iter().map(f32::to_string).collect();
        format!("1\nhead\nmultiface.jpg {}\n", told.join(" "))
    };
    let boxed = [first.x1, first.y1, first.x2 - first.x1, first.y2 - first.y1];
    std::fs::write(at("boxes.txt"), text(&boxed)).unwrap();
    let points: Vec<f32> = (0..10).map(|i| first.x1 + i as f32).collect();
    std::fs::write(at("points.txt"), text(&points)).unwrap();
    std::fs::write(at("who.txt"), "multiface.jpg 17\n").unwrap();
    let set = CelebA {
        boxes: at("boxes.txt"),
        landmarks: at("points.txt"),
        identities: Some(at("who.txt")),
        images,
        limit: None,
    };
    let sets = [set];
    let loaded = load(Sets { celeba: &sets, ..Sets::default() }, 0.0, &labels, &|_, _| ()).unwrap();
    let faces = &loaded.train.pictures[0].faces;
    let learnt: Vec<_> = faces.iter().filter(|face| face.learnt).collect();
    assert_eq!(learnt.len(), 1);
    assert_eq!(
        learnt[0].landmarks.unwrap()[1],
        [points[2], points[3]],
        "the list's, not the cascade's"
    );
    assert!(faces.len() > 3, "the others are known, and not learnt");
    std::fs::write(at("boxes.txt"), "1\nhead\nmultiface.jpg 1 2 three 4\n").unwrap();
    let why =
        load(Sets { celeba: &sets, ..Sets::default() }, 0.0, &labels, &|_, _| ()).err().unwrap();
    assert!(format!("{why:#}").contains("the list of boxes: line 3"), "{why:#}");
}
