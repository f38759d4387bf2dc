//! Photos that do not fit, as the administrator hears of them at enrolment, and that none of them changes the gallery.

use crate::binary::{Unit, stock};
use image::imageops::{self, FilterType};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/fixtures").join(name)
}

#[test]
fn photos_that_do_not_fit_are_refused_with_a_remedy_and_change_nothing() {
    let Some(photos) = stock("photos at enrolment") else { return };
    let unit = Unit::start(&[]);
    let at = |name: &str| unit.folder.path().join(name);
    let obama = image::open(photos.join("obama2.jpg")).unwrap().into_rgb8();
    let biden = image::open(photos.join("biden.jpg")).unwrap().into_rgb8();
    let small = |of: &image::RgbImage, height: u32| {
        let width = of.width() * height / of.height();
        imageops::resize(of, width, height, FilterType::Triangle)
    };
    let (left, right) = (small(&obama, 480), small(&biden, 480));
    let mut two = image::RgbImage::new(left.width() + right.width(), 480);
    imageops::replace(&mut two, &left, 0, 0);
    imageops::replace(&mut two, &right, i64::from(left.width()), 0);
    two.save(at("two.png")).unwrap();
    small(&obama, 120).save(at("far.png")).unwrap();
    small(&obama, 60).save(at("farther.png")).unwrap();
    let mut dark = small(&obama, 480);
    dark.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| value / 8));
    dark.save(at("dark.png")).unwrap();
    image::RgbImage::new(1, 1).save(at("dot.png")).unwrap();
    let whole = std::fs::read(photos.join("obama.jpg")).unwrap();
    std::fs::write(at("cut.jpg"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(at("empty.jpg"), "").unwrap();
    std::fs::write(at("text.jpg"), "not a picture").unwrap();
    for name in ["cmyk.jpg", "rotated.jpg", "animation.png", "animation.gif", "wide.png"] {
        std::fs::copy(fixture(name), at(name)).unwrap();
    }
    for (photo, error, remedy) in [
        ("none.jpg", "none.jpg: No such file or directory", "check the path"),
        ("cut.jpg", "cut.jpg: the picture is cut off", "copy the file again"),
        ("empty.jpg", "empty.jpg: an empty file", "save it as one of these"),
        ("text.jpg", "text.jpg: an unknown kind of file", "save it as one of these"),
        ("animation.png", "animation.png: the picture is an animation", "save one frame"),
        ("animation.gif", "animation.gif: a GIF", "save it as one of these"),
        ("wide.png", "wide.png: 20000 x 1 px is too large", "scale it down"),
        ("cmyk.jpg", "cmyk.jpg: no face found", "the whole face in view"),
        ("rotated.jpg", "rotated.jpg: no face found", "the whole face in view"),
        ("dot.png", "dot.png: no face found", "the whole face in view"),
        (
            "far.png",
            "far.png: the face is not good enough to enrol: the face is too small",
            "closer",
        ),
        ("farther.png", "farther.png: no face found (smallest looked for: 40 px)", "--min-face"),
        ("two.png", "two.png: 2 faces found, exactly one is needed", "cut the photo down"),
        (
            "dark.png",
            "dark.png: the face is not good enough to enrol: the face is too dark",
            "more light",
        ),
    ] {
        let ran = unit.run(&["enrol", "Ada", "--photo", photo]);
        let (found, found_remedy) = ran.error();
        assert!(found.starts_with(error), "{photo}: {found}");
        assert!(found_remedy.contains(remedy), "{photo}: {found_remedy}");
    }
    // One bad photo among good ones: nothing is enrolled.
    let good = photos.join("obama2.jpg").display().to_string();
    unit.run(&["enrol", "Ada", "--photo", &good, "two.png"]).error();
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!(
        (&info["gallery"]["people"], &info["gallery"]["generation"]),
        (&0.into(), &0.into())
    );
}
