//! What queueing disciplines drop: a shaper's drops are nowhere in an interface's own counters.
//!
//! Read is the root of each interface, which counts what its children drop, too: they tell it
//! (qdisc_tree_reduce_backlog(), net/sched/sch_api.c), or it adds them up (mq_dump(), net/sched/sch_mq.c).
//! Ingress has a root of its own and drops what a filter there says, which is no queue.

use std::collections::HashMap;

use netlink_packet_core::NlasIterator;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::TcMessage;

use crate::error::Result;
use crate::watch::link;
use crate::watch::netlink::dump;

/// `RTM_NEWQDISC` (linux/rtnetlink.h).
const RTM_NEWQDISC: u16 = 36;
/// `struct tcmsg` (linux/rtnetlink.h) in bytes, and where in it the interface's index and the parent are.
const TCMSG: usize = 20;
const INDEX: usize = 4;
const PARENT: usize = 12;
/// `TC_H_ROOT` (linux/pkt_sched.h).
const ROOT: u32 = u32::MAX;
/// `TCA_STATS2` (linux/rtnetlink.h), and in it `TCA_STATS_QUEUE` (linux/gen_stats.h).
const TCA_STATS2: u16 = 7;
const TCA_STATS_QUEUE: u16 = 3;
/// Where in `struct gnet_stats_queue` (linux/gen_stats.h) the drops are, behind length and backlog.
const DROPS: usize = 8;

/// Frames dropped so far, by the interface's index.
pub(super) fn drops() -> Result<HashMap<u32, u64>> {
    let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    let roots = dump(&request, link::Options::default().receive_buffer, |kind, payload| {
        (kind == RTM_NEWQDISC).then(|| read(payload)).flatten()
    })?;
    Ok(roots.into_iter().collect())
}

/// Index and drops that an `RTM_NEWQDISC` tells; none if it is not about a root.
fn read(payload: &[u8]) -> Option<(u32, u64)> {
    if number(payload, PARENT)? != ROOT {
        return None;
    }
    let all = NlasIterator::new(payload.get(TCMSG..)?).map_while(Result::ok);
    let statistics = all.into_iter().find(|attribute| attribute.kind() == TCA_STATS2)?;
    let mut parts = NlasIterator::new(statistics.value()).map_while(Result::ok);
    let queue = parts.find(|part| part.kind() == TCA_STATS_QUEUE)?;
    Some((number(payload, INDEX)?, u64::from(number(queue.value(), DROPS)?)))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message about the qdisc below `parent` of interface 7, with 42 drops.
    fn message(parent: u32) -> Vec<u8> {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let numbers = |numbers: &[u32]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
        };
        let queue = attribute(TCA_STATS_QUEUE, &numbers(&[1, 1_500, 42, 0, 9]));
        let basic = attribute(1, &[0; 12]);
        let mut bytes = numbers(&[0, 7, 0x8001_0000, parent, 2]);
        bytes.extend(attribute(1, b"tbf\0"));
        bytes.extend(attribute(TCA_STATS2, &[basic, queue].concat()));
        bytes
    }

    #[test]
    fn drops_are_those_of_the_root() {
        assert_eq!(read(&message(ROOT)), Some((7, 42)));
        assert_eq!(read(&message(0x8001_0001)), None, "a child");
        assert_eq!(read(&message(0xffff_fff1)), None, "ingress");
        for length in 0..message(ROOT).len() - 20 {
            assert_eq!(read(&message(ROOT)[..length]), None, "cut after {length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            read(&noise);
        }
    }
}
