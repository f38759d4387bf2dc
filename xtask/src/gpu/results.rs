//! Results of the folders of `cargo xtask gpu pack`, as `run.sh` leaves them, read for the report.
//!
//! ```text
//! kernels/results/h200-2026-11-26/
//!   detect/   turn-N/detect.json  peer.json  energy.json  rounds.json  sanitize.json  soak.json  accuracy-MODEL.json
//!   embed/    turn-N/embed.json   the same
//! ```
//! What is not there is null. A number that several turns have is their median.

use crate::bench::figures::median;
use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

/// One card's.
#[derive(Default)]
pub(super) struct Results {
    /// The folder's name.
    pub(super) name: String,
    pub(super) detect: Value,
    /// Turns that `detect` is the median of.
    pub(super) detect_turns: usize,
    pub(super) detect_peer: Value,
    pub(super) embed: Value,
    /// Turns that `embed` is the median of.
    pub(super) embed_turns: usize,
    pub(super) embed_peer: Value,
    /// Rows of both folders.
    pub(super) energy: Vec<Value>,
    pub(super) rounds: Vec<Value>,
    pub(super) sanitize: Vec<Value>,
    pub(super) soak: Value,
    /// One for each model.
    pub(super) accuracy: Vec<Value>,
}

impl Results {
    /// # Errors
    /// If a file is there and is no JSON.
    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        let both = |name: &str| -> Result<Vec<Value>> {
            let mut rows = Vec::new();
            for part in ["detect", "embed"] {
                rows.extend(list(&read(&folder.join(part).join(name))?).to_vec());
            }
            Ok(rows)
        };
        let (detect, detect_turns) = turns(&folder.join("detect"), "detect.json")?;
        let (embed, embed_turns) = turns(&folder.join("embed"), "embed.json")?;
        Ok(Self {
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            detect,
            detect_turns,
            detect_peer: read(&folder.join("detect/peer.json"))?,
            embed,
            embed_turns,
            embed_peer: read(&folder.join("embed/peer.json"))?,
            energy: both("energy.json")?,
            rounds: both("rounds.json")?,
            sanitize: both("sanitize.json")?,
            soak: read(&folder.join("detect/soak.json"))?,
            accuracy: of_models(&folder.join("detect"))?,
        })
    }

    /// What either folder's benchmark measured of the card itself.
    pub(super) fn of_card(&self, key: &str) -> &Value {
        [&self.detect[key], &self.embed[key]]
            .into_iter()
            .find(|value| !value.is_null())
            .unwrap_or(&Value::Null)
    }

    /// The card, as its driver calls it.
    pub(super) fn card(&self) -> String {
        let name = self.detect["device"].as_str().or(self.embed["device"].as_str()).unwrap_or("?");
        name.split(" with ").next().unwrap_or(name).to_owned()
    }

    /// The frame of that name and smallest face.
    pub(super) fn frame(&self, frame: &str, min_face: f64) -> &Value {
        row(&self.detect["frames"], frame, min_face)
    }

    /// The same of the peer.
    pub(super) fn peer_frame(&self, frame: &str, min_face: f64) -> &Value {
        row(&self.detect_peer["frames"], frame, min_face)
    }

    /// Microseconds of a network of ours at a batch, by what is timed.
    pub(super) fn network_us(&self, network: &str, batch: usize, what: &str) -> Option<f64> {
        let networks = list(&self.embed["networks"]).iter();
        let mut same = networks
            .filter(|row| row["network"] == network && row["batch"].as_u64() == Some(batch as u64));
        same.next()?[what].as_f64()
    }
}

fn row<'a>(rows: &'a Value, frame: &str, min_face: f64) -> &'a Value {
    let mut rows = list(rows).iter();
    rows.find(|row| row["frame"] == frame && row["min_face"].as_f64() == Some(min_face))
        .unwrap_or(&Value::Null)
}

/// The elements of a list, none of what is no list.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Milliseconds that a peer's row tells, in whichever unit it does.
pub(super) fn peer_ms(row: &Value) -> Option<f64> {
    row["p50_ms"].as_f64().or_else(|| Some(row["p50_us"].as_f64()? / 1e3))
}

fn read(path: &Path) -> Result<Value> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| path.display().to_string()),
        Err(_) => Ok(Value::Null),
    }
}

/// The files `accuracy-*.json`, in their names' order.
fn of_models(folder: &Path) -> Result<Vec<Value>> {
    let Ok(listed) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("accuracy-"))
    });
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// All turns' as one, and how many they were.
fn turns(folder: &Path, name: &str) -> Result<(Value, usize)> {
    let mut all = Vec::new();
    for turn in 1.. {
        match read(&folder.join(format!("turn-{turn}")).join(name))? {
            Value::Null => break,
            value => all.push(value),
        }
    }
    Ok((merged(&all.iter().collect::<Vec<_>>()), all.len()))
}

/// Values of the same form as one: of a number whose name begins with `max` the greatest, medians of all others, and of all else the
/// first's.
fn merged(all: &[&Value]) -> Value {
    let first = match all {
        [] => return Value::Null,
        [only] => return (*only).clone(),
        [first, ..] => first,
    };
    match first {
        Value::Object(fields) => {
            let field = |key: &String| {
                let all: Vec<&Value> = all.iter().map(|value| &value[key.as_str()]).collect();
                let greatest = all.iter().filter_map(|value| value.as_f64()).reduce(f64::max);
                match greatest.filter(|_| key.starts_with("max")) {
                    Some(greatest) => (key.clone(), greatest.into()),
                    None => (key.clone(), merged(&all)),
                }
            };
            Value::Object(fields.keys().map(field).collect::<Map<_, _>>())
        }
        Value::Array(items) => {
            let item = |i: usize| merged(&all.iter().map(|value| &value[i]).collect::<Vec<_>>());
            Value::Array((0..items.len()).map(item).collect())
        }
        Value::Number(_) => {
            let median = median(all.iter().filter_map(|value| value.as_f64()));
            // A count stays one.
            let is_count = all.iter().all(|value| !value.is_f64()) && median.fract() == 0.0;
            if is_count { (median as i64).into() } else { median.into() }
        }
        other => (*other).clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_of_several_turns_is_their_median_and_what_is_missing_in_one_is_that_of_the_others()
    {
        let turns = [
            json!({"device": "a", "rows": [{"ms": 1.0}, {"ms": 5}]}),
            json!({"device": "b", "rows": [{"ms": 3.0}, {"ms": 6}]}),
            json!({"device": "c", "rows": [{"ms": 2.0}]}),
        ];
        let all: Vec<&Value> = turns.iter().collect();
        assert_eq!(merged(&all), json!({"device": "a", "rows": [{"ms": 2.0}, {"ms": 5.5}]}));
        let slow = [json!({"max_ms": 1.5}), json!({"max_ms": 9.5}), json!({"max_ms": 2.5})];
        assert_eq!(merged(&slow.iter().collect::<Vec<_>>()), json!({"max_ms": 9.5}));
        let counts = [json!([3, 1]), json!([3, 2])];
        assert_eq!(merged(&counts.iter().collect::<Vec<_>>()), json!([3, 1.5]));
        assert_eq!(merged(&[]), Value::Null);
    }
}
