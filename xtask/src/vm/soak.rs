//! `cargo xtask soak vm`: the power cut at random moments of updates, and a version that only its own test of itself finds bad.
//!
//! Owns what must hold after each cut: the unit runs the version before or the new one, is armed, knows everybody, and its log verifies.
//! Refuses to choose the moments by what the unit does: they are spread evenly over a whole good update and the start after it.

use super::door::Door;
use super::gadget;
use super::trial::{begin, log, people};
use super::unit::NOBODY;
use super::update;
use super::versions::NEWER;
use super::{Workshop, make};
use anyhow::{Result, ensure};
use std::fmt::Write as _;
use std::time::Duration;

/// Power cuts.
const CUTS: u32 = 50;

/// The first seed; each cut's moment comes from it.
const SEED: u64 = 10;

/// What comes after the process that is updated has ended and is cut into as well: the start of the trial, and some of it.
const TRIAL: Duration = Duration::from_secs(10);

/// Runs it; the page's table, and how it ended.
///
/// # Errors
/// If a part is missing: then nothing is said about the unit.
pub(crate) fn soak(workshop: Workshop) -> Result<(String, Result<()>)> {
    let (mut door, photos, _sockets) = make(workshop)?;
    let mut table = "| figure | |\n| --- | --- |\n".to_owned();
    let done = begin(&mut door, &photos).and_then(|_| run(&mut door, &mut table));
    Ok((table, done))
}

fn run(door: &mut Door, table: &mut String) -> Result<()> {
    gadget::run(door)?;
    table.push_str(
        "| the line by the USB device port, its plug pulled and put in again | answers |\n",
    );
    door.transcript.part("A good update");
    let (figures, ()) = update::good(door, |_| Ok(()))?;
    for (what, seconds) in figures.rows().into_iter().filter(|(what, _)| what.contains("good")) {
        let _ = writeln!(table, "| {what} | {seconds:.1} s |");
    }
    door.transcript.part("A version that ends at once, and one whose detector is damaged");
    let ends_s = update::broken(door)?;
    let damaged_s = update::damaged(door)?;
    let _ = writeln!(
        table,
        "| a version that ends at once: gone back from after three starts and | {ends_s:.0} s |"
    );
    let _ = writeln!(
        table,
        "| a version with a damaged detector: gone back from after three starts and | {damaged_s:.0} s |"
    );

    door.transcript.part("Power cuts at random moments of updates");
    let (mut before, mut newer, mut last_s) = (NEWER.0.to_owned(), 0, 0.0);
    let known = people(door)?;
    let mut random = SEED;
    let mut cuts = 0;
    let cut = (1..=CUTS).try_for_each(|number| {
        let comes = format!("2.{number}.0");
        let span = Duration::from_secs_f64(figures.installed_s) + TRIAL;
        let moment = span.mul_f64(share(&mut random));
        let bundle = door.versions.numbered(&comes)?.display().to_string();
        let mut flash = door.begin(&["flash", &bundle])?;
        std::thread::sleep(moment);
        door.cut_power()?;
        // It waits for a unit that is gone.
        flash.kill()?;
        flash.wait()?;
        let board_s = door.power_on(NOBODY)?;
        let start = door.unit_started(board_s)?;
        let there = door.host.json(&["slots"])?;
        let running = update::running(&there);
        let version = running["version"].as_str().unwrap_or_default().to_owned();
        ensure!(version == before || version == comes, "neither {before} nor {comes}: {there}");
        ensure!(people(door)? == known, "a power cut took somebody");
        log(door)?;
        if running["state"] == "trial" {
            door.administer(&["confirm"])?;
        }
        let after_s = moment.as_secs_f64();
        let words = format!("cut {number}, {after_s:.1} s after the command: {version} runs");
        door.transcript.event(door.seconds(), &words);
        newer += u32::from(version == comes);
        (before, cuts, last_s) = (version, number, start.armed_s.max(last_s));
        Ok(())
    });
    let _ = writeln!(table, "| power cuts at random moments of an update, seed {SEED} | {cuts} |");
    let _ = writeln!(table, "| of these the version before ran afterwards | {} |", cuts - newer);
    let _ = writeln!(table, "| of these the new one did | {newer} |");
    let _ =
        writeln!(table, "| longest start after one, from the power until armed | {last_s:.1} s |");
    cut
}

/// A part of one, evenly spread (xorshift64*).
fn share(random: &mut u64) -> f64 {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    let bits = random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spread_over_the_whole() {
        let mut random = SEED;
        let shares: Vec<f64> = (0..CUTS).map(|_| share(&mut random)).collect();
        for fifth in 0..5 {
            let (from, to) = (f64::from(fifth) / 5.0, f64::from(fifth + 1) / 5.0);
            let there = shares.iter().filter(|&&share| (from..to).contains(&share)).count();
            assert!(there >= 3, "{there} of {shares:?} from {from} to {to}");
        }
    }
}
