//! A member's header: the one way in which a name, a kind and a length are written.

use crate::manifest::FileKind;

/// A tar file goes in blocks.
pub(crate) const BLOCK: usize = 512;

/// Zeros that end it.
pub(crate) const END: usize = 2 * BLOCK;

/// The header of a member; `None` if the name does not fit one.
pub(crate) fn header(name: &str, kind: Option<FileKind>, bytes: u64) -> Option<[u8; BLOCK]> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).ok()?;
    header.set_size(bytes);
    header.set_mode(if kind == Some(FileKind::Program) { 0o755 } else { 0o644 });
    // When and by whom it was made would make two builds differ.
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Some(*header.as_bytes())
}

/// Bytes that fill the last block.
pub(crate) fn filling(bytes: u64) -> usize {
    (bytes as usize).wrapping_neg() % BLOCK
}
