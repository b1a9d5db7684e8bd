//! The bundles: which there are, their files, and the mark that keeps one. A name in an address is looked up in the
//! store's own list, and is never a path.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path as FilePath;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use rustix::fs::FileType;
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;

use super::Page;
use super::live::Parts;
use crate::incident::folder::Folder;
use crate::incident::layout;
use crate::incident::store::{self, Listing, Stored};

/// Bytes of a file that are read at a time.
const CHUNK: usize = 64 << 10;
/// Most bytes of a report's text that are read for its first sentence.
const HEADLINE: u64 = 4 << 10;
/// Of a bundle's page: it runs where it has no origin, and reaches nothing. What it may do itself it says in the page,
/// where its script is named by its sum.
const SANDBOX: &str = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; \
                       style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; \
                       form-action 'none'";

/// A bundle, and the sentence that its report begins with.
pub(super) struct Told {
    pub(super) bundle: Stored,
    pub(super) headline: String,
}

/// The bundles, newest first, `most` of them, and how many there are.
///
/// # Errors
/// Why they cannot be told.
pub(super) async fn newest(page: &Page, most: usize) -> Result<(Vec<Told>, usize), Response> {
    let listing = listing(page).await?;
    let all = listing.bundles.len();
    let told = move || {
        let newest = listing.bundles.into_iter().rev().take(most);
        newest.map(|bundle| Told { headline: headline(&bundle), bundle }).collect()
    };
    blocking(told).await.map(|told| (told, all))
}

/// The bundle of this name.
///
/// # Errors
/// Why it cannot be told.
pub(super) async fn named(page: &Page, name: &str) -> Result<Told, Response> {
    let listing = listing(page).await?;
    let found = listing.bundles.into_iter().find(|bundle| bundle.name == name);
    let bundle = found.ok_or_else(|| missing("no bundle has this name"))?;
    blocking(move || Told { headline: headline(&bundle), bundle }).await
}

/// Its files, and how long they are, those of its directories, too.
///
/// # Errors
/// Why they cannot be told.
pub(super) async fn files(bundle: &Stored) -> Result<Vec<(String, u64)>, Response> {
    let path = bundle.path.clone();
    blocking(move || inside(&path)).await?.map_err(|e| unavailable(&e))
}

fn inside(path: &FilePath) -> io::Result<Vec<(String, u64)>> {
    let folder = Folder::named(path)?;
    let mut files = Vec::new();
    for entry in folder.inside()? {
        let name = entry.name.to_string_lossy().into_owned();
        if entry.kind == FileType::RegularFile {
            files.extend(folder.length(&name).map(|length| (name, length)));
        } else if entry.kind == FileType::Directory {
            let below = folder.folder(&*name)?;
            for entry in below.inside()?.into_iter().filter(|e| e.kind == FileType::RegularFile) {
                let inner = entry.name.to_string_lossy();
                let length = below.length(&inner);
                files.extend(length.map(|length| (format!("{name}/{inner}"), length)));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The bundle's page, in a sandbox.
pub(super) async fn report(State(page): State<Page>, Path(name): Path<String>) -> Response {
    match send(&page, &name, layout::REPORT).await {
        Ok(body) => {
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, SANDBOX),
            ];
            (headers, body).into_response()
        }
        Err(response) => response,
    }
}

/// A file of a bundle, to be saved.
pub(super) async fn file(
    State(page): State<Page>,
    Path((name, file)): Path<(String, String)>,
) -> Response {
    let sent = send(&page, &name, &file).await;
    let saved = file.rsplit('/').next().unwrap_or_default();
    match (sent, HeaderValue::from_str(&format!("attachment; filename=\"{saved}\""))) {
        (Ok(body), Ok(disposition)) => {
            let octets = HeaderValue::from_static("application/octet-stream");
            let headers =
                [(header::CONTENT_TYPE, octets), (header::CONTENT_DISPOSITION, disposition)];
            (headers, body).into_response()
        }
        (Err(response), _) => response,
        (Ok(_), Err(_)) => missing("no file has this name"),
    }
}

/// Marks a bundle to be kept.
pub(super) async fn keep(State(page): State<Page>, Path(name): Path<String>) -> Response {
    let bundle = match named(&page, &name).await {
        Ok(Told { bundle, .. }) => bundle,
        Err(response) => return response,
    };
    match blocking(move || store::mark(&bundle.path, true)).await {
        Ok(Ok(_)) => Redirect::to("/incidents").into_response(),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        Err(response) => response,
    }
}

/// The file of this name that its bundle's list has.
async fn send(page: &Page, name: &str, file: &str) -> Result<Body, Response> {
    let Told { bundle, .. } = named(page, name).await?;
    let known = files(&bundle).await?.into_iter().any(|(known, _)| known == file);
    if !known {
        return Err(missing("the bundle has no such file"));
    }
    let file = file.to_owned();
    let opened = blocking(move || {
        let folder = Folder::named(&bundle.path)?;
        match file.split_once('/') {
            Some((below, name)) => folder.folder(below)?.file(name),
            None => folder.file(&file),
        }
    });
    let opened = opened.await?.map_err(|e| unavailable(&e))?;
    let (parts, body) = Parts::body();
    spawn_blocking(move || pour(opened, &parts));
    Ok(body)
}

/// The whole file, as fast as it is taken.
fn pour(mut file: File, parts: &Sender<Bytes>) {
    let mut chunk = vec![0; CHUNK];
    // What cannot be read ends the connection early, which the browser notices by the missing last part.
    while let Ok(length @ 1..) = file.read(&mut chunk) {
        if parts.blocking_send(Bytes::copy_from_slice(&chunk[..length])).is_err() {
            return;
        }
    }
}

/// What the report begins with, below its name; empty where there is none.
fn headline(bundle: &Stored) -> String {
    let file = Folder::named(&bundle.path).and_then(|folder| folder.file(layout::REPORT_TEXT));
    let mut text = Vec::new();
    if let Ok(file) = file {
        // What is read until then is shown.
        let _ = file.take(HEADLINE).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    let sentence = text.lines().skip(1).take_while(|line| !line.is_empty());
    sentence.collect::<Vec<_>>().join(" ")
}

async fn listing(page: &Page) -> Result<Listing, Response> {
    let status = page.pulse.status().await;
    let directory = status.map_err(|why| unavailable(&why))?.bundles.directory;
    blocking(move || Listing::read(FilePath::new(&directory))).await?.map_err(|e| unavailable(&e))
}

/// Off the thread that serves everybody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    spawn_blocking(work).await.map_err(|e| unavailable(&e))
}

fn missing(reason: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("{reason}\n")).into_response()
}

fn unavailable(reason: &dyn std::fmt::Display) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}
