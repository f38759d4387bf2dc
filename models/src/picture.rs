//! Picture files: JPEG and PNG as frames, for host, replay and tests alike.
//!
//! Owns the limits, the orientation that EXIF tells, and one message for each kind of file that is no lone picture.
//! Refuses to guess: a truncated file is an error and not a picture with a grey end, an animation is not its first frame.
//! Colours become RGB of 8 bits: 16 bits are rounded, CMYK is converted, transparency is dropped.
//!
//! JPEG pixels come from libjpeg-turbo's decoder (crate `mozjpeg`), equal to those of the references' tools in every
//! bit. The decoder of crate `image` differs from it by 0.15 grey levels on average and 7 at most, and that alone moved
//! MTCNN's landmarks by 1.8 % of the distance of the eyes (mean over 465 faces of LFW): the cascade cuts its crops at
//! whole pixels, so that a little noise becomes a step. CMYK, which that decoder leaves to its caller, is `image`'s.

use crate::frame::Frame;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, Limits, RgbImage};
use mozjpeg::ColorSpace;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// The longest side that is read, pixels: a 200-megapixel phone's is 16,320.
pub const MAX_SIDE_PX: u32 = 16_384;

/// The largest area that is read, pixels: as RGB it takes 200 MB, and the cascade about twice that again.
pub const MAX_AREA_PX: u64 = 64_000_000;

/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// A picture file that gives no frame.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct PictureError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it. No `source` of the error: the message has it already.
    pub fault: PictureFault,
}

/// Why bytes give no frame. Each message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum PictureFault {
    /// The file could not be read.
    #[error("{0}; check the path and its permissions")]
    Io(std::io::Error),
    /// The file is larger than any picture.
    #[error("the file is larger than {} MB; save the picture as JPEG or PNG", MAX_FILE_BYTES >> 20)]
    FileTooLarge,
    /// Neither JPEG nor PNG.
    #[error("{found}, not a picture in JPEG or PNG; save it as one of these")]
    Format {
        /// What the file begins like.
        found: &'static str,
    },
    /// The file ends before the picture does.
    #[error("the picture is cut off, its file ends too early; copy the file again")]
    Truncated,
    /// More pixels than are read.
    #[error(
        "{width} x {height} px is too large, at most {MAX_SIDE_PX} px a side and {} million in all are read; \
         scale it down",
        MAX_AREA_PX / 1_000_000
    )]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Several frames.
    #[error("the picture is an animation; save one frame of it as JPEG or PNG")]
    Animation,
    /// The decoder found something wrong.
    #[error("the picture is damaged ({0}); copy the file again or save it anew")]
    Damaged(String),
}

/// Reads a picture file.
///
/// # Errors
/// [`PictureError`] with the file's name.
pub fn read(path: &Path) -> Result<Frame, PictureError> {
    bytes_of(path)
        .and_then(|bytes| decode(&bytes))
        .map_err(|fault| PictureError { path: path.to_path_buf(), fault })
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, PictureFault> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(PictureFault::Io)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(PictureFault::Io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(PictureFault::FileTooLarge);
    }
    Ok(bytes)
}

/// Decodes a picture's bytes; the format is told by their beginning.
///
/// # Errors
/// [`PictureFault`].
pub fn decode(bytes: &[u8]) -> Result<Frame, PictureFault> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => {
            // Asked first, since decoders fill what is missing of a JPEG with grey and say nothing.
            if !is_whole_jpeg(bytes) {
                return Err(PictureFault::Truncated);
            }
            let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(fault)?;
            frame(decoder, |decoder| match libjpeg(bytes, None, Vec::new())? {
                Some(picture) => Ok(picture.into()),
                None => DynamicImage::from_decoder(decoder).map_err(fault),
            })
        }
        [0x89, b'P', b'N', b'G', ..] => {
            // Before the decoder, which calls sides beyond its own arithmetic damaged.
            if let [w0, w1, w2, w3, h0, h1, h2, h3, ..] = *bytes.get(16..).unwrap_or_default() {
                let side = u32::from_be_bytes;
                refuse_large(side([w0, w1, w2, w3]), side([h0, h1, h2, h3]))?;
            }
            let limits = Limits::no_limits();
            let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(fault)?;
            if decoder.is_apng().map_err(fault)? {
                return Err(PictureFault::Animation);
            }
            frame(decoder, |decoder| DynamicImage::from_decoder(decoder).map_err(fault))
        }
        other => Err(PictureFault::Format { found: kind_of(other) }),
    }
}

/// Decodes one frame of motion JPEG, of the size that was agreed with the camera, into the memory of an earlier one. The Huffman
/// tables, which cameras leave out, are the standard's then; nothing turns the picture.
///
/// # Errors
/// [`PictureFault`]; also if the frame has another size.
pub fn decode_motion(
    bytes: &[u8],
    [width, height]: [usize; 2],
    memory: Vec<u8>,
) -> Result<Frame, PictureFault> {
    if !bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return Err(PictureFault::Format { found: kind_of(bytes) });
    }
    if !is_whole_jpeg(bytes) {
        return Err(PictureFault::Truncated);
    }
    let size = [width, height];
    let damaged = |words: &str| PictureFault::Damaged(words.to_owned());
    let picture =
        libjpeg(bytes, Some(size), memory)?.ok_or_else(|| damaged("its colours are CMYK"))?;
    Frame::from_rgb(width, height, picture.into_raw())
        .map_err(|_| damaged("it has another size than was agreed"))
}

fn frame<D: ImageDecoder>(
    mut decoder: D,
    pixels: impl FnOnce(D) -> Result<DynamicImage, PictureFault>,
) -> Result<Frame, PictureFault> {
    // Asked before anything is decoded: a small file can promise a large picture.
    let (width, height) = decoder.dimensions();
    refuse_large(width, height)?;
    let orientation = decoder.orientation().map_err(fault)?;
    let mut picture = pixels(decoder)?;
    picture.apply_orientation(orientation);
    let picture = picture.into_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    // A decoded picture has the bytes of its size; only one without pixels does not make a frame.
    Frame::from_rgb(width, height, picture.into_raw())
        .map_err(|_| PictureFault::Format { found: "a picture without pixels" })
}

fn refuse_large(width: u32, height: u32) -> Result<(), PictureFault> {
    let area = u64::from(width) * u64::from(height);
    if width.max(height) > MAX_SIDE_PX || area > MAX_AREA_PX {
        return Err(PictureFault::TooLarge { width, height });
    }
    Ok(())
}

/// The pixels of a JPEG as stored, by libjpeg-turbo, in that memory; `None` for CMYK. One of another size than `expected` is
/// refused before it is decoded.
fn libjpeg(
    bytes: &[u8],
    expected: Option<[usize; 2]>,
    memory: Vec<u8>,
) -> Result<Option<RgbImage>, PictureFault> {
    // The library reports what it cannot decode by unwinding from its C code's error exit.
    let decoded = std::panic::catch_unwind(move || -> std::io::Result<Option<RgbImage>> {
        let mut pixels = memory;
        let header = mozjpeg::Decompress::new_mem(bytes)?;
        let (width, height) = header.size();
        if expected.is_some_and(|expected| expected != [width, height]) {
            return Err(std::io::Error::other(format!("it has {width} x {height} px")));
        }
        if matches!(header.color_space(), ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK) {
            return Ok(None);
        }
        let mut decoder = header.rgb()?;
        let (width, height) = (decoder.width() as u32, decoder.height() as u32);
        pixels.resize(width as usize * height as usize * 3, 0);
        // What the decoder left out would be an earlier frame's.
        let read = decoder.read_scanlines_into(&mut pixels)?.len();
        pixels.truncate(read);
        decoder.finish()?;
        Ok(RgbImage::from_raw(width, height, pixels))
    });
    match decoded {
        Ok(Ok(picture)) => Ok(picture),
        Ok(Err(error)) => Err(PictureFault::Damaged(error.to_string())),
        Err(_) => Err(PictureFault::Damaged("its data does not decode".to_owned())),
    }
}

fn fault(error: ImageError) -> PictureFault {
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            PictureFault::Truncated
        }
        other => PictureFault::Damaged(other.to_string().trim().to_owned()),
    }
}

/// Whether the marker that ends a JPEG is there, walking its segments: the thumbnail inside the EXIF data has an end
/// of its own, so the last two bytes of whatever is there prove nothing.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|pair| pair[0] == 0xff && is_marker(pair[1])) {
        let (marker, after) = (rest[at + 1], &rest[at + 2..]);
        rest = match (marker, after) {
            (0xd9, _) => return true,
            // Markers without a segment: start of the picture and restarts.
            (0xd0..=0xd8 | 0x01, _) => after,
            (_, [high, low, ..]) => {
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                after.get(len..).unwrap_or_default()
            }
            _ => return false,
        };
    }
    false
}

/// After 0xff, 0 stands for a data byte 0xff and 0xff is padding.
fn is_marker(byte: u8) -> bool {
    byte != 0 && byte != 0xff
}

fn kind_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [b'G', b'I', b'F', b'8', ..] => "a GIF",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "a WebP",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "an HEIC or AVIF picture, or a video",
        [b'B', b'M', ..] => "a BMP",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF",
        _ => "an unknown kind of file",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, Rgb, codecs};

    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 77]))
    }

    fn png(picture: &DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn jpeg(picture: &RgbImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
        let (width, height) = picture.dimensions();
        encoder.write_image(picture, width, height, ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    fn check_fault(bytes: &[u8], expected: &str) {
        let text = decode(bytes).unwrap_err().to_string();
        assert!(text.contains(expected), "{text:?} lacks {expected:?}");
        assert!(text.contains("; "), "{text:?} has no remedy");
    }

    #[test]
    fn png_and_jpeg_become_frames() {
        let picture = ramp(40, 30);
        let frame = decode(&png(&picture.clone().into())).unwrap();
        assert_eq!((frame.width(), frame.height()), (40, 30));
        assert_eq!(frame.rgb(), picture.as_raw().as_slice());
        let frame = decode(&jpeg(&picture)).unwrap();
        let worst = frame.rgb().iter().zip(picture.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst < Some(16), "{worst:?}");
    }

    #[test]
    fn sixteen_bits_grey_and_transparency_become_rgb_of_eight_bits() {
        let deep =
            image::ImageBuffer::from_fn(3, 1, |x, _| image::Rgb([x as u16 * 0x1234, 0, 0xffff]));
        let frame = decode(&png(&DynamicImage::ImageRgb16(deep))).unwrap();
        assert_eq!(frame.rgb(), [0, 0, 255, 0x12, 0, 255, 0x24, 0, 255]);
        let clear = image::RgbaImage::from_pixel(1, 1, image::Rgba([1, 2, 3, 0]));
        assert_eq!(decode(&png(&clear.into())).unwrap().rgb(), [1, 2, 3]);
        let grey = image::GrayImage::from_pixel(1, 1, image::Luma([9]));
        assert_eq!(decode(&png(&grey.into())).unwrap().rgb(), [9, 9, 9]);
    }

    #[test]
    fn a_picture_cut_off_anywhere_is_an_error() {
        // PNG's last chunk has 12 bytes and no pixel.
        for (whole, end) in [(png(&ramp(40, 30).into()), 12), (jpeg(&ramp(40, 30)), 1)] {
            assert!(decode(&whole).is_ok());
            for len in 0..whole.len() - end {
                assert!(decode(&whole[..len]).is_err(), "{len} of {} bytes", whole.len());
            }
            check_fault(&whole[..whole.len() / 2], "cut off");
        }
    }

    /// The JPEG without the segments of that marker.
    fn without(bytes: &[u8], marker: u8) -> Vec<u8> {
        let mut kept = bytes[..2].to_vec();
        let mut at = 2;
        while bytes[at + 1] != 0xda {
            let len = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])) + 2;
            if bytes[at + 1] != marker {
                kept.extend(&bytes[at..at + len]);
            }
            at += len;
        }
        kept.extend(&bytes[at..]);
        kept
    }

    #[test]
    fn a_frame_of_motion_jpeg_may_leave_out_the_standards_huffman_tables() {
        let whole = jpeg(&ramp(40, 30));
        let bare = without(&whole, 0xc4);
        assert!(bare.len() + 400 < whole.len());
        let frame = decode_motion(&whole, [40, 30], Vec::new()).unwrap();
        assert_eq!(frame, decode(&whole).unwrap());
        assert_eq!(decode_motion(&bare, [40, 30], vec![9; 5000]).unwrap(), frame);
        // Filling behind the end, as of a driver's buffer.
        assert_eq!(
            decode_motion(&[&bare[..], &[0; 99]].concat(), [40, 30], Vec::new()).unwrap(),
            frame
        );
    }

    #[test]
    fn a_frame_of_motion_jpeg_that_is_cut_off_or_of_another_size_is_an_error() {
        let whole = jpeg(&ramp(40, 30));
        for len in 0..whole.len() - 1 {
            assert!(decode_motion(&whole[..len], [40, 30], Vec::new()).is_err(), "{len} bytes");
        }
        for size in [[30, 40], [0, 0], [usize::MAX, 30]] {
            let error = decode_motion(&whole, size, Vec::new()).unwrap_err().to_string();
            assert!(error.contains("it has 40 x 30 px"), "{error}");
        }
        let error =
            decode_motion(&without(&whole, 0xdb), [40, 30], Vec::new()).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        assert!(decode_motion(b"RIFF....AVI ", [40, 30], Vec::new()).is_err());
    }

    #[test]
    fn a_jpeg_with_something_behind_its_end_is_whole() {
        let mut bytes = jpeg(&ramp(40, 30));
        bytes.extend(b"a phone's second picture");
        assert!(decode(&bytes).is_ok());
    }

    #[test]
    fn too_large_a_picture_is_refused_before_it_is_decoded() {
        check_fault(&png(&ramp(20_000, 1).into()), "20000 x 1 px is too large");
        // The head promises 60,000 x 60,000 pixels, and no data follows.
        let mut bytes = png(&ramp(1, 1).into());
        bytes[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        assert!(decode(&bytes).is_err());
    }

    #[test]
    fn other_files_are_named() {
        check_fault(b"", "an empty file");
        check_fault(b"GIF89a....", "a GIF");
        check_fault(b"RIFF....WEBPVP8 ", "a WebP");
        check_fault(b"\0\0\0\x18ftypheic", "HEIC");
        check_fault(b"hello", "an unknown kind");
    }
}
