//! The end: what was recorded is accounted for, what waits is written.

use super::frame_store::FrameStore;
use super::{Recorder, Summary, ring_file};
use crate::capture::CaptureReport;
use crate::stats::CaptureStats;

impl<K: FrameStore> Recorder<K> {
    /// Watchers first, then the captures to the last frame, then the disk.
    pub(super) fn stop(mut self) -> Summary {
        let leaving = self.audience.leave();
        self.incidents.release_holds("the recording ends", &mut self.captures);
        self.watchers.stop();
        let reports = self.captures.stop();
        if let Some(file) = &self.ring_file {
            ring_file::note(file, self.clock.now(), &reports);
        }
        let told = reports.iter().filter(|_| K::LIVE);
        told.for_each(tell_counts);
        self.audience.log.end();
        let mut summary = self.incidents.stop(&mut self.audience);
        let counts =
            reports.into_iter().map(|report| (report.origin.interface.clone(), report.stats));
        summary.interfaces.extend(counts);
        self.audience.stop(&self.seen);
        // An incident that is not on the disk is only there: then the next start recovers it.
        if let Some(file) = self.ring_file.filter(|_| summary.lost == 0) {
            ring_file::stopped(&file, self.clock.now());
        }
        drop(leaving);
        summary
    }
}

/// Exact: the kernel was drained. A replay has its own account of what was read.
fn tell_counts(report: &CaptureReport) {
    let CaptureStats { stored, folded, filtered, lane_dropped, .. } = report.stats;
    let known = |count: Option<u64>| count.map_or("unknown".to_owned(), |n| n.to_string());
    tracing::info!(
        "{}: {} received = {stored} stored + {folded} folded + {filtered} filtered + {lane_dropped} dropped by \
         the lane + {} dropped by the kernel + {} waiting",
        report.origin.interface,
        known(report.stats.kernel_received),
        known(report.stats.kernel_dropped),
        known(report.stats.waiting_in_kernel),
    );
}
