//! OSPF: a router's hello names the neighbours it hears. One that drops out of it, or a router whose
//! hellos stay away for its dead interval, is lost; two that disagree never become neighbours; two that
//! repeat their database descriptions never become adjacent.
//!
//! ```text
//!  hello ─► named by the other ─► descriptions both ways, to the end ─► adjacent, routes
//!    │ differ: mismatch              │ repeated: stuck, with both MTUs
//! ```
//!
//! What was lost is over when the two are adjacent again, not when the first hello comes: routers that
//! hear each other may be stuck for ever.

mod exchange;
mod parameters;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use self::exchange::Pair;
use self::parameters::Parameters;
use super::bounded::Bounded;
use super::heard::{Heard, Now, about, place};
use super::lasting::{FORGET, Lasting, Pulse, Rhythm};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::Stamp;
use crate::wire::link::Vlans;
use crate::wire::ospf::{Description, Hello, Kind, Ospf};

/// Routers on one interface.
const MOST: usize = 512;
/// Neighbours that one router names.
const NEIGHBOURS: usize = 128;
/// Pairs of routers that described their databases to each other, or cannot become neighbours.
const PAIRS: usize = 4_096;
/// Identities that two routers have.
const DUPLICATES: usize = 64;

/// One link as OSPF knows it: VLANs, version, instance.
type Link = (Vlans, u8, u8);
/// A router on it: identity and address.
type Name = (Link, Ipv4Addr, IpAddr);

/// Judges the packets of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    routers: Bounded<Name, Router>,
    /// By both identities, the lower first.
    pairs: Bounded<(Link, Ipv4Addr, Ipv4Addr), Pair>,
    duplicates: Bounded<(Link, Ipv4Addr), Duplicate>,
}

#[derive(Debug)]
struct Router {
    pulse: Pulse,
    says: Parameters,
    neighbours: Bounded<Ipv4Addr, Neighbour>,
}

/// A router that another one names, or named.
#[derive(Debug)]
struct Neighbour {
    /// Since when without a pause; none while it is not named.
    named: Option<Stamp>,
    lost: Lasting,
}

/// One identity from two addresses.
#[derive(Debug, Default)]
struct Duplicate {
    lasting: Lasting,
    patience: Duration,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            routers: Bounded::new(MOST),
            pairs: Bounded::new(PAIRS),
            duplicates: Bounded::new(DUPLICATES),
        }
    }

    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        ospf: &Ospf<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let Some(packet) = heard.reading.packet else { return };
        let link = (heard.vlans(), ospf.version, ospf.instance);
        let name = (link, ospf.router, packet.source);
        match ospf.kind {
            Kind::Hello(hello) => {
                let says = Parameters::of(ospf, &hello);
                self.duplicate(heard, &name, &says, findings);
                self.hello(heard, &name, &hello, says, findings);
                self.compare(heard, &name, findings);
            }
            Kind::Description(description) => {
                self.description(heard, &name, packet.destination, description, findings);
            }
            Kind::Other(_) => {}
        }
    }

    fn hello(
        &mut self,
        heard: &Heard<'_>,
        name: &Name,
        hello: &Hello<'_>,
        says: Parameters,
        findings: &mut Vec<Finding>,
    ) {
        let rhythm = Rhythm { interval: hello.interval, patience: hello.dead };
        let make = || Router {
            pulse: Pulse::new(heard.at(), rhythm),
            says,
            neighbours: Bounded::new(NEIGHBOURS),
        };
        let Some(router) = self.routers.entry(*name, make) else { return };
        router.pulse.renew(heard.at(), rhythm);
        router.says = says;
        for neighbour in hello.neighbours() {
            let make = || Neighbour { named: None, lost: Lasting::default() };
            if let Some(known) = router.neighbours.entry(neighbour, make) {
                known.named.get_or_insert(heard.at());
            }
        }
        // Of a hello that was cut nobody can say whom it does not name.
        router.neighbours.retain(|neighbour, known| {
            let is_named = !hello.whole || hello.neighbours().any(|named| named == *neighbour);
            if !is_named && known.named.take().is_some() {
                let sentence =
                    format!("{} does not hear its neighbor {neighbour} any longer", named(name));
                let kind = FindingKind::OspfNeighborLost;
                let finding = heard.finding(kind, Severity::Warning, sentence);
                let neighbour = Party::Host((*neighbour).into());
                known.lost.begin(finding.about(neighbour), findings);
            }
            true
        });
    }

    /// Another router of the same identity spoke between this one's hellos: none has moved, there are two.
    fn duplicate(
        &mut self,
        heard: &Heard<'_>,
        name: &Name,
        says: &Parameters,
        findings: &mut Vec<Finding>,
    ) {
        let (link, identity, address) = *name;
        let Some(before) = self.routers.get(name).map(|known| known.pulse.last) else { return };
        let spoke_between = |(other, router): &(&Name, &Router)| {
            let (of, its, elsewhere) = **other;
            (of, its) == (link, identity)
                && elsewhere != address
                && router.pulse.last.mono > before.mono
                && says.shares_network(address, elsewhere)
        };
        if !self.is_one_link(heard, link) {
            return;
        }
        let Some((other, _)) = self.routers.iter().find(spoke_between) else { return };
        let sentence = format!(
            "two OSPFv{} routers have the identity {identity}{}: {} and {address}",
            link.1,
            place(link.0),
            other.2
        );
        let kind = FindingKind::OspfDuplicateRouter;
        let finding = heard.finding(kind, Severity::Warning, sentence).about(Party::Host(other.2));
        if let Some(known) = self.duplicates.entry((link, identity), Duplicate::default) {
            known.patience = says.dead;
            known.lasting.begin(finding, findings);
        }
    }

    /// False where version 3, which has no networks to tell them apart, is heard on many links at once.
    fn is_one_link(&self, heard: &Heard<'_>, link: Link) -> bool {
        link.1 == 2 || heard.reading.link.destination.is_some()
    }

    /// Compares a router with those on its link that it does not name: it drops their hellos, if it must.
    fn compare(&mut self, heard: &Heard<'_>, name: &Name, findings: &mut Vec<Finding>) {
        let (link, identity, address) = *name;
        let Some(router) = self.routers.get(name) else { return };
        if !self.is_one_link(heard, link) {
            return;
        }
        let now = heard.at().mono;
        let others = self.routers.iter().filter(|((of, its, _), other)| {
            *of == link && *its != identity && now.since(other.pulse.last.mono) <= other.says.dead
        });
        let mut told: Vec<(Ipv4Addr, IpAddr, String)> = Vec::new();
        for ((_, its, elsewhere), other) in others {
            let is_named = router.neighbours.get(its).is_some_and(|known| known.named.is_some());
            let is_near = router.says.shares_network(address, *elsewhere)
                || other.says.shares_network(*elsewhere, address);
            let differences = match is_named || !is_near {
                true => String::new(),
                false if identity < *its => router.says.differences(&other.says),
                false => other.says.differences(&router.says),
            };
            told.push((*its, *elsewhere, differences));
        }
        for (its, elsewhere, differences) in told {
            let key = (link, identity.min(its), identity.max(its));
            let (one, other) = (key.1, key.2);
            if differences.is_empty() {
                if let Some(pair) = self.pairs.get_mut(&key) {
                    let sentence = || format!("OSPF routers {one} and {other} agree");
                    pair.mismatch.end(heard.at(), sentence, findings);
                }
                continue;
            }
            let Some(pair) = self.pairs.entry(key, || Pair::new(heard.at())) else { continue };
            pair.last = heard.at();
            let sentence = format!(
                "OSPFv{} routers {one} and {other}{} cannot become neighbors, their hellos differ: \
                 {differences}",
                link.1,
                place(link.0)
            );
            let finding = heard.finding(FindingKind::OspfMismatch, Severity::Warning, sentence);
            pair.mismatch.begin(finding.about(Party::Host(elsewhere)), findings);
        }
    }

    fn description(
        &mut self,
        heard: &Heard<'_>,
        name: &Name,
        to: IpAddr,
        description: Description,
        findings: &mut Vec<Finding>,
    ) {
        let (link, identity, _) = *name;
        let Some(other) = self.receiver(name, to) else { return };
        let key = (link, identity.min(other), identity.max(other));
        let Some(pair) = self.pairs.entry(key, || Pair::new(heard.at())) else { return };
        pair.describes(heard.at(), usize::from(identity > other), description);
        let version = link.1;
        if pair.both_done(pair.stuck.first().unwrap_or_default()) {
            let sentence = || format!("OSPFv{version} routers {identity} and {other} are adjacent");
            pair.stuck.end(heard.at(), sentence, findings);
        } else if let Some((stuck, first)) = pair.stuck() {
            let routers = stuck.sentence([key.1, key.2]);
            let sentence = format!("OSPFv{version} routers {routers}{}", place(link.0));
            let finding = heard.finding(FindingKind::OspfStuck, Severity::Warning, sentence);
            pair.stuck.begin(Finding { first, ..finding }, findings);
        }
    }

    /// Who is meant: the router of that address, or the only other one on a link between two.
    fn receiver(&self, name: &Name, to: IpAddr) -> Option<Ipv4Addr> {
        let (link, identity, _) = *name;
        let others = || {
            self.routers
                .iter()
                .map(|(other, _)| other)
                .filter(|(of, its, _)| *of == link && *its != identity)
        };
        if let Some((_, its, _)) = others().find(|(.., address)| *address == to) {
            return Some(*its);
        }
        let mut all = others().filter(|_| to.is_multicast());
        all.next().filter(|_| all.next().is_none()).map(|(_, its, _)| *its)
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.recover(now, findings);
        self.routers.retain(|name, router| {
            let silence = |silent: Duration| {
                let what = named(name);
                let sentence = format!(
                    "no hello of {what} for {:.0} s, its dead interval",
                    silent.as_secs_f64()
                );
                let kind = FindingKind::OspfNeighborLost;
                let finding = now.finding(kind, Severity::Warning, what, sentence);
                about(finding, name.0.0, &[name.2, name.1.into()])
            };
            router.pulse.check(now, silence, findings);
            let keep = !router.pulse.is_forgotten(now, findings);
            if !keep {
                router.neighbours.retain(|neighbour, known| {
                    let given_up = || format!("{} is gone, and {neighbour} with it", named(name));
                    known.lost.end(now.at, given_up, findings);
                    false
                });
            }
            keep
        });
        self.duplicates.retain(|(_, identity), known| {
            let last = known.lasting.last().unwrap_or_default();
            let keep = now.at.mono.since(last.mono) <= known.patience;
            if !keep {
                let sentence = || format!("one OSPF router has the identity {identity}");
                known.lasting.end(now.at, sentence, findings);
            }
            keep
        });
        self.pairs.retain(|(_, one, other), pair| {
            let keep = now.at.mono.since(pair.last.mono) < FORGET;
            if !keep {
                let sentence = || format!("OSPF routers {one} and {other} try no longer");
                pair.mismatch.end(now.at, sentence, findings);
                pair.stuck.end(now.at, sentence, findings);
            }
            keep
        });
    }

    /// Ends what was lost between two routers that are adjacent again.
    fn recover(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let mut heard_again = Vec::new();
        let mut named_again = Vec::new();
        for (name, router) in self.routers.iter() {
            if let Some(first) = router.pulse.silence.first()
                && router.pulse.last.mono > first.mono
                && self.is_back(name, first, now.at)
            {
                heard_again.push(*name);
            }
            for (neighbour, known) in router.neighbours.iter() {
                if let Some(first) = known.lost.first()
                    && known.named.is_some()
                    && self.is_adjacent(name, *neighbour, first, now.at)
                {
                    named_again.push((*name, *neighbour));
                }
            }
        }
        for name in heard_again {
            let sentence = || format!("{} is heard again", named(&name));
            if let Some(router) = self.routers.get_mut(&name) {
                router.pulse.silence.end(now.at, sentence, findings);
            }
        }
        for (name, neighbour) in named_again {
            let sentence = || format!("{} hears {neighbour} again", named(&name));
            let router = self.routers.get_mut(&name);
            if let Some(known) = router.and_then(|router| router.neighbours.get_mut(&neighbour)) {
                known.lost.end(now.at, sentence, findings);
            }
        }
    }

    /// True if a router that was silent is adjacent again with somebody on its link, or alone there.
    fn is_back(&self, name: &Name, since: Stamp, now: Stamp) -> bool {
        let (link, identity, _) = *name;
        let near = |(other, router): &(&Name, &Router)| {
            other.0 == link
                && other.1 != identity
                && now.mono.since(router.pulse.last.mono) <= router.says.dead
        };
        let mut others = self.routers.iter().filter(near).peekable();
        others.peek().is_none()
            || others.any(|(other, _)| self.is_adjacent(name, other.1, since, now))
    }

    /// True if two routers name each other and nothing speaks against their being adjacent since then.
    fn is_adjacent(&self, name: &Name, neighbour: Ipv4Addr, since: Stamp, now: Stamp) -> bool {
        /// Descriptions that are not seen here come within this, in dead intervals.
        const UNSEEN: u32 = 2;
        let (link, identity, address) = *name;
        let Some(router) = self.routers.get(name) else { return false };
        let named_since = |router: &Router, whom| router.neighbours.get(&whom)?.named;
        let Some(one) = named_since(router, neighbour) else { return false };
        let other = self.routers.iter().find(|(other, router)| {
            (other.0, other.1) == (link, neighbour) && named_since(router, identity).is_some()
        });
        // One who is not heard here, as beyond a link of one way, cannot be judged.
        let Some((other_name, other)) = other else { return false };
        let two = named_since(other, identity).unwrap_or_default();
        let never_apart = one.mono < since.mono && two.mono < since.mono;
        // Of many routers on one network only the designated ones become adjacent with all.
        let [designated, backup] = router.says.designated;
        let leads = |identity: Ipv4Addr, address: IpAddr| {
            [designated, backup].iter().any(|at| *at == identity || IpAddr::V4(*at) == address)
        };
        let is_enough = !designated.is_unspecified()
            && !leads(identity, address)
            && !leads(neighbour, other_name.2);
        let key = (link, identity.min(neighbour), identity.max(neighbour));
        let pair = self.pairs.get(&key);
        let is_done = pair.is_some_and(|pair| pair.both_done(since));
        let is_seen = pair.is_some_and(|pair| pair.is_seen_since(since));
        let long = now.mono.since(one.mono.max(two.mono)) > router.says.dead * UNSEEN;
        never_apart || is_enough || is_done || !is_seen && long
    }

    pub(super) fn refused(&self) -> u64 {
        let within: u64 = self.routers.iter().map(|(_, router)| router.neighbours.refused()).sum();
        self.routers.refused() + self.pairs.refused() + within
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        let routers = self.routers.iter().flat_map(|(_, router)| {
            let lost = router.neighbours.iter().map(|(_, neighbour)| &neighbour.lost);
            lost.chain([&router.pulse.silence])
        });
        let pairs = self.pairs.iter().flat_map(|(_, pair)| [&pair.mismatch, &pair.stuck]);
        let duplicates = self.duplicates.iter().map(|(_, duplicate)| &duplicate.lasting);
        routers.chain(pairs).chain(duplicates)
    }
}

fn named((link, router, _): &Name) -> String {
    format!("OSPFv{} router {router}{}", link.1, place(link.0))
}
