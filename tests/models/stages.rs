//! The detector's three torch files, and the files and folders that `import::any` is given.

use crate::torch_files::{Table, View};
use crate::zip_files::{Entry, zip};
use crate::{check_fault, fault};
use std::path::Path;
use threshold_models::import::{any, from_bytes};
use threshold_models::net;
use threshold_tests::lots::Lots;

/// The stages' files with weights that mean nothing, under facenet-pytorch's names and shapes.
pub(crate) fn tables() -> [(&'static str, Table); 3] {
    let mut lots = Lots(51);
    [("pnet", net::pnet(12, 12)), ("rnet", net::rnet()), ("onet", net::onet())].map(
        |(stage, graph)| {
            let mut table = Table::default();
            for spec in graph.weights() {
                let (layer, kind) = spec.name.split_once('.').unwrap().1.rsplit_once('.').unwrap();
                let (name, shape) = match (kind, &spec.shape[..]) {
                    ("slope", shape) => {
                        let number = layer.trim_start_matches(char::is_alphabetic);
                        (format!("prelu{number}.weight"), shape.to_vec())
                    }
                    ("weight", &[o, h, w, i]) => (format!("{layer}.weight"), vec![o, i, h, w]),
                    (kind, shape) => (format!("{layer}.{kind}"), shape.to_vec()),
                };
                let values: Vec<f32> = (0..spec.len()).map(|_| lots.unit() - 0.5).collect();
                table.add(&name, &shape, &values);
            }
            (stage, table)
        },
    )
}

fn write(folder: &Path, tables: &[(&str, Table)]) {
    for (stage, table) in tables {
        std::fs::write(folder.join(format!("{stage}.pt")), table.legacy()).unwrap();
    }
}

/// What importing a folder of these tables says, less the folder's name.
fn in_folder(tables: &[(&str, Table)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), tables);
    let text = fault(any(folder.path()));
    text.strip_prefix(&format!("{}: ", folder.path().display())).unwrap().to_owned()
}

#[test]
fn other_weights_of_the_same_shapes_are_refused_and_named_so() {
    let tables = tables();
    let text = in_folder(&tables);
    let (digest, rest) = text.split_at(text.find("expected").unwrap());
    let digest = digest
        .strip_prefix("these are weights of mtcnn, but not the published ones (digest ")
        .unwrap();
    assert!(digest.len() == 18 && digest[..16].bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
    assert_eq!(
        rest,
        "expected 6e133aaeebea136a): no threshold was measured with them, so no door should open by them; \
         get the published file with `threshold model fetch`"
    );
    // By one of the files, in torch's other format, and in the wheel: the same weights, the same answer.
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tables);
    for stage in ["pnet", "rnet", "onet"] {
        let by_file = fault(any(&folder.path().join(format!("{stage}.pt"))));
        assert!(by_file.ends_with(&text), "{by_file}");
    }
    let mut entries = vec![Entry::new("facenet_pytorch/__init__.py", b"import os")];
    for (i, (stage, table)) in tables.iter().enumerate() {
        let file = if i == 0 { table.legacy() } else { table.zip() };
        entries.push(Entry::deflated(&format!("facenet_pytorch/data/{stage}.pt"), &file));
    }
    assert_eq!(fault(from_bytes(&zip(&entries))), text);
    let wheel = folder.path().join("facenet_pytorch.whl");
    std::fs::write(&wheel, zip(&entries)).unwrap();
    assert_eq!(fault(any(&wheel)), format!("{}: {text}", wheel.display()));
    // One weight more or less is another digest.
    let mut other = tables;
    other[2].1.storages[5].1[2] ^= 1;
    let other = in_folder(&other);
    assert!(other != text && other.contains("not the published ones"), "{other}");
}

#[test]
fn a_stage_alone_asks_for_its_companions() {
    let tables = tables();
    for (stage, table) in &tables {
        let expected = format!(
            "{stage}.pt and its two companions is not there; put pnet.pt, rnet.pt and onet.pt in one folder"
        );
        assert_eq!(fault(from_bytes(&table.legacy())), expected);
        assert_eq!(fault(from_bytes(&table.zip())), expected);
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tables[..2]);
    let missing = folder.path().join("onet.pt");
    let expected = format!(
        "{} is not there; put pnet.pt, rnet.pt and onet.pt in one folder",
        missing.display()
    );
    assert_eq!(fault(any(folder.path())), expected);
    assert_eq!(fault(any(&folder.path().join("pnet.pt"))), expected);
}

#[test]
fn a_tensor_that_is_missing_or_of_another_shape_is_named() {
    let sound = tables();
    let change = |change: &dyn Fn(&mut Table)| {
        let mut tables = sound.clone();
        change(&mut tables[1].1);
        in_folder(&tables)
    };
    assert_eq!(
        change(&|table| table.views[0].name = "conv9.weight".to_owned()),
        "tensor conv1.weight is missing, so these are no weights of R-Net; name another file"
    );
    assert_eq!(
        change(&|table| table.views[0] = View::new("conv1.weight", "0", &[28, 3, 9])),
        "tensor conv1.weight: expected shape [28, 3, 3, 3], found [28, 3, 9]; name another file"
    );
    // Another stage's file under this one's name.
    let swapped =
        [("pnet", sound[0].1.clone()), ("rnet", sound[2].1.clone()), ("onet", sound[2].1.clone())];
    let text = in_folder(&swapped);
    assert!(
        text.contains("conv1.weight: expected shape [28, 3, 3, 3], found [32, 3, 3, 3]"),
        "{text}"
    );
}

#[test]
fn a_weight_that_is_no_number_is_refused() {
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut tables = tables();
        tables[0].1.storages[3].1[4..8].copy_from_slice(&value.to_le_bytes());
        let text = in_folder(&tables);
        let expected =
            format!("holds a value that is no weight ({shown}); get the published file again");
        assert!(text.starts_with("tensor pnet.conv2.") && text.ends_with(&expected), "{text}");
    }
}

#[test]
fn an_extra_tensor_is_not_looked_at() {
    let mut with_extra = tables();
    with_extra[0].1.add("evil", &[1], &[f32::NAN]);
    assert_eq!(in_folder(&with_extra), in_folder(&tables()));
}

#[test]
fn a_path_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.pt");
    assert_eq!(
        fault(any(&missing)),
        format!(
            "{}: No such file or directory (os error 2); check the path and its permissions",
            missing.display()
        )
    );
    let empty = folder.path().join("empty.dat");
    std::fs::write(&empty, b"").unwrap();
    check_fault(any(&empty), "empty.dat: of no kind that is read here; name {p,r,o}net.pt");
    // A sparse file: nothing of it is read.
    let huge = folder.path().join("huge.pt");
    std::fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(
        fault(any(&huge)),
        format!(
            "{}: 1099511627776 bytes, the weights files read here have at most 536870912; name another file",
            huge.display()
        )
    );
}
