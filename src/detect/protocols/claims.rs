//! Who claims which address: one that is ours, one that two stations claim, one that moved.
//!
//! A claim is what ARP and neighbour discovery say ("I have it"); a packet from the address is none, but shows
//! who uses it.
//!
//! | what happens | conclusion |
//! |---|---|
//! | another claims an address of this host, which still has it [`GRACE`] later | conflict |
//! | A ─► B ─► A: A claims it again while B does, or defends it at once (RFC 5227 §2.4) | conflict |
//! | A ─► B ─► A ─► B within [`TURNS`]: both answer whoever asks | conflict |
//! | A ─► B, B announced itself to all | moved (info): a takeover |
//! | A ─► B without an announcement | moved: a warning of a next hop, else a notice |
//!
//! Never a conflict, never told as moved: link addresses of virtual routers, and addresses that VRRP and HSRP speak of,
//! which change hands by design; addresses that this host gives out itself in several ways (bonding's
//! balance-alb does, one per client). No conflict: a proxy (RFC 1027), which answers for many.

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::{Mono, Stamp};
use crate::wire::Mac;
use crate::wire::ip::Packet;
use crate::wire::link::Vlans;

/// Addresses remembered.
const MOST: usize = 4_096;
/// Addresses whose packets were seen, stations that forward, and addresses that routers share.
const USERS: usize = 1_024;
/// Somebody who claims an address that another claimed so shortly before believes that it is his.
const DEFENCE: Duration = Duration::from_secs(5);
/// A defence by announcement comes at once; one that comes later is a takeover (RFC 5227 §2.4).
const AT_ONCE: Duration = Duration::from_secs(1);
/// Three changes within this are two stations that both answer.
const TURNS: Duration = Duration::from_secs(60);
/// A host that hands its address over removes it, and may learn of the new holder a little earlier.
const GRACE: Duration = Duration::from_millis(500);
/// Packets on their way when an address moved have arrived by then.
const SETTLED: Duration = Duration::from_secs(1);
/// A claim so soon after this host's probe answers it: it waits 1 to 2 s (RFC 5227 §1.1, RFC 4862 §5.4).
const PROBED: Duration = Duration::from_secs(3);
/// One who used its address so lately misses it when another takes it. Longer than neighbours are remembered
/// without being asked again (Linux, `base_reachable_time_ms` and `gc_stale_time`: 45 s and 60 s).
const BUSY: Duration = Duration::from_secs(300);
/// A station that has so many addresses of one VLAN answers for others: more aliases are rare, fewer proxied
/// hosts hardly worth a proxy.
const PROXIED: usize = 8;
/// Moves told in [`TURNS`]: on a network where everything moves each says little.
const MOVES: u32 = 16;

/// How somebody claims an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// To all, unasked: gratuitous ARP, an unsolicited advertisement.
    Announced,
    /// By asking or answering.
    Told,
}

/// Follows the claims on one interface.
#[derive(Debug)]
pub(super) struct Claims {
    addresses: Bounded<(Vlans, IpAddr), Address>,
    users: Bounded<(Vlans, IpAddr), User>,
    /// Stations that forward packets of others.
    routers: Bounded<(Vlans, Mac), Mono>,
    /// Addresses that routers share.
    shared: Bounded<(Vlans, IpAddr), Mono>,
    /// Addresses that this host asked about before it takes them.
    wanted: Bounded<(Vlans, IpAddr), Mono>,
    moves: u32,
    moves_since: Mono,
    /// Moves that were not told because there were so many.
    untold: u64,
}

/// Who sent the last packet from an address, itself, not for another.
#[derive(Debug)]
struct User {
    mac: Mac,
    /// Another that did so before.
    before: Option<Mac>,
    last: Mono,
}

#[derive(Debug)]
struct Address {
    holder: Mac,
    /// This host claimed it with the holder's link address.
    ours: bool,
    before: Option<(Mac, bool)>,
    /// Both are link addresses of one host.
    aliases: bool,
    /// When the holder claimed it first, and last.
    since: Stamp,
    last: Stamp,
    /// When it changed hands between the same two, latest first.
    turns: [Option<Mono>; 3],
    moved: Option<Mono>,
    conflict: Lasting,
    /// Somebody else's claim of an address of ours, until it is clear that we keep it.
    foreign: Option<Box<Finding>>,
}

/// What a claim changes.
#[derive(Clone, Copy)]
enum Turn {
    /// It moved from this station, which had last claimed it then.
    Moved(Mac, Stamp),
    /// This station, perhaps ours, claims it as well; the later of the two since then.
    Both((Mac, bool), Stamp),
}

impl Claims {
    pub(super) fn new() -> Self {
        Self {
            addresses: Bounded::new(MOST),
            users: Bounded::new(USERS),
            routers: Bounded::new(USERS),
            shared: Bounded::new(USERS),
            wanted: Bounded::new(USERS),
            moves: 0,
            moves_since: Mono::default(),
            untold: 0,
        }
    }

    /// Routers share this address.
    pub(super) fn share(&mut self, vlans: Vlans, address: IpAddr, at: Mono) {
        if let Some(last) = self.shared.entry((vlans, address), || at) {
            *last = at;
        }
    }

    /// Somebody asks whether an address is taken before he takes it.
    pub(super) fn probed(&mut self, heard: &Heard<'_>, address: IpAddr) {
        let at = heard.at().mono;
        if heard.sent_here
            && let Some(last) = self.wanted.entry((heard.vlans(), address), || at)
        {
            *last = at;
        }
    }

    /// The station that has the address, as far as is known.
    pub(super) fn holder(&self, vlans: Vlans, address: IpAddr) -> Option<Mac> {
        let claimed = self.addresses.get(&(vlans, address)).map(|known| known.holder);
        claimed.or_else(|| self.users.get(&(vlans, address)).map(|user| user.mac))
    }

    /// A packet shows who uses its source, and who forwards.
    pub(super) fn packet(
        &mut self,
        heard: &Heard<'_>,
        packet: &Packet<'_>,
        findings: &mut Vec<Finding>,
    ) {
        /// Hop limits that systems begin with (Linux, BSD and Windows; routers; old ones): any other was lowered
        /// by a router on the way.
        const FIRST: [u8; 6] = [1, 30, 32, 64, 128, 255];
        let Some(mac) = heard.reading.link.source.filter(|mac| mac.is_unicast()) else { return };
        let (vlans, at) = (heard.vlans(), heard.at().mono);
        if packet.source.is_unspecified() || packet.source.is_multicast() {
            return;
        }
        if !FIRST.contains(&packet.hop_limit) {
            if let Some(last) = self.routers.entry((vlans, mac), || at) {
                *last = at;
            }
            return;
        }
        let make = || User { mac, before: None, last: at };
        if let Some(user) = self.users.entry((vlans, packet.source), make) {
            if user.mac != mac {
                (user.before, user.mac) = (Some(user.mac), mac);
            }
            user.last = at;
        }
        let uses = |known: &&mut Address| {
            let settled = at.since(known.since.mono) >= SETTLED && !known.aliases;
            settled && known.before.is_some_and(|(before, _)| before == mac) && known.holder != mac
        };
        if let Some(known) = self.addresses.get_mut(&(vlans, packet.source)).filter(uses) {
            let ours = heard.sent_here || heard.local.is_station(mac);
            let turn = known.turn((mac, ours), heard.at(), How::Told);
            self.judge(heard, packet.source, mac, How::Told, turn, findings);
        }
    }

    /// `mac` says that it has the address.
    pub(super) fn claimed(
        &mut self,
        heard: &Heard<'_>,
        address: IpAddr,
        mac: Mac,
        how: How,
        findings: &mut Vec<Finding>,
    ) {
        let (vlans, at) = (heard.vlans(), heard.at());
        if mac.is_virtual_router() || !mac.is_unicast() || mac == Mac::default() {
            return;
        }
        let key = (vlans, address);
        if self.shared.get(&key).is_some() {
            return;
        }
        let ours = heard.sent_here || heard.local.is_station(mac);
        let wanted = self.wanted.get(&key).is_some_and(|asked| at.mono.since(*asked) < PROBED);
        let user = self.users.get(&key);
        // One host with several link addresses sends from each of them, before it claims anything anew.
        let alias = user.is_some_and(|user| user.before.is_some() && user.has(mac));
        let before = || heard.local.place_before(at.mono, address, heard.seen.interface, vlans);
        let holder = before().or(user.map(|user| user.mac)).unwrap_or(mac);
        let Some(known) = self.addresses.entry(key, || Address::new(holder, at)) else { return };
        let has = !ours && heard.local.has_address(address, heard.seen.interface, vlans);
        if has || (wanted && !ours) {
            let place = place(vlans);
            let sentence = if has {
                format!("{address}{place} is ours, and {mac} claims it, too")
            } else {
                format!("{address}{place}, which this host wants, is taken: {mac} claims it")
            };
            let finding = conflict(heard, address, sentence);
            known.last = at;
            match (&mut known.foreign, known.conflict.is_open()) {
                (None, false) => known.foreign = Some(Box::new(finding)),
                (Some(first), _) => first.count += 1,
                (None, true) => known.conflict.more(at),
            }
            return;
        }
        if mac != known.holder {
            known.aliases = alias && user.is_some_and(|user| user.has(known.holder));
        }
        let aliases = known.aliases;
        let turn = known.turn((mac, ours), at, how).filter(|_| !aliases);
        self.judge(heard, address, mac, how, turn, findings);
    }

    /// Tells what a turn means.
    fn judge(
        &mut self,
        heard: &Heard<'_>,
        address: IpAddr,
        mac: Mac,
        how: How,
        turn: Option<Turn>,
        findings: &mut Vec<Finding>,
    ) {
        let place = place(heard.vlans());
        match turn {
            Some(Turn::Both((other, other_ours), first)) => {
                let ours = heard.sent_here || heard.local.is_station(mac);
                let proxy = |mac| self.is_proxy(heard.vlans(), mac);
                if ours && other_ours || proxy(mac) || proxy(other) {
                    return;
                }
                let sentence = format!("{address}{place} is claimed by {other} and by {mac}");
                let finding = Finding { first, ..conflict(heard, address, sentence) };
                let finding = finding.about(Party::Station(other));
                if let Some(known) = self.addresses.get_mut(&(heard.vlans(), address)) {
                    known.conflict.begin(finding, findings);
                }
            }
            Some(Turn::Moved(from, last)) => {
                let ours = heard.local.is_station(mac) && heard.local.is_station(from);
                let moved = (heard.vlans(), address, mac);
                if ours
                    || from.is_virtual_router()
                    || !self.is_told(heard, address)
                    || !heard.local.is_news(moved, heard.seen.interface, heard.at().mono)
                {
                    return;
                }
                let severity = self.badness(heard, address, from, how, last);
                let (what, how) = match (severity, how) {
                    (Severity::Warning, _) => (", a next hop,", " without an announcement"),
                    (_, How::Announced) => ("", " and was announced there"),
                    (_, How::Told) => ("", ""),
                };
                let sentence = format!("{address}{place}{what} moved from {from} to {mac}{how}");
                let finding = heard.finding(FindingKind::AddressMoved, severity, sentence);
                let stations = [Party::Station(from), Party::Station(mac)];
                findings.push(stations.into_iter().fold(finding, Finding::about));
            }
            None => {}
        }
    }

    /// How bad it is that an address left the station `from`, which claimed it `last`.
    fn badness(
        &self,
        heard: &Heard<'_>,
        address: IpAddr,
        from: Mac,
        how: How,
        last: Stamp,
    ) -> Severity {
        let (vlans, at) = (heard.vlans(), heard.at().mono);
        if how == How::Announced {
            return Severity::Info;
        }
        let routers = heard.local.routers(address.is_ipv6(), heard.seen.interface, vlans, at);
        let lately = |last: &Mono| at.since(*last) < TURNS;
        let forwards =
            self.routers.get(&(vlans, from)).is_some_and(lately) && !self.is_proxy(vlans, from);
        let used = self.users.get(&(vlans, address)).map_or(last.mono, |user| user.last);
        if routers.contains(&address) || forwards {
            Severity::Warning
        } else if at.since(used.max(last.mono)) < BUSY {
            Severity::Notice
        } else {
            Severity::Info
        }
    }

    /// True if one more move may be told, and not of the same address just now.
    fn is_told(&mut self, heard: &Heard<'_>, address: IpAddr) -> bool {
        let at = heard.at().mono;
        if at.since(self.moves_since) >= TURNS {
            (self.moves, self.moves_since) = (0, at);
        }
        let Some(known) = self.addresses.get_mut(&(heard.vlans(), address)) else { return false };
        if known.moved.replace(at).is_some_and(|moved| at.since(moved) < TURNS) {
            return false;
        }
        self.moves += 1;
        let room = self.moves <= MOVES;
        self.untold += u64::from(!room);
        room
    }

    fn is_proxy(&self, vlans: Vlans, mac: Mac) -> bool {
        let its =
            |((of, _), known): &(&(Vlans, IpAddr), &Address)| *of == vlans && known.holder == mac;
        self.addresses.iter().filter(its).take(PROXIED).count() >= PROXIED
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let at = now.at.mono;
        self.addresses.retain(|(vlans, address), known| {
            let due = |first: &mut Box<Finding>| at.since(first.first.mono) >= GRACE;
            if let Some(mut first) = known.foreign.take_if(due) {
                let wanted = self.wanted.get(&(*vlans, *address)).is_some();
                if wanted || now.local.has_address(*address, now.interface, *vlans) {
                    first.last = known.last;
                    known.conflict.begin(*first, findings);
                }
            }
            if known.conflict.last().is_some_and(|last| at.since(last.mono) > TURNS) {
                let sentence = || format!("{address}{} is claimed by one station", place(*vlans));
                known.conflict.end(now.at, sentence, findings);
            }
            at.since(known.last.mono) < FORGET
        });
        self.users.retain(|_, user| at.since(user.last) < BUSY);
        self.routers.retain(|_, last| at.since(*last) < BUSY);
        self.shared.retain(|_, last| at.since(*last) < FORGET);
        self.wanted.retain(|_, asked| at.since(*asked) < PROBED);
    }

    /// Also moves that were not told.
    pub(super) fn refused(&self) -> u64 {
        let tables = [self.addresses.refused(), self.users.refused(), self.routers.refused()];
        let small = self.shared.refused() + self.wanted.refused();
        tables.into_iter().sum::<u64>() + small + self.untold
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.addresses.iter().map(|(_, address)| &address.conflict)
    }
}

fn conflict(heard: &Heard<'_>, address: IpAddr, sentence: String) -> Finding {
    let finding = heard.finding(FindingKind::AddressConflict, Severity::Warning, sentence);
    finding.about(Party::Host(address))
}

impl User {
    fn has(&self, mac: Mac) -> bool {
        self.mac == mac || self.before == Some(mac)
    }
}

impl Address {
    fn new(holder: Mac, at: Stamp) -> Self {
        Self {
            holder,
            ours: false,
            before: None,
            aliases: false,
            since: at,
            last: at,
            turns: [None; 3],
            moved: None,
            conflict: Lasting::default(),
            foreign: None,
        }
    }

    /// A claim, and what it changes.
    fn turn(&mut self, (mac, ours): (Mac, bool), at: Stamp, how: How) -> Option<Turn> {
        let (since, last) = (self.since, std::mem::replace(&mut self.last, at));
        if mac == self.holder {
            self.ours = ours;
            return None;
        }
        let other =
            (std::mem::replace(&mut self.holder, mac), std::mem::replace(&mut self.ours, ours));
        let back = self.before.replace(other).is_some_and(|(before, _)| before == mac);
        self.since = at;
        let within = |then: Mono, time| at.mono.since(then) <= time;
        if !back || (how == How::Announced && !within(since.mono, AT_ONCE)) {
            self.turns = [None; 3];
        }
        if how == How::Announced && !(back && within(since.mono, AT_ONCE)) {
            return Some(Turn::Moved(other.0, last));
        }
        self.turns.rotate_right(1);
        self.turns[0] = Some(at.mono);
        let in_turns = self.turns[2].is_some_and(|turn| within(turn, TURNS));
        if back && within(last.mono, DEFENCE) || in_turns {
            Some(Turn::Both(other, since))
        } else {
            Some(Turn::Moved(other.0, last))
        }
    }
}
