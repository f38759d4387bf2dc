//! What changed of a bundle against the one that a unit runs, packed.
//!
//! Owns which file is packed against which: one of the same name, or none. Refuses to send a delta that saves nothing.

use super::file::BundleFile;
use std::io::{self, Write as _};
use threshold_bundle::{FileEntry, Part, pieces, write_delta};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

/// What a unit opens at the most: the longest file that stands in its memory beside a frame, and the largest window.
const MAX_PREFIX_BYTES: u64 = 64 << 20;
const MAX_WINDOW_LOG: u32 = 27;

/// How hard a frame is packed: higher levels take minutes for a program of 25 MB and save a few percent.
const LEVEL: i32 = 12;

/// The delta that makes `bundle` of `base`; `None` if it is hardly shorter.
#[must_use]
pub fn of(bundle: &BundleFile, base: &BundleFile) -> Option<Vec<u8>> {
    let (_, contents) = pieces(&bundle.bytes, &bundle.manifest)?;
    let (_, before) = pieces(&base.bytes, &base.manifest)?;
    let before: Vec<(&FileEntry, &[u8])> = base.manifest.files.iter().zip(before).collect();
    let part = |(file, content): (&FileEntry, &[u8])| {
        if before.iter().any(|(old, _)| old.blake3 == file.blake3) {
            return Ok(Part::Same);
        }
        let prefix = before.iter().find(|(old, _)| {
            old.name == file.name && old.bytes.max(file.bytes) <= MAX_PREFIX_BYTES
        });
        let frame = packed(content, prefix.map_or(&[], |(_, content)| content))?;
        Ok(Part::Packed { prefix: prefix.map(|(old, _)| old.hash()), frame })
    };
    let parts: io::Result<Vec<Part>> =
        bundle.manifest.files.iter().zip(contents).map(part).collect();
    let mut delta = Vec::new();
    write_delta(&mut delta, &bundle.bytes, &bundle.manifest, &base.id, &parts.ok()?).ok()?;
    // What takes as long to send is sent without the work.
    (delta.len() < bundle.bytes.len() / 10 * 9).then_some(delta)
}

/// A frame that makes a content of a prefix.
fn packed(content: &[u8], prefix: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = Encoder::with_ref_prefix(Vec::new(), LEVEL, prefix)?;
    // A window that reaches to the prefix's beginning from the content's end.
    let reach = (prefix.len() + content.len()).max(1 << 10).next_power_of_two().trailing_zeros();
    packer.set_parameter(CParameter::WindowLog(reach.min(MAX_WINDOW_LOG)))?;
    packer.set_parameter(CParameter::EnableLongDistanceMatching(!prefix.is_empty()))?;
    packer.set_pledged_src_size(Some(content.len() as u64))?;
    packer.write_all(content)?;
    packer.finish()
}
