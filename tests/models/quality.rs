//! Quality on real photos: the good ones are good, and each thing that spoils one is named.

use image::imageops::{self, FilterType};
use image::{DynamicImage, RgbImage};
use std::path::Path;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::{Detection, Engine};
use threshold_models::frame::Frame;
use threshold_models::picture;
use threshold_models::quality::{Quality, QualityLimits, assess};
use threshold_record::Cause;
use threshold_tests::{packs, photos, skipped};

fn image_of(frame: &Frame) -> RgbImage {
    let (width, height) = (frame.width() as u32, frame.height() as u32);
    RgbImage::from_raw(width, height, frame.rgb().to_vec()).unwrap()
}

fn frame_of(image: RgbImage) -> Frame {
    let (width, height) = image.dimensions();
    Frame::from_rgb(width as usize, height as usize, image.into_raw()).unwrap()
}

/// The photo at 480 px of height, which is what a door's camera has.
fn photo(folder: &Path, name: &str) -> Frame {
    let image = image_of(&picture::read(&folder.join(name)).unwrap());
    let width = image.width() * 480 / image.height();
    frame_of(imageops::resize(&image, width, 480, FilterType::Triangle))
}

struct Door {
    engine: CpuEngine,
}

impl Door {
    fn faces(&mut self, frame: &Frame) -> Vec<Detection> {
        self.engine.detect(frame).unwrap()
    }

    fn assess(&mut self, frame: &Frame) -> Quality {
        let faces = self.faces(frame);
        assess(frame, &faces, &QualityLimits::default())
    }
}

/// Runs with an engine and the folder of photos, or says aloud that it did not.
fn with_photos(what: &str, test: impl FnOnce(Door, &Path)) {
    let (Some(packs), Some(photos)) = (packs(), photos()) else {
        return skipped(what, "no packs or no photos; `cargo xtask setup` fetches them");
    };
    let detector = packs.detector().unwrap();
    let engine = CpuEngine::new(&detector, None, &EngineOptions::default()).unwrap();
    test(Door { engine }, &photos);
}

#[test]
fn whole_faces_in_ordinary_light_are_good() {
    with_photos("quality of good photos", |mut door, photos| {
        for name in ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"] {
            let quality = door.assess(&photo(photos, name));
            assert!(quality.is_good() && quality.percent >= 50, "{name}: {quality:?}");
        }
    });
}

#[test]
fn faces_that_stick_out_of_the_picture_are_too_near() {
    with_photos("quality of partial faces", |mut door, photos| {
        for name in ["obama_partial_face.jpg", "obama_partial_face2.jpg"] {
            let quality = door.assess(&photo(photos, name));
            assert_eq!(quality.cause, Cause::TooNear, "{name}: {quality:?}");
        }
    });
}

#[test]
fn each_thing_that_spoils_a_photo_is_named() {
    with_photos("quality of spoilt photos", |mut door, photos| {
        let sound = image_of(&photo(photos, "obama.jpg"));
        let faces = door.faces(&frame_of(sound.clone()));
        // The same face with the same detection: only the pixels differ, as when the light goes.
        let spoilt = |spoil: &dyn Fn(u8) -> u8| {
            let mut image = sound.clone();
            image.iter_mut().for_each(|value| *value = spoil(*value));
            assess(&frame_of(image), &faces, &QualityLimits::default()).cause
        };
        assert_eq!(spoilt(&|value| value), Cause::None);
        assert_eq!(spoilt(&|value| (f32::from(value) * 0.15) as u8), Cause::TooDark);
        assert_eq!(spoilt(&|value| value.saturating_add(150)), Cause::TooBright);
        let blurred = frame_of(imageops::blur(&sound, 6.0));
        assert_eq!(assess(&blurred, &faces, &QualityLimits::default()).cause, Cause::Blurred);
        // As the unit would see them, detection and all.
        let dim = frame_of(brightened(&sound, -130));
        assert_eq!(door.assess(&dim).cause, Cause::TooDark);
        assert_eq!(door.assess(&blurred).cause, Cause::Blurred);
        // Far away: 30 px of face.
        let face_px = faces[0].bbox.y2 - faces[0].bbox.y1;
        let height = (480.0 * 30.0 / face_px) as u32;
        let far =
            imageops::resize(&sound, sound.width() * height / 480, height, FilterType::Triangle);
        assert_eq!(door.assess(&frame_of(far)).cause, Cause::TooFar);
        // Twice side by side: two people.
        let mut two = RgbImage::new(sound.width() * 2, sound.height());
        imageops::replace(&mut two, &sound, 0, 0);
        imageops::replace(&mut two, &sound, i64::from(sound.width()), 0);
        assert_eq!(door.assess(&frame_of(two)).cause, Cause::MoreThanOne);
        let empty = frame_of(RgbImage::from_pixel(320, 240, image::Rgb([128, 128, 128])));
        assert_eq!(door.assess(&empty), Quality { percent: 0, cause: Cause::NoFace });
    });
}

fn brightened(image: &RgbImage, by: i32) -> RgbImage {
    DynamicImage::from(image.clone()).brighten(by).into_rgb8()
}
