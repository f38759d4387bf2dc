//! Packs: what is written is read back under the same id, and every kind of damage is named.

use crate::{check_fault, detector, drawn, fault};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use threshold_models::import::{description, with_golden};
use threshold_models::pack::{Network, Pack, PackMeta, Preprocessing};
use threshold_models::tensor::Tensors;

/// The id of the drawn detector's pack: BLAKE3 of its bytes. Another one here means that packs of this build are not
/// those of the build before, so that every gallery is of another model.
const DRAWN_ID: &str = "484b3a257d07bdd1bcad22cd874d335057451ac426aa64ff6c5836c9947fe62f";

#[test]
fn a_pack_is_read_back_under_the_same_id() {
    let pack = detector();
    let bytes = pack.bytes().to_vec();
    assert_eq!(pack.id.to_string(), blake3::hash(&bytes).to_hex().as_str());
    assert_eq!(pack.id.to_string(), DRAWN_ID);
    let read = Pack::from_bytes(bytes.clone()).unwrap();
    assert_eq!(read, *pack);
    assert_eq!(read.bytes(), bytes);
    // Made again from the same parts, through a file, and by the importers' door.
    let again = with_golden(description(Network::Mtcnn), drawn(Network::Mtcnn)).unwrap();
    assert_eq!(again.id, pack.id);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/mtcnn.pack");
    pack.write(&path).unwrap();
    pack.write(&path).unwrap();
    assert_eq!(Pack::read(&path).unwrap(), *pack);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert_eq!(threshold_models::import::from_bytes(&bytes).unwrap(), *pack);
}

/// The parts of a pack's file, to be changed one at a time.
#[derive(Clone)]
struct Parts {
    meta: Option<String>,
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

fn parts() -> Parts {
    let bytes = detector().bytes().to_vec();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let meta = header.metadata().as_ref().unwrap()["threshold.pack"].clone();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, view): (String, TensorView<'_>)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    Parts { meta: Some(meta), tensors: file.tensors().into_iter().map(tensor).collect() }
}

impl Parts {
    fn bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, (dtype, shape, data))| {
            (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        let meta =
            self.meta.clone().map(|meta| HashMap::from([("threshold.pack".to_owned(), meta)]));
        safetensors::serialize(views, meta).unwrap()
    }
}

/// What reading the changed pack says.
fn changed(change: impl FnOnce(&mut Parts)) -> String {
    let mut parts = parts();
    change(&mut parts);
    fault(Pack::from_bytes(parts.bytes()))
}

const AGAIN: &str = "make it again with `threshold model fetch`";
const PACK_AGAIN: &str = "make the pack again with `threshold model fetch`";

#[test]
fn parts_put_together_unchanged_are_the_pack() {
    assert_eq!(Pack::from_bytes(parts().bytes()).unwrap(), *detector());
}

#[test]
fn a_tensor_missing_extra_or_of_another_shape_is_named() {
    let name = "rnet.conv2.weight";
    assert_eq!(
        changed(|parts| drop(parts.tensors.remove(name))),
        format!("tensor {name}: expected [48, 3, 3, 28], found none; {PACK_AGAIN}")
    );
    assert_eq!(
        changed(|parts| drop(
            parts.tensors.insert("evil".to_owned(), (Dtype::U8, vec![2, 1], vec![0; 2]))
        )),
        format!("tensor evil: expected none, found [2, 1]; {PACK_AGAIN}")
    );
    for shape in [vec![48, 3, 28, 3], vec![12096], vec![48, 3, 3, 28, 1]] {
        assert_eq!(
            changed(|parts| parts.tensors.get_mut(name).unwrap().1.clone_from(&shape)),
            format!("tensor {name}: expected [48, 3, 3, 28], found {shape:?}; {PACK_AGAIN}")
        );
    }
    assert_eq!(
        changed(|parts| *parts.tensors.get_mut(name).unwrap() = (Dtype::F32, vec![0], vec![])),
        format!("tensor {name}: expected [48, 3, 3, 28], found [0]; {PACK_AGAIN}")
    );
}

#[test]
fn another_element_type_is_named() {
    let name = "pnet.conv1.bias";
    for (dtype, shown, bytes) in
        [(Dtype::F16, "F16", 20), (Dtype::I32, "I32", 40), (Dtype::F64, "F64", 80)]
    {
        assert_eq!(
            changed(
                |parts| *parts.tensors.get_mut(name).unwrap() = (dtype, vec![10], vec![0; bytes])
            ),
            format!("tensor {name} is {shown}, expected F32; {PACK_AGAIN}")
        );
    }
}

#[test]
fn a_weight_that_is_no_number_is_named() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let bytes = value.to_le_bytes();
        let name = "onet.dense5.weight";
        let text = changed(|parts| {
            parts.tensors.get_mut(name).unwrap().2[400..404].copy_from_slice(&bytes)
        });
        assert_eq!(text, format!("tensor {name} holds a value that is not finite; {PACK_AGAIN}"));
    }
    // In an embedder a weight that no half holds is none either.
    let mut tensors = drawn(Network::DlibResnet29);
    tensors.get_mut("conv1.weight").unwrap().data[7] = 65_520.0;
    check_fault(
        Pack::new(description(Network::DlibResnet29), &tensors),
        "tensor conv1.weight holds a value that is not finite",
    );
}

#[test]
fn a_pack_cut_off_anywhere_is_refused() {
    let bytes = detector().bytes().to_vec();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let far = (header..bytes.len()).step_by(99_991).chain([bytes.len() - 1]);
    for len in (0..header).step_by(7).chain(header - 9..header + 9).chain(far) {
        let text = fault(Pack::from_bytes(&bytes[..len]));
        assert!(text.starts_with("not a pack, or damaged: "), "{len}: {text}");
        assert!(text.ends_with(AGAIN), "{len}: {text}");
    }
    let longer = [&bytes[..], &[0]].concat();
    check_fault(Pack::from_bytes(longer), "not a pack, or damaged: ");
}

#[test]
fn a_flipped_bit_in_a_tensor_is_another_model_or_no_pack() {
    let pack = detector();
    let bytes = pack.bytes().to_vec();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut lots = threshold_tests::lots::Lots(71);
    for _ in 0..60 {
        let at = header + lots.below((bytes.len() - header) as u64) as usize;
        let mut changed = bytes.clone();
        changed[at] ^= 1 << lots.below(8);
        if let Ok(found) = Pack::from_bytes(changed) {
            assert_ne!(found.id, pack.id);
        }
    }
}

#[test]
fn a_header_that_lies_is_refused_and_sets_nothing_aside() {
    let bytes = detector().bytes().to_vec();
    for len in [0, 1, 7, 1 << 20, 99_999_999, 100_000_001, 1 << 40, u64::MAX] {
        let mut changed = bytes.clone();
        changed[..8].copy_from_slice(&len.to_le_bytes());
        check_fault(Pack::from_bytes(changed), "not a pack, or damaged: ");
    }
    let text = String::from_utf8_lossy(&bytes[8..]).into_owned();
    let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = &text[..header_len];
    let with = |from: &str, to: &str| {
        let header = header.replacen(from, to, 1);
        assert_ne!(header, text[..header_len], "{from}");
        let len = (header.len() as u64).to_le_bytes();
        fault(Pack::from_bytes([&len[..], header.as_bytes(), &bytes[8 + header_len..]].concat()))
    };
    let damaged = |text: String| assert!(text.starts_with("not a pack, or damaged: "), "{text}");
    damaged(with("\"shape\":[48,3,3,28]", "\"shape\":[48,3,3,18446744073709551615]"));
    damaged(with("\"shape\":[48,3,3,28]", "\"shape\":[1099511627776,3,3,28]"));
    damaged(with("\"dtype\":\"F32\"", "\"dtype\":\"F99\""));
    damaged(with("\"data_offsets\":[0,", "\"data_offsets\":[18446744073709551615,"));
    damaged(with("{\"__metadata__\"", "[\"__metadata__\""));
}

/// What reading the pack with a changed description says.
fn described(change: impl FnOnce(&mut serde_json::Value)) -> String {
    changed(|parts| {
        let mut meta = serde_json::from_str(parts.meta.as_ref().unwrap()).unwrap();
        change(&mut meta);
        parts.meta = Some(meta.to_string());
    })
}

#[test]
fn a_safetensors_file_without_a_description_is_no_pack() {
    assert_eq!(
        changed(|parts| parts.meta = None),
        "a safetensors file, but no pack; make one of it with `threshold model import <file>`"
    );
}

#[test]
fn a_description_that_cannot_be_read_is_refused() {
    for text in ["", "{", "null", "[]", "7", &"[".repeat(100_000)] {
        let text = changed(|parts| parts.meta = Some(text.to_owned()));
        assert!(text.starts_with("the pack's description cannot be read: "), "{text}");
        assert!(text.ends_with(AGAIN), "{text}");
    }
    let text = described(|meta| meta["evil"] = 1.into());
    assert!(text.contains("unknown field `evil`"), "{text}");
    let text = described(|meta| meta["network"] = "resnet-9000".into());
    assert!(text.contains("unknown variant `resnet-9000`"), "{text}");
    let text = described(|meta| meta["golden"][0]["size"] = serde_json::json!([1, 2, 3]));
    assert!(text.starts_with("the pack's description cannot be read: "), "{text}");
}

#[test]
fn a_description_that_contradicts_itself_is_refused() {
    let check = |change: &dyn Fn(&mut serde_json::Value), what: &str| {
        let expected = format!("the pack's description is wrong: {what}; {AGAIN}");
        assert_eq!(described(change), expected);
    };
    check(&|meta| meta["format"] = 2.into(), "its format is 2, this build reads 1");
    let name = "its name is not 1 to 64 of a-z, 0-9, '-' and '.'";
    let long = "x".repeat(65);
    for bad in ["", ".hidden", "../evil", "a/b", "Mtcnn", "a b", "a\u{202e}b", "a\0", long.as_str()]
    {
        check(&|meta| meta["name"] = bad.into(), name);
    }
    for field in ["version", "licence"] {
        check(&|meta| meta[field] = "x".repeat(20_000).into(), "a text is longer than 16384 bytes");
    }
    check(
        &|meta| meta["source"]["title"] = "x".repeat(20_000).into(),
        "a text is longer than 16384 bytes",
    );
    let range = "its preprocessing is out of range";
    for scale in [0.0, -1.0, 1.5, 1e30] {
        check(&|meta| meta["preprocessing"]["scale"] = scale.into(), range);
    }
    for mean in [-1.0, 256.0] {
        check(&|meta| meta["preprocessing"]["mean"][1] = mean.into(), range);
    }
    check(&|meta| meta["network"] = "dlib-resnet29".into(), "dlib-resnet29 needs crop and metric");
    let embedder = serde_json::to_value(description(Network::DlibResnet29).embedder).unwrap();
    check(&|meta| meta["embedder"] = embedder.clone(), "mtcnn makes no embeddings");
    check(&|meta| meta["golden"][0]["stage"] = 3.into(), "a golden vector is for stage 3");
    check(
        &|meta| meta["golden"][0]["size"] = serde_json::json!([4000, 4000]),
        "a golden vector is for an input of [4000, 4000]",
    );
    check(
        &|meta| meta["golden"][1]["size"] = serde_json::json!([24, 25]),
        "a golden vector is for an input of [24, 25]",
    );
    let length = "a golden vector has another length than the network's output";
    check(&|meta| meta["golden"][2]["outputs"][0] = serde_json::json!([1.0]), length);
    check(&|meta| meta["golden"][2]["outputs"] = serde_json::json!([]), length);
}

#[test]
fn an_embedders_description_is_held_against_its_network() {
    let tensors = drawn(Network::DlibResnet29);
    let check = |change: &dyn Fn(&mut PackMeta), what: &str| {
        let mut meta = description(Network::DlibResnet29);
        change(&mut meta);
        let expected = format!("the pack's description is wrong: {what}; {AGAIN}");
        assert_eq!(fault(Pack::new(meta, &tensors)), expected);
    };
    let threshold = "its threshold is not a distance between 0 and 4";
    for distance in [0.0, -1.0, 4.5, f32::NAN, f32::INFINITY] {
        check(&|meta| meta.embedder.as_mut().unwrap().threshold_distance = distance, threshold);
    }
    check(
        &|meta| meta.embedder.as_mut().unwrap().embedding_len = 512,
        "its embeddings have 512 values, the network gives 128",
    );
    let facenet = description(Network::InceptionResnetV1).embedder.unwrap();
    check(
        &|meta| meta.embedder.as_mut().unwrap().crop = facenet.crop,
        "its crop is 160 px, the network takes 150 px",
    );
    check(
        &|meta| meta.preprocessing = Preprocessing { mean: [f32::NAN; 3], scale: 0.5 },
        "its preprocessing is out of range",
    );
}

#[test]
fn a_pack_of_tensors_that_are_not_its_networks_is_not_made() {
    let meta = || description(Network::Mtcnn);
    check_fault(Pack::new(meta(), &Tensors::new()), "expected [10, 3, 3, 3], found none");
    let mut tensors = drawn(Network::Mtcnn);
    tensors.get_mut("pnet.conv1.bias").unwrap().data.pop();
    check_fault(Pack::new(meta(), &tensors), "tensor pnet.conv1.bias: expected [10]");
    let mut tensors = detector().tensors();
    tensors.get_mut("pnet.conv1.bias").unwrap().data[0] = f32::NAN;
    check_fault(
        Pack::new(meta(), &tensors),
        "tensor pnet.conv1.bias holds a value that is not finite",
    );
    check_fault(
        detector().embedder(),
        "mtcnn is a pack of mtcnn, expected an embedder; name another pack",
    );
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.pack");
    assert_eq!(
        fault(Pack::read(&path)),
        format!(
            "{}: No such file or directory (os error 2); check the path and its permissions",
            path.display()
        )
    );
    std::fs::write(&path, b"hello there").unwrap();
    let text = fault(Pack::read(&path));
    assert!(text.starts_with(&format!("{}: not a pack, or damaged: ", path.display())), "{text}");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(
        fault(Pack::read(&path)),
        format!("{}: 1099511627776 bytes, a pack has at most 536870912; {AGAIN}", path.display())
    );
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    check_fault(detector().write(&file.join("a.pack")), "; check the path and its permissions");
}
