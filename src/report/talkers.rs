//! Who sends what to whom: services and other flows, protocols, sizes.
//!
//! ```text
//!   flows: each connection, each way ─ full, or the end ─► services: client, server, its port ─► the largest
//! ```
//!
//! Bounded: when there are too many flows, the smaller half is added to the services it belongs to; when there are
//! too many of those, the smaller half is counted together. A connection that is added and goes on counts twice.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::wire::Flow;

use super::model::{self, Count, Share};
use super::series::{self, Series};

/// All flows, protocols and sizes.
#[derive(Debug)]
pub(super) struct Talkers {
    /// By a hash that is another in each process, so that nobody can make flows that collide.
    flows: HashMap<Flow, Count, RandomState>,
    /// Of flows that made room.
    services: HashMap<Flow, Conversation, RandomState>,
    /// Services that made room.
    small: Count,
    protocols: Vec<(&'static str, Count, Series)>,
    sizes: [Count; SIZES.len()],
}

/// All connections of a client with a service, both ways; or a flow that has no ports.
#[derive(Debug, Clone, Copy, Default)]
struct Conversation {
    count: Count,
    /// Connections: pairs of ports, by the way that sends more.
    ways: [u64; 2],
}

/// Most flows, and most services; when there are more, the smaller half makes room. 1 MiB each.
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
            flows: HashMap::default(),
            services: HashMap::default(),
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
        let median = median(self.flows.values());
        let (services, small) = (&mut self.services, &mut self.small);
        self.flows.retain(|flow, count| {
            let stays = count.bytes > median;
            if !stays {
                add_to(services, flow, *count);
            }
            stays
        });
        if services.len() > FLOWS {
            let median = self::median(services.values().map(|service| &service.count));
            services.retain(|_, service| {
                let stays = service.count.bytes > median;
                if !stays {
                    small.add(service.count);
                }
                stays
            });
        }
    }

    /// Columns are twice as wide.
    pub(super) fn halve(&mut self) {
        self.protocols.iter_mut().for_each(|(_, _, series)| series::halve(series));
    }

    /// The largest services and other flows, largest first; the others together.
    pub(super) fn flows(&self) -> Vec<model::Talker> {
        let mut services = self.services.clone();
        self.flows.iter().for_each(|(flow, count)| add_to(&mut services, flow, *count));
        let mut all: Vec<_> = services
            .into_iter()
            .map(|(flow, Conversation { count, ways })| {
                let connections = if flow.has_ports() { ways[0].max(ways[1]) } else { 0 };
                model::Talker { flow: flow.to_string(), connections, count }
            })
            .collect();
        all.sort_by(|a, b| (b.count.bytes, &a.flow).cmp(&(a.count.bytes, &b.flow)));
        let mut others = self.small;
        all.iter().skip(SHOWN).for_each(|talker| others.add(talker.count));
        all.truncate(SHOWN);
        if others.frames > 0 {
            let flow = "all others".to_owned();
            all.push(model::Talker { flow, connections: 0, count: others });
        }
        all
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

/// Adds a flow to the service it belongs to.
fn add_to(services: &mut HashMap<Flow, Conversation, RandomState>, flow: &Flow, count: Count) {
    let service = flow.service();
    let known = services.entry(service).or_default();
    known.count.add(count);
    let is_answer = flow.is_from_server();
    known.ways[usize::from(is_answer)] += 1;
}

/// The middle of them by bytes.
fn median<'a>(counts: impl Iterator<Item = &'a Count>) -> u64 {
    let mut bytes: Vec<u64> = counts.map(|count| count.bytes).collect();
    let middle = bytes.len() / 2;
    *bytes.select_nth_unstable(middle).1
}

impl Count {
    fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    /// Security review L11: flows that collide could be computed beforehand.
    #[test]
    fn l11_where_a_flow_lies_is_another_secret_each_time() {
        let place = || Talkers::new().flows.hasher().hash_one(7);
        assert_ne!(place(), place());
    }
}
