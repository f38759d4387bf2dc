//! Pickles that mean harm: nothing of one is ever run, whatever it names, and nothing that it asks for is given.

use crate::torch_files::{Pickle, Storage, View, legacy_of, zip_of};
use crate::{check_fault, fault};
use threshold_models::import::{StateDict, any, from_bytes};

/// The text of the error that a table gives in either container.
#[track_caller]
fn refused(pickle: &[u8]) -> String {
    let [zip, legacy] = [zip_of(pickle), legacy_of(pickle)].map(|file| {
        fault(from_bytes(&file));
        fault(StateDict::read(&file))
    });
    // The legacy file's pickle stands further back, which the offset shows.
    let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    assert_eq!(digits(&zip), digits(&legacy));
    zip
}

#[test]
fn a_pickle_that_names_a_class_is_refused_and_nothing_is_run() {
    // A file that the command would make shows that nothing was run.
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("ran");
    let command = format!("touch {}", mark.display());
    let foreign = [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("__builtin__", "eval"),
        ("subprocess", "Popen"),
        ("runpy", "_run_code"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch.serialization", "_get_restore_location"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch", "FloatStorage "),
        ("torch ", "FloatStorage"),
        ("torch.nn", "Module"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("collections", "OrderedDict.__init__"),
        ("collections.abc", "OrderedDict"),
        ("", ""),
        ("copyreg", "_reconstructor"),
    ];
    for (module, name) in foreign {
        // As an argument of a call, alone, and in the table.
        let call = Pickle::new().class(module, name).text(&command).op(&[0x85]).op(b"R").end();
        let bare = Pickle::new().class(module, name).end();
        let inside = Pickle::new().op(b"}").text("a").class(module, name).op(b"s").end();
        for pickle in [call, bare, inside] {
            let expected = format!(
                "the pickle names {module}.{name}, which no table of weights needs; nothing of it was run; do not trust \
                 this file, get the published one"
            );
            assert_eq!(refused(&pickle), expected);
        }
    }
    let path = folder.path().join("evil.pt");
    let call = Pickle::new().class("os", "system").text(&command).op(&[0x85]).op(b"R").end();
    for file in [zip_of(&call), legacy_of(&call)] {
        std::fs::write(&path, file).unwrap();
        let text = fault(any(&path));
        assert!(
            text.starts_with(&format!("{}: the pickle names os.system", path.display())),
            "{text}"
        );
    }
    assert!(!mark.exists(), "the command was run");
}

#[test]
fn every_way_to_call_or_import_something_is_refused() {
    let evil = |pickle: Pickle| pickle.class("collections", "OrderedDict");
    let cases: [(&str, Vec<u8>); 15] = [
        ("INST", Pickle::new().op(b"(").text("x").op(b"ios\nsystem\n").end()),
        ("OBJ", evil(Pickle::new().op(b"(")).text("x").op(b"o").end()),
        ("NEWOBJ", evil(Pickle::new()).op(b")\x81").end()),
        ("NEWOBJ_EX", evil(Pickle::new()).op(b")}\x92").end()),
        ("STACK_GLOBAL", Pickle::new().text("os").text("system").op(b"\x93").end()),
        ("EXT1", Pickle::new().op(b"\x82\x01").end()),
        ("EXT2", Pickle::new().op(b"\x83\x01\x00").end()),
        ("EXT4", Pickle::new().op(b"\x84\x01\x00\x00\x00").end()),
        ("PERSID", Pickle::new().op(b"Pos.system\n").end()),
        ("STRING", Pickle::new().op(b"S'x'\n").end()),
        ("INT", Pickle::new().op(b"I1\n").end()),
        ("BINBYTES8", Pickle::new().op(b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f").end()),
        ("LONG4", Pickle::new().op(b"\x8b\xff\xff\xff\x7f").end()),
        ("FRAME", Pickle::new().op(b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f").end()),
        ("BYTEARRAY8", Pickle::new().op(b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f").end()),
    ];
    for (name, pickle) in cases {
        let text = refused(&pickle);
        assert!(
            text.contains("is in no table of weights; get the published file again"),
            "{name}: {text}"
        );
    }
    for protocol in [0, 1, 3, 4, 5, 255] {
        let text = refused(&[0x80, protocol, b'}', b'.']);
        assert!(text.contains(&format!("protocol {protocol}, torch writes 2")), "{text}");
    }
}

#[test]
fn only_the_two_known_calls_are_understood() {
    let calls = "calls what is no class of a table of weights";
    let check = |pickle: Pickle, part: &str| {
        let text = refused(&pickle.end());
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    };
    check(Pickle::new().text("os.system").text("id").op(b"\x85R"), calls);
    check(Pickle::new().op(b"}").op(b")R"), calls);
    check(Pickle::new().class("torch", "FloatStorage").op(b")R"), calls);
    check(Pickle::new().class("collections", "OrderedDict").int(1).op(b"\x85R"), calls);
    check(Pickle::new().class("collections", "OrderedDict").op(b"NR"), "a call without a tuple");
    let tensor = "a tensor is not described as torch does";
    let rebuild = || Pickle::new().class("torch._utils", "_rebuild_tensor_v2");
    check(rebuild().op(b")R"), tensor);
    check(rebuild().text("storage").int(0).op(b"))").op(&[0x89]).op(b"Nt"), "there is no mark");
    check(rebuild().op(b"(").text("storage").int(0).op(b"))").op(&[0x89]).op(b"NtR"), tensor);
    let storage = Storage { key: "0".to_owned(), class: "FloatStorage", len: 1 };
    // A shape of texts, and too few arguments.
    let shape = rebuild().op(b"(").storage(&storage, false).int(0).text("x").op(b"\x85)");
    check(shape.op(&[0x89]).op(b"NtR"), tensor);
    check(rebuild().op(b"(").storage(&storage, false).int(0).op(b"))tR"), tensor);
    let storages = "a storage is not described as torch does";
    check(Pickle::new().text("os.system").op(b"Q"), storages);
    check(Pickle::new().op(b"(").text("module").class("torch", "FloatStorage").op(b"tQ"), storages);
    let extra = Pickle::new().op(b"(").text("storage").class("torch", "FloatStorage");
    check(extra.text("0").text("cpu").int(1).text("view").op(b"tQ"), storages);
}

#[test]
fn a_machine_that_is_broken_says_where() {
    let check = |ops: &[u8], part: &str| {
        let text = refused(&Pickle::new().op(ops).end());
        assert!(
            text.starts_with("pickle at byte ") && text.contains(part),
            "{text:?} lacks {part:?}"
        );
    };
    let empty = "the stack is empty";
    for ops in [
        &b""[..],
        b"\x85",
        b"N\x86",
        b"NN\x87",
        b"a",
        b"Na",
        b"s",
        b"Ns",
        b"}Ns",
        b"b",
        b"R",
        b"NR",
        b"Q",
        b"q\0",
    ] {
        check(ops, empty);
    }
    for ops in [&b"t"[..], b"e", b"u", b"]Ne"] {
        check(ops, "there is no mark");
    }
    // What lies below a mark is out of reach.
    check(b"NN(\x86", empty);
    check(b"](N(ae", empty);
    check(b"NNa", "appends to what is no list");
    check(b"N(Ne", "appends to what is no list");
    check(b"NNNs", "sets items of what is no dict");
    check(b"}(NNNu", "sets items of what is no dict");
    check(b"NNb", "sets the state of what is no dict");
    check(b"h\x05", "nothing was kept as 5");
    check(b"j\xff\xff\xff\xff", "nothing was kept as 4294967295");
    check(b"X\x02\0\0\0\xff\xfe", "text that is not UTF-8");
    check(b"c\xff\xfe\nx\n", "a class's name is not text");
    check(&[b"c", &[b'x'; 3000][..]].concat(), "a class's name does not end");
    // Lengths past the end: nothing is set aside for them.
    check(b"X\xff\xff\xff\xff", "4294967295 bytes are wanted, 1 are left");
    check(b"\x8a\xff", "255 bytes are wanted, 1 are left");
}

#[test]
fn a_class_with_a_name_to_mislead_is_shown_escaped() {
    let text = refused(&Pickle::new().class("os\u{1b}[2J\u{202e}", "system\r").end());
    assert!(text.contains(r"os\u{1b}[2J\u{202e}.system\r"), "{text}");
    let text = refused(&Pickle::new().class(&"x".repeat(200), &"y".repeat(200)).end());
    assert!(text.len() < 600, "{} bytes", text.len());
}

#[test]
fn deep_nesting_overflows_no_stack() {
    // A hundred thousand tuples in tuples, lists in lists, dicts in dicts, marks upon marks; and a tuple that holds itself.
    let deep: [Vec<u8>; 5] = [
        [&b"N"[..], &[0x85].repeat(100_000)].concat(),
        [b"]".repeat(100_001), b"a".repeat(100_000)].concat(),
        [b"}N".repeat(50_000), b"}".to_vec(), b"s".repeat(50_000)].concat(),
        [b"(".repeat(100_000), b"t".repeat(100_000)].concat(),
        b"]q\0h\0a".to_vec(),
    ];
    for ops in deep {
        let text = refused(&Pickle::new().op(&ops).end());
        assert!(
            text.contains("holds no table of tensors") || text.contains("tensor's name"),
            "{text}"
        );
    }
}

#[test]
fn a_list_that_doubles_itself_stays_as_small_as_its_bytes() {
    // In a reader that copies, 60 doublings of one list are a quintillion values; here a value refers to others.
    let mut pickle = Pickle::new().op(b"]q\0");
    for i in 0..60 {
        pickle = pickle.op(&[b']', b'(', b'h', i, b'h', i, b'e', b'q', i + 1]);
    }
    let text = refused(&pickle.end());
    assert!(text.contains("holds no table of tensors"), "{text}");
    let mut pickle = Pickle::new().op(b"Nq\0");
    for i in 0..60 {
        pickle = pickle.op(&[b'h', i, b'h', i, 0x86, b'q', i + 1]);
    }
    assert!(refused(&pickle.end()).contains("holds no table of tensors"));
}

#[test]
fn a_pickle_of_more_values_than_any_table_has_is_refused() {
    let ops = b"N".repeat(3_000_000);
    let text = refused(&Pickle::new().op(&ops).end());
    assert!(text.contains("more values than any table of weights"), "{text}");
}

#[test]
fn names_and_keys_longer_than_any_are_refused() {
    let long = "k".repeat(1000);
    let view = View::new("a", &long, &[1]);
    let pickle = Pickle::new().op(b"}").text("a").tensor(&view, false).op(b"s").end();
    check_fault(StateDict::read(&zip_of(&pickle)), "storage kkk");
    let view = View::new("a", "0", &[1]);
    let pickle = Pickle::new().op(b"}").text(&long).tensor(&view, false).op(b"s").end();
    check_fault(StateDict::read(&zip_of(&pickle)), "tensor kkk");
}

#[test]
fn one_name_twice_is_one_tensor() {
    let view = View::new("a", "0", &[1]);
    let twice = Pickle::new().op(b"}(").text("a").tensor(&view, false).text("a");
    let pickle = twice.tensor(&View::new("a", "1", &[2]), false).op(b"u").end();
    let file = zip_of(&pickle);
    let table = StateDict::read(&file).unwrap();
    assert_eq!(table.names().collect::<Vec<_>>(), ["a"]);
}
