//! FaceNet's weights under TensorFlow's names in a safetensors file: by hand, and the real one with one bit changed.

use crate::{check_fault, fault};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use threshold_models::import::from_bytes;
use threshold_tests::{NO_REFERENCES, shared, skipped};

/// Tensors by name: element type, shape, bytes.
type Held = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn file(held: &Held) -> Vec<u8> {
    let views = held.iter().map(|(name, (dtype, shape, bytes))| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// The first layer alone, which is read first.
fn first_layer() -> Held {
    let tensor = |shape: &[usize], value: f32| {
        let len: usize = shape.iter().product();
        (Dtype::F32, shape.to_vec(), value.to_le_bytes().repeat(len))
    };
    Held::from([
        ("Conv2d_1a_3x3_kernel".to_owned(), tensor(&[3, 3, 3, 32], 0.5)),
        ("Conv2d_1a_3x3_BatchNorm_beta".to_owned(), tensor(&[32], 0.0)),
        ("Conv2d_1a_3x3_BatchNorm_moving_mean".to_owned(), tensor(&[32], 0.0)),
        ("Conv2d_1a_3x3_BatchNorm_moving_variance".to_owned(), tensor(&[32], 1.0)),
    ])
}

fn without(name: &str) -> Held {
    let mut held = first_layer();
    held.remove(name).unwrap();
    held
}

#[test]
fn a_tensor_that_is_missing_is_named() {
    for name in first_layer().keys() {
        let expected = format!(
            "tensor {name} is missing, so these are no weights of Inception-ResNet-v1; name another file"
        );
        assert_eq!(fault(from_bytes(&file(&without(name)))), expected);
    }
    // With the first layer whole, the second's is asked for.
    check_fault(from_bytes(&file(&first_layer())), "tensor Conv2d_2a_3x3_kernel is missing");
    check_fault(
        from_bytes(&file(&Held::from([("a".to_owned(), (Dtype::U8, vec![1], vec![0]))]))),
        "is missing",
    );
}

#[test]
fn a_tensor_of_another_shape_or_type_is_named() {
    let with = |dtype: Dtype, shape: &[usize], bytes: usize| {
        let mut held = first_layer();
        let kernel = (dtype, shape.to_vec(), vec![0; bytes]);
        held.insert("Conv2d_1a_3x3_kernel".to_owned(), kernel);
        fault(from_bytes(&file(&held)))
    };
    assert_eq!(
        with(Dtype::F32, &[32, 3, 3, 3], 3456),
        "tensor Conv2d_1a_3x3_kernel: expected shape [3, 3, 3, 32], found [32, 3, 3, 3]; name another file"
    );
    assert_eq!(
        with(Dtype::F32, &[0, 3, 3, 32], 0),
        "tensor Conv2d_1a_3x3_kernel: expected shape [3, 3, 3, 32], found [0, 3, 3, 32]; name another file"
    );
    for (dtype, name, bytes) in
        [(Dtype::F16, "F16", 2), (Dtype::I32, "I32", 4), (Dtype::F64, "F64", 8)]
    {
        assert_eq!(
            with(dtype, &[3, 3, 3, 32], 864 * bytes),
            format!("tensor Conv2d_1a_3x3_kernel is {name}, expected F32; name another file")
        );
    }
}

#[test]
fn a_variance_or_weight_that_is_none_is_refused() {
    let with = |name: &str, value: f32| {
        let mut held = first_layer();
        let bytes = &mut held.get_mut(&format!("Conv2d_1a_3x3_{name}")).unwrap().2;
        bytes[20..24].copy_from_slice(&value.to_le_bytes());
        fault(from_bytes(&file(&held)))
    };
    let remedy = "; get the published file again";
    for (value, shown) in
        [(-1.0, "-1"), (-0.002, "-0.002"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")]
    {
        assert_eq!(
            with("BatchNorm_moving_variance", value),
            format!("tensor conv2d_1a holds a value that is no weight ({shown}){remedy}")
        );
    }
    for (name, tensor) in
        [("kernel", "weight"), ("BatchNorm_beta", "bias"), ("BatchNorm_moving_mean", "bias")]
    {
        assert_eq!(
            with(name, f32::NAN),
            format!("tensor conv2d_1a.{tensor} holds a value that is no weight (NaN){remedy}")
        );
    }
}

#[test]
fn a_header_that_lies_is_an_error_about_the_file() {
    let with = |len: u64, header: &str| [&len.to_le_bytes()[..], header.as_bytes()].concat();
    let of = |header: &str| with(header.len() as u64, header);
    for bytes in [
        with(u64::MAX, "{}"),
        with(1 << 40, "{}"),
        with(99_999_999, "{}"),
        with(0, "{}"),
        with(3, "{}"),
        of("{"),
        of("{}}"),
        of(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#),
        of(r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,0]}}"#),
        of(r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#),
        of(r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[18446744073709551615,0]}}"#),
        of(r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[8,0]}}"#),
        of(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}"#),
        of(r#"{"a":{"dtype":"F33","shape":[0],"data_offsets":[0,0]}}"#),
        of(r#"{"a":7}"#),
        of(&format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000))),
    ] {
        let text = fault(from_bytes(&bytes));
        let part = ["not a pack, or damaged: ", "the pack's description cannot be read"];
        assert!(part.iter().any(|part| text.starts_with(part)), "{text}");
    }
    check_fault(from_bytes(&of("{}")), "is missing, so these are no weights");
}

#[test]
fn the_published_file_with_one_bit_changed_is_refused() {
    let Some(shared) = shared() else {
        return skipped("a changed bit of FaceNet's published file", NO_REFERENCES);
    };
    let path = shared.join("models/facenet-20180402-vggface2.safetensors");
    let Ok(mut bytes) = std::fs::read(path) else {
        return skipped(
            "a changed bit of FaceNet's published file",
            "it is not in the shared folder",
        );
    };
    // The lowest bit of one weight in the middle.
    let middle = bytes.len() / 8 * 4;
    bytes[middle] ^= 1;
    let text = fault(from_bytes(&bytes));
    assert!(
        text.starts_with("these are weights of inception-resnet-v1, but not the published ones"),
        "{text}"
    );
    for cut in [0, 7, 8, 100, 1 << 20, bytes.len() - 1] {
        fault(from_bytes(&bytes[..cut]));
    }
}
