//! What LEDs and buzzer do for each sign: one pure table. A sign and the time since it was shown come in, levels go out.
//!
//! Refuses to say more than two LEDs can: the number of red blinks is the cause's code, everything else is in the log.

use crate::unit::Sign;
use threshold_record::{Cause, Reason};

/// One lamp's or the buzzer's part of a pattern: on and off, so many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beat {
    on_ms: u64,
    off_ms: u64,
    times: u64,
}

const EVER: u64 = u64::MAX;
const NOTHING: Beat = Beat { on_ms: 0, off_ms: 1, times: 0 };

const fn beat(on_ms: u64, off_ms: u64, times: u64) -> Beat {
    Beat { on_ms, off_ms, times }
}

/// What is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Levels {
    /// The green LED.
    pub(super) granted: bool,
    /// The red LED.
    pub(super) refused: bool,
    /// The buzzer.
    pub(super) buzzer: bool,
}

/// What to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// A sign of the unit's.
    Sign(Sign),
    /// The door stands open that should not, or the housing does.
    Alarm,
}

/// Green, red, buzzer.
const fn beats(pattern: Pattern) -> [Beat; 3] {
    let sign = match pattern {
        // Both at once, which no sign shows.
        Pattern::Alarm => return [NOTHING, beat(250, 250, EVER), beat(250, 250, EVER)],
        Pattern::Sign(sign) => sign,
    };
    match sign {
        Sign::Starting => [beat(100, 1_900, EVER), beat(100, 1_900, EVER), NOTHING],
        Sign::Idle => [NOTHING; 3],
        Sign::Look => [beat(100, 300, EVER), NOTHING, NOTHING],
        // As long as somebody needs to see it and push, whatever the relay's pulse.
        Sign::Granted => [beat(3_000, 0, 1), NOTHING, beat(300, 0, 1)],
        Sign::Fault => [NOTHING, beat(100, 1_900, EVER), NOTHING],
        Sign::Refused(reason, cause) => {
            let red = match (reason, cause.code()) {
                (Reason::Quality | Reason::TooFewFrames, code @ 1..=9) => {
                    beat(250, 250, code as u64)
                }
                (Reason::LockedOut, _) => beat(1_500, 500, 3),
                (Reason::Fault | Reason::NotArmed, _) => beat(100, 100, 10),
                _ => beat(2_000, 0, 1),
            };
            // An empty picture is nobody who would hear it.
            let buzzer = match cause {
                Cause::NoFace => NOTHING,
                _ => beat(100, 100, 2),
            };
            [NOTHING, red, buzzer]
        }
    }
}

/// What is on so long after the pattern began, and milliseconds until that changes; `None` if it stays.
pub(super) fn levels(pattern: Pattern, since_ms: u64) -> (Levels, Option<u64>) {
    let [granted, refused, buzzer] = beats(pattern).map(|beat| at(beat, since_ms));
    let due_ms = [granted.1, refused.1, buzzer.1].into_iter().flatten().min();
    (Levels { granted: granted.0, refused: refused.0, buzzer: buzzer.0 }, due_ms)
}

fn at(Beat { on_ms, off_ms, times }: Beat, since_ms: u64) -> (bool, Option<u64>) {
    let period_ms = on_ms + off_ms;
    if since_ms / period_ms >= times {
        return (false, None);
    }
    let within_ms = since_ms % period_ms;
    match within_ms < on_ms {
        true => (true, Some(on_ms - within_ms)),
        false => (false, Some(period_ms - within_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Pattern> {
        let steady = [Sign::Starting, Sign::Idle, Sign::Look, Sign::Granted, Sign::Fault];
        let refused = Reason::ALL
            .iter()
            .filter(|&&reason| reason != Reason::Matched)
            .flat_map(|&reason| Cause::ALL.iter().map(move |&cause| Sign::Refused(reason, cause)));
        let signs = steady.into_iter().chain(refused).map(Pattern::Sign);
        signs.chain([Pattern::Alarm]).collect()
    }

    /// Times of a lamp's rises within the first 20 s, and how long it is lit in all.
    fn seen(pattern: Pattern, lamp: fn(Levels) -> bool) -> (usize, u64) {
        let on: Vec<bool> = (0..20_000).map(|ms| lamp(levels(pattern, ms).0)).collect();
        let rises = usize::from(on[0]) + on.windows(2).filter(|two| !two[0] && two[1]).count();
        (rises, on.iter().filter(|&&on| on).count() as u64)
    }

    #[test]
    fn green_lights_for_an_admission_and_while_somebody_is_compared_and_for_no_refusal() {
        for pattern in all() {
            let (_, lit_ms) = seen(pattern, |levels| levels.granted);
            let may = matches!(pattern, Pattern::Sign(Sign::Granted | Sign::Look | Sign::Starting));
            assert_eq!(lit_ms > 0, may, "{pattern:?}");
        }
        assert_eq!(seen(Pattern::Sign(Sign::Granted), |levels| levels.granted), (1, 3_000));
    }

    #[test]
    fn the_red_blinks_of_a_poor_picture_are_its_causes_code() {
        for &cause in Cause::ALL.iter().filter(|cause| (1..=9).contains(&cause.code())) {
            let pattern = Pattern::Sign(Sign::Refused(Reason::Quality, cause));
            let (blinks, _) = seen(pattern, |levels| levels.refused);
            assert_eq!(blinks, usize::from(cause.code()), "{cause:?}");
        }
    }

    #[test]
    fn what_a_decision_shows_ends_by_itself_and_each_due_time_is_the_next_change() {
        for pattern in all() {
            let decision = matches!(pattern, Pattern::Sign(Sign::Granted | Sign::Refused(..)));
            if decision {
                assert_eq!(levels(pattern, 20_000), (Levels::default(), None), "{pattern:?}");
            }
            let mut at_ms = 0;
            while let (now, Some(due_ms)) = levels(pattern, at_ms)
                && at_ms < 20_000
            {
                assert!(due_ms > 0, "{pattern:?}");
                assert!((at_ms..at_ms + due_ms).all(|ms| levels(pattern, ms).0 == now));
                at_ms += due_ms;
            }
            // An end of time neither panics nor lights what has ended.
            let _ = levels(pattern, u64::MAX);
        }
    }
}
