//! The picture of a frame in a program: its buffer and the steps that make it.
//!
//! Owns where a frame's bytes lie and how far they are read. Refuses to know who reads the picture.

use crate::device::{Device, DeviceError, Program, Region};
use crate::launch::{CHUNK_OF_INPUT, PictureView, ingest};
use threshold_models::raw::RawFrame;

/// Bytes of a frame and of what the device reads behind it.
pub(crate) fn input_bytes(frame: &RawFrame<'_>) -> usize {
    frame.bytes().len().next_multiple_of(CHUNK_OF_INPUT)
}

/// Adds the way from bytes of a frame like this one to its picture; and sets the status to zero, where there is one.
pub(crate) fn push<D: Device>(
    program: &mut Program<D>,
    device: &D,
    (frame, bytes): (&RawFrame<'_>, Region),
    status: Option<Region>,
) -> Result<PictureView, DeviceError> {
    let size = [frame.width(), frame.height()];
    // Zero at first, as the row above the picture must be.
    let picture = PictureView::of(size, program.take(device, PictureView::bytes(size))?);
    for step in ingest(frame, bytes, picture, status) {
        program.push(step);
    }
    Ok(picture)
}

/// The same of this very frame.
pub(crate) fn push_filled<D: Device>(
    program: &mut Program<D>,
    device: &D,
    frame: &RawFrame<'_>,
) -> Result<PictureView, DeviceError> {
    let mut bytes = frame.bytes().to_vec();
    bytes.resize(input_bytes(frame), 0);
    let bytes = program.take_filled(device, &bytes)?;
    push(program, device, (frame, bytes), None)
}
