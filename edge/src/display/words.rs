//! What the display says for each sign: one pure table.
//!
//! Refuses to tell anybody at the door more than the door does: no name, no score, and the same words for a stranger, for an enrolled
//! person whom the unit did not recognise and for a picture that was seen to be one.

use crate::unit::Sign;
use threshold_record::{Cause, Reason};

/// The words for a sign: ASCII, and no more than the 16 columns of the smallest display that is sold.
pub(super) const fn words(sign: Sign) -> &'static str {
    match sign {
        Sign::Starting => "Starting",
        Sign::Idle | Sign::Refused(_, Cause::NoFace) => "Look here",
        Sign::Look => "One moment",
        Sign::Granted => "Please come in",
        Sign::Fault | Sign::Refused(Reason::Fault | Reason::NotArmed, _) => "Out of service",
        Sign::Refused(Reason::Quality | Reason::TooFewFrames, cause) => match cause {
            Cause::TooFar => "Come closer",
            Cause::TooNear => "Step back",
            Cause::TooDark => "Too dark",
            Cause::TooBright => "Too bright",
            Cause::Blurred => "Hold still",
            Cause::TurnedAway => "Look straight",
            Cause::Covered => "Uncover face",
            Cause::MoreThanOne => "One at a time",
            _ => "Look here again",
        },
        Sign::Refused(Reason::LockedOut, _) => "Try again later",
        Sign::Refused(Reason::Schedule, _) => "Not at this time",
        Sign::Refused(_, Cause::NoCredential) => "Badge or PIN",
        Sign::Refused(..) => "Not recognised",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 16;

    #[test]
    fn every_sign_has_words_that_the_smallest_display_holds() {
        let steady = [Sign::Starting, Sign::Idle, Sign::Look, Sign::Granted, Sign::Fault];
        let refused = Reason::ALL
            .iter()
            .flat_map(|&reason| Cause::ALL.iter().map(move |&cause| Sign::Refused(reason, cause)));
        for sign in steady.into_iter().chain(refused) {
            let words = words(sign);
            assert!((1..=COLUMNS).contains(&words.len()), "{sign:?}: {words}");
            assert!(words.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{words}");
            assert_eq!(words == "Please come in", sign == Sign::Granted, "{sign:?}");
        }
    }

    #[test]
    fn nobody_learns_whether_they_are_enrolled() {
        let stranger = words(Sign::Refused(Reason::Unknown, Cause::None));
        for (reason, cause) in [
            (Reason::EmptyGallery, Cause::None),
            (Reason::Ambiguous, Cause::None),
            (Reason::Ambiguous, Cause::NearTwins),
            (Reason::Unknown, Cause::OtherThanClaimed),
            (Reason::Unknown, Cause::UnknownCredential),
            (Reason::Spoof, Cause::None),
        ] {
            assert_eq!(words(Sign::Refused(reason, cause)), stranger, "{reason:?}, {cause:?}");
        }
    }

    #[test]
    fn each_fault_of_a_picture_has_a_remedy_of_its_own() {
        let of = |code| words(Sign::Refused(Reason::Quality, Cause::from_code(code)));
        let mut all: Vec<_> = (1..=9).map(of).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 9, "{all:?}");
    }
}
