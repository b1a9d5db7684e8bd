//! How far back memory reaches, lane by lane, and what of a window it does not have.
//!
//! ```text
//!   window.from     since          complete_from    full_from             held_from  ...  window.to
//!   ────┬─────────────┬─────────────────┬───────────────┬────────────────────────────────────┬───
//!       └ not recorded┘└ memory too short┘└ headers only ┘                     (limit)└ missing┘
//! ```
//!
//! Pure: it is told how the captures stand.

use crate::capture::{CaptureReport, ClassReport};
use crate::incident::coverage::{Coverage, MissingPart};
use crate::time::{Mono, Offset, Window, nanos};

/// What of a window the lanes have.
pub(super) struct Reach<'a> {
    /// What was asked for.
    pub(super) window: Window,
    /// The distance of the clocks then.
    pub(super) offset: Offset,
    /// How the captures stand.
    pub(super) reports: &'a [CaptureReport],
    /// What the recording before left.
    pub(super) earlier: Option<Window>,
}

impl Reach<'_> {
    /// The first moment that any lane has something of; none if nothing is recorded.
    pub(super) fn oldest(reports: &[CaptureReport], earlier: Option<Window>) -> Option<Mono> {
        let lanes = reports.iter().flat_map(|report| {
            report.classes.iter().map(|class| class.complete_from.max(report.since.mono))
        });
        lanes.chain(earlier.map(|frames| frames.from)).min()
    }

    /// What a window pins of the lanes, about: of each lane the part of what it holds that is the window's part of the
    /// time it holds.
    pub(super) fn bytes(reports: &[CaptureReport], window: Window, now: Mono) -> u64 {
        let lanes = reports.iter().flat_map(|report| {
            let lane = |class: &ClassReport| {
                let begin = class.complete_from.max(report.since.mono);
                (begin, class.counters.ring_bytes)
            };
            report.classes.iter().map(lane)
        });
        let of = |(begin, bytes): (Mono, u64)| {
            let held = nanos(now.since(begin)).max(1);
            let wanted = nanos(window.to.min(now).since(window.from.max(begin)));
            let part = u128::from(bytes) * u128::from(wanted) / u128::from(held);
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        lanes.map(of).fold(0, u64::saturating_add)
    }

    /// The first moment that memory has something of, if that is after the window.
    pub(super) fn is_after(&self) -> Option<Mono> {
        let oldest = Self::oldest(self.reports, self.earlier)?;
        let in_between = self.earlier.is_some_and(|frames| frames.to < self.window.from);
        let lanes =
            Self::oldest(self.reports, self.earlier.filter(|_| !in_between)).unwrap_or(oldest);
        (lanes > self.window.to).then_some(lanes)
    }

    /// What is there once everything since `held_from` is pinned, for a window of which an incident has `closed`;
    /// nothing is known of the host in `unseen`.
    pub(super) fn coverage(
        &self,
        held_from: Mono,
        closed: Window,
        unseen: Option<Window>,
    ) -> Coverage {
        let Self { window, offset, .. } = *self;
        let mut missing = self.of_lanes();
        let mut of_all = |reason: &str, from: Mono, to: Mono| {
            missing.push(self.part((None, None), reason, from, to));
        };
        let lanes = missing_until(self.reports, window);
        of_all("memory has no room to hold more", lanes, held_from.min(closed.to));
        of_all("the incident is at its limit", closed.to.max(window.from), window.to);
        if let Some(unseen) = unseen {
            of_all("what was seen of the host is no longer known", unseen.from, unseen.to);
        }
        let mut missing: Vec<MissingPart> = missing.into_iter().flatten().collect();
        missing.sort_by_key(|part| std::cmp::Reverse(part.to.0 - part.from.0));
        let more_missing = missing.len().saturating_sub(Coverage::MOST) as u64;
        let full = missing.is_empty();
        missing.truncate(Coverage::MOST);
        Coverage {
            asked_after_ns: 0,
            from: offset.wall(window.from),
            to: offset.wall(window.to),
            held_from: offset.wall(held_from.clamp(window.from, window.to.max(window.from))),
            full,
            missing,
            more_missing,
        }
    }

    /// What each lane lacks.
    fn of_lanes(&self) -> Vec<Option<MissingPart>> {
        let Window { from, to } = self.window;
        let mut missing = Vec::new();
        for report in self.reports {
            let name = Some(report.origin.interface.as_str());
            let since = report.since.mono.clamp(from, to);
            let reached = self.earlier.unwrap_or(Window { from: since, to: since });
            missing.push(self.part(
                (name, None),
                "not recorded yet",
                from,
                reached.from.min(since),
            ));
            let restart = reached.to.max(from);
            missing.push(self.part((name, None), "dashcap was started again", restart, since));
            for class in &report.classes {
                let lane = (name, Some(&*class.name));
                let reach = class.complete_from.min(to);
                let full = class.full_from.min(to);
                let short = "memory did not reach further back";
                missing.push(self.part(lane, short, since, reach));
                missing.push(self.part(
                    lane,
                    "memory kept the headers only",
                    reach.max(since),
                    full,
                ));
            }
        }
        missing
    }

    fn part(
        &self,
        (interface, class): (Option<&str>, Option<&str>),
        reason: &str,
        from: Mono,
        to: Mono,
    ) -> Option<MissingPart> {
        let [interface, class] = [interface, class].map(|name| name.map(str::to_owned));
        let [from, to] = [from.max(self.window.from), to.min(self.window.to)];
        (from < to).then(|| MissingPart {
            interface,
            class,
            reason: reason.to_owned(),
            from: self.offset.wall(from),
            to: self.offset.wall(to),
        })
    }
}

/// Since then every lane that was recorded is complete.
fn missing_until(reports: &[CaptureReport], window: Window) -> Mono {
    let lanes = reports.iter().flat_map(|report| {
        report.classes.iter().map(|class| class.complete_from.max(report.since.mono))
    });
    lanes.max().unwrap_or(window.from).max(window.from)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::frame::{LinkType, Origin, StampClock};
    use crate::ring::LaneCounters;
    use crate::stats::CaptureStats;
    use crate::time::Stamp;

    const S: u64 = 1_000_000_000;

    /// An interface recorded since then, and of each class since when it is complete, and full.
    fn report(name: &str, since: u64, classes: &[(&str, u64, u64)]) -> CaptureReport {
        let stamp = |second: u64| Stamp { mono: Mono(second * S), ..Stamp::default() };
        let class = |&(name, complete, full): &(&str, u64, u64)| ClassReport {
            name: name.into(),
            counters: LaneCounters::default(),
            complete_from: Mono(complete * S),
            full_from: Mono(full * S),
            quota: 1,
        };
        CaptureReport {
            origin: Arc::new(Origin {
                interface: name.into(),
                index: 1,
                link_type: LinkType::ETHERNET,
                snaplen: 1,
                clock: StampClock::Software,
            }),
            source: "",
            unknowns: &[],
            at: stamp(1_000),
            since: stamp(since),
            stats: CaptureStats::default(),
            classes: classes.iter().map(class).collect(),
            traffic: Vec::new(),
            services: Vec::new(),
            spent: false,
        }
    }

    fn window(from: u64, to: u64) -> Window {
        Window { from: Mono(from * S), to: Mono(to * S) }
    }

    #[test]
    fn what_is_missing_is_told_lane_by_lane() {
        let reports = [
            report("eth0", 100, &[("control", 100, 100), ("data", 130, 150)]),
            report("eth1", 120, &[("data", 120, 120)]),
        ];
        for (asked, held, closed, earlier, expected) in [
            (window(160, 200), 160, window(160, 200), None, ""),
            (
                window(90, 170),
                130,
                window(90, 170),
                None,
                "eth0 data 100 to 130 (memory did not reach further back); eth1 90 to 120 (not recorded yet); \
                 eth0 data 130 to 150 (memory kept the headers only); eth0 90 to 100 (not recorded yet)",
            ),
            (
                window(90, 110),
                110,
                window(90, 110),
                Some(window(50, 95)),
                "eth1 95 to 110 (dashcap was started again); eth0 data 100 to 110 (memory did not reach further \
                 back); eth0 95 to 100 (dashcap was started again)",
            ),
            (
                window(155, 200),
                170,
                window(155, 180),
                None,
                "everything 180 to 200 (the incident is at its limit); everything 155 to 170 (memory has no room \
                 to hold more)",
            ),
        ] {
            let offset = Offset(0);
            let reach = Reach { window: asked, offset, reports: &reports, earlier };
            let told = reach.coverage(Mono(held * S), closed, None);
            let parts: Vec<String> = told
                .missing
                .iter()
                .map(|part| {
                    let name = [part.interface.as_deref(), part.class.as_deref()];
                    let name: Vec<_> = name.into_iter().flatten().collect();
                    let name = if name.is_empty() { "everything".into() } else { name.join(" ") };
                    format!("{name} {} to {} ({})", part.from.0 / S, part.to.0 / S, part.reason)
                })
                .collect();
            assert_eq!(parts.join("; "), expected);
            assert_eq!((told.full, told.held_from.0), (expected.is_empty(), held * S));
        }
    }

    #[test]
    fn a_window_pins_its_part_of_each_lane() {
        let mut reports = [report("eth0", 100, &[("control", 100, 100), ("data", 900, 900)])];
        reports[0].classes[0].counters.ring_bytes = 900;
        reports[0].classes[1].counters.ring_bytes = 1_000_000;
        for (asked, expected) in [
            (window(100, 1_000), 1_000_900),
            (window(0, 2_000), 1_000_900),
            (window(100, 200), 100),
            (window(950, 1_000), 500_050),
            (window(10, 50), 0),
            (window(1_000, 1_100), 0),
        ] {
            assert_eq!(Reach::bytes(&reports, asked, Mono(1_000 * S)), expected, "{asked:?}");
        }
    }

    #[test]
    fn many_lanes_are_told_by_the_longest() {
        let reports: Vec<_> =
            (0..40).map(|n| report(&format!("eth{n}"), 100 + n, &[("data", 0, 0)])).collect();
        let reach =
            Reach { window: window(90, 200), offset: Offset(0), reports: &reports, earlier: None };
        let told = reach.coverage(Mono(139 * S), window(90, 200), Some(window(90, 95)));
        assert_eq!((told.missing.len(), told.more_missing), (Coverage::MOST, 33));
        assert_eq!(told.missing[0].interface.as_deref(), Some("eth39"));
        assert!(told.to_string().ends_with("; and 33 more parts"), "{told}");
    }

    #[test]
    fn nothing_is_left_once_the_deepest_lane_is_younger() {
        let reports = [report("eth0", 100, &[("control", 100, 100), ("data", 130, 150)])];
        for (asked, earlier, after) in [
            (window(50, 99), None, Some(100)),
            (window(50, 100), None, None),
            (window(110, 120), None, None),
            (window(50, 80), Some(window(60, 95)), None),
            (window(10, 50), Some(window(60, 95)), Some(60)),
            (window(96, 99), Some(window(60, 95)), Some(100)),
        ] {
            let reach = Reach { window: asked, offset: Offset(0), reports: &reports, earlier };
            assert_eq!(reach.is_after().map(|at| at.0 / S), after, "{asked:?}");
        }
        let nobody = Reach { window: window(1, 2), offset: Offset(0), reports: &[], earlier: None };
        assert_eq!(nobody.is_after(), None, "who records nothing is not late");
    }
}
