//! Makers, bundles and slots for the tests of updates.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Cursor;
use threshold_bundle::{FileKind, Keys, Manifest, SigningKey, Source, write};
use threshold_slots::mock::MockMedium;
use threshold_slots::{Maker, Slot, Slots};
use threshold_tests::lots::Lots;

/// The board of these tests.
pub(crate) const BOARD: &str = "jetson-orin";

/// Who makes versions, and what the unit knows of him.
pub(crate) struct Factory {
    pub(crate) release: SigningKey,
    pub(crate) build: SigningKey,
    pub(crate) keys: Keys,
    made: RefCell<BTreeMap<(u32, u64), Vec<u8>>>,
}

impl Factory {
    pub(crate) fn new() -> Self {
        let (release, build) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let keys = Keys::of(&build, 1);
        Self::of(release, build, keys)
    }

    pub(crate) fn of(release: SigningKey, build: SigningKey, keys: Keys) -> Self {
        Self { release, build, keys, made: RefCell::default() }
    }

    pub(crate) fn maker(&self) -> Maker {
        Maker { compatible: BOARD.to_owned(), release_key: self.release.verifying_key().to_bytes() }
    }

    /// A bundle of these files.
    pub(crate) fn bundle(
        &self,
        version: u32,
        counter: u64,
        files: &[(&str, FileKind, Vec<u8>)],
    ) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let source = |(at, (name, kind, bytes)): (usize, &(&str, FileKind, Vec<u8>))| {
            let path = folder.path().join(at.to_string());
            std::fs::write(&path, bytes).unwrap();
            Source { name: (*name).to_owned(), kind: *kind, path }
        };
        let sources: Vec<Source> = files.iter().enumerate().map(source).collect();
        let manifest = Manifest {
            format: 1,
            compatible: BOARD.to_owned(),
            version: version.to_string(),
            counter,
            files: Vec::new(),
        };
        let mut out = Vec::new();
        write(&mut out, manifest, &sources, &self.keys.sign(&self.release).unwrap(), &self.build)
            .unwrap();
        out
    }

    /// A version whose every byte is its own.
    pub(crate) fn version(&self, version: u32, counter: u64) -> Vec<u8> {
        let mut made = self.made.borrow_mut();
        let bundle = || self.bundle(version, counter, &files(version));
        made.entry((version, counter)).or_insert_with(bundle).clone()
    }

    /// The slots of a unit in which that slot runs.
    pub(crate) fn slots(&self, medium: &MockMedium, running: Option<Slot>) -> Slots {
        Slots::on(Box::new(medium.clone()), self.maker(), running)
    }

    /// A medium on which version 1, of counter 1, was installed and confirmed, in slot a.
    pub(crate) fn confirmed(&self) -> MockMedium {
        let medium = MockMedium::new();
        self.slots(&medium, None).install(&mut Cursor::new(self.version(1, 1))).unwrap();
        self.boot(&medium).confirm().unwrap();
        medium
    }

    /// Starts the unit: the slots as the program holds them that the launcher chose.
    pub(crate) fn boot(&self, medium: &MockMedium) -> Slots {
        let choice = self.slots(medium, None).choose().unwrap();
        self.slots(medium, Some(choice.slot))
    }
}

pub(crate) fn files(version: u32) -> Vec<(&'static str, FileKind, Vec<u8>)> {
    let mut lots = Lots(u64::from(version));
    vec![
        ("threshold-edge", FileKind::Program, lots.bytes(900)),
        ("kernels/detect.sm_87.cubin", FileKind::Kernels, lots.bytes(100)),
        ("packs/detector.safetensors", FileKind::Pack, lots.bytes(333)),
        ("packs/dlib.safetensors", FileKind::Pack, lots.bytes(700)),
        ("licences", FileKind::List, Vec::new()),
    ]
}
