//! A next hop that is silent: frames go to a station, a router or a host, and none comes from it any more,
//! seen without asking it anything.
//!
//! ```text
//!   from it   ││ ││ ││ │                                  longest usual pause
//!   to it     │││ ││ │││ s  s d s   s    d s ─► told: three seconds, four pauses, eight questions
//!                        └ SYN, echo, data: each would be answered, or at least acknowledged
//! ```
//!
//! Only what any station that works would answer counts, not syslog and the like. A client that is switched off
//! in the middle of a download is no failure: conversations must be begun, or be with several hosts, which
//! only a router has behind it. Where all that was asked is of one host behind it, that host may be the silent
//! one, and the sentence says so. Nothing is told of a station that was seldom heard, while nothing at all is
//! received, or while a storm runs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::addresses::Addresses;
use super::condition::ConditionSpan;
use super::usual::{Listener, Missing, Usual};
use super::{Draft, Scene};
use crate::detect::tap::{Station, StationCounts, Summary};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::Stamp;
use crate::wire::Mac;
use crate::words::figure;

/// Every station, in each VLAN; as many as the tap has places for.
#[derive(Debug, Default)]
pub(super) struct NextHops {
    listeners: BTreeMap<(Mac, u16), Listener>,
}

/// What is needed to say that a station is silent.
const MISSING: Missing = Missing { least: Duration::from_secs(3), pauses: 4, asked: 8 };
/// Of the questions, those that begin something;
const OPENERS: u16 = 6;
/// or so many hosts are asked.
const HOSTS: u32 = 3;
/// Frames of it in the last half minute in which it was heard.
const HEARD: u32 = 20;
/// Others that were heard within this time speak.
const SPEAKING: Duration = Duration::from_secs(1);
/// Frames of it in another VLAN that begin up to so long before its last one in this came instead.
const INSTEAD: Duration = Duration::from_secs(1);

impl NextHops {
    /// Listens, and tells who is silent, unless something else explains it, in its VLAN.
    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        addresses: &Addresses,
        is_explained: impl Fn(u16) -> bool,
        findings: &mut Vec<Finding>,
    ) {
        let counts = &summary.stations;
        let recording = summary.health.recording;
        let key = |station: &Station| (station.mac, station.vlan);
        if self.listeners.len() > counts.stations.len() {
            self.listeners.retain(|listener, _| {
                counts.stations.iter().any(|station| key(station) == *listener)
            });
        }
        for station in &counts.stations {
            let begins = |usual: &Usual| {
                let silent = recording && !is_explained(station.vlan) && is_silent(usual, station);
                silent.then(|| silence(scene, summary.at, addresses, counts, (usual, station)))
            };
            let again = |over: &Finding| {
                let lasted = over.last.mono.since(over.first.mono).as_secs_f64();
                let who = addresses.name(station.mac, station.vlan);
                format!("{who} is heard again on {} after {lasted:.1} s", scene.interface)
            };
            let listener = self.listeners.entry(key(station)).or_default();
            findings.extend(listener.look(summary.at, &station.hearing, begins, again));
        }
    }
}

fn is_silent(usual: &Usual, station: &Station) -> bool {
    let open = station.hearing.open();
    usual.is_missed(&station.hearing, &MISSING)
        && usual.frames() >= HEARD
        && (open.openers >= OPENERS || open.hosts() >= HOSTS)
}

fn silence(
    scene: Scene<'_>,
    at: Stamp,
    addresses: &Addresses,
    counts: &StationCounts,
    (usual, station): (&Usual, &Station),
) -> Finding {
    let (Station { mac, vlan, .. }, open) = (*station, station.hearing.open());
    if let Some(elsewhere) = elsewhere(counts, station) {
        return moved(scene, at, addresses, station, elsewhere);
    }
    let own = addresses.of(mac, vlan);
    let behind = addresses.asked(mac, vlan).filter(|asked| Some(*asked) != own);
    let (who, whom, severity) = match behind {
        Some(only) if open.hosts() == 1 => ("next hop", all_for(only), Severity::Warning),
        Some(_) => ("next hop", String::new(), Severity::Critical),
        None => ("neighbour", String::new(), Severity::Warning),
    };
    let what = format!("{who} {} is silent", addresses.name(mac, vlan));
    let sentence = format!(
        "{what}: nothing is received from it on {} any more (before: {} frames/s, never {:.1} s without), though {} \
         were sent to it since, {} of them questions{whom}; {}",
        scene.place(vlan),
        figure(usual.rate()),
        usual.pause().as_secs_f64(),
        open.sent,
        open.asked,
        others(at, counts),
    );
    let (kind, direction) = (FindingKind::NextHopSilent, Direction::Outbound);
    let span =
        ConditionSpan { first: usual.due(at), last: at, count: open.sent.into(), over: false };
    let finding = scene.finding(span, Draft { kind, severity, direction, what, sentence });
    addresses.about(finding, mac, vlan)
}

fn all_for(host: IpAddr) -> String {
    format!(", all for {host}, so it may be that host which is silent")
}

/// Whether anybody else is heard.
fn others(at: Stamp, counts: &StationCounts) -> &'static str {
    if at.mono.since(counts.hearing().last) < SPEAKING {
        "others there are heard"
    } else {
        "nobody else is heard there either"
    }
}

/// The same station in a VLAN in which it was not heard before.
fn elsewhere<'a>(counts: &'a StationCounts, station: &Station) -> Option<&'a Station> {
    let begun = station.hearing.last.minus(INSTEAD);
    counts.stations.iter().find(|other| {
        other.mac == station.mac && other.vlan != station.vlan && other.hearing.first >= begun
    })
}

/// It is heard in another VLAN.
fn moved(
    scene: Scene<'_>,
    at: Stamp,
    addresses: &Addresses,
    station: &Station,
    elsewhere: &Station,
) -> Finding {
    let who = addresses.name(station.mac, station.vlan);
    let what =
        format!("{who} is heard {}, no longer {}", tagged(elsewhere.vlan), tagged(station.vlan));
    let sentence = format!(
        "tagging changed: {what}, where it is still asked, on {}: the VLANs of a port changed",
        scene.interface
    );
    let (kind, severity) = (FindingKind::TaggingChanged, Severity::Warning);
    let begun = elsewhere.hearing.first;
    let first = Stamp { mono: begun, wall: at.offset().wall(begun) };
    let span =
        ConditionSpan { first, last: at, count: elsewhere.hearing.heard.into(), over: false };
    let direction = Direction::Inbound;
    let finding = scene.finding(span, Draft { kind, severity, direction, what, sentence });
    let finding = addresses.about(finding, station.mac, station.vlan);
    addresses.about(finding, elsewhere.mac, elsewhere.vlan)
}

fn tagged(vlan: u16) -> String {
    if vlan == 0 { "untagged".to_owned() } else { format!("in VLAN {vlan}") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, summary};
    use super::*;
    use crate::detect::Seen;
    use crate::detect::protocols::tests::frames;
    use crate::detect::tap::{Hearing, Vlan};
    use crate::frame::{FrameHeader, LinkType};

    const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const FAULT: u64 = 20_000;

    /// How the router is heard and asked.
    #[derive(Clone, Copy)]
    struct Story {
        per_second: u64,
        asked_per_second: u64,
        /// After the last frame heard, in milliseconds.
        asked_after: u64,
        hosts: u32,
        /// Questions begin something.
        opens: bool,
    }

    const USUAL: Story =
        Story { per_second: 20, asked_per_second: 5, asked_after: 100, hosts: 1, opens: true };

    impl Story {
        fn hearing(self, ms: u64) -> Hearing {
            let heard = FAULT.min(ms) * self.per_second / 1_000;
            let last = heard * 1_000 / self.per_second;
            let begun = last + self.asked_after;
            let asked =
                if ms >= begun { (ms - begun) * self.asked_per_second / 1_000 + 1 } else { 0 };
            let until = begun + asked.saturating_sub(1) * 1_000 / self.asked_per_second;
            let span = (at(begun).mono, at(until).mono);
            let hearing = Hearing::of(heard as u32, at(last).mono, asked as u16, span, self.hosts);
            if self.opens { hearing } else { hearing.without_openers() }
        }
    }

    fn told(
        story: Story,
        addresses: &Addresses,
        others: bool,
        explained: bool,
    ) -> Vec<(u64, Finding)> {
        let (mut next_hops, mut told) = (NextHops::default(), Vec::new());
        for ms in (1_000..35_000).step_by(100) {
            let mut seen = summary(ms);
            let hearing = story.hearing(ms);
            let mut other = hearing;
            other.last = at(ms).mono;
            seen.stations.stations = vec![Station { mac: ROUTER, hearing, ..Station::default() }];
            seen.stations.vlans =
                vec![Vlan { id: 0, hearing: if others { other } else { hearing } }];
            let mut findings = Vec::new();
            let scene = Scene { interface: "eth0" };
            next_hops.judge(scene, &seen, addresses, |_| explained, &mut findings);
            told.extend(findings.into_iter().map(|finding| (ms, finding)));
        }
        told
    }

    /// The router was resolved, and asked for another host.
    fn addresses() -> Addresses {
        let mut addresses = Addresses::default();
        let mut show = |bytes: &[u8], direction| {
            let header = FrameHeader { direction, ..FrameHeader::default() };
            addresses.frame(&Seen {
                interface: "eth0",
                link_type: LinkType::ETHERNET,
                header,
                at: at(1),
                bytes,
                noticed: None,
            });
        };
        let us = Mac([2, 0, 0, 0, 0, 9]);
        let mut packet = vec![0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 9];
        packet.extend([198, 51, 100, 2]);
        show(&frames::arp_reply((ROUTER, 1), (us, 9)), Direction::Inbound);
        show(&frames::ethernet(ROUTER, us, 0x0800, &packet), Direction::Outbound);
        addresses
    }

    #[test]
    fn a_router_that_fell_silent_is_named_within_five_seconds() {
        for (others, words) in
            [(true, "others there are heard"), (false, "nobody else is heard there either")]
        {
            let told = told(USUAL, &addresses(), others, false);
            let [(ms, finding)] = &told[..] else { panic!("{told:?}") };
            assert!((23_000..24_500).contains(ms), "{ms}");
            assert_eq!(finding.severity, Severity::Warning);
            let due = FAULT + 45..=FAULT + 55;
            assert!(due.contains(&(finding.first.mono.0 / 1_000_000)), "{:?}", finding.first);
            let sentence = &finding.sentence;
            assert!(
                sentence.starts_with("next hop 10.0.0.1 (02:00:00:00:00:01) is silent"),
                "{sentence}"
            );
            assert!(
                sentence.contains("all for 198.51.100.2, so it may be that host"),
                "{sentence}"
            );
            assert!(sentence.ends_with(words), "{sentence}");
        }
        let several = told(Story { hosts: 4, opens: false, ..USUAL }, &addresses(), true, false);
        assert_eq!(several[0].1.severity, Severity::Critical);
        let unknown = told(USUAL, &Addresses::default(), true, false);
        assert!(unknown[0].1.sentence.starts_with("neighbour 02:00:00:00:00:01 is silent"));
    }

    #[test]
    fn silence_that_is_ordinary_is_not_told() {
        for (name, story, explained) in [
            ("a download is cut off by its client", Story { opens: false, ..USUAL }, false),
            ("few questions", Story { asked_per_second: 1, ..USUAL }, false),
            ("asked of somebody who never was there", Story { asked_after: 2_000, ..USUAL }, false),
            ("seldom heard", Story { per_second: 1, asked_per_second: 1, ..USUAL }, false),
            ("a storm", USUAL, true),
        ] {
            let told = told(story, &addresses(), true, explained);
            let early: Vec<_> = told.iter().filter(|(ms, _)| *ms < FAULT + 6_000).collect();
            assert!(early.is_empty(), "{name}: {early:?}");
        }
    }

    #[test]
    fn a_station_that_is_heard_with_another_tag_moved() {
        let (mut next_hops, mut told) = (NextHops::default(), Vec::new());
        for ms in (1_000..35_000).step_by(100) {
            let mut seen = summary(ms);
            let station =
                |vlan, hearing| Station { mac: ROUTER, vlan, hearing, ..Station::default() };
            seen.stations.stations.push(station(956, USUAL.hearing(ms)));
            if ms > FAULT {
                let mut elsewhere = USUAL.hearing(ms);
                (elsewhere.first, elsewhere.last) = (at(FAULT + 20).mono, at(ms).mono);
                seen.stations.stations.push(station(0, elsewhere));
            }
            next_hops.judge(Scene { interface: "eth0" }, &seen, &addresses(), |_| false, &mut told);
        }
        let [finding] = &told[..] else { panic!("{told:?}") };
        assert_eq!((finding.kind, finding.first), (FindingKind::TaggingChanged, at(FAULT + 20)));
        assert!(
            finding.sentence.contains("is heard untagged, no longer in VLAN 956"),
            "{}",
            finding.sentence
        );
    }
}
