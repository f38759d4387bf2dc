//! A bundle checked by whoever has neither program, and keys made without one: the very lines of docs/bundle.md, run by a shell.

use super::{files, manifest, sources, unit};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use threshold_bundle::{Nowhere, SigningKey, Trust, read, write};

/// The lines of the page's nth block.
fn block(at: usize) -> String {
    let page = threshold_tests::workspace_root().join("docs/bundle.md");
    let page = fs::read_to_string(page).unwrap();
    let block = page.split("```sh\n").nth(at + 1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// Runs lines in a folder, up to the first that fails.
fn shell(lines: &str, folder: &Path) -> Output {
    Command::new("sh").args(["-e", "-c", lines]).current_dir(folder).output().unwrap()
}

/// True where the commands are; what is not is said aloud.
fn has(commands: &[&str], check: &str) -> bool {
    let missing = commands.iter().find(|name| Command::new(name).arg("--help").output().is_err());
    if let Some(missing) = missing {
        threshold_tests::skipped(check, &format!("{missing} is not installed"));
    }
    missing.is_none()
}

/// The 32 bytes of a key's file.
fn raw(folder: &Path, arguments: &str) -> [u8; 32] {
    let out = shell(&format!("openssl pkey {arguments} -outform DER | tail -c 32"), folder);
    out.stdout.try_into().unwrap()
}

/// Keys as the page makes them, and a bundle that they sign, in a folder of its own.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for lines in [block(2), block(1)] {
        let ran = shell(&lines, folder.path());
        assert!(ran.status.success(), "{lines}\n{ran:?}");
    }
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let keys = (String::from_utf8(file("KEYS")).unwrap(), file("KEYS.sig").try_into().unwrap());
    let build = SigningKey::from_bytes(&raw(folder.path(), "-in build.pem"));
    let mut bundle = Vec::new();
    let content = tempfile::tempdir().unwrap();
    write(&mut bundle, manifest(), &sources(&content, &files()), &keys, &build).unwrap();
    let trust =
        Trust { release_key: raw(folder.path(), "-pubin -in release.pub -pubout"), serial: 0 };
    read(&bundle[..], &trust, &unit(), &mut Nowhere).unwrap();
    fs::write(folder.path().join("bundle"), bundle).unwrap();
    folder
}

#[test]
fn keys_made_by_openssl_sign_a_bundle_that_a_unit_takes() {
    if has(&["openssl"], "keys by openssl") {
        made();
    }
}

#[test]
fn the_pages_lines_take_a_bundle_and_none_that_was_changed() {
    if !has(&["openssl", "b3sum", "tar"], "a bundle checked by hand") {
        return;
    }
    let made = made();
    let bundle = fs::read(made.path().join("bundle")).unwrap();
    let check = |bundle: &[u8], and_then: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bundle"), bundle).unwrap();
        fs::copy(made.path().join("release.pub"), folder.path().join("release.pub")).unwrap();
        shell(&format!("{and_then}\n{}", block(0)), folder.path())
    };
    let ran = check(&bundle, "");
    assert!(ran.status.success(), "{ran:?}");
    // A byte in the middle of each member: KEYS, its signature, MANIFEST, its signature, and every file that has one.
    let mut at = 0;
    let mut changed = 0;
    while bundle[at] != 0 {
        let size = std::str::from_utf8(&bundle[at + 124..at + 135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        if size > 0 {
            let mut other = bundle.clone();
            other[at + 512 + size / 2] ^= 1;
            let ran = check(&other, "");
            assert!(!ran.status.success(), "the member at byte {at} was changed: {ran:?}");
            changed += 1;
        }
        at += 512 + size.next_multiple_of(512);
    }
    assert_eq!(changed, 4 + files().len() - 1, "one of the files is empty");
    // Members that the manifest does not name, names once, or names as files.
    for (what, and_then) in [
        ("a file that nobody signed", "echo more > more\ntar -rf bundle more"),
        ("a link", "ln -s /etc/passwd more\ntar -rf bundle more"),
        ("a link that leads to a signed file", "ln -s MANIFEST more\ntar -rf bundle more"),
        ("a folder", "mkdir more\ntar -rf bundle more"),
        (
            "a signed name again",
            "mkdir again\ntar -xf bundle -C again KEYS\ntar -rf bundle -C again KEYS",
        ),
        (
            "a link in the place of the file that is empty",
            "mkdir c\ntar -xf bundle -C c\nln -sf /dev/null \"c/$(cd c && find * -empty -type f)\"\n\
             tar -cf bundle -C c $(tar -tf bundle)",
        ),
    ] {
        let ran = check(&bundle, and_then);
        assert!(!ran.status.success(), "{what}: {ran:?}");
        // It is the bundle that is refused, and no line before.
        let made = check(&bundle, &format!("{and_then}\nexit 0"));
        assert!(made.status.success(), "{what}: {made:?}");
    }
    let ran = check(
        &bundle,
        "openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out release.pub",
    );
    assert!(!ran.status.success(), "another maker's key: {ran:?}");
}
