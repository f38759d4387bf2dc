//! Why the unit does not update, in words that end with what helps: a host of another version shows them as they are.

use crate::trial;
use std::io;
use threshold_bundle::BundleError;
use threshold_slots::SlotError;
use threshold_wire::RequestError;
use threshold_wire::update::UpdateRefusal as Refusal;

/// The line or the role does not allow it.
pub(crate) fn not_allowed(error: &RequestError) -> Refusal {
    Refusal::new(Refusal::NOT_ALLOWED, &error.to_string())
}

/// True if the same content is refused whatever else changes.
pub(super) fn is_final(refused: &Refusal) -> bool {
    [Refusal::BAD_BUNDLE, Refusal::OTHER_BASE].contains(&refused.code)
}

/// The unit was not started by its launcher, or could not open the slots that it runs from.
pub(crate) fn no_slots() -> Refusal {
    if trial::runs_from().is_some() {
        return slots_held();
    }
    Refusal::new(
        Refusal::NO_SLOTS,
        "this unit's program does not run from a slot, so there is nothing to update; install the unit by threshold flash --first \
         or its image",
    )
}

/// The unit runs from a slot, and another process held the slots at its start for longer than it waits.
fn slots_held() -> Refusal {
    Refusal::new(
        Refusal::FAULT,
        "the unit could not open its slots when it started, since another process held them or for what its notices say, and takes \
         no update before its next start; end that process, then threshold reboot",
    )
}

/// Something is being installed.
pub(crate) fn busy() -> Refusal {
    Refusal::new(
        Refusal::BUSY,
        "the unit is installing an update; wait until it has started again, then look at threshold slots",
    )
}

/// The unit was told to start again, which may be within the installation.
pub(crate) fn ending() -> Refusal {
    Refusal::new(
        Refusal::BUSY,
        "the unit is about to start again, and takes no update before that; wait until it has, then look at threshold slots",
    )
}

/// Longer than any bundle.
pub(crate) fn too_long(len: u64, max: u64) -> Refusal {
    let text = format!("{len} bytes are no bundle, {max} are the most; check the file");
    Refusal::new(Refusal::NO_ROOM, &text)
}

/// It would take what the log and the gallery need.
pub(crate) fn no_room(wanted: u64, free: u64) -> Refusal {
    let (wanted, free) = (wanted.div_ceil(1 << 20), free >> 20);
    let text = format!(
        "the unit's medium has {free} MB left, and the update with what the log needs takes {wanted}; free some of it, or use \
         threshold flash --from with the bundle that the unit runs"
    );
    Refusal::new(Refusal::NO_ROOM, &text)
}

/// The medium failed.
pub(crate) fn medium(error: &io::Error) -> Refusal {
    let text = format!("the unit's medium failed ({error}) and no slot was touched; check it");
    Refusal::new(Refusal::FAULT, &text)
}

/// Nothing of that hash is there.
pub(crate) fn not_pushed() -> Refusal {
    Refusal::new(
        Refusal::NOT_PUSHED,
        "the unit does not have this bundle; push it again: what is there already is not sent twice",
    )
}

/// The bundle is not taken; no slot was touched.
pub(crate) fn bundle(error: &BundleError) -> Refusal {
    let code = match error {
        BundleError::OtherBase => Refusal::OTHER_BASE,
        BundleError::Io(error) => return medium(error),
        _ => Refusal::BAD_BUNDLE,
    };
    // A bundle's texts put their remedy behind a colon or a semicolon.
    let text = error.to_string();
    let text = match text.contains("; ") {
        true => text,
        false => text.replacen(": ", "; ", 1),
    };
    Refusal::new(code, &text)
}

/// The launcher would find nothing to start.
pub(crate) fn no_program() -> Refusal {
    Refusal::new(
        Refusal::BAD_BUNDLE,
        "the bundle has no program to start; take a bundle of the unit's maker",
    )
}

/// The delta makes no bundle; no slot was touched.
pub(crate) fn delta(error: &BundleError) -> Refusal {
    match error {
        BundleError::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
            Refusal::new(Refusal::NO_ROOM, &error.to_string())
        }
        BundleError::Io(error) => {
            let text = format!("the delta makes no bundle ({error}); send the bundle whole");
            Refusal::new(Refusal::BAD_BUNDLE, &text)
        }
        error => bundle(error),
    }
}

/// The thread that installs panicked.
pub(crate) fn panicked() -> Refusal {
    Refusal::new(
        Refusal::FAULT,
        "the unit's program failed while it installed; look at threshold slots, and report this with the log",
    )
}

/// The slots say no.
pub(crate) fn slots(error: &SlotError) -> Refusal {
    match error {
        SlotError::Bundle(error) => bundle(error),
        SlotError::Busy => busy(),
        SlotError::OnTrial { .. }
        | SlotError::GoingBack { .. }
        | SlotError::NothingToConfirm
        | SlotError::NoWayBack { .. } => {
            with_remedy(Refusal::NO_TRIAL, error, "threshold slots shows how they stand")
        }
        _ => with_remedy(Refusal::FAULT, error, "threshold slots shows how they stand"),
    }
}

/// The bundle brings another embedder, and of so many people nothing of it lies beside the gallery.
pub(super) fn re_enrol(people: u32) -> Refusal {
    let text = format!(
        "the bundle brings another embedding model, by which the unit has no template of {people} people; send theirs with --gallery \
         (threshold vault re-embed, then threshold vault export), or repeat with --yes-re-enrol if they are to be enrolled again"
    );
    Refusal::new(Refusal::RE_ENROL, &text)
}

/// The gallery that should lie beside the unit's is of the same model.
pub(crate) fn same_model() -> Refusal {
    Refusal::new(
        Refusal::NOT_BESIDE,
        "the gallery is of the model that the unit runs; an update to the same model needs none, and its people come by threshold \
         gallery push",
    )
}

/// What lies beside the gallery is what the unit may go back to.
pub(crate) fn trial_needs_it() -> Refusal {
    Refusal::new(
        Refusal::NOT_BESIDE,
        "a version is on trial, and the unit may yet go back to the gallery of the one before; wait until it is confirmed, or \
         threshold confirm or threshold revert",
    )
}

/// The owner accepts what this version has no word for.
pub(crate) fn unknown_bits() -> Refusal {
    Refusal::new(
        Refusal::UNKNOWN_BITS,
        "this unit does not know what the host accepts with the update; update it first by a host of its own version",
    )
}

fn with_remedy(code: u16, error: &SlotError, remedy: &str) -> Refusal {
    let text = error.to_string();
    match text.contains("; ") {
        true => Refusal::new(code, &text),
        false => Refusal::new(code, &format!("{text}; {remedy}")),
    }
}
