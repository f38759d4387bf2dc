//! What an update must do on the board: the real `threshold flash` over the serial line, the real launcher, systemd that starts it.
//!
//! Owns the expectations of one: a power cut leaves the version before, a good one confirms itself and lets in who was let in, one that
//! does not start is gone back from within three starts, and nothing below the security counter is taken.

use super::door::Door;
use super::versions::{BROKEN, DAMAGED, FIRST, NEWER};
use anyhow::{Result, ensure};
use serde_json::Value;
use std::path::Path;

/// Starts that a version on trial has.
const STARTS: usize = 3;

/// The slot that does not run when the first update comes, on the board, once it is being filled.
const FILLED: &str = "/var/lib/threshold-slots/b/MANIFEST";

/// The longest for which a good update may leave nobody recognised, on a board.
const WANTED_DOWN_S: f64 = 5.0;

/// The same on this board, whose processor is emulated on a machine that does other things: missed by less it is only said.
const MOST_DOWN_S: f64 = 15.0;

/// What updates took, in seconds.
#[derive(Debug)]
pub(super) struct Figures {
    /// From the power after a cut in the middle of an update until the unit was armed.
    pub(super) cut_s: f64,
    /// From the command to the end of the process that is updated.
    pub(super) installed_s: f64,
    /// From that end, by the unit's own entries, until the version on trial was armed, which is when it looks at the next frame.
    down_s: f64,
    /// From the command until the version had confirmed itself.
    confirmed_s: f64,
    /// From the first start of a version that ends at once until the one before was armed.
    pub(super) reverted_s: f64,
}

impl Figures {
    /// The rows of the table.
    pub(super) fn rows(&self) -> [(String, f64); 5] {
        [
            ("start after a power cut in the middle of an update: armed".to_owned(), self.cut_s),
            ("a good update: sent, checked and installed after".to_owned(), self.installed_s),
            (down(self.down_s), self.down_s),
            ("a good update: confirmed after".to_owned(), self.confirmed_s),
            (
                "a version that ends at once: the one before is armed again after".to_owned(),
                self.reverted_s,
            ),
        ]
    }
}

/// What stands beside the time without recognition: what is wanted, and whether that was missed.
fn down(down_s: f64) -> String {
    let missed = if down_s > WANTED_DOWN_S { ", missed here" } else { "" };
    format!(
        "a good update: nobody is recognised for, from the end of the one version until the other is armed (wanted on a board: \
         {WANTED_DOWN_S:.1} at most{missed}; limit of this emulated one: {MOST_DOWN_S:.1})"
    )
}

/// Cuts the power while the slot is filled; seconds from the power until the unit was armed, with that picture before the camera.
///
/// # Errors
/// If the unit does not run what it ran.
pub(super) fn cut(door: &mut Door, picture: &str) -> Result<f64> {
    let [newer, first] = typed([&door.versions.newer, &door.versions.first]);
    let mut flash = door.begin(&["flash", &newer, "--from", &first])?;
    door.transcript.event(door.seconds(), "$ threshold flash newer.bundle --from first.bundle");
    door.ask(&format!("until [ -e {FILLED} ]; do usleep 20000; done"))?;
    door.transcript.event(door.seconds(), "the slot that does not run is being filled");
    door.cut_power()?;
    flash.kill()?;
    flash.wait()?;
    let board_s = door.power_on(picture)?;
    let start = door.unit_started(board_s)?;
    runs(door, FIRST)?;
    Ok(start.armed_s)
}

/// Updates to the newer version and does something while it is on trial.
///
/// # Errors
/// If it does not confirm itself.
pub(super) fn good<T>(
    door: &mut Door,
    meanwhile: impl FnOnce(&mut Door) -> Result<T>,
) -> Result<(Figures, T)> {
    let [newer, first] = typed([&door.versions.newer, &door.versions.first]);
    let said = door.lines_said()?;
    let begun_s = door.seconds();
    let flash = door.begin_aside(&["flash", &newer, "--from", &first])?;
    let ended = door.unit_says("stopped, to be started again", said)?;
    let on_trial = door.unit_says(&on_trial(NEWER, "b"), ended)?;
    let armed = door.unit_armed(on_trial)?;
    // The unit's own words: the loop is over when it writes the first of them.
    door.entry(|entry| entry["kind"] == "updated")?;
    let down = door.entry(|entry| entry["kind"] == "disarmed")?;
    let up = door.entry(|entry| entry["kind"] == "armed")?;
    let tried = door.seen;
    let done = meanwhile(door)?;
    let (is_content, words) = door.end_of(flash)?;
    ensure!(is_content && words.contains("confirmed"), "the update was not confirmed: {words}");
    let confirmed = door.unit_says("is confirmed", armed)?;
    // It may have come before the last visit.
    let visited = std::mem::replace(&mut door.seen, tried);
    door.entry(|entry| entry["kind"] == "update_confirmed")?;
    door.seen = door.seen.max(visited);
    runs(door, NEWER)?;
    let down_s = (wall_ms(&up)? - wall_ms(&down)?) / 1000.0;
    ensure!(
        down_s <= MOST_DOWN_S,
        "nobody was recognised for {down_s:.1} s, {MOST_DOWN_S:.1} are the most"
    );
    let figures = Figures {
        cut_s: 0.0,
        installed_s: door.said_at(ended) - begun_s,
        down_s,
        confirmed_s: door.said_at(confirmed) - begun_s,
        reverted_s: 0.0,
    };
    Ok((figures, done))
}

/// Updates to a version that ends at once; seconds from its first start until the one before is armed again.
///
/// # Errors
/// If the unit does not go back by itself.
pub(super) fn broken(door: &mut Door) -> Result<f64> {
    let bundle = door.versions.broken.clone();
    goes_back(door, &bundle, BROKEN)
}

/// Updates to a version whose detector is damaged, which it finds by itself.
///
/// # Errors
/// If the unit does not go back by itself.
pub(super) fn damaged(door: &mut Door) -> Result<f64> {
    let bundle = door.versions.damaged()?;
    goes_back(door, &bundle, DAMAGED)
}

fn goes_back(door: &mut Door, bundle: &Path, version: (&str, u64)) -> Result<f64> {
    let said = door.lines_said()?;
    let [bundle] = typed([bundle]);
    let flash = door.begin_aside(&["flash", &bundle])?;
    let begun = door.unit_says(&on_trial(version, "a"), said)?;
    let (is_content, words) = door.end_of(flash)?;
    ensure!(!is_content && words.contains("went back"), "the update should have failed: {words}");
    let back = door.unit_says("gone back", begun)?;
    let starts = door.times_said(&on_trial(version, "a"), said)?;
    ensure!(starts == STARTS, "the version was started {starts} times");
    let armed = door.unit_armed(back)?;
    door.entry(|entry| entry["kind"] == "reverted")?;
    runs(door, NEWER)?;
    Ok(door.said_at(armed) - door.said_at(begun))
}

/// Tries the version from before, which is below the security counter.
///
/// # Errors
/// If it is taken.
pub(super) fn downgrade(door: &mut Door) -> Result<()> {
    let before = door.carried();
    let [first] = typed([&door.versions.first]);
    let flash = door.begin_aside(&["flash", &first])?;
    let (is_content, words) = door.end_of(flash)?;
    let counter = format!("security counter {}", FIRST.1);
    ensure!(!is_content && words.contains(&counter), "a downgrade should be refused: {words}");
    let sent = door.carried() - before;
    ensure!(sent < 4096, "{sent} bytes were sent of a bundle that the unit takes never");
    runs(door, NEWER)
}

/// Makes sure that the unit runs that version, confirmed, and takes nothing below its counter.
///
/// # Errors
/// If it does not.
pub(super) fn runs(door: &mut Door, version: (&str, u64)) -> Result<()> {
    let there = door.host.json(&["slots"])?;
    let running = running(&there);
    let right = running["version"] == version.0 && running["state"] == "confirmed";
    ensure!(right && there["counter"] == version.1, "the unit should run {version:?}: {there}");
    let words = format!(
        "the unit runs {} from slot {}, confirmed; security counter {}",
        version.0,
        running["slot"].as_str().unwrap_or_default(),
        version.1
    );
    door.transcript.event(door.seconds(), &words);
    Ok(())
}

/// The slot that the unit runs from.
pub(super) fn running(there: &Value) -> Value {
    let mut slots = there["slots"].as_array().into_iter().flatten();
    slots.find(|slot| slot["running"] == true).cloned().unwrap_or_default()
}

/// What the launcher says when it starts a version on trial.
fn on_trial(version: (&str, u64), slot: &str) -> String {
    format!("version {} in slot {slot}: on trial", version.0)
}

fn typed<const N: usize>(paths: [&(impl AsRef<Path> + ?Sized); N]) -> [String; N] {
    paths.map(|path| path.as_ref().display().to_string())
}

/// An entry's time on the wall, milliseconds.
fn wall_ms(entry: &Value) -> Result<f64> {
    let at = entry["wall_unix_ms"].as_f64();
    at.ok_or_else(|| anyhow::anyhow!("an entry without a time: {entry}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_misses_what_is_wanted_says_so() {
        assert!(!down(WANTED_DOWN_S).contains("missed"));
        assert!(down(5.7).contains("wanted on a board: 5.0 at most, missed here;"));
    }
}
