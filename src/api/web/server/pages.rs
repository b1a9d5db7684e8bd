//! The pages, as they are without script: three, each with all that matters, for any browser and any width.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Value;
use minijinja::{Environment, context};
use serde::Serialize;

use super::live::seen;
use super::store::{self, Told};
use super::{Page, now::NowPage};
use crate::export::event::Event;
use crate::time::Wall;
use crate::visible;
use crate::words;

/// `.html`: the template engine escapes by that.
const TEMPLATE: &str = "page.html";
/// Bundles that are listed; all of them are listed by `dashcap incidents`.
const LISTED: usize = 200;
/// Events that are shown at first.
const EVENTS: usize = 20;

/// What a page loads.
const ASSETS: [(&str, &str, &str); 3] = [
    ("page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
    ("plot.js", "text/javascript; charset=utf-8", include_str!("../../../report/plot.js")),
];

/// A bundle, as it is listed.
#[derive(Serialize)]
struct BundleRow {
    name: String,
    time: String,
    kind: String,
    object: Option<String>,
    sentence: String,
    headline: String,
    frames: u64,
    folded: u64,
    bytes: String,
    kept: bool,
    report: bool,
}

impl From<Told> for BundleRow {
    fn from(Told { bundle, headline }: Told) -> Self {
        Self {
            name: bundle.name,
            time: Wall::milliseconds(bundle.time),
            kind: bundle.kind,
            object: bundle.object,
            sentence: bundle.sentence,
            headline,
            frames: bundle.frames,
            folded: bundle.folded,
            bytes: words::bytes(bundle.bytes),
            kept: bundle.kept,
            report: bundle.report,
        }
    }
}

/// Now.
pub(super) async fn now(State(page): State<Page>) -> Response {
    let (now, heard) = match (page.pulse.now().await, page.line.listen().await) {
        (Ok(now), Ok(heard)) => (now, heard),
        (Err(why), _) | (_, Err(why)) => return unavailable(&why.to_string()),
    };
    let latest = heard.recent.iter().rev().take(EVENTS).map(event).collect::<Vec<_>>();
    show("now", &now, context! { events => latest })
}

fn event(event: &Arc<Event>) -> Value {
    // It was an object a moment ago.
    Value::from_serialize(
        serde_json::from_str::<serde_json::Value>(&seen(event)).unwrap_or_default(),
    )
}

/// The bundles.
pub(super) async fn incidents(State(page): State<Page>) -> Response {
    let (told, all) = match store::newest(&page, LISTED).await {
        Ok(found) => found,
        Err(response) => return response,
    };
    let rows: Vec<_> = told.into_iter().map(BundleRow::from).collect();
    let more = all - rows.len();
    match page.pulse.now().await {
        Ok(now) => show("incidents", &now, context! { bundles => rows, more => more }),
        Err(why) => unavailable(&why.to_string()),
    }
}

/// One bundle.
pub(super) async fn incident(State(page): State<Page>, Path(name): Path<String>) -> Response {
    let told = match store::named(&page, &name).await {
        Ok(told) => told,
        Err(response) => return response,
    };
    let files = match store::files(&told.bundle).await {
        Ok(files) => files,
        Err(response) => return response,
    };
    match page.pulse.now().await {
        Ok(now) => {
            show("incident", &now, context! { bundle => BundleRow::from(told), files => files })
        }
        Err(why) => unavailable(&why.to_string()),
    }
}

/// What it is set to, and what it lost.
pub(super) async fn about(State(page): State<Page>) -> Response {
    let (now, status) = match (page.pulse.now().await, page.pulse.status().await) {
        (Ok(now), Ok(status)) => (now, status),
        (Err(why), _) | (_, Err(why)) => return unavailable(&why.to_string()),
    };
    let settings = [
        ("memory for frames", format!("{} MiB", status.memory_bytes >> 20)),
        ("wanted before a trigger", format!("{} s", status.pre_seconds)),
        ("bundles", status.bundles.to_string()),
        ("armed", status.rules.join(", ")),
        ("detected, and opens nothing", status.unarmed.join(", ")),
        ("exports", status.exports.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        ("fleet", status.fleet.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("process", format!("{}, since {}", status.process, status.since)),
    ];
    show("about", &now, context! { settings => settings, interfaces => status.interfaces })
}

/// Script and style.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    found.map_or_else(
        || (StatusCode::NOT_FOUND, "there is no such page\n").into_response(),
        |(_, kind, text)| ([(header::CONTENT_TYPE, *kind)], *text).into_response(),
    )
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

/// A page of this kind.
fn show(kind: &str, now: &NowPage, more: Value) -> Response {
    match render(kind, now, more) {
        Ok(page) => Html(page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

fn render(kind: &str, now: &NowPage, more: Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.add_filter("rate", |n: f64| rated(n));
    environment.add_filter("in_address", |name: String| in_address(&name));
    let context = context! { page => kind, now => now, ..more };
    let page = environment.render_named_str(TEMPLATE, include_str!("page.html"), context)?;
    Ok(visible::page(&page).into_owned())
}

/// `1.2 M`, as the script writes it.
fn rated(n: f64) -> String {
    for (limit, prefix) in [(1e9, " G"), (1e6, " M"), (1e3, " k")] {
        if n >= limit {
            return format!("{:.1}{prefix}", n / limit);
        }
    }
    format!("{n:.0} ")
}

/// A name as a part of an address (RFC 3986, 2.3): whatever is in it, it ends nothing.
fn in_address(name: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    let parts = name.bytes().map(|byte| match plain(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that a browser loads for the page: it comes over ssh, from far.
    const MOST: usize = 60_000;

    #[test]
    fn it_is_small() {
        let assets: usize = ASSETS.iter().map(|(_, _, text)| text.len()).sum();
        let all = assets + include_str!("page.html").len();
        assert!(all < MOST, "{all} bytes");
    }

    #[test]
    fn what_strangers_say_is_text() {
        let now = NowPage::default();
        let hostile = "<script>alert(1)</script>\u{202e}";
        let events =
            [context! { time => "T", severity => "warning", kind => "k", sentence => hostile }];
        let page = render("now", &now, context! { events => events }).unwrap();
        assert!(page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"), "{page}");
        assert!(!page.contains('\u{202e}') && !page.contains("<script>"), "{page}");
        for (name, told) in
            [("a b", "a%20b"), ("x\"y", "x%22y"), ("2026-11-22T16:38Z_a", "2026-11-22T16%3A38Z_a")]
        {
            assert_eq!(in_address(name), told);
        }
    }

    #[test]
    fn every_page_is_whole() {
        let now = NowPage::default();
        for kind in ["now", "incidents", "incident", "about"] {
            let page = render(kind, &now, context! {}).unwrap();
            assert!(page.ends_with("</html>\n") || page.ends_with("</html>"), "{kind}: {page}");
        }
    }
}
