//! The report that lies in a bundle: made while the bundle is still being built, it reads as it will be
//! read, under the name that the bundle gets.

use std::path::Path;

use super::{ENDS_AT, Look, Options, html, report_while, text};
use crate::error::Result;
use crate::incident::secured::{Pages, Subject};
use crate::time::Wall;

/// Reports on a bundle for its writer: a page for browsers, and a text of [`Look::WIDTH`] columns.
///
/// # Errors
/// When the bundle cannot be read.
pub fn of_bundle(subject: &Subject<'_>) -> Result<Pages> {
    let Subject { folder, name, in_time } = *subject;
    let options = Options { files: vec![folder.to_owned()], ..Options::default() };
    let mut report = report_while(&options, |_| in_time())?;
    let sentences = report.damage.iter_mut().chain(&mut report.notes);
    sentences.for_each(|sentence| *sentence = renamed(sentence, folder, name));
    report.files = vec![name.to_owned()];
    let offset_minutes = report.span.and_then(|span| local_offset(span.from));
    let look = Look { width: Look::WIDTH, color: false, offset_minutes };
    Ok(Pages {
        html: html(&report, offset_minutes)?,
        text: text(&report, look),
        lacks: report.notes.iter().find(|note| note.starts_with(ENDS_AT)).cloned(),
    })
}

/// What names a file of the bundle names it where it will be.
fn renamed(sentence: &str, folder: &Path, name: &str) -> String {
    sentence.replace(&*folder.to_string_lossy(), name)
}

/// Minutes by which the local clock is ahead of UTC at `wall`; none where nobody knows.
pub fn local_offset(wall: Wall) -> Option<i32> {
    let timestamp = jiff::Timestamp::from_nanosecond(i128::from(wall.0)).ok()?;
    Some(jiff::tz::TimeZone::try_system().ok()?.to_offset(timestamp).seconds() / 60)
}
