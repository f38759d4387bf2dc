//! With whom a face is compared: the owner's mode, what a credential claims, and the threshold of a comparison with one person.
//!
//! Owns the claim's entry, which is durable with the attempt, before a frame is compared with the one whom it names. Derives the threshold of 1:1
//! from the same rule as that of 1:N, at one person with their templates, so that too many people are no reason against it.
//! Refuses to keep a credential or to write one down: the log has the person whom it named, or nobody.

use super::State;
use crate::journal::Wait;
use threshold_policy::rule::Derived;
use threshold_policy::{Policy, Subject};
use threshold_record::{Cause, Credential, EntryKind, KeyTag, LogEntry, Mode, PersonId};
use threshold_store::StoreError;

/// How the reader of credentials stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderStanding {
    /// None is configured.
    None,
    /// It is there.
    Works,
    /// It could not be had, or failed; why, with the remedy.
    Failed(String),
}

impl State {
    /// With whom a face is compared.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.settled.map_or(Mode::DEFAULT, |settled| settled.mode)
    }

    /// An owner settles with whom a face is compared; nothing happens if that holds already.
    ///
    /// # Errors
    /// [`StoreError`]; everything is then as before.
    pub fn settle_mode(&mut self, mode: Mode, by: KeyTag) -> Result<(), StoreError> {
        if self.settled.is_some_and(|settled| settled.mode == mode) && !self.settling_failed {
            return Ok(());
        }
        let entry = LogEntry { by, ..LogEntry::of(EntryKind::PolicySet) };
        self.change_settled(entry, |settled| settled.mode = mode)
    }

    /// How the reader stands.
    #[must_use]
    pub fn reader(&self) -> &ReaderStanding {
        &self.reader
    }

    /// The reader was opened, or failed. That locks a door only at which nobody comes in without a credential.
    pub fn set_reader(&mut self, reader: ReaderStanding) {
        if let ReaderStanding::Failed(why) = &reader {
            self.notices.tell(&format!("reader: {why}"));
        }
        self.reader = reader;
        self.tell_arming();
    }

    /// What holds where a face is compared with one person of so many templates. Without an embedder, and if what is settled
    /// cannot be read, nobody is compared at all: that is a fault.
    fn derived_for_one(&self, templates: u8) -> Derived {
        let each = f64::from(templates.max(1));
        // Calibrated is what strangers score against everybody; it says nothing of one person.
        let derived = self.settled.and_then(|settled| self.derived_at(&settled.policy, 1, each));
        derived.unwrap_or(self.derived)
    }

    /// The most templates that anybody in the gallery has, and what holds there: the strictest threshold of 1:1.
    #[must_use]
    pub fn strictest_for_one(&self) -> (u8, &Derived) {
        (self.most_templates, &self.derived_for_most)
    }

    /// Derives the threshold of a comparison with whoever has the most templates.
    pub(super) fn derive_for_one(&mut self) {
        let gallery = self.journal.as_ref().and_then(|journal| journal.store().gallery());
        let of_each = gallery.into_iter().flat_map(|gallery| gallery.members());
        let most = of_each.map(|member| member.templates.len()).max().unwrap_or(0);
        self.most_templates = u8::try_from(most).unwrap_or(u8::MAX);
        self.derived_for_most = self.derived_for_one(self.most_templates);
    }

    /// Why the unit compares a face with the one whom a credential names at no visit; `None` if it may.
    #[must_use]
    pub fn refuses_to_verify(&self) -> Option<Cause> {
        if let Some(why) = self.withheld() {
            return Some(why);
        }
        match self.reader {
            ReaderStanding::Works => self.derived_for_most.refusal.map(|refusal| refusal.why),
            ReaderStanding::None | ReaderStanding::Failed(_) => Some(Cause::Reader),
        }
    }

    /// Why the unit compares nobody, whatever they give; `None` if there is a way in.
    #[must_use]
    pub fn refusal(&self) -> Option<Cause> {
        let identifies = || self.refuses_to_identify().map(|refusal| refusal.why);
        match self.mode() {
            Mode::Identify => identifies(),
            Mode::Verify => self.refuses_to_verify(),
            Mode::Both => identifies().filter(|_| self.refuses_to_verify().is_some()),
        }
    }

    /// Why no frame of a visit of this subject is compared; `None` if it may be.
    pub(super) fn refuses(&self, subject: Subject) -> Option<Cause> {
        match subject {
            Subject::Everybody if self.mode().identifies() => {
                self.refuses_to_identify().map(|refusal| refusal.why)
            }
            Subject::Everybody => self.refusal(),
            Subject::Person(_) | Subject::Nobody => self.refuses_to_verify(),
        }
    }

    /// The policy that decides a visit of this subject.
    pub(super) fn policy_for(&self, subject: Subject) -> Policy {
        match subject {
            Subject::Person(person) => self.derived_for_one(self.templates_of(person)).policy,
            Subject::Everybody | Subject::Nobody => self.derived.policy,
        }
    }

    /// True if a face alone says nothing here: frames of somebody who gave no credential need not be looked at.
    #[must_use]
    pub fn needs_credential(&self) -> bool {
        match self.mode() {
            Mode::Identify => false,
            Mode::Verify => true,
            Mode::Both => {
                self.refuses_to_identify().is_some() && self.refuses_to_verify().is_none()
            }
        }
    }

    /// Somebody gave a credential: whom it names; the log's entry that says so stands before that of the decision. Somebody without a template
    /// cannot be compared, and is nobody here.
    pub fn claim(&mut self, credential: Credential) -> Subject {
        let gallery = self.journal.as_ref().and_then(|journal| journal.store().gallery());
        let named = gallery.and_then(|gallery| gallery.claimed(credential));
        let named = named.filter(|&person| self.templates_of(person) > 0);
        let person = named.unwrap_or(PersonId::NOBODY);
        let entry = LogEntry { person, ..LogEntry::of(EntryKind::Claim) };
        self.write_soon(entry, Wait::Event);
        named.map_or(Subject::Nobody, Subject::Person)
    }

    pub(super) fn templates_of(&self, person: PersonId) -> u8 {
        let gallery = self.journal.as_ref().and_then(|journal| journal.store().gallery());
        let member = gallery.and_then(|gallery| gallery.member(person));
        member.map_or(0, |member| u8::try_from(member.templates.len()).unwrap_or(u8::MAX))
    }
}
