//! The report of a demonstration: one HTML file that needs nothing beside it.

use super::Outcome;
use serde_json::Value;
use std::fmt::Write as _;

/// What the report shows besides the visits.
pub(super) struct Facts {
    /// What `threshold info` printed.
    pub(super) info: String,
    /// The pulled log, in order.
    pub(super) log: Vec<Value>,
    /// Seconds of the whole run.
    pub(super) seconds: f64,
}

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;\
color:#1c2024;background:#fff}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\
.visits{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1rem}\
.visit{border:1px solid #d5d9de;border-radius:8px;padding:.8rem}.visit img{max-width:100%;max-height:20rem}\
.admit{border-left:6px solid #2f855a}.refuse{border-left:6px solid #b7791f}.wrong{border-left:6px solid #c53030;background:#fff5f5}\
.why{white-space:pre-wrap;font-size:.85rem;background:#f6f7f9;padding:.6rem;border-radius:6px;overflow-x:auto}\
table{border-collapse:collapse;font-size:.85rem}td,th{padding:.25rem .6rem;border-bottom:1px solid #e3e6ea;text-align:left}\
.scroll{overflow-x:auto}.notice{background:#fffbea;border:1px solid #e6d58a;border-radius:8px;padding:.8rem}\
@media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#15181b}.visit,td,th{border-color:#343a40}\
.why{background:#1e2226}.wrong{background:#2d1a1a}.notice{background:#2b2713;border-color:#5c5223}}";

/// The columns of the log table.
const COLUMNS: [&str; 11] = [
    "sequence",
    "kind",
    "decision",
    "reason",
    "cause",
    "person_name",
    "best_score",
    "runner_up_score",
    "threshold",
    "quality",
    "total_ms",
];

/// The report's text.
pub(super) fn html(outcomes: &[Outcome], facts: &Facts) -> String {
    let right = outcomes.iter().filter(|outcome| outcome.right()).count();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Threshold: demonstration</title><style>{STYLE}</style>\
         <h1>Threshold: demonstration</h1>\
         <p>{right} of {} decisions were the right ones. The run took {:.1} s.</p>\
         <p class=\"notice\">A photo opens this door: presentation-attack detection is not installed. \
         The link to this virtual unit is unauthenticated.</p><h2>Visits</h2><div class=\"visits\">",
        outcomes.len(),
        facts.seconds
    );
    for outcome in outcomes {
        let class = match (outcome.right(), outcome.text("decision")) {
            (false, _) => "wrong",
            (true, "admit") => "admit",
            (true, _) => "refuse",
        };
        let _ = write!(
            page,
            "<div class=\"visit {class}\"><img alt=\"{name}\" src=\"{picture}\">\
             <h3>{name}</h3><p>{origin}</p><p><b>{decision}</b>{not}<br>expected {expected}: {because}</p>\
             <p>{scores}</p><div class=\"why\">{why}</div></div>",
            name = escaped(outcome.visit.name),
            picture = outcome.drawn,
            origin = escaped(&outcome.visit.picture.origin()),
            decision = escaped(&outcome.decision()),
            not = if outcome.right() { "" } else { " — not the right one" },
            expected = escaped(&outcome.visit.expected.text()),
            because = escaped(outcome.visit.because),
            scores = escaped(&outcome.scores()),
            why = escaped(outcome.why.trim()),
        );
    }
    let _ = write!(
        page,
        "</div><h2>Log, as pulled</h2><p>Complete with {} entries when it was pulled. Each reading after that, as for \
         the reasons above, added an entry that says so, which is why the unit's last entry is a later one.</p>\
         <div class=\"scroll\"><table><tr>",
        facts.log.len()
    );
    for column in COLUMNS {
        let _ = write!(page, "<th>{}</th>", column.replace('_', " "));
    }
    page.push_str("</tr>");
    for entry in &facts.log {
        page.push_str("<tr>");
        for column in COLUMNS {
            let _ = write!(page, "<td>{}</td>", escaped(&shown(&entry[column])));
        }
        page.push_str("</tr>");
    }
    let _ = write!(
        page,
        "</table></div><h2>Unit</h2><div class=\"why\">{}</div></html>",
        escaped(facts.info.trim())
    );
    page
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
