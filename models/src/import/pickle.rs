//! A reader of the pickles that torch writes for a table of weights, and of nothing else.
//!
//! Owns the thirty opcodes of protocol 2 that such a pickle holds and the few classes that it names. Refuses to run
//! anything: a class is a name in a list, a "call" of it is a value of this reader, and any other class, call or opcode
//! is an error that names it.
//! Every value lives in one list and refers to others by place, so a pickle cannot nest its reader into a stack
//! overflow, and memory stays within a small multiple of the bytes read.

use super::error::ImportError;
use std::collections::HashMap;

/// The longest pickle read; FaceNet's table takes 90 KB.
pub(super) const PICKLE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most values read, each of some 90 bytes; FaceNet's table has fewer than 20,000.
const VALUES_MAX: usize = 256 * 1024;

/// A value's place in [`Pickle::values`].
pub(super) type Place = usize;

/// Element types of a storage that a table of weights may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
}

impl Element {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

/// The classes that are known, as names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    OrderedDict,
    RebuildTensor,
    Storage(Element),
}

/// A piece of memory that a tensor looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) element: Element,
    /// Elements.
    pub(super) len: usize,
}

/// A view of a storage: element (i, j, ..) stands at `offset + i * strides[0] + ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorView<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// A value of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than eight bytes, little endian: only torch's magic number is one.
    Wide(&'a [u8]),
    Text(&'a str),
    Tuple(Vec<Place>),
    List(Vec<Place>),
    Dict(Vec<(Place, Place)>),
    Class(Class),
    Storage(Storage<'a>),
    Tensor(TensorView<'a>),
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Place,
    /// Bytes that it took.
    pub(super) len: usize,
}

impl<'a> Pickle<'a> {
    /// Reads one pickle from the start of `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ImportError> {
        let bytes = &bytes[..bytes.len().min(PICKLE_BYTES_MAX)];
        let mut reader = Reader {
            bytes,
            at: 0,
            values: vec![],
            stack: vec![],
            marks: vec![],
            memo: HashMap::new(),
        };
        let root = reader.run()?;
        Ok(Self { values: reader.values, root, len: reader.at })
    }

    /// The value that the pickle is of.
    pub(super) fn root(&self) -> &Value<'a> {
        &self.values[self.root]
    }

    /// The value at a place that another value named.
    pub(super) fn value(&self, place: Place) -> &Value<'a> {
        &self.values[place]
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Place>,
    marks: Vec<usize>,
    memo: HashMap<u32, Place>,
}

impl<'a> Reader<'a> {
    fn run(&mut self) -> Result<Place, ImportError> {
        loop {
            if self.values.len() > VALUES_MAX {
                return Err(self.fault("more values than any table of weights has".to_owned()));
            }
            let opcode = self.take(1)?[0];
            match opcode {
                0x80 => {
                    let version = self.take(1)?[0];
                    if version != 2 {
                        return Err(self.fault(format!("protocol {version}, torch writes 2")));
                    }
                }
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.push(Value::None),
                0x88 => self.push(Value::Bool(true)),
                0x89 => self.push(Value::Bool(false)),
                b'J' | b'K' | b'M' | 0x8a => {
                    let value = self.integer(opcode)?;
                    self.push(value);
                }
                b'X' => {
                    let len = self.u32()? as usize;
                    let text = self.take(len)?;
                    let text = str::from_utf8(text);
                    let text = text.map_err(|_| self.fault("text that is not UTF-8".to_owned()))?;
                    self.push(Value::Text(text));
                }
                b')' => self.push(Value::Tuple(vec![])),
                0x85..=0x87 => {
                    let first = self.depth(usize::from(opcode - 0x84))?;
                    let items = self.stack.split_off(first);
                    self.push(Value::Tuple(items));
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items));
                }
                b']' => self.push(Value::List(vec![])),
                b'}' => self.push(Value::Dict(vec![])),
                b'a' | b'e' => {
                    let items = if opcode == b'a' { vec![self.pop()?] } else { self.since_mark()? };
                    match self.top()? {
                        Value::List(list) => list.extend(items),
                        _ => return Err(self.fault("appends to what is no list".to_owned())),
                    }
                }
                b's' | b'u' => {
                    let items = if opcode == b's' {
                        let first = self.depth(2)?;
                        self.stack.split_off(first)
                    } else {
                        self.since_mark()?
                    };
                    let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
                    match self.top()? {
                        Value::Dict(dict) if items.len() % 2 == 0 => dict.extend(pairs),
                        _ => return Err(self.fault("sets items of what is no dict".to_owned())),
                    }
                }
                b'q' | b'r' => {
                    let key = self.memo_key(opcode == b'r')?;
                    let top = self.stack.last().copied();
                    let top = top.ok_or_else(|| self.fault("the stack is empty".to_owned()))?;
                    self.memo.insert(key, top);
                }
                b'h' | b'j' => {
                    let key = self.memo_key(opcode == b'j')?;
                    let place = self.memo.get(&key).copied();
                    let place =
                        place.ok_or_else(|| self.fault(format!("nothing was kept as {key}")))?;
                    self.stack.push(place);
                }
                b'c' => {
                    let class = self.class()?;
                    self.push(Value::Class(class));
                }
                b'Q' => {
                    let place = self.pop()?;
                    let storage = self.storage(place)?;
                    self.push(Value::Storage(storage));
                }
                b'R' => {
                    let (arguments, callee) = (self.pop()?, self.pop()?);
                    let value = self.call(callee, arguments)?;
                    self.push(value);
                }
                b'b' => {
                    // torch hangs the modules' versions on the table as an attribute; they say nothing about weights.
                    self.pop()?;
                    if !matches!(self.top()?, Value::Dict(_)) {
                        return Err(self.fault("sets the state of what is no dict".to_owned()));
                    }
                }
                other => {
                    return Err(
                        self.fault(format!("opcode 0x{other:02x} is in no table of weights"))
                    );
                }
            }
        }
    }

    fn fault(&self, fault: String) -> ImportError {
        ImportError::Pickle { offset: self.at, fault }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ImportError> {
        let rest = &self.bytes[self.at..];
        let part = rest.get(..len).ok_or_else(|| {
            self.fault(format!("{len} bytes are wanted, {} are left", rest.len()))
        })?;
        self.at += len;
        Ok(part)
    }

    fn u32(&mut self) -> Result<u32, ImportError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn memo_key(&mut self, wide: bool) -> Result<u32, ImportError> {
        if wide { self.u32() } else { Ok(u32::from(self.take(1)?[0])) }
    }

    fn integer(&mut self, opcode: u8) -> Result<Value<'a>, ImportError> {
        let len = match opcode {
            b'J' => 4,
            b'K' => 1,
            b'M' => 2,
            _ => usize::from(self.take(1)?[0]),
        };
        let bytes = self.take(len)?;
        if len > 8 {
            return Ok(Value::Wide(bytes));
        }
        let signed = !matches!(opcode, b'K' | b'M');
        let fill =
            if signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        wide[..len].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(wide)))
    }

    fn line(&mut self) -> Result<&'a str, ImportError> {
        let rest = &self.bytes[self.at..];
        // No module or class of ours has a name of more than 64 bytes; a hostile one is not echoed at any length.
        let end = rest.iter().take(256).position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| self.fault("a class's name does not end".to_owned()))?;
        let line = self.take(end + 1)?;
        str::from_utf8(&line[..end])
            .map_err(|_| self.fault("a class's name is not text".to_owned()))
    }

    fn class(&mut self) -> Result<Class, ImportError> {
        let (module, name) = (self.line()?, self.line()?);
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Class::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Class::RebuildTensor,
            ("torch", "DoubleStorage") => Class::Storage(Element::F64),
            ("torch", "FloatStorage") => Class::Storage(Element::F32),
            ("torch", "HalfStorage") => Class::Storage(Element::F16),
            ("torch", "BFloat16Storage") => Class::Storage(Element::BF16),
            ("torch", "LongStorage") => Class::Storage(Element::I64),
            ("torch", "IntStorage") => Class::Storage(Element::I32),
            _ => {
                let class = format!("{}.{}", module.escape_default(), name.escape_default());
                return Err(ImportError::ForeignClass { class });
            }
        })
    }

    /// `('storage', class, key, device, elements)`, in the legacy format with a sixth item that says "no view".
    fn storage(&self, place: Place) -> Result<Storage<'a>, ImportError> {
        let wrong = || self.fault("a storage is not described as torch does".to_owned());
        let Value::Tuple(items) = &self.values[place] else { return Err(wrong()) };
        let items: Vec<&Value<'a>> = items.iter().map(|&item| &self.values[item]).collect();
        let [
            Value::Text("storage"),
            Value::Class(Class::Storage(element)),
            Value::Text(key),
            Value::Text(_),
            Value::Int(len),
            rest @ ..,
        ] = items.as_slice()
        else {
            return Err(wrong());
        };
        let len = usize::try_from(*len).map_err(|_| wrong())?;
        match rest {
            [] | [Value::None] => Ok(Storage { key, element: *element, len }),
            _ => Err(wrong()),
        }
    }

    fn call(&self, callee: Place, arguments: Place) -> Result<Value<'a>, ImportError> {
        let Value::Tuple(arguments) = &self.values[arguments] else {
            return Err(self.fault("a call without a tuple".to_owned()));
        };
        match &self.values[callee] {
            Value::Class(Class::OrderedDict) if arguments.is_empty() => Ok(Value::Dict(vec![])),
            Value::Class(Class::RebuildTensor) => self.tensor(arguments).map(Value::Tensor),
            _ => Err(self.fault("calls what is no class of a table of weights".to_owned())),
        }
    }

    /// `(storage, offset, shape, strides, requires_grad, hooks)`; the last two say nothing about weights.
    fn tensor(&self, arguments: &[Place]) -> Result<TensorView<'a>, ImportError> {
        let wrong = || self.fault("a tensor is not described as torch does".to_owned());
        let at = |i: usize| arguments.get(i).map(|&place| &self.values[place]);
        let (Some(Value::Storage(storage)), Some(Value::Int(offset))) = (at(0), at(1)) else {
            return Err(wrong());
        };
        let sizes = |value: Option<&Value<'a>>| -> Option<Vec<usize>> {
            let Some(Value::Tuple(items)) = value else { return None };
            let size = |&item: &Place| match self.values[item] {
                Value::Int(size) => usize::try_from(size).ok(),
                _ => None,
            };
            items.iter().map(size).collect()
        };
        let shape = sizes(at(2)).ok_or_else(wrong)?;
        let strides = sizes(at(3)).ok_or_else(wrong)?;
        if shape.len() != strides.len() || shape.len() > 8 || arguments.len() < 6 {
            return Err(wrong());
        }
        let offset = usize::try_from(*offset).map_err(|_| wrong())?;
        Ok(TensorView { storage: *storage, offset, shape, strides })
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// The stack's length less `count`, if it is that long above the last mark.
    fn depth(&self, count: usize) -> Result<usize, ImportError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let first = self.stack.len().checked_sub(count).filter(|&first| first >= floor);
        first.ok_or_else(|| self.fault("the stack is empty".to_owned()))
    }

    fn pop(&mut self) -> Result<Place, ImportError> {
        let last = self.depth(1)?;
        Ok(self.stack.remove(last))
    }

    fn top(&mut self) -> Result<&mut Value<'a>, ImportError> {
        let last = self.depth(1)?;
        Ok(&mut self.values[self.stack[last]])
    }

    fn since_mark(&mut self) -> Result<Vec<Place>, ImportError> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| self.fault("there is no mark".to_owned()))?;
        // `depth` keeps the stack at or above every mark, so the mark is a place in it.
        Ok(self.stack.split_off(mark))
    }
}
