//! `threshold gallery push`: the people of a file into a unit's gallery.
//!
//! Owns what is sent: of a file that opens here only what the unit has not, part by part, each in the unit's gallery before the next
//! one goes; a file for the unit goes as it is. So a unit that is started again in between has all but the part that was under way:
//! nothing of a push lies on its flash but the gallery itself, and a line that is cut, or such a start, is gone on from under `--wait`.
//! Refuses to call a push done that left somebody out, or after which two people may be one (`doubles`).
//! Terms: *due* is who is in the file and not at the unit with all of it.

use super::super::Answer;
use super::copy::{listing, own_key, people_words};
use super::templates;
use crate::args;
use crate::causes::cause_words;
use crate::cmd::doubles::{self, Doubles};
use crate::error::HostError;
use crate::gallery_file;
use crate::meant::Meant;
use crate::say::Say;
use crate::session::port::Transport;
use crate::session::wait::{Machine, through_cuts};
use crate::session::{Session, SessionError};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use threshold_record::{PersonId, Template};
use threshold_wire::RequestError;
use threshold_wire::bulk::BulkError;
use threshold_wire::endpoints::{ApplyGallery, GetInfo};
use threshold_wire::gallery::content::{self, Content, PersonIn, Told};
use threshold_wire::gallery::listing::{Listed, Listing, access_digest, digest};
use threshold_wire::gallery::{GalleryApplied, GalleryApply, LeftOut, MAX_GALLERY, Why};
use threshold_wire::message::{Armed, Nothing};

/// Seconds of line that a part takes, as the line runs: what a start of the unit costs at most. Each part costs a few calls more, a
/// hundredth of the line at most.
pub const PART_S: u64 = 20;

/// What to do about two people who may be one.
const DOUBLES_HELP: &str = "look at both; threshold gallery remove the one that is too many, threshold calibrate for twins";

/// Bytes of somebody in a content beside the name and the templates, about: an id, some lengths, the limits of few.
const PERSON_BYTES: usize = 16;

/// Bytes of a template beside its components.
const TEMPLATE_BYTES: usize = 5;

/// Puts the people of a file into the unit's gallery.
///
/// # Errors
/// A file that is none or for somebody else, one of another model, a unit that says no.
pub fn push(meant: &Meant, typed: &args::GalleryFile) -> anyhow::Result<Answer> {
    let path = typed.file.as_path();
    // The file first: its faults need no unit to be found.
    let (bytes, recipient) = gallery_file::read(path)?;
    let secret = own_key(meant)?;
    let own = match recipient == secret.key_id() {
        true => Some(gallery_file::open(&secret, &bytes)?),
        false => None,
    };
    let source = match (&own, &bytes) {
        (Some(content), _) => Source::Open(content),
        (None, sealed) => Source::Sealed(sealed),
    };
    let say = meant.say;
    let mut pushing = Pushing::of(path, source);
    let outcome = through_cuts(
        meant.wait,
        &mut Machine::new(),
        || Session::open_started(meant),
        |session| pushing.go(session, say),
    );
    if let Err(error) = &outcome
        && let Some(text) = pushing.cut_short(error)
    {
        say.warn(&text);
    }
    let (mut session, ()) = outcome?;
    let Pushing { pushed, came, .. } = pushing;
    let left_out = pushed.left_out.iter().map(|left| left.person).collect();
    let doubles = match &own {
        Some(content) => doubles::at_unit(&mut session, content, &left_out, &came, meant.threads),
        None => {
            say.note(
                "whether two of them are one person is not looked at in a file that is sealed for the unit; threshold calibrate names near \
                 twins",
            );
            Ok(None)
        }
    };
    let mut value = pushed.value(path);
    value["doubles"] =
        doubles.as_ref().ok().and_then(Option::as_ref).map_or(Value::Null, Doubles::value);
    say.result(&value, || pushed.text(path))?;
    // What came is there, whatever became of the looking.
    let is_single = match doubles {
        Ok(doubles) => {
            doubles.iter().for_each(|doubles| doubles.warn(say, DOUBLES_HELP));
            doubles.is_none_or(|doubles| doubles.is_empty())
        }
        Err(error) => {
            say.warn(&format!("whether two of them are one person was not asked to the end: {error} (try: push it again)"));
            false
        }
    };
    if let Armed::Refuses(why) = session.call::<GetInfo>(&Nothing {})?.armed {
        let why = cause_words(why);
        say.warn(&format!(
            "the door stays locked now: {why}; threshold policy show says what helps"
        ));
    }
    Ok(if pushed.left_out.is_empty() && is_single { Answer::Yes } else { Answer::No })
}

/// What a push has to send.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A content that opened here.
    Open(&'a Content),
    /// A file for somebody else, who should be the unit.
    Sealed(&'a [u8]),
}

/// What came of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// People who were added.
    pub added: u32,
    /// People who were there and got templates.
    pub changed: u32,
    /// People who were there with all of that.
    pub equal: u32,
    /// Templates that were written.
    pub templates: u32,
    /// Who was left out.
    pub left_out: Vec<LeftOut>,
    /// The gallery's generation.
    pub generation: u64,
    /// Bytes that had to be sent.
    pub sent: u64,
}

/// A push, which goes on where a cut of the line or a start of the unit left it.
#[derive(Debug)]
pub struct Pushing<'a> {
    path: &'a Path,
    source: Source<'a>,
    pushed: Pushed,
    /// The unit was asked whom it has.
    began: bool,
    /// Whom it had before a sealed file.
    before: Option<Listing>,
    /// Whom the part has that was sent and not answered for.
    unanswered: Vec<Sent>,
    /// Who was not at the unit with all of it when this was first asked.
    came: BTreeSet<PersonId>,
    under_way: UnderWay,
}

/// What the unit may have taken of what it was sent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnderWay {
    /// Nothing that it has not answered for.
    Nothing,
    /// What the call did that has no answer; its own no is one.
    Asked,
    /// Some of it, perhaps.
    Perhaps,
}

/// Somebody who was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    person: PersonId,
    is_new: bool,
    templates: u32,
}

/// Puts the people of a file into a unit's gallery.
///
/// # Errors
/// [`SessionError`]; [`HostError::GalleryOfOtherModel`] and a gallery that would not hold all of them before anything is sent.
pub fn push_into<T: Transport>(
    session: &mut Session<T>,
    say: Say,
    path: &Path,
    source: Source<'_>,
) -> Result<Pushed, SessionError> {
    let mut pushing = Pushing::of(path, source);
    pushing.go(session, say)?;
    Ok(pushing.pushed)
}

impl<'a> Pushing<'a> {
    /// A push of which nothing was sent.
    #[must_use]
    pub fn of(path: &'a Path, source: Source<'a>) -> Self {
        Self {
            path,
            source,
            pushed: Pushed::default(),
            began: false,
            before: None,
            unanswered: Vec::new(),
            came: BTreeSet::new(),
            under_way: UnderWay::Nothing,
        }
    }

    /// What came of it so far.
    #[must_use]
    pub fn pushed(&self) -> &Pushed {
        &self.pushed
    }

    /// What the unit's gallery has of a push that ended with an error; `None` if it has nothing of it.
    #[must_use]
    pub fn cut_short(&self, error: &SessionError) -> Option<String> {
        let Pushed { added, changed, generation, .. } = self.pushed;
        // The unit answered for the whole before the line was cut.
        let is_applied = self.under_way == UnderWay::Nothing && generation > 0;
        if is_applied && matches!(self.source, Source::Sealed(_)) {
            let path = self.path.display();
            return Some(format!(
                "{path}: all of it is in the unit's gallery, and was not counted"
            ));
        }
        let perhaps = match self.under_way {
            UnderWay::Nothing => false,
            UnderWay::Asked => error.refusal().is_none(),
            UnderWay::Perhaps => true,
        };
        let known = (added + changed > 0)
            .then(|| format!("{} added and {changed} changed are there", people_words(added)));
        let perhaps = perhaps.then(|| {
            let of = match self.unanswered.len() as u32 {
                0 => "people of the file".to_owned(),
                people => format!("the {} that were sent last", people_words(people)),
            };
            format!("some of {of} may be there")
        });
        let said: Vec<String> = known.into_iter().chain(perhaps).collect();
        (!said.is_empty()).then(|| {
            format!(
                "{}: not all of it is in the unit's gallery; {}, and the door knows whoever is; push it again for the rest",
                self.path.display(),
                said.join(", and ")
            )
        })
    }

    /// Sends what the unit has not; called again after a cut or a start of the unit, it goes on with who is missing.
    ///
    /// # Errors
    /// As [`push_into`].
    pub fn go<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        say: Say,
    ) -> Result<(), SessionError> {
        if self.under_way == UnderWay::Asked {
            self.under_way = UnderWay::Perhaps;
        }
        match self.source {
            Source::Sealed(bytes) => self.whole(session, say, bytes),
            Source::Open(content) => self.parts(session, say, content),
        }
    }

    /// A file of which only the unit can tell who is in it.
    fn whole<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        say: Say,
        bytes: &[u8],
    ) -> Result<(), SessionError> {
        let was_cut = self.before.is_some();
        if !was_cut {
            self.before = Some(listing(session, say)?);
        }
        let bar = say.transfer(bytes.len() as u64, "pushing");
        let transfer = session.push_gallery(bytes, &mut |there, _| bar.set_position(there))?;
        bar.finish_and_clear();
        // A cut while it was counted has it applied once more.
        self.pushed = Pushed { sent: bytes.len() as u64, ..Pushed::default() };
        self.apply(session, transfer, MAX_GALLERY)?;
        if let Some(before) = self.before.as_ref().filter(|_| was_cut) {
            self.pushed.recount(before, &listing(session, say)?);
        }
        Ok(())
    }

    fn parts<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        say: Say,
        content: &Content,
    ) -> Result<(), SessionError> {
        let there = listing(session, say)?;
        let (file, unit) = (content.origin.model, there.origin.model);
        if file != unit {
            let (people, templates) = (content.people, content.templates);
            let path = self.path.to_path_buf();
            let error = HostError::GalleryOfOtherModel { path, people, templates, file, unit };
            return Err(error.into());
        }
        let mut due = due(content, &there);
        self.came.extend(due.iter().map(Due::id));
        self.go_on(content, &due);
        // The unit said why, and would say it again.
        due.retain(|due| !self.pushed.left_out.iter().any(|left| left.person == due.id()));
        self.pushed.generation = there.origin.generation;
        if due.is_empty() {
            return Ok(());
        }
        fits(&due, &there)?;
        let all: u64 = due.iter().map(|due| due.bytes(content) as u64).sum();
        let speed = session.hurry(all)?;
        let most = u64::from(speed) / 10 * PART_S;
        let bar = say.transfer(all, "pushing");
        let mut left = due.as_slice();
        let mut outcome = Ok(());
        while !left.is_empty() && outcome.is_ok() {
            let (part, rest) = left.split_at(part_of(left, content, most));
            outcome = self.part(session, &bar, content, part);
            left = rest;
        }
        session.rest();
        bar.finish_and_clear();
        outcome
    }

    /// Counts who came although the line was cut before the unit could say so.
    fn go_on(&mut self, content: &Content, due: &[Due<'_>]) {
        if !std::mem::replace(&mut self.began, true) {
            self.pushed.equal = content.people - due.len() as u32;
        }
        self.under_way = UnderWay::Nothing;
        for sent in std::mem::take(&mut self.unanswered) {
            if due.iter().all(|due| due.id() != sent.person) {
                self.pushed.added += u32::from(sent.is_new);
                self.pushed.changed += u32::from(!sent.is_new);
                self.pushed.templates += sent.templates;
            }
        }
    }

    fn part<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        bar: &ProgressBar,
        content: &Content,
        part: &[Due<'_>],
    ) -> Result<(), SessionError> {
        let people = part.iter().map(|Due { held, templates, .. }| Told {
            person: &held.person,
            access: held.access.as_ref(),
            templates,
        });
        let bytes = content::write(&content.origin, content.schedules.iter(), people)?;
        let before = bar.position();
        let transfer =
            session.push_part(&bytes, &mut |there, _| bar.set_position(before + there))?;
        self.pushed.sent += bytes.len() as u64;
        let sent = |due: &Due<'_>| Sent {
            person: due.id(),
            is_new: due.is_new,
            templates: due.templates.len() as u32,
        };
        self.unanswered = part.iter().map(sent).collect();
        self.apply(session, transfer, part.len() as u32)
    }

    /// Has the unit apply what was sent, batch by batch; it names as many people at most as it was sent.
    fn apply<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        transfer: u8,
        most: u32,
    ) -> Result<(), SessionError> {
        let mut all = Vec::new();
        // Each call takes one person at least.
        for _ in 0..=most {
            if self.under_way == UnderWay::Nothing {
                self.under_way = UnderWay::Asked;
            }
            let applied = session.call::<ApplyGallery>(&GalleryApply { transfer })?;
            let GalleryApplied { added, changed, equal, templates, left_out, generation, done } =
                applied;
            self.under_way = UnderWay::Perhaps;
            all.extend(left_out);
            if all.len() > most as usize {
                break;
            }
            if done {
                let pushed = &mut self.pushed;
                pushed.added += added;
                pushed.changed += changed;
                pushed.equal += equal;
                pushed.templates += templates;
                pushed.generation = generation;
                pushed.left_out.extend(all);
                self.unanswered.clear();
                self.under_way = UnderWay::Nothing;
                return Ok(());
            }
        }
        Err(BulkError::BadPeer.into())
    }
}

/// Somebody of a file who is not at the unit with all of it.
#[derive(Debug)]
struct Due<'a> {
    held: PersonIn<'a>,
    /// Those that are missing or differ.
    templates: Vec<Template>,
    /// Nobody has the id there.
    is_new: bool,
}

impl Due<'_> {
    fn id(&self) -> PersonId {
        self.held.person.id
    }

    /// Bytes that the person takes in a content, about.
    fn bytes(&self, content: &Content) -> usize {
        let each = TEMPLATE_BYTES + usize::from(content.components);
        PERSON_BYTES + self.held.person.name.len() + self.templates.len() * each
    }
}

/// Who of a file is not at the unit with all of it. Somebody of whom other limits hold there is sent too, for the unit to say so.
fn due<'a>(content: &'a Content, there: &Listing) -> Vec<Due<'a>> {
    let tag = content.origin.model.tag();
    let mut due = Vec::new();
    for held in content.people() {
        let found = there.people.binary_search_by_key(&held.person.id, |one| one.person.id);
        let found = found.ok().and_then(|at| there.people.get(at));
        let same = found.filter(|one| one.person == held.person);
        let is_due = |template: &Template| {
            let place = usize::from(template.slot);
            let stands = same.and_then(|one: &Listed| one.digests.get(place).copied().flatten());
            stands != Some(digest(template))
        };
        let templates: Vec<Template> = held.templates(tag).filter(is_due).collect();
        let access = held.access.as_ref();
        let access =
            access_digest(access, access.and_then(|access| content.schedule(access.schedule?)));
        if !templates.is_empty() || same.is_none_or(|one| one.access != access) {
            due.push(Due { held, templates, is_new: found.is_none() });
        }
    }
    due
}

/// Refuses what the unit's gallery would not hold all of, as the unit would of the whole: of a part it would only find out when
/// the others are there.
fn fits(due: &[Due<'_>], there: &Listing) -> Result<(), SessionError> {
    let slots = |one: &Listed| one.digests.iter().flatten().count();
    let (mut people, mut templates) =
        (there.people.len(), there.people.iter().map(slots).sum::<usize>());
    for Due { held, is_new, .. } in due {
        people += usize::from(*is_new);
        let found = there.people.binary_search_by_key(&held.person.id, |one| one.person.id);
        let found = found.ok().and_then(|at| there.people.get(at));
        let is_free = |slot: &usize| {
            let there = found.and_then(|one| one.digests.get(*slot).copied().flatten());
            held.slots >> slot & 1 == 1 && there.is_none()
        };
        templates += (0..u8::BITS as usize).filter(is_free).count();
    }
    match people.max(templates) > MAX_GALLERY as usize {
        true => Err(RequestError::GalleryFull { capacity: MAX_GALLERY }.into()),
        false => Ok(()),
    }
}

/// How many of those that are left go in the next part: one at least.
fn part_of(left: &[Due<'_>], content: &Content, most: u64) -> usize {
    let mut bytes = 0;
    let fits = left.iter().take_while(|due| {
        bytes += due.bytes(content) as u64;
        bytes <= most
    });
    fits.count().max(1).min(left.len())
}

impl Pushed {
    /// Counts by what the gallery was and is: after a cut the unit told of those who had come by then as there already.
    fn recount(&mut self, before: &Listing, now: &Listing) {
        let all = self.added + self.changed + self.equal;
        (self.added, self.changed, self.templates) = (0, 0, 0);
        for one in &now.people {
            let found = before.people.binary_search_by_key(&one.person.id, |one| one.person.id);
            let found = found.ok().and_then(|at| before.people.get(at));
            let differs = |slot: &usize| {
                let digest = |of: &Listed| of.digests.get(*slot).copied().flatten();
                digest(one).is_some() && digest(one) != found.and_then(digest)
            };
            let templates = (0..one.digests.len()).filter(differs).count() as u32;
            self.added += u32::from(found.is_none());
            self.changed += u32::from(found.is_some() && templates > 0);
            self.templates += templates;
        }
        self.equal = all.saturating_sub(self.added + self.changed);
    }

    fn value(&self, path: &Path) -> Value {
        let left: Vec<Value> = self.left_out.iter().map(left_value).collect();
        json!({
            "file": path.display().to_string(),
            "added": self.added,
            "changed": self.changed,
            "equal": self.equal,
            "templates": self.templates,
            "left_out": left,
            "generation": self.generation,
            "sent_bytes": self.sent,
        })
    }

    fn text(&self, path: &Path) -> String {
        let mut text = format!(
            "{}: {} added, {} changed, {} there already; {} written",
            path.display(),
            people_words(self.added),
            self.changed,
            self.equal,
            templates(self.templates)
        );
        self.left_out.iter().for_each(|left| text += &format!("\n{}", left_words(left)));
        text
    }
}

/// Somebody who was left out, with the reason.
pub(in crate::cmd) fn left_words(LeftOut { person, name, why }: &LeftOut) -> String {
    format!("{name} (#{}) was left out: {}", person.0, why_words(*why))
}

fn why_words(why: Why) -> String {
    match why {
        Why::Removed => {
            "was removed from this unit and stays removed; enrol the person anew from photos"
                .to_owned()
        }
        Why::OtherName => "the id is somebody else's here; enrol the person from photos".to_owned(),
        Why::OtherId { holder } => format!(
            "#{} has the name here; enrol the person from photos, or remove that one first",
            holder.0
        ),
        Why::OtherAccess => {
            "other limits or credentials hold of the person here, and stay; make them equal with threshold access set first"
                .to_owned()
        }
        Why::NoSchedule => {
            "no schedule here has the name and the hours of the person's; threshold schedule set makes it, as an owner"
                .to_owned()
        }
        Why::OtherClaim { holder } => format!(
            "#{} has one of the person's badges or numbers here; take it from that one first",
            holder.0
        ),
        Why::NotThere => {
            "is not in the unit's gallery; enrol the person from photos, or push the file once the version runs"
                .to_owned()
        }
    }
}

pub(in crate::cmd) fn left_value(left: &LeftOut) -> Value {
    let (why, holder) = match left.why {
        Why::Removed => ("removed", None),
        Why::OtherName => ("id_taken", None),
        Why::OtherId { holder: PersonId(holder) } => ("name_taken", Some(holder)),
        Why::OtherAccess => ("other_access", None),
        Why::NoSchedule => ("no_schedule", None),
        Why::OtherClaim { holder: PersonId(holder) } => ("credential_taken", Some(holder)),
        Why::NotThere => ("not_there", None),
    };
    json!({"person": left.person.0, "name": left.name.as_str(), "why": why, "holder": holder})
}
