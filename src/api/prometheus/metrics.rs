//! Every metric there is: name, kind, labels, meaning, and where it is read. The words are those of
//! `docs/metrics.md`.

use std::collections::BTreeMap;

use super::store::Contents;
use crate::api::status::{Bucket, Class, Interface, RecorderStatus, Timing, Traffic, Watcher};
use crate::export;
use crate::fleet::status::BusStatus;

/// Begins every name.
pub(super) const PREFIX: &str = "dashcap";

/// What one scrape found.
#[derive(Debug)]
pub(in crate::api) struct Scraped {
    pub(in crate::api) standing: RecorderStatus,
    /// None while the disk does not answer.
    pub(in crate::api) store: Option<Contents>,
}

/// Takes a sample: values of the labels, in their order, and its number.
type Out<'a> = &'a mut dyn FnMut(&[&str], Number<'_>);

/// One metric.
#[derive(Debug)]
pub(super) struct Metric {
    /// Without the prefix, and without `_total`.
    pub(super) name: &'static str,
    pub(super) kind: MetricKind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
    pub(super) tell: fn(&Scraped, Out<'_>),
}

/// What a metric does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricKind {
    /// Grows from the start on; its samples end in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, which grow; its samples end in `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// The number of a sample.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number<'a> {
    Whole(u64),
    Real(f64),
    /// How often it came to how much, and all of it together.
    Spread {
        sum: f64,
        buckets: &'a [Bucket],
    },
}

/// Rows of the table.
macro_rules! metrics {
    ($($kind:ident $name:literal [$($label:literal),*] $help:literal $tell:expr;)+) => {
        /// All of them, in the order in which they are told.
        pub(super) const ALL: &[Metric] = &[$(Metric {
            name: $name,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
            tell: $tell,
        },)+];
    };
}

metrics! {
    Gauge "build_info" ["version"] "Always 1; the label tells the version."
        |s, out| out(&[s.standing.program.trim_start_matches("dashcap ")], Number::Whole(1));
    Gauge "start_time_seconds" [] "When it started, in seconds since 1970."
        |s, out| if let Some(since) = since(&s.standing.since) { out(&[], Number::Real(since)) };
    Gauge "armed" [] "1 if triggers count, 0 while they are disarmed."
        |s, out| out(&[], truth(s.standing.armed));
    Gauge "incident_open" [] "1 while an incident is collecting."
        |s, out| out(&[], truth(s.standing.incident.is_some()));
    Gauge "depth_wanted_seconds" [] "Time before a trigger that is asked for (`--pre`)."
        |s, out| out(&[], Number::Real(s.standing.pre_seconds));
    Gauge "memory_bytes" [] "Memory for frames."
        |s, out| out(&[], Number::Whole(s.standing.memory_bytes));

    Gauge "interface_up" ["interface"] "1 if the interface can carry frames, 0 if not."
        |s, out| each(s, |i| i.up.map(u64::from), out);
    Counter "kernel_received_frames" ["interface"] "Frames the kernel had for us, its drops included."
        |s, out| each(s, |i| i.counts.kernel_received, out);
    Counter "kernel_dropped_frames" ["interface"] "Frames the kernel dropped because its ring was full."
        |s, out| each(s, |i| i.counts.kernel_dropped, out);
    Gauge "kernel_waiting_frames" ["interface"] "Frames in the kernel's ring that were not read yet."
        |s, out| each(s, |i| i.counts.waiting_in_kernel, out);
    Counter "kernel_ring_full" ["interface"] "Times the kernel's ring was full."
        |s, out| each(s, |i| Some(i.counts.kernel_ring_full), out);
    Counter "filtered_frames" ["interface"] "Frames a filter in user space refused."
        |s, out| each(s, |i| Some(i.counts.filtered), out);
    Counter "damaged_frames" ["interface"] "Frames a kernel block announced and did not hold."
        |s, out| each(s, |i| Some(i.counts.damaged), out);
    Counter "truncated_frames" ["interface"] "Stored frames cut to the snaplen."
        |s, out| each(s, |i| Some(i.counts.truncated), out);
    Counter "stored_bytes" ["interface"] "Captured bytes of stored frames."
        |s, out| each(s, |i| Some(i.counts.stored_bytes), out);
    Counter "capture_gaps" ["interface"] "Times capture was interrupted."
        |s, out| each(s, |i| Some(i.counts.gaps), out);

    Counter "frames" ["interface", "class", "direction"] "Frames read, those folded and dropped by the lane included."
        |s, out| directions(s, |traffic| traffic.frames, out);
    Counter "bytes" ["interface", "class", "direction"] "Their original length in bytes."
        |s, out| directions(s, |traffic| traffic.bytes, out);
    Counter "stored_frames" ["interface", "class"] "Frames appended to the lane."
        |s, out| classes(s, |class| Number::Whole(class.stored), out);
    Counter "folded_frames" ["interface", "class"] "Copies counted in runs instead of stored."
        |s, out| classes(s, |class| Number::Whole(class.folded), out);
    Counter "lane_dropped_frames" ["interface", "class"] "Frames dropped because incidents pinned all memory."
        |s, out| classes(s, |class| Number::Whole(class.dropped), out);
    Counter "faded_frames" ["interface", "class"] "Stored frames since cut to their headers."
        |s, out| classes(s, |class| Number::Whole(class.faded), out);
    Counter "evicted_frames" ["interface", "class"] "Stored or folded frames since forgotten."
        |s, out| classes(s, |class| Number::Whole(class.evicted), out);
    Gauge "quota_bytes" ["interface", "class"] "Memory that no other class can take from it."
        |s, out| classes(s, |class| Number::Whole(class.quota_bytes), out);
    Gauge "depth_full_seconds" ["interface", "class"] "How far back memory reaches with whole frames, as expected at the traffic so far until some had to be cut; absent without traffic."
        |s, out| depths(s, |class| class.full_seconds, out);
    Gauge "depth_seconds" ["interface", "class"] "How far back memory reaches, headers of faded frames included, as expected at the traffic so far until some had to be forgotten; absent without traffic."
        |s, out| depths(s, |class| class.seconds, out);

    Counter "triggers" ["kind"] "Triggers that counted."
        |s, out| for trigger in &s.standing.figures.triggers {
            out(&[&trigger.kind], Number::Whole(trigger.count));
        };
    Counter "triggers_ignored" ["why"] "Triggers that did not count: disarmed, cooling, over_budget."
        |s, out| {
            out(&["disarmed"], Number::Whole(s.standing.ignored_triggers));
            out(&["cooling"], Number::Whole(s.standing.figures.cooling));
            out(&["over_budget"], Number::Whole(s.standing.figures.over_budget));
        };
    Counter "holds_released" [] "Windows that were held, and released because nothing confirmed them."
        |s, out| out(&[], Number::Whole(s.standing.figures.holds_released));
    Counter "holds_refused" [] "Windows that were not held because too many were."
        |s, out| out(&[], Number::Whole(s.standing.figures.holds_refused));
    Counter "incidents_frozen" [] "Incidents that were opened."
        |s, out| out(&[], Number::Whole(s.standing.figures.freezing.count));
    Counter "incidents_written" [] "Bundles whole and on the disk."
        |s, out| out(&[], Number::Whole(s.standing.bundles.written));
    Counter "incidents_lost" [] "Incidents that could not be written."
        |s, out| out(&[], Number::Whole(s.standing.bundles.lost));
    Gauge "incidents_pending" [] "Incidents on their way to the disk."
        |s, out| out(&[], Number::Whole(s.standing.bundles.pending));
    Counter "write_retries" [] "Attempts to write a bundle that failed and were repeated."
        |s, out| out(&[], Number::Whole(s.standing.figures.retries));
    Counter "bundle_frames" [] "Frames in bundles written."
        |s, out| out(&[], Number::Whole(s.standing.figures.frames));
    Histogram "bundle_bytes" [] "Size of bundles written."
        |s, out| out(&[], Number::Spread { sum: s.standing.figures.bytes as f64, buckets: &s.standing.figures.sizes });
    Histogram "freeze_seconds" [] "Time from a trigger until its frames were pinned."
        |s, out| out(&[], spread(&s.standing.figures.freezing));
    Gauge "freeze_most_seconds" [] "The same of the slowest incident; absent before the first."
        |s, out| most(&s.standing.figures.freezing, out);
    Histogram "write_seconds" [] "Time from the beginning of writing until the bundle was whole, its report included."
        |s, out| out(&[], spread(&s.standing.figures.writing));
    Gauge "write_most_seconds" [] "The same of the slowest bundle; absent before the first."
        |s, out| most(&s.standing.figures.writing, out);
    Histogram "report_seconds" [] "Time it took to make a report and let its bundle appear."
        |s, out| out(&[], spread(&s.standing.figures.reporting));
    Gauge "report_most_seconds" [] "The same of the slowest report; absent before the first."
        |s, out| most(&s.standing.figures.reporting, out);
    Gauge "store_bundles" [] "Whole bundles in the output directory; absent while it cannot be read."
        |s, out| if let Some(store) = s.store { out(&[], Number::Whole(store.bundles)) };
    Gauge "store_bytes" [] "Bytes of their files; absent while they cannot be read."
        |s, out| if let Some(store) = s.store { out(&[], Number::Whole(store.bytes)) };
    Gauge "store_free_bytes" [] "Room left on the file system of the output directory."
        |s, out| if let Some(free) = s.store.and_then(|store| store.free) {
            out(&[], Number::Whole(free));
        };

    Gauge "watchers" ["watcher"] "Watchers at work, by name."
        |s, out| watchers(s, |watcher| u64::from(watcher.running), out);
    Counter "observations_missed" ["watcher"] "Observations that found no room on the way to the recorder."
        |s, out| watchers(s, |watcher| watcher.missed, out);
    Counter "observations_forgotten" [] "Observations that had to be forgotten before their time."
        |s, out| out(&[], Number::Whole(s.standing.forgotten_observations));

    Counter "export_messages" ["to"] "Messages handed over to a destination."
        |s, out| exports(s, |export| export.sent, out);
    Counter "export_bytes" ["to"] "Their bytes."
        |s, out| exports(s, |export| export.bytes, out);
    Counter "export_dropped" ["to"] "Messages to a destination that were never sent."
        |s, out| exports(s, |export| export.dropped, out);
    Counter "export_failures" ["to"] "Attempts to reach a destination that failed."
        |s, out| exports(s, |export| export.failures, out);
    Gauge "export_reached" ["to"] "1 if the last attempt to reach the destination succeeded."
        |s, out| exports(s, |export| u64::from(export.reached), out);

    Gauge "fleet_connected" ["fleet"] "1 while there is a connection to a server of the fleet."
        |s, out| fleet(s, |fleet| u64::from(fleet.connected), out);
    Counter "fleet_connections" ["fleet"] "Connections made to a server of the fleet."
        |s, out| fleet(s, |fleet| fleet.connections, out);
    Counter "fleet_notices_heard" ["fleet"] "Notices of other hosts that were taken in."
        |s, out| fleet(s, |fleet| fleet.heard, out);
    Counter "fleet_notices_late" ["fleet"] "Of those, found in the server's stream and not heard live."
        |s, out| fleet(s, |fleet| fleet.late, out);
    Counter "fleet_notices_sent" ["fleet"] "Notices of this host that the server has, one for each addressee."
        |s, out| fleet(s, |fleet| fleet.sent, out);
    Gauge "fleet_notices_waiting" ["fleet"] "Notices of this host that wait to be sent."
        |s, out| fleet(s, |fleet| fleet.waiting, out);
    Counter "fleet_notices_lost" ["fleet"] "Notices of this host that nobody may have heard."
        |s, out| fleet(s, |fleet| fleet.lost, out);
    Counter "fleet_answers" ["fleet"] "Answers given to notices."
        |s, out| fleet(s, |fleet| fleet.answered, out);
    Counter "fleet_messages_refused" ["fleet"] "Messages that were not understood, or not said by whom they say."
        |s, out| fleet(s, |fleet| fleet.refused, out);
    Counter "fleet_messages_missed" ["fleet"] "Messages that found no room."
        |s, out| fleet(s, |fleet| fleet.missed, out);
    Counter "fleet_fetches" ["fleet"] "Bundles that others of the fleet began to fetch."
        |s, out| fleet(s, |fleet| fleet.fetches, out);
    Counter "fleet_fetches_refused" ["fleet"] "Fetches of others that were refused."
        |s, out| fleet(s, |fleet| fleet.fetches_refused, out);
    Counter "fleet_fetched_bytes" ["fleet"] "Bytes of bundles that went to others of the fleet."
        |s, out| fleet(s, |fleet| fleet.fetched_bytes, out);
    Counter "fleet_bytes" ["fleet", "direction"] "Bytes of messages from and to the server, without what carries them."
        |s, out| if let Some(fleet) = &s.standing.fleet {
            out(&[&fleet.fleet, "inbound"], Number::Whole(fleet.bytes_in));
            out(&[&fleet.fleet, "outbound"], Number::Whole(fleet.bytes_out));
        };
}

/// A moment in RFC 3339 as seconds since 1970.
fn since(time: &str) -> Option<f64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_millisecond() as f64 / 1e3)
}

fn truth(value: bool) -> Number<'static> {
    Number::Whole(u64::from(value))
}

fn each(s: &Scraped, count: fn(&Interface) -> Option<u64>, out: Out<'_>) {
    for interface in &s.standing.interfaces {
        // What is not known is left out, not zero.
        if let Some(count) = count(interface) {
            out(&[&interface.name], Number::Whole(count));
        }
    }
}

fn classes(s: &Scraped, number: fn(&Class) -> Number<'static>, out: Out<'_>) {
    for interface in &s.standing.interfaces {
        for class in &interface.classes {
            out(&[&interface.name, &class.name], number(class));
        }
    }
}

fn depths(s: &Scraped, seconds: fn(&Class) -> f64, out: Out<'_>) {
    for interface in &s.standing.interfaces {
        for class in interface.classes.iter().filter(|class| class.traffic().frames > 0) {
            out(&[&interface.name, &class.name], Number::Real(seconds(class)));
        }
    }
}

fn directions(s: &Scraped, count: fn(&Traffic) -> u64, out: Out<'_>) {
    for interface in &s.standing.interfaces {
        for class in &interface.classes {
            let Class { inbound, outbound, unknown, .. } = class;
            for (direction, traffic) in
                [("inbound", inbound), ("outbound", outbound), ("unknown", unknown)]
            {
                let labels = [&interface.name, &class.name, direction];
                out(&labels, Number::Whole(count(traffic)));
            }
        }
    }
}

fn spread(timing: &Timing) -> Number<'_> {
    Number::Spread { sum: timing.sum_seconds, buckets: &timing.buckets }
}

fn most(timing: &Timing, out: Out<'_>) {
    if timing.count > 0 {
        out(&[], Number::Real(timing.most_seconds));
    }
}

/// Watchers of one name are one, as probes are: a set of labels may come once only.
fn watchers(s: &Scraped, count: fn(&Watcher) -> u64, out: Out<'_>) {
    let mut sums = BTreeMap::<&str, u64>::new();
    for watcher in &s.standing.watchers {
        *sums.entry(&watcher.name).or_default() += count(watcher);
    }
    for (name, sum) in sums {
        out(&[name], Number::Whole(sum));
    }
}

fn fleet(s: &Scraped, count: fn(&BusStatus) -> u64, out: Out<'_>) {
    if let Some(fleet) = &s.standing.fleet {
        out(&[&fleet.fleet], Number::Whole(count(fleet)));
    }
}

/// Destinations that are called alike are one, likewise.
fn exports(s: &Scraped, count: fn(&export::DestinationStatus) -> u64, out: Out<'_>) {
    let mut sums = BTreeMap::<&str, u64>::new();
    for export in &s.standing.exports {
        *sums.entry(&export.to).or_default() += count(export);
    }
    for (to, sum) in sums {
        out(&[to], Number::Whole(sum));
    }
}
