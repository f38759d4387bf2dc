//! The vault through the real binary: taken in, listed, made anew by another model, exported to a unit, kept and put back; and
//! everything that it refuses.

use crate::binary::{Ran, run, stock, threshold};
use crate::pairing::{paired, typed};
use image::imageops::{self, FilterType};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with keys and photos of two people, for commands that run in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(photos: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        for (from, to) in
            [("obama.jpg", "a1.png"), ("obama2.jpg", "a2.png"), ("biden.jpg", "b1.png")]
        {
            small(&photos.join(from)).save(place.at(to)).unwrap();
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = threshold(&["--keys", "keys", "--model", "dlib"]);
        command.args(args).current_dir(self.folder.path());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(&[&["--json"], args].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.json()
    }

    /// The templates of the vault by model's name.
    fn templates(&self) -> Vec<(String, u64)> {
        let listed = self.json(&["vault", "list"]);
        let model = |model: &Value| {
            let name = model["model_name"].as_str().unwrap().to_owned();
            (name, model["templates"].as_u64().unwrap())
        };
        listed["models"].as_array().unwrap().iter().map(model).collect()
    }
}

/// A photo small enough to be searched quickly, with a face that is large enough.
fn small(photo: &Path) -> image::RgbImage {
    let photo = image::open(photo).unwrap().into_rgb8();
    let width = photo.width() * 480 / photo.height();
    imageops::resize(&photo, width, 480, FilterType::Triangle)
}

const LIST: &str = "name,photo,consent,keep_until\n\
    Ann,a1.png,2026-01-02,2100-01-31\n\
    Ann,a2.png,,\n\
    Bob,b1.png,,\n";

#[test]
fn people_are_taken_in_made_anew_by_another_model_and_pushed_to_a_unit() {
    let Some(photos) = stock("the vault") else { return };
    let place = Place::new(&photos);
    let made = place.json(&["vault", "init"]);
    let key_file = place.at(made["key_file"].as_str().unwrap());
    assert_eq!(std::fs::read(&key_file).unwrap().len(), 32);
    std::fs::write(place.at("people.csv"), LIST).unwrap();
    let taken = place.json(&["vault", "import", "people.csv"]);
    assert_eq!(
        (&taken["people_added"], &taken["crops_added"], &taken["left_out"]),
        (&json!(2), &json!(3), &json!([]))
    );
    // Once more: nothing is worked on.
    let again = place.json(&["vault", "import", "people.csv"]);
    assert_eq!((&again["crops_added"], &again["there_already"]), (&json!(0), &json!(3)));
    let listed = place.json(&["vault", "list"]);
    let ann = json!({"person": 1, "name": "Ann", "crops": 2, "consent": "2026-01-02",
                     "keep_until": "2100-01-31", "over": false});
    assert_eq!(listed["people"][0], ann);
    let text = place.run(&["vault", "list"]).stdout;
    assert!(text.contains("#2  Bob   1      none recorded  no limit"), "{text}");

    // Photos gone, another model: the count is that of before.
    for photo in ["a1.png", "a2.png", "b1.png"] {
        std::fs::remove_file(place.at(photo)).unwrap();
    }
    another_model(&place);

    // What the unit takes is what the vault says, in a file for its administrator and in one for the unit itself.
    let unit = paired(&["--dev-button", "button", "--model", "dlib"]);
    let ada = |args: &[&str]| typed(&unit, "ada", args, "");
    let key_name = key_file.file_name().unwrap();
    std::fs::copy(&key_file, unit.folder.path().join("ada").join(key_name)).unwrap();
    std::fs::copy(place.at("keys/vault.db"), unit.folder.path().join("ada/vault.db")).unwrap();
    let export = ["--json", "--model", "dlib", "vault", "export", "--out", "people.gallery"];
    let exported = ada(&export).json();
    assert_eq!((&exported["people"], &exported["templates"]), (&json!(2), &json!(3)));
    let pushed = ada(&["--json", "gallery", "push", "people.gallery"]);
    assert_eq!((pushed.status, &pushed.json()["added"]), (0, &json!(2)), "{pushed:?}");
    let name = ada(&["--json", "info"]).json()["unit"].as_str().unwrap().to_owned();
    let for_it = [&export[..], &["--for", &name]].concat();
    assert_eq!(ada(&for_it).json()["for"], json!(name));
    let pushed = ada(&["--json", "gallery", "push", "people.gallery"]);
    assert_eq!((pushed.status, &pushed.json()["equal"]), (0, &json!(2)), "{pushed:?}");
    let people = ada(&["--json", "gallery", "list"]).json();
    let names: Vec<&str> =
        people["people"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Ann", "Bob"]);
    assert_eq!(people["people"][0]["templates"], 2);

    // Who is at the unit, and the vault knows nothing of: and a file in which one face has two names.
    let photo = unit.folder.path().join("c1.png");
    small(&photos.join("obama.jpg")).save(&photo).unwrap();
    let audit = ["--json", "vault", "audit"];
    let ran = ada(&audit);
    assert_eq!(ran.status, 0, "{ran:?}");
    let cid = ["--model", "dlib", "enrol", "Cid", "--force", "--photo", photo.to_str().unwrap()];
    let ran = ada(&cid);
    assert_eq!(ran.status, 0, "{ran:?}");
    let ran = ada(&audit);
    let found = &ran.json()["findings"];
    assert_eq!((ran.status, found.as_array().unwrap().len()), (1, 1), "{ran:?}");
    let told = [&found[0]["name"], &found[0]["why"], &found[0]["admitted"]];
    assert_eq!(told, [&json!("Cid"), &json!("no_record"), &json!(true)]);
    let pull = ["gallery", "pull", "--out", "three.gallery"];
    assert_eq!(ada(&pull).status, 0);
    let pushed = ada(&["--json", "gallery", "push", "three.gallery"]);
    let doubles = &pushed.json()["doubles"];
    let both = json!([{"person": 1, "name": "Ann"}, {"person": 3, "name": "Cid"}]);
    assert_eq!((pushed.status, &doubles[0]["people"]), (1, &both), "{pushed:?}");
    assert!(pushed.stderr.contains("Ann (#1) and Cid (#3) may be one person"), "{pushed:?}");
}

/// Re-embeds with FaceNet where it is here, cut off by a full disk and gone on with.
fn another_model(place: &Place) {
    let packs = threshold_tests::packs().unwrap();
    if packs.named("facenet").is_err() {
        threshold_tests::skipped("re-embedding by another model", "no pack of FaceNet");
        return;
    }
    let with = |args: &[&str]| {
        let mut command = threshold(&["--keys", "keys", "--json", "--model", "facenet"]);
        run(command.args(args).current_dir(place.folder.path()))
    };
    std::fs::write(place.at("keys/administrator.key"), [7; 32]).unwrap();
    private(&place.at("keys/administrator.key"));
    let early = with(&["vault", "export", "--out", "early"]);
    let (error, remedy) = early.error();
    assert!(error.starts_with("3 crops of 2 people have no template by model"), "{error}");
    assert!(remedy.starts_with("threshold vault re-embed"), "{remedy}");
    let before = place.templates();
    // A limit on the size of files stands for a full disk: nothing is half there, and the next run does what is left.
    let mut limited = Command::new("sh");
    let threshold = threshold(&["--keys", "keys", "--model", "facenet", "vault", "re-embed"]);
    limited.arg("-c").arg("trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"");
    limited
        .arg(threshold.get_program())
        .args(threshold.get_args())
        .current_dir(place.folder.path());
    let full = run(&mut limited);
    let (error, remedy) = full.error();
    assert!(error.starts_with("keys/vault.db cannot be written"), "{error}");
    assert!(remedy.starts_with("free some space"), "{remedy}");
    assert_eq!(place.templates(), before);
    // A crop with a byte changed is named, and the others are made anew.
    let mut bytes = std::fs::read(place.at("keys/vault.db")).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096 + 2000;
    bytes[middle] ^= 1;
    std::fs::write(place.at("bad.db"), bytes).unwrap();
    let bad = with(&["vault", "--vault", "bad.db", "re-embed"]);
    assert_eq!((bad.status, &bad.json()["templates_made"]), (1, &json!(2)), "{bad:?}");
    let error = bad.json()["left_out"][0]["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("bad.db is damaged: crop "), "{error}");
    let made = with(&["vault", "re-embed"]).json();
    assert_eq!(
        (&made["crops"], &made["templates_made"], &made["templates"]),
        (&json!(3), &json!(3), &json!(3))
    );
    let again = with(&["vault", "re-embed"]).json();
    assert_eq!((&again["templates_made"], &again["templates"]), (&json!(0), &json!(3)));
    assert_eq!(again["cost"], Value::Null);
    assert_eq!(place.templates().len(), 2);
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn photos_and_rows_that_do_not_fit_are_told_and_the_others_are_kept() {
    let Some(photos) = stock("bad rows of a vault's list") else { return };
    let place = Place::new(&photos);
    place.json(&["vault", "init"]);
    let (left, right) = (small(&photos.join("obama.jpg")), small(&photos.join("biden.jpg")));
    let mut two = image::RgbImage::new(left.width() + right.width(), 480);
    imageops::replace(&mut two, &left, 0, 0);
    imageops::replace(&mut two, &right, i64::from(left.width()), 0);
    two.save(place.at("two.png")).unwrap();
    image::RgbImage::new(90, 90).save(place.at("none.png")).unwrap();
    std::fs::write(place.at("text.png"), "no picture").unwrap();
    let list = "name,photo,consent\n\
        Ann,two.png,2026-01-02\n\
        Ann,none.png,\n\
        Ann,away.png,\n\
        Ann,text.png,\n\
        Ann,/dev/zero,\n\
        ,a1.png,\n\
        Ann,a1.png,yesterday\n\
        Ann,a1.png,\n\
        Bob,b1.png,\n";
    std::fs::write(place.at("people.csv"), list).unwrap();
    let ran = place.run(&["--json", "vault", "import", "people.csv", "--require-consent"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let taken = ran.json();
    assert_eq!((&taken["people_added"], &taken["crops_added"]), (&json!(1), &json!(1)));
    let mut left_out: Vec<(u64, String)> = taken["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["line"].as_u64().unwrap(), row["error"].as_str().unwrap().to_owned()))
        .collect();
    left_out.sort();
    let told = [
        (2, "two.png: 2 faces found"),
        (3, "none.png: no face found"),
        (4, "away.png: No such file"),
        (5, "text.png: an unknown kind of file"),
        (6, "/dev/zero is no regular file"),
        (7, "the name is empty"),
        (8, "consent \"yesterday\" is no day as 2027-01-31"),
        (10, "no consent of Bob is recorded"),
    ];
    assert_eq!(left_out.len(), told.len(), "{left_out:?}");
    for ((line, error), (expected_line, expected)) in left_out.iter().zip(told) {
        assert_eq!(*line, expected_line);
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(ran.stderr.matches("warning: left out: line ").count(), 8, "{}", ran.stderr);
    // The consent of a row whose photo is none is Ann's all the same.
    let listed = place.json(&["vault", "list"]);
    assert_eq!(listed["people"][0]["consent"], "2026-01-02");
    // The list mended: what is in stays, what was left out comes in.
    std::fs::write(place.at("people.csv"), "name,photo\nBob,b1.png\nAnn,a1.png\n").unwrap();
    let mended = place.json(&["vault", "import", "people.csv"]);
    assert_eq!((&mended["crops_added"], &mended["there_already"]), (&json!(1), &json!(1)));
    let (error, remedy) = {
        std::fs::write(place.at("people.csv"), "name,foto\nBob,b1.png\n").unwrap();
        let ran = place.run(&["vault", "import", "people.csv"]);
        let (error, remedy) = ran.error();
        (error.to_owned(), remedy.to_owned())
    };
    assert!(error.contains("it has a column \"foto\""), "{error}");
    assert!(remedy.contains("the columns name and photo"), "{remedy}");
    // The roster is read back with the days that somebody changed in it; whoever is not there needs a photo.
    let mut roster = place.run(&["vault", "list", "--jsonl"]).stdout;
    roster = roster.replace("\"keep_until\":null", "\"keep_until\":\"2099-12-31\"");
    std::fs::write(place.at("roster.jsonl"), &roster).unwrap();
    assert_eq!(place.json(&["vault", "import", "roster.jsonl"])["left_out"], json!([]));
    let until = &place.json(&["vault", "list"])["people"][1]["keep_until"];
    assert_eq!(*until, "2099-12-31", "{roster}");
    roster += "{\"name\": \"Zed\"}\n";
    std::fs::write(place.at("roster.jsonl"), &roster).unwrap();
    let ran = place.run(&["--json", "vault", "import", "roster.jsonl"]);
    let told = &ran.json()["left_out"];
    let zed = "it names no photo, and Zed is not in the vault";
    assert_eq!(
        (ran.status, told.as_array().unwrap().len(), &told[0]["error"]),
        (1, 1, &json!(zed))
    );
    // A folder of people, one of whom goes again.
    std::fs::create_dir_all(place.at("people/Carol")).unwrap();
    std::fs::copy(place.at("a2.png"), place.at("people/Carol/1.png")).unwrap();
    // Carol's photo is one of Ann's face: she is in, and who the two are is said.
    let ran = place.run(&["--json", "vault", "import", "people"]);
    assert_eq!((ran.status, &ran.json()["people_added"]), (1, &json!(1)), "{ran:?}");
    let doubles = &ran.json()["doubles"];
    let both = json!([{"person": 1, "name": "Ann"}, {"person": 3, "name": "Carol"}]);
    assert_eq!((doubles.as_array().unwrap().len(), &doubles[0]["people"]), (1, &both), "{doubles}");
    let near = |key: &str| doubles[0][key].as_f64().unwrap();
    assert!(near("distance") <= near("distance_threshold"), "{doubles}");
    assert!(ran.stderr.contains("Ann (#1) and Carol (#3) may be one person"), "{}", ran.stderr);
    let again = place.run(&["--json", "vault", "import", "people"]);
    assert_eq!(again.json()["doubles"], *doubles, "as after a run that was cut off");
    assert_eq!(place.json(&["vault", "remove", "Carol"])["removed"][0]["person"], 3);
    assert_eq!(place.json(&["vault", "remove", "--expired"])["removed"], json!([]));
    // What a list says of retention is kept though its photo is away, and holds for all rows of the name.
    std::fs::write(place.at("people.csv"), "name,photo,keep_until\nAnn,away.png,2020-01-31\n")
        .unwrap();
    let over = place.run(&["--json", "vault", "import", "people.csv"]);
    let error = &over.json()["left_out"][0]["error"];
    assert_eq!(*error, "the data of Ann may be kept until 2020-01-31, which is over");
    std::fs::write(place.at("people.csv"), "name,photo,keep_until\nAnn,a2.png,2100-01-31\n")
        .unwrap();
    let over = place.run(&["--json", "vault", "import", "people.csv"]);
    assert_eq!((over.status, &over.json()["crops_added"]), (1, &json!(0)), "{over:?}");
    let listed = place.json(&["vault", "list"]);
    assert_eq!(listed["people"][0]["keep_until"], "2020-01-31");
    let passed = place.run(&["--json", "vault", "re-embed"]);
    assert_eq!(passed.json()["over"], json!([1]));
    assert!(passed.stderr.contains("Ann (#1) is passed over"), "{}", passed.stderr);
    let ran = place.run(&["vault", "remove", "Carol"]);
    assert_eq!(ran.error(), ("the vault has nobody named \"Carol\"", "threshold vault list"));
    assert_eq!(place.json(&["vault", "list"])["people"].as_array().unwrap().len(), 2);
}

#[test]
fn a_vault_that_demands_a_consent_takes_in_and_exports_nobody_without_one() {
    let Some(photos) = stock("a consent that is demanded") else { return };
    let place = Place::new(&photos);
    place.json(&["vault", "init"]);
    assert_eq!(place.json(&["vault", "consent"])["demanded"], false);
    std::fs::write(place.at("people.csv"), "name,photo\nBob,b1.png\n").unwrap();
    assert_eq!(place.json(&["vault", "import", "people.csv"])["people_added"], 1);
    let demanded = place.run(&["--json", "vault", "consent", "--demand"]);
    let without = json!([{"person": 1, "name": "Bob"}]);
    assert_eq!((demanded.status, &demanded.json()["without"]), (1, &without), "{demanded:?}");
    // Whoever has none is left out with the line, the others come.
    let list = "name,photo,consent\nAnn,a1.png,\nCid,a2.png,2026-01-02\n";
    std::fs::write(place.at("more.csv"), list).unwrap();
    let ran = place.run(&["--json", "vault", "import", "more.csv"]);
    let taken = ran.json();
    assert_eq!((ran.status, &taken["people_added"]), (1, &json!(1)), "{ran:?}");
    let [row] = &taken["left_out"].as_array().unwrap()[..] else { panic!("{taken}") };
    let error = row["error"].as_str().unwrap();
    assert_eq!(row["line"], 2);
    assert!(error.starts_with("no consent of Ann is recorded, and the vault "), "{error}");
    assert!(row["remedy"].as_str().unwrap().contains("the column consent in a list"), "{row}");
    std::fs::write(place.at("keys/administrator.key"), [7; 32]).unwrap();
    private(&place.at("keys/administrator.key"));
    let exported = place.json(&["vault", "export", "--out", "people.gallery"]);
    assert_eq!((&exported["people"], &exported["no_consent"]), (&json!(1), &json!([1])));
    // Nor is anybody enrolled beside it; no unit is asked.
    for args in [&["enrol", "Ann", "--photo", "a1.png"][..], &["enrol", "Ann", "--at-door"]] {
        let ran = place.run(args);
        let (error, remedy) = ran.error();
        assert!(error.starts_with("no consent of Ann is recorded"), "{error}");
        assert!(remedy.starts_with("--vault --consent"), "{remedy}");
    }
    // With Bob's day in a roster everything is in order.
    std::fs::write(place.at("days.csv"), "name,photo,consent\nBob,,2026-01-03\n").unwrap();
    place.json(&["vault", "import", "days.csv"]);
    assert_eq!(place.json(&["vault", "consent"])["without"], json!([]));
    assert_eq!(place.json(&["vault", "consent", "--drop"])["demanded"], false);
}

#[test]
fn a_vault_is_kept_and_put_back_and_what_is_none_is_refused() {
    let place = Place { folder: tempfile::tempdir().unwrap() };
    let check = |args: &[&str], error: &str, remedy: &str| {
        let ran = place.run(args);
        let (found, found_remedy) = ran.error();
        assert!(found.contains(error), "{args:?}: {found}");
        assert!(found_remedy.contains(remedy), "{args:?}: {found_remedy}");
    };
    check(&["vault", "list"], "there is no vault keys/vault.db", "threshold vault init");
    let made = place.json(&["vault", "init", "--vault", "v.db"]);
    check(&["vault", "init", "--vault", "v.db"], "v.db is there already", "name another file");
    let backed = place.json(&["vault", "--vault", "v.db", "backup", "--out", "backup.db"]);
    assert_eq!(backed["people"], 0);
    check(
        &["vault", "--vault", "v.db", "backup", "--out", "backup.db"],
        "backup.db is there already",
        "name another file",
    );
    std::fs::remove_file(place.at("v.db")).unwrap();
    place.json(&["vault", "--vault", "v.db", "restore", "backup.db"]);
    place.json(&["vault", "--vault", "v.db", "list"]);
    check(
        &["vault", "--vault", "v.db", "restore", "backup.db"],
        "is there already",
        "name another",
    );
    // Cut off, and with a byte changed in what SQLite itself keeps.
    let whole = std::fs::read(place.at("backup.db")).unwrap();
    std::fs::write(place.at("cut.db"), &whole[..whole.len() / 2]).unwrap();
    check(
        &["vault", "--vault", "w.db", "restore", "cut.db"],
        "cut.db is damaged",
        "restore <backup>",
    );
    std::fs::write(place.at("text.db"), "no vault at all").unwrap();
    check(&["vault", "--vault", "text.db", "list"], "text.db is no vault", "init or backup");
    assert!(!place.at("w.db").exists());
    let key_file = place.at(made["key_file"].as_str().unwrap());
    std::fs::write(&key_file, [1; 32]).unwrap();
    check(
        &["vault", "--vault", "v.db", "list"],
        "is not the key that v.db",
        "a copy of the right one",
    );
    std::fs::remove_file(&key_file).unwrap();
    check(&["vault", "--vault", "v.db", "list"], "is not in the keychain", "put a copy of");
    if threshold_tests::packs().is_some() {
        std::fs::write(&key_file, [1; 32]).unwrap();
        private(&key_file);
        let made = place.json(&["vault", "--vault", "empty.db", "init"]);
        assert_eq!(made["vault"], "empty.db");
        std::fs::write(place.at("keys/administrator.key"), [7; 32]).unwrap();
        private(&place.at("keys/administrator.key"));
        let args = ["vault", "--vault", "empty.db", "export", "--out", "o.gallery"];
        check(&args, "the vault has nobody to export", "threshold vault import");
    }
}
