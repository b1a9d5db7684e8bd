//! The end: what was recorded is accounted for, what waits is written.

use super::frame_store::Keeper;
use super::{Recorder, Summary, programs, ring_file};
use crate::service::Service;
use crate::stats::CaptureStats;

impl<K: Keeper> Recorder<K> {
    /// Watchers first, then the captures to the last frame, then the disk.
    pub(super) fn stop(mut self) -> Summary {
        let leaving = self.service.take().and_then(Service::leave);
        self.release_holds("the recording ends");
        let probes = std::mem::take(&mut self.probes).into_iter().map(|(_, watch)| watch);
        let logs = std::mem::take(&mut self.logs).into_iter().map(|(_, watch)| watch);
        for watch in std::mem::take(&mut self.watches).into_iter().chain(probes).chain(logs) {
            let (name, missed) = (watch.name(), watch.join());
            if missed > 0 {
                tracing::warn!("{missed} observations of watcher {name} found no room");
            }
        }
        let reports = self.captures.stop();
        if let Some(file) = &self.ring_file {
            ring_file::note(file, self.clock.now(), &reports);
        }
        for report in reports {
            self.summary.interfaces.push((report.origin.interface.clone(), report.stats));
            if !K::LIVE {
                // Its own account tells what was read.
                continue;
            }
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
        self.log.end();
        self.summary.tell_unwritten();
        let mut programs = self.programs.take();
        for outcome in self.writer.stop() {
            self.doors.settle(&outcome, self.clock.now());
            for note in programs.as_mut().map(|p| p.follow_up(&outcome)).unwrap_or_default() {
                self.log.tell(&programs::observed(note, &self.clock));
            }
            self.summary.note(outcome);
        }
        if let Some(programs) = programs {
            programs.finish(&self.seen, &mut self.log);
        }
        if self.summary.removed > 0 {
            tracing::info!("{} old bundles were removed", self.summary.removed);
        }
        self.doors.close();
        // An incident that is not on the disk is only there: then the next start recovers it.
        if let Some(file) = self.ring_file.filter(|_| self.summary.lost == 0) {
            ring_file::stopped(&file, self.clock.now());
        }
        drop(leaving);
        self.summary
    }
}
