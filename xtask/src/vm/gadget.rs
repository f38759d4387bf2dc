//! What the unit's line by the USB device port must do on the board: the package's service makes it, the unit answers there, a host finds
//! the unit by what its own kernel says of the device, and a plug that is pulled out and put in again costs nobody a command.
//!
//! Owns the expectations. The port is the kernel's own, looped to a host port on the same board (`dummy_hcd`): gadget, driver and unit are
//! those of a door, the controller and its cable are not.

use super::door::Door;
use anyhow::{Context as _, Result, ensure};

/// The vendor and the product that the package's script gives the gadget, as `threshold units` shows them.
const DEVICE: [&str; 2] = ["1d6b", "0104"];

/// Checks a unit that answers by the device port.
///
/// # Errors
/// If the port is another device than a host looks for, or the unit is not there any more once the plug was pulled.
pub(super) fn check(door: &mut Door) -> Result<()> {
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
