//! The report that lies in a bundle: made while the bundle is still being built, it reads as it will be
//! read, under the name that the bundle gets.

use std::path::Path;

use super::model::Entry;
use super::{ENDS_AT, Look, Options, html, json, report_while, text};
use crate::error::Result;
use crate::incident::onset::BundleOnset;
use crate::incident::secured::{ReportPages, ReportSubject};
use crate::time::Wall;

/// Reports on a bundle for its writer: a page for browsers, a text of [`Look::WIDTH`] columns,
/// and the same for programs.
///
/// # Errors
/// When the bundle cannot be read.
pub fn of_bundle(subject: &ReportSubject<'_>) -> Result<ReportPages> {
    let ReportSubject { folder, name, in_time } = *subject;
    let options = Options { files: vec![folder.to_owned()], ..Options::default() };
    let mut report = report_while(&options, |_| in_time())?;
    let sentences = report.damage.iter_mut().chain(&mut report.notes);
    sentences.for_each(|sentence| *sentence = renamed(sentence, folder, name));
    report.files = vec![name.to_owned()];
    let offset_minutes = report.span.and_then(|span| local_offset(span.from));
    let look = Look { width: Look::WIDTH, color: false, offset_minutes };
    Ok(ReportPages {
        html: html(&report, offset_minutes)?,
        text: text(&report, look),
        json: json(&report)?,
        onset: report.onset.as_ref().map(|onset| {
            let Entry { about, kind, sentence, .. } = &onset.finding;
            BundleOnset::new(onset.time, *about, kind, sentence)
        }),
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::super::SHOWN_EVERY;
    use super::super::tests::stormy;
    use super::*;
    use crate::incident::layout::CAPTURE;

    /// A folder `NAME.partial` with this capture in it.
    fn partial(capture: &Path) -> tempfile::TempDir {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("story.partial")).unwrap();
        fs::rename(capture, parent.path().join("story.partial").join(CAPTURE)).unwrap();
        parent
    }

    #[test]
    fn it_reads_as_it_will_be_read_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let capture = stormy().save(folder.path());
        // Cut short, so that the report names the damage.
        let whole = fs::metadata(&capture).unwrap().len();
        fs::File::options().write(true).open(&capture).unwrap().set_len(whole - 7).unwrap();
        let parent = partial(&capture);
        let folder = parent.path().join("story.partial");
        let subject = ReportSubject { folder: &folder, name: "story", in_time: &|| true };
        let pages = of_bundle(&subject).unwrap();
        assert!(pages.text.starts_with("dashcap report of story\n"), "{}", pages.text);
        assert!(pages.text.contains("story/capture.pcapng.zst"), "{}", pages.text);
        for page in [&pages.text, &pages.html] {
            assert!(page.contains("duplicate storm") && !page.contains("partial"), "{page}");
        }
        assert_eq!(pages.lacks, None);
    }

    #[test]
    fn it_ends_when_its_time_is_over_and_says_so() {
        // Classic pcap: microseconds, version 2.4, Ethernet (pcap-savefile(5)).
        let header = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1];
        let frames =
            (0..2 * SHOWN_EVERY as u32).flat_map(|n| [n / 1_000, n % 1_000 * 1_000, 4, 4, n]);
        let bytes: Vec<u8> = header.into_iter().chain(frames).flat_map(u32::to_le_bytes).collect();
        let folder = tempfile::tempdir().unwrap();
        let capture = folder.path().join("many.pcap");
        fs::write(&capture, bytes).unwrap();
        let parent = partial(&capture);
        let folder = parent.path().join("story.partial");
        let asked = Cell::new(0);
        let in_time = || {
            asked.set(asked.get() + 1);
            false
        };
        let subject = ReportSubject { folder: &folder, name: "story", in_time: &in_time };
        let pages = of_bundle(&subject).unwrap();
        let lacks = pages.lacks.unwrap();
        assert_eq!(lacks, "the report ends at 1970-01-01T00:04:22.143Z, its time was over");
        assert!(pages.text.replace('\n', " ").contains("the report ends at"), "{}", pages.text);
        assert!(pages.text.contains("262,144 frames") && asked.get() == 1, "{}", pages.text);
    }
}
