//! How a recording stands, in one line, and how deep its memory reaches.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::status::{self, Depth, Traffic};
use crate::capture::CaptureReport;
use crate::detect::tap;
use crate::ring::LaneCounters;
use crate::time::Mono;

/// What an operator wants to know at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Frames received a second, over the last second, on all interfaces.
    pub frames_per_second: f64,
    /// How far back memory reaches, by class.
    pub depths: Vec<ClassDepth>,
    /// Frames lost since the start, by the kernel or for want of memory.
    pub dropped: u64,
    /// What is going on.
    pub state: State,
}

/// How far back memory reaches for a class, on the interface where that is least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassDepth {
    /// The class.
    pub class: Arc<str>,
    /// Frames at full length.
    pub full: Duration,
    /// All that is known: before, frames have their headers only.
    pub all: Duration,
    /// True where this is measured, or computed from enough of the memory; false while nobody can know.
    pub is_known: bool,
    /// How far back it reaches now: what is computed is not there yet.
    pub held: Duration,
    /// Nothing was forgotten since the recording began.
    pub is_everything: bool,
}

/// What the recorder is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for a trigger.
    Armed,
    /// Waiting, and triggers do not count.
    Disarmed,
    /// An incident is open for so long at least.
    Collecting(Duration),
    /// Incidents are on their way to the disk.
    Writing(usize),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} frames/s", self.frames_per_second)?;
        if !self.depths.is_empty() {
            write!(f, " · holds {}", in_words(&self.depths))?;
        }
        write!(f, " · {} dropped · ", self.dropped)?;
        match self.state {
            State::Armed => f.write_str("armed"),
            State::Disarmed => f.write_str("DISARMED"),
            State::Collecting(left) => write!(f, "collecting, {:.0} s left", left.as_secs_f64()),
            State::Writing(incidents) => write!(f, "writing {incidents}"),
        }
    }
}

/// `control everything so far, data 41 s (12 s in full)`.
fn in_words(depths: &[ClassDepth]) -> String {
    let words: Vec<_> = depths.iter().map(ToString::to_string).collect();
    words.join(", ")
}

impl fmt::Display for ClassDepth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class, Depth::from(self).words())
    }
}

impl From<&ClassDepth> for Depth {
    fn from(depth: &ClassDepth) -> Self {
        Self {
            class: depth.class.to_string(),
            full_seconds: depth.full.as_secs_f64(),
            seconds: depth.all.as_secs_f64(),
            is_known: depth.is_known,
            held_seconds: depth.held.as_secs_f64(),
            is_everything: depth.is_everything,
        }
    }
}

/// Frames that all captures together received and stored or lost.
fn frames(reports: &[CaptureReport]) -> u64 {
    let of = |report: &CaptureReport| {
        let stats = &report.stats;
        stats.kernel_received.unwrap_or(stats.stored + stats.folded + stats.filtered)
    };
    reports.iter().map(of).sum()
}

/// How long a history each class has, on the interface where it is shortest: measured where something
/// had to be forgotten, else computed from the traffic so far, which says nothing before [`KNOWN`] of the
/// memory is used; nothing without traffic.
pub(in crate::recorder) fn depths(reports: &[CaptureReport], now: Mono) -> Vec<ClassDepth> {
    let mut depths: Vec<ClassDepth> = Vec::new();
    for report in reports {
        for class in &report.classes {
            let recorded = now.since(report.since.mono);
            let (all, is_known) = match class.counters {
                LaneCounters { ring_bytes: 0, .. } => continue,
                LaneCounters { evicted: 1.., .. } => (now.since(class.complete_from), true),
                LaneCounters { ring_bytes, .. } => {
                    let used = ring_bytes as f64 / class.quota as f64;
                    let all = Duration::try_from_secs_f64(recorded.as_secs_f64() / used);
                    (recorded.max(all.unwrap_or(Duration::MAX)), used >= KNOWN)
                }
            };
            let full = match class.counters.faded {
                0 => all,
                _ => now.since(class.full_from).min(all),
            };
            let (held, is_everything) = (all.min(recorded), class.counters.evicted == 0);
            match depths.iter_mut().find(|depth| depth.class == class.name) {
                Some(least) => {
                    (least.full, least.all) = (least.full.min(full), least.all.min(all));
                    least.is_known &= is_known;
                    least.held = least.held.min(held);
                    least.is_everything &= is_everything;
                }
                None => {
                    let class = Arc::clone(&class.name);
                    depths.push(ClassDepth { class, full, all, is_known, held, is_everything });
                }
            }
        }
    }
    depths
}

/// Part of a class's memory that must be used before the rest of it is counted on: a figure is never drawn out
/// to more than ten times of what was seen.
const KNOWN: f64 = 0.1;

/// Each class of an interface: its traffic, its counts, how far back it reaches.
pub(in crate::recorder) fn classes(report: &CaptureReport, now: Mono) -> Vec<status::Class> {
    let depths = depths(std::slice::from_ref(report), now);
    let traffic = |count: tap::TrafficCount| Traffic { frames: count.frames, bytes: count.bytes };
    let each = report.classes.iter().zip(&report.traffic);
    each.map(|(class, &[unknown, inbound, outbound])| {
        let LaneCounters { stored, folded, dropped, faded, evicted, .. } = class.counters;
        let depth = depths.iter().find(|depth| depth.class == class.name);
        let seconds = |depth: Option<Duration>| depth.map_or(0.0, |depth| depth.as_secs_f64());
        status::Class {
            name: class.name.to_string(),
            inbound: traffic(inbound),
            outbound: traffic(outbound),
            unknown: traffic(unknown),
            stored,
            folded,
            dropped,
            faded,
            evicted,
            quota_bytes: class.quota,
            full_seconds: seconds(depth.map(|depth| depth.full)),
            seconds: seconds(depth.map(|depth| depth.all)),
            is_known: depth.is_some_and(|depth| depth.is_known),
            held_seconds: seconds(depth.map(|depth| depth.held)),
            is_everything: depth.is_some_and(|depth| depth.is_everything),
        }
    })
    .collect()
}

/// What was last shown, and when.
#[derive(Debug)]
pub(in crate::recorder) struct StatusLine {
    shown: Mono,
    frames: u64,
    per_second: f64,
    /// When the depth of the history is looked at next, and what was told of it.
    look_at: Mono,
    told: Vec<ClassDepth>,
}

impl StatusLine {
    /// How often the status is shown.
    const EVERY: Duration = Duration::from_secs(1);
    /// The depth of the history is known once there was traffic for this long, and looked at this often.
    const DEPTH_EVERY: Duration = Duration::from_secs(10);

    /// Nothing was shown before `now`.
    pub(super) fn new(now: Mono) -> Self {
        let look_at = now.plus(Self::DEPTH_EVERY);
        Self { shown: now, frames: 0, per_second: 0.0, look_at, told: Vec::new() }
    }

    /// Frames received a second when it was shown last.
    pub(in crate::recorder) fn frames_per_second(&self) -> f64 {
        self.per_second
    }

    /// True if it is time to show the status again.
    pub(in crate::recorder) fn is_due(&self, now: Mono) -> bool {
        now.since(self.shown) >= Self::EVERY
    }

    /// How it stands.
    pub(super) fn status(&mut self, now: Mono, reports: &[CaptureReport], state: State) -> Status {
        let (frames, passed) = (frames(reports), now.since(self.shown));
        self.per_second = frames.saturating_sub(self.frames) as f64 / passed.as_secs_f64();
        (self.shown, self.frames) = (now, frames);
        Status {
            frames_per_second: self.per_second,
            depths: depths(reports, now),
            dropped: reports.iter().map(|report| report.stats.dropped()).sum(),
            state,
        }
    }

    /// True if it is time to look at the depth again.
    pub(in crate::recorder) fn is_depth_due(&self, now: Mono) -> bool {
        now >= self.look_at
    }

    /// Says how many seconds the memory holds, if that is known and changed much; `pre` were asked for.
    pub(in crate::recorder) fn tell_depth(
        &mut self,
        now: Mono,
        reports: &[CaptureReport],
        pre: Duration,
    ) {
        self.look_at = now.plus(Self::DEPTH_EVERY);
        let mut depths = depths(reports, now);
        depths.retain(|depth| depth.is_known);
        let differs = |a: Duration, b: Duration| a > 2 * b || b > 2 * a;
        let changed = |depth: &ClassDepth| {
            let told = self.told.iter().find(|told| told.class == depth.class);
            told.is_none_or(|told| differs(depth.all, told.all) || differs(depth.full, told.full))
        };
        if !depths.iter().any(changed) {
            return;
        }
        tracing::info!("at this traffic the memory holds about: {}", in_words(&depths));
        if depths.iter().any(|depth| depth.all < pre) {
            tracing::warn!(
                "that is less than the {pre:?} before a trigger that were asked for; give more \
                 --memory, or a --filter"
            );
        }
        self.told = depths;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line() {
        let status = Status {
            frames_per_second: 12_345.4,
            depths: [("control", 18_000, 18_000, false), ("data", 12, 41, true)]
                .map(|(class, full, all, is_known)| ClassDepth {
                    held: Duration::from_secs(41),
                    is_everything: !is_known,
                    class: class.into(),
                    full: Duration::from_secs(full),
                    all: Duration::from_secs(all),
                    is_known,
                })
                .into(),
            dropped: 0,
            state: State::Armed,
        };
        assert_eq!(
            status.to_string(),
            "12345 frames/s · holds control everything so far (41 s), data 41 s (12 s in full) · 0 dropped · armed"
        );
        let state = State::Collecting(Duration::from_millis(3_900));
        let status = Status { depths: Vec::new(), state, ..status };
        assert_eq!(status.to_string(), "12345 frames/s · 0 dropped · collecting, 4 s left");
    }
}
