//! The choice among what a camera offers: format, size and rate.
//!
//! Owns the order of what counts: a format that was asked for; then the size nearest to the wish; then a rate that does
//! not fall short of the wish; then the format that loses least. Pure: offers come in, a choice goes out.

use crate::config::{CameraConfig, CameraFormat};

/// Every format, the one that loses least first: raw ones by the bytes that carry colour, then JPEG, then none.
pub(super) const FORMATS: [CameraFormat; 6] = [
    CameraFormat::Rgb24,
    CameraFormat::Yuyv,
    CameraFormat::Uyvy,
    CameraFormat::Nv12,
    CameraFormat::Mjpeg,
    CameraFormat::Grey,
];

impl CameraFormat {
    /// V4L2's code.
    pub(super) fn fourcc(self) -> [u8; 4] {
        *match self {
            Self::Yuyv => b"YUYV",
            Self::Uyvy => b"UYVY",
            Self::Nv12 => b"NV12",
            Self::Grey => b"GREY",
            Self::Rgb24 => b"RGB3",
            Self::Mjpeg => b"MJPG",
        }
    }

    /// The format of a code. Some cameras call their motion JPEG JPEG.
    pub(super) fn of(fourcc: [u8; 4]) -> Option<Self> {
        if fourcc == *b"JPEG" {
            return Some(Self::Mjpeg);
        }
        FORMATS.into_iter().find(|format| format.fourcc() == fourcc)
    }
}

/// Sizes that a camera gives in one format, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// One.
    One([u32; 2]),
    /// All from the least to the most, in steps; width before height.
    Steps { least: [u32; 2], most: [u32; 2], step: [u32; 2] },
}

impl Sizes {
    /// The one nearest to the wish, side by side.
    fn nearest(self, wish: [u32; 2]) -> [u32; 2] {
        match self {
            Self::One(size) => size,
            Self::Steps { least, most, step } => {
                [0, 1].map(|i| stepped(wish[i], least[i], most[i], step[i]))
            }
        }
    }
}

/// The value nearest to the wish among those from the least to the most, in steps.
fn stepped(wish: u32, least: u32, most: u32, step: u32) -> u32 {
    let wish = wish.clamp(least, most.max(least));
    let step = step.max(1);
    let below = least + (wish - least) / step * step;
    match below.checked_add(step) {
        Some(above) if above <= most && above - wish < wish - below => above,
        _ => below,
    }
}

/// What a camera offers in one format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The format.
    pub(super) format: CameraFormat,
    /// V4L2's code for it.
    pub(super) fourcc: [u8; 4],
    /// The sizes; none if the camera does not list them, which takes any wish as one to try.
    pub(super) sizes: Vec<Sizes>,
}

/// What was chosen, before the camera had a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The format.
    pub(super) format: CameraFormat,
    /// V4L2's code for it.
    pub(super) fourcc: [u8; 4],
    /// Columns and rows.
    pub(super) size: [u32; 2],
    /// Millihertz; `None` if the camera does not list its rates.
    pub(super) rate_mhz: Option<u32>,
}

/// Chooses. `rates_of` lists a camera's rates in one format and size, in millihertz, and none if it does not tell.
///
/// # Errors
/// In words, if nothing on offer is a format that the unit takes, or not the one that was asked for.
pub(super) fn choose(
    offers: &[Offer],
    wish: &CameraConfig,
    rates_of: impl Fn(&Offer, [u32; 2]) -> Vec<u32>,
) -> Result<Choice, String> {
    if offers.is_empty() {
        return Err(
            "gives none of the formats yuyv, uyvy, nv12, grey, rgb24 and mjpeg: take another camera"
                .to_owned(),
        );
    }
    let asked = |offer: &&Offer| wish.format.is_none_or(|format| offer.format == format);
    let wished = [wish.width_px, wish.height_px];
    let best = offers
        .iter()
        .filter(asked)
        .map(|offer| {
            let sizes = offer.sizes.iter().map(|sizes| sizes.nearest(wished));
            let size = sizes.min_by_key(|&size| distance(size, wished)).unwrap_or(wished);
            let rates = rates_of(offer, size);
            let rate_mhz = nearest_rate(&rates, wish.fps * 1000);
            // A camera that does not tell its rates is not thought slow.
            let short = rate_mhz.map_or(0, |rate| (wish.fps * 1000).saturating_sub(rate));
            let place = FORMATS.iter().position(|&format| format == offer.format);
            let choice = Choice { format: offer.format, fourcc: offer.fourcc, size, rate_mhz };
            ((distance(size, wished), short, place), choice)
        })
        .min_by_key(|(order, _)| *order);
    match best {
        Some((_, choice)) => Ok(choice),
        None => {
            let mut names: Vec<_> = offers.iter().map(|offer| name(offer.format)).collect();
            names.dedup();
            let asked = wish.format.map_or("", name);
            Err(format!(
                "does not give {asked}: set format in [camera] to one of {}, or leave it out",
                names.join(", ")
            ))
        }
    }
}

/// How far a size is from the wish: the sum of both sides' differences, as parts of the wish. Of two that are as far, the
/// larger one is nearer, since a face may be looked at smaller but never larger than it is.
fn distance([w, h]: [u32; 2], [wish_w, wish_h]: [u32; 2]) -> (u64, std::cmp::Reverse<u64>) {
    let part = |side: u32, wish: u32, other: u32| u64::from(side.abs_diff(wish)) * u64::from(other);
    let area = u64::from(w) * u64::from(h);
    (part(w, wish_w, wish_h) + part(h, wish_h, wish_w), std::cmp::Reverse(area))
}

/// The least rate that the wish is met by, else the highest.
fn nearest_rate(rates_mhz: &[u32], wish_mhz: u32) -> Option<u32> {
    let enough = rates_mhz.iter().filter(|&&rate| rate >= wish_mhz).min();
    enough.or(rates_mhz.iter().max()).copied()
}

/// The rate of an interval, in millihertz; `None` if it is none.
pub(super) fn rate_mhz(interval: v4l::Fraction) -> Option<u32> {
    let mhz = u64::from(interval.denominator) * 1000;
    let mhz = mhz.checked_div(u64::from(interval.numerator))?;
    u32::try_from(mhz).ok().filter(|&mhz| mhz > 0)
}

/// The format's name in the configuration.
pub(super) fn name(format: CameraFormat) -> &'static str {
    match format {
        CameraFormat::Yuyv => "yuyv",
        CameraFormat::Uyvy => "uyvy",
        CameraFormat::Nv12 => "nv12",
        CameraFormat::Grey => "grey",
        CameraFormat::Rgb24 => "rgb24",
        CameraFormat::Mjpeg => "mjpeg",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use CameraFormat::{Grey, Mjpeg, Nv12, Rgb24, Yuyv};

    fn offer(format: CameraFormat, sizes: &[Sizes]) -> Offer {
        Offer { format, fourcc: format.fourcc(), sizes: sizes.to_vec() }
    }

    fn wish(width_px: u32, height_px: u32, fps: u32) -> CameraConfig {
        CameraConfig { width_px, height_px, fps, ..CameraConfig::default() }
    }

    #[test]
    fn every_format_is_found_by_its_code_and_no_other() {
        for format in FORMATS {
            assert_eq!(CameraFormat::of(format.fourcc()), Some(format));
        }
        assert_eq!(CameraFormat::of(*b"JPEG"), Some(Mjpeg));
        assert_eq!(CameraFormat::of(*b"H264"), None);
    }

    #[test]
    fn the_nearest_size_is_chosen_and_the_larger_of_two_that_are_as_near() {
        let vga = Sizes::One([640, 480]);
        let hd = Sizes::One([1280, 720]);
        let steps = Sizes::Steps { least: [48, 32], most: [1920, 1080], step: [16, 8] };
        let no_step = Sizes::Steps { least: [48, 32], most: [1920, 1080], step: [0, 0] };
        let backwards = Sizes::Steps { least: [800, 600], most: [640, 480], step: [2, 2] };
        for (sizes, wished, expected) in [
            (&[vga, hd][..], [1280, 720], [1280, 720]),
            (&[vga, hd], [800, 600], [640, 480]),
            (&[vga, hd], [9000, 9000], [1280, 720]),
            (&[Sizes::One([600, 400]), Sizes::One([680, 440])], [640, 420], [680, 440]),
            (&[], [1280, 720], [1280, 720]),
            (&[steps], [1280, 720], [1280, 720]),
            (&[steps], [1287, 725], [1280, 728]),
            (&[steps], [1, 1], [48, 32]),
            (&[steps], [8192, 8192], [1920, 1080]),
            (&[no_step], [641, 479], [641, 479]),
            (&[backwards], [700, 500], [800, 600]),
        ] {
            let offers = [offer(Yuyv, sizes)];
            let choice =
                choose(&offers, &wish(wished[0], wished[1], 30), |_, _| Vec::new()).unwrap();
            assert_eq!(choice.size, expected, "{sizes:?}, wished for {wished:?}");
        }
    }

    #[test]
    fn size_goes_before_rate_and_rate_before_format() {
        let vga = Sizes::One([640, 480]);
        let hd = Sizes::One([1280, 720]);
        // As a camera on a slow bus: raw pictures are large or frequent, not both.
        let offers = [offer(Mjpeg, &[vga, hd]), offer(Grey, &[vga, hd]), offer(Yuyv, &[vga, hd])];
        let rates = |offer: &Offer, size: [u32; 2]| match (offer.format, size) {
            (Yuyv, [1280, 720]) => vec![10_000, 5_000],
            _ => vec![30_000, 15_000],
        };
        for (wished, format, rate_mhz) in [
            (wish(1280, 720, 30), Mjpeg, 30_000),
            (wish(1280, 720, 10), Yuyv, 10_000),
            (wish(1280, 720, 7), Yuyv, 10_000),
            (wish(640, 480, 20), Yuyv, 30_000),
            (wish(640, 480, 60), Yuyv, 30_000),
            (CameraConfig { format: Some(Grey), ..wish(640, 480, 15) }, Grey, 15_000),
        ] {
            let choice = choose(&offers, &wished, rates).unwrap();
            assert_eq!((choice.format, choice.rate_mhz), (format, Some(rate_mhz)), "{wished:?}");
        }
        let untold = choose(&offers, &wish(1280, 720, 30), |_, _| Vec::new()).unwrap();
        assert_eq!((untold.format, untold.rate_mhz), (Yuyv, None));
    }

    #[test]
    fn what_is_not_on_offer_is_refused_with_what_is() {
        let offers = [offer(Nv12, &[]), offer(Mjpeg, &[])];
        let asked = CameraConfig { format: Some(Rgb24), ..CameraConfig::default() };
        let error = choose(&offers, &asked, |_, _| Vec::new()).unwrap_err();
        assert_eq!(
            error,
            "does not give rgb24: set format in [camera] to one of nv12, mjpeg, or leave it out"
        );
        let error = choose(&[], &asked, |_, _| Vec::new()).unwrap_err();
        assert!(error.contains("take another camera"), "{error}");
    }
}
