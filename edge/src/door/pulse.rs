//! When the relay is active: a pure count of time. Permits and instants come in, a level goes out.
//!
//! Owns the bound: however permits come, the relay is active for [`Pulse::MAX_PULSES`] pulses on end at most, and at rest
//! for [`Pulse::REST_MS`] before the next run. Somebody admitted at the end of a run finds less than a whole pulse, and is
//! asked again.

/// When the lock was released, and when not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    /// From when on the door may open: the start, or the end of a pulse that still counts then.
    pub(super) free_from_ms: u64,
}

/// The pulse of a relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    len_ms: u64,
    span: Option<Span>,
}

impl Pulse {
    /// The longest run of pulses, each permitted during the one before.
    pub(super) const MAX_PULSES: u64 = 3;

    /// The rest between two runs, so that a bolt falls: a relay takes some 10 ms, a strike ten times that.
    pub(super) const REST_MS: u64 = 250;

    /// An opening that begins so long after a pulse's end belongs to it: a strike that was pushed before stays free until the
    /// door moves, and a contact is told late by its bounces.
    pub(super) const COUNTS_MS: u64 = 2_000;

    /// A relay at rest whose pulses are so long.
    pub(super) fn of(len_ms: u64) -> Self {
        Self { len_ms, span: None }
    }

    /// Leave was given: a pulse begins, or the one that runs becomes longer.
    pub(super) fn permit(&mut self, now_ms: u64) {
        let start_ms = match self.span {
            Some(span) if now_ms < span.end_ms => span.start_ms,
            Some(span) => now_ms.max(span.end_ms.saturating_add(Self::REST_MS)),
            None => now_ms,
        };
        let free_from_ms = match self.span {
            Some(span) if now_ms < span.end_ms => span.free_from_ms,
            Some(span) if now_ms <= span.end_ms.saturating_add(Self::COUNTS_MS) => span.end_ms,
            _ => start_ms,
        };
        let longest_ms = start_ms.saturating_add(Self::MAX_PULSES * self.len_ms);
        let end_ms = now_ms.max(start_ms).saturating_add(self.len_ms).min(longest_ms);
        self.span = Some(Span { start_ms, end_ms, free_from_ms });
    }

    /// Ends a pulse that runs.
    pub(super) fn end(&mut self, now_ms: u64) {
        if let Some(span) = &mut self.span {
            span.end_ms = span.end_ms.min(now_ms);
        }
    }

    /// Whether the relay is to be active.
    pub(super) fn is_active(&self, now_ms: u64) -> bool {
        self.span.is_some_and(|span| (span.start_ms..span.end_ms).contains(&now_ms))
    }

    /// Milliseconds until that changes by itself; `None` if it does not.
    pub(super) fn due_ms(&self, now_ms: u64) -> Option<u64> {
        let Span { start_ms, end_ms, .. } = self.span?;
        [start_ms, end_ms].into_iter().find(|&at_ms| at_ms > now_ms).map(|at_ms| at_ms - now_ms)
    }

    /// The last pulse, perhaps one that runs.
    pub(super) fn span(&self) -> Option<Span> {
        self.span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_one_pulse_and_another_one_during_it_makes_it_longer() {
        let mut pulse = Pulse::of(1_000);
        assert!(!pulse.is_active(0));
        pulse.permit(100);
        assert_eq!((pulse.is_active(100), pulse.is_active(1_099)), (true, true));
        assert!(!pulse.is_active(1_100));
        pulse.permit(2_000);
        pulse.permit(2_600);
        // The first one's time ran until 3,100.
        let span = Span { start_ms: 2_000, end_ms: 3_600, free_from_ms: 1_100 };
        assert_eq!(pulse.span(), Some(span));
        pulse.end(2_700);
        assert_eq!((pulse.is_active(2_699), pulse.is_active(2_700)), (true, false));
        // Long after that one, nothing before it is free.
        pulse.permit(4_701);
        assert_eq!(pulse.span().map(|span| span.free_from_ms), Some(4_701));
    }

    /// Whatever the permits, no run of activity is longer than the bound, none goes on for longer than a pulse and a rest
    /// after the last permit, and a run that ended is followed by the rest.
    #[test]
    fn no_run_of_permits_keeps_the_relay_active_for_longer_than_the_bound() {
        for len_ms in [500, 3_000, 10_000] {
            for every_ms in [1, 7, 249, 500, len_ms / 2, len_ms - 1, len_ms, len_ms + 1] {
                let mut pulse = Pulse::of(len_ms);
                let (mut run_ms, mut rest_ms, mut last_ms, mut runs) = (0, u64::MAX, 0, 0);
                for now_ms in 0..200_000 {
                    if now_ms % every_ms == 0 && now_ms < 150_000 {
                        pulse.permit(now_ms);
                        last_ms = now_ms;
                    }
                    if pulse.is_active(now_ms) {
                        if run_ms == 0 {
                            assert!(rest_ms >= Pulse::REST_MS, "{len_ms} {every_ms} {now_ms}");
                            runs += 1;
                        }
                        (run_ms, rest_ms) = (run_ms + 1, 0);
                        assert!(run_ms <= Pulse::MAX_PULSES * len_ms);
                        assert!(now_ms - last_ms < len_ms + Pulse::REST_MS);
                    } else {
                        (run_ms, rest_ms) = (0, rest_ms.saturating_add(1));
                    }
                }
                assert!(runs > 1 && run_ms == 0, "{len_ms} {every_ms}");
            }
        }
    }

    #[test]
    fn the_ends_of_time_neither_panic_nor_release() {
        let mut pulse = Pulse::of(10_000);
        pulse.permit(u64::MAX);
        assert!(!pulse.is_active(u64::MAX));
        let mut pulse = Pulse::of(10_000);
        pulse.permit(50_000);
        assert!(!pulse.is_active(0), "a clock that went back releases nothing");
    }
}
