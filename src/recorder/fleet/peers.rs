//! The neighbours of this host, by what they show on the wire: whoever shows it hears what is said to it, so that no
//! operator names links.

use std::collections::VecDeque;

use pnet::util::MacAddr;

use crate::observation::Fact;
use crate::observation::link_role::Bond;
use crate::observation::shown::ShownNames;
use crate::trigger::Announce;

/// What neighbours show.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Link addresses: partners of bonds, and next hops that answer.
    addresses: VecDeque<MacAddr>,
    /// Chassis ids and router ids.
    names: ShownNames,
}

impl Peers {
    /// Each is a message.
    const MOST: usize = Announce::MOST;

    /// Of whom nothing is known yet but the `names` that frames show.
    pub(super) fn new(names: ShownNames) -> Self {
        Self { addresses: VecDeque::new(), names }
    }

    /// Learns of whoever a fact tells; of more than there is room for, those seen last.
    pub(super) fn meet(&mut self, fact: &Fact) {
        let address = match fact {
            Fact::Link { now, .. } => now.bond.as_deref().and_then(partner),
            Fact::Neighbour(change) => change.now.and_then(|now| now.address),
            _ => None,
        };
        let Some(address) = address.filter(|address| !address.is_zero()) else { return };
        self.addresses.retain(|known| *known != address);
        if self.addresses.len() >= Self::MOST {
            self.addresses.pop_front();
        }
        self.addresses.push_back(address);
    }

    /// What they show, each once.
    pub(super) fn identities(&self) -> Vec<String> {
        let mut shown: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let names = self.names.neighbours().into_iter().filter(|name| !shown.contains(name));
        let names: Vec<String> = names.collect();
        shown.extend(names);
        shown
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
        // A chassis is called by the link address of a next hop, and another by a name.
        for (sent_here, name) in [(false, "02:00:00:00:00:02"), (false, "LA/b"), (true, "LA/a")] {
            peers.names.show(sent_here, name.to_owned());
        }
        assert_eq!(peers.identities(), ["02:00:00:00:00:02", "02:00:00:00:00:01", "LA/b"]);
        for last in 0..100 {
            peers.meet(&neighbour(last));
        }
        assert_eq!(peers.addresses.len(), Peers::MOST);
    }
}
