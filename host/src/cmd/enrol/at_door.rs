//! `threshold enrol --at-door`: the person looks into the unit's own camera, and the unit makes the templates.
//!
//! Owns the polling and what the person is told meanwhile. Refuses to see a face: no picture and no embedding leaves the unit. Whatever
//! ends this program leaves nothing on the unit: what was gathered is kept only when it asks for that, and a unit that is not asked any
//! more ends by itself. And refuses to let a template go that is not kept here first (`--replace`).

use super::push::keep_what_goes;
use super::replaced::Replaced;
use super::{Answer, warn_if_locked};
use crate::error::HostError;
use crate::people::People;
use crate::say::Say;
use crate::session::port::Transport;
use crate::session::{Session, SessionError};
use crate::vault::Vault;
use crate::{args, meant::Meant};
use anyhow::Context;
use serde_json::{Value, json};
use signal_hook::consts::SIGINT;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use threshold_record::{
    Cause, EnrolmentEnd, HeadPose, MAX_EMBEDDING_LEN, MAX_SLOTS, Name, PersonId,
};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{
    BeginEnrolment, CancelEnrolment, GetEnrolment, GetInfo, KeepEnrolment,
};
use threshold_wire::enrolment::{
    EnrolmentBegin, EnrolmentKept, EnrolmentNumber, EnrolmentRefused, EnrolmentStage,
    EnrolmentStatus, TEMPLATES,
};
use threshold_wire::message::{ModelInfo, Nothing, PersonSummary, TemplateRedundant};

/// Time between two polls: some a second, which a line of 115,200 baud hardly notices.
const POLL: Duration = Duration::from_millis(250);

/// Enrols the person who stands before the unit.
///
/// # Errors
/// A name that cannot be used, a unit that says no, a time that was over, or whoever typed Ctrl-C.
pub(super) fn run(meant: &Meant, typed: &args::Enrol, name: Name) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    // From here on Ctrl-C is an end of the enrolment, and not of this program in the middle of it.
    signal_hook::flag::register(SIGINT, Arc::clone(&interrupted)).context("no signal handler")?;
    let mut begin = EnrolmentBegin {
        name,
        templates: typed.templates.unwrap_or(TEMPLATES),
        force: typed.force,
    };
    let mut room = Room::of(meant, typed, &mut session, &begin)?;
    if room.is_some() {
        begin.templates = 1;
    }
    let kept = carry_out(&mut session, meant.say, &begin, &interrupted, room.as_mut())?;
    let mut value = value(&begin.name, &kept);
    value["replaced"] = room.as_ref().map_or(Value::Null, |room| room.replaced.value());
    meant.say.result(&value, || {
        let replaced = room.as_ref().and_then(|room| room.replaced.text()).unwrap_or_default();
        text(&begin.name, &kept) + &replaced
    })?;
    if let Some(odd) = room.as_ref().and_then(|room| room.odd(&kept)) {
        meant.say.warn(&odd);
    }
    meant.say.warn(&outside(&begin.name, &kept, in_vault(meant, &begin.name)));
    warn_if_locked(&mut session, meant.say)?;
    Ok(Answer::Yes)
}

/// What makes room for one template where every slot is used: the unit says which one goes, and it is kept here before that.
struct Room {
    replaced: Replaced,
    name: Name,
    of: TemplateRedundant,
    /// Of the template that is kept here.
    slot: Option<u8>,
}

impl Room {
    /// `None` for whoever has a free slot.
    fn of<T: Transport>(
        meant: &Meant,
        typed: &args::Enrol,
        session: &mut Session<T>,
        begin: &EnrolmentBegin,
    ) -> anyhow::Result<Option<Self>> {
        let full = |person: &&PersonSummary| person.slots.count_ones() == u32::from(MAX_SLOTS);
        let people = People::read(session)?;
        let Some(there) = people.named(&begin.name).filter(full) else { return Ok(None) };
        let Some(file) = &typed.replace else {
            return Err(HostError::SlotsFull {
                name: begin.name.as_str().to_owned(),
                used: MAX_SLOTS.into(),
                wanted: begin.templates.into(),
                max: MAX_SLOTS.into(),
            }
            .into());
        };
        let info = session.call::<GetInfo>(&Nothing {})?;
        let model = info.model.ok_or(RequestError::NotReady { part: Cause::Model })?;
        let replaced = Replaced::begin(meant, file, model.id)?;
        Ok(Some(Self::for_one(replaced, &begin.name, there.person, &model)))
    }

    fn for_one(replaced: Replaced, name: &Name, person: PersonId, model: &ModelInfo) -> Self {
        // A direction that is nobody's face: the person's templates are nearer to each other than to it, so that one of them goes.
        let len = usize::from(model.embedding_len).min(MAX_EMBEDDING_LEN);
        let scale = 1.0 / (127.0 * (len.max(1) as f32).sqrt());
        let vector = (0..len).map(|at| if at.is_multiple_of(2) { 127 } else { -127 }).collect();
        let of = TemplateRedundant { model: model.id, person, quality: 0, scale, vector };
        Self { replaced, name: name.clone(), of, slot: None }
    }

    /// Keeps what goes, if it is not kept yet.
    fn make<T: Transport>(&mut self, session: &mut Session<T>) -> anyhow::Result<()> {
        if self.slot.is_none() {
            self.slot = keep_what_goes(session, &self.name, &self.of, &mut self.replaced)?;
        }
        Ok(())
    }

    /// What is to be said if the unit put the new template elsewhere than in place of what is kept here.
    fn odd(&self, kept: &EnrolmentKept) -> Option<String> {
        let slot = kept.templates.iter().map(|it| it.slot).find(|&slot| Some(slot) != self.slot)?;
        Some(format!(
            "the unit took slot {slot}, where something changed meanwhile: what stood there is not in the file (try: threshold gallery \
             diff with the newest copy)"
        ))
    }
}

fn carry_out<T: Transport>(
    session: &mut Session<T>,
    say: Say,
    begin: &EnrolmentBegin,
    interrupted: &AtomicBool,
    mut room: Option<&mut Room>,
) -> anyhow::Result<EnrolmentKept> {
    let begun = session.call::<BeginEnrolment>(begin)?;
    let of = EnrolmentNumber { number: begun.number };
    let bar = say.live();
    let mut told = None;
    let ended = loop {
        if interrupted.load(Ordering::Relaxed) {
            session.call::<CancelEnrolment>(&of)?;
            break Err((EnrolmentEnd::Cancelled, Cause::None, None));
        }
        let status = session.call::<GetEnrolment>(&of)?;
        let now = (advice(&status), status.taken, status.stage);
        if told.as_ref() != Some(&now) {
            if say.is_json() {
                Say::line(&progress(&status, now.0).to_string())?;
            } else if bar.is_hidden() {
                say.note(&line(&status, now.0));
            }
            told = Some(now);
        }
        let of_each = status.of_each.max(1);
        bar.set_length(u64::from(of_each) * status.taken.len() as u64);
        bar.set_position(status.taken.iter().map(|&taken| u64::from(taken.min(of_each))).sum());
        bar.set_message(advice(&status));
        match status.stage {
            EnrolmentStage::Gathering => session.pause(POLL)?,
            EnrolmentStage::Enough => {
                if let Some(room) = &mut room {
                    room.make(session)?;
                }
                match session.call::<KeepEnrolment>(&of) {
                    Ok(kept) => break Ok(kept),
                    Err(error) => match error.refusal() {
                        Some(&RequestError::BadEnrolment(EnrolmentRefused::SomebodyElse {
                            other,
                        })) => {
                            break Err((EnrolmentEnd::SomebodyElse, Cause::AnotherPerson, other));
                        }
                        // The face was lost between the two calls: it goes on.
                        Some(RequestError::BadEnrolment(EnrolmentRefused::NotEnough)) => {
                            session.pause(POLL)?;
                        }
                        _ => return Err(error.into()),
                    },
                }
            }
            EnrolmentStage::Ended(end) => {
                let other = status.resembled.map(|other| other.person);
                break Err((end, status.cause, other));
            }
        }
    };
    bar.finish_and_clear();
    match ended {
        Ok(kept) => Ok(kept),
        Err((end, cause, other)) => {
            let other = other.map(|id| called(session, id)).transpose()?;
            Err(HostError::NotEnrolled { end, cause, other }.into())
        }
    }
}

/// The id that the administrator's own vault, if there is one that opens, has for a name.
fn in_vault(meant: &Meant, name: &Name) -> Option<PersonId> {
    Vault::open_to_read(&meant.keychain.vault(), &meant.keychain).ok()?.id_of(name)
}

/// What nothing is kept of outside the unit: no picture leaves it, so that the vault has none to make other templates of.
fn outside(name: &Name, kept: &EnrolmentKept, in_vault: Option<PersonId>) -> String {
    let (text, EnrolmentKept { person, .. }) = (name.as_str(), kept);
    match in_vault {
        None => format!(
            "{name} is in no vault: consent and retention are recorded nowhere, and a change of the model needs the person at the door \
             again; threshold enrol {text:?} --vault --photo <photos> records them under the same id (threshold vault init makes a vault)"
        ),
        Some(id) if id == *person => format!(
            "these templates are not in the vault: after a change of the model {name} has those of the vault's photos alone; threshold \
             enrol {text:?} --vault --photo <photos> adds photos, threshold enrol {text:?} --at-door templates"
        ),
        Some(id) => format!(
            "{name} is #{} at the unit and #{} in the vault, so that what is removed under the one id stays under the other; threshold \
             gallery remove {text:?}, then threshold enrol {text:?} --vault --photo <all photos>",
            person.0, id.0
        ),
    }
}

/// Whom an owner is told that the face resembles.
fn called<T: Transport>(session: &mut Session<T>, id: PersonId) -> Result<String, SessionError> {
    let name = People::read(session)?.name_of(id).unwrap_or_default();
    Ok(format!("{name} (#{})", id.0))
}

/// What the person is to do now.
fn advice(status: &EnrolmentStatus) -> &'static str {
    match status.stage {
        EnrolmentStage::Ended(_) => return "it is over",
        EnrolmentStage::Enough => return "that is enough, thank you",
        EnrolmentStage::Gathering => {}
    }
    match status.cause {
        Cause::NoFace => "look at the camera, with the whole face in view",
        Cause::TooFar => "come closer",
        Cause::TooNear => "step back, until the whole face is in view",
        Cause::TooDark => "more light on the face",
        Cause::TooBright => "less light on the face",
        Cause::Blurred => "hold still",
        Cause::Covered => "uncover eyes, nose and mouth",
        Cause::MoreThanOne => "one person at a time: everybody else out of view",
        Cause::AnotherPerson => "that was another face: one person only, from the beginning",
        Cause::TurnedAway => match status.pose {
            HeadPose::Frontal => "look straight at the camera",
            HeadPose::Left | HeadPose::Right => "turn back a little, and keep the head upright",
        },
        _ => match (status.pose, status.yaw_deg) {
            (HeadPose::Frontal, -10..=10) => "good: keep looking at the camera",
            (HeadPose::Frontal, _) => "look straight at the camera",
            (HeadPose::Left, 13..) | (HeadPose::Right, ..=-13) => "good: stay like that",
            (HeadPose::Left, _) => "turn your head a little to your left",
            (HeadPose::Right, _) => "turn your head a little to your right",
        },
    }
}

/// How far it is, in one line.
fn line(status: &EnrolmentStatus, advice: &str) -> String {
    let [frontal, left, right] = status.taken;
    let of = status.of_each;
    format!(
        "straight {frontal}/{of}, left {left}/{of}, right {right}/{of}, quality {} %: {advice}",
        status.quality
    )
}

fn progress(status: &EnrolmentStatus, advice: &str) -> Value {
    let (stage, end) = match status.stage {
        EnrolmentStage::Gathering => ("gathering", None),
        EnrolmentStage::Enough => ("enough", None),
        EnrolmentStage::Ended(end) => ("ended", Some(end.text())),
    };
    let [frontal, left, right] = status.taken;
    json!({
        "stage": stage,
        "end": end,
        "say": advice,
        "pose": status.pose.text(),
        "cause": status.cause.to_string(),
        "quality": status.quality,
        "yaw_deg": status.yaw_deg,
        "taken": { "frontal": frontal, "left": left, "right": right },
        "of_each": status.of_each,
        "frames": status.frames,
        "discarded": status.discarded,
        "left_ms": status.left_ms,
    })
}

fn value(name: &Name, kept: &EnrolmentKept) -> Value {
    let templates: Vec<Value> = kept
        .templates
        .iter()
        .map(|it| json!({ "slot": it.slot, "quality": it.quality, "pose": it.pose.text() }))
        .collect();
    json!({
        "person": kept.person.0,
        "name": name.as_str(),
        "added": kept.added,
        "templates": templates,
        "generation": kept.generation,
    })
}

fn text(name: &Name, kept: &EnrolmentKept) -> String {
    let word = if kept.added { "is enrolled" } else { "has further templates" };
    let mut lines = vec![format!("{name} (#{}) {word}", kept.person.0)];
    lines.extend(
        kept.templates
            .iter()
            .map(|it| format!("  slot {}  quality {} %  {}", it.slot, it.quality, it.pose.text())),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::replaced::tests::{replaced, template as a_template};
    use super::*;
    use crate::session::fake::{FakeUnit, Fault};
    use threshold_record::{Score, Template};
    use threshold_wire::enrolment::TemplateKept;
    use threshold_wire::message::Resembled;

    fn status(pose: HeadPose, cause: Cause, yaw_deg: i8, taken: [u8; 3]) -> EnrolmentStatus {
        EnrolmentStatus {
            stage: EnrolmentStage::Gathering,
            pose,
            cause,
            quality: 80,
            yaw_deg,
            taken,
            of_each: 3,
            frames: 9,
            discarded: 0,
            left_ms: 50_000,
            resembled: None,
        }
    }

    fn at_stage(stage: EnrolmentStage, cause: Cause) -> EnrolmentStatus {
        EnrolmentStatus { stage, ..status(HeadPose::Right, cause, 0, [3; 3]) }
    }

    fn begin() -> EnrolmentBegin {
        EnrolmentBegin { name: Name::new("Ann").unwrap(), templates: 3, force: false }
    }

    fn enrolled(
        unit: FakeUnit,
        interrupted: bool,
    ) -> (anyhow::Result<EnrolmentKept>, Vec<&'static str>) {
        let mut session = unit.session();
        let flag = AtomicBool::new(interrupted);
        let kept = carry_out(&mut session, Say::new(false), &begin(), &flag, None);
        let obeyed = std::mem::take(&mut session.unit().obeyed);
        (kept, obeyed)
    }

    #[test]
    fn the_person_is_told_what_to_do() {
        for (pose, cause, yaw_deg, words) in [
            (HeadPose::Frontal, Cause::NoFace, 0, "look at the camera"),
            (HeadPose::Frontal, Cause::TooFar, 0, "closer"),
            (HeadPose::Frontal, Cause::TooDark, 0, "more light"),
            (HeadPose::Left, Cause::Blurred, 20, "hold still"),
            (HeadPose::Frontal, Cause::None, 3, "keep looking"),
            (HeadPose::Frontal, Cause::None, 20, "straight at the camera"),
            (HeadPose::Left, Cause::None, 3, "to your left"),
            (HeadPose::Left, Cause::None, 20, "stay like that"),
            (HeadPose::Left, Cause::TurnedAway, 60, "turn back"),
            (HeadPose::Right, Cause::None, 20, "to your right"),
            (HeadPose::Right, Cause::None, -20, "stay like that"),
            (HeadPose::Frontal, Cause::AnotherPerson, 0, "another face"),
            (HeadPose::Frontal, Cause::MoreThanOne, 0, "one person at a time"),
        ] {
            let said = advice(&status(pose, cause, yaw_deg, [0; 3]));
            assert!(said.contains(words), "{pose:?} {cause:?} {yaw_deg}: {said}");
        }
        let said = line(&status(HeadPose::Left, Cause::None, 0, [3, 1, 0]), "turn");
        assert_eq!(said, "straight 3/3, left 1/3, right 0/3, quality 80 %: turn");
    }

    #[test]
    fn it_is_polled_until_it_is_enough_and_then_kept() {
        let mut unit = FakeUnit::new();
        unit.enrolment = [
            status(HeadPose::Frontal, Cause::NoFace, 0, [0; 3]),
            status(HeadPose::Left, Cause::None, 0, [3, 0, 0]),
            at_stage(EnrolmentStage::Enough, Cause::None),
        ]
        .into();
        let template = TemplateKept { slot: 0, quality: 91, pose: HeadPose::Left };
        let kept = EnrolmentKept {
            person: PersonId(4),
            added: true,
            templates: [template].into_iter().collect(),
            generation: 9,
        };
        unit.kept = Some(kept.clone());
        let (done, obeyed) = enrolled(unit, false);
        assert_eq!(done.unwrap(), kept);
        let polls = ["enrolment/get"; 3];
        let calls = [&["hello", "enrolment/begin"][..], &polls, &["enrolment/keep"]].concat();
        assert_eq!(obeyed, calls);
        let name = begin().name;
        assert_eq!(text(&name, &kept), "Ann (#4) is enrolled\n  slot 0  quality 91 %  left");
        assert_eq!(value(&name, &kept)["templates"][0]["pose"], "left");
        // Nothing of it is kept elsewhere, which is said with what mends it.
        for (in_vault, words) in [
            (None, ["is in no vault", "threshold enrol \"Ann\" --vault --photo"]),
            (Some(4), ["are not in the vault", "threshold enrol \"Ann\" --vault --photo"]),
            (Some(9), ["#4 at the unit and #9 in the vault", "threshold gallery remove \"Ann\""]),
        ] {
            let said = outside(&name, &kept, in_vault.map(PersonId));
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }

    #[test]
    fn where_there_is_no_room_what_goes_is_kept_here_before_the_unit_keeps_what_it_gathered() {
        let folder = tempfile::tempdir().unwrap();
        let tried = |at: &str, given: Option<u8>| {
            let mut unit = FakeUnit::new();
            let ann = unit.add_person("Ann", 0xff);
            unit.enrolment = [at_stage(EnrolmentStage::Enough, Cause::None)].into();
            let template = TemplateKept { slot: 3, quality: 91, pose: HeadPose::Left };
            let templates = [template].into_iter().collect();
            unit.kept = Some(EnrolmentKept { person: ann, added: false, templates, generation: 9 });
            unit.redundant = [given.map(|slot| Template { slot, ..a_template(slot, 7) })].into();
            let folder = folder.path().join(at);
            std::fs::create_dir(&folder).unwrap();
            let model = FakeUnit::new().info().model.unwrap();
            let mut room = Room::for_one(replaced(&folder), &begin().name, ann, &model);
            let (mut session, flag) = (unit.session(), AtomicBool::new(false));
            let say = Say::new(false);
            let kept = carry_out(&mut session, say, &begin(), &flag, Some(&mut room)).unwrap();
            let obeyed = std::mem::take(&mut session.unit().obeyed);
            (room.odd(&kept), room.replaced.value()["slots"].clone(), obeyed)
        };
        let (odd, slots, obeyed) = tried("a", Some(3));
        assert_eq!((odd, slots), (None, json!([3])));
        let calls =
            ["hello", "enrolment/begin", "enrolment/get", "gallery/redundant", "enrolment/keep"];
        assert_eq!(obeyed, calls);
        // A unit whose gallery changed in between.
        let (odd, slots, _) = tried("b", Some(5));
        assert_eq!(slots, json!([5]));
        assert!(odd.unwrap().starts_with("the unit took slot 3"));
    }

    #[test]
    fn ctrl_c_gives_it_up_at_the_unit_too() {
        let mut unit = FakeUnit::new();
        unit.enrolment = [status(HeadPose::Frontal, Cause::NoFace, 0, [0; 3])].into();
        let (done, obeyed) = enrolled(unit, true);
        assert_eq!(obeyed.last(), Some(&"enrolment/cancel"));
        let error = done.unwrap_err().to_string();
        assert_eq!(error, "the enrolment was given up: nothing is kept");
    }

    #[test]
    fn an_end_at_the_unit_is_told_with_whom_the_face_resembles_if_that_is_known() {
        let check = |status: EnrolmentStatus, words: &str| {
            let mut unit = FakeUnit::new();
            unit.add_person("Bob", 1);
            unit.enrolment = [status].into();
            let (done, obeyed) = enrolled(unit, false);
            let error = done.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(!obeyed.contains(&"enrolment/keep"));
        };
        let over = |end, cause| at_stage(EnrolmentStage::Ended(end), cause);
        check(over(EnrolmentEnd::TimedOut, Cause::TooDark), "the face is too dark");
        check(over(EnrolmentEnd::LineGone, Cause::None), "not asked for it in time");
        check(over(EnrolmentEnd::Fault, Cause::Camera), "the camera failed");
        let somebody = over(EnrolmentEnd::SomebodyElse, Cause::AnotherPerson);
        check(somebody, "matches somebody who is enrolled already");
        let bob = Some(Resembled { person: PersonId(1), score: Score(0.9) });
        check(EnrolmentStatus { resembled: bob, ..somebody }, "matches Bob (#1)");
    }

    #[test]
    fn a_line_that_goes_ends_it_at_once() {
        let mut unit = FakeUnit::with(Fault::GoneAfter(4));
        unit.enrolment = [status(HeadPose::Frontal, Cause::NoFace, 0, [0; 3])].into();
        let (done, _) = enrolled(unit, false);
        assert!(done.unwrap_err().to_string().contains("was unplugged"));
    }
}
