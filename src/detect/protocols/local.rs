//! What the detectors of all interfaces know in common: the host they run on, as far as it is told, and what
//! was seen on one interface that another must know.
//!
//! | question | live | in files |
//! |---|---|---|
//! | did this host send a frame that went out? | its source is a link address of ours | no interface received that source |
//! | is an address ours, which router do we use, where was it before? | as the kernel tells | not known |
//! | was a question answered through another port? | as the frames of all interfaces show | likewise |
//!
//! On a bridge, what goes out of one port came in by another: *outbound* does not mean *ours*. And a question
//! may leave by one port of a bridge or a bond, and the answer come by another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bounded::Bounded;
use crate::frame::Direction;
use crate::observation::link::LinkState;
use crate::observation::neighbour::Neighbour;
use crate::observation::shown::ShownNames;
use crate::observation::{Fact, Observation};
use crate::time::Mono;
use crate::wire::Mac;
use crate::wire::link::Vlans;

/// Stations that were received on some interface, and answers: as many as there are neighbours.
const MOST: usize = 4_096;
/// Answers and moves are remembered for so long: nobody waits a minute for an answer.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A hand on what is known; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Local(Arc<Mutex<State>>);

/// A question that may be answered through another interface than the one it left by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// For the link address of a neighbour: who asks, for whom.
    Neighbour(IpAddr, IpAddr),
    /// For an address, by DHCP of this version (true: 6): the transaction.
    Lease(bool, u32),
}

/// An address that moved, and to which station.
pub(super) type Moved = (Vlans, IpAddr, Mac);

#[derive(Debug)]
struct State {
    /// Every interface is known, so what is none of their link addresses is somebody else's.
    is_whole: bool,
    links: BTreeMap<u32, LinkState>,
    macs: BTreeSet<Mac>,
    /// Each with the interface it is on.
    addresses: BTreeSet<(IpAddr, String)>,
    /// Next hops of default routes by family, table and metric, each with its interface.
    routes: BTreeMap<(bool, u32, u32), Vec<Router>>,
    neighbours: BTreeMap<(String, IpAddr), Placed>,
    received: Bounded<Mac, ()>,
    answered: Bounded<Asked, Mono>,
    /// Moves that were told, of which interface, when.
    moves: Bounded<Moved, (String, Mono)>,
    /// By what names this host and its neighbours know each other.
    shown: ShownNames,
}

/// A next hop, its interface, and since when it is used.
#[derive(Debug, Clone)]
struct Router {
    address: IpAddr,
    on: Option<String>,
    since: Mono,
}

/// Where a neighbour is, and was before.
#[derive(Debug, Clone, Copy)]
struct Placed {
    now: Option<Mac>,
    since: Mono,
    before: Option<Mac>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            is_whole: false,
            links: BTreeMap::new(),
            macs: BTreeSet::new(),
            addresses: BTreeSet::new(),
            routes: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            received: Bounded::new(MOST),
            answered: Bounded::new(MOST),
            moves: Bounded::new(MOST),
            shown: ShownNames::default(),
        }
    }
}

impl Local {
    /// This host, with all its `links`; `facts` are its addresses, default routes and neighbours.
    pub fn of_host(links: &[LinkState], facts: &[Fact]) -> Self {
        let local = Self::default();
        let mut state = local.state();
        state.is_whole = true;
        links.iter().for_each(|link| state.link(link));
        facts.iter().for_each(|fact| state.learn(Mono::default(), fact));
        drop(state);
        local
    }

    /// By what names this host and its neighbours know each other, as frames show them.
    pub fn shown(&self) -> ShownNames {
        self.state().shown.clone()
    }

    /// Takes in what a watcher saw.
    pub fn learn(&self, seen: &Observation) {
        self.state().learn(seen.at.mono, &seen.fact);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes who was received, and tells whether this host sent the frame.
    pub(super) fn sent_here(&self, direction: Direction, source: Option<Mac>) -> bool {
        let mut state = self.state();
        match (direction, source) {
            (Direction::Outbound, None) => true,
            (Direction::Outbound, Some(mac)) if state.is_whole => state.macs.contains(&mac),
            (Direction::Outbound, Some(mac)) => state.received.get(&mac).is_none(),
            (Direction::Inbound, Some(mac)) if !state.is_whole && mac.is_unicast() => {
                state.received.entry(mac, || ());
                false
            }
            _ => false,
        }
    }

    /// True for a link address of one of our interfaces.
    pub(super) fn is_station(&self, mac: Mac) -> bool {
        self.state().macs.contains(&mac)
    }

    /// True if the interface is known to carry no frames.
    pub(super) fn is_down(&self, interface: &str) -> bool {
        self.state().named(interface).is_some_and(|link| !link.is_up())
    }

    /// True if the address is ours on this interface, in these VLANs.
    pub(super) fn has_address(&self, address: IpAddr, interface: &str, vlans: Vlans) -> bool {
        let state = self.state();
        let here = state.addresses.iter().filter(|(ours, _)| *ours == address);
        here.into_iter().any(|(_, on)| state.is_reached(on, interface, vlans))
    }

    /// The routers of this family that default routes over this interface led to before `at`.
    pub(super) fn routers(
        &self,
        ipv6: bool,
        interface: &str,
        vlans: Vlans,
        at: Mono,
    ) -> Vec<IpAddr> {
        let state = self.state();
        let of_family = state.routes.iter().filter(|((v6, ..), _)| *v6 == ipv6);
        let hops = of_family.flat_map(|(_, hops)| hops).filter(|hop| hop.since < at);
        let here = |on: &String| state.is_reached(on, interface, vlans);
        hops.filter(|hop| hop.on.as_ref().is_none_or(here)).map(|hop| hop.address).collect()
    }

    /// The link address that the kernel had for a neighbour before `at`.
    pub(super) fn place_before(
        &self,
        at: Mono,
        address: IpAddr,
        interface: &str,
        vlans: Vlans,
    ) -> Option<Mac> {
        let state = self.state();
        let mut known = state.neighbours.iter().filter(|((_, neighbour), _)| *neighbour == address);
        let (_, placed) = known.find(|((on, _), _)| state.is_reached(on, interface, vlans))?;
        if placed.since < at { placed.now.or(placed.before) } else { placed.before }
    }

    /// The address of a neighbour, as the kernel has it for this link address, where frames have no tag.
    pub(in crate::detect) fn neighbour(&self, mac: Mac, interface: &str) -> Option<IpAddr> {
        let state = self.state();
        let mut known = state.neighbours.iter().filter(|(_, placed)| placed.now == Some(mac));
        let here = |on: &String| state.is_reached(on, interface, Vlans::default());
        known.find(|((on, _), _)| here(on)).map(|((_, address), _)| *address)
    }

    /// An answer came by.
    pub(super) fn answered(&self, asked: Asked, at: Mono) {
        if let Some(last) = self.state().answered.entry(asked, || at) {
            *last = at;
        }
    }

    /// True if it was answered since, wherever.
    pub(super) fn was_answered(&self, asked: Asked, since: Mono) -> bool {
        self.state().answered.get(&asked).is_some_and(|last| *last >= since)
    }

    /// True unless the same was told of another interface just now: what is announced on one port of a bridge is on
    /// all.
    pub(super) fn is_news(&self, moved: Moved, interface: &str, at: Mono) -> bool {
        let mut state = self.state();
        let known = state.moves.entry(moved, || (interface.to_owned(), at));
        known.is_none_or(|(first, when)| first == interface || at.since(*when) >= REMEMBERED)
    }

    /// Time passes.
    pub(super) fn tick(&self, now: Mono) {
        let mut state = self.state();
        state.answered.retain(|_, last| now.since(*last) < REMEMBERED);
        state.moves.retain(|_, (_, when)| now.since(*when) < REMEMBERED);
    }
}

impl State {
    fn learn(&mut self, at: Mono, fact: &Fact) {
        match fact {
            Fact::Link { now, .. } => self.link(now),
            Fact::LinkGone { last } => {
                self.links.remove(&last.index);
                self.name_stations();
            }
            Fact::Address(change) => {
                let entry = (change.address, change.interface.clone());
                match change.now {
                    Some(_) => self.addresses.insert(entry),
                    None => self.addresses.remove(&entry),
                };
            }
            Fact::Route(change) => {
                let key = (change.ipv6, change.table, change.metric);
                let before = self.routes.remove(&key).unwrap_or_default();
                let hops = change.now.iter().flat_map(|route| &route.hops);
                let routers = hops.filter_map(|hop| {
                    let (address, on) = (hop.gateway?, hop.interface.clone());
                    let same =
                        before.iter().find(|router| router.address == address && router.on == on);
                    Some(Router { address, on, since: same.map_or(at, |router| router.since) })
                });
                self.routes.insert(key, routers.collect());
            }
            Fact::Neighbour(change) => {
                let mac = |known: Option<Neighbour>| Some(Mac(known?.address?.octets()));
                let key = (change.interface.clone(), change.address);
                if change.now.is_none() {
                    self.neighbours.remove(&key);
                } else {
                    let (now, before) = (mac(change.now), mac(change.before));
                    self.neighbours.insert(key, Placed { now, since: at, before });
                }
            }
            _ => {}
        }
    }

    fn link(&mut self, link: &LinkState) {
        self.links.insert(link.index, link.clone());
        self.name_stations();
    }

    fn name_stations(&mut self) {
        let addresses = self.links.values().filter_map(|link| link.address);
        self.macs =
            addresses.map(|mac| Mac(mac.octets())).filter(|mac| *mac != Mac::default()).collect();
    }

    fn named(&self, name: &str) -> Option<&LinkState> {
        self.links.values().find(|link| link.name == name)
    }

    /// True if frames in `vlans` on the interface `from` are those of the interface `on`: the same, its bond or
    /// bridge, or the VLAN on top of one of these.
    fn is_reached(&self, on: &str, from: &str, vlans: Vlans) -> bool {
        /// A port of a bond that is a port of a bridge, and room for one more.
        const DEPTH: usize = 3;
        let above = |link: &LinkState| self.links.get(&link.master?);
        let chain = std::iter::successors(self.named(from), |link| above(link)).take(DEPTH);
        match vlans.ids() {
            [] => on == from || chain.into_iter().any(|link| link.name == on),
            [id] => self.named(on).is_some_and(|vlan| {
                let lies_upon = vlan.lower;
                let is_vlan =
                    vlan.kind.as_deref() == Some("vlan") && number(&vlan.name) == Some(*id);
                is_vlan && chain.into_iter().any(|link| Some(link.index) == lies_upon)
            }),
            _ => false,
        }
    }
}

/// The number at the end of a VLAN interface's name: all naming schemes of ip-link(8) and vconfig(8) end in it.
fn number(name: &str) -> Option<u16> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name.get(name.len() - digits..)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use pnet::util::MacAddr;

    use super::*;
    use crate::observation::neighbour::{Answers, NeighbourChange};

    fn link(index: u32, name: &str, master: Option<u32>) -> LinkState {
        let address = Some(MacAddr::new(2, 0, 0, 0, 0, index as u8));
        LinkState { index, name: name.into(), master, address, ..LinkState::default() }
    }

    #[test]
    fn what_goes_out_is_ours_only_with_our_link_address() {
        let (ours, theirs) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 9]));
        let live = Local::of_host(&[link(1, "br0", None)], &[]);
        let file = Local::default();
        file.sent_here(Direction::Inbound, Some(theirs));
        for local in [live, file] {
            for (direction, mac, expected) in [
                (Direction::Outbound, Some(ours), true),
                (Direction::Outbound, Some(theirs), false),
                (Direction::Outbound, None, true),
                (Direction::Inbound, Some(ours), false),
                (Direction::Unknown, Some(theirs), false),
            ] {
                assert_eq!(local.sent_here(direction, mac), expected, "{direction:?} {mac:?}");
            }
        }
    }

    #[test]
    fn an_address_is_reached_through_ports_and_tags() {
        let vlan =
            LinkState { kind: Some("vlan".into()), lower: Some(2), ..link(3, "bond0.956", None) };
        let links = [link(1, "eth0", Some(2)), link(2, "bond0", None), vlan, link(4, "eth9", None)];
        let local = Local::of_host(&links, &[]);
        let tagged = |id: u16| {
            let frame = [&[0; 12][..], &[0x81, 0], &id.to_be_bytes(), &[8, 6]].concat();
            let link_type = crate::frame::LinkType::ETHERNET;
            crate::wire::Reading::of(link_type, &frame).unwrap().vlans()
        };
        for (on, from, vlans, expected) in [
            ("bond0", "eth0", Vlans::default(), true),
            ("eth0", "eth0", Vlans::default(), true),
            ("bond0", "eth9", Vlans::default(), false),
            ("bond0.956", "eth0", Vlans::default(), false),
            ("bond0.956", "eth0", tagged(956), true),
            ("bond0.956", "bond0", tagged(956), true),
            ("bond0.956", "bond0", tagged(95), false),
            ("bond0", "eth0", tagged(956), false),
        ] {
            assert_eq!(local.state().is_reached(on, from, vlans), expected, "{on} from {from}");
        }
    }

    #[test]
    fn a_neighbour_has_the_address_that_the_kernel_says() {
        let (router, mac) = (IpAddr::from([10, 6, 0, 1]), MacAddr::new(2, 0, 0, 0, 0, 9));
        let here = Neighbour { answers: Answers::Yes, address: Some(mac) };
        let change = NeighbourChange {
            interface: "eth0".into(),
            address: router,
            before: None,
            now: Some(here),
        };
        let local = Local::of_host(&[link(1, "eth0", None)], &[Fact::Neighbour(Box::new(change))]);
        assert_eq!(local.neighbour(Mac([2, 0, 0, 0, 0, 9]), "eth0"), Some(router));
        assert_eq!(local.neighbour(Mac([2, 0, 0, 0, 0, 9]), "eth1"), None);
        assert_eq!(local.neighbour(Mac([2, 0, 0, 0, 0, 8]), "eth0"), None);
    }

    #[test]
    fn an_answer_counts_wherever_it_came_and_not_for_ever() {
        let local = Local::default();
        let asked = Asked::Lease(false, 7);
        local.answered(asked, Mono(5));
        assert!(local.was_answered(asked, Mono(5)) && !local.was_answered(asked, Mono(6)));
        local.tick(Mono(5).plus(REMEMBERED));
        assert!(!local.was_answered(asked, Mono(5)));
    }
}
