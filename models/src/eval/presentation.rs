//! Presentation-attack detection, as ISO/IEC 30107-3 counts it.
//!
//! Owns the counts and the rates. An attack *passes* unless it is judged one: a face that was not assessed passes as a live one does,
//! as it would at a door. A presentation in which no face was found got *no response*, and is counted apart: neither rate has it.
//! Refuses one rate over all attacks: a detector is as good as it is against the kind that it is worst at (APCER of that).

use serde::Serialize;
use threshold_record::Presentation;

/// The presentations of one kind, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Presentations.
    pub presentations: usize,
    /// Without a face that could be judged.
    pub no_response: usize,
    /// Judged live.
    pub live: usize,
    /// Judged an attack.
    pub spoof: usize,
    /// Not assessed.
    pub not_assessed: usize,
}

impl Counts {
    /// Counts one presentation; `None` if no face was found.
    pub fn add(&mut self, verdict: Option<Presentation>) {
        self.presentations += 1;
        *match verdict {
            None => &mut self.no_response,
            Some(Presentation::Live) => &mut self.live,
            Some(Presentation::Spoof) => &mut self.spoof,
            Some(_) => &mut self.not_assessed,
        } += 1;
    }

    fn answered(&self) -> usize {
        self.presentations - self.no_response
    }

    /// Part of the attacks of this kind that pass (APCER); `None` of nothing.
    #[must_use]
    pub fn apcer(&self) -> Option<f64> {
        part(self.answered() - self.spoof, self.answered())
    }

    /// Part of the live people who are judged an attack (BPCER); `None` of nothing.
    #[must_use]
    pub fn bpcer(&self) -> Option<f64> {
        part(self.spoof, self.answered())
    }

    /// Part of the presentations without a response (APNRR, BPNRR); `None` of nothing.
    #[must_use]
    pub fn no_response_rate(&self) -> Option<f64> {
        part(self.no_response, self.presentations)
    }
}

fn part(of: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| of as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_judged_an_attack_passes_and_what_was_not_seen_counts_in_neither_rate() {
        let counts = |verdicts: &[Option<Presentation>]| {
            let mut counts = Counts::default();
            verdicts.iter().for_each(|&verdict| counts.add(verdict));
            counts
        };
        let (live, spoof) = (Some(Presentation::Live), Some(Presentation::Spoof));
        let unknown = Some(Presentation::NotAssessed);
        let some = counts(&[live, spoof, spoof, unknown, None]);
        assert_eq!((some.presentations, some.live, some.not_assessed), (5, 1, 1));
        assert_eq!((some.apcer(), some.bpcer()), (Some(0.5), Some(0.5)));
        assert_eq!(some.no_response_rate(), Some(0.2));
        let blind = counts(&[unknown, unknown]);
        assert_eq!((blind.apcer(), blind.bpcer()), (Some(1.0), Some(0.0)));
        let unseen = counts(&[None]);
        assert_eq!((unseen.apcer(), unseen.bpcer()), (None, None));
        assert_eq!(counts(&[]).no_response_rate(), None);
    }
}
