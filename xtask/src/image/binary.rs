//! What the unit's binary must be before it goes into an image, read from the file itself by binutils' `readelf`.
//!
//! Owns the limits: its size, the C library that it asks for, what the loader can protect. Refuses to trust the flags of the build: they are what is checked.

use crate::program::output;
use anyhow::{Context as _, Result, ensure};
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The most that it may take, stripped: 15 MB.
const MAX_BYTES: u64 = 15_000_000;

/// The newest C library that it may ask for: JetPack 6 is Ubuntu 22.04 with 2.35.
const NEWEST_GLIBC: (u32, u32) = (2, 35);

/// The reader, which comes with the linker.
const READELF: &str = "aarch64-linux-gnu-readelf";

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linked {
    /// To the system's libraries, at any address.
    Shared,
    /// To nothing. rustc has no position-independent form of that for this target.
    Static,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Figures {
    /// Its size.
    pub(super) bytes: u64,
    /// The C library that it asks for; `None` if it has its own in it.
    pub(super) glibc: Option<(u32, u32)>,
    /// The libraries that it is linked to.
    pub(super) libraries: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MB, NX, ", self.bytes as f64 / 1e6)?;
        match self.glibc {
            Some((major, minor)) => {
                let libraries = self.libraries.join(", ");
                write!(f, "PIE, full RELRO, glibc {major}.{minor} or later, linked to {libraries}")
            }
            None => f.write_str("RELRO, static"),
        }
    }
}

/// Checks a stripped binary.
///
/// # Errors
/// If it breaks a limit; the error says which.
pub(super) fn check(binary: &Path, linked: Linked) -> Result<Figures> {
    let bytes = fs::read(binary).with_context(|| binary.display().to_string())?;
    let len = bytes.len() as u64;
    ensure!(len <= MAX_BYTES, "the binary has {len} bytes, more than {MAX_BYTES}");
    let wide = |what: &str| output(Command::new(READELF).arg("--wide").arg(what).arg(binary));
    protected(linked, &wide("--file-header")?, &wide("--segments")?, &wide("--dynamic")?)?;
    let sections = wide("--sections")?;
    ensure!(!sections.contains(".symtab"), "the binary still has its symbols");
    let libraries = needed(&wide("--dynamic")?);
    let glibc = newest_glibc(&wide("--version-info")?);
    let (most, most_minor) = NEWEST_GLIBC;
    if let Some((major, minor)) = glibc {
        ensure!(
            (major, minor) <= NEWEST_GLIBC,
            "the binary asks for glibc {major}.{minor}, JetPack 6 has {most}.{most_minor}"
        );
    }
    Ok(Figures { bytes: len, glibc, libraries })
}

/// True if the words stand somewhere in the bytes.
pub(super) fn holds(bytes: &[u8], words: &[u8]) -> bool {
    !words.is_empty() && bytes.windows(words.len()).any(|window| window == words)
}

/// What can be protected: at any address (PIE), nothing writable after the start that need not be (full RELRO), no stack that is
/// executed, and no page that is written and executed (NX).
fn protected(linked: Linked, header: &str, segments: &str, dynamic: &str) -> Result<()> {
    ensure!(header.contains("AArch64"), "the binary is not for 64-bit Arm");
    let has = |row: &str, flag: &str| dynamic.lines().any(|line| has_flag(line, row, flag));
    let of = |kind: &'static str| {
        segments.lines().map(str::trim).filter(move |line| line.starts_with(kind))
    };
    let relro = of("GNU_RELRO").count() == 1;
    match linked {
        Linked::Shared => {
            let anywhere = header.contains("DYN (") && has("(FLAGS_1)", "PIE");
            ensure!(anywhere, "the binary is not position-independent");
            let now = has("(FLAGS_1)", "NOW") || has("(FLAGS)", "BIND_NOW");
            ensure!(relro && now, "the binary has no full RELRO");
        }
        // All of it is bound when it is linked.
        Linked::Static => {
            ensure!(dynamic.contains("no dynamic section"), "the binary is not static");
            ensure!(relro, "the binary has no RELRO");
        }
    }
    let stack: Vec<&str> = of("GNU_STACK").collect();
    ensure!(stack.len() == 1, "the binary does not say that its stack is not executed");
    for line in of("LOAD").chain(stack) {
        let flags = flags(line);
        ensure!(
            !(flags.contains('W') && flags.contains('E')),
            "the binary has a segment that is written and executed: {line}"
        );
    }
    Ok(())
}

/// The flags of a segment's line, `R E` as one word: what stands between the last number but one and the alignment.
fn flags(line: &str) -> String {
    let is_number = |word: &&str| word.starts_with("0x");
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    words.into_iter().filter(|word| !is_number(word)).collect()
}

fn has_flag(line: &str, row: &str, flag: &str) -> bool {
    line.contains(row) && line.split_whitespace().any(|word| word == flag)
}

fn needed(dynamic: &str) -> Vec<String> {
    let lines = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    lines.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
}

fn newest_glibc(versions: &str) -> Option<(u32, u32)> {
    let named = versions.split("GLIBC_").skip(1).filter_map(|rest| {
        let mut numbers = rest.split(|byte: char| !byte.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    named.max()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    const HEADER: &str =
        "  Type:  DYN (Position-Independent Executable file)\n  Machine:  AArch64\n";
    const SEGMENTS: &str = "  LOAD   0x000000 0x0000000000000000 0x0000000000000000 0x6f3 0x6f3 R E 0x10000\n  \
        LOAD   0x010000 0x0000000000010000 0x0000000000010000 0x6f3 0x6f3 RW  0x10000\n  \
        GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x10\n  \
        GNU_RELRO      0x00fdd8 0x000000000001fdd8 0x000000000001fdd8 0x000228 0x000228 R   0x1\n";
    const DYNAMIC: &str = " 0x01 (NEEDED)  Shared library: [libc.so.6]\n 0x1e (FLAGS)  BIND_NOW\n \
        0x6ffffffb (FLAGS_1)  Flags: NOW PIE\n";

    #[test]
    fn a_binary_that_a_loader_cannot_protect_is_refused() {
        let of = |linked, header: &str, segments: &str, dynamic: &str| {
            protected(linked, header, segments, dynamic).map_err(|error| error.to_string())
        };
        let check = |header: &str, segments: &str, dynamic: &str| {
            of(Linked::Shared, header, segments, dynamic)
        };
        assert_eq!(check(HEADER, SEGMENTS, DYNAMIC), Ok(()));
        let said = |outcome: Result<(), String>, part: &str| {
            let error = outcome.unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        said(check(&HEADER.replace("AArch64", "X86-64"), SEGMENTS, DYNAMIC), "64-bit Arm");
        said(check(&HEADER.replace("DYN", "EXEC"), SEGMENTS, DYNAMIC), "position");
        said(check(HEADER, SEGMENTS, &DYNAMIC.replace(" PIE", "")), "position");
        said(check(HEADER, SEGMENTS, &DYNAMIC.replace("NOW", "LATER")), "RELRO");
        said(check(HEADER, &SEGMENTS.replace("GNU_RELRO", "NOTE"), DYNAMIC), "RELRO");
        said(check(HEADER, &SEGMENTS.replace("GNU_STACK", "NOTE"), DYNAMIC), "stack");
        said(check(HEADER, &SEGMENTS.replace("RW  0x10\n", "RWE 0x10\n"), DYNAMIC), "executed");
        said(check(HEADER, &SEGMENTS.replace("R E", "RWE"), DYNAMIC), "executed");
        let (alone, none) = (Linked::Static, "There is no dynamic section in this file.");
        assert_eq!(of(alone, HEADER, SEGMENTS, none), Ok(()));
        said(of(alone, HEADER, SEGMENTS, DYNAMIC), "not static");
        said(of(alone, HEADER, &SEGMENTS.replace("GNU_RELRO", "NOTE"), none), "RELRO");
    }

    #[test]
    fn libraries_and_the_newest_c_library_are_read() {
        assert_eq!(needed(DYNAMIC), ["libc.so.6"]);
        let versions =
            "0x0010: Name: GLIBC_2.17  Flags: none\n Name: GLIBC_2.34 \n Name: GLIBC_2.4";
        assert_eq!(newest_glibc(versions), Some((2, 34)));
        assert_eq!(newest_glibc("GCC_3.0"), None);
    }
}
