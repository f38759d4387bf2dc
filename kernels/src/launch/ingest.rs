//! The way from the camera's bytes to the picture: both kernels of `cuda/ingest.cu`.

use super::{PictureView, Region, Status, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};
use threshold_models::raw::{PixelFormat, RawFrame};

/// The kernel reads a frame in pieces of so many bytes: its region begins on such a boundary and ends on one.
pub const CHUNK_OF_INPUT: usize = 16;
/// As `INGEST_WARPS` and `INGEST_SHARED`.
const INGEST_WARPS: u32 = 8;
const INGEST_SHARED_BYTES: u32 = 25_216;
/// As `COLUMNS`, `COLUMNS_THREADS` and `COLUMNS_SHARED`.
const COLUMNS_A_BLOCK: usize = 8;
const COLUMNS_THREADS: u32 = 512;
const COLUMNS_SHARED_BYTES: u32 = 1024;

/// The raw frame where the device reads it; `FrameView` of `frame.cuh`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FrameView {
    bytes: Address,
    width: u32,
    height: u32,
    stride: u32,
    chroma: u32,
    format: u32,
    y_offset: i32,
    y_gain: i32,
    v_to_red: i32,
    u_to_green: i32,
    v_to_green: i32,
    u_to_blue: i32,
    unused: u32,
}

impl FrameView {
    fn of(frame: &RawFrame<'_>, bytes: Address) -> Self {
        let conversion = frame.colour().conversion();
        Self {
            bytes,
            width: frame.width() as u32,
            height: frame.height() as u32,
            stride: frame.stride() as u32,
            chroma: (frame.height() * frame.stride()) as u32,
            format: match frame.format() {
                PixelFormat::Rgb24 => 0,
                PixelFormat::Grey => 1,
                PixelFormat::Yuyv => 2,
                PixelFormat::Uyvy => 3,
                PixelFormat::Nv12 => 4,
            },
            y_offset: conversion.y_offset,
            y_gain: conversion.y_gain,
            v_to_red: conversion.v_to_red,
            u_to_green: conversion.u_to_green,
            v_to_green: conversion.v_to_green,
            u_to_blue: conversion.u_to_blue,
            unused: 0,
        }
    }
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct IngestParams {
    frame: FrameView,
    sums: Address,
    status: Address,
    pitch: u32,
    unused: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct ColumnsParams {
    sums: Address,
    pitch: u32,
    height: u32,
}

const _: () = assert!(size_of::<FrameView>() == 56 && size_of::<IngestParams>() == 80);
const _: () = assert!(size_of::<ColumnsParams>() == 16);

/// Makes the picture, whose first row must be zero, of a frame like this one, whose bytes lie in a region of the device's
/// memory or of the host's that it sees; and sets the status to zero, where there is one.
///
/// # Panics
/// If a region is too short, or the bytes do not begin on a boundary of [`CHUNK_OF_INPUT`].
#[must_use]
pub fn ingest(
    frame: &RawFrame<'_>,
    bytes: Region,
    picture: PictureView,
    status: Option<Region>,
) -> [Step; 2] {
    let size = [frame.width() as u32, frame.height() as u32];
    assert_eq!(size, [picture.width, picture.height], "a picture of the frame's size");
    let bytes = bytes.holding(frame.bytes().len().next_multiple_of(CHUNK_OF_INPUT));
    assert_eq!(bytes.0 % CHUNK_OF_INPUT as u64, 0, "bytes on a boundary");
    let PictureView { sums, pitch, height, .. } = picture;
    let status = status.map_or(Address::default(), |status| status.holding(size_of::<Status>()));
    let rows = IngestParams { frame: FrameView::of(frame, bytes), sums, status, pitch, unused: 0 };
    let columns = ColumnsParams { sums, pitch, height };
    let column_blocks = pitch as usize / COLUMNS_A_BLOCK;
    [
        step("ingest", frame.height(), 32 * INGEST_WARPS, INGEST_SHARED_BYTES, &rows),
        step("columns", column_blocks, COLUMNS_THREADS, COLUMNS_SHARED_BYTES, &columns),
    ]
}
