//! The report's page: HTML that needs nothing but itself.
//!
//! Owns the words and the order; the frame is `crate::report`'s. Every text of the log passes through the template's escaping.

use super::forecast::Outlook;
use super::plot;
use super::tally::{Event, Someone, Tally, Trend, Visits};
use crate::causes::cause_words;
use crate::report;
use crate::report::plot::PlotError;
use crate::say::plain;
use maud::{Markup, PreEscaped, html};
use std::time::{Duration, SystemTime};
use threshold_record::Cause;

/// People in the table, at most: those with the most visits.
const PEOPLE_LISTED: usize = 200;

/// The page.
///
/// # Errors
/// [`PlotError`].
pub(super) fn page(
    title: &str,
    tally: &Tally,
    outlook: Option<&Outlook>,
) -> Result<String, PlotError> {
    let people = people(tally)?;
    let over_time = plot::over_time(tally)?;
    let scores = plot::scores(tally)?;
    let by_hour = plot::by_hour(tally)?;
    let body = html! {
                (summary(tally))
                (sinking(tally))
                h2 { "Visits over time" }
                @if let Some((svg, word)) = &over_time {
                    p { "One bar " (word) " (UTC): " span.a { "admitted" } ", " span.r { "refused" } "." }
                    (PreEscaped(svg))
                    p { "By the hour of the day (UTC):" }
                    (PreEscaped(&by_hour))
                } @else {
                    p.note { "No visit has a time: the unit's clock was never set (threshold clock set)." }
                }
                h2 { "Why visits were refused" }
                (refusals(tally, outlook))
                h2 { "Scores" }
                @if let Some(svg) = &scores {
                    p { "Best scores of those who were " span.a { "admitted" } " and of those whom "
                        span.r { "nobody resembled enough" } "; the line is the newest threshold." }
                    (PreEscaped(svg))
                    p.note { "A stranger who was let in stands here as admitted: a log cannot tell. What is to be expected of the threshold is said by "
                        code { "threshold policy show" } "." }
                } @else {
                    p.note { "Nobody was compared." }
                }
                h2 { "Forecast and seen" }
        (forecast(outlook))
        h2 { "People" }
                (people)
                h2 { "Everything else" }
                (others(tally))
    };
    Ok(report::page(&format!("Door log: {title}"), &body))
}

fn summary(tally: &Tally) -> Markup {
    let span = match (tally.days.first_key_value(), tally.days.last_key_value()) {
        (Some((&first, _)), Some((&last, _))) => {
            format!(", {} to {}", plot::date(first), plot::date(last))
        }
        _ => String::new(),
    };
    let times = percentiles(&tally.admission_ms);
    html! {
        p { "Entries " (tally.first) " to " (tally.last) (span) ": "
            strong.a { (tally.admitted) " admitted" } ", " strong.r { (tally.refused()) " refused" } "." }
        @if let Some((half, most)) = times {
            p { "From the first sight of a face to the admission: " (seconds(half)) " for half of the visits, "
                (seconds(most)) " for 95 in 100." }
        }
        @if tally.untrusted > 0 {
            p.note { (tally.untrusted) " entries were written before the unit's clock was set; they are counted, and stand in no plot over time." }
        }
    }
}

fn seconds(ms: f32) -> String {
    format!("{:.2} s", ms / 1e3)
}

/// The median and the 95th percentile (nearest rank).
fn percentiles(all: &[f32]) -> Option<(f32, f32)> {
    let mut all = all.to_vec();
    all.sort_by(f32::total_cmp);
    let rank =
        |percent: usize| all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    Some((rank(50)?, rank(95)?))
}

fn sinking(tally: &Tally) -> Markup {
    let names: Vec<String> = tally.sinking().map(|(id, someone)| name_of(id, someone)).collect();
    html! {
        @if !names.is_empty() {
            p.warn { "The scores of " (names.join(", ")) " sink, and will meet the threshold within "
                (Trend::SOON_DAYS) " days: enrol them anew, with pictures of today." }
        }
    }
}

/// What was to be expected beside what was seen.
fn forecast(outlook: Option<&Outlook>) -> Markup {
    let Some(outlook) = outlook else {
        return html! { p.note { "The entries with a time span less than a day, or none has one: nothing can be said a day." } };
    };
    let seen = format!("{:.2}", outlook.refused_a_day());
    html! {
        @if outlook.visits != Visits::default() {
            p { "What the policies in force let expect of these " (outlook.visits.admitted + outlook.visits.refused)
                " visits in " (format!("{:.1}", outlook.days)) " days, by their models' measured distances (95 % range):" }
            table {
                tr { th { "what" } th { "forecast" } th { "seen" } }
                tr {
                    td { "strangers let in, a month" }
                    td { (outlook.admissions.to_string()) }
                    td { "cannot be known: whoever was let in for somebody else stands here as that person, and nothing marks an "
                        "admission that was disputed later" }
                }
                tr {
                    td { "enrolled people refused for their score, a day" }
                    td { (outlook.refusals.to_string()) }
                    td { (seen) " visits a day were refused since nobody or more than one resembled enough; strangers are among "
                        "them" }
                }
            }
            p.note { "Whoever resembled nobody enough is taken for a stranger here, and whoever was let in for the person. Other "
                "refusals are above, by cause." }
        }
        @if let Some((count, why)) = outlook.left_out {
            p.note { "Nothing is forecast of " (count) " visits: " (why) "." }
        }
    }
}

/// Visits a day.
fn a_day(count: u64, outlook: Option<&Outlook>) -> String {
    outlook.map_or("unknown".to_owned(), |outlook| format!("{:.2}", count as f64 / outlook.days))
}

fn refusals(tally: &Tally, outlook: Option<&Outlook>) -> Markup {
    let mut rows: Vec<_> = tally.refusals.iter().collect();
    rows.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
    let all = tally.refused().max(1) as f64;
    html! {
        @if rows.is_empty() {
            p.note { "None was." }
        } @else {
            table {
                tr { th { "reason" } th { "what lay behind it" } th.n { "visits" } th.n { "a day" } th.n { "share" } }
                @for ((reason, cause), count) in rows {
                    tr {
                        td { (plain(&reason.replace('_', " "))) }
                        td { (cause_text(cause)) }
                        td.n { (count) }
                        td.n { (a_day(*count, outlook)) }
                        td.n { (format!("{:.1} %", 100.0 * *count as f64 / all)) }
                    }
                }
            }
        }
    }
}

/// A cause in words; a later version's as it stands there.
fn cause_text(text: &str) -> String {
    match Cause::ALL.iter().find(|cause| cause.text() == text) {
        Some(Cause::None) => String::new(),
        Some(&cause) => cause_words(cause).to_owned(),
        None => plain(text),
    }
}

fn name_of(id: u32, someone: &Someone) -> String {
    match someone.name.as_str() {
        "" => format!("#{id}"),
        name => plain(name),
    }
}

fn people(tally: &Tally) -> Result<Markup, PlotError> {
    let mut rows: Vec<(&u32, &Someone)> = tally.people.iter().collect();
    rows.sort_by_key(|(_, someone)| std::cmp::Reverse(someone.admitted));
    let left_out = rows.len().saturating_sub(PEOPLE_LISTED);
    let mut cells = Vec::new();
    for (&id, someone) in rows.into_iter().take(PEOPLE_LISTED) {
        cells.push((id, someone, plot::spark(&someone.points)?));
    }
    Ok(html! {
        p { "Whom the visits resembled most. A refused visit need not have been that person." }
        table {
            tr {
                th { "person" } th.n { "admitted" } th.n { "refused" } th.n { "least margin" }
                th { "scores over time" } th.n { "change in 30 days" }
            }
            @for (id, someone, spark) in &cells {
                tr {
                    td {
                        (name_of(*id, someone))
                        @if someone.trend().is_some_and(|trend| trend.sinks()) {
                            br;
                            span.r { "sinks: enrol anew" }
                        }
                    }
                    td.n { (someone.admitted) }
                    td.n { (someone.refused) }
                    td.n { @if let Some(margin) = someone.least_margin { (format!("{margin:.3}")) } }
                    td { @if let Some(svg) = spark { (PreEscaped(svg)) } }
                    td.n { @if let Some(trend) = someone.trend() {
                        (format!("{:+.3} ± {:.3}", trend.slope, 2.0 * trend.error))
                    } }
                }
            }
        }
        @if left_out > 0 { p.note { (left_out) " people with fewer admissions are left out." } }
        p.note { "The change is that of a straight line through the scores since the newest change of the model, with twice its standard error; "
            "it takes " (Trend::POINTS) " admissions over " (Trend::SPAN_DAYS) " days." }
    })
}

fn others(tally: &Tally) -> Markup {
    html! {
        table {
            tr { th { "what" } th.n { "entries" } }
            @for (kind, count) in &tally.others {
                tr { td { (plain(&kind.replace('_', " "))) } td.n { (count) } }
            }
        }
        @if !tally.events.is_empty() {
            p { "The newest faults, alarms and acts of administrators:" }
            table {
                tr { th.n { "entry" } th { "when (UTC)" } th { "what" } th {} }
                @for Event { sequence, unix_ms, kind, what } in tally.events.iter().rev() {
                    tr {
                        td.n { (sequence) }
                        td { (unix_ms.map_or("clock not set".to_owned(), when)) }
                        td { (plain(&kind.replace('_', " "))) }
                        td { (plain(what)) }
                    }
                }
            }
        }
    }
}

fn when(unix_ms: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(unix_ms);
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::log_file::Row;
    use threshold_record::{EntryKind, LogEntry, PersonId, Reason, Score, WallTime};

    fn row(sequence: u64, reason: Reason, name: &str) -> Row {
        let entry = LogEntry {
            sequence,
            wall: WallTime { unix_ms: 1_790_000_000_000 + sequence * 3_600_000, trusted: true },
            person: PersonId(7),
            reason,
            best_score: Score(0.7),
            threshold: Score(0.5),
            total_dms: 4_000,
            ..LogEntry::of(EntryKind::Decision)
        };
        Row::of(&entry, &|_| Some(name.to_owned()))
    }

    #[test]
    fn a_page_says_what_was_counted_and_needs_nothing_else() {
        let mut tally = Tally::default();
        for sequence in 1..=40 {
            let reason = if sequence % 4 == 0 { Reason::Unknown } else { Reason::Matched };
            tally.take(&row(sequence, reason, "Ann"));
        }
        let page = page("log.jsonl", &tally, None).unwrap();
        for text in ["30 admitted", "10 refused", "0.40 s for half", "100.0 %", "<svg", "Ann"] {
            assert!(page.contains(text), "{text}: {page}");
        }
        for text in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(text), "{text}");
        }
    }

    #[test]
    fn what_a_log_holds_is_text_and_never_markup() {
        let mut tally = Tally::default();
        tally.take(&row(1, Reason::Matched, "<script>alert(1)</script>"));
        let mut odd = row(2, Reason::Unknown, "\"><img src=x>");
        (odd.cause, odd.reason) = ("<b>".to_owned(), Some("<i>".to_owned()));
        tally.take(&odd);
        let mut odd = row(3, Reason::Matched, "");
        (odd.decision, odd.kind, odd.by) = (String::new(), "<u>".to_owned(), "<s>".to_owned());
        odd.wall_unix_ms = u64::MAX;
        tally.take(&odd);
        let mut odd = row(4, Reason::Matched, "");
        odd.wall_unix_ms = u64::MAX;
        tally.take(&odd);
        assert_eq!(tally.untrusted, 2, "no clock says such a time");
        // The latest time that can be written, and the plot still has few bars.
        odd.wall_unix_ms = 2_932_896 * super::super::tally::DAY_MS;
        tally.take(&odd);
        let page = page("<title>", &tally, None).unwrap();
        for text in ["<script", "<img", "<b>", "<i>", "<u>", "<s>", "<title>:", "<title></"] {
            assert!(!page.contains(text), "{text}: {page}");
        }
        assert!(page.contains("&lt;img"), "{page}");
        assert!(page.len() < 200_000, "{}", page.len());
    }

    #[test]
    fn a_log_without_a_single_visit_has_a_page_too() {
        let mut tally = Tally::default();
        tally.take(&Row::of(&LogEntry { sequence: 1, ..LogEntry::of(EntryKind::Boot) }, &|_| None));
        let page = page("log", &tally, None).unwrap();
        assert!(
            page.contains("clock was never set") && page.contains("Nobody was compared"),
            "{page}"
        );
    }
}
