//! Holes: times of which the files tell nothing though something must have happened then. Who reads the
//! report must not take a hole for a silence.
//!
//! ```text
//!   router.pcap0 ▂▃▁▅▂▃▁▃│          │▂▃▁▅▂▁ router.pcap1     between files: one ended, the next began late
//!   router.pcap  ▂▃▁▅▂▃▁▃▁▅▂▁▃           ▂▃▁▅▂▃▁             within a file: no frame of any interface
//! ```
//!
//! A pause is a hole only where it stands out: quiet interfaces pause by nature. It stays a notice, since no
//! file says why there is nothing; but one within an incident is part of its story.

use std::time::Duration;

use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::{Offset, Stamp, Wall};
use crate::words;

/// Shorter pauses are no holes: programs that read several interfaces are late by so much.
const SHORTEST: Duration = Duration::from_secs(2);
/// Between files: frames before it, and how many times the longest pause before.
const BETWEEN: Standing = Standing { frames: 16, span: Duration::ZERO, times: 3 };
/// Within a file nothing but the pause itself speaks for a hole, so it must stand out of a minute of traffic.
const WITHIN: Standing = Standing { frames: 1_000, span: Duration::from_secs(60), times: 10 };

/// What a pause must stand out of.
#[derive(Debug, Clone, Copy)]
struct Standing {
    frames: u64,
    span: Duration,
    times: u64,
}

/// Frames of one file, or of one interface, and the pauses between them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pauses {
    first: Wall,
    last: Wall,
    longest: u64,
    frames: u64,
}

/// The files that an interface's frames come from, and its own time: that of which no file tells does not pass,
/// so nothing is missed in it. Between files it is what is longer than any pause before.
///
/// ```text
///   frames   ▂▃▁▅▂▃│ file ended      │▂▃▁▅ the next one
///   its time ──────┴─────────────────┴────►
///              12 s ┘ stands still    └ 12 s
/// ```
#[derive(Debug, Clone, Default)]
pub(super) struct Feed {
    /// Those that have not ended.
    open: Vec<usize>,
    /// The first of them.
    pub(super) first: usize,
    /// That of the last frame.
    file: usize,
    /// When the last of them ended.
    ended: Option<Stamp>,
    /// What was running then was told.
    settled: bool,
    /// How long its time has stood still.
    stood: Duration,
    pauses: Pauses,
}

/// What an interface is to do when time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GapTurn {
    /// It is so late.
    Tick(Stamp),
    /// It ended then, and no file went on for long.
    Settle(Stamp),
    /// Nothing.
    Wait,
}

/// A time of which there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    /// The last frame before it.
    pub(super) from: Wall,
    /// The first one behind it.
    pub(super) to: Wall,
    /// The longest pause before, in nanoseconds.
    pub(super) longest: u64,
}

impl Pauses {
    /// A frame of the same file; the hole before it, if there is one.
    #[inline]
    pub(super) fn within(&mut self, wall: Wall) -> Option<Hole> {
        self.next(wall, WITHIN)
    }

    /// The first frame of another file; the hole before it, if there is one.
    pub(super) fn between(&mut self, wall: Wall) -> Option<Hole> {
        self.next(wall, BETWEEN)
    }

    /// Stamps that go back, or that jump by decades, tell of a clock and not of a pause.
    #[inline]
    fn next(&mut self, wall: Wall, least: Standing) -> Option<Hole> {
        if self.frames == 0 {
            self.first = wall;
            self.last = wall;
        }
        let from = self.last;
        let pause = wall.0.saturating_sub(from.0);
        let hole = (pause >= SHORTEST.as_nanos() as u64).then(|| self.stands_out(pause, least));
        let hole = (hole == Some(true)).then_some(Hole { from, to: wall, longest: self.longest });
        if hole.is_none() {
            self.longest = self.longest.max(pause);
        }
        self.frames += 1;
        self.last = wall;
        hole
    }

    #[cold]
    fn stands_out(&self, pause: u64, least: Standing) -> bool {
        let span = self.last.0.saturating_sub(self.first.0);
        self.frames >= least.frames
            && u128::from(span) >= least.span.as_nanos()
            && pause >= self.longest.saturating_mul(least.times)
    }
}

impl Feed {
    /// `file` has frames of it, the first of them `at`.
    pub(super) fn begins(&mut self, file: usize, at: Stamp) {
        if self.pauses.frames == 0 && self.open.is_empty() {
            (self.first, self.file) = (file, file);
        }
        if !self.open.contains(&file) {
            self.open.push(file);
        }
        if let Some(ended) = self.ended.take() {
            // A pause as there are within files is none between them.
            let usual = Duration::from_nanos(self.pauses.longest);
            self.stood += at.mono.since(ended.mono).saturating_sub(usual);
            self.settled = false;
        }
    }

    /// `file` has ended.
    pub(super) fn ends(&mut self, file: usize, now: Stamp) {
        let before = self.open.len();
        self.open.retain(|open| *open != file);
        if self.open.is_empty() && before > 0 {
            self.ended = Some(now);
        }
    }

    /// True if all its files have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.open.is_empty()
    }

    /// A moment in its own time.
    pub(super) fn own(&self, at: Stamp) -> Stamp {
        Stamp { mono: at.mono.minus(self.stood), wall: at.wall }
    }

    /// What is to be done `now`.
    pub(super) fn turn(&mut self, now: Stamp) -> GapTurn {
        match self.ended {
            None => GapTurn::Tick(self.own(now)),
            Some(ended) if !self.settled && now.mono.since(ended.mono) >= SHORTEST => {
                self.settled = true;
                GapTurn::Settle(self.own(ended))
            }
            Some(_) => GapTurn::Wait,
        }
    }

    /// What is to be done when everything has ended; none where that was done.
    pub(super) fn last(&self, now: Stamp) -> Option<Stamp> {
        let end = self.ended.unwrap_or(now);
        (!self.settled).then(|| self.own(end))
    }

    /// A frame of it in `file`; the file before it and the hole between them, if there is one.
    #[inline]
    pub(super) fn frame(&mut self, file: usize, wall: Wall) -> Option<(usize, Hole)> {
        let before = std::mem::replace(&mut self.file, file);
        if before == file || self.open.contains(&before) {
            self.pauses.within(wall);
            return None;
        }
        self.pauses.between(wall).map(|hole| (before, hole))
    }
}

impl Hole {
    /// The finding that it is: `place` says between which files or in which one it is.
    pub(super) fn finding(self, interface: Option<&str>, place: &str, why: &str) -> Finding {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let stamp = |wall| Stamp { mono: Offset::default().mono(wall), wall };
        let what = format!("nothing {place}");
        let length = words::lasting(seconds(self.to.0.saturating_sub(self.from.0)));
        let longest = words::lasting(seconds(self.longest));
        Finding {
            kind: FindingKind::CaptureGap,
            severity: Severity::Notice,
            first: stamp(self.from),
            last: stamp(self.to),
            interface: interface.map(str::to_owned),
            direction: Direction::Unknown,
            count: 0,
            rate: None,
            sentence: format!(
                "capture gap: {what} for {length}, where the longest pause before was {longest}{why}"
            ),
            what,
            parties: Vec::new(),
            over: true,
        }
    }
}

/// What files are called that one recorder wrote one after the other: the name without what counts them.
///
/// Digits behind the ending (`router.pcap3`, tcpdump's -C and -W), and four or more in a row with what parts
/// them (`router_00001_20171205141000`, `router-2017-12-05_14:10`, dumpcap's -b and tcpdump's -G). Fewer are
/// part of a name: `eth0` and `eth1` are two interfaces.
pub(super) fn series_of(stem: &str) -> String {
    /// Digits in a row that count or tell a time.
    const COUNTING: usize = 4;
    let counts = |part: &str| part.len() >= COUNTING && part.bytes().all(|b| b.is_ascii_digit());
    let uncounted = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let endings = [".pcapng", ".pcap", ".cap", ".dmp"];
    let name = endings.iter().find_map(|ending| uncounted.strip_suffix(ending)).unwrap_or(stem);
    let mut kept: Vec<&str> = Vec::new();
    let mut counting = false;
    for part in name.split(['_', '-', '.', ':', 'T']) {
        let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        counting |= counts(part);
        if !(counting && is_number || part.is_empty()) {
            kept.push(part);
        }
    }
    kept.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Mono;

    const MS: u64 = 1_000_000;

    /// Holes in seconds, if so many frames come each so many milliseconds, then one after a pause.
    fn hole(frames: u64, each: u64, pause: u64, between: bool) -> Option<u64> {
        let mut pauses = Pauses::default();
        (0..frames).for_each(|n| assert_eq!(pauses.within(Wall(n * each * MS)), None));
        let at = Wall(((frames - 1) * each + pause) * MS);
        let hole = if between { pauses.between(at) } else { pauses.within(at) };
        hole.map(|hole| (hole.to.0 - hole.from.0) / MS / 1_000)
    }

    #[test]
    fn a_pause_is_a_hole_where_it_stands_out() {
        for (name, frames, each, pause, between, expected) in [
            ("five blind seconds between files", 1_000, 100, 5_000, true, Some(5)),
            ("files that follow one another", 1_000, 100, 300, true, None),
            ("LACP alone pauses for longer", 40, 30_000, 31_000, true, None),
            ("too few to know", 10, 10, 5_000, true, None),
            ("a recorder that stood still", 1_000, 100, 5_000, false, Some(5)),
            ("a pause like others", 1_000, 600, 5_000, false, None),
            ("after a short burst", 2_000, 1, 10_000, false, None),
        ] {
            assert_eq!(hole(frames, each, pause, between), expected, "{name}");
        }
    }

    #[test]
    fn files_of_one_recorder_are_one_series() {
        for (stem, series) in [
            ("router.pcap0", "router"),
            ("router.pcap17", "router"),
            ("dp0bond0_2017-12-05_14:10:00", "dp0bond0"),
            ("dp0bond0-20171205-141000", "dp0bond0"),
            ("any_00001_20171205141000", "any"),
            ("eth0", "eth0"),
            ("eth1", "eth1"),
            ("router", "router"),
            ("site-2", "site-2"),
            ("20171205", ""),
        ] {
            assert_eq!(series_of(stem), series, "{stem}");
        }
    }

    #[test]
    fn the_time_of_an_interface_stands_still_between_its_files() {
        let at = |s: u64| Stamp { mono: Mono(s * 1_000 * MS), wall: Wall(s * 1_000 * MS) };
        let mut feed = Feed::default();
        feed.begins(0, at(0));
        feed.begins(1, at(3));
        feed.ends(0, at(10));
        assert!(!feed.has_ended());
        assert_eq!(feed.turn(at(11)), GapTurn::Tick(at(11)));
        feed.ends(1, at(12));
        feed.ends(1, at(13));
        assert!(feed.has_ended());
        assert_eq!((feed.turn(at(13)), feed.last(at(13))), (GapTurn::Wait, Some(at(12))));
        assert_eq!((feed.turn(at(14)), feed.last(at(14))), (GapTurn::Settle(at(12)), None));
        assert_eq!(feed.turn(at(15)), GapTurn::Wait);
        feed.begins(2, at(20));
        assert_eq!(feed.own(at(20)), Stamp { mono: at(12).mono, ..at(20) });
        assert_eq!(feed.turn(at(21)), GapTurn::Tick(Stamp { mono: at(13).mono, ..at(21) }));
    }
}
