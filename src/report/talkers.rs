//! Who sends what to whom: flows, protocols, sizes. Bounded: small flows make room for new ones and are
//! counted together.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::wire::Flow;

use super::model::{self, Count, Share};
use super::series::{self, Series};

/// All flows, protocols and sizes.
#[derive(Debug)]
pub(super) struct Talkers {
    flows: HashMap<Flow, Count, FixedState>,
    /// Flows that made room.
    small: Count,
    protocols: Vec<(&'static str, Count, Series)>,
    sizes: [Count; SIZES.len()],
}

/// Most flows; when there are more, the smaller half makes room. 1 MiB.
const FLOWS: usize = 8_192;
/// Most protocols, by name; those known here are fewer.
const PROTOCOLS: usize = 64;
/// Flows in a report.
const SHOWN: usize = 20;
/// Longest frame of each size, as switches count them (`etherHistory`, RFC 2819), and its name.
const SIZES: [(u32, &str); 8] = [
    (64, "up to 64"),
    (127, "65 to 127"),
    (255, "128 to 255"),
    (511, "256 to 511"),
    (1_023, "512 to 1023"),
    (1_518, "1024 to 1518"),
    (9_216, "1519 to 9216"),
    (u32::MAX, "longer"),
];

impl Talkers {
    pub(super) fn new() -> Self {
        Self {
            flows: HashMap::with_hasher(FixedState::with_seed(0)),
            small: Count::default(),
            protocols: Vec::new(),
            sizes: [Count::default(); SIZES.len()],
        }
    }

    /// Counts frames of a flow, all of one length.
    pub(super) fn add(&mut self, flow: &Flow, length: u32, frames: u64, column: usize) {
        let bytes = u64::from(length) * frames;
        let add = |count: &mut Count| {
            count.frames += frames;
            count.bytes += bytes;
        };
        match self.flows.get_mut(flow) {
            Some(count) => add(count),
            None => {
                if self.flows.len() >= FLOWS {
                    self.make_room();
                }
                self.flows.insert(*flow, Count { frames, bytes });
            }
        }
        let size = SIZES.iter().position(|(longest, _)| length <= *longest);
        // The last one has no end.
        add(&mut self.sizes[size.unwrap_or(SIZES.len() - 1)]);
        let known = self.protocols.iter().position(|(name, ..)| *name == flow.protocol());
        let at = known.unwrap_or_else(|| {
            if self.protocols.len() < PROTOCOLS {
                self.protocols.push((flow.protocol(), Count::default(), Series::new()));
            }
            self.protocols.len() - 1
        });
        let (_, count, series) = &mut self.protocols[at];
        add(count);
        series::add(series, column, bytes);
    }

    fn make_room(&mut self) {
        let mut bytes: Vec<u64> = self.flows.values().map(|count| count.bytes).collect();
        let (_, median, _) = bytes.select_nth_unstable(FLOWS / 2);
        let (median, small) = (*median, &mut self.small);
        self.flows.retain(|_, count| {
            let stays = count.bytes > median;
            if !stays {
                small.frames += count.frames;
                small.bytes += count.bytes;
            }
            stays
        });
    }

    /// Columns are twice as wide.
    pub(super) fn halve(&mut self) {
        self.protocols.iter_mut().for_each(|(_, _, series)| series::halve(series));
    }

    /// The largest flows, largest first; the others together.
    pub(super) fn flows(&self) -> Vec<model::Talker> {
        let mut all: Vec<_> = self.flows.iter().collect();
        all.sort_by_key(|(flow, count)| (std::cmp::Reverse(count.bytes), flow.to_string()));
        let rest = all.get(SHOWN..).unwrap_or_default();
        let mut others = self.small;
        for (_, count) in rest {
            others.frames += count.frames;
            others.bytes += count.bytes;
        }
        let shown = all.iter().take(SHOWN);
        let talker = |(flow, count): &(&Flow, &Count)| model::Talker {
            flow: flow.to_string(),
            count: **count,
        };
        let mut talkers: Vec<_> = shown.map(talker).collect();
        if others.frames > 0 {
            talkers.push(model::Talker { flow: "all others".to_owned(), count: others });
        }
        talkers
    }

    /// Protocols, largest first, and their bytes over time.
    pub(super) fn protocols(&self) -> Vec<(Share, Series)> {
        let share = |(name, count, series): &(&str, Count, Series)| {
            (Share { name: (*name).to_owned(), count: *count }, series.clone())
        };
        let mut all: Vec<_> = self.protocols.iter().map(share).collect();
        all.sort_by_key(|(share, _)| std::cmp::Reverse(share.count.bytes));
        all
    }

    /// Frames by length.
    pub(super) fn sizes(&self) -> Vec<Share> {
        let each = SIZES.iter().zip(&self.sizes);
        each.map(|((_, name), count)| Share { name: (*name).to_owned(), count: *count }).collect()
    }
}
