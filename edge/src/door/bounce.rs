//! An input without its bounces, where the kernel cannot tell edges: pure, levels and time come in.

use std::time::Duration;

/// One input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounce {
    /// What it is taken for.
    active: bool,
    /// Since when it has been the other.
    other_since: Option<Duration>,
}

impl Bounce {
    /// An input that is so at the start.
    pub(super) fn at(active: bool) -> Self {
        Self { active, other_since: None }
    }

    /// What it is taken for.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Takes a look at it; what it is from now on, if that is a change: it has been so for `steady`.
    pub(super) fn look(&mut self, active: bool, now: Duration, steady: Duration) -> Option<bool> {
        if active == self.active {
            self.other_since = None;
            return None;
        }
        let since = *self.other_since.get_or_insert(now);
        if now.saturating_sub(since) < steady {
            return None;
        }
        (self.active, self.other_since) = (active, None);
        Some(active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bounces_is_one_change_and_what_never_rests_is_none() {
        let steady = Duration::from_millis(30);
        let changes = |levels: &dyn Fn(u64) -> bool| {
            let mut bounce = Bounce::at(false);
            let look = |ms| bounce.look(levels(ms), Duration::from_millis(ms), steady);
            (0..2_000).step_by(10).filter_map(look).collect::<Vec<_>>()
        };
        assert_eq!(changes(&|ms| ms >= 500), [true]);
        assert_eq!(changes(&|ms| ms >= 500 && (ms >= 560 || ms / 10 % 2 == 0)), [true]);
        assert_eq!(changes(&|ms| (500..1_000).contains(&ms)), [true, false]);
        assert!(changes(&|ms| ms / 10 % 2 == 0).is_empty());
    }
}
