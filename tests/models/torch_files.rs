//! Torch files by hand: pickles opcode by opcode, the legacy container, the zip container.
//!
//! Laid out as torch 1.13 writes them (`fixtures/` has files that it wrote, `torch.rs` reads both), so that a test can
//! change one thing of them.

use crate::zip_files::{Entry, zip};

/// A pickle of protocol 2 that grows opcode by opcode.
#[derive(Clone, Debug)]
pub(crate) struct Pickle(pub(crate) Vec<u8>);

impl Pickle {
    pub(crate) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub(crate) fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }

    pub(crate) fn class(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    /// An integer as torch's pickler writes one: the shortest opcode.
    pub(crate) fn int(self, value: i64) -> Self {
        if let Ok(byte) = u8::try_from(value) {
            return self.op(&[b'K', byte]);
        }
        if let Ok(short) = u16::try_from(value) {
            return self.op(b"M").op(&short.to_le_bytes());
        }
        match i32::try_from(value) {
            Ok(int) => self.op(b"J").op(&int.to_le_bytes()),
            Err(_) => self.op(&[0x8a, 8]).op(&value.to_le_bytes()),
        }
    }

    /// A tuple of integers behind a mark.
    pub(crate) fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.op(b"("), |pickle, &value| pickle.int(value)).op(b"t")
    }

    pub(crate) fn ordered_dict(self) -> Self {
        self.class("collections", "OrderedDict").op(b")R")
    }

    pub(crate) fn storage(self, storage: &Storage, legacy: bool) -> Self {
        let pickle = self.op(b"(").text("storage").class("torch", storage.class);
        let pickle = pickle.text(&storage.key).text("cpu").int(storage.len);
        if legacy { pickle.op(b"NtQ") } else { pickle.op(b"tQ") }
    }

    pub(crate) fn tensor(self, view: &View, legacy: bool) -> Self {
        let pickle = self.class("torch._utils", "_rebuild_tensor_v2").op(b"(");
        let pickle = pickle.storage(&view.storage, legacy).int(view.offset);
        let pickle = pickle.ints(&view.shape).ints(&view.strides).op(&[0x89]);
        pickle.ordered_dict().op(b"tR")
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.op(b".").0
    }
}

/// What a tensor says of its storage.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) key: String,
    pub(crate) class: &'static str,
    pub(crate) len: i64,
}

/// A tensor of a table.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) storage: Storage,
    pub(crate) offset: i64,
    pub(crate) shape: Vec<i64>,
    pub(crate) strides: Vec<i64>,
}

impl View {
    /// A tensor of f32 that fills a storage of its own, row-major.
    pub(crate) fn new(name: &str, key: &str, shape: &[usize]) -> Self {
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let mut strides: Vec<i64> = vec![1; shape.len()];
        for i in (1..shape.len()).rev() {
            strides[i - 1] = strides[i] * shape[i];
        }
        let len = shape.iter().product();
        let storage = Storage { key: key.to_owned(), class: "FloatStorage", len };
        Self { name: name.to_owned(), storage, offset: 0, shape, strides }
    }
}

/// A table of tensors and the bytes of its storages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) views: Vec<View>,
    pub(crate) storages: Vec<(String, Vec<u8>)>,
}

/// Little-endian f32.
pub(crate) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

impl Table {
    /// Adds a tensor of f32.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let key = self.storages.len().to_string();
        self.views.push(View::new(name, &key, shape));
        self.storages.push((key, f32_bytes(values)));
    }

    /// Two small tensors.
    pub(crate) fn small() -> Self {
        let mut table = Self::default();
        table.add("a", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        table.add("b", &[2], &[-1.0, 0.5]);
        table
    }

    /// The pickle of the table alone.
    pub(crate) fn pickle(&self, legacy: bool) -> Vec<u8> {
        let pickle = Pickle::new().ordered_dict().op(b"(");
        let add = |pickle: Pickle, view: &View| pickle.text(&view.name).tensor(view, legacy);
        let pickle = self.views.iter().fold(pickle, add).op(b"u");
        // torch hangs the modules' versions on the table.
        let pickle = pickle.op(b"}").text("_metadata").ordered_dict().op(b"sb");
        pickle.end()
    }

    /// The legacy file.
    pub(crate) fn legacy(&self) -> Vec<u8> {
        let mut file = legacy_head();
        file.extend(self.pickle(true));
        let keys = self.storages.iter().fold(Pickle::new().op(b"]("), |p, (key, _)| p.text(key));
        file.extend(keys.op(b"e").end());
        for (_, bytes) in &self.storages {
            file.extend((bytes.len() as u64 / 4).to_le_bytes());
            file.extend(bytes);
        }
        file
    }

    /// The entries of the zip file, as torch 2 writes them.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut entries = vec![
            Entry::new("archive/data.pkl", &self.pickle(false)),
            Entry::new("archive/.format_version", b"1"),
            Entry::new("archive/.storage_alignment", b"64"),
            Entry::new("archive/byteorder", b"little"),
        ];
        for (key, bytes) in &self.storages {
            entries.push(Entry::new(&format!("archive/data/{key}"), bytes));
        }
        entries.push(Entry::new("archive/version", b"3\n"));
        entries
    }

    /// The zip file.
    pub(crate) fn zip(&self) -> Vec<u8> {
        zip(&self.entries())
    }
}

/// The first three pickles of a legacy file: magic number, version, facts about the machine.
pub(crate) fn legacy_head() -> Vec<u8> {
    let magic = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let mut file = Pickle::new().op(magic).end();
    file.extend(Pickle::new().int(1001).end());
    let machine = Pickle::new().op(b"}(").text("protocol_version").int(1001);
    let machine = machine.text("little_endian").op(&[0x88]).text("type_sizes").op(b"}(");
    let machine = machine.text("short").int(2).text("int").int(4).text("long").int(4);
    file.extend(machine.op(b"uu").end());
    file
}

/// A zip file whose `data.pkl` is this pickle, with no storages.
pub(crate) fn zip_of(pickle: &[u8]) -> Vec<u8> {
    zip(&[Entry::new("archive/data.pkl", pickle), Entry::new("archive/version", b"3\n")])
}

/// A legacy file whose table is this pickle, with no storages.
pub(crate) fn legacy_of(pickle: &[u8]) -> Vec<u8> {
    [&legacy_head()[..], pickle, &Pickle::new().op(b"]").end()].concat()
}
