//! Tests of the area `bundle`: what a unit is updated by is what its signers made, or nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

mod by_hand;

use std::path::PathBuf;
use threshold_bundle::{
    BundleError, FileEntry, FileKind, Installed, Keys, Manifest, Nowhere, SigningKey, Sink, Source,
    Trust, read, write,
};
use threshold_tests::forged::renamed;
use threshold_tests::lots::Lots;

/// A maker: the release key that a unit believes, and a build key that it vouches for.
struct Maker {
    release: SigningKey,
    build: SigningKey,
}

impl Maker {
    fn new() -> Self {
        Self { release: SigningKey::from_bytes(&[7; 32]), build: SigningKey::from_bytes(&[8; 32]) }
    }

    fn trust(&self) -> Trust {
        Trust { release_key: self.release.verifying_key().to_bytes(), serial: 0 }
    }

    fn keys(&self) -> Keys {
        Keys::of(&self.build, 1)
    }

    /// A bundle of these files.
    fn bundle(&self, files: &[(&str, FileKind, Vec<u8>)]) -> Vec<u8> {
        self.bundle_of(manifest(), files, &self.keys())
    }

    fn bundle_of(
        &self,
        manifest: Manifest,
        files: &[(&str, FileKind, Vec<u8>)],
        keys: &Keys,
    ) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        let keys = keys.sign(&self.release).unwrap();
        write(&mut out, manifest, &sources(&folder, files), &keys, &self.build).unwrap();
        out
    }
}

fn sources(folder: &tempfile::TempDir, files: &[(&str, FileKind, Vec<u8>)]) -> Vec<Source> {
    let source = |(at, (name, kind, bytes)): (usize, &(&str, FileKind, Vec<u8>))| {
        let path: PathBuf = folder.path().join(at.to_string());
        std::fs::write(&path, bytes).unwrap();
        Source { name: (*name).to_owned(), kind: *kind, path }
    };
    files.iter().enumerate().map(source).collect()
}

fn manifest() -> Manifest {
    Manifest {
        format: 1,
        compatible: "jetson-orin".to_owned(),
        version: "0.2.0".to_owned(),
        counter: 5,
        files: Vec::new(),
    }
}

fn unit() -> Installed {
    Installed { compatible: "jetson-orin".to_owned(), counter: 5 }
}

fn files() -> Vec<(&'static str, FileKind, Vec<u8>)> {
    let mut lots = Lots(1);
    let mut bytes = |len: usize| lots.bytes(len);
    vec![
        ("threshold-edge", FileKind::Program, bytes(600_000)),
        ("kernels/detect.sm_87.cubin", FileKind::Kernels, bytes(100_000)),
        ("packs/dlib.safetensors", FileKind::Pack, bytes(300_001)),
        ("threshold-edge.service", FileKind::System, bytes(512)),
        ("licences", FileKind::List, Vec::new()),
    ]
}

/// Keeps what it is given.
#[derive(Default)]
struct Kept(Vec<(String, Vec<u8>)>);

impl Sink for Kept {
    fn begin(&mut self, _: &Manifest) -> std::io::Result<()> {
        Ok(())
    }

    fn file(&mut self, file: &FileEntry) -> std::io::Result<()> {
        self.0.push((file.name.clone(), Vec::new()));
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.last_mut().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }
}

fn refused(bundle: &[u8]) -> BundleError {
    read(bundle, &Maker::new().trust(), &unit(), &mut Nowhere).unwrap_err()
}

#[test]
fn a_bundle_is_read_as_it_was_written_and_two_makings_are_equal() {
    let (maker, mut files) = (Maker::new(), files());
    let bundle = maker.bundle(&files);
    files.reverse();
    assert_eq!(bundle, maker.bundle(&files), "the order in which files are named must not tell");
    let mut kept = Kept::default();
    let (manifest, keys) = read(&bundle[..], &maker.trust(), &unit(), &mut kept).unwrap();
    files.sort_by(|a, b| a.0.cmp(b.0));
    let expected: Vec<_> =
        files.into_iter().map(|(name, _, bytes)| (name.to_owned(), bytes)).collect();
    assert_eq!(kept.0, expected);
    assert_eq!((manifest.counter, manifest.version.as_str(), keys.serial), (5, "0.2.0", 1));
    assert_eq!(manifest.total_bytes(), 1_000_513);
}

#[test]
fn a_bit_that_is_changed_anywhere_is_seen() {
    let mut bundle = Maker::new().bundle(&files());
    let mut lots = Lots(2);
    // The texts, signatures and headers are few bytes among many: a bit of each byte of the first blocks, then random places.
    let first: Vec<usize> = (0..16 * 512).map(|byte| byte * 8 + byte % 8).collect();
    let places =
        first.into_iter().chain((0..10_000).map(|_| lots.below(bundle.len() as u64 * 8) as usize));
    for place in places.collect::<Vec<_>>() {
        bundle[place / 8] ^= 1 << (place % 8);
        let outcome = read(&bundle[..], &Maker::new().trust(), &unit(), &mut Nowhere);
        bundle[place / 8] ^= 1 << (place % 8);
        assert!(outcome.is_err(), "bit {place} of {} is free", bundle.len() * 8);
    }
    assert!(read(&bundle[..], &Maker::new().trust(), &unit(), &mut Nowhere).is_ok());
}

#[test]
fn a_bundle_that_is_cut_or_goes_on_is_refused() {
    let bundle = Maker::new().bundle(&files());
    for len in (0..bundle.len()).step_by(509).chain([bundle.len() - 1]) {
        let error = refused(&bundle[..len]);
        assert!(matches!(error, BundleError::Damaged { .. }), "{len}: {error}");
    }
    for more in [1, 511, 512, 1024] {
        let error = refused(&[&bundle[..], &vec![0; more]].concat());
        assert!(error.to_string().contains("behind its end"), "{more}: {error}");
    }
}

#[test]
fn whoever_signed_it_must_be_believed() {
    let maker = Maker::new();
    let other = Maker {
        release: SigningKey::from_bytes(&[9; 32]),
        build: SigningKey::from_bytes(&[8; 32]),
    };
    assert!(matches!(
        refused(&other.bundle(&files())),
        BundleError::Signature { signer: "release", .. }
    ));
    // A build key that the release key never vouched for.
    let stolen = Maker {
        release: SigningKey::from_bytes(&[7; 32]),
        build: SigningKey::from_bytes(&[9; 32]),
    };
    let bundle = stolen.bundle_of(manifest(), &files(), &maker.keys());
    assert!(matches!(refused(&bundle), BundleError::Signature { signer: "build", .. }));
    // The key that everybody has.
    let development = threshold_bundle::development_key();
    let bench = Maker { release: development.clone(), build: development };
    let bundle = bench.bundle(&files());
    assert!(matches!(refused(&bundle), BundleError::Development));
    assert!(read(&bundle[..], &Trust::development(), &unit(), &mut Nowhere).is_ok());
    // The same as the build key of a real release key.
    let vouched = Maker { build: threshold_bundle::development_key(), ..Maker::new() };
    assert!(matches!(refused(&vouched.bundle(&files())), BundleError::Development));
    // A key that was revoked, by its own list and by one that the unit saw since.
    let revoked = vec![maker.keys().build_key];
    let bundle = maker.bundle_of(manifest(), &files(), &Keys { revoked, ..maker.keys() });
    assert!(matches!(refused(&bundle), BundleError::KeyRevoked { .. }));
    let seen = Trust { serial: 2, ..maker.trust() };
    let older = read(&maker.bundle(&files())[..], &seen, &unit(), &mut Nowhere).unwrap_err();
    assert!(matches!(older, BundleError::KeyRevoked { serial: 1, known: 2 }), "{older}");
}

#[test]
fn a_bundle_for_another_board_or_below_the_security_counter_is_refused() {
    let maker = Maker::new();
    let other = Manifest { compatible: "jetson-thor".to_owned(), ..manifest() };
    let error = refused(&maker.bundle_of(other, &files(), &maker.keys()));
    assert!(matches!(error, BundleError::OtherBoard { .. }), "{error}");
    for (counter, taken) in [(4, false), (5, true), (6, true)] {
        let bundle = maker.bundle_of(Manifest { counter, ..manifest() }, &files(), &maker.keys());
        let outcome = read(&bundle[..], &maker.trust(), &unit(), &mut Nowhere);
        assert_eq!(outcome.is_ok(), taken, "{counter}: {outcome:?}");
    }
}

#[test]
fn what_breaks_the_manifests_rules_is_not_made() {
    let maker = Maker::new();
    let folder = tempfile::tempdir().unwrap();
    let keys = maker.keys().sign(&maker.release).unwrap();
    let made = |manifest: Manifest, names: &[&str]| {
        let files: Vec<_> =
            names.iter().map(|&name| (name, FileKind::List, b"x".to_vec())).collect();
        write(Vec::new(), manifest, &sources(&folder, &files), &keys, &maker.build)
    };
    assert!(made(manifest(), &["a"]).is_ok());
    for names in [&["../a"][..], &["a", "a"], &["/a"], &["a/b/c"], &["a", "a/b"], &[]] {
        let error = made(manifest(), names).unwrap_err();
        assert!(
            matches!(error, BundleError::Text { member: "MANIFEST", .. }),
            "{names:?}: {error}"
        );
    }
    for (compatible, version) in [("", "1"), ("a", ""), ("a b", "1"), ("a", "../1")] {
        let manifest = Manifest {
            compatible: compatible.to_owned(),
            version: version.to_owned(),
            ..manifest()
        };
        assert!(made(manifest, &["a"]).is_err(), "{compatible} {version}");
    }
    let missing = Source { name: "a".to_owned(), kind: FileKind::List, path: "nowhere".into() };
    let error = write(Vec::new(), manifest(), &[missing], &keys, &maker.build).unwrap_err();
    assert!(error.to_string().starts_with("nowhere cannot go into a bundle"), "{error}");
}

#[test]
fn a_name_that_leads_out_of_the_slot_is_refused_whoever_signed_it() {
    let maker = Maker::new();
    for other in ["../a", "/abc", "a//b", "KEYS"] {
        let name = "f".repeat(other.len());
        let bundle = maker.bundle(&[(&name, FileKind::List, b"x".to_vec())]);
        assert!(read(&bundle[..], &maker.trust(), &unit(), &mut Nowhere).is_ok());
        let forged = renamed(&bundle, &name, other, &maker.build);
        let mut kept = Kept::default();
        let error = read(&forged[..], &maker.trust(), &unit(), &mut kept).unwrap_err();
        assert!(matches!(error, BundleError::Text { member: "MANIFEST", .. }), "{other}: {error}");
        assert!(kept.0.is_empty());
    }
}

#[test]
fn a_bundle_that_names_more_than_it_may_hold_is_refused_before_its_files() {
    // Its build key is right, and its maker has another program: a header that says 8 GiB.
    let mut header = tar::Header::new_ustar();
    header.set_path("KEYS").unwrap();
    header.set_size(8 << 30);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let error = refused(header.as_bytes());
    assert!(error.to_string().contains("a text is too long"), "{error}");
}
