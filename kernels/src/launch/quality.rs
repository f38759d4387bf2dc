//! What faces are like: `cuda/quality.cu`.

use super::{Found, ONE_BLOCK, PictureView, Region, Status, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};
use threshold_models::quality::Measures;

/// As `QUALITY_SHARED`.
const SHARED_BYTES: u32 = 8928;

/// A face's [`Measures`] as the kernel leaves them; `Measured` of `quality.cu`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Measured {
    face_px: f32,
    visible: f32,
    brightness: f32,
    dark: f32,
    bright: f32,
    sharpness: f32,
    yaw_deg: f32,
    pitch_deg: f32,
    roll_deg: f32,
    texture: f32,
    band: f32,
    score: f32,
}

impl From<Measured> for Measures {
    fn from(found: Measured) -> Self {
        Self {
            face_px: found.face_px,
            visible: found.visible,
            brightness: found.brightness,
            dark: found.dark,
            bright: found.bright,
            sharpness: found.sharpness,
            yaw_deg: found.yaw_deg,
            pitch_deg: found.pitch_deg,
            roll_deg: found.roll_deg,
            texture: found.texture,
            band: found.band,
            score: found.score,
        }
    }
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    picture: PictureView,
    faces: Address,
    status: Address,
    out: Address,
}

const _: () = assert!(size_of::<Measured>() == 48 && size_of::<Params>() == 48);

/// Measures the first of `n` faces ([`Found`]s) on their picture, as many as [`Status::detections`] says; a [`Measured`] each.
/// What `out` holds for the others stays as it was.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn quality(n: usize, picture: PictureView, faces: Region, status: Region, out: Region) -> Step {
    let params = Params {
        picture,
        faces: faces.holding(n * size_of::<Found>()),
        status: status.holding(size_of::<Status>()),
        out: out.holding(n * size_of::<Measured>()),
    };
    step("quality", n, ONE_BLOCK, SHARED_BYTES, &params)
}
