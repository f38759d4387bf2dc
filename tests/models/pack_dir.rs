//! The folder of packs: which one is taken, and how broken ones are named.

use crate::{detector, drawn, fault};
use std::path::Path;
use std::sync::OnceLock;
use threshold_models::import::description;
use threshold_models::pack::{Network, PACK_BYTES_MAX, Pack, PackDir};
use threshold_models::tensor::{Tensor, Tensors};
use threshold_record::ModelId;

const REMEDY: &str =
    "; fetch packs with `cargo xtask setup` or `threshold model fetch`, or name another folder";

/// An embedder without golden vectors, which need half a minute of arithmetic.
fn dlib() -> &'static Pack {
    static PACK: OnceLock<Pack> = OnceLock::new();
    let network = Network::DlibResnet29;
    PACK.get_or_init(|| Pack::new(description(network), &drawn(network)).unwrap())
}

fn facenet() -> Pack {
    let network = Network::InceptionResnetV1;
    let zeros = |shape: Vec<usize>| Tensor { data: vec![0.0; shape.iter().product()], shape };
    let specs = network.weights().into_iter();
    let tensors: Tensors = specs.map(|spec| (spec.name, zeros(spec.shape))).collect();
    Pack::new(description(network), &tensors).unwrap()
}

fn open(folder: &Path) -> PackDir {
    PackDir::open(folder).unwrap()
}

#[test]
fn packs_are_listed_in_name_order_and_other_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    detector().write(&at("z.pack")).unwrap();
    dlib().write(&at("a.pack")).unwrap();
    std::fs::write(at("notes.txt"), b"hello").unwrap();
    std::fs::write(at("pack"), b"hello").unwrap();
    std::fs::write(at("a.pack.tmp"), b"hello").unwrap();
    let packs = open(folder.path());
    assert_eq!(packs.path(), folder.path());
    assert!(packs.faults().is_empty());
    let found: Vec<(ModelId, &str)> = packs
        .entries()
        .iter()
        .map(|entry| (entry.id().unwrap(), entry.meta.name.as_str()))
        .collect();
    assert_eq!(found, [(dlib().id, "dlib-resnet29"), (detector().id, "mtcnn")]);
    assert_eq!(packs.embedders().map(|entry| entry.id().unwrap()).collect::<Vec<_>>(), [dlib().id]);
    assert_eq!(packs.detector().unwrap().id, detector().id);
    // By name, by short name, by id.
    for name in ["dlib", "dlib-resnet29"] {
        assert_eq!(packs.named(name).unwrap().id, dlib().id);
    }
    assert_eq!(packs.find(dlib().id).unwrap().id, dlib().id);
}

#[test]
fn facenet_is_the_default_embedder_where_it_is_and_dlib_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    detector().write(&folder.path().join("mtcnn.pack")).unwrap();
    let dir = folder.path().display();
    assert_eq!(
        fault(open(folder.path()).default_embedder()),
        format!("no embedder pack in {dir}{REMEDY}")
    );
    dlib().write(&folder.path().join("a.pack")).unwrap();
    assert_eq!(open(folder.path()).default_embedder().unwrap().id, dlib().id);
    let facenet = facenet();
    facenet.write(&folder.path().join("z.pack")).unwrap();
    let packs = open(folder.path());
    assert_eq!(packs.default_embedder().unwrap().id, facenet.id);
    assert_eq!(packs.named("facenet").unwrap().id, facenet.id);
    assert_eq!(packs.named("dlib").unwrap().id, dlib().id);
}

#[test]
fn a_pack_that_is_not_there_is_named_with_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let packs = open(folder.path());
    assert!(packs.entries().is_empty());
    assert_eq!(fault(packs.detector()), format!("no detector pack in {dir}{REMEDY}"));
    assert_eq!(fault(packs.named("facenet")), format!("no pack named facenet in {dir}{REMEDY}"));
    let id = ModelId([0xab; 32]);
    assert_eq!(fault(packs.find(id)), format!("no pack with model id {id} in {dir}{REMEDY}"));
    let none = folder.path().join("none");
    assert_eq!(fault(PackDir::open(&none)), format!("no packs in {}{REMEDY}", none.display()));
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(fault(PackDir::open(&file)).ends_with("; check the path and its permissions"));
}

#[test]
fn broken_packs_are_named_when_one_of_their_kind_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let sound = detector().bytes().to_vec();
    std::fs::write(at("cut.pack"), &sound[..sound.len() / 2]).unwrap();
    std::fs::write(at("empty.pack"), b"").unwrap();
    std::fs::create_dir(at("folder.pack")).unwrap();
    let packs = open(folder.path());
    assert_eq!((packs.entries().len(), packs.faults().len()), (0, 3));
    let text = fault(packs.detector());
    assert!(
        text.starts_with(&format!("no detector pack in {} (unreadable: ", folder.path().display())),
        "{text}"
    );
    assert!(text.ends_with(&format!("){REMEDY}")), "{text}");
    for name in ["cut.pack", "empty.pack", "folder.pack"] {
        assert!(text.contains(&format!("{}: ", at(name).display())), "{text} lacks {name}");
    }
    // Beside a sound one they are faults, and no more than that.
    detector().write(&at("sound.pack")).unwrap();
    let packs = open(folder.path());
    assert_eq!((packs.entries().len(), packs.faults().len()), (1, 3));
    assert_eq!(packs.detector().unwrap().id, detector().id);
}

#[test]
fn a_file_that_is_too_long_for_a_pack_is_a_fault_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("long.pack")).unwrap();
    // A hole on the disk; its header would be all the rest.
    let header = u64::to_le_bytes(PACK_BYTES_MAX - 7);
    std::os::unix::fs::FileExt::write_all_at(&file, &header, 0).unwrap();
    file.set_len(PACK_BYTES_MAX + 1).unwrap();
    let packs = open(folder.path());
    assert_eq!((packs.entries().len(), packs.faults().len()), (0, 1));
    let text = packs.faults()[0].to_string();
    assert!(text.contains("a pack has at most 536870912"), "{text}");
}

#[test]
fn a_pack_whose_tensors_are_wrong_is_listed_and_refused_when_it_is_loaded() {
    // The description is whole and the sizes fit, so that only reading the weights tells.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nan.pack");
    let mut bytes = detector().bytes().to_vec();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let packs = open(folder.path());
    assert_eq!(packs.entries().len(), 1);
    let text = fault(packs.detector());
    assert!(text.starts_with(&format!("{}: tensor ", path.display())), "{text}");
    assert!(text.contains("holds a value that is not finite"), "{text}");
}

#[test]
fn the_folder_that_is_named_goes_before_the_environment() {
    // The environment is the process's and other tests run beside this one, so it is not set here.
    let flag = Path::new("some/folder");
    assert_eq!(PackDir::locate(Some(flag)).unwrap(), flag);
}
