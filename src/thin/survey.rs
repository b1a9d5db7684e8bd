//! The first of two passes: what each rung of the ladder would keep.
//!
//! An estimate: of a bucket's frames the mean length counts, and a comment of a usual length. Whether it fits
//! is seen when it is written, and then the next rung is taken.

use super::limits::Limits;
use super::second::{Bucket, Kind};

/// Bytes for each rung.
#[derive(Debug)]
pub(super) struct Survey {
    rungs: Vec<(Limits, u64)>,
}

impl Survey {
    /// A comment with two stamps, two counts and a flow of usual length.
    const COMMENT: u64 = 200;

    pub(super) fn new() -> Self {
        Self { rungs: Limits::ladder().into_iter().map(|limits| (limits, 0)).collect() }
    }

    /// A second is over.
    pub(super) fn add(&mut self, buckets: &[Bucket]) {
        for (limits, sum) in &mut self.rungs {
            let (mut flows, mut frames, mut stored) = (0, 0, 0);
            for bucket in buckets {
                match bucket.kind {
                    Kind::Run(_) => {
                        let kept = limits.of_copies(bucket.frames);
                        *sum += part(bucket.stored, kept, bucket.frames);
                    }
                    Kind::Flow if flows < limits.flows => {
                        flows += 1;
                        let kept = limits.of_flow(bucket.frames);
                        *sum += bucket.stored_exempt + part(bucket.stored, kept, bucket.frames);
                    }
                    Kind::Flow => {
                        *sum += bucket.stored_exempt;
                        frames += bucket.frames;
                        stored += bucket.stored;
                    }
                }
            }
            *sum += part(stored, limits.of_flow(frames), frames);
        }
    }

    /// The rungs from the finest on that fits `target`, at least the last one.
    pub(super) fn fitting(&self, target: u64) -> Vec<Limits> {
        let last = self.rungs.len() - 1;
        let first = self.rungs.iter().position(|(_, bytes)| *bytes <= target).unwrap_or(last);
        self.rungs[first..].iter().map(|(limits, _)| *limits).collect()
    }
}

/// Bytes of `kept` of `frames` that take `stored`, with the comment on what is not kept.
fn part(stored: u64, kept: u64, frames: u64) -> u64 {
    if kept >= frames {
        return stored;
    }
    let share = u128::from(stored) * u128::from(kept) / u128::from(frames);
    // Less than `stored`.
    share as u64 + Survey::COMMENT
}

#[cfg(test)]
mod tests {
    use super::super::second::Key;
    use super::*;

    fn bucket(kind: Kind, frames: u64) -> Bucket {
        let key = Key { interface: 0, flow: None };
        Bucket { frames, stored: 100 * frames, stored_exempt: 50, ..Bucket::new(key, kind) }
    }

    #[test]
    fn the_finest_rung_that_fits_is_taken() {
        let mut survey = Survey::new();
        let buckets =
            [bucket(Kind::Flow, 100_000), bucket(Kind::Flow, 10), bucket(Kind::Run(None), 900)];
        for _ in 0..10 {
            survey.add(&buckets);
        }
        // Of 100,000 frames 2 × keep, and 100 bytes each; of the copies up to 64.
        for (target, keep, flows) in [
            (u64::MAX, 4_096, 16_384),
            (8_400_000, 4_096, 16_384),
            (8_200_000, 2_048, 16_384),
            (100_000, 16, 16_384),
            (0, 1, 4),
        ] {
            let rungs = survey.fitting(target);
            assert_eq!((rungs[0].keep, rungs[0].flows), (keep, flows), "{target}");
        }
    }

    #[test]
    fn flows_beyond_those_told_apart_are_one() {
        let mut survey = Survey::new();
        survey.add(&vec![bucket(Kind::Flow, 1); 10_000]);
        let [.., (few, coarse)] = survey.rungs[..] else { panic!("no rungs") };
        assert_eq!(few.flows, 4);
        assert_eq!(coarse, 10_000 * 50 + 4 * 100 + 2 * 100 + Survey::COMMENT);
        assert_eq!(survey.rungs[0].1, 10_000 * 150);
    }
}
