//! What the wall clock showed when: who asks for 14:14:20 means what clocks showed then, also where somebody set the
//! clock meanwhile.
//!
//! ```text
//!   monotonic  ──────────────┬────────────────┬───────────► now
//!   wall       13:58 … 14:15 │ 14:05 … 14:20  │ 15:20 …
//!                       set back: 14:10 twice  set forward: 14:30 never
//! ```
//!
//! Pure. It learns from the samples of the interfaces, which come every second with both clocks read at once.

use std::collections::VecDeque;

use crate::time::{Mono, Offset, Stamp, Wall};

/// Since when the clocks were how far apart.
#[derive(Debug, Default)]
pub(super) struct ClockSteps(VecDeque<(Mono, Offset)>);

/// What a reading of the wall clock means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockMoment {
    /// That moment.
    pub(super) at: Stamp,
    /// Why it may be another one.
    pub(super) doubt: Option<&'static str>,
}

impl ClockSteps {
    /// Steps that are remembered: one a minute for an hour, by a daemon that cannot make up its mind.
    const MOST: usize = 64;

    /// Both clocks were read.
    pub(super) fn note(&mut self, at: Stamp) {
        let offset = at.offset();
        if self.0.back().is_some_and(|(_, last)| !offset.stepped_from(*last)) {
            return;
        }
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back((at.mono, offset));
    }

    /// The latest moment up to `now` at which a clock showed `wall`; one that it never showed is the moment of the
    /// step over it.
    pub(super) fn moment(&self, wall: Wall, now: Stamp) -> ClockMoment {
        let mut pieces: Vec<(Mono, Offset)> = self.0.iter().copied().collect();
        if pieces.last().is_none_or(|(_, last)| now.offset().stepped_from(*last)) {
            pieces.push((now.mono, now.offset()));
        }
        // Before the first reading the clocks were as far apart as then.
        pieces[0].0 = Mono(0);
        let ends = pieces.iter().skip(1).map(|(from, _)| *from).chain([now.mono]);
        let ends: Vec<Mono> = ends.collect();
        let shown = |(piece, end): (&(Mono, Offset), &Mono)| {
            let mono = piece.1.mono(wall);
            (piece.0 <= mono && mono <= *end).then_some(Stamp { mono, wall })
        };
        let mut found = pieces.iter().zip(&ends).filter_map(shown).rev();
        if let Some(at) = found.next() {
            let twice =
                "the clock was set back since, and showed that time twice: the later one is meant";
            return ClockMoment { at, doubt: found.next().map(|_| twice) };
        }
        let over = pieces.windows(2).rev().find(|two| {
            let [(_, before), (step, after)] = two else { return false };
            before.mono(wall) > *step && after.mono(wall) < *step
        });
        match over {
            Some([_, (step, after)]) => {
                let at = Stamp { mono: *step, wall: after.wall(*step) };
                let never = "the clock was set forward over that time: the moment of that is meant";
                ClockMoment { at, doubt: Some(never) }
            }
            // After now, by no more than hosts differ.
            _ => ClockMoment { at: now, doubt: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const BASE: u64 = 1_795_356_860 * S;

    fn stamp(second: u64, ahead: i64) -> Stamp {
        let wall = (BASE + second * S).saturating_add_signed(ahead * S.cast_signed());
        Stamp { mono: Mono(second * S), wall: Wall(wall) }
    }

    fn wall(second: i64) -> Wall {
        Wall(BASE.saturating_add_signed(second * S.cast_signed()))
    }

    /// Mono seconds of what the clock showed at `second`, and the first words of a doubt.
    fn found(steps: &ClockSteps, second: i64, now: Stamp) -> (u64, &'static str) {
        let moment = steps.moment(wall(second), now);
        (moment.at.mono.0 / S, moment.doubt.map_or("", |doubt| &doubt[..21]))
    }

    #[test]
    fn a_time_means_what_the_clock_showed() {
        let mut steps = ClockSteps::default();
        assert_eq!(found(&steps, 40, stamp(100, 0)), (40, ""), "nothing is known but now");
        for (second, ahead) in [(10, 0), (11, 0), (50, 0), (51, -20), (70, -20), (80, 60), (90, 60)]
        {
            steps.note(stamp(second, ahead));
        }
        assert_eq!(steps.0.len(), 3);
        let now = stamp(100, 60);
        for (second, expected) in [
            (5, (5, "")),
            (30, (30, "")),
            (35, (55, "the clock was set bac")),
            (50, (70, "the clock was set bac")),
            (55, (75, "")),
            (61, (80, "the clock was set for")),
            (139, (80, "the clock was set for")),
            (140, (80, "")),
            (150, (90, "")),
            (160, (100, "")),
            (161, (100, "")),
        ] {
            assert_eq!(found(&steps, second, now), expected, "{second}");
        }
        // Set a moment ago: no sample has told it yet.
        let now = stamp(101, 3_600);
        assert_eq!(found(&steps, 3_701, now), (101, ""));
        assert_eq!(found(&steps, 150, now), (90, ""));
        assert_eq!(found(&steps, 500, now), (101, "the clock was set for"));
    }

    #[test]
    fn so_many_steps_are_remembered() {
        let mut steps = ClockSteps::default();
        for second in 0..200 {
            steps.note(stamp(second, 100 * second.cast_signed()));
        }
        assert_eq!(steps.0.len(), ClockSteps::MOST);
    }
}
