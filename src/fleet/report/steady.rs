//! A host's own time without the settings of its clock: stamps as the clock had gone on as it was.
//!
//! A bundle's events have both clocks, so where their distance changes, the wall clock was set in between, and by
//! how much. Frames have one stamp only; in the order of their file each belongs to the time before or behind a
//! setting, whichever continues it. So many settings before are its *epoch*. What was stamped while a clock was
//! being set belongs to neither, and proves nothing.
//!
//! ```text
//!   stamps  10:00:00 ... 10:00:07   09:00:08 ... 09:00:20      the clock was set back by an hour
//!   steady  10:00:00 ... 10:00:07 ? 10:00:08 ... 10:00:20
//!   epoch         0           0     1               1
//! ```

use std::time::Duration;

use crate::time::{Mono, Stamp, Wall};

/// Less is what a clock is slewed by between two events (adjtimex(2)), or read apart.
const SET: Duration = Duration::from_millis(5);
/// Longest time from 1970 in nanoseconds, 146 years: two of them can be subtracted.
const MOST_TIME: i64 = i64::MAX / 2;
/// Settings of a clock that are followed; what comes behind more belongs to the last.
const MOST: usize = 64;

/// One setting of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The last moment known before, in steady time.
    pub before: i64,
    /// The first known behind it.
    pub after: i64,
    /// Stamps behind it less steady time, in nanoseconds.
    pub ahead: i64,
}

/// The settings of one host's clock, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    all: Vec<Setting>,
    last: Option<Stamp>,
    /// Steady time less the monotonic clock's; none over a new start of the host.
    base: Option<i64>,
    starts: usize,
}

/// How far a reader of one file is.
#[derive(Debug, Clone, Copy, Default)]
pub struct StampReader {
    epoch: usize,
    last: i64,
}

impl Settings {
    /// Both clocks at a moment. Bundles of one host overlap: what is not later than what was read says nothing new,
    /// and a setting that several of them tell is one.
    pub fn clocks(&mut self, now: Stamp) {
        if self.last.is_some_and(|last| now.mono <= last.mono) {
            return;
        }
        let ahead = self.all.last().map_or(0, |setting| setting.ahead);
        let Some(before) = self.last.replace(now) else {
            self.base = (self.starts <= 1).then(|| now.offset().0.saturating_sub(ahead));
            return;
        };
        let moved = now.offset().0.saturating_sub(before.offset().0);
        if moved.unsigned_abs() < SET.as_nanos() as u64 {
            return;
        }
        if self.all.len() < MOST {
            let before = steady(before.wall, ahead);
            let ahead = ahead.saturating_add(moved);
            self.all.push(Setting { before, after: steady(now.wall, ahead), ahead });
        }
    }

    /// The host was started again: its monotonic clock begins anew.
    pub fn started_again(&mut self) {
        (self.last, self.starts) = (None, self.starts + 1);
    }

    /// Steady time of a moment that is told by both clocks.
    pub fn of(&self, wall: Wall, mono: Mono) -> i64 {
        match self.base.filter(|_| !self.all.is_empty()) {
            Some(base) => i64::try_from(mono.0)
                .unwrap_or(i64::MAX)
                .saturating_add(base)
                .clamp(-MOST_TIME, MOST_TIME),
            None => steady(wall, 0),
        }
    }

    /// In order.
    pub fn all(&self) -> &[Setting] {
        &self.all
    }

    /// The parts of a span in which the clock was not being set.
    pub fn without(&self, (from, to): (i64, i64)) -> Vec<(i64, i64)> {
        let begins =
            std::iter::once(from).chain(self.all.iter().map(|setting| setting.after.max(from)));
        let ends = self.all.iter().map(|setting| setting.before.min(to)).chain([to]);
        begins.zip(ends).filter(|(begin, end)| begin < end).collect()
    }

    /// Steady time and epoch of a frame that comes next in its file; no epoch where the clock was being set.
    pub fn next(&self, reader: &mut StampReader, wall: Wall) -> (i64, Option<u8>) {
        while let Some(setting) = self.all.get(reader.epoch) {
            let before = reader.epoch.checked_sub(1).map_or(0, |at| self.all[at].ahead);
            let (old, new) = (steady(wall, before), steady(wall, setting.ahead));
            let slack = SET.as_nanos() as i64;
            let (is_old, is_new) = (old <= setting.after + slack, new >= setting.before - slack);
            let is_nearer = (new - reader.last).abs() < (old - reader.last).abs();
            if !is_new || is_old && !is_nearer {
                break;
            }
            reader.epoch += 1;
        }
        let ahead = reader.epoch.checked_sub(1).map_or(0, |at| self.all[at].ahead);
        let time = steady(wall, ahead);
        reader.last = time;
        let between = |setting: &Setting| setting.before < time && time < setting.after;
        let epoch = (!self.all.iter().any(between)).then_some(reader.epoch as u8);
        (time, epoch)
    }

    /// What steady times a stamp may mean that comes without an order: more than one where the clock was set back.
    pub fn meanings(&self, wall: Wall) -> Vec<i64> {
        let mut found = Vec::new();
        for epoch in 0..=self.all.len() {
            let begun = epoch.checked_sub(1).map(|at| self.all[at]);
            let time = steady(wall, begun.map_or(0, |setting| setting.ahead));
            let since = begun.map_or(i64::MIN, |setting| setting.before);
            let until = self.all.get(epoch).map_or(i64::MAX, |setting| setting.after);
            if since <= time && time <= until {
                found.push(time);
            }
        }
        if found.is_empty() { vec![steady(wall, 0)] } else { found }
    }
}

/// Steady time of a stamp from before any setting.
pub(super) fn unset(wall: Wall) -> i64 {
    steady(wall, 0)
}

fn steady(wall: Wall, ahead: i64) -> i64 {
    i64::try_from(wall.0).unwrap_or(i64::MAX).saturating_sub(ahead).clamp(-MOST_TIME, MOST_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn settings(clocks: &[(u64, u64)]) -> Settings {
        let mut settings = Settings::default();
        for (mono, wall) in clocks {
            settings.clocks(Stamp { mono: Mono(mono * S), wall: Wall(wall * S) });
        }
        settings
    }

    #[test]
    fn stamps_go_on_over_a_setting_of_the_clock() {
        let ahead = settings(&[(1, 10_001), (2, 10_002), (3, 13_603), (4, 13_604)]);
        let back = settings(&[(1, 10_001), (2, 10_002), (3, 6_403), (4, 6_404)]);
        for (settings, stamps, times, epochs) in [
            (&ahead, [10_001, 10_002, 13_603, 13_700], [1, 2, 3, 100], [0, 0, 1, 1]),
            (&ahead, [10_001, 13_700, 13_701, 13_702], [1, 100, 101, 102], [0, 1, 1, 1]),
            (&back, [10_001, 10_002, 6_403, 6_500], [1, 2, 3, 100], [0, 0, 1, 1]),
        ] {
            let mut reader = StampReader::default();
            for at in 0..stamps.len() {
                let (time, epoch) = settings.next(&mut reader, Wall(stamps[at] * S));
                assert_eq!(time, (10_000 + times[at]) * S as i64, "{stamps:?} {at}");
                assert_eq!(epoch, Some(epochs[at]), "{stamps:?} {at}");
            }
        }
        let mut reader = StampReader::default();
        ahead.next(&mut reader, Wall(10_002 * S));
        assert_eq!(ahead.next(&mut reader, Wall(10_002 * S + S / 2)).1, None, "being set");
    }

    #[test]
    fn a_stamp_of_an_hour_that_came_twice_has_two_meanings() {
        let back = settings(&[(1, 10_001), (5_000, 15_000), (5_001, 11_401)]);
        assert_eq!(back.meanings(Wall(11_500 * S)).len(), 2);
        assert_eq!(back.meanings(Wall(10_100 * S)).len(), 1);
        assert_eq!(settings(&[]).meanings(Wall(5)), [5]);
    }

    #[test]
    fn while_a_clock_is_set_nothing_is_covered() {
        let ahead = settings(&[(1, 10_001), (2, 10_002), (3, 13_603), (4, 13_604)]);
        let s = |second: i64| second * S as i64;
        for (span, parts) in [
            ((10_000, 10_010), vec![(10_000, 10_002), (10_003, 10_010)]),
            ((10_005, 10_010), vec![(10_005, 10_010)]),
            ((9_000, 9_010), vec![(9_000, 9_010)]),
        ] {
            let parts: Vec<_> = parts.into_iter().map(|(a, b)| (s(a), s(b))).collect();
            assert_eq!(ahead.without((s(span.0), s(span.1))), parts);
        }
    }

    #[test]
    fn a_setting_that_several_bundles_tell_is_one() {
        let bundle = [(1, 10_001), (2, 10_002), (3, 13_603), (4, 13_604)];
        let once = settings(&bundle);
        let twice = settings(&[&bundle[..], &bundle[1..], &[(5, 13_605)]].concat());
        assert_eq!((twice.all(), twice.all().len()), (once.all(), 1));
    }

    #[test]
    fn what_daemons_correct_is_no_setting() {
        let mut settings = Settings::default();
        for (mono, wall) in [(1, 1), (1_000, 1_004), (2_000, 2_001)] {
            let stamp = Stamp { mono: Mono(mono * 1_000_000), wall: Wall(wall * 1_000_000) };
            settings.clocks(stamp);
        }
        assert!(settings.all().is_empty());
    }
}
