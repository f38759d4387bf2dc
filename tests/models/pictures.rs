//! Picture files: the odd ones of `cli/fixtures`, and the message that a user sees for each that is no picture.

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use threshold_models::frame::Frame;
use threshold_models::picture::{self, decode, read};
use threshold_tests::lots::Lots;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/fixtures").join(name)
}

fn size(frame: &Frame) -> (usize, usize) {
    (frame.width(), frame.height())
}

/// Red of a pixel.
fn at(frame: &Frame, x: usize, y: usize) -> u8 {
    frame.rgb()[(y * frame.width() + x) * 3]
}

/// What the user reads, less the path in front.
#[track_caller]
fn check(path: &Path, expected: &str) {
    let text = read(path).unwrap_err().to_string();
    assert_eq!(text, format!("{}: {expected}", path.display()));
}

/// The same for bytes in a file.
#[track_caller]
fn check_bytes(bytes: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    std::fs::write(&path, bytes).unwrap();
    check(&path, expected);
}

fn png(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A chunk of a PNG with its checksum.
fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

/// A PNG that promises this size and has no data.
fn promise(width: u32, height: u32) -> Vec<u8> {
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &head), &chunk(b"IDAT", &[]), &chunk(b"IEND", &[])]
        .concat()
}

#[test]
fn cmyk_becomes_rgb_with_dark_still_dark() {
    let frame = read(&fixture("cmyk.jpg")).unwrap();
    assert_eq!(size(&frame), (64, 48));
    // A ramp from black above to white below, grey throughout.
    assert!(
        at(&frame, 32, 0) < 40 && at(&frame, 32, 47) > 215,
        "{} {}",
        at(&frame, 32, 0),
        at(&frame, 32, 47)
    );
    for pixel in frame.rgb().chunks_exact(3) {
        let (low, high) = (pixel.iter().min().unwrap(), pixel.iter().max().unwrap());
        assert!(high - low < 24, "{pixel:?}");
    }
}

#[test]
fn a_picture_that_exif_turns_is_turned() {
    let frame = read(&fixture("rotated.jpg")).unwrap();
    assert_eq!(size(&frame), (48, 64));
    // Turned clockwise by 90 degrees, what was dark above is dark at the right.
    assert!(
        at(&frame, 47, 32) < 40 && at(&frame, 0, 32) > 215,
        "{} {}",
        at(&frame, 47, 32),
        at(&frame, 0, 32)
    );
    assert!(at(&frame, 24, 0).abs_diff(at(&frame, 24, 63)) < 24);
}

#[test]
fn sixteen_bits_become_eight() {
    let deep = image::ImageBuffer::from_fn(256, 2, |x, _| Rgb([(x * 257) as u16, 0x8080, 0xffff]));
    let frame = decode(&png(&DynamicImage::ImageRgb16(deep))).unwrap();
    assert_eq!(size(&frame), (256, 2));
    for x in 0..256 {
        assert_eq!(frame.rgb()[x * 3..x * 3 + 3], [x as u8, 0x80, 0xff]);
    }
}

#[test]
fn one_pixel_is_a_frame_and_the_longest_side_too() {
    let frame = decode(&png(&RgbImage::from_pixel(1, 1, Rgb([1, 2, 3])).into())).unwrap();
    assert_eq!((size(&frame), frame.rgb()), ((1, 1), &[1, 2, 3][..]));
    let side = picture::MAX_SIDE_PX;
    let frame = decode(&png(&RgbImage::new(side, 1).into())).unwrap();
    assert_eq!(size(&frame), (side as usize, 1));
}

#[test]
fn too_wide_a_picture_is_refused_before_it_is_decoded() {
    let rest = "at most 16384 px a side and 64 million in all are read; scale it down";
    check(&fixture("wide.png"), &format!("20000 x 1 px is too large, {rest}"));
    for (width, height) in
        [(16_385, 1), (1, 16_385), (8001, 8000), (16_384, 16_384), (60_000, 60_000)]
    {
        check_bytes(
            &promise(width, height),
            &format!("{width} x {height} px is too large, {rest}"),
        );
    }
    // More than the decoder can count is refused in the decoder's own words.
    assert!(decode(&promise(i32::MAX as u32, i32::MAX as u32)).is_err());
}

#[test]
fn an_animation_is_not_its_first_frame() {
    let one = "the picture is an animation; save one frame of it as JPEG or PNG";
    check(&fixture("animation.png"), one);
    check(
        &fixture("animation.gif"),
        "a GIF, not a picture in JPEG or PNG; save it as one of these",
    );
}

#[test]
fn a_truncated_picture_is_not_a_picture_with_a_grey_end() {
    let cut_off = "the picture is cut off, its file ends too early; copy the file again";
    for name in ["cmyk.jpg", "rotated.jpg"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for len in 3..whole.len() - 1 {
            assert_eq!(
                decode(&whole[..len]).unwrap_err().to_string(),
                cut_off,
                "{name}, {len} bytes"
            );
        }
        check_bytes(&whole[..whole.len() / 2], cut_off);
    }
    let whole = png(&RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8, y as u8, 7])).into());
    for len in 0..whole.len() - 12 {
        assert!(decode(&whole[..len]).is_err(), "{len} of {} bytes", whole.len());
    }
    check_bytes(&whole[..whole.len() / 2], cut_off);
}

#[test]
fn a_damaged_picture_says_so() {
    let mut bytes = png(&RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8, y as u8, 7])).into());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    let text = decode(&bytes).unwrap_err().to_string();
    assert!(text.starts_with("the picture is damaged ("), "{text}");
    assert!(text.ends_with("); copy the file again or save it anew"), "{text}");
}

#[test]
fn a_png_that_promises_more_than_any_decoder_holds_is_too_large_and_not_damaged() {
    let mut bytes = png(&RgbImage::new(1, 1).into());
    bytes[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let text = decode(&bytes).unwrap_err().to_string();
    assert!(text.contains("2147483647 x 2147483647"), "{text}");
}

#[test]
fn other_files_are_named_as_what_they_are() {
    let rest = "not a picture in JPEG or PNG; save it as one of these";
    for (bytes, found) in [
        (&b""[..], "an empty file"),
        (b"hello", "an unknown kind of file"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "an HEIC or AVIF picture, or a video"),
        (b"BM\x36\0\0\0", "a BMP"),
        (b"II*\0\x08\0\0\0", "a TIFF"),
        (b"MM\0*\0\0\0\x08", "a TIFF"),
        (b"%PDF-1.7", "an unknown kind of file"),
    ] {
        check_bytes(bytes, &format!("{found}, {rest}"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let remedy = "check the path and its permissions";
    check(
        &folder.path().join("none.jpg"),
        &format!("No such file or directory (os error 2); {remedy}"),
    );
    check(folder.path(), &format!("Is a directory (os error 21); {remedy}"));
    let huge = folder.path().join("huge.jpg");
    std::fs::File::create(&huge).unwrap().set_len((256 << 20) + 1).unwrap();
    check(&huge, "the file is larger than 256 MB; save the picture as JPEG or PNG");
}

/// Covers every fixture with one to three bytes changed, 3,000 times each: a frame of a size that is allowed, or an error
/// with a remedy.
#[test]
fn pictures_with_changed_bytes_never_panic() {
    for name in ["cmyk.jpg", "rotated.jpg", "animation.png", "wide.png", "animation.gif"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for seed in 0..3000 {
            let mut lots = Lots(seed);
            let mut bytes = whole.clone();
            for _ in 0..1 + lots.below(3) {
                let place = lots.below(bytes.len() as u64) as usize;
                bytes[place] = lots.one_of(&[0, 0x7f, 0xff, lots.clone().bits() as u8]);
            }
            match decode(&bytes) {
                Ok(frame) => assert!(frame.rgb().len() <= 3 * 64_000_000, "{name}, seed {seed}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("; "), "{name}, seed {seed}: {text}");
                }
            }
        }
    }
}
