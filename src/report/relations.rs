//! Who belongs with whom: which findings can be of one incident.
//!
//! A failure spreads along what two findings have in common. Either they are about the same host or station; or
//! one is about the way to the other's host (its next hop); or one is about a whole interface, and the other
//! happened there, on what it lies upon, or on what lies upon it:
//!
//! ```text
//!   eth0: no link ────── everything on eth0, its VLANs, its bond; the bridge it is a port of, not the other ports
//!   next hop silent ──── hosts whose frames come from that station
//!   10.6.0.53 DNS ────── findings about 10.6.0.53
//! ```
//!
//! The host that recorded is at one end of everything, so it ties nothing. What a bundle tells of its interfaces
//! counts; files tell nothing of that, so there all interfaces are taken for one place.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::model::Entry;
use crate::finding::Party;
use crate::frame::Direction;
use crate::time::Wall;
use crate::wire::{Mac, Message, Reading};

/// Hosts, and stations, that are remembered: what a broad segment has. Those beyond tie nothing.
const MOST: usize = 4_096;

/// What is known of hosts, stations and interfaces.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// Interfaces that lie upon each other; none where nobody tells.
    kin: Option<BTreeSet<(String, String)>>,
    /// Ports of bridges, and the bridges' indexes.
    bridges: HashMap<String, u32>,
    /// Where frames of a host come from, and go to.
    hosts: HashMap<IpAddr, Attachment>,
    /// Which station says that it has an address (ARP, ND).
    claims: HashMap<IpAddr, Mac>,
    senders: HashSet<Mac>,
    receivers: HashSet<Mac>,
    /// Addresses that the host itself says it has.
    own: BTreeSet<IpAddr>,
    /// Who answered a question, and when last.
    answers: Vec<(IpAddr, Wall)>,
}

/// Where a host is reached.
#[derive(Debug)]
struct Attachment {
    interface: Arc<str>,
    station: Option<Mac>,
}

/// What ties a finding to others.
#[derive(Debug)]
pub(super) struct Ties {
    /// Whom it is about; empty where it is about all on its interface.
    about: BTreeSet<Party>,
    /// Next hops on the way to those.
    ways: BTreeSet<Party>,
    /// Interfaces; empty where nobody knows.
    places: BTreeSet<String>,
    vlans: BTreeSet<Party>,
}

/// True for what concerns all on an interface though it names hosts: by the first word of its kind.
fn is_of_interface(kind: &str) -> bool {
    const FAMILIES: [&str; 4] = ["address", "dhcp", "ra", "tagging"];
    is_flood(kind) || FAMILIES.contains(&family(kind))
}

/// The first word of a kind: its protocol.
pub(super) fn family(kind: &str) -> &str {
    kind.split('_').next().unwrap_or(kind)
}

/// True for frames in such number that everything else on the interface suffers from them; floods of questions
/// harm the server that is asked.
pub(super) fn is_flood(kind: &str) -> bool {
    let is_of_server = ["syn", "dns"].contains(&family(kind));
    ["storm", "loop", "flood"].iter().any(|word| kind.contains(word)) && !is_of_server
}

/// True for a host that was asked and did not answer, or is not heard any more.
pub(super) fn is_silence(kind: &str) -> bool {
    const ENDINGS: [&str; 5] = ["unanswered", "no_answer", "_silent", "silence", "probe_down"];
    ENDINGS.iter().any(|ending| kind.ends_with(ending))
}

/// True for what concerns everything on a host.
fn is_of_host(kind: &str) -> bool {
    family(kind) == "table"
}

/// True for an address that no router passes on (RFC 4291 §2.5.6, RFC 3927 §2.7).
fn is_on_link(host: IpAddr) -> bool {
    match host {
        IpAddr::V4(host) => host.is_link_local(),
        IpAddr::V6(host) => host.is_unicast_link_local(),
    }
}

impl Ties {
    /// True if it can be the cause of something: what is about nothing in particular (a clock that was set, events
    /// that were missed) explains nothing.
    pub(super) fn can_cause(&self, kind: &str) -> bool {
        is_of_host(kind) || self.is_of_hosts() || !self.places.is_empty()
    }

    /// True if `other` is on the way to what it is about.
    pub(super) fn is_behind(&self, other: &Self) -> bool {
        !self.ways.is_disjoint(&other.about)
    }

    /// True if it is about some hosts or stations, and not about all on an interface.
    pub(super) fn is_of_hosts(&self) -> bool {
        !self.about.is_empty()
    }
}

impl Relations {
    /// A frame on `interface` that was read.
    pub(super) fn frame(
        &mut self,
        interface: &Arc<str>,
        direction: Direction,
        reading: &Reading<'_>,
    ) {
        let (from, to) = (reading.link.source, reading.link.destination);
        let unicast = |mac: &Mac| mac.is_unicast();
        if let Some(from) = from {
            let known = match direction {
                Direction::Outbound => Some(&mut self.senders),
                Direction::Inbound => Some(&mut self.receivers),
                Direction::Unknown => None,
            };
            known.filter(|known| known.len() < MOST).map(|known| known.insert(from));
        }
        match (&reading.message, reading.packet) {
            (Message::Arp(arp), _) => self.claims(arp.sender.into(), Some(arp.sender_mac)),
            (Message::Nd(nd), _) if nd.is_advertisement => self.claims(nd.target.into(), nd.mac),
            // Never forwarded, and perhaps sent from a link address that several routers have.
            (Message::Vrrp(_) | Message::Hsrp(_), Some(packet)) => {
                self.claims(packet.source, from.filter(|mac| !mac.is_virtual_router()));
            }
            (_, Some(packet)) => {
                if direction != Direction::Outbound {
                    self.seen(packet.source, interface, from);
                }
                if direction != Direction::Inbound {
                    self.seen(packet.destination, interface, to.filter(unicast));
                }
            }
            _ => {}
        }
    }

    fn claims(&mut self, host: IpAddr, station: Option<Mac>) {
        let known = self.claims.contains_key(&host);
        if let Some(station) = station
            && !host.is_unspecified()
            && (known || self.claims.len() < MOST)
        {
            self.claims.insert(host, station);
        }
    }

    fn seen(&mut self, host: IpAddr, interface: &Arc<str>, station: Option<Mac>) {
        let known = self.hosts.contains_key(&host);
        if !host.is_multicast() && !host.is_unspecified() && (known || self.hosts.len() < MOST) {
            self.hosts.insert(host, Attachment { interface: Arc::clone(interface), station });
        }
    }

    /// The host that recorded says that it has this address.
    pub(super) fn has(&mut self, address: IpAddr) {
        if self.own.len() < MOST {
            self.own.insert(address);
        }
    }

    /// A bundle tells which interfaces lie upon `interface`, and upon which it lies.
    pub(super) fn kin(&mut self, interface: &str, relatives: impl IntoIterator<Item = String>) {
        let kin = self.kin.get_or_insert_default();
        for relative in relatives {
            kin.insert((interface.to_owned(), relative.clone()));
            kin.insert((relative, interface.to_owned()));
        }
    }

    /// The same from events, which tell of changes only: it adds to what is known and does not begin it.
    pub(super) fn master(&mut self, interface: &str, master: &str) {
        if self.kin.is_some() {
            self.kin(interface, [master.to_owned()]);
        }
    }

    /// A port of the bridge with this index.
    pub(super) fn bridged(&mut self, port: String, bridge: u32) {
        self.bridges.insert(port, bridge);
    }

    /// True if both are ports of one bridge.
    pub(super) fn is_bridged(&self, one: &str, other: &str) -> bool {
        let bridge = self.bridges.get(one);
        one != other && bridge.is_some() && bridge == self.bridges.get(other)
    }

    /// True for an address of the host that recorded: what it sends and never receives.
    pub(super) fn is_own(&self, party: Party) -> bool {
        let is_own = |mac: &Mac| self.senders.contains(mac) && !self.receivers.contains(mac);
        match party {
            Party::Host(host) => {
                self.own.contains(&host) || self.claims.get(&host).is_some_and(is_own)
            }
            Party::Station(mac) => is_own(&mac),
            Party::Vlan(_) => false,
        }
    }

    /// What ties `entry` to others.
    pub(super) fn ties(&self, entry: &Entry) -> Ties {
        let others = entry.parties.iter().filter(|party| !self.is_own(**party));
        let mut ties = Ties {
            about: BTreeSet::new(),
            ways: BTreeSet::new(),
            places: entry.interface.iter().cloned().collect(),
            vlans: BTreeSet::new(),
        };
        for party in others {
            match *party {
                Party::Vlan(_) => _ = ties.vlans.insert(*party),
                Party::Host(host) => {
                    ties.about.insert(*party);
                    let claimed = self.claims.get(&host).copied();
                    ties.about.extend(claimed.map(Party::Station));
                    if let Some(place) = self.hosts.get(&host) {
                        let is_behind =
                            |station: &Mac| Some(*station) != claimed && !is_on_link(host);
                        let way = place.station.filter(is_behind);
                        ties.ways.extend(way.map(Party::Station));
                        if entry.interface.is_none() {
                            ties.places.insert(place.interface.to_string());
                        }
                    }
                }
                Party::Station(_) => _ = ties.about.insert(*party),
            }
        }
        // A station on the way to the hosts is not what the finding is about.
        ties.about.retain(|party| !ties.ways.contains(party));
        let has_host = ties.about.iter().any(|party| matches!(party, Party::Host(_)));
        if is_of_interface(&entry.kind) || !has_host {
            ties.about.clear();
            ties.ways.clear();
        }
        ties
    }

    /// Hosts that answered what they were asked, and when last.
    pub(super) fn answered(&mut self, answers: impl IntoIterator<Item = (IpAddr, Wall)>) {
        self.answers.extend(answers);
    }

    /// True if somebody else answered after `since`: then what is wrong is wrong with those hosts alone.
    pub(super) fn others_answered(&self, ties: &Ties, since: Wall) -> bool {
        let is_other = |host: IpAddr| !ties.about.contains(&Party::Host(host));
        self.answers.iter().any(|(host, last)| *last > since && is_other(*host))
    }

    /// True if one of both can have come of the other.
    pub(super) fn tie(&self, one: &Ties, other: &Ties) -> bool {
        let shares = |a: &BTreeSet<Party>, b: &BTreeSet<Party>| !a.is_disjoint(b);
        if one.about.is_empty() || other.about.is_empty() {
            let apart = !one.vlans.is_empty() && !other.vlans.is_empty();
            return self.is_same_place(one, other)
                && !(apart && one.vlans.is_disjoint(&other.vlans));
        }
        shares(&one.about, &other.about) || one.is_behind(other) || other.is_behind(one)
    }

    /// True if both are of one interface, or of interfaces that lie upon each other.
    pub(super) fn is_same_place(&self, one: &Ties, other: &Ties) -> bool {
        let Some(kin) = &self.kin else { return true };
        let same = |a: &String, b: &String| a == b || kin.contains(&(a.clone(), b.clone()));
        one.places.is_empty()
            || other.places.is_empty()
            || one.places.iter().any(|a| other.places.iter().any(|b| same(a, b)))
    }
}
