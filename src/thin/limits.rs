//! How much is kept: what the operator says, or what a target size asks for.
//!
//! Coarser and coarser limits form a ladder. A first pass over the files adds up what each rung would keep,
//! and the first that fits is taken. Which flows dominate follows from the rung: those with more frames in a
//! second than it keeps of each.

use serde::Serialize;

use crate::error::{Error, Result};

/// What is kept of what comes fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Frames kept from the begin and from the end of each second of a flow.
    pub keep: u32,
    /// Control frames kept from the begin and from the end of each second of a flow: more are a flood.
    pub control: u32,
    /// Copies kept in each second of frames that are identical, or nearly.
    pub copies: u32,
    /// Flows told apart in a second; all others together are thinned as one.
    pub flows: usize,
}

impl Limits {
    /// What is kept where nobody says anything: of a flow that fills a second, enough to see a handshake, its
    /// first exchanges and how it stands at the end of the second.
    pub const KEEP: u32 = 32;
    /// More than any protocol sends that keeps a network up (BFD, the fastest, sends 300 in a second with
    /// its usual least interval of 3.3 ms, RFC 5880 §6.8.3); a flood of requests is tens of thousands.
    const CONTROL: u32 = 512;
    /// As little of it as makes sense: the state of a protocol at either end of a second.
    const LEAST_CONTROL: u32 = 16;
    /// As the ring keeps (`ring::FoldOptions`).
    pub const COPIES: u32 = 64;
    /// Flows of a second that are told apart, 2 MiB; servers have a few thousand.
    const FLOWS: usize = 16_384;
    /// More than that of each flow and second thins nothing.
    const MOST: u32 = 1_000_000;
    /// Flows told apart where the ladder ends.
    const FEWEST: usize = 4;
    /// Where the ladder begins: the first rung keeps up to 8,192 frames of each flow and second.
    const TOP: u32 = 4_096;

    /// Limits of the operator.
    ///
    /// # Errors
    /// Wrong usage, when a number is none that can be kept.
    pub fn of(keep: u32, copies: u32) -> Result<Self> {
        for (what, given) in [("--keep", keep), ("--fold-keep", copies)] {
            if !(1..=Self::MOST).contains(&given) {
                return Err(Error::usage(
                    what,
                    given.to_string(),
                    "at least one frame is kept, to carry the counts of those that are not",
                    format!("a number from 1 to {}, such as 32", Self::MOST),
                ));
            }
        }
        Ok(Self { keep, control: Self::CONTROL.max(keep), copies, flows: Self::FLOWS })
    }

    /// From the finest to the coarsest, each keeping at most a quarter less. Where one frame from either end of
    /// a flow's second is still too much, only the flows that came first in it are told apart: half as many
    /// with each rung, down to [`Limits::FEWEST`].
    pub(super) fn ladder() -> Vec<Self> {
        let fewer = |keep: &u32| (*keep > 1).then_some(keep - keep.div_ceil(4));
        let keeps = std::iter::successors(Some(Self::TOP), fewer);
        let rung = |keep: u32| Self {
            keep,
            control: keep.saturating_mul(4).clamp(Self::LEAST_CONTROL, Self::CONTROL).max(keep),
            copies: keep.min(Self::COPIES),
            flows: Self::FLOWS,
        };
        let half = |flows: &usize| (*flows > Self::FEWEST).then_some(flows / 2);
        let flows = std::iter::successors(Some(Self::FLOWS / 2), half);
        keeps.map(rung).chain(flows.map(|flows| Self { flows, ..rung(1) })).collect()
    }

    /// Frames kept of `frames` of a flow in a second.
    pub(super) fn of_flow(&self, frames: u64) -> u64 {
        frames.min(2 * u64::from(self.keep))
    }

    /// Control frames kept of `frames` of a flow in a second.
    pub(super) fn of_control(&self, frames: u64) -> u64 {
        frames.min(2 * u64::from(self.control))
    }

    /// Copies kept of `copies` in a second.
    pub(super) fn of_copies(&self, copies: u64) -> u64 {
        copies.min(self.copies.into())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { keep: Self::KEEP, control: Self::CONTROL, copies: Self::COPIES, flows: Self::FLOWS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rung_keeps_less_and_numbers_without_meaning_are_refused() {
        let ladder = Limits::ladder();
        assert_eq!(ladder.len(), 39);
        assert_eq!(
            ladder.last().map(|last| (last.keep, last.control, last.flows)),
            Some((1, 16, 4))
        );
        assert_eq!((ladder[0].keep, ladder[0].copies), (4_096, 64));
        for pair in ladder.windows(2) {
            let coarser = pair[1].keep < pair[0].keep || pair[1].flows < pair[0].flows;
            assert!(coarser && pair[1].copies <= pair[0].copies && pair[1].copies > 0, "{pair:?}");
            assert!(
                pair[1].control <= pair[0].control && pair[1].control >= pair[1].keep,
                "{pair:?}"
            );
        }
        for (keep, copies, accepted) in
            [(1, 1, true), (0, 1, false), (1, 0, false), (1_000_001, 1, false), (32, 64, true)]
        {
            assert_eq!(Limits::of(keep, copies).is_ok(), accepted, "{keep} {copies}");
        }
    }
}
