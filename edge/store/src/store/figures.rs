//! How full the store is, for whoever looks after the unit.

use super::Store;
use crate::flash::{Flash, FlashError, Object, Series};
use crate::keys::Keeper;

/// What the store takes on its flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Segments of the log, and how many are kept before the oldest goes.
    pub log_segments: (u32, u32),
    /// Segments that the log began since the first start. Each takes its size of the flash at most, whether it is still there or not.
    pub log_segments_begun: u32,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Segments of the gallery.
    pub gallery_segments: u32,
    /// Bytes of the gallery.
    pub gallery_bytes: u64,
    /// Bytes that were given to the flash since this start: of a device every page, and those that an erase overwrote; of a folder those of
    /// the files.
    pub written_bytes: u64,
    /// Bytes that are held back for a full medium.
    pub reserve_bytes: u64,
    /// Ids of removed people.
    pub tombstones: u32,
    /// Data keys that something is sealed with.
    pub data_keys: u32,
    /// What keeps the unit's secret.
    pub keeper: Keeper,
    /// Where the keeper's counter stands; `None` if it has none.
    pub counter: Option<u64>,
}

impl Store {
    /// What the store takes on its flash now.
    ///
    /// # Errors
    /// [`FlashError`] if that cannot be asked.
    pub fn figures(&self) -> Result<Figures, FlashError> {
        let bytes_of = |series: Series| -> Result<u64, FlashError> {
            let objects = self.flash.segments(series).into_iter().map(|n| series.segment(n));
            objects.map(|object: Object| Ok(self.flash.len(object)?.unwrap_or(0))).sum()
        };
        let log = self.flash.segments(Series::Log);
        Ok(Figures {
            log_segments: (log.len() as u32, self.size.log.segments),
            log_segments_begun: log.last().copied().unwrap_or(0),
            log_bytes: bytes_of(Series::Log)?,
            gallery_segments: self.flash.segments(Series::Gallery).len() as u32,
            gallery_bytes: bytes_of(Series::Gallery)?,
            written_bytes: self.flash.written_bytes(),
            reserve_bytes: self.flash.len(Object::Reserve)?.unwrap_or(0),
            tombstones: self.tombstones.0.len() as u32,
            data_keys: self.keyring.n_data_keys(),
            keeper: self.keyring.keeper(),
            counter: self.counter(),
        })
    }
}
