//! The course of incidents: what listeners are told of it, and the figures that status and metrics show.
//!
//! Pure book-keeping, told the time. An incident is known by the name of its bundle from the moment it
//! is frozen until it is written or lost.

use std::collections::BTreeMap;
use std::path::{self, Path};
use std::time::Duration;

use crate::api::status::{Bucket, Exemplar, Figures, Timing, TriggerFigures as TriggerCount};
use crate::finding::Severity;
use crate::incident::Incident;
use crate::incident::progress::{IncidentProgress, Step};
use crate::incident::writer::Outcome;
use crate::time::{Stamp, Wall};
use crate::trigger::TriggerKind;

/// Incidents under way whose course is told: one collecting, those whose slices are awaited, and the
/// writer's shelf are fewer. The oldest beyond it are told no more of.
const UNDER_WAY: usize = 64;

/// Bounds between freezes, in seconds: about half a decade each, from the fastest one measured to where capture is
/// stuck.
const FREEZES: [f64; 9] = [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0];
/// Bounds between times on the disk, in seconds: a report has 30 s at most, a bundle of gigabytes takes minutes.
const WRITES: [f64; 10] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];
/// Bounds between sizes of bundles, in bytes: from 64 KiB, four times as much each, to 4 GiB.
const SIZES: [f64; 9] = {
    let mut sizes = [65_536.0; 9];
    let mut at = 1;
    while at < sizes.len() {
        sizes[at] = 4.0 * sizes[at - 1];
        at += 1;
    }
    sizes
};

/// What is known of incidents under way, and what all came to.
#[derive(Debug)]
pub(super) struct Courses {
    under_way: Vec<IncidentProgress>,
    triggers: BTreeMap<TriggerKind, u64>,
    freezing: Timing,
    writing: Timing,
    reporting: Timing,
    frames: u64,
    bytes: u64,
    sizes: Vec<Bucket>,
    retries: u64,
}

impl Default for Courses {
    fn default() -> Self {
        let timing = |bounds| Timing { buckets: Bucket::between(bounds), ..Timing::default() };
        Self {
            under_way: Vec::new(),
            triggers: BTreeMap::new(),
            freezing: timing(&FREEZES),
            writing: timing(&WRITES),
            reporting: timing(&WRITES),
            frames: 0,
            bytes: 0,
            sizes: Bucket::between(&SIZES),
            retries: 0,
        }
    }
}

impl Courses {
    /// A trigger counted.
    pub(super) fn pulled(&mut self, kind: TriggerKind) {
        *self.triggers.entry(kind).or_default() += 1;
    }

    /// An incident was frozen: what listeners are told, worse if its finding is.
    pub(super) fn frozen(
        &mut self,
        mut course: IncidentProgress,
        finding: Option<Severity>,
    ) -> IncidentProgress {
        course.severity = finding.unwrap_or(course.severity);
        if let Step::Frozen { pinned_after } = course.step {
            note(&mut self.freezing, pinned_after, &course.incident, course.at.wall);
        }
        if self.under_way.len() >= UNDER_WAY {
            self.under_way.remove(0);
        }
        self.under_way.push(course.clone());
        course
    }

    /// The window of an incident is closed: what opened it and how far it reaches is final.
    pub(super) fn closed(&mut self, incident: &Incident) {
        let (name, offset) = (incident.name(), incident.offset());
        if let Some(course) = self.under_way.iter_mut().find(|course| course.incident == name) {
            course.from = offset.wall(incident.window.from);
            course.to = offset.wall(incident.window.to);
        }
    }

    /// What became of an incident, if that is final.
    pub(super) fn settle(&mut self, outcome: &Outcome, at: Stamp) -> Option<IncidentProgress> {
        match outcome {
            Outcome::Written { bundle, took, reported } => {
                let name = bundle.path.file_name().unwrap_or_default().to_string_lossy();
                note(&mut self.writing, *took, &name, at.wall);
                if let Some(reported) = reported {
                    note(&mut self.reporting, *reported, &name, at.wall);
                }
                self.frames += bundle.frames;
                self.bytes += bundle.bytes;
                count(&mut self.sizes, exemplar(bundle.bytes as f64, &name, at.wall));
                let step = Step::Written {
                    path: absolute(&bundle.path),
                    frames: bundle.frames,
                    bytes: bundle.bytes,
                    manifest_sha256: bundle.manifest_sha256.clone(),
                    took: *took,
                };
                // A name that was taken has a number behind it.
                self.end(|course| name.starts_with(&course.incident), step, at)
            }
            Outcome::Retrying { .. } => {
                self.retries += 1;
                None
            }
            Outcome::Removed(_) => None,
            Outcome::Lost(lost) => self.lost(&lost.name, &lost.reason.to_string(), at),
        }
    }

    /// An incident is lost.
    pub(super) fn lost(&mut self, name: &str, reason: &str, at: Stamp) -> Option<IncidentProgress> {
        let step = Step::Lost { reason: reason.to_owned() };
        let mut course = self.end(|course| course.incident == name, step, at)?;
        course.severity = Severity::Critical;
        Some(course)
    }

    fn end(
        &mut self,
        is_meant: impl Fn(&IncidentProgress) -> bool,
        step: Step,
        at: Stamp,
    ) -> Option<IncidentProgress> {
        let place = self.under_way.iter().position(is_meant)?;
        Some(IncidentProgress { at, step, ..self.under_way.remove(place) })
    }

    /// The figures.
    pub(super) fn figures(&self) -> Figures {
        let count = |(kind, count): (&TriggerKind, &u64)| TriggerCount {
            kind: kind.to_string(),
            count: *count,
        };
        Figures {
            triggers: self.triggers.iter().map(count).collect(),
            freezing: self.freezing.clone(),
            writing: self.writing.clone(),
            reporting: self.reporting.clone(),
            frames: self.frames,
            bytes: self.bytes,
            sizes: self.sizes.clone(),
            retries: self.retries,
            ..Figures::default()
        }
    }
}

fn note(timing: &mut Timing, took: Duration, incident: &str, at: Wall) {
    let seconds = took.as_secs_f64();
    timing.count += 1;
    timing.sum_seconds += seconds;
    timing.last_seconds = seconds;
    timing.most_seconds = timing.most_seconds.max(seconds);
    count(&mut timing.buckets, exemplar(seconds, incident, at));
}

fn count(buckets: &mut [Bucket], latest: Exemplar) {
    let is_in = |bucket: &&mut Bucket| bucket.up_to.is_none_or(|most| latest.value <= most);
    if let Some(bucket) = buckets.iter_mut().find(is_in) {
        bucket.count += 1;
        bucket.latest = Some(latest);
    }
}

fn exemplar(value: f64, incident: &str, at: Wall) -> Exemplar {
    let at_seconds = Duration::from_nanos(at.0).as_secs_f64();
    Exemplar { incident: incident.to_owned(), value, at_seconds }
}

/// A path for clients, who are elsewhere; as it is where that cannot be told. JSON has no other bytes than text.
pub(in crate::recorder) fn absolute(path: &Path) -> String {
    path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::bundle::Bundle;
    use crate::time::{Mono, Wall};
    use crate::trigger::Trigger;

    fn course(kind: TriggerKind) -> IncidentProgress {
        let at = Stamp { mono: Mono(1), wall: Wall(1_795_356_860_811_089_123) };
        let trigger = Trigger {
            kind,
            object: None,
            at,
            told_after: Duration::ZERO,
            sentence: "it failed".into(),
        };
        IncidentProgress::frozen(&trigger, Duration::from_millis(2), Wall(1), Wall(3))
    }

    fn written(name: &str) -> Outcome {
        let bundle = Bundle {
            path: format!("/out/{name}").into(),
            bytes: 10,
            frames: 3,
            trigger: TriggerKind::LinkDown,
            manifest_sha256: "0".repeat(64),
            onset: None,
        };
        let took = Duration::from_secs(1);
        Outcome::Written { bundle, took, reported: Some(took / 4) }
    }

    #[test]
    fn an_incident_is_told_from_frozen_to_written() {
        let mut courses = Courses::default();
        courses.pulled(TriggerKind::LinkDown);
        courses.pulled(TriggerKind::LinkDown);
        let frozen = courses.frozen(course(TriggerKind::LinkDown), None);
        assert_eq!(frozen.severity, Severity::Warning);
        assert_eq!(frozen.incident, "2026-11-22T14-14-20.811Z_link-down");
        assert_eq!(courses.settle(&written("another"), Stamp::default()), None);
        let told = courses.settle(&written(&format!("{}-2", frozen.incident)), Stamp::default());
        let told = told.expect("it is known");
        assert_eq!(
            told.sentence(),
            "incident written: link-down: it failed; 3 frames in \
             /out/2026-11-22T14-14-20.811Z_link-down-2"
        );
        let figures = courses.figures();
        assert_eq!(
            (figures.triggers[0].kind.as_str(), figures.triggers[0].count),
            ("link-down", 2)
        );
        assert_eq!((figures.writing.count, figures.bytes, figures.freezing.count), (2, 20, 1));
    }

    #[test]
    fn what_took_how_long_is_counted_between_bounds_with_the_latest_incident() {
        let mut courses = Courses::default();
        let frozen = courses.frozen(course(TriggerKind::LinkDown), None);
        for name in ["a", "b"] {
            courses.settle(&written(name), Stamp { mono: Mono(0), wall: Wall(2_500_000_000) });
        }
        let figures = courses.figures();
        let counted = |buckets: &[Bucket]| {
            let found = buckets.iter().filter(|bucket| bucket.count > 0);
            let told = found.map(|bucket| {
                let latest = bucket.latest.clone().expect("something counted");
                (bucket.up_to, bucket.count, latest.incident, latest.value)
            });
            told.collect::<Vec<_>>()
        };
        let b = || "b".to_owned();
        assert_eq!(
            counted(&figures.freezing.buckets),
            [(Some(3e-3), 1, frozen.incident, 0.002)],
            "2 ms"
        );
        assert_eq!(counted(&figures.writing.buckets), [(Some(1.0), 2, b(), 1.0)], "up to a bound");
        assert_eq!(counted(&figures.reporting.buckets), [(Some(0.3), 2, b(), 0.25)]);
        assert_eq!(counted(&figures.sizes), [(Some(65_536.0), 2, b(), 10.0)]);
        let latest = figures.sizes[0].latest.as_ref().expect("something counted");
        assert_eq!(latest.at_seconds, 2.5);
        let mut huge = Bucket::between(&SIZES);
        count(&mut huge, exemplar(1e12, "c", Wall(0)));
        assert_eq!(counted(&huge), [(None, 1, "c".to_owned(), 1e12)], "beyond the last bound");
        assert_eq!(SIZES[8], f64::from(1 << 16) * f64::from(1 << 16), "4 GiB");
    }

    #[test]
    fn severity_is_that_of_the_finding_and_what_is_lost_is_critical() {
        let mut courses = Courses::default();
        let asked = courses.frozen(course(TriggerKind::Snapshot), None);
        assert_eq!(asked.severity, Severity::Notice);
        let found = courses.frozen(course(TriggerKind::LinkDown), Some(Severity::Info));
        assert_eq!(found.severity, Severity::Info);
        let lost = courses.lost(&found.incident, "the disk is full", Stamp::default()).unwrap();
        assert_eq!(lost.severity, Severity::Critical);
        assert_eq!(courses.lost(&found.incident, "again", Stamp::default()), None);
        for _ in 0..2 * UNDER_WAY {
            courses.frozen(course(TriggerKind::LinkDown), None);
        }
        assert_eq!(courses.under_way.len(), UNDER_WAY);
    }
}
