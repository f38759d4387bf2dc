//! `threshold gallery pull | export`: the whole gallery into a sealed file.
//!
//! Owns the reading of a unit's gallery and its listing. A line that is cut is gone on with under `--wait`. Refuses to write a
//! template to a disk in the clear.

use super::super::Answer;
use super::templates;
use crate::args;
use crate::error::HostError;
use crate::gallery_file;
use crate::meant::Meant;
use crate::say::Say;
use crate::session::bulk::Part;
use crate::session::port::Transport;
use crate::session::wait::{Machine, through_cuts};
use crate::session::{Session, SessionError};
use serde_json::json;
use std::path::Path;
use threshold_record::KeyId;
use threshold_wire::RequestError;
use threshold_wire::endpoints::GetInfo;
use threshold_wire::gallery::content::Content;
use threshold_wire::gallery::listing::Listing;
use threshold_wire::message::{Info, Nothing, PullWhat};
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
        meant.wait,
        &mut Machine::new(),
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
        let bar = say.transfer(0, "pulling the gallery");
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

/// A number of people in words.
pub(super) fn people_words(count: u32) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}
