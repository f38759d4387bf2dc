//! `threshold units`: which units there are, and how each stands.
//!
//! Owns the table. Asks the units that the site names, and of this machine's other ports only those that it is told to: bytes
//! that a stranger's device did not expect may move something.

use super::other_version::OtherVersion;
use super::{Answer, info, other_version};
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
    answer: Option<Result<Seen, String>>,
}

/// Who answered.
enum Seen {
    /// A unit of this version, and whether what it said is sealed.
    Same(Box<Info>, bool),
    /// One of another version.
    Other(Box<OtherVersion>),
}

impl Seen {
    fn unit(&self) -> &str {
        match self {
            Self::Same(info, _) => &info.unit,
            Self::Other(other) => other.unit(),
        }
    }

    fn state(&self) -> &'static str {
        match self {
            Self::Same(info, _) => info::state(info.armed),
            Self::Other(_) => other_version::STATE,
        }
    }

    fn is_sealed(&self) -> bool {
        match self {
            Self::Same(_, sealed) => *sealed,
            Self::Other(other) => other.sealed,
        }
    }
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
                .any(|row| matches!(&row.answer, Some(Ok(seen)) if seen.unit() == name.as_str()))
        })
        .collect();
    let value = json!({
        "units": rows.iter().map(|row| row.value(&known)).collect::<Vec<_>>(),
        "paired_elsewhere": away,
    });
    meant.say.result(&value, || text(&rows, &away))?;
    Ok(Answer::Yes)
}

fn ask(meant: &Meant, target: &Target) -> Result<Seen, String> {
    let asked = Session::open_to_look(&meant.of(target)).and_then(|mut session| {
        if let Some(other) = other_version::look(&mut session) {
            return Ok(Seen::Other(Box::new(other)));
        }
        let info = session.call::<GetInfo>(&Nothing {})?;
        Ok(Seen::Same(Box::new(info), session.is_sealed()))
    });
    asked.map_err(|error| remedy::without(&error.into()))
}

impl Row {
    fn value(
        &self,
        known: &std::collections::BTreeMap<String, crate::keychain::KnownUnit>,
    ) -> Value {
        let (seen, error) = match &self.answer {
            Some(Ok(seen)) => (Some(seen), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        json!({
            "name": self.target.name,
            "port": self.target.port,
            "usb": self.usb.as_ref().map(UsbPort::id),
            "product": self.usb.as_ref().and_then(|usb| usb.product.clone()),
            "asked": self.answer.is_some(),
            "unit": seen.map(Seen::unit),
            "state": seen.map(Seen::state),
            "sealed": seen.map(Seen::is_sealed),
            "role": seen.and_then(|seen| known.get(seen.unit())).map(|unit| unit.role.text()),
            "other_version": match seen {
                Some(Seen::Other(other)) => other.value(),
                _ => Value::Null,
            },
            "error": error,
        })
    }
}

fn text(rows: &[Row], away: &[&String]) -> String {
    let cells = |row: &Row| {
        let (unit, state) = match &row.answer {
            Some(Ok(seen)) => {
                let open = if seen.is_sealed() { "" } else { ", not paired from here" };
                let helps = match seen {
                    Seen::Other(other) => format!("; {}", plain(&other.remedy())),
                    Seen::Same(..) => String::new(),
                };
                (plain(seen.unit()), format!("{}{open}{helps}", seen.state()))
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
