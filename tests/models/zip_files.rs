//! Zip archives by hand: as torch's own writer makes them, and with every field that a hostile one may change.

/// One entry. What an archive says of it and what is there may differ.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
    /// 0 stored, 8 deflated.
    pub(crate) method: u16,
    /// Flags; torch sets 0x0808: sizes follow the data, names are UTF-8.
    pub(crate) flags: u16,
    /// Size that the directory claims; the data's own if `None`.
    pub(crate) claimed: Option<u32>,
    /// Size before compression; the data's own if `None`.
    pub(crate) unpacked: Option<u32>,
    /// Checksum of what is unpacked; that of the data if `None`.
    pub(crate) crc: Option<u32>,
}

impl Entry {
    /// A stored entry.
    pub(crate) fn new(name: &str, data: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            data: data.to_vec(),
            method: 0,
            flags: 0x0808,
            claimed: None,
            unpacked: None,
            crc: None,
        }
    }

    /// A deflated entry.
    pub(crate) fn deflated(name: &str, plain: &[u8]) -> Self {
        use std::io::Write as _;
        let best = flate2::Compression::best();
        let mut encoder = flate2::write::DeflateEncoder::new(vec![], best);
        encoder.write_all(plain).unwrap();
        Self {
            data: encoder.finish().unwrap(),
            method: 8,
            unpacked: Some(plain.len() as u32),
            crc: Some(crc32fast::hash(plain)),
            ..Self::new(name, &[])
        }
    }
}

/// An archive laid out as torch lays it out: sizes and checksum behind each entry, and data at multiples of 64 by an
/// extra field `FB` of Zs.
pub(crate) fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut archive, mut directory) = (vec![], vec![]);
    for entry in entries {
        let offset = archive.len() as u32;
        let name = entry.name.as_bytes();
        let crc = entry.crc.unwrap_or_else(|| crc32fast::hash(&entry.data));
        let packed = entry.claimed.unwrap_or(entry.data.len() as u32);
        let unpacked = entry.unpacked.unwrap_or(packed);
        let pad = (64 - (archive.len() + 30 + name.len() + 4) % 64) % 64;
        let u16s =
            |values: &[u16]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        archive.extend(b"PK\x03\x04");
        archive.extend(u16s(&[0, entry.flags, entry.method, 0, 0]));
        archive.extend([0; 12]);
        archive.extend(u16s(&[name.len() as u16, pad as u16 + 4]));
        archive.extend(name);
        archive.extend(b"FB");
        archive.extend(u16s(&[pad as u16]));
        archive.extend(vec![b'Z'; pad]);
        archive.extend(&entry.data);
        archive.extend(b"PK\x07\x08");
        [crc, packed, unpacked].iter().for_each(|v| archive.extend(v.to_le_bytes()));

        directory.extend(b"PK\x01\x02");
        directory.extend(u16s(&[0, 0, entry.flags, entry.method, 0, 0]));
        [crc, packed, unpacked].iter().for_each(|v| directory.extend(v.to_le_bytes()));
        directory.extend(u16s(&[name.len() as u16, 0, 0, 0, 0, 0, 0]));
        directory.extend(offset.to_le_bytes());
        directory.extend(name);
    }
    let (at, len, count) = (archive.len() as u32, directory.len() as u32, entries.len() as u16);
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    [count, count].iter().for_each(|v| archive.extend(v.to_le_bytes()));
    [len, at].iter().for_each(|v| archive.extend(v.to_le_bytes()));
    archive.extend([0, 0]);
    archive
}
