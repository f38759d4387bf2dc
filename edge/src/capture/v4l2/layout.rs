//! How a camera's buffers are to be read: what was agreed with it, held against what it gives.
//!
//! Owns every check of sizes between a device and the decoders, so that a device that lies is a fault in words.
//! Refuses interlaced pictures: their halves are two instants, and no face was measured in such a comb.

use super::choice::{Choice, name};
use crate::config::CameraFormat;
use threshold_models::frame::{Buffers, Frame};
use threshold_models::picture;
use threshold_models::raw::{Colour, Matrix, PixelFormat, PixelLayout, Range};
use v4l::format::{Colorspace, FieldOrder, Quantization};

/// The largest side, pixels; the kernels have no larger frame, and 32 bits hold what follows from it.
const MAX_SIDE_PX: u32 = 8192;

/// What was agreed. Holding one proves that its sides are possible and that a row fits its stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The format.
    pub(super) format: CameraFormat,
    /// Columns.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
    /// Bytes from row to row; of no meaning in a JPEG.
    pub(super) stride: usize,
    /// The way to RGB; a JPEG has its own.
    pub(super) colour: Colour,
}

/// What came of one buffer. The words go behind "the camera".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage(pub(super) String);

impl Layout {
    /// What a device says it will give, after a format was set.
    ///
    /// # Errors
    /// In words, behind "the camera", if it is not what was asked for or cannot be.
    pub(super) fn agreed(asked: &Choice, told: &v4l::Format) -> Result<Self, String> {
        if told.fourcc.repr != asked.fourcc {
            let told = String::from_utf8_lossy(&told.fourcc.repr).into_owned();
            return Err(format!(
                "was asked for {} and set itself to {}: name another format in [camera]",
                name(asked.format),
                told.escape_debug()
            ));
        }
        let (width, height) = (told.width, told.height);
        if !(1..=MAX_SIDE_PX).contains(&width) || !(1..=MAX_SIDE_PX).contains(&height) {
            return Err(format!(
                "says that its pictures have {width} x {height} px, at most {MAX_SIDE_PX} a side are read: \
                 set width_px and height_px in [camera]"
            ));
        }
        if !matches!(told.field_order, FieldOrder::Progressive | FieldOrder::Any) {
            return Err(format!(
                "gives interlaced pictures ({}): set it, or what feeds it, to progressive ones",
                told.field_order
            ));
        }
        let (width, height, stride) = (width as usize, height as usize, told.stride as usize);
        if let Some(pixels) = pixel_format(asked.format) {
            let row = pixels.stride(width);
            if stride < row {
                return Err(format!(
                    "says that its rows are {stride} bytes apart, {width} px take {row}: name another format in [camera]"
                ));
            }
            let needed = pixels.len(height, stride);
            if (told.size as usize) < needed {
                return Err(format!(
                    "says that its pictures have {} bytes, {width} x {height} px take {needed}: name another \
                     format in [camera]",
                    told.size
                ));
            }
        }
        Ok(Self { format: asked.format, width, height, stride, colour: colour(told) })
    }

    /// The part of a buffer that holds the picture.
    ///
    /// # Errors
    /// [`Damage`] if it is not whole.
    pub(super) fn payload<'a>(&self, buffer: &'a [u8], used: usize) -> Result<&'a [u8], Damage> {
        if used == 0 {
            return Err(Damage("sent an empty buffer".to_owned()));
        }
        let Some(bytes) = buffer.get(..used) else {
            return Err(Damage(format!(
                "says that a buffer of {} bytes holds {used}",
                buffer.len()
            )));
        };
        let needed = pixel_format(self.format).map_or(4, |p| p.len(self.height, self.stride));
        match bytes.get(..needed) {
            None => Err(Damage(format!(
                "sent {used} bytes of a picture of {needed}, as {} of {} x {} px",
                name(self.format),
                self.width,
                self.height
            ))),
            // A JPEG ends where it ends; behind a raw picture there is only filling.
            Some(_) if self.format == CameraFormat::Mjpeg => Ok(bytes),
            Some(whole) => Ok(whole),
        }
    }

    /// The frame of a payload. Pixels are taken as they are, with the memory of both `buffers`; a JPEG stays where it is, and is
    /// decoded into the other one.
    ///
    /// # Errors
    /// [`Damage`] if it does not decode to the size that was agreed.
    pub(super) fn frame(&self, buffers: &mut Buffers) -> Result<Frame, Damage> {
        let size = [self.width, self.height];
        let Some(pixels) = pixel_format(self.format) else {
            let memory = std::mem::take(&mut buffers.rgb);
            return picture::decode_motion(&buffers.bytes, size, memory)
                .map_err(|fault| Damage(format!("sent a JPEG that is none: {fault}")));
        };
        PixelLayout::new(pixels, size, self.stride, self.colour)
            .and_then(|layout| Frame::from_camera(layout, std::mem::take(buffers)))
            .map_err(|fault| Damage(format!("sent no whole picture: {fault}")))
    }
}

/// The layout of pixels; `None` for JPEG.
fn pixel_format(format: CameraFormat) -> Option<PixelFormat> {
    match format {
        CameraFormat::Yuyv => Some(PixelFormat::Yuyv),
        CameraFormat::Uyvy => Some(PixelFormat::Uyvy),
        CameraFormat::Nv12 => Some(PixelFormat::Nv12),
        CameraFormat::Grey => Some(PixelFormat::Grey),
        CameraFormat::Rgb24 => Some(PixelFormat::Rgb24),
        CameraFormat::Mjpeg => None,
    }
}

/// The way from YUV to RGB by what the driver reports: V4L2's own defaults of each colour space (videodev2.h,
/// `V4L2_MAP_YCBCR_ENC_DEFAULT` and `V4L2_MAP_QUANTIZATION_DEFAULT`). A matrix that differs from its colour space's is not
/// seen: the crate does not pass on `ycbcr_enc`.
fn colour(told: &v4l::Format) -> Colour {
    let matrix = match told.colorspace {
        // Those of BT.2020 and SMPTE 240M lie nearer to BT.709's than to BT.601's.
        Colorspace::Rec709 | Colorspace::DCIP3 | Colorspace::Rec2020 | Colorspace::SMPTE240M => {
            Matrix::Bt709
        }
        _ => Matrix::Bt601,
    };
    let range = match (told.quantization, told.colorspace) {
        (Quantization::FullRange, _) | (Quantization::Default, Colorspace::JPEG) => Range::Full,
        _ => Range::Limited,
    };
    Colour { matrix, range }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use v4l::FourCC;

    fn asked(format: CameraFormat) -> Choice {
        Choice { format, fourcc: format.fourcc(), size: [6, 4], rate_mhz: None }
    }

    fn told(format: CameraFormat, stride: u32, size: u32) -> v4l::Format {
        v4l::Format { stride, size, ..v4l::Format::new(6, 4, FourCC::new(&format.fourcc())) }
    }

    #[test]
    fn a_device_that_contradicts_itself_is_refused_in_words() {
        use CameraFormat::{Mjpeg, Nv12, Yuyv};
        let good = told(Yuyv, 12, 48);
        assert!(Layout::agreed(&asked(Yuyv), &good).is_ok());
        assert!(Layout::agreed(&asked(Yuyv), &told(Yuyv, 64, 64 * 4)).is_ok());
        assert!(Layout::agreed(&asked(Mjpeg), &told(Mjpeg, 0, 0)).is_ok());
        for (asked_for, told, expected) in [
            (Yuyv, told(Nv12, 12, 48), "was asked for yuyv and set itself to NV12"),
            (Yuyv, v4l::Format { width: 0, ..good }, "0 x 4 px"),
            (Yuyv, v4l::Format { height: 9000, ..good }, "6 x 9000 px"),
            (Yuyv, v4l::Format { width: u32::MAX, height: u32::MAX, ..good }, "at most 8192"),
            (Yuyv, told(Yuyv, 11, 48), "rows are 11 bytes apart, 6 px take 12"),
            (Yuyv, told(Yuyv, 12, 47), "pictures have 47 bytes, 6 x 4 px take 48"),
            (Nv12, told(Nv12, 6, 35), "pictures have 35 bytes, 6 x 4 px take 36"),
            (Nv12, told(Nv12, u32::MAX, u32::MAX), "pictures have 4294967295 bytes"),
            (Yuyv, v4l::Format { field_order: FieldOrder::Alternate, ..good }, "interlaced"),
        ] {
            let error = Layout::agreed(&asked(asked_for), &told).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn colours_are_the_drivers_and_limited_601_if_it_says_nothing() {
        for (colorspace, quantization, matrix, range) in [
            (Colorspace::Default, Quantization::Default, Matrix::Bt601, Range::Limited),
            (Colorspace::SRGB, Quantization::Default, Matrix::Bt601, Range::Limited),
            (Colorspace::JPEG, Quantization::Default, Matrix::Bt601, Range::Full),
            (Colorspace::JPEG, Quantization::LimitedRange, Matrix::Bt601, Range::Limited),
            (Colorspace::Rec709, Quantization::Default, Matrix::Bt709, Range::Limited),
            (Colorspace::Rec709, Quantization::FullRange, Matrix::Bt709, Range::Full),
        ] {
            let told = v4l::Format { colorspace, quantization, ..told(CameraFormat::Yuyv, 12, 48) };
            assert_eq!(colour(&told), Colour { matrix, range }, "{colorspace} {quantization}");
        }
    }

    #[test]
    fn a_buffer_that_does_not_hold_its_picture_is_damage_and_one_with_filling_is_whole() {
        let layout =
            Layout::agreed(&asked(CameraFormat::Yuyv), &told(CameraFormat::Yuyv, 16, 64)).unwrap();
        let buffer = [7; 80];
        for (used, expected) in [
            (0, "sent an empty buffer"),
            (63, "sent 63 bytes of a picture of 64, as yuyv of 6 x 4 px"),
            (81, "says that a buffer of 80 bytes holds 81"),
            (usize::MAX, "says that a buffer of 80 bytes holds"),
        ] {
            let Damage(words) = layout.payload(&buffer, used).unwrap_err();
            assert!(words.contains(expected), "{words}");
        }
        for used in [64, 80] {
            assert_eq!(layout.payload(&buffer, used).unwrap().len(), 64);
        }
        let buffers = |len: usize| Buffers { bytes: buffer[..len].to_vec(), rgb: vec![1; 9] };
        let frame = layout.frame(&mut buffers(64)).unwrap();
        assert_eq!((frame.width(), frame.height()), (6, 4));
        assert!(layout.frame(&mut buffers(63)).is_err());
        let motion = Layout { format: CameraFormat::Mjpeg, ..layout };
        assert_eq!(motion.payload(&buffer, 80).unwrap().len(), 80);
        let Damage(words) = motion.frame(&mut buffers(80)).unwrap_err();
        assert!(words.contains("a JPEG that is none"), "{words}");
    }
}
