//! What a store is tried on: objects in memory, or cells on NAND flash in memory; with the faults of either.

use crate::MODEL;
use std::sync::Arc;
use threshold_store::cells::{Nand, NandFault, Shape, format};
use threshold_store::{
    Cells, Flash, FlashFault, KeyProvider, MockFlash, Object, Series, Store, StoreError, TailCut,
};

/// Small blocks, so that everything goes over from one into another.
pub(crate) const SHAPE: Shape = Shape { page_bytes: 512, block_pages: 12, blocks: 80 };

/// A handle on a flash with its keys.
#[derive(Clone, Debug)]
pub(crate) enum Bed {
    Objects(MockFlash),
    /// The mock has the keys.
    Cells(Nand, MockFlash),
}

impl Bed {
    pub(crate) fn objects() -> Self {
        Self::Objects(MockFlash::new())
    }

    /// Freshly formatted.
    pub(crate) fn cells() -> Self {
        let mut nand = Nand::new(SHAPE);
        nand.set_bad(9);
        format(&mut nand).unwrap();
        Self::Cells(nand.copy(), MockFlash::new())
    }

    /// Freshly formatted, on a medium without marks of bad blocks, as a device is.
    pub(crate) fn unmarked() -> Self {
        let bed = Self::cells();
        if let Self::Cells(nand, _) = &bed {
            nand.without_marks();
        }
        bed
    }

    /// The body of flash, as a start finds it.
    pub(crate) fn body(&self) -> Result<Box<dyn Flash>, StoreError> {
        Ok(match self {
            Self::Objects(flash) => Box::new(flash.clone()),
            Self::Cells(nand, _) => Box::new(Cells::open(nand.clone())?),
        })
    }

    pub(crate) fn open(&self) -> Result<(Store, Option<TailCut>), StoreError> {
        Store::open(self.body()?, self.keys())
    }

    /// A store on it, gallery loaded.
    pub(crate) fn opened(&self) -> Store {
        let (mut store, _) = self.open().unwrap();
        store.load_gallery(MODEL).unwrap();
        store
    }

    pub(crate) fn keys(&self) -> Arc<dyn KeyProvider> {
        let (Self::Objects(flash) | Self::Cells(_, flash)) = self;
        flash.keys()
    }

    /// True if what is appended takes whole pages.
    pub(crate) fn is_paged(&self) -> bool {
        matches!(self, Self::Cells(..))
    }

    /// A size of a segment of about as many batches.
    pub(crate) fn segment_bytes(&self, bytes: u32) -> u32 {
        if self.is_paged() { bytes.max(5_000) } else { bytes }
    }

    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Objects(flash) => Self::Objects(flash.copy()),
            Self::Cells(nand, keys) => Self::Cells(nand.copy(), keys.copy()),
        }
    }

    pub(crate) fn cut_power_at(&self, write: u64, seed: u64) {
        match self {
            Self::Objects(flash) => flash.cut_power_at(write, seed),
            Self::Cells(nand, _) => nand.cut_power_at(write, seed),
        }
    }

    pub(crate) fn cut_power(&self, seed: u64) {
        match self {
            Self::Objects(flash) => flash.cut_power(seed),
            Self::Cells(nand, _) => nand.cut_power(seed),
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        match self {
            Self::Objects(flash) => flash.is_off(),
            Self::Cells(nand, _) => nand.is_off(),
        }
    }

    pub(crate) fn power_on(&self) {
        match self {
            Self::Objects(flash) => flash.power_on(),
            Self::Cells(nand, _) => nand.power_on(),
        }
    }

    /// Makes a write fail. For a full medium a block that is gone for good stands, and one that does nothing and does not say so;
    /// an error is one of reading what was written, too.
    pub(crate) fn fail_at(&self, write: u64, fault: FlashFault) {
        match self {
            Self::Objects(flash) => flash.fail_at(write, fault),
            Self::Cells(nand, _) => nand.fail_at(
                write,
                match fault {
                    FlashFault::Full if write.is_multiple_of(2) => NandFault::BlockGone,
                    FlashFault::Full => NandFault::NoOp,
                    FlashFault::ReadOnly => NandFault::ReadOnly,
                    _ if write.is_multiple_of(3) => NandFault::Unreadable,
                    _ => NandFault::Error,
                },
            ),
        }
    }

    pub(crate) fn writes(&self) -> u64 {
        match self {
            Self::Objects(flash) => flash.writes(),
            Self::Cells(nand, _) => nand.writes(),
        }
    }

    pub(crate) fn segments(&self, of: Series) -> Vec<u32> {
        self.body().unwrap().segments(of)
    }

    pub(crate) fn len(&self, object: Object) -> Option<u64> {
        self.body().unwrap().len(object).unwrap()
    }

    /// Nothing broke the law of the medium.
    pub(crate) fn check(&self, what: &str) {
        if let Self::Cells(nand, _) = self {
            assert_eq!(nand.violations(), [""; 0], "{what}");
        }
    }
}
