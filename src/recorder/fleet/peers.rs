//! The neighbours of this host, by what they show on the wire: whoever shows it hears what is said to it, so that no
//! operator names links.

use std::collections::VecDeque;

use pnet::util::MacAddr;

use crate::observation::Fact;
use crate::observation::link_role::Bond;
use crate::trigger::Announce;

/// Link addresses of neighbours: partners of bonds, and next hops that answer.
#[derive(Debug, Default)]
pub(super) struct Peers(VecDeque<MacAddr>);

impl Peers {
    /// Each is a message.
    const MOST: usize = Announce::MOST;

    /// Learns of whoever a fact tells; of more than there is room for, those seen last.
    pub(super) fn meet(&mut self, fact: &Fact) {
        let address = match fact {
            Fact::Link { now, .. } => now.bond.as_deref().and_then(partner),
            Fact::Neighbour(change) => change.now.and_then(|now| now.address),
            _ => None,
        };
        let Some(address) = address.filter(|address| !address.is_zero()) else { return };
        self.0.retain(|known| *known != address);
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(address);
    }

    /// What they show.
    pub(super) fn identities(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

fn partner(bond: &Bond) -> Option<MacAddr> {
    bond.aggregator.as_ref().map(|aggregator| aggregator.partner)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::observation::link::LinkState;
    use crate::observation::link_role::Aggregator;
    use crate::observation::neighbour::{Answers, Neighbour, NeighbourChange};

    fn mac(last: u8) -> MacAddr {
        MacAddr::new(2, 0, 0, 0, 0, last)
    }

    fn bond(last: u8) -> Fact {
        let partner = if last == 0 { MacAddr::zero() } else { mac(last) };
        let bond = Bond {
            aggregator: Some(Aggregator { partner, ..Aggregator::default() }),
            ..Bond::default()
        };
        let now =
            LinkState { name: "bond0".into(), bond: Some(Box::new(bond)), ..LinkState::default() };
        Fact::Link { before: None, now }
    }

    fn neighbour(last: u8) -> Fact {
        let (interface, address) = ("eth0".to_owned(), IpAddr::from([192, 0, 2, 1]));
        let now = Some(Neighbour { answers: Answers::Yes, address: Some(mac(last)) });
        Fact::Neighbour(Box::new(NeighbourChange { interface, address, before: None, now }))
    }

    #[test]
    fn partners_and_next_hops_are_peers_once() {
        let mut peers = Peers::default();
        for fact in [bond(1), neighbour(2), bond(0), neighbour(1), Fact::SnapshotSignal] {
            peers.meet(&fact);
        }
        let shown: Vec<_> = peers.identities().collect();
        assert_eq!(shown, ["02:00:00:00:00:02", "02:00:00:00:00:01"]);
        for last in 0..100 {
            peers.meet(&neighbour(last));
        }
        assert_eq!(peers.0.len(), Peers::MOST);
    }
}
