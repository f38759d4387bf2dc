//! `cargo xtask vm gadget`, and a part of `soak vm`: what the unit's line by the USB device port must do on the board. The package's
//! service makes it, the unit answers there, a host finds the unit by what its own kernel says of the device, and a plug that is pulled
//! out and put in again costs nobody a command.
//!
//! Owns the expectations. The port is the kernel's own, looped to a host port on the same board (`dummy_hcd`): gadget, driver and unit are
//! those of a door, the controller and its cable are not.

use super::board::By;
use super::door::Door;
use super::trial::log;
use super::unit::NOBODY;
use anyhow::{Context as _, Result, ensure};

/// The vendor and the product that the package's script gives the gadget, as `threshold units` shows them.
const DEVICE: [&str; 2] = ["1d6b", "0104"];

/// Cuts the power of a unit, has it answer by the device port after it, and leaves it at the serial adapter again.
///
/// # Errors
/// If it does not do what it must.
pub(super) fn run(door: &mut Door) -> Result<()> {
    door.transcript.part("The line by the USB device port");
    door.cut_power()?;
    let board_s = door.power_on_by(NOBODY, By::DevicePort)?;
    door.unit_started(board_s)?;
    check(door)?;
    log(door)?;
    door.cut_power()?;
    let board_s = door.power_on(NOBODY)?;
    door.unit_started(board_s).map(drop)
}

/// The port must be the device that a host looks for, and the unit still there once the plug was pulled.
fn check(door: &mut Door) -> Result<()> {
    let said = door.ask("described")?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let ([vendor, product, serial], name) =
        words.split_first_chunk().with_context(|| format!("no device: {said:?}"))?;
    let right = [*vendor, *product] == DEVICE && name == ["Door", "unit"];
    ensure!(right, "a host would see {said:?}");
    let is_number = serial.len() == 16 && serial.chars().all(|digit| digit.is_ascii_hexdigit());
    ensure!(is_number, "the gadget's serial number is {serial:?}");
    let words = format!("the board's other end says usb:{vendor}:{product}:{serial}, Door unit");
    door.transcript.event(door.seconds(), &words);
    let before = door.lines_said()?;
    door.ask("replug")?;
    door.transcript.event(door.seconds(), "the device port's plug is pulled out and put in again");
    door.unit_says("line: /dev/ttyGS0", before)?;
    door.wait_for_service().map(drop)
}
