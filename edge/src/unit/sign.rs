//! What whoever stands at the door is shown, and the trait of what shows it.

use threshold_record::{Cause, Reason};

/// What there is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The unit starts.
    Starting,
    /// Nobody is there.
    Idle,
    /// A face is seen and compared.
    Look,
    /// The door was released.
    Granted,
    /// The door stays locked, and why.
    Refused(Reason, Cause),
    /// A part is at fault: everybody will be refused.
    Fault,
}

/// What shows signs.
pub trait Indicator: Send {
    /// Shows a sign from now on; the same one again begins anew. Returns at once.
    fn show(&mut self, sign: Sign);
}

/// Shows each sign on both.
impl Indicator for [Box<dyn Indicator>; 2] {
    fn show(&mut self, sign: Sign) {
        self.iter_mut().for_each(|indicator| indicator.show(sign));
    }
}

/// Shows nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoIndicator;

impl Indicator for NoIndicator {
    fn show(&mut self, _: Sign) {}
}
