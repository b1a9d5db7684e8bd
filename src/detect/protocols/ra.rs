//! Router advertisements: the default router of IPv6 that stays away, resigns, or is somebody else's.
//!
//! | what happens | conclusion |
//! |---|---|
//! | nothing of a router for the lifetime it announced | expired; critical if no other router is left |
//! | lifetime zero from a router that had offered itself | withdrawn; a notice if another router is left |
//! | a router that was not here before | rogue, also if it only claims to be one that was |
//! | a prefix in place of another, or taken back; other changes | changed; the latter a notice |
//!
//! Who begins to watch does not know all routers yet: some speak each ten minutes only (RFC 4861 §6.2.1). So one is
//! new only if this host uses another and did not know it, or if it speaks so often that it would have been heard.
//! Routers that offer no default route (lifetime zero; border routers of Thread and the like) are nobody's concern.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::{Mono, Stamp};
use crate::wire::Mac;
use crate::wire::link::Vlans;
use crate::wire::ra::{Prefix, Ra};

/// Routers remembered, of all VLANs.
const ROUTERS: usize = 512;
/// Prefixes remembered of each.
const PREFIXES: usize = 16;
/// A router is new if those who watch would have heard it so many times before: three are missing nowhere.
const MISSED: u32 = 3;
/// And at least so long: a router that begins sends its first three within it (RFC 4861 §10).
const LEARNING: Duration = Duration::from_secs(10);
/// Advertisements without a prefix until it counts as gone: a router may send its prefixes in turns.
const WITHOUT: u8 = 2;
/// One change of a router is told in this time, however often it comes.
const CHANGES: Duration = Duration::from_secs(60);

/// Judges the router advertisements of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    routers: Bounded<(Vlans, IpAddr), Router>,
}

#[derive(Debug)]
struct Router {
    first: Stamp,
    last: Stamp,
    /// Advertisements heard.
    count: u64,
    /// The longest time between two.
    longest: Duration,
    mac: Option<Mac>,
    advertised: Ra,
    /// Each with the advertisements that came without it since.
    prefixes: BTreeMap<Prefix6, u8>,
    /// Somebody else's, or not known to be.
    newcomer: Option<Box<Finding>>,
    changed: Option<Mono>,
    gone: Lasting,
    rogue: Lasting,
}

/// Address and length of a prefix.
type Prefix6 = (std::net::Ipv6Addr, u8);

impl Watch {
    pub(super) fn new() -> Self {
        Self { routers: Bounded::new(ROUTERS) }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, ra: &Ra, findings: &mut Vec<Finding>) {
        /// What comes from a router of another link is none (RFC 4861 §6.1.2).
        const HOP_LIMIT: u8 = 255;
        let Some(packet) = heard.reading.packet.filter(|packet| packet.hop_limit == HOP_LIMIT)
        else {
            return;
        };
        let (key, at) = ((heard.vlans(), packet.source), heard.at());
        let mac = ra.mac.or(heard.reading.link.source);
        let others = self.others(key, at.mono);
        if self.routers.get(&key).is_none() {
            let newcomer = self.newcomer(heard, packet.source, ra, &others);
            let known =
                newcomer.as_ref().is_some_and(|_| is_foreign(heard, packet.source, &others));
            let router = Router::new(at, mac, *ra, newcomer);
            let Some(router) = self.routers.entry(key, || router) else { return };
            if known && let Some(newcomer) = router.newcomer.take() {
                router.rogue.begin(*newcomer, findings);
            }
            return;
        }
        let heard_since = self.since(key.0);
        let beside = self.last_of(&others, key.0);
        let Some(router) = self.routers.get_mut(&key) else { return };
        router.beat(at);
        router.rogue.more(at);
        router.settle(heard_since, beside, findings);
        router.station(heard, packet.source, mac, findings);
        router.lifetime(heard, packet.source, ra, others.is_empty(), findings);
        router.content(heard, packet.source, ra, findings);
        router.advertised = *ra;
    }

    /// The other default routers of the segment.
    fn others(&self, (vlans, router): (Vlans, IpAddr), at: Mono) -> Vec<IpAddr> {
        let all = self.routers.iter().filter(|((of, other), _)| *of == vlans && *other != router);
        all.filter(|(_, other)| other.is_default(at)).map(|((_, other), _)| *other).collect()
    }

    /// When one of these was heard last.
    fn last_of(&self, routers: &[IpAddr], vlans: Vlans) -> Option<Mono> {
        let known = routers.iter().filter_map(|router| self.routers.get(&(vlans, *router)));
        known.map(|router| router.last.mono).max()
    }

    /// When the first advertisement of the segment was heard.
    fn since(&self, vlans: Vlans) -> Mono {
        let all = self.routers.iter().filter(|((of, _), _)| *of == vlans);
        all.map(|(_, router)| router.first.mono).min().unwrap_or_default()
    }

    /// What is to be told of a router that was not heard before, if it turns out to be new.
    fn newcomer(
        &self,
        heard: &Heard<'_>,
        router: IpAddr,
        ra: &Ra,
        others: &[IpAddr],
    ) -> Option<Box<Finding>> {
        // Captures of any mix the interfaces of a host.
        let is_segment = heard.reading.link.destination.is_some();
        if ra.lifetime.is_zero() || heard.sent_here || !is_segment {
            return None;
        }
        let other = others.first()?;
        let prefixes: Vec<_> = ra.prefixes().iter().map(Prefix::to_string).collect();
        let prefixes = match &prefixes[..] {
            [] => String::new(),
            prefixes => format!(" with {}", prefixes.join(", ")),
        };
        let sentence = format!(
            "another router, {router}{}, advertises itself{}{prefixes}, beside {other}",
            ra.mac.map_or_else(String::new, |mac| format!(" ({mac})")),
            place(heard.vlans()),
        );
        let finding = heard.finding(FindingKind::RaRogue, Severity::Warning, sentence);
        Some(Box::new(finding.about(Party::Host(router)).about(Party::Host(*other))))
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let at = now.at.mono;
        let left: Vec<_> = self
            .routers
            .iter()
            .filter(|(_, router)| router.is_default(at))
            .map(|((vlans, _), _)| *vlans)
            .collect();
        self.routers.retain(|(vlans, address), router| {
            let others = left.contains(vlans);
            // What is down hears nobody.
            if !now.local.is_down(now.interface) {
                router.check(now, *address, &place(*vlans), others, findings);
            }
            let forgotten = at.since(router.last.mono) > router.advertised.lifetime.max(FORGET);
            if forgotten {
                let sentence = || "silent for long, not waited for any longer".to_owned();
                router.gone.end(now.at, sentence, findings);
                router.rogue.end(now.at, sentence, findings);
            }
            !forgotten
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.routers.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.routers.iter().flat_map(|(_, router)| [&router.gone, &router.rogue])
    }
}

/// True if this host uses one of the `others`, and did not know `router` before.
fn is_foreign(heard: &Heard<'_>, router: IpAddr, others: &[IpAddr]) -> bool {
    let known = heard.local.routers(true, heard.seen.interface, heard.vlans(), heard.at().mono);
    !known.contains(&router) && others.iter().any(|other| known.contains(other))
}

impl Router {
    fn new(at: Stamp, mac: Option<Mac>, ra: Ra, newcomer: Option<Box<Finding>>) -> Self {
        let prefixes = ra.prefixes().iter().map(|prefix| (name(prefix), 0)).collect();
        Self {
            first: at,
            last: at,
            count: 1,
            longest: Duration::ZERO,
            mac,
            advertised: ra,
            prefixes,
            newcomer,
            changed: None,
            gone: Lasting::default(),
            rogue: Lasting::default(),
        }
    }

    /// It offers itself as default router, and did so lately.
    fn is_default(&self, at: Mono) -> bool {
        at.since(self.last.mono) < self.advertised.lifetime
    }

    fn beat(&mut self, at: Stamp) {
        if self.is_default(at.mono) {
            self.longest = self.longest.max(at.mono.since(self.last.mono));
        }
        (self.last, self.count) = (at, self.count + 1);
    }

    /// Decides whether it is new, once it is known how often it speaks, and that one of the others was heard
    /// `beside` it: else this is another network.
    fn settle(&mut self, heard_since: Mono, beside: Option<Mono>, findings: &mut Vec<Finding>) {
        if beside.is_none_or(|last| last < self.first.mono) {
            return;
        }
        let Some(newcomer) = self.newcomer.take() else { return };
        let unheard = self.first.mono.since(heard_since);
        if unheard > LEARNING.max(self.longest * MISSED) {
            self.rogue.begin(*newcomer, findings);
            self.rogue.more(self.last);
        }
    }

    /// Somebody else speaks in its name.
    fn station(
        &mut self,
        heard: &Heard<'_>,
        address: IpAddr,
        mac: Option<Mac>,
        findings: &mut Vec<Finding>,
    ) {
        let (Some(before), Some(mac)) = (self.mac, mac) else { return };
        if before == mac || before.is_virtual_router() || mac.is_virtual_router() {
            return;
        }
        self.mac = Some(mac);
        let sentence = format!(
            "router advertisements of {address}{} come from {mac}, and came from {before}",
            place(heard.vlans())
        );
        let finding = heard.finding(FindingKind::RaRogue, Severity::Warning, sentence);
        self.rogue.begin(finding.about(Party::Station(before)), findings);
    }

    /// It resigns, or offers itself again.
    fn lifetime(
        &mut self,
        heard: &Heard<'_>,
        address: IpAddr,
        ra: &Ra,
        alone: bool,
        findings: &mut Vec<Finding>,
    ) {
        let place = place(heard.vlans());
        if !ra.lifetime.is_zero() {
            let sentence = || format!("router {address} advertises itself again");
            self.gone.end(heard.at(), sentence, findings);
        } else if !self.advertised.lifetime.is_zero() {
            let severity = if alone { Severity::Warning } else { Severity::Notice };
            let sentence =
                format!("router {address}{place} is no default router any longer (lifetime 0)");
            let finding = heard.finding(FindingKind::RaWithdrawn, severity, sentence);
            self.gone.begin(finding, findings);
        }
    }

    /// What it announces beside its lifetime.
    fn content(
        &mut self,
        heard: &Heard<'_>,
        address: IpAddr,
        ra: &Ra,
        findings: &mut Vec<Finding>,
    ) {
        let now: BTreeMap<Prefix6, Duration> =
            ra.prefixes().iter().map(|prefix| (name(prefix), prefix.valid)).collect();
        let withdrawn = |prefix: &Prefix6| now.get(prefix).is_some_and(Duration::is_zero);
        let mut gone: Vec<_> = self.prefixes.keys().copied().filter(withdrawn).collect();
        self.prefixes.retain(|prefix, _| !withdrawn(prefix));
        let good = now.iter().filter(|(_, valid)| !valid.is_zero()).map(|(prefix, _)| *prefix);
        let came: Vec<_> =
            good.clone().filter(|prefix| !self.prefixes.contains_key(prefix)).collect();
        for (prefix, without) in &mut self.prefixes {
            *without = if now.contains_key(prefix) { 0 } else { without.saturating_add(1) };
        }
        let replaced = |without: u8| without >= WITHOUT && now.keys().next().is_some();
        gone.extend(self.prefixes.iter().filter(|(_, n)| replaced(**n)).map(|(prefix, _)| *prefix));
        self.prefixes.retain(|_, without| !replaced(*without));
        let room = PREFIXES.saturating_sub(self.prefixes.len());
        self.prefixes.extend(came.iter().take(room).map(|prefix| (*prefix, 0)));
        let before = &self.advertised;
        let mut changes: Vec<String> = Vec::new();
        let list = |all: &[Prefix6]| {
            all.iter()
                .map(|(address, length)| format!("{address}/{length}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        if !gone.is_empty() {
            changes.push(format!("no longer announces {}", list(&gone)));
        }
        if !came.is_empty() {
            changes.push(format!("announces {}", list(&came)));
        }
        if (before.managed, before.other) != (ra.managed, ra.other) {
            changes.push(format!("flags managed {}, other {}", ra.managed, ra.other));
        }
        if before.lifetime != ra.lifetime && !before.lifetime.is_zero() && !ra.lifetime.is_zero() {
            let (before, now) = (before.lifetime.as_secs(), ra.lifetime.as_secs());
            changes.push(format!("lifetime {now} s, was {before} s"));
        }
        let at = heard.at().mono;
        if changes.is_empty() || self.changed.is_some_and(|last| at.since(last) < CHANGES) {
            return;
        }
        self.changed = Some(at);
        let severity = if gone.is_empty() { Severity::Notice } else { Severity::Warning };
        let place = place(heard.vlans());
        let sentence = format!("router {address}{place}: {}", changes.join("; "));
        findings.push(heard.finding(FindingKind::RaChanged, severity, sentence));
    }

    /// Its lifetime may be over.
    fn check(
        &mut self,
        now: &Now<'_>,
        address: IpAddr,
        place: &str,
        others: bool,
        findings: &mut Vec<Finding>,
    ) {
        /// One advertisement alone may have been meant for somebody else.
        const OFTEN: u64 = 2;
        let offered = !self.advertised.lifetime.is_zero() && self.count >= OFTEN;
        if !offered || self.is_default(now.at.mono) || self.gone.is_open() {
            return;
        }
        let lifetime = self.advertised.lifetime;
        let severity = if others { Severity::Warning } else { Severity::Critical };
        let sentence = format!(
            "no router advertisement of {address}{place} for {} s, its lifetime: the default route by it is gone",
            lifetime.as_secs()
        );
        let what = format!("router {address}, lifetime {} s", lifetime.as_secs());
        let finding = now.finding(FindingKind::RaExpired, severity, what, sentence);
        let due = self.last.mono.plus(self.longest.min(lifetime));
        let first = Stamp { mono: due, wall: now.at.offset().wall(due) };
        let stations = self.mac.map(Party::Station).into_iter();
        let finding = stations.fold(finding.about(Party::Host(address)), Finding::about);
        self.gone.begin(Finding { first, count: 0, ..finding }, findings);
    }
}

fn name(prefix: &Prefix) -> Prefix6 {
    (prefix.address, prefix.length)
}
