//! `threshold units`: which units there are, and how each stands.
//!
//! Owns the table. Asks the units that the site names, and of this machine's other ports only those that it is told to: bytes
//! that a stranger's device did not expect may move something.

use super::{Answer, info};
use crate::args;
use crate::meant::Meant;
use crate::remedy;
use crate::say::{plain, table};
use crate::session::{Session, UsbPort, usb_ports};
use crate::site::Target;
use serde_json::{Value, json};
use threshold_wire::endpoints::GetInfo;
use threshold_wire::message::{Info, Nothing};

/// One port, and who answered there.
struct Row {
    target: Target,
    usb: Option<UsbPort>,
    /// `None` if it was not asked.
    answer: Option<Result<(Info, bool), String>>,
}

/// Shows the units.
///
/// # Errors
/// If the keychain cannot be read, or stdout is closed.
pub fn run(meant: &Meant, typed: &args::Units) -> anyhow::Result<Answer> {
    let usb = usb_ports();
    let mut targets = meant.targets();
    for port in &usb {
        let listed = |target: &Target| port.is_named(&target.port);
        if !targets.iter().any(listed) {
            targets.push(Target { name: None, port: port.port.clone() });
        }
    }
    let named = meant.targets();
    // Each answers for itself, and a dead line takes its four seconds beside the others.
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let ask = |target: Target| {
            let asked = typed.ask || named.contains(&target);
            scope.spawn(move || {
                let answer = asked.then(|| ask(meant, &target));
                (target, answer)
            })
        };
        let asked: Vec<_> = targets.into_iter().map(ask).collect();
        let rows = asked.into_iter().filter_map(|thread| thread.join().ok());
        let usb_of = |target: &Target| usb.iter().find(|port| port.is_named(&target.port)).cloned();
        rows.map(|(target, answer)| Row { usb: usb_of(&target), target, answer }).collect()
    });
    let known = meant.keychain.units()?;
    let away: Vec<&String> = known
        .keys()
        .filter(|name| {
            !rows
                .iter()
                .any(|row| matches!(&row.answer, Some(Ok((info, _))) if info.unit == name.as_str()))
        })
        .collect();
    let value = json!({
        "units": rows.iter().map(|row| row.value(&known)).collect::<Vec<_>>(),
        "paired_elsewhere": away,
    });
    meant.say.result(&value, || text(&rows, &away))?;
    Ok(Answer::Yes)
}

fn ask(meant: &Meant, target: &Target) -> Result<(Info, bool), String> {
    let asked = Session::open_to_look(&meant.of(target))
        .and_then(|mut session| Ok((session.call::<GetInfo>(&Nothing {})?, session.is_sealed())));
    asked.map_err(|error| remedy::without(&error.into()))
}

impl Row {
    fn value(
        &self,
        known: &std::collections::BTreeMap<String, crate::keychain::KnownUnit>,
    ) -> Value {
        let (info, error) = match &self.answer {
            Some(Ok((info, sealed))) => (Some((info, sealed)), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        json!({
            "name": self.target.name,
            "port": self.target.port,
            "usb": self.usb.as_ref().map(UsbPort::id),
            "product": self.usb.as_ref().and_then(|usb| usb.product.clone()),
            "asked": self.answer.is_some(),
            "unit": info.map(|(info, _)| info.unit.as_str()),
            "state": info.map(|(info, _)| info::state(info.armed)),
            "sealed": info.map(|(_, sealed)| sealed),
            "role": info.and_then(|(info, _)| known.get(info.unit.as_str())).map(|unit| unit.role.text()),
            "error": error,
        })
    }
}

fn text(rows: &[Row], away: &[&String]) -> String {
    let cells = |row: &Row| {
        let (unit, state) = match &row.answer {
            Some(Ok((info, sealed))) => {
                let open = if *sealed { "" } else { ", not paired from here" };
                (plain(&info.unit), format!("{}{open}", info::state(info.armed)))
            }
            Some(Err(error)) => (row.target.name.clone().unwrap_or_default(), plain(error)),
            None => (String::new(), "not asked (--ask)".to_owned()),
        };
        let usb = row.usb.as_ref().map(|usb| {
            plain(&[usb.id().as_str(), usb.product.as_deref().unwrap_or_default()].join(" "))
        });
        vec![unit, row.target.port.clone(), usb.unwrap_or_default(), state]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    let mut text = match rows.is_empty() {
        true => "no unit is named, and no serial port of this machine is on USB".to_owned(),
        false => table(&["unit", "port", "usb", "state"], &rows),
    };
    if !away.is_empty() {
        let names: Vec<String> = away.iter().map(|name| plain(name)).collect();
        text.push_str(&format!("\npaired, and not at these ports: {}", names.join(", ")));
    }
    text
}
