//! The first of two passes: what each rung of the ladder would keep.
//!
//! An estimate: of a bucket's frames the mean length counts, and a comment of a usual length. Whether it fits
//! is seen when it is written, and then the next rung is taken.

use super::limits::Limits;
use super::second::{Bucket, BucketKind};

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
            let mut flows = 0;
            // Those beyond: frames and bytes of data, and of control traffic.
            let mut others = [(0, 0); 2];
            for bucket in buckets {
                match bucket.kind {
                    BucketKind::Run(_) => {
                        let kept = limits.of_copies(bucket.frames);
                        *sum += part(bucket.stored, kept, bucket.frames);
                    }
                    BucketKind::Flow if flows < limits.flows => {
                        flows += 1;
                        let kept = kept(limits, bucket.key.control.is_some(), bucket.frames);
                        *sum += bucket.stored_exempt + part(bucket.stored, kept, bucket.frames);
                    }
                    BucketKind::Flow => {
                        *sum += bucket.stored_exempt;
                        let (frames, stored) =
                            &mut others[usize::from(bucket.key.control.is_some())];
                        *frames += bucket.frames;
                        *stored += bucket.stored;
                    }
                }
            }
            for (is_control, (frames, stored)) in [false, true].into_iter().zip(others) {
                *sum += part(stored, kept(limits, is_control, frames), frames);
            }
        }
    }

    /// The finest rung that fits `target`, at least the last one.
    pub(super) fn fitting(&self, target: u64) -> usize {
        self.rungs.iter().position(|(_, bytes)| *bytes <= target).unwrap_or(self.last())
    }

    /// The coarsest rung.
    pub(super) fn last(&self) -> usize {
        self.rungs.len() - 1
    }

    /// The finest rung between `too_fine` and `fits` that may fit, too, now that `fits` turned out to be of
    /// so many bytes; none if there is none.
    pub(super) fn finer(
        &self,
        too_fine: Option<usize>,
        (fits, bytes): (usize, u64),
        target: u64,
    ) -> Option<usize> {
        let from = too_fine.map_or(0, |rung| rung + 1);
        let guessed = u128::from(self.rungs[fits].1.max(1));
        // What the estimate was wrong by here, it is likely to be wrong by there.
        let likely = |rung: &usize| {
            u128::from(self.rungs[*rung].1) * u128::from(bytes) / guessed <= u128::from(target)
        };
        (from..fits).find(likely)
    }

    /// The limits of a rung.
    pub(super) fn limits(&self, rung: usize) -> Limits {
        self.rungs[rung].0
    }
}

/// Frames kept of `frames` of a flow in a second.
fn kept(limits: &Limits, is_control: bool, frames: u64) -> u64 {
    if is_control { limits.of_control(frames) } else { limits.of_flow(frames) }
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
    use super::super::second::BucketKey;
    use super::*;

    fn bucket(kind: BucketKind, frames: u64) -> Bucket {
        let key = BucketKey { interface: 0, flow: None, control: None };
        Bucket { frames, stored: 100 * frames, stored_exempt: 50, ..Bucket::new(key, kind) }
    }

    #[test]
    fn the_finest_rung_that_fits_is_taken() {
        let mut survey = Survey::new();
        let buckets = [
            bucket(BucketKind::Flow, 100_000),
            bucket(BucketKind::Flow, 10),
            bucket(BucketKind::Run(None), 900),
        ];
        for _ in 0..10 {
            survey.add(&buckets);
        }
        // Of 100,000 frames 2 × keep, and 100 bytes each; of the copies up to 64.
        for (target, keep, flows) in [
            (u64::MAX, 4_096, 16_384),
            (8_400_000, 4_096, 16_384),
            (8_200_000, 3_072, 16_384),
            (100_000, 22, 16_384),
            (0, 1, 4),
        ] {
            let limits = survey.limits(survey.fitting(target));
            assert_eq!((limits.keep, limits.flows), (keep, flows), "{target}");
        }
        let (target, rung) = (6_500_000, survey.fitting(6_500_000));
        let guessed = survey.rungs[rung].1;
        assert_eq!((rung, survey.finer(None, (rung, guessed), target)), (1, None));
        assert_eq!(survey.finer(None, (rung, guessed * 3 / 4), target), Some(0), "it was too high");
        assert_eq!(survey.finer(Some(0), (rung, guessed * 3 / 4), target), None, "that was tried");
    }

    #[test]
    fn flows_beyond_those_told_apart_are_one() {
        let mut survey = Survey::new();
        survey.add(&vec![bucket(BucketKind::Flow, 1); 10_000]);
        let [.., (few, coarse)] = survey.rungs[..] else { panic!("no rungs") };
        assert_eq!(few.flows, 4);
        assert_eq!(coarse, 10_000 * 50 + 4 * 100 + 2 * 100 + Survey::COMMENT);
        assert_eq!(survey.rungs[0].1, 10_000 * 150);
    }
}
