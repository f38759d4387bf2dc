//! The main job with both binaries: enrol, come to the door, pull the log, and what a restart and a removal leave.

use crate::binary::{Unit, stock};

#[test]
fn people_are_enrolled_recognised_logged_and_removed() {
    let Some(photos) = stock("the main job") else { return };
    let mut unit = Unit::start(&[]);
    let photo = |name: &str| photos.join(name).display().to_string();
    let enrolled = unit.run(&["--json", "enrol", "Ada", "--photo", &photo("obama.jpg")]).json();
    assert_eq!((&enrolled["person"], &enrolled["added"]), (&1.into(), &true.into()));
    unit.acknowledge();
    let admitted = unit.show(&photos.join("obama2.jpg"), "1.jpg");
    assert_eq!((&admitted["decision"], &admitted["person_name"]), (&"admit".into(), &"Ada".into()));
    let refused = unit.show(&photos.join("biden.jpg"), "2.jpg");
    assert_eq!((&refused["decision"], &refused["reason"]), (&"refuse".into(), &"unknown".into()));

    // Somebody who is enrolled already is not enrolled again under another name by mistake.
    let again = unit.run(&["enrol", "Eve", "--photo", &photo("obama3.jpg")]);
    let (error, remedy) = again.error();
    assert!(error.contains("this face matches Ada (#1), who is enrolled already"), "{error}");
    assert!(remedy.contains("--force"), "{remedy}");
    let (_, remedy) = {
        let ran = unit.run(&["gallery", "remove", "Ado"]);
        let (error, remedy) = ran.error();
        (error.to_owned(), remedy.to_owned())
    };
    assert!(remedy.contains("\"Ada\""), "{remedy}");

    // A pull, a second one that moves nothing, and a visit after it that is all that is added.
    let pulled = unit.run(&["--json", "log", "pull", "--out", "log.jsonl"]);
    assert_eq!(pulled.status, 0, "{pulled:?}");
    let whole = std::fs::read_to_string(unit.folder.path().join("log.jsonl")).unwrap();
    unit.run(&["log", "pull", "--out", "log.jsonl"]);
    let second = std::fs::read_to_string(unit.folder.path().join("log.jsonl")).unwrap();
    assert_eq!(second, whole);
    let why = unit.run(&["why", &admitted["sequence"].to_string()]);
    assert!(why.stdout.contains("The door opened for Ada (#1)."), "{why:?}");
    assert!(why.stdout.contains("a photo opens this door"), "{why:?}");
    let missing = unit.run(&["why", "9999"]);
    assert!(missing.error().0.starts_with("the log has no entry 9999: it holds 1 to "));

    // The plug is pulled and the gallery is there again; the removed are not.
    unit.kill();
    // A camera that replays shows what is there at its start too.
    for shown in ["1.jpg", "2.jpg"] {
        std::fs::remove_file(unit.folder.path().join("camera").join(shown)).unwrap();
    }
    unit.restart(&[]);
    let admitted = unit.show(&photos.join("obama3.jpg"), "3.jpg");
    assert_eq!(
        (&admitted["decision"], &admitted["boot"]),
        (&"admit".into(), &2.into()),
        "{admitted}"
    );
    let removed = unit.run(&["gallery", "remove", "Ada"]);
    assert_eq!(removed.status, 0, "{removed:?}");
    let refused = unit.show(&photos.join("obama.jpg"), "4.jpg");
    assert_eq!(refused["reason"], "empty_gallery");
}

#[test]
fn a_gallery_of_another_model_is_refused_until_its_templates_are_given_up() {
    let Some(photos) = stock("a gallery of another model") else { return };
    let packs = threshold_tests::packs().unwrap();
    if packs.embedders().count() < 2 {
        return threshold_tests::skipped("a gallery of another model", "only one embedder is here");
    }
    let mut unit = Unit::start(&["--model", "dlib"]);
    unit.acknowledge();
    let photo = photos.join("obama.jpg").display().to_string();
    let wrong = unit.run(&["--model", "facenet", "enrol", "Ada", "--photo", &photo]);
    let (error, remedy) = wrong.error();
    assert!(error.contains("the unit runs model"), "{error}");
    assert!(remedy.contains("leave --model out"), "{remedy}");
    assert_eq!(unit.run(&["enrol", "Ada", "--photo", &photo]).status, 0);
    unit.kill();
    unit.restart(&["--model", "facenet"]);
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!((&info["state"], &info["fault_cause"]), (&"fault".into(), &"gallery".into()));
    assert!(unit.said().contains("1 templates of 1 people made by model"), "{}", unit.said());
    assert!(unit.said().contains("--discard-templates"), "{}", unit.said());
    let refused = unit.show(&photos.join("obama2.jpg"), "1.jpg");
    assert_eq!((&refused["reason"], &refused["cause"]), (&"fault".into(), &"gallery".into()));
    unit.kill();
    unit.restart(&["--model", "facenet", "--discard-templates"]);
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!((&info["state"], &info["gallery"]["people"]), (&"empty_gallery".into(), &1.into()));
}

#[test]
fn an_owner_settles_a_target_which_the_unit_keeps_over_a_start_and_refuses_when_it_cannot() {
    let Some(photos) = stock("a target") else { return };
    let mut unit = Unit::start(&["--model", "dlib"]);
    let photo = photos.join("obama.jpg").display().to_string();
    unit.acknowledge();
    assert_eq!(unit.run(&["enrol", "Ada", "--photo", &photo]).status, 0);
    let shown = unit.run(&["--json", "policy", "show"]);
    let policy = shown.json();
    assert_eq!((shown.status, &policy["target_fpir"]), (0, &0.001.into()), "{policy}");
    assert_eq!((&policy["templates"], &policy["arms"]), (&1.into(), &true.into()), "{policy}");
    let loose = policy["score_threshold"].as_f64().unwrap();
    // In months: the host says how they become a part of the visits, which is what the unit keeps.
    let months = ["policy", "set", "--months", "12", "--strangers-per-day", "10"];
    let set = unit.run(&months);
    assert_eq!(set.status, 0, "{set:?}");
    assert!(set.stderr.contains("one in 3652 of their visits: target FPIR 2.7e-4"), "{set:?}");
    assert!(set.stdout.contains("at most 2.7e-4 of strangers' visits"), "{set:?}");
    let alone = unit.run(&months[..4]);
    assert!(alone.status == 2 && alone.stderr.contains("--strangers-per-day"), "{alone:?}");
    let set = unit.run(&["--json", "policy", "set", "--target", "1e-4"]);
    let tight = set.json()["score_threshold"].as_f64().unwrap();
    assert!(set.status == 0 && tight > loose, "{set:?}");
    let unsure = unit.run(&["policy", "set", "--threshold", "0.5"]);
    assert!(unsure.status == 2 && unsure.stderr.contains("--accept-risk"), "{unsure:?}");
    let (error, remedy) = {
        let ran = unit.run(&["policy", "set", "--threshold", "0.1", "--accept-risk"]);
        let (error, remedy) = ran.error();
        (error.to_owned(), remedy.to_owned())
    };
    assert!(error.contains("from the model's floor up to 1"), "{error}");
    assert!(remedy.contains("threshold policy show"), "{remedy}");
    let reserve = |unit: &Unit, asked: &[&str]| {
        let ran = unit.run(&[&["--json", "policy", "reserve"], asked].concat());
        let told = ran.json();
        (ran.status, told["admissions"].clone(), told["standing"].clone())
    };
    assert_eq!(reserve(&unit, &[]), (0, 0.into(), "none".into()));
    let whole = (0, 20.into(), "whole".into());
    assert_eq!(reserve(&unit, &["20"]), whole);
    unit.kill();
    unit.restart(&["--model", "dlib"]);
    assert_eq!(reserve(&unit, &[]), whole);
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!((&info["state"], &info["policy"]["target_fpir"]), (&"armed".into(), &1e-4.into()));
    let refusing = unit.run(&["policy", "set", "--target", "1e-6"]);
    assert_eq!(refusing.status, 1, "{refusing:?}");
    assert!(refusing.stdout.contains("further out than this model was measured"), "{refusing:?}");
    let refused = unit.show(&photos.join("obama.jpg"), "1.jpg");
    assert_eq!(
        (&refused["reason"], &refused["cause"]),
        (&"not_armed".into(), &"beyond_measurement".into())
    );
    let fixed = unit.run(&["policy", "set", "--threshold", "0.6", "--accept-risk"]);
    assert_eq!(fixed.status, 0, "{fixed:?}");
    assert!(fixed.stdout.contains("at the owner's risk"), "{fixed:?}");
    let info = unit.run(&["info"]);
    assert!(info.stdout.contains("at the owner's risk: no target is kept"), "{info:?}");
}

#[test]
fn a_unit_lets_nobody_in_until_it_is_acknowledged_that_a_photo_opens_it() {
    let Some(photos) = stock("the acknowledgement") else { return };
    let mut unit = Unit::start(&["--model", "dlib"]);
    let photo = photos.join("obama.jpg");
    let enrolled = unit.run(&["enrol", "Ada", "--photo", photo.to_str().unwrap()]);
    assert_eq!(enrolled.status, 0, "{enrolled:?}");
    unit.commission();
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!(
        (&info["state"], &info["fault_cause"]),
        (&"refuses".into(), &"not_acknowledged".into())
    );
    let info = unit.run(&["info"]).stdout;
    assert!(info.contains("helps     threshold policy acknowledge"), "{info}");
    let locked = unit.show(&photo, "1.jpg");
    assert_eq!(
        (&locked["reason"], &locked["cause"]),
        (&"not_armed".into(), &"not_acknowledged".into())
    );

    // Without the flag it is said what it means, and nothing is acknowledged.
    let words = unit.run(&["policy", "acknowledge"]);
    assert_eq!(words.status, 1, "{words:?}");
    for part in ["is let in like that person", "--photo-opens-this-door", "nothing is acknowledged"]
    {
        assert!(words.stdout.contains(part), "{words:?}");
    }
    assert_eq!(unit.run(&["--json", "policy", "show"]).json()["photo_acknowledged"], false);
    unit.acknowledge();
    unit.kill();
    std::fs::remove_file(unit.folder.path().join("camera/1.jpg")).unwrap();
    unit.restart(&["--model", "dlib"]);
    assert_eq!(unit.show(&photo, "2.jpg")["decision"], "admit");

    let withdrawn = unit.run(&["policy", "withdraw"]);
    assert_eq!(withdrawn.status, 0, "{withdrawn:?}");
    assert!(withdrawn.stdout.contains("no owner acknowledged that"), "{withdrawn:?}");
    assert_eq!(unit.show(&photo, "3.jpg")["cause"], "not_acknowledged");
}
