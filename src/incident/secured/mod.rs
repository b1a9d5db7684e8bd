//! A bundle whose evidence is on the disk, from there to its report and its name.
//!
//! ```text
//!   evidence ─► manifest ─► synced │ frames leave the memory ─► report ─► manifest anew ─► renamed
//!                                  └ from here on a dead dashcap's bundle is published by the next start
//! ```
//!
//! The report is made from the bundle itself, by whoever the recorder was given for that
//! ([`Reporter`]): nothing here knows how. Whatever becomes of it, the evidence stays: a report that
//! fails, panics, or does not fit the disk is told in the manifest (`report_missing`) and in the log.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::Incident;
use super::bundle::{self, Bundle, NO_REPORT};
use super::layout::{MANIFEST, REPORTS};
use super::manifest::Manifest;
use super::onset::BundleOnset;
use super::partial::Partial;
use super::pcapng::{Contents, Level};
use super::store::{Store, record};
use crate::error::{Error, Result};

/// Makes the report of a bundle that is being built.
pub type Reporter = fn(&ReportSubject<'_>) -> Result<ReportPages>;

/// What is to be reported on.
#[derive(Clone, Copy)]
pub struct ReportSubject<'a> {
    /// Where the bundle lies now, whole but for its report.
    pub folder: &'a Path,
    /// What it will be called.
    pub name: &'a str,
    /// To be asked now and then: once it says no, the report ends with what was read by then.
    pub in_time: &'a dyn Fn() -> bool,
}

/// A report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportPages {
    /// For browsers.
    pub html: String,
    /// For a terminal.
    pub text: String,
    /// For programs.
    pub json: String,
    /// What it lacks, if anything: "it ends at 14:14:20, its time was over".
    pub lacks: Option<String>,
    /// Where it began, if that is known.
    pub onset: Option<BundleOnset>,
}

/// What the manifest says until the report is made.
const NOT_YET: &str = "dashcap ended, or the disk was full, before it was made";

/// Evidence that is safe, without its frames in memory.
#[derive(Debug)]
pub struct Secured {
    incident: Box<Incident>,
    partial: Partial,
    contents: Contents,
    report: ReportProgress,
    onset: Option<BundleOnset>,
}

/// How far the report of a bundle is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReportProgress {
    NotMade,
    /// It lies there, or what it lacks or why there is none is known; the manifest says nothing of it yet.
    Made {
        missing: Option<String>,
    },
    Told,
}

/// Why evidence is not on the disk.
#[derive(Debug)]
pub struct Refused {
    /// What the disk said.
    pub error: Error,
    /// Bytes it had taken until then.
    pub fitted: u64,
}

/// Evidence that is safe while its incident is still whole.
#[derive(Debug)]
pub struct Evidence {
    partial: Partial,
    contents: Contents,
}

impl Evidence {
    /// Brings `incident` to the disk.
    ///
    /// # Errors
    /// When the output directory refuses; then nothing of it is left there.
    pub fn write(store: &Store, incident: &Incident, level: Level) -> Result<Self, Refused> {
        let refused = |error| Refused { error, fitted: 0 };
        let mut partial = store.begin(&incident.name()).map_err(refused)?;
        let written = bundle::evidence(&mut partial, incident, level, NOT_YET);
        match written.and_then(|contents| partial.secure().map(|()| contents)) {
            Ok(contents) => Ok(Self { partial, contents }),
            Err(error) => Err(Refused { error, fitted: partial.bytes() }),
        }
    }

    /// Lets the frames of `incident`, of which this is the evidence, leave the memory.
    pub fn secured(self, mut incident: Box<Incident>) -> Secured {
        let slices = incident.tracks.iter_mut().flat_map(|track| &mut track.classes);
        slices.for_each(|class| class.slice.release());
        if let Some(spool) = incident.spool.take() {
            spool.remove();
        }
        let Self { partial, contents } = self;
        Secured { incident, partial, contents, report: ReportProgress::NotMade, onset: None }
    }
}

impl Secured {
    /// What it is the evidence of, without its frames.
    pub fn incident(&self) -> &Incident {
        &self.incident
    }

    /// Lets `reporter` make the report, and the bundle appear. `in_time` as in [`ReportSubject`]. Can be asked
    /// again, and goes on where it was; the `last` time the bundle appears without its report rather than not
    /// at all.
    ///
    /// # Errors
    /// When the disk refuses. Then it stays where it is, whole, until it is asked again, or the next start.
    pub fn finish(
        &mut self,
        reporter: Option<Reporter>,
        in_time: &dyn Fn() -> bool,
        last: bool,
    ) -> Result<Bundle> {
        if self.report == ReportProgress::NotMade {
            let missing = match reporter {
                None => Some(NO_REPORT.to_owned()),
                Some(reporter) => self.report(reporter, in_time),
            };
            self.report = ReportProgress::Made { missing };
        }
        let waits = |error: Error, path: &Path| {
            let hint = format!(
                "all of it is in {}; dashcap tries again, also when it starts",
                path.display()
            );
            error.hint(hint)
        };
        if let ReportProgress::Made { missing } = self.report.clone() {
            match self.tell(missing.as_deref()) {
                Ok(()) => {}
                // The manifest that is there does not list a report, so there may be none.
                Err(error) if last || error.is_disk_full() => {
                    tracing::warn!("{} has no report: {error}", self.partial.name());
                    self.discard();
                }
                Err(error) => return Err(waits(error, &self.partial.path())),
            }
            self.report = ReportProgress::Told;
        }
        let path = self.partial.path();
        let published = bundle::publish(&mut self.partial, &self.contents, &self.incident);
        let bundle = published.map_err(|error| waits(error, &path))?;
        Ok(Bundle { onset: self.onset.take(), ..bundle })
    }

    /// Writes the report; tells what it lacks, or why there is none.
    fn report(&mut self, reporter: Reporter, in_time: &dyn Fn() -> bool) -> Option<String> {
        let folder = self.partial.path();
        let subject = ReportSubject { folder: &folder, name: self.partial.name(), in_time };
        let made = catch_unwind(AssertUnwindSafe(|| reporter(&subject)));
        let made = made.unwrap_or_else(|_| {
            Err(Error::operation("report on", self.partial.name(), "dashcap panicked")
                .hint("this is a defect in dashcap, please report it"))
        });
        let written = made.and_then(|pages| {
            self.pages(&pages)?;
            self.onset = pages.onset;
            Ok(pages.lacks)
        });
        written.unwrap_or_else(|error| {
            tracing::warn!("{} has no report: {error}", self.partial.name());
            self.discard();
            Some(error.to_string())
        })
    }

    fn pages(&mut self, pages: &ReportPages) -> Result<()> {
        let ReportPages { html, text, json, .. } = pages;
        for (name, page) in REPORTS.into_iter().zip([html, text, json]) {
            self.partial.file(name, |file| file.write_all(page.as_bytes()))?;
        }
        Ok(())
    }

    fn discard(&mut self) {
        REPORTS.into_iter().for_each(|page| self.partial.discard(page));
    }

    /// Writes the manifest anew, with the report in it.
    fn tell(&mut self, missing: Option<&str>) -> Result<()> {
        let mut files = self.partial.files().to_vec();
        files.retain(|file| file.name != MANIFEST);
        let told = Manifest::of(&self.incident, &self.contents, &files);
        let previous = record::last(self.partial.parent());
        let told = Manifest { report_missing: missing, previous: previous.as_ref(), ..told };
        self.partial.replace(MANIFEST, |file| bundle::manifest(&told, file))
    }
}

#[cfg(test)]
mod tests;
