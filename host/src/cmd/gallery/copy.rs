//! `threshold gallery pull | export | push`: the whole gallery into a sealed file, and the people of one into a gallery.
//!
//! Owns what is sent: of a file that opens here only what the unit has not; a file for the unit goes as it is. A line that is cut
//! is gone on with under `--wait`. Refuses to write a template to a disk in the clear, and to call a push done that left
//! somebody out.

use super::super::Answer;
use super::templates;
use crate::args;
use crate::causes::cause_words;
use crate::error::HostError;
use crate::gallery_file;
use crate::meant::Meant;
use crate::say::Say;
use crate::session::bulk::Part;
use crate::session::port::Transport;
use crate::session::wait::through_cuts;
use crate::session::{Session, SessionError};
use serde_json::{Value, json};
use std::path::Path;
use threshold_record::{KeyId, PersonId, Template};
use threshold_wire::RequestError;
use threshold_wire::bulk::BulkError;
use threshold_wire::endpoints::{ApplyGallery, GetInfo};
use threshold_wire::gallery::content::{self, Content, PersonIn, Told};
use threshold_wire::gallery::listing::{Listed, Listing, access_digest, digest};
use threshold_wire::gallery::{GalleryApplied, GalleryApply, LeftOut, MAX_GALLERY, Why};
use threshold_wire::message::{Armed, Info, Nothing, PullWhat};
use threshold_wire::session::SecretKey;

/// Copies the gallery into a file for the administrator's own key.
///
/// # Errors
/// A unit that does not answer or says no, a file that is in the way.
pub fn pull(meant: &Meant, typed: &args::GalleryOut) -> anyhow::Result<Answer> {
    let own = *own_key(meant)?.public();
    write(meant, &typed.out, &own, None)
}

/// Copies the gallery into a file for another unit.
///
/// # Errors
/// The same, and a unit that was not paired.
pub fn export(meant: &Meant, typed: &args::Export) -> anyhow::Result<Answer> {
    let name = &typed.recipient;
    let known = meant.keychain.unit(name)?;
    let (key, _) = known.ok_or_else(|| HostError::NotPaired { unit: name.clone() })?;
    write(meant, &typed.out, &key, Some(name))
}

fn write(
    meant: &Meant,
    out: &Path,
    recipient: &[u8; 32],
    name: Option<&str>,
) -> anyhow::Result<Answer> {
    let secret = own_key(meant)?;
    let out = &meant.out(out)?;
    gallery_file::check_place(out)?;
    let (_, content) = through_cuts(
        meant.wait.is_some(),
        || Session::open_started(meant),
        whole_of(PullWhat::Gallery, meant.say),
    )?;
    // What a unit sends is checked before it is kept.
    let checked = Content::read(content.clone())?;
    gallery_file::write(out, &secret, recipient, &content)?;
    let Content { people, templates: n_templates, origin, .. } = checked;
    let value = json!({
        "out": out.display().to_string(),
        "for": name,
        "key": KeyId::of(recipient).to_string(),
        "people": people,
        "templates": n_templates,
        "model": origin.model.to_string(),
        "generation": origin.generation,
    });
    meant.say.result(&value, || {
        let whom = name.map_or("your own key".to_owned(), |name| format!("the unit {name}"));
        format!(
            "{} with {} written to {}, which opens for {whom} alone",
            people_words(people),
            templates(n_templates),
            out.display()
        )
    })?;
    Ok(Answer::Yes)
}

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
    let (mut session, pushed) = through_cuts(
        meant.wait.is_some(),
        || Session::open_started(meant),
        |session| push_into(session, say, path, source),
    )?;
    say.result(&pushed.value(path), || pushed.text(path))?;
    if let Armed::Refuses(why) = session.call::<GetInfo>(&Nothing {})?.armed {
        let why = cause_words(why);
        say.warn(&format!(
            "the door stays locked now: {why}; threshold policy show says what helps"
        ));
    }
    Ok(if pushed.left_out.is_empty() { Answer::Yes } else { Answer::No })
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

/// Puts the people of a file into a unit's gallery.
///
/// # Errors
/// [`SessionError`]; [`HostError::GalleryOfOtherModel`] in it before anything is sent.
pub fn push_into<T: Transport>(
    session: &mut Session<T>,
    say: Say,
    path: &Path,
    source: Source<'_>,
) -> Result<Pushed, SessionError> {
    let mut pushed = Pushed::default();
    let (bytes, most) = match source {
        Source::Sealed(bytes) => (bytes.to_vec(), MAX_GALLERY),
        Source::Open(content) => {
            let there = listing(session, say)?;
            let (file, unit) = (content.origin.model, there.origin.model);
            if file != unit {
                let (path, people) = (path.to_path_buf(), content.people);
                let templates = content.templates;
                let error = HostError::GalleryOfOtherModel { path, people, templates, file, unit };
                return Err(error.into());
            }
            let due = due(content, &there);
            pushed.equal = content.people - due.len() as u32;
            pushed.generation = there.origin.generation;
            if due.is_empty() {
                return Ok(pushed);
            }
            let people = due.iter().map(|Due { held, templates }| Told {
                person: &held.person,
                access: held.access.as_ref(),
                templates,
            });
            let bytes = content::write(&content.origin, content.schedules.iter(), people)?;
            (bytes, due.len() as u32)
        }
    };
    pushed.sent = bytes.len() as u64;
    let bar = say.bar(pushed.sent, "pushing");
    let transfer = session.push_gallery(&bytes, &mut |there, _| bar.set_position(there))?;
    bar.finish_and_clear();
    apply(session, transfer, most, &mut pushed)?;
    Ok(pushed)
}

/// Has the unit apply a push, batch by batch; it names as many people at most as it was sent.
fn apply<T: Transport>(
    session: &mut Session<T>,
    transfer: u8,
    most: u32,
    pushed: &mut Pushed,
) -> Result<(), SessionError> {
    // Each call takes one person at least.
    for _ in 0..=most {
        let applied = session.call::<ApplyGallery>(&GalleryApply { transfer })?;
        let GalleryApplied { added, changed, equal, templates, left_out, generation, done } =
            applied;
        pushed.left_out.extend(left_out);
        if pushed.left_out.len() > most as usize {
            break;
        }
        if done {
            (pushed.added, pushed.changed) = (added, changed);
            pushed.equal += equal;
            (pushed.templates, pushed.generation) = (templates, generation);
            return Ok(());
        }
    }
    Err(BulkError::BadPeer.into())
}

/// Somebody of a file who is not at the unit with all of it.
struct Due<'a> {
    held: PersonIn<'a>,
    /// Those that are missing or differ.
    templates: Vec<Template>,
}

/// Who of a file is not at the unit with all of it. Somebody of whom other limits hold there is sent too, for the unit to say so.
fn due<'a>(content: &'a Content, there: &Listing) -> Vec<Due<'a>> {
    let tag = content.origin.model.tag();
    let mut due = Vec::new();
    for held in content.people() {
        let found = there.people.binary_search_by_key(&held.person.id, |one| one.person.id);
        let same = found.ok().and_then(|at| there.people.get(at));
        let same = same.filter(|one| one.person == held.person);
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
            due.push(Due { held, templates });
        }
    }
    due
}

/// What stands in a unit's gallery.
///
/// # Errors
/// [`SessionError`].
pub fn listing<T: Transport>(session: &mut Session<T>, say: Say) -> Result<Listing, SessionError> {
    Ok(Listing::read(&whole_of(PullWhat::Listing, say)(session)?)?)
}

/// What pulls a content, and goes on when it is called again after a cut.
fn whole_of<T: Transport>(
    what: PullWhat,
    say: Say,
) -> impl FnMut(&mut Session<T>) -> Result<Vec<u8>, SessionError> {
    let mut part = Part::default();
    move |session| {
        let bar = say.bar(0, "pulling the gallery");
        match session.call::<GetInfo>(&Nothing {}) {
            Ok(info) => drop(session.hurry(about_bytes(&info))?),
            // A unit that does not say how much it has is read as it comes.
            Err(SessionError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
        let pulled = session.pull_gallery(what, &mut part, &mut |there, all| {
            bar.set_length(all);
            bar.set_position(there);
        });
        session.rest();
        bar.finish_and_clear();
        pulled
    }
}

/// About how many bytes a unit's gallery takes: a template is its components and some more.
fn about_bytes(info: &Info) -> u64 {
    let components = info.model.as_ref().map_or(0, |model| u64::from(model.embedding_len));
    info.gallery.map_or(0, |gallery| u64::from(gallery.templates) * (components + 16))
}

/// The administrator's key; without one nobody was ever paired.
pub(in crate::cmd) fn own_key(meant: &Meant) -> anyhow::Result<SecretKey> {
    Ok(meant.keychain.secret()?.ok_or(RequestError::InsecureLink)?)
}

impl Pushed {
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

/// A number of people in words.
pub(super) fn people_words(count: u32) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}
