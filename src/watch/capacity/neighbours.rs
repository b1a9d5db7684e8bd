//! How full the tables of neighbours are, over rtnetlink: what `ip -s ntable show` shows. They are one for all
//! network namespaces, and told in each (neightbl_dump_info(), net/core/neighbour.c).

use netlink_packet_core::NlasIterator;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour_table::NeighbourTableMessage;

use super::Reading;
use crate::error::Result;
use crate::watch::link;
use crate::watch::netlink::dump;

/// `RTM_NEWNEIGHTBL` (linux/rtnetlink.h).
const RTM_NEWNEIGHTBL: u16 = 64;
/// `struct ndtmsg` (linux/neighbour.h) in bytes; attributes follow.
const NDTMSG: usize = 4;
/// `NDTA_NAME`, `NDTA_THRESH3`, `NDTA_CONFIG`, `NDTA_STATS` (linux/neighbour.h).
const NAME: u16 = 1;
const LIMIT: u16 = 4;
const CONFIG: u16 = 5;
const STATISTICS: u16 = 7;
/// Where the entries are in `struct ndt_config`, and the refused ones, `ndts_table_fulls`, in `struct ndt_stats`
/// (linux/neighbour.h).
const ENTRIES: usize = 4;
const REFUSED: usize = 80;

/// Each table by its name: `arp_cache`, `ndisc_cache`.
pub(super) fn readings() -> Result<Vec<(String, Reading)>> {
    let request = RouteNetlinkMessage::GetNeighbourTable(NeighbourTableMessage::default());
    dump(&request, link::Options::default().receive_buffer, |kind, payload| {
        (kind == RTM_NEWNEIGHTBL).then(|| read(payload)).flatten()
    })
}

/// A table; none where a message is about the parameters of an interface.
fn read(payload: &[u8]) -> Option<(String, Reading)> {
    let (mut name, mut limit, mut entries, mut refused) = (None, None, None, None);
    for attribute in NlasIterator::new(payload.get(NDTMSG..)?).map_while(Result::ok) {
        let value = attribute.value();
        match attribute.kind() {
            NAME => name = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()),
            LIMIT => limit = number(value, 0).map(u32::from_ne_bytes),
            CONFIG => entries = number(value, ENTRIES).map(u32::from_ne_bytes),
            STATISTICS => refused = number(value, REFUSED).map(u64::from_ne_bytes),
            _ => {}
        }
    }
    let (entries, limit) = (u64::from(entries?), u64::from(limit?));
    Some((name?, Reading { entries, limit, refused: Some(refused?) }))
}

fn number<const BYTES: usize>(value: &[u8], at: usize) -> Option<[u8; BYTES]> {
    value.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Regression: in a network namespace of its own, where /proc does not tell, a full table was not seen.
    #[test]
    fn every_namespace_is_told_of_both_tables() {
        let all = readings().unwrap();
        for name in ["arp_cache", "ndisc_cache"] {
            let (_, reading) = all.iter().find(|(table, _)| table == name).unwrap();
            assert!(reading.limit > 0 && reading.refused.is_some(), "{name}: {reading:?}");
            let path = format!("/proc/net/stat/{name}");
            // Where it tells, the same is told: one line of names, one for each processor.
            let Ok(text) = std::fs::read_to_string(path) else { continue };
            let refused = text.lines().skip(1).filter_map(|line| line.split_whitespace().last());
            let refused: u64 = refused.map(|hex| u64::from_str_radix(hex, 16).unwrap()).sum();
            assert!(refused >= reading.refused.unwrap(), "{name}: {reading:?} {refused}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            read(&noise);
        }
    }
}
