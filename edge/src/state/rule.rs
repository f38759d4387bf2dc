//! What the owner settled: how the threshold comes about, with what that leads to at the gallery as it is, and whether a
//! photo may open this door.
//!
//! Owns the order of a change: its entry is durable before it holds. Refuses to guess a policy that it cannot read: the unit
//! stays locked, and the record stays for the program that can read it. Refuses to compare without relay authority (safety rule
//! 8), and 1:N to whoever did not acknowledge that a photo opens this door (safety rule 9), before anything else that is against it.

use super::State;
use crate::journal::Journal;
use threshold_policy::forecast::{Range, Site};
use threshold_policy::rule::{self, Derived, Measured, Owner, Refusal, Settled};
use threshold_policy::{Calibrated, Policy};
use threshold_record::{Cause, ContextKind, EntryKind, KeyTag, LogEntry, Role, ThresholdRule};
use threshold_store::StoreError;

impl State {
    /// Takes what an owner settled from the log, for an embedder of this default policy.
    pub(super) fn restore_settled(&mut self, policy: Policy) {
        self.derived.policy = policy;
        let last = self.journal.as_ref().and_then(|journal| {
            journal.store().last_context(ContextKind::Policy).map(Settled::from_context)
        });
        match last {
            None => self.settled = Some(Settled::by_default(policy)),
            Some(Ok(settled)) => self.settled = Some(Settled { policy, ..settled }),
            Some(Err(error)) => self.fail(Cause::Policy, &error.to_string()),
        }
        self.derive();
    }

    /// What the owner settled; `None` without an embedder, and if it cannot be read.
    #[must_use]
    pub fn settled(&self) -> Option<&Settled> {
        self.settled.as_ref()
    }

    /// True if this rule is settled, in the log as in memory: after a change that failed the log may hold the other one.
    #[must_use]
    pub fn has_settled(&self, rule: &ThresholdRule) -> bool {
        !self.settling_failed && self.settled.is_some_and(|settled| settled.rule == *rule)
    }

    /// The policy in force with its forecast, and why the unit compares nobody with it.
    #[must_use]
    pub fn derived(&self) -> &Derived {
        &self.derived
    }

    /// People in the gallery, and templates of them.
    #[must_use]
    pub fn gallery_size(&self) -> (u32, u32) {
        let gallery = self.journal.as_ref().and_then(|journal| journal.store().gallery());
        gallery.map_or((0, 0), |held| (held.n_people() as u32, held.n_templates() as u32))
    }

    /// Why the unit compares one face with everybody (1:N) at no visit; `None` if it may. What withholds the door from everybody
    /// comes first: whatever else is settled, the unit would admit without it.
    #[must_use]
    pub fn refuses_to_identify(&self) -> Option<Refusal> {
        let withheld = self.withheld().map(|why| Refusal { why, people_at_most: 0 });
        withheld.or(self.derived.refusal)
    }

    /// What keeps the unit from comparing anybody with anybody, be it everybody (1:N) or the one whom a credential names (1:1):
    /// that it has no relay authority (safety rule 8), and then that a photo opens this door and no owner acknowledged that
    /// (safety rule 9).
    pub(super) fn withheld(&self) -> Option<Cause> {
        let unacknowledged = || self.derived.policy.photo_opens() && self.acknowledged().is_none();
        match self.commissioned() {
            None => Some(Cause::NotCommissioned),
            Some(_) => unacknowledged().then_some(Cause::NotAcknowledged),
        }
    }

    /// Who acknowledged that a photo opens this door, if that holds.
    #[must_use]
    pub fn acknowledged(&self) -> Option<KeyTag> {
        self.settled.and_then(|settled| settled.acknowledged(self.owner()))
    }

    /// Who may answer for the unit now.
    pub(super) fn owner(&self) -> Owner {
        let Some(journal) = &self.journal else { return Owner::Nobody };
        let administrators = journal.store().roster().administrators();
        if administrators.iter().any(|held| held.role == Role::Owner) {
            Owner::Administrator
        } else if administrators.is_empty() && self.identity.insecure_link {
            Owner::TrustedLine
        } else {
            Owner::Nobody
        }
    }

    /// Somebody came to the roster or left it: an acknowledgement falls with its owner, and so does a commission.
    pub fn roster_changed(&mut self) {
        // If it is not bound yet it is when the unit idles.
        self.tidy_later();
        self.tell_arming();
    }

    /// Settles how the threshold comes about. The entry that says who did it is durable before the threshold moves.
    ///
    /// # Errors
    /// [`StoreError`]; everything is then as before.
    pub fn settle(&mut self, rule: ThresholdRule, by: KeyTag) -> Result<(), StoreError> {
        self.change_settled(LogEntry { by, ..LogEntry::of(EntryKind::PolicySet) }, |settled| {
            settled.rule = rule
        })
    }

    /// An owner acknowledges that a photo opens this door; nothing happens if that holds already.
    ///
    /// # Errors
    /// [`StoreError`]; it is then not acknowledged.
    pub fn acknowledge_photo(&mut self, by: KeyTag) -> Result<(), StoreError> {
        if self.acknowledged().is_some() && !self.settling_failed {
            return Ok(());
        }
        self.change_settled(
            LogEntry { by, ..LogEntry::of(EntryKind::PhotoAcknowledged) },
            |settled| settled.photo = Some(by),
        )
    }

    /// An owner takes that back; nothing happens if there is nothing to take back.
    ///
    /// # Errors
    /// [`StoreError`]; it may then still hold.
    pub fn withdraw_photo(&mut self, by: KeyTag) -> Result<(), StoreError> {
        if self.settled.is_some_and(|settled| settled.photo.is_none()) && !self.settling_failed {
            return Ok(());
        }
        self.change_settled(LogEntry { by, ..LogEntry::of(EntryKind::PhotoWithdrawn) }, |settled| {
            settled.photo = None
        })
    }

    /// Settles after how many minutes the same person is admitted again; nothing happens if that is settled already.
    ///
    /// # Errors
    /// [`StoreError`]; everything is then as before.
    pub fn settle_passback(&mut self, minutes: u16, by: KeyTag) -> Result<(), StoreError> {
        if self.settled.is_some_and(|settled| settled.passback_min == minutes)
            && !self.settling_failed
        {
            return Ok(());
        }
        let entry = LogEntry { by, ..LogEntry::of(EntryKind::PolicySet) };
        self.change_settled(entry, |settled| settled.passback_min = minutes)
    }

    /// Changes what is settled. The entry that says who did it is durable, in one batch with the record, before it holds.
    pub(super) fn change_settled(
        &mut self,
        entry: LogEntry,
        change: impl FnOnce(&mut Settled),
    ) -> Result<(), StoreError> {
        // Without a log nothing can be settled, and without an embedder nobody gets here.
        let Some(before) = self.settled else { return Err(StoreError::LogStopped) };
        if !self.owes_nothing() || self.fell_back_to.is_some() {
            self.name_again()?;
        }
        let mut next = Settled { change: before.change.wrapping_add(1), ..before };
        change(&mut next);
        self.settled = Some(next);
        let was = (self.derived, self.derived_for_most, self.shipped);
        self.derive();
        let threshold = self.derived.policy.threshold.0;
        let entry = LogEntry { threshold, ..entry };
        let written = self.name_settled(&next).and_then(|()| match self.journal.as_mut() {
            Some(journal) => journal.write(entry),
            None => Err(StoreError::LogStopped),
        });
        if let Err(error) = written {
            // The record may still reach the log with the next entry; this one then comes after it.
            let back = Settled { change: next.change.wrapping_add(1), ..before };
            let _ = self.name_settled(&back);
            self.settled = Some(back);
            (self.derived, self.derived_for_most, self.shipped) = was;
            self.settling_failed = true;
            return Err(error);
        }
        self.settling_failed = false;
        self.tell_arming();
        Ok(())
    }

    /// Names what is settled in the log, for the entries that follow.
    fn name_settled(&mut self, settled: &Settled) -> Result<(), StoreError> {
        let journal = self.journal.as_mut().ok_or(StoreError::LogStopped)?;
        journal.set_context(ContextKind::Policy, &settled.to_context().unwrap_or_default())
    }

    /// The journal, for the next entry. After a change that failed, what holds is named first if it could not be then: what
    /// failed may wait in the log, and must not come to it as the last word; so is what computes since a device failed. Then the
    /// log takes what it is owed: no entry comes before one of a change that holds already.
    pub(super) fn name_again(&mut self) -> Result<&mut Journal, StoreError> {
        if self.settling_failed
            && let Some(settled) = self.settled
        {
            self.name_settled(&settled)?;
        }
        let journal = self.journal.as_mut().ok_or(StoreError::LogStopped)?;
        if let Some(config) = &self.fell_back_to {
            journal.set_context(ContextKind::Config, config.as_bytes())?;
        }
        if self.log_waits {
            journal.sync()?;
            self.log_waits = false;
        }
        while let Some(&owed) = self.owed.first() {
            journal.write(owed)?;
            self.owed.remove(0);
        }
        Ok(journal)
    }

    /// Derives the threshold for the gallery as it is.
    pub(super) fn derive(&mut self) {
        let (people, templates) = self.gallery_size();
        let each = f64::from(templates) / f64::from(people.max(1));
        let shipped = self.settled.and_then(|it| self.derived_at(&it.policy, people, each));
        let floor = self.settled.zip(self.embedder.as_ref()).map(|(settled, embedder)| {
            Calibrated::floor(settled.calibration.as_ref(), &settled.policy, embedder.id)
        });
        if let Some(derived) = floor.and_then(|floor| self.derived_at(&floor, people, each)) {
            self.derived = derived;
        }
        self.shipped = shipped;
        self.derive_for_one();
    }

    /// What is settled leads to this above a floor where a face is compared with so many people of so many templates each; `None`
    /// without an embedder, and if it cannot be read.
    pub(super) fn derived_at(
        &self,
        floor: &Policy,
        people: u32,
        templates_each: f64,
    ) -> Option<Derived> {
        let (settled, embedder) = (self.settled.as_ref()?, self.embedder.as_ref()?);
        let site = Site { people, templates_each, strangers_a_day: 0.0, visits_a_day: 0.0 };
        let model = Measured {
            id: embedder.id,
            metric: embedder.metric,
            distributions: embedder.distributions.as_ref(),
        };
        Some(rule::derive(&settled.rule, floor, &model, &site))
    }

    /// The thresholds in force and what is to be expected of them, in words.
    pub(super) fn threshold_words(&self) -> String {
        let settled = match self.settled.map(|settled| settled.rule) {
            Some(ThresholdRule::Target { fpir }) => format!("target FPIR {fpir:e}"),
            Some(ThresholdRule::Fixed { .. }) => {
                "fixed by the owner, who takes the risk".to_owned()
            }
            None => "nothing settled".to_owned(),
        };
        let settled = match self.calibration() {
            Some(one) => format!("{settled}, calibrated to {} or more", one.threshold.0),
            None => settled,
        };
        let (people, templates) = self.gallery_size();
        let (most, for_one) = self.strictest_for_one();
        let everybody = (format!("at {people} people with {templates} templates"), &self.derived);
        let one = (format!("of 1:1 at one person with {most} templates"), for_one);
        let mode = self.mode();
        let told = [(mode.identifies(), everybody), (mode.verifies(), one)];
        let words = told.into_iter().filter(|(is_told, _)| *is_told).map(|(_, (at, derived))| {
            let threshold = derived.policy.threshold.0;
            format!("threshold {threshold} {at} ({settled}): {}", expected(derived))
        });
        words.collect::<Vec<_>>().join("; ")
    }
}

/// What is to be expected of a threshold, in words.
fn expected(derived: &Derived) -> String {
    let expected = derived.forecast.map_or("nobody measured this model".to_owned(), |forecast| {
        let Range { at, high, .. } = forecast.fpir;
        format!(
            "forecast FPIR {at:.1e}, {high:.1e} at most; FNIR {:.0} %",
            100.0 * forecast.fnir.at
        )
    });
    let help = match derived.refusal {
        Some(refusal) if refusal.people_at_most > 0 => format!(
            "; have at most {} people, take another model, or settle a looser target",
            refusal.people_at_most
        ),
        Some(_) => {
            "; take another model, or settle another rule with threshold policy set".to_owned()
        }
        None => String::new(),
    };
    expected + &help
}
