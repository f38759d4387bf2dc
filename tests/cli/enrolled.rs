//! `threshold enrol --vault` with both binaries: one command for the unit and the vault, what is there already, and what is refused
//! before either has anything.

use crate::binary::{Ran, Unit, run, stock, threshold};
use image::imageops::{self, FilterType};
use serde_json::{Value, json};

#[test]
fn one_command_enrols_at_the_unit_and_keeps_in_the_vault() {
    let Some(photos) = stock("enrolment into the vault") else { return };
    let unit = Unit::start(&["--model", "dlib"]);
    for (from, to) in [("obama.jpg", "a1.png"), ("obama2.jpg", "a2.png"), ("biden.jpg", "b1.png")] {
        let photo = image::open(photos.join(from)).unwrap().into_rgb8();
        let width = photo.width() * 480 / photo.height();
        let small = imageops::resize(&photo, width, 480, FilterType::Triangle);
        small.save(unit.folder.path().join(to)).unwrap();
    }
    let tool = |args: &[&str]| -> Ran {
        let mut command = threshold(&["--unit", "door", "--keys", "keys", "--model", "dlib"]);
        run(command.args(args).current_dir(unit.folder.path()))
    };
    let json_of = |args: &[&str]| -> Value {
        let ran = tool(&[&["--json"], args].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.json()
    };
    let at_unit = || json_of(&["info"])["gallery"]["templates"].as_u64().unwrap();
    let in_vault = || json_of(&["vault", "list"])["crops"].as_u64().unwrap();
    let refused = |args: &[&str], error: &str, remedy: &str| {
        let ran = tool(&[&["enrol"], args].concat());
        let (found, found_remedy) = ran.error();
        assert!(found.contains(error) && found_remedy.contains(remedy), "{found} {found_remedy}");
    };

    // Without a vault neither half.
    refused(&["Ann", "--vault", "--photo", "a1.png"], "there is no vault", "threshold vault init");
    assert_eq!(at_unit(), 0);
    json_of(&["vault", "init"]);
    let days = |consent, keep_until| {
        ["Ann", "--vault", "--photo", "a1.png", "--consent", consent, "--keep-until", keep_until]
    };
    refused(&days("2100-01-01", "2101-01-01"), "is in the future", "the day on which");
    refused(&days("2020-01-01", "2020-12-31"), "kept until 2020-12-31, which is over", "--expired");
    assert_eq!((at_unit(), in_vault()), (0, 0));

    let args = [&["enrol"], &days("2026-01-02", "2100-01-31")[..]].concat();
    let done = json_of(&args);
    assert_eq!(done["templates"].as_array().unwrap().len(), 1);
    let vault = json!({"file": "keys/vault.db", "person": 1, "crops_added": 1, "there_already": 0});
    assert_eq!(done["vault"], vault);
    let ann = &json_of(&["vault", "list"])["people"][0];
    assert_eq!((&ann["consent"], &ann["keep_until"]), (&json!("2026-01-02"), &json!("2100-01-31")));
    assert_eq!((at_unit(), in_vault()), (1, 1));

    // Repeated, it changes nothing; with another photo, that one alone is new.
    let again = json_of(&args);
    assert_eq!((&again["templates"], &again["there_already"]), (&json!([]), &json!(["a1.png"])));
    assert_eq!((at_unit(), in_vault()), (1, 1));
    let more = json_of(&["enrol", "Ann", "--vault", "--photo", "a1.png", "a2.png"]);
    assert_eq!(
        (&more["templates"][0]["photo"], &more["templates"][0]["slot"]),
        (&json!("a2.png"), &json!(1))
    );
    assert_eq!(
        (&more["vault"]["crops_added"], &more["vault"]["there_already"]),
        (&json!(1), &json!(1))
    );
    assert_eq!((at_unit(), in_vault()), (2, 2));

    // The vault lost its half: the same command brings it back under the unit's id.
    assert_eq!(tool(&["vault", "remove", "Ann"]).status, 0);
    let mended = json_of(&["enrol", "Ann", "--vault", "--photo", "a1.png", "a2.png"]);
    assert_eq!((&mended["templates"], &mended["vault"]["crops_added"]), (&json!([]), &json!(2)));
    assert_eq!((&mended["person"], &mended["vault"]["person"]), (&json!(1), &json!(1)));
    assert_eq!((at_unit(), in_vault()), (2, 2));

    // Who is removed at the unit stays removed, and is named as long as the vault has her; anew she is somebody of another id.
    let removed = tool(&["gallery", "remove", "Ann"]);
    assert!(removed.stderr.contains("still has Ann (#1) with photos and templates"), "{removed:?}");
    let ann = ["Ann", "--vault", "--photo", "a1.png", "a2.png"];
    refused(&ann, "was removed from this unit and stays removed", "threshold vault remove \"Ann\"");
    assert_eq!((at_unit(), in_vault()), (0, 2));
    assert_eq!(tool(&["vault", "remove", "Ann"]).status, 0);
    let anew = json_of(&[&["enrol"], &ann[..]].concat());
    assert_eq!((&anew["person"], &anew["vault"]["person"]), (&json!(2), &json!(2)));
    assert_eq!((at_unit(), in_vault()), (2, 2));

    // Somebody else's face under that name: neither half.
    refused(&["Bob", "--vault", "--photo", "a1.png"], "matches Ann", "");
    // Or under her own, and two people's faces under a new one.
    refused(&["Ann", "--photo", "b1.png"], "b1.png hardly resembles Ann", "--force");
    refused(&["Eve", "--photo", "a1.png", "b1.png"], "hardly show one person", "--force");
    assert_eq!((at_unit(), in_vault()), (2, 2));
    let said = tool(&["enrol", "Bob", "--vault=other.db", "--photo", "b1.png"]);
    assert!(said.error().0.contains("there is no vault other.db"), "{said:?}");

    // The face of somebody whom the vault has and this unit has not: neither half under another name, and both under the own one.
    std::fs::write(unit.folder.path().join("people.csv"), "name,photo\nDora,b1.png\n").unwrap();
    assert_eq!(json_of(&["vault", "import", "people.csv"])["people_added"], json!(1));
    refused(&["Bob", "--vault", "--photo", "b1.png"], "matches Dora (#3 in the vault)", "--force");
    assert_eq!((at_unit(), in_vault()), (2, 3));
    let dora = json_of(&["enrol", "Dora", "--vault", "--photo", "b1.png"]);
    assert_eq!((&dora["person"], &dora["vault"]["there_already"]), (&json!(3), &json!(1)));
    let forced = tool(&["enrol", "Eve", "--vault", "--force", "--photo", "b1.png"]);
    assert!(forced.status == 0 && forced.stderr.contains("in the vault"), "{forced:?}");
    assert_eq!((at_unit(), in_vault()), (4, 4));

    // What the entries of a pulled log refer to is kept beside them.
    json_of(&["log", "pull", "--out", "log.jsonl"]);
    let kept = std::fs::read_to_string(unit.folder.path().join("log.jsonl.contexts")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let enrolled = &kept["gallery"][0];
    assert_eq!((&enrolled["people"], &enrolled["templates"]), (&json!(3), &json!(4)));
    let kinds: Vec<_> =
        kept["contexts"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert!(kinds.contains(&&json!("model")) && kinds.contains(&&json!("policy")), "{kinds:?}");
}
