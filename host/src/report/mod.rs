//! Pages for people: HTML that needs nothing but itself.
//!
//! Owns the frame of a page, its style by daylight and in the dark, tables, plots (`plot`) and small pictures (`thumbnail`).
//! Every text passes through the template's escaping. Refuses scripts, and whatever a browser would have to fetch.

pub mod plot;
pub mod thumbnail;

use crate::error::HostError;
use crate::say::plain;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Text and lines of a plot have the page's colours; its own two kinds have brighter ones in the dark.
const STYLE: &str = ":root{color-scheme:light dark;--a:#2a7f62;--r:#c8553d;--soft:#555;--line:#ddd;--warn:#fbeee6}\
body{font:16px/1.5 system-ui,sans-serif;max-width:800px;margin:2em auto;padding:0 1em;color:#222;background:#fff}\
table{border-collapse:collapse;width:100%;margin:1em 0}th,td{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid var(--line);vertical-align:top}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}svg,img{max-width:100%;height:auto}h2{margin-top:2em}\
svg text{fill:currentColor}svg [stroke=\"#000000\"]{stroke:currentColor}\
svg [fill=\"#2A7F62\"]{fill:var(--a)}svg [stroke=\"#2A7F62\"]{stroke:var(--a)}svg [fill=\"#C8553D\"]{fill:var(--r)}svg [stroke=\"#C8553D\"]{stroke:var(--r)}\
svg [stroke=\"#555555\"]{stroke:var(--soft)}.wide{overflow-x:auto}\
.warn{background:var(--warn);padding:.5em 1em;border-left:4px solid var(--r)}.note{color:var(--soft)}.a{color:var(--a)}.r{color:var(--r)}\
@media(prefers-color-scheme:dark){:root{--a:#63c7a3;--r:#f0917c;--soft:#a8a8a8;--line:#3a3d42;--warn:#3a2a24}body{color:#e8e8e8;background:#16181b}}";

/// A page.
#[must_use]
pub fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (plain(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (plain(title)) }
                (body)
            }
        }
    };
    page.into_string()
}

/// A table of texts, as [`crate::say::table`] prints it.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.wide {
            table {
                tr { @for cell in head { th { (plain(cell)) } } }
                @for row in rows {
                    tr { @for cell in row { td { (plain(cell)) } } }
                }
            }
        }
    }
}

/// A picture above its path, which is one below the folder; without a folder the path alone.
#[must_use]
pub fn shown(path: &str, folder: Option<&Path>) -> Markup {
    match folder {
        Some(folder) => picture(path, &folder.join(path)),
        None => html! { (plain(path)) },
    }
}

/// A picture, small, above what it is called.
#[must_use]
pub fn picture(name: &str, path: &Path) -> Markup {
    html! {
        @match thumbnail::of(path) {
            Ok(uri) => { img src=(uri) alt=(plain(name)); br; }
            Err(_) => { span.note { "not there, or no picture" } br; }
        }
        (plain(name))
    }
}

/// Writes a file that may show people, for this user alone, whoever could read one that was there; whole or not at all.
///
/// # Errors
/// [`HostError::File`] if the disk refuses.
pub fn write(path: &Path, text: &str) -> Result<(), HostError> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".tmp");
    let fresh = Path::new(&fresh);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    // What a run that was cut left there may be anybody's to read.
    let _ = std::fs::remove_file(fresh);
    let written = options.open(fresh).and_then(|mut file| file.write_all(text.as_bytes()));
    let written = written.and_then(|()| std::fs::rename(fresh, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(fresh);
        HostError::file(path)(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_nothing_and_takes_no_markup_from_its_texts() {
        let rows = [vec!["<img src=x>".to_owned(), "a & b".to_owned()]];
        let page = page("<script>1</script>", &table(&["<b>"], &rows));
        for text in ["<script", "<img", "<b>", "href=", "@import", "url("] {
            assert!(!page.contains(text), "{text}: {page}");
        }
        assert!(page.contains("&lt;img src=x&gt;") && page.contains("a &amp; b"), "{page}");
        assert!(page.contains("prefers-color-scheme:dark"), "{page}");
    }
}
