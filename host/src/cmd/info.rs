//! `threshold info`: what the unit is and how it stands, plainly.
//!
//! Owns the words for a unit's state and the notices that nobody may overlook.

use super::{Answer, clock, commission, other_version, round, rule, stats};
use crate::causes::{cause_help, cause_words};
use crate::explain::short_id;
use crate::meant::Meant;
use crate::say::plain;
use crate::session::Session;
use serde_json::{Value, json};
use std::time::Duration;
use threshold_record::{Cause, Presentation};
use threshold_wire::Hello;
use threshold_wire::endpoints::{GetBeside, GetInfo};
use threshold_wire::gallery::beside::GalleryBeside;
use threshold_wire::message::{
    Armed, EngineState, Info, ModelInfo, Nothing, ReaderState, SecretKeeper,
};

/// Shows the unit. Of one of another version only what is frozen is shown, and the answer is no.
///
/// # Errors
/// A unit that does not answer.
pub fn run(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open_to_look(meant)?;
    if let Some(other) = other_version::look(&mut session) {
        meant.say.result(&other.value(), || other.text())?;
        return Ok(Answer::No);
    }
    // A unit that is starting is shown as it is, unless there is time to wait for it.
    if meant.wait.is_some() {
        session.await_start(meant)?;
    }
    let info = session.call::<GetInfo>(&Nothing {})?;
    // Whoever may only look from outside, or asks while the unit starts, is not told.
    let beside = session.call::<GetBeside>(&Nothing {}).ok().and_then(|told| told.beside);
    let hello = session.hello();
    let mut said = value(hello, &info);
    said["gallery_beside"] = beside.as_ref().map_or(Value::Null, beside_value);
    meant.say.result(&said, || {
        let text = text(hello, &info);
        beside.as_ref().map_or(text.clone(), |beside| format!("{text}\n{}", beside_text(beside)))
    })?;
    Ok(Answer::Yes)
}

/// The stable word of a state.
pub(super) fn state(armed: Armed) -> &'static str {
    match armed {
        Armed::Armed => "armed",
        Armed::EmptyGallery => "empty_gallery",
        Armed::Starting => "starting",
        Armed::Fault(_) => "fault",
        Armed::Refuses(_) => "refuses",
    }
}

/// The stable word of a keeper.
fn keeper(keeper: SecretKeeper) -> &'static str {
    match keeper {
        SecretKeeper::File => "file",
        SecretKeeper::Memory => "memory",
        SecretKeeper::Tpm => "tpm",
    }
}

fn photo_notice(info: &Info) -> Option<&'static str> {
    (info.presentation == Presentation::NotAssessed).then_some(Info::PHOTO_NOTICE)
}

fn value(hello: &Hello, info: &Info) -> Value {
    let fault_cause = match info.armed {
        Armed::Fault(cause) | Armed::Refuses(cause) => Some(cause.text()),
        _ => None,
    };
    json!({
        "unit": info.unit.as_str(),
        "build": info.build.as_str(),
        "protocol": hello.protocol,
        "schema": format!("{:016x}", hello.schema),
        "state": state(info.armed),
        "fault_cause": fault_cause,
        "model": info.model.as_ref().map(model_value),
        "policy": info.policy.as_ref().zip(info.model.as_ref())
            .map(|(policy, model)| rule::value(policy, model.metric)),
        "gallery": info.gallery.map(|gallery| json!({
            "people": gallery.people,
            "templates": gallery.templates,
            "capacity": gallery.capacity,
            "generation": gallery.generation,
        })),
        "log_head": info.log_head,
        "store": info.store.as_ref().map(|store| json!({
            "log_oldest": store.log_oldest,
            "log_segments": store.log_segments,
            "log_segments_kept": store.log_segments_kept,
            "log_segments_begun": store.log_segments_begun,
            "log_bytes": store.log_bytes,
            "gallery_segments": store.gallery_segments,
            "gallery_bytes": store.gallery_bytes,
            "written_bytes": store.written_bytes,
            "reserve_bytes": store.reserve_bytes,
            "secret_keeper": keeper(store.keeper),
            "counter": store.counter,
            "administrators": store.administrators,
        })),
        "commission": commission::value(info.commission),
        "lockout_s": info.lockout_s,
        "insecure_link": info.insecure_link,
        "reader": info.reader.map(|reader| match reader {
            ReaderState::Works => "works",
            ReaderState::Failed => "failed",
        }),
        "engine": info.engine.map(|engine| match engine {
            EngineState::Processor => "processor",
            EngineState::Device => "device",
            EngineState::FellBack => "fell_back",
        }),
        "heat": stats::heat_word(info.heat),
        "presentation": info.presentation.text(),
        "photo_notice": photo_notice(info),
        "boot": info.boot,
        "uptime_ms": info.uptime_ms,
        "wall": { "unix_ms": info.wall.unix_ms, "trusted": info.wall.trusted },
    })
}

fn beside_value(beside: &GalleryBeside) -> Value {
    json!({
        "model": beside.model.to_string(),
        "people": beside.people,
        "templates": beside.templates,
        "without": beside.without,
    })
}

fn beside_text(beside: &GalleryBeside) -> String {
    format!(
        "NOTICE: beside the gallery lie {} templates of {} people by model {}, for the version in the other slot; {} people of the \
         gallery have none there, and that version would not know them: enrol or push them again if the unit comes to run it",
        beside.templates,
        beside.people,
        short_id(&beside.model.to_string()),
        beside.without
    )
}

fn model_value(model: &ModelInfo) -> Value {
    let score = model.threshold.0;
    json!({
        "id": model.id.to_string(),
        "name": model.name.as_str(),
        "metric": model.metric.unit(),
        "crop": model.crop.as_str(),
        "embedding_len": model.embedding_len,
        "score_threshold": round(score.0),
        "distance_threshold": round(model.metric.distance(score)),
        "distance_unit": model.metric.unit(),
    })
}

fn text(hello: &Hello, info: &Info) -> String {
    let mut lines = vec![format!("{} (build {})", plain(&info.unit), plain(&info.build))];
    let mut row = |head: &str, text: String| lines.push(format!("  {head:<10}{text}"));
    row("state", state_text(info.armed));
    if let Some(help) = state_help(info.armed) {
        row("helps", help.to_owned());
    }
    match &info.model {
        Some(model) => {
            row(
                "model",
                format!(
                    "{} (id {}), {} components, {}",
                    plain(&model.name),
                    short_id(&model.id.to_string()),
                    model.embedding_len,
                    plain(&model.crop)
                ),
            );
            let rows = info.policy.as_ref().map(|policy| rule::rows(policy, model.metric));
            rows.into_iter().flatten().for_each(|(head, text)| row(head, text));
        }
        None => row("model", not_loaded(info.armed)),
    }
    match info.gallery {
        Some(gallery) => row(
            "gallery",
            format!(
                "{} people, {} of {} templates, generation {}",
                gallery.people, gallery.templates, gallery.capacity, gallery.generation
            ),
        ),
        None => row("gallery", not_loaded(info.armed)),
    }
    row(
        "log",
        match info.log_head {
            Some(0) => "empty".to_owned(),
            Some(head) => format!("last entry {head}"),
            None => "could not be opened".to_owned(),
        },
    );
    if let Some(store) = &info.store {
        row(
            "store",
            format!(
                "log from entry {} in {} of {} segments, {}; gallery {}; secret kept by {}",
                store.log_oldest,
                store.log_segments,
                store.log_segments_kept,
                indicatif::HumanBytes(store.log_bytes),
                indicatif::HumanBytes(store.gallery_bytes),
                match (store.keeper, store.counter) {
                    (SecretKeeper::File, _) => "a file beside it (for development)".to_owned(),
                    (SecretKeeper::Memory, _) => "memory".to_owned(),
                    (SecretKeeper::Tpm, None) => "a TPM".to_owned(),
                    (SecretKeeper::Tpm, Some(at)) => format!("a TPM, whose counter stands at {at}"),
                }
            ),
        );
        row(
            "flash",
            format!(
                "{} written since this start; {} segments of the log begun since the first, {} of the gallery kept; {}",
                indicatif::HumanBytes(store.written_bytes),
                store.log_segments_begun,
                store.gallery_segments,
                match store.reserve_bytes {
                    0 => "no reserve".to_owned(),
                    bytes => format!("a reserve of {}", indicatif::HumanBytes(bytes)),
                }
            ),
        );
        row(
            "paired",
            match store.administrators {
                0 => "nobody was paired yet: threshold pair".to_owned(),
                1 => "1 administrator".to_owned(),
                count => format!("{count} administrators"),
            },
        );
    }
    row("authority", commission::words(info.commission));
    if let Some(reader) = info.reader {
        row(
            "reader",
            match reader {
                ReaderState::Works => "works".to_owned(),
                ReaderState::Failed => {
                    "could not be had or failed; the unit's own messages say why".to_owned()
                }
            },
        );
    }
    if let Some(engine) = info.engine {
        row(
            "engine",
            match engine {
                EngineState::Processor => "the processor",
                EngineState::Device => "the GPU",
                EngineState::FellBack => {
                    "the processor, since the GPU could not be used or failed; the unit's own messages say why"
                }
            }
            .to_owned(),
        );
    }
    if info.lockout_s > 0 {
        row("lock-out", format!("{} s left", info.lockout_s));
    }
    if let Some(words) = stats::heat_words(info.heat) {
        row("heat", words.to_owned());
    }
    let uptime = humantime::format_duration(Duration::from_secs(info.uptime_ms / 1000));
    row("running", format!("{uptime} since start {}", info.boot));
    row("clock", clock::words(info.wall));
    row("link", format!("protocol {}, schema {:016x}", hello.protocol, hello.schema));
    match info.presentation {
        Presentation::NotAssessed => lines.push(format!(
            "NOTICE: {}: no presentation-attack detection is installed",
            Info::PHOTO_NOTICE
        )),
        verdict => row("presentation", verdict.text().to_owned()),
    }
    if info.insecure_link {
        lines.push(
            "NOTICE: this link is insecure: it is not authenticated, and whoever is on it can enrol and remove people"
                .to_owned(),
        );
    }
    lines.join("\n")
}

fn not_loaded(armed: Armed) -> String {
    let starting = armed == Armed::Starting;
    if starting { "not loaded yet" } else { "could not be loaded" }.to_owned()
}

fn state_text(armed: Armed) -> String {
    match armed {
        Armed::Armed => "armed: it decides who may enter".to_owned(),
        Armed::EmptyGallery => "armed, but nobody is enrolled: everybody is refused".to_owned(),
        Armed::Starting => "not armed yet: it is starting".to_owned(),
        Armed::Fault(cause) | Armed::Refuses(cause) => {
            format!("not armed: {}", cause_words(cause))
        }
    }
}

fn state_help(armed: Armed) -> Option<&'static str> {
    match armed {
        Armed::EmptyGallery => Some("threshold enrol <person> --photo <file>"),
        Armed::Fault(cause) => cause_help(cause),
        Armed::Refuses(cause @ Cause::Spoofs) => cause_help(cause),
        // Of every other refusal the policy's rows say what helps.
        Armed::Armed | Armed::Starting | Armed::Refuses(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::fake::FakeUnit;

    fn info(change: impl FnOnce(&mut Info)) -> (Hello, Info) {
        let unit = FakeUnit::new();
        let mut info = unit.info();
        change(&mut info);
        (unit.hello, info)
    }

    #[test]
    fn every_state_has_its_word_and_a_fault_says_what_helps() {
        let check = |armed: Armed, word: &str, cause: Value, help: &str| {
            let (hello, info) = info(|info| info.armed = armed);
            let value = value(&hello, &info);
            assert_eq!((&value["state"], &value["fault_cause"]), (&json!(word), &cause));
            assert!(text(&hello, &info).contains(help), "{}", text(&hello, &info));
        };
        check(Armed::Armed, "armed", Value::Null, "it decides");
        check(Armed::EmptyGallery, "empty_gallery", Value::Null, "threshold enrol");
        check(Armed::Starting, "starting", Value::Null, "it is starting");
        let camera = Armed::Fault(Cause::Camera);
        check(camera, "fault", json!("camera"), "check the camera's cable and power");
    }

    #[test]
    fn a_photo_that_opens_the_door_and_an_insecure_link_are_said_plainly() {
        let (hello, open) = info(|_| {});
        let said = text(&hello, &open);
        assert!(said.contains("NOTICE: a photo opens this door"), "{said}");
        assert!(said.contains("NOTICE: this link is insecure"), "{said}");
        assert_eq!(value(&hello, &open)["photo_notice"], "a photo opens this door");
        let (hello, safe) = info(|info| {
            info.presentation = Presentation::Live;
            info.insecure_link = false;
        });
        assert!(!text(&hello, &safe).contains("NOTICE"));
        assert_eq!(value(&hello, &safe)["photo_notice"], Value::Null);
    }

    #[test]
    fn what_the_unit_says_of_itself_cannot_pass_for_a_line_of_this_program() {
        let (hello, info) = info(|info| {
            info.unit = "door\n  state     armed\u{1b}[8m".try_into().unwrap_or_default();
        });
        let said = text(&hello, &info);
        assert!(said.starts_with("door\\u{a}  state     armed\\u{1b}[8m (build"), "{said}");
    }

    #[test]
    fn a_unit_without_model_gallery_or_log_is_shown_all_the_same() {
        let (hello, bare) = info(|info| {
            (info.model, info.gallery, info.log_head) = (None, None, None);
            info.lockout_s = 30;
        });
        let said = text(&hello, &bare);
        assert_eq!(said.matches("could not be").count(), 3, "{said}");
        assert!(said.contains("30 s left"), "{said}");
        let starting = text(&hello, &Info { armed: Armed::Starting, ..bare.clone() });
        assert_eq!(starting.matches("not loaded yet").count(), 2, "{starting}");
        assert_eq!(value(&hello, &bare)["model"], Value::Null);
    }

    #[test]
    fn a_unit_that_is_locked_out_after_attacks_or_hot_says_so_with_what_helps() {
        let (hello, info) = info(|info| {
            info.armed = Armed::Refuses(Cause::Spoofs);
            info.heat = threshold_wire::stats::HeatState::Throttled;
        });
        let said = text(&hello, &info);
        assert!(said.contains("not armed: too many attacks were seen in a row"), "{said}");
        assert!(said.contains("then threshold unlock; takes an enroller"), "{said}");
        assert!(said.contains("heat      the unit is hot, and searches two frames"), "{said}");
        let value = value(&hello, &info);
        assert_eq!(
            (&value["fault_cause"], &value["heat"]),
            (&"spoofs".into(), &"throttled".into())
        );
    }

    #[test]
    fn the_threshold_stands_as_score_and_as_distance_with_its_unit() {
        let (hello, info) = info(|_| {});
        let value = value(&hello, &info);
        assert_eq!(value["model"]["score_threshold"], 0.43);
        assert_eq!(value["model"]["distance_threshold"], 1.14);
        assert_eq!(value["model"]["distance_unit"], "squared L2");
        assert!(text(&hello, &info).contains("score 0.430 or more, distance 1.140 squared L2"));
    }
}
