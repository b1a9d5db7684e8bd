//! Runs in the bundle: the tallies of one frame, second after second, joined into one story.

use crate::frame::{Direction, StoredFrame, Tally};
use crate::time::{Mono, Wall};

use serde::Serialize;

/// A frame that came so fast that its copies were counted instead of kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Where.
    pub interface: String,
    /// Which way.
    pub direction: Direction,
    /// Length of the frame on the wire.
    pub original_len: u32,
    /// Copies counted; those before were kept as frames.
    pub count: u64,
    /// Arrival of the first copy counted.
    pub first: Wall,
    /// The same moment in monotonic time.
    #[serde(skip)]
    pub first_mono: Mono,
    /// Arrival of the last one.
    pub last: Wall,
    /// Copies in each 100 ms since the first.
    pub per_100ms: Vec<u32>,
    /// The frame's first bytes, in hexadecimal.
    pub begins_with: String,
}

/// Joins tallies, in the order of the capture file.
#[derive(Debug, Default)]
pub struct Runs {
    runs: Vec<(Vec<u8>, Run)>,
    not_listed: u64,
}

impl Runs {
    /// Storms listed one by one in a bundle; copies of further ones are in the capture file only.
    const MAX: usize = 1_000;
    /// Tallies of a storm follow each other within a second; what comes later is another storm.
    const GAP: u64 = 2_000_000_000;
    /// Bytes shown of a frame: link, network and transport headers.
    const SHOWN: usize = 54;

    /// Adds what `frame` stands for.
    pub fn add(&mut self, frame: &StoredFrame, tally: &Tally) {
        let header = &frame.header;
        let same = self.runs.iter().rposition(|(bytes, run)| {
            run.interface == frame.origin.interface
                && run.direction == header.direction
                && run.original_len == header.original_len
                && tally.first.0.saturating_sub(run.last.0) < Self::GAP
                && *bytes == frame.bytes
        });
        match same {
            Some(same) => self.runs[same].1.join(tally),
            None if self.runs.len() < Self::MAX => {
                let mut run = Run {
                    interface: frame.origin.interface.clone(),
                    direction: header.direction,
                    original_len: header.original_len,
                    count: 0,
                    first: tally.first,
                    first_mono: frame.mono,
                    last: tally.first,
                    per_100ms: Vec::new(),
                    begins_with: frame
                        .bytes
                        .iter()
                        .take(Self::SHOWN)
                        .map(|byte| format!("{byte:02x}"))
                        .collect(),
                };
                run.join(tally);
                self.runs.push((frame.bytes.to_vec(), run));
            }
            None => self.not_listed += tally.count,
        }
    }

    /// The runs, in order of their first copy, and how many copies belong to none of them.
    pub fn finish(self) -> (Vec<Run>, u64) {
        let mut runs: Vec<_> = self.runs.into_iter().map(|(_, run)| run).collect();
        runs.sort_by_key(|run| run.first_mono);
        (runs, self.not_listed)
    }
}

impl Run {
    fn join(&mut self, tally: &Tally) {
        self.count += tally.count;
        self.last = self.last.max(tally.last);
        let bin = Tally::BIN.as_nanos() as u64;
        let begin = (tally.first.0.saturating_sub(self.first.0) / bin) as usize;
        for (at, count) in tally.bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            if self.per_100ms.len() <= begin + at {
                self.per_100ms.resize(begin + at + 1, 0);
            }
            self.per_100ms[begin + at] += count;
        }
    }

    /// For a person.
    pub fn sentence(&self) -> String {
        let seconds = self.last.0.saturating_sub(self.first.0) as f64 / 1e9;
        let way = match self.direction {
            Direction::Inbound => " in",
            Direction::Outbound => " out",
            Direction::Unknown => "",
        };
        let rate = if seconds > 0.0 { self.count as f64 / seconds } else { self.count as f64 };
        format!(
            "{}{way}: one frame of {} bytes came {} times more in {seconds:.3} s ({rate:.0}/s)",
            self.interface, self.original_len, self.count
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::incident::fixture::{MONO, frame, origin};

    const MS: u64 = 1_000_000;

    fn tally(frame: &StoredFrame, bins: &[u32]) -> Tally {
        let mut tally = Tally {
            first: frame.header.wall,
            last: Wall(frame.header.wall.0 + (bins.len() as u64 * 100 - 1) * MS),
            count: bins.iter().map(|bin| u64::from(*bin)).sum(),
            bins: [0; Tally::BINS],
        };
        tally.bins[..bins.len()].copy_from_slice(bins);
        tally
    }

    #[test]
    fn tallies_of_a_storm_become_one_run() {
        let eth0 = Arc::new(origin("eth0", 1));
        let mut runs = Runs::default();
        for (ms, byte, bins) in
            [(0, 1, &[5, 5][..]), (10, 2, &[1]), (1_000, 1, &[7]), (9_000, 1, &[3])]
        {
            let frame = frame(&eth0, Mono(MONO + ms * MS), &[byte; 60]);
            runs.add(&frame, &tally(&frame, bins));
        }
        let (runs, not_listed) = runs.finish();
        let told: Vec<_> =
            runs.iter().map(|run| (run.begins_with[..2].to_owned(), run.count)).collect();
        assert_eq!(told, [("01".to_owned(), 17), ("02".to_owned(), 1), ("01".to_owned(), 3)]);
        assert_eq!(runs[0].per_100ms, [5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(
            runs[0].sentence(),
            "eth0 in: one frame of 60 bytes came 17 times more in 1.099 s (15/s)"
        );
        assert_eq!(not_listed, 0);
    }
}
