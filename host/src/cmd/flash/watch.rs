//! A trial, watched until it is over.
//!
//! Owns how long that may take and what the version said of itself meanwhile, which is the reason if the unit goes back.
//! Refuses to take a unit that is not heard for one that failed: it starts, perhaps several times.

use super::file::BundleFile;
use super::{FlashError, slots, state_word};
use crate::meant::Meant;
use crate::session::Session;
use std::time::{Duration, Instant};
use threshold_wire::update::{Slot, SlotState, Slots};

/// Time between two looks.
const POLL: Duration = Duration::from_secs(1);

/// How long a trial is watched if nothing was typed: three starts on a slow board.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is known of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trial {
    /// It goes on; what was said of it.
    Open(String),
    /// It was confirmed, in that slot.
    Confirmed(String),
    /// The unit runs that other version again; what is said of the one that was tried.
    WentBack(String, String),
}

/// Waits until the version is confirmed; gives its slot.
///
/// # Errors
/// [`FlashError::WentBack`] or [`FlashError::Undecided`], or a unit of another name.
pub(super) fn until_decided(meant: &Meant, bundle: &BundleFile) -> anyhow::Result<String> {
    let patience = meant.wait.unwrap_or_default().max(PATIENCE);
    let begun = Instant::now();
    let bar = meant.say.bar(patience.as_secs(), "on trial");
    // Each look waits for itself, so that a unit which starts again and again is heard in between.
    let mut looking = meant.clone();
    looking.wait = None;
    let version = bundle.manifest.version.clone();
    let mut said = "nothing since it was installed".to_owned();
    while begun.elapsed() < patience {
        bar.set_position(begun.elapsed().as_secs());
        // The port is free between two looks, for whoever confirms, reverts or reads the log meanwhile.
        if let Ok(there) =
            Session::open_to_update(&looking).and_then(|mut session| slots(&mut session))
        {
            match of(&there, &bundle.id) {
                Trial::Open(words) if words.is_empty() => {}
                Trial::Open(words) => said = words,
                Trial::Confirmed(slot) => {
                    bar.finish_and_clear();
                    return Ok(slot);
                }
                Trial::WentBack(now, words) => {
                    bar.finish_and_clear();
                    let why = if words.is_empty() { said } else { words };
                    return Err(FlashError::WentBack { version, now, why }.into());
                }
            }
        }
        std::thread::sleep(POLL);
    }
    bar.finish_and_clear();
    Err(FlashError::Undecided { version, waited_s: patience.as_secs(), said }.into())
}

/// True if a bundle is on trial at a unit, or runs there confirmed.
pub(super) fn has_come(there: &Slots, id: &[u8; 32]) -> bool {
    !matches!(of(there, id), Trial::WentBack(..))
}

/// How the trial of a bundle stands at a unit.
fn of(there: &Slots, id: &[u8; 32]) -> Trial {
    let tried = there.slots.iter().find(|slot| slot.bundle == *id);
    let running = there.slots.iter().find(|slot| slot.running);
    let state = tried.and_then(|slot| SlotState::of(slot.state));
    match (tried, state) {
        (Some(slot), Some(SlotState::Confirmed)) if slot.running => {
            Trial::Confirmed(slot.name.to_string())
        }
        (Some(slot), Some(SlotState::Trial)) => Trial::Open(words(slot)),
        _ => {
            let now = running.map_or_else(String::new, |slot| slot.version.to_string());
            let why = tried.map(|slot| slot.said.to_string()).unwrap_or_default();
            Trial::WentBack(now, why)
        }
    }
}

fn words(slot: &Slot) -> String {
    match (slot.running, slot.said.is_empty()) {
        (true, false) => slot.said.to_string(),
        (true, true) => state_word(slot.state),
        (false, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(id: u8, state: SlotState, running: bool, said: &str) -> Slot {
        Slot {
            name: threshold_wire::cut(if id == 1 { "a" } else { "b" }),
            version: threshold_wire::cut(if id == 1 { "1.0" } else { "2.0" }),
            state: state as u8,
            running,
            counter: 1,
            trials_left: 2,
            bundle: [id; 32],
            said: threshold_wire::cut(said),
        }
    }

    fn there(old: Slot, new: Slot) -> Slots {
        Slots {
            compatible: threshold_wire::cut("board"),
            counter: 1,
            release_key: [0; 32],
            serial: 1,
            longest: 1,
            model: [0; 32],
            people: 0,
            slots: [old, new].into_iter().collect(),
        }
    }

    fn check(old: Slot, new: Slot, expected: &Trial) {
        assert_eq!(of(&there(old, new), &[2; 32]), *expected);
    }

    #[test]
    fn what_is_on_trial_or_runs_confirmed_is_not_sent_again_after_a_cut() {
        use SlotState::{Confirmed, Empty, Failed, Trial as OnTrial};
        for (state, running, has) in [
            (OnTrial, false, true),
            (OnTrial, true, true),
            (Confirmed, true, true),
            // It was there before the push.
            (Confirmed, false, false),
            (Failed, false, false),
        ] {
            let old = slot(1, Confirmed, !running, "");
            let there = there(old, slot(2, state, running, ""));
            assert_eq!(has_come(&there, &[2; 32]), has, "{state:?}, {running}");
        }
        let old = || slot(1, Confirmed, true, "");
        assert!(!has_come(&there(old(), slot(3, OnTrial, false, "")), &[2; 32]), "another one's");
        assert!(!has_come(&there(old(), slot(0, Empty, false, "")), &[2; 32]));
    }

    #[test]
    fn a_trial_is_open_until_its_slot_says_otherwise() {
        use SlotState::{Confirmed, Damaged, Failed, Trial as OnTrial};
        let open = |said: &str| Trial::Open(said.to_owned());
        let back = |why: &str| Trial::WentBack("1.0".to_owned(), why.to_owned());
        let old = |running| slot(1, Confirmed, running, "");
        // Before the start, in it, and with a fault that may still mend.
        check(old(true), slot(2, OnTrial, false, ""), &open(""));
        check(old(false), slot(2, OnTrial, true, "starting"), &open("starting"));
        check(old(false), slot(2, OnTrial, true, "fault: camera"), &open("fault: camera"));
        check(old(false), slot(2, Confirmed, true, ""), &Trial::Confirmed("b".to_owned()));
        check(old(true), slot(2, Failed, false, ""), &back(""));
        check(old(true), slot(2, Damaged, false, "it is damaged"), &back("it is damaged"));
        // Written over by somebody else's.
        check(old(true), slot(3, OnTrial, false, ""), &back(""));
    }
}
