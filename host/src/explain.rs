//! A log entry in plain words: what the door did, why, by how much, and what would help.
//!
//! Owns the wording of `why` and of the one-line form that `log` prints.
//! Refuses to judge anew: every number comes from the entry, names and model from its context.

mod plot;

use crate::causes::{cause_help, cause_words, end_words};
use crate::say::plain;
use std::time::{Duration, SystemTime};
use threshold_record::{
    Cause, EnrolmentEnd, EntryKind, KeyTag, LogEntry, Metric, PersonId, Presentation, Reason,
    Score, Setting, WallTime,
};

/// The model of an entry, from its context record.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name, or empty if no pack with that id is here.
    pub name: String,
    /// Its id in hex.
    pub id: String,
    /// What its distance measures; `None` if no pack with that id is here.
    pub metric: Option<Metric>,
}

/// Gives the name of an enrolled person.
pub type NameOf<'a> = &'a dyn Fn(PersonId) -> Option<String>;

/// The explanation of an entry, several lines.
#[must_use]
pub fn explain(entry: &LogEntry, name_of: NameOf<'_>, model: Option<&Model>) -> String {
    let mut lines = vec![
        format!("Entry {}, {}", entry.sequence, when(entry)),
        format!("{}.", headline(entry, name_of)),
    ];
    let mut row = |head: &str, text: String| lines.push(format!("  {head:<16}{text}"));
    if entry.kind == EntryKind::Decision {
        let metric = model.and_then(|model| model.metric);
        if !entry.person.is_nobody() {
            row("best", candidate(entry.person, entry.best_score, name_of, metric));
            if entry.runner_up.is_nobody() {
                row("runner-up", "nobody else is enrolled, or was compared".to_owned());
            } else {
                let score = entry.runner_up_score;
                row("runner-up", candidate(entry.runner_up, score, name_of, metric));
            }
            row("threshold", threshold(entry, metric));
            if let Some(line) = plot::scores(entry) {
                row("scores", format!("{line}  b best, r runner-up, T threshold"));
            }
        }
        row("quality", quality(entry));
        row("presentation", presentation(entry.presentation).to_owned());
        if let Some(model) = model {
            let name = if model.name.is_empty() {
                "not in the packs folder".to_owned()
            } else {
                plain(&model.name)
            };
            row("model", format!("{name} (id {})", short_id(&model.id)));
        }
        row("times", times(entry));
    }
    if let Some(help) = help(entry, name_of) {
        row("what would help", help);
    }
    lines.join("\n")
}

/// The entry in one line, as `log follow` prints it.
#[must_use]
pub fn one_line(entry: &LogEntry, name_of: NameOf<'_>) -> String {
    let mut text = format!("{:>6}  {}  {}", entry.sequence, when(entry), headline(entry, name_of));
    if entry.kind == EntryKind::Decision && !entry.person.is_nobody() {
        text += &format!(
            " (best {}, score {:.3}, threshold {:.3})",
            person(entry.person, name_of),
            entry.best_score.0,
            entry.threshold.0
        );
    }
    text
}

/// The first 16 hex digits, which templates carry too.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.get(..16).unwrap_or(id)
}

/// A person as text: name and id, or the id alone.
#[must_use]
pub fn person(id: PersonId, name_of: NameOf<'_>) -> String {
    match name_of(id) {
        Some(name) => format!("{name} (#{})", id.0),
        None => format!("#{} (no longer enrolled)", id.0),
    }
}

/// Wall time as RFC 3339 in UTC, to the millisecond.
#[must_use]
pub fn wall(wall: WallTime) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(wall.unix_ms);
    humantime::format_rfc3339_millis(at).to_string()
}

fn when(entry: &LogEntry) -> String {
    let since = Duration::from_millis(entry.monotonic_ms).as_secs_f64();
    if entry.wall.trusted {
        wall(entry.wall)
    } else {
        format!("start {} + {since:.1} s (clock not set)", entry.boot)
    }
}

/// What the entry says, without a full stop.
fn headline(entry: &LogEntry, name_of: NameOf<'_>) -> String {
    let about = || person(entry.person, name_of);
    let by = || administrator(entry.by);
    let made = |role: &str| format!("{} made administrator {} {role}", by(), entry.about);
    let cause = || cause_words(entry.cause);
    match entry.kind {
        EntryKind::Boot => format!("The unit started (start {})", entry.boot),
        EntryKind::Armed => "The unit began to decide".to_owned(),
        EntryKind::Disarmed if entry.cause == Cause::None => {
            "The unit stopped deciding: it was shut down".to_owned()
        }
        EntryKind::Disarmed => format!("The unit stopped deciding: {}", cause()),
        EntryKind::Fault => format!("Something failed: {}", cause()),
        EntryKind::Enrolled => format!("{} enrolled {}", by(), about()),
        EntryKind::Removed => format!("{} removed #{}", by(), entry.person.0),
        EntryKind::LogRead => format!("{} read the log", by()),
        EntryKind::Paired => format!("Administrator {} was paired", entry.about),
        EntryKind::Revoked if entry.by == entry.about => format!("{} revoked the own key", by()),
        EntryKind::Revoked => format!("{} revoked administrator {}", by(), entry.about),
        EntryKind::MadeViewer => made("a viewer"),
        EntryKind::MadeEnroller => made("an enroller"),
        EntryKind::MadeOwner => made("an owner"),
        EntryKind::PolicySet => {
            format!("{} settled another policy: threshold {} now", by(), entry.threshold)
        }
        EntryKind::GalleryRead => format!("{} took a copy of the gallery, templates and all", by()),
        EntryKind::Reboot => format!("{} made the unit start again", by()),
        EntryKind::PhotoAcknowledged => {
            format!("{} acknowledged that a photo opens this door", by())
        }
        EntryKind::PhotoWithdrawn => {
            format!("{} took back that a photo may open this door", by())
        }
        EntryKind::Commissioned => {
            format!("{} let the unit move its lock, with recovery key {}", by(), entry.about)
        }
        EntryKind::RecoveryKeySet => {
            format!("{} registered recovery key {}", by(), entry.about)
        }
        EntryKind::ClockSet => format!("{} set the clock", by()),
        EntryKind::TailCut => {
            "A damaged end of the log was cut off at start; it had not been acknowledged".to_owned()
        }
        EntryKind::DoorForced => counted(
            entry,
            "The door was forced: it opened without the unit and without a request to exit",
        ),
        EntryKind::DoorHeld => counted(entry, "The door has stood open for too long"),
        EntryKind::DoorClosed => counted(entry, "The door is closed again"),
        EntryKind::ExitRequested => counted(entry, "Somebody inside asked to leave"),
        EntryKind::Tampered => counted(entry, "The unit's housing was opened"),
        EntryKind::HousingClosed => counted(entry, "The unit's housing is closed again"),
        EntryKind::ButtonPressed => counted(
            entry,
            "The button inside the housing was pressed: whoever has the code could pair for two minutes",
        ),
        EntryKind::Updated => format!("{} installed a version, which is on trial", by()),
        EntryKind::UpdateConfirmed if entry.by.is_nobody() => {
            "The version on trial found every part in order and stays".to_owned()
        }
        EntryKind::UpdateConfirmed => format!("{} confirmed the version on trial", by()),
        EntryKind::Reverted if entry.by.is_nobody() => {
            "The unit went back to the version before: the other one was not confirmed in its starts, or is damaged"
                .to_owned()
        }
        EntryKind::Reverted => format!("{} went back to the version before", by()),
        EntryKind::AccessSet => {
            format!("{} settled when {} may enter, and by which badges", by(), about())
        }
        EntryKind::ScheduleSet => format!("{} set schedule {}", by(), entry.runner_up.0),
        EntryKind::ScheduleRemoved => format!("{} removed schedule {}", by(), entry.runner_up.0),
        EntryKind::ConfigSet => {
            let key = u8::try_from(entry.runner_up.0).ok().and_then(Setting::from_code);
            let key = key.map_or_else(|| format!("setting {}", entry.runner_up.0), |key| key.text().to_owned());
            format!("{} set {key} for the next start", by())
        }
        EntryKind::ConfigReverted => format!("The unit started with what was set before: {}", cause()),
        EntryKind::Claim if entry.person.is_nobody() => {
            "A badge was read or a number typed that names nobody".to_owned()
        }
        EntryKind::Claim => {
            format!(
                "The badge or number of {} was given: the face that follows is compared with theirs alone (1:1)",
                about()
            )
        }
        EntryKind::GalleryStaged => {
            format!("{} put templates of another model beside the gallery, for an update", by())
        }
        EntryKind::Calibrated => {
            format!("{} calibrated the unit: the threshold is {} now", by(), entry.threshold)
        }
        EntryKind::FellBack => {
            "The processor computes from here on in the place of the GPU; it passed its self-test"
                .to_owned()
        }
        EntryKind::ReserveOpened => format!(
            "The medium of the log is full: out of the reserve the door admits {} times more at most",
            entry.runner_up.0
        ),
        EntryKind::ReserveWhole => {
            "The reserve's count of admissions has ended: the medium has room again, or the owner wants no reserve".to_owned()
        }
        EntryKind::Pruned => {
            let first = entry.first_kept().unwrap_or_default();
            format!("{} had the entries before {first} pruned, which had been pulled", by())
        }
        EntryKind::EnrolmentBegun => {
            let of = match entry.person.is_nobody() {
                true => "of somebody new".to_owned(),
                false => format!("of {}", about()),
            };
            format!("{} began an enrolment at the door, {of}; it decides nobody until that has ended", by())
        }
        EntryKind::EnrolmentEnded => {
            let end = u8::try_from(entry.runner_up.0).map_or(EnrolmentEnd::Later(u8::MAX), EnrolmentEnd::from_code);
            match end {
                EnrolmentEnd::Kept => format!("The enrolment at the door has ended: {} has its templates", about()),
                end => format!(
                    "The enrolment at the door has ended: {}, nothing is kept",
                    end_words(end, entry.cause, None)
                ),
            }
        }
        EntryKind::NotSent => {
            format!("The door controller was not told that {} was admitted: {}", about(), cause())
        }
        EntryKind::Unlocked => {
            format!("{} ended the lock-out, or began its counts anew", by())
        }
        EntryKind::Throttled => format!(
            "The unit is {} °C hot, and searches two frames a second for faces at most",
            entry.runner_up.0
        ),
        EntryKind::ThrottleEnded => {
            format!("The unit is {} °C hot, and searches as many frames as before", entry.runner_up.0)
        }
        EntryKind::Decision if entry.reason == Reason::Matched => {
            format!("The door opened for {}", about())
        }
        EntryKind::Later(code) => {
            format!("Something that only a later version of the program knows (code {code})")
        }
        EntryKind::Decision => format!("The door stayed locked: {}", refusal(entry, name_of)),
    }
}

/// What an input told, and how many times more before that it was not written down by itself.
fn counted(entry: &LogEntry, words: &str) -> String {
    match entry.runner_up.0 {
        0 => words.to_owned(),
        1 => format!("{words} (and once before)"),
        more => format!("{words} (and {more} times before)"),
    }
}

/// Whoever did it; over a line that was obeyed without a session it was somebody without a key.
fn administrator(by: KeyTag) -> String {
    if by.is_nobody() { "An administrator".to_owned() } else { format!("Administrator {by}") }
}

fn refusal(entry: &LogEntry, name_of: NameOf<'_>) -> String {
    match entry.reason {
        Reason::Matched => "no reason given".to_owned(),
        Reason::EmptyGallery => "nobody is enrolled".to_owned(),
        Reason::Unknown
            if matches!(
                entry.cause,
                Cause::OtherThanClaimed | Cause::UnknownCredential | Cause::NoCredential
            ) =>
        {
            cause_words(entry.cause).to_owned()
        }
        Reason::Unknown => "the face resembles nobody enrolled closely enough".to_owned(),
        Reason::Ambiguous if entry.cause == Cause::SameFace => {
            let who = person(entry.person, name_of);
            format!(
                "{who} and another enrolled person have the same face, and no credential was given"
            )
        }
        Reason::Ambiguous => format!(
            "two people fit almost equally, {} and {}",
            person(entry.person, name_of),
            person(entry.runner_up, name_of)
        ),
        Reason::TooFewFrames => "too few frames agreed before the visit ended".to_owned(),
        Reason::Quality if entry.cause == Cause::NoFace => "no face was seen".to_owned(),
        Reason::Quality => {
            format!("no frame was good enough to compare, {}", cause_words(entry.cause))
        }
        Reason::Spoof => "the presentation was judged to be no live face".to_owned(),
        Reason::LockedOut if entry.cause == Cause::Spoofs => cause_words(entry.cause).to_owned(),
        Reason::LockedOut => "too many failed attempts, locked out for a while".to_owned(),
        Reason::Schedule => {
            let who = person(entry.person, name_of);
            match entry.cause {
                Cause::NotYetValid => {
                    format!("{who} may not enter yet, the person's validity has not begun")
                }
                Cause::Expired => {
                    format!("{who} may not enter any more, the person's validity has ended")
                }
                Cause::OutsideSchedule => format!("{who} may not enter at this hour"),
                Cause::NoCard => {
                    format!(
                        "{who} has no card that the door controller takes, which holds the lock"
                    )
                }
                Cause::Passback => {
                    format!("{who} was admitted a short while ago, and not again so soon")
                }
                Cause::ClockNotSet => format!(
                    "{who} may enter at certain times only, and nobody set the unit's clock since its start"
                ),
                _ => format!("{who} may not enter now"),
            }
        }
        Reason::Fault => format!("a part of the unit failed, {}", cause_words(entry.cause)),
        Reason::NotArmed if entry.cause == Cause::None => "the unit is not armed".to_owned(),
        Reason::NotArmed => format!("the unit is not armed, {}", cause_words(entry.cause)),
        Reason::Later(code) => {
            format!("why, only a later version of the program knows (code {code})")
        }
    }
}

fn candidate(id: PersonId, score: Score, name_of: NameOf<'_>, metric: Option<Metric>) -> String {
    format!("{}: score {:.3}{}", person(id, name_of), score.0, distance(score, metric))
}

fn distance(score: Score, metric: Option<Metric>) -> String {
    metric
        .map(|metric| format!(", distance {:.3} {}", metric.distance(score), metric.unit()))
        .unwrap_or_default()
}

fn threshold(entry: &LogEntry, metric: Option<Metric>) -> String {
    let by = entry.best_score.0 - entry.threshold.0;
    let word = if by >= 0.0 { "reached" } else { "missed" };
    format!(
        "score {:.3}{} ({word} by {:.3})",
        entry.threshold.0,
        distance(entry.threshold, metric),
        by.abs()
    )
}

fn quality(entry: &LogEntry) -> String {
    match entry.cause {
        Cause::None => format!("{} % (best frame)", entry.quality),
        cause => format!("{} % (best frame), {}", entry.quality, cause_words(cause)),
    }
}

fn presentation(verdict: Presentation) -> &'static str {
    match verdict {
        Presentation::NotAssessed => {
            "not assessed: no detector is installed, a photo opens this door"
        }
        Presentation::Live => "live face",
        Presentation::Spoof => "judged an artefact",
        Presentation::Later(_) => "a verdict that only a later version of the program knows",
    }
}

fn times(entry: &LogEntry) -> String {
    let ms = |tenths: u16| format!("{:.1} ms", f32::from(tenths) / 10.0);
    // The field saturates at 6.5 s; a visit may last longer.
    let at_least = if entry.total_dms == u16::MAX { "more than " } else { "" };
    format!(
        "detection {}, embedding and search {}, {at_least}{} from first face to decision",
        ms(entry.detect_dms),
        ms(entry.embed_dms),
        ms(entry.total_dms)
    )
}

/// A score so near the threshold suggests the right person in an unlike picture: genuine pairs of both models
/// spread by about this much, impostors lie farther off.
const NEAR_MISS: f32 = 0.1;

fn help(entry: &LogEntry, name_of: NameOf<'_>) -> Option<String> {
    if entry.kind != EntryKind::Decision {
        return match entry.kind {
            EntryKind::Fault | EntryKind::Disarmed | EntryKind::NotSent => cause_help(entry.cause).map(str::to_owned),
            EntryKind::DoorForced => Some(
                "look at the door and at what was recorded there; if nobody forced it, check the contact and \
                 request-to-exit wiring"
                    .to_owned(),
            ),
            EntryKind::Throttled => cause_help(Cause::Heat).map(str::to_owned),
            EntryKind::DoorHeld => Some("close the door, or check its contact".to_owned()),
            EntryKind::Tampered => Some(
                "if that was nobody of yours: look at the unit's wiring and at threshold administrators list".to_owned(),
            ),
            _ => None,
        };
    }
    let because = cause_help(entry.cause);
    Some(match entry.reason {
        Reason::Matched | Reason::Spoof | Reason::Later(_) => return None,
        Reason::EmptyGallery => "threshold enrol <person> --photo <file>".to_owned(),
        Reason::Unknown => {
            let near = entry.threshold.0 - entry.best_score.0 < NEAR_MISS;
            match (near, because, name_of(entry.person)) {
                (_, Some(because), _) => because.to_owned(),
                (true, None, Some(name)) => {
                    format!(
                        "if this was {name}: another photo in this light, threshold enrol {name:?} --photo <file>"
                    )
                }
                _ => "if this person should enter: threshold enrol <person> --photo <file>"
                    .to_owned(),
            }
        }
        Reason::Ambiguous if because.is_some() => return because.map(str::to_owned),
        Reason::Ambiguous => {
            "more and better photos of both people, so that they lie apart".to_owned()
        }
        Reason::TooFewFrames => because.unwrap_or("look at the camera a moment longer").to_owned(),
        Reason::Quality | Reason::Fault | Reason::Schedule => {
            return because.map(str::to_owned);
        }
        Reason::LockedOut if because.is_some() => return because.map(str::to_owned),
        Reason::LockedOut => {
            "wait until the lock-out ends; threshold info shows how long".to_owned()
        }
        Reason::NotArmed if entry.cause == Cause::Enrolling => return because.map(str::to_owned),
        Reason::NotArmed => "threshold info says what is missing".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(id: PersonId) -> Option<String> {
        match id.0 {
            7 => Some("Ann".to_owned()),
            8 => Some("Bob".to_owned()),
            _ => None,
        }
    }

    fn decision(reason: Reason) -> LogEntry {
        let mut entry = LogEntry::of(EntryKind::Decision);
        entry.sequence = 12;
        entry.boot = 3;
        entry.monotonic_ms = 4500;
        entry.reason = reason;
        entry.person = PersonId(7);
        entry.runner_up = PersonId(8);
        entry.best_score = Score(0.5);
        entry.runner_up_score = Score(0.125);
        entry.threshold = Score(0.43);
        entry.quality = 71;
        entry.total_dms = 1234;
        entry
    }

    fn model() -> Model {
        Model {
            name: "facenet".to_owned(),
            id: "0123456789abcdef0123".to_owned(),
            metric: Some(Metric::SquaredL2),
        }
    }

    #[test]
    fn an_admission_is_told_with_scores_distances_and_times() {
        let text = explain(&decision(Reason::Matched), &names, Some(&model()));
        assert_eq!(
            text,
            "Entry 12, start 3 + 4.5 s (clock not set)\n\
             The door opened for Ann (#7).\n  \
             best            Ann (#7): score 0.500, distance 1.000 squared L2\n  \
             runner-up       Bob (#8): score 0.125, distance 1.750 squared L2\n  \
             threshold       score 0.430, distance 1.140 squared L2 (reached by 0.070)\n  \
             scores          0.09 |----r-------------------------T-----b----| 0.54  b best, r runner-up, T threshold\n  \
             quality         71 % (best frame)\n  \
             presentation    not assessed: no detector is installed, a photo opens this door\n  \
             model           facenet (id 0123456789abcdef)\n  \
             times           detection 0.0 ms, embedding and search 0.0 ms, 123.4 ms from first face to decision"
        );
    }

    #[test]
    fn somebody_who_may_not_enter_now_is_told_why_and_what_would_help() {
        let mut seen = std::collections::BTreeSet::new();
        for cause in [
            Cause::NotYetValid,
            Cause::Expired,
            Cause::OutsideSchedule,
            Cause::Passback,
            Cause::ClockNotSet,
            Cause::NoCard,
        ] {
            let text = explain(&LogEntry { cause, ..decision(Reason::Schedule) }, &names, None);
            let headline = text.lines().nth(1).unwrap_or_default().to_owned();
            assert!(headline.starts_with("The door stayed locked: Ann (#7) "), "{headline}");
            assert!(text.contains("what would help"), "{text}");
            assert!(seen.insert(headline), "{cause:?} has another cause's words");
        }
    }

    #[test]
    fn every_refusal_has_its_own_words_and_none_opens_the_door() {
        let mut seen = std::collections::BTreeSet::new();
        for &reason in Reason::ALL.iter().filter(|&&reason| reason != Reason::Matched) {
            let text = explain(&decision(reason), &names, None);
            let headline = text.lines().nth(1).unwrap_or_default().to_owned();
            assert!(headline.starts_with("The door stayed locked: "), "{headline}");
            assert!(seen.insert(headline), "{reason:?} has another reason's words");
        }
    }

    #[test]
    fn a_lock_out_after_attacks_has_other_words_and_another_way_out_than_a_pause() {
        let pause = explain(&decision(Reason::LockedOut), &names, None);
        let cause = Cause::Spoofs;
        let attacks = explain(&LogEntry { cause, ..decision(Reason::LockedOut) }, &names, None);
        assert!(attacks.contains("too many attacks") && attacks.contains("threshold unlock"));
        assert!(pause.contains("for a while") && !pause.contains("unlock"), "{pause}");
        for (kind, expected) in [
            (EntryKind::Unlocked, "ended the lock-out"),
            (EntryKind::Throttled, "The unit is 95 °C hot, and searches two frames a second"),
            (EntryKind::ThrottleEnded, "The unit is 95 °C hot, and searches as many frames"),
        ] {
            let text =
                explain(&LogEntry { runner_up: PersonId(95), ..LogEntry::of(kind) }, &names, None);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_near_miss_advises_another_photo_of_the_person_it_was_near_to() {
        let mut entry = decision(Reason::Unknown);
        entry.best_score = Score(0.4);
        assert!(explain(&entry, &names, None).contains("threshold enrol \"Ann\" --photo"));
        entry.best_score = Score(0.1);
        assert!(explain(&entry, &names, None).contains("threshold enrol <person> --photo"));
    }

    #[test]
    fn a_person_who_is_gone_is_named_by_id() {
        let mut entry = decision(Reason::Matched);
        entry.person = PersonId(99);
        assert!(one_line(&entry, &names).contains("#99 (no longer enrolled)"));
    }

    #[test]
    fn what_an_administrator_did_is_told_with_the_keys() {
        let (by, about) = (KeyTag([0x1a; 4]), KeyTag([0x2b; 4]));
        let words = |kind| {
            one_line(&LogEntry { by, about, person: PersonId(7), ..LogEntry::of(kind) }, &names)
        };
        for (kind, told) in [
            (EntryKind::Enrolled, "Administrator 1a1a1a1a enrolled Ann (#7)"),
            (EntryKind::Paired, "Administrator 2b2b2b2b was paired"),
            (EntryKind::Revoked, "Administrator 1a1a1a1a revoked administrator 2b2b2b2b"),
            (EntryKind::MadeOwner, "Administrator 1a1a1a1a made administrator 2b2b2b2b an owner"),
            (EntryKind::PolicySet, "1a1a1a1a settled another policy: threshold 0.000 now"),
            (EntryKind::Calibrated, "1a1a1a1a calibrated the unit: the threshold is 0.000 now"),
        ] {
            assert!(words(kind).ends_with(told), "{}", words(kind));
        }
        let own = LogEntry { by, about: by, ..LogEntry::of(EntryKind::Revoked) };
        assert!(one_line(&own, &names).ends_with("Administrator 1a1a1a1a revoked the own key"));
    }

    #[test]
    fn an_entry_that_stands_for_several_says_for_how_many() {
        let words = |more| {
            let entry = LogEntry::of(EntryKind::ExitRequested);
            one_line(&LogEntry { runner_up: PersonId(more), ..entry }, &names)
        };
        assert!(words(0).ends_with("Somebody inside asked to leave"), "{}", words(0));
        assert!(words(7).ends_with("asked to leave (and 7 times before)"), "{}", words(7));
    }

    #[test]
    fn an_admission_that_the_controller_was_not_told_of_says_why_and_what_would_help() {
        let entry =
            |cause| LogEntry { person: PersonId(7), cause, ..LogEntry::of(EntryKind::NotSent) };
        for (cause, why, help) in [
            (Cause::NoCard, "no card that the door controller takes", "threshold access set"),
            (
                Cause::Controller,
                "the door controller was not told, or not in time",
                "check [controller]",
            ),
        ] {
            let text = explain(&entry(cause), &names, None);
            assert!(text.contains("was not told that Ann (#7) was admitted: "), "{text}");
            assert!(text.contains(why) && text.contains(help), "{text}");
        }
    }

    #[test]
    fn every_kind_of_entry_has_its_own_words() {
        let words = |kind: &EntryKind| one_line(&LogEntry::of(*kind), &names);
        let all: std::collections::BTreeSet<_> = EntryKind::ALL.iter().map(words).collect();
        assert_eq!(all.len(), EntryKind::ALL.len());
    }
}
