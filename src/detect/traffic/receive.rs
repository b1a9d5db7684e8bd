//! Receive silence: nothing comes in any more, of all or of one VLAN, within a second or two, while this host
//! goes on sending and was in the midst of conversations.
//!
//! ```text
//!   in    ││││ │││ ││││ │││   ·                        longest usual pause
//!   out   │ │  │ │ │  │ │ │   ?   ?  ??    ?  ? ─► told: a second, ten pauses, three questions
//! ```
//!
//! Several stations must have been heard just before: if only one was, it may be that one which is silent, see
//! [`next_hop`](super::next_hop). Where frames of a VLAN that was never seen begin as the others end, it is the
//! tagging that changed. Nothing is told of who was quiet, of a host that sends nothing (suspended, idle), or
//! where directions are not known; and nothing while a storm runs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::addresses::Addresses;
use super::condition::ConditionSpan;
use super::usual::{Listener, Missing, Usual};
use super::{Draft, Scene};
use crate::detect::tap::{Hearing, Station, StationCounts, Summary, Vlan};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::time::Stamp;
use crate::words::figure;

/// An interface and each of its VLANs; as many as the tap has places for.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    whole: Listener,
    vlans: BTreeMap<u16, Listener>,
}

/// What is needed to say that nothing is received.
const MISSING: Missing = Missing { least: Duration::from_secs(1), pauses: 10, asked: 3 };
/// The same, where frames of another VLAN come instead.
const MOVED: Missing = Missing { least: Duration::from_secs(1), pauses: 3, asked: 3 };
/// Frames a second below which pauses are ordinary.
const TALKATIVE: f64 = 10.0;
/// Stations heard within this time before the silence count as having been there.
const PRESENT: Duration = Duration::from_secs(10);
/// Frames of another VLAN that begin up to so long before the last one of this came instead of it.
const INSTEAD: Duration = Duration::from_secs(1);

impl Receiving {
    /// Listens, and tells what is silent, unless something else `explains` it.
    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        addresses: &Addresses,
        explained: bool,
        findings: &mut Vec<Finding>,
    ) {
        let counts = &summary.stations;
        let (at, whole) = (summary.at, counts.hearing());
        let may_tell = !explained && summary.health.recording;
        let begins = |usual: &Usual| {
            let deaf = may_tell && is_deaf(usual, &whole) && has_several(counts, None, &whole);
            deaf.then(|| silence(scene, at, "nothing at all", usual, &whole))
        };
        findings.extend(self.whole.look(at, &whole, begins, again));
        self.vlans.retain(|id, _| counts.vlans.iter().any(|vlan| vlan.id == *id));
        for Vlan { id, hearing } in &counts.vlans {
            let others_are_heard = whole.last.since(hearing.last) >= MISSING.least;
            let begins = |usual: &Usual| {
                if !may_tell || !others_are_heard {
                    return None;
                }
                let newcomer = newcomer(counts, *id, hearing);
                if let Some(new) = newcomer.filter(|_| usual.is_missed(hearing, &MOVED)) {
                    return Some(moved(scene, at, addresses, counts, (*id, new)));
                }
                let deaf = is_deaf(usual, hearing) && has_several(counts, Some(*id), hearing);
                let nothing = format!("no {} frame", tagged(*id));
                deaf.then(|| with_vlan(silence(scene, at, &nothing, usual, hearing), *id))
            };
            findings.extend(self.vlans.entry(*id).or_default().look(at, hearing, begins, again));
        }
    }

    /// It was told that nothing at all is received.
    pub(super) fn is_silent(&self) -> bool {
        self.whole.is_silent()
    }

    /// It was told that nothing is received of this VLAN, or that its frames come with another tag.
    pub(super) fn is_silent_in(&self, vlan: u16) -> bool {
        self.is_silent() || self.vlans.get(&vlan).is_some_and(Listener::is_silent)
    }
}

fn is_deaf(usual: &Usual, hearing: &Hearing) -> bool {
    usual.rate() >= TALKATIVE && usual.is_missed(hearing, &MISSING)
}

/// `nothing` of something is received.
fn silence(
    scene: Scene<'_>,
    at: Stamp,
    nothing: &str,
    usual: &Usual,
    hearing: &Hearing,
) -> Finding {
    let open = hearing.open();
    let what = format!("{nothing} is received");
    let sentence = format!(
        "{what} on {} any more (before: {} frames/s, never {:.1} s without), though {} were sent since, {} of \
         them questions: the receive path or the switch port",
        scene.interface,
        figure(usual.rate()),
        usual.pause().as_secs_f64(),
        open.sent,
        open.asked,
    );
    let (kind, severity) = (FindingKind::ReceiveSilence, Severity::Critical);
    let span =
        ConditionSpan { first: usual.due(at), last: at, count: open.sent.into(), over: false };
    let direction = Direction::Inbound;
    scene.finding(span, Draft { kind, severity, direction, what, sentence })
}

fn again(over: &Finding) -> String {
    let lasted = over.last.mono.since(over.first.mono).as_secs_f64();
    let interface = over.interface.as_deref().unwrap_or_default();
    format!("frames are received on {interface} again after {lasted:.1} s: {}", over.what)
}

/// The VLAN that was never seen before this one ended, and whose frames still come.
fn newcomer<'a>(counts: &'a StationCounts, id: u16, gone: &Hearing) -> Option<&'a Vlan> {
    let begun = gone.last.minus(INSTEAD);
    let came = |hearing: &Hearing| hearing.first >= begun && hearing.last > gone.last;
    counts.vlans.iter().find(|vlan| vlan.id != id && came(&vlan.hearing))
}

/// Frames come in another VLAN.
fn moved(
    scene: Scene<'_>,
    at: Stamp,
    addresses: &Addresses,
    counts: &StationCounts,
    (old, new): (u16, &Vlan),
) -> Finding {
    let who = counts.stations.iter().filter(|station| station.vlan == new.id);
    let who = who.max_by_key(|station| station.hearing.heard);
    let name = |station: &Station| {
        let known = addresses.of(station.mac, new.id).is_some();
        addresses.name(station.mac, if known { new.id } else { old })
    };
    let who =
        who.map_or_else(String::new, |station| format!(", such as those of {}", name(station)));
    let (old_name, new_name) = (tagged(old), tagged(new.id));
    let what = format!("{new_name} frames come, {old_name} ones no longer do");
    let sentence = format!(
        "tagging changed on {}: {new_name} frames are received, never seen there before{who}; {old_name} ones \
         no longer are, though questions are still sent so: the switch port's VLANs changed",
        scene.interface,
    );
    let (kind, severity) = (FindingKind::TaggingChanged, Severity::Critical);
    let begun = new.hearing.first;
    let first = Stamp { mono: begun, wall: at.offset().wall(begun) };
    let span = ConditionSpan { first, last: at, count: new.hearing.heard.into(), over: false };
    let direction = Direction::Inbound;
    let finding = scene.finding(span, Draft { kind, severity, direction, what, sentence });
    with_vlan(with_vlan(finding, old), new.id)
}

/// Several stations were heard just before, in one VLAN or all.
fn has_several(counts: &StationCounts, vlan: Option<u16>, hearing: &Hearing) -> bool {
    let present = hearing.last.minus(PRESENT);
    let there = counts.stations.iter().filter(|station| vlan.is_none_or(|id| station.vlan == id));
    there.filter(|station| station.hearing.last >= present).take(2).count() == 2
}

fn tagged(id: u16) -> String {
    if id == 0 { "untagged".to_owned() } else { format!("VLAN {id}") }
}

fn with_vlan(finding: Finding, id: u16) -> Finding {
    if id == 0 { finding } else { finding.about(Party::Vlan(id)) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, summary};
    use super::*;
    use crate::time::Mono;
    use crate::wire::Mac;

    /// Somebody who is heard so many times a second until a time, and then asked twice a second.
    #[derive(Clone, Copy)]
    struct Voice {
        vlan: u16,
        per_second: u64,
        /// From, until; milliseconds.
        heard: (u64, u64),
        asked: bool,
    }

    const END: u64 = 30_000;
    const FAULT: u64 = 12_030;

    impl Voice {
        fn hearing(self, ms: u64) -> Hearing {
            let (from, until) = self.heard;
            let until = until.min(ms);
            if until < from {
                return Hearing::default();
            }
            let between = 1_000 / self.per_second;
            let count = (until - from) / between + 1;
            let last = from + (count - 1) * between;
            // A question each half second, the first a moment after it was heard last.
            let asked = if self.asked && ms > last + 100 { (ms - last - 100) / 500 + 1 } else { 0 };
            let asked_until = last + 100 + asked.saturating_sub(1) * 500;
            let span = (at(last + 100).mono, at(asked_until).mono);
            let mut hearing = Hearing::of(count as u32, at(last).mono, asked as u16, span, 1);
            hearing.first = at(from).mono;
            hearing
        }
    }

    /// What is told when, of stations that are heard like this.
    fn told(voices: &[Voice], explained: bool) -> Vec<(u64, FindingKind, String, bool)> {
        let (mut receiving, mut told) = (Receiving::default(), Vec::new());
        for ms in (1_000..END).step_by(100) {
            let mut seen = summary(ms);
            let heard = voices.iter().filter(|voice| voice.heard.0 <= ms);
            seen.stations.stations = heard
                .enumerate()
                .map(|(n, voice)| Station {
                    mac: Mac([2, 0, 0, 0, 0, n as u8]),
                    vlan: voice.vlan,
                    hearing: voice.hearing(ms),
                    ..Station::default()
                })
                .collect();
            let ids: std::collections::BTreeSet<u16> =
                voices.iter().map(|voice| voice.vlan).collect();
            seen.stations.vlans = ids
                .into_iter()
                .map(|id| {
                    let of_it = seen.stations.stations.iter().filter(|station| station.vlan == id);
                    let all: Vec<Hearing> = of_it.map(|station| station.hearing).collect();
                    Vlan { id, hearing: Hearing::together(all.iter()) }
                })
                .filter(|vlan| vlan.hearing.last != Mono(0))
                .collect();
            let mut findings = Vec::new();
            let scene = Scene { interface: "eth0" };
            receiving.judge(scene, &seen, &Addresses::default(), explained, &mut findings);
            told.extend(findings.into_iter().map(|f| (ms, f.kind, f.sentence, f.over)));
        }
        told
    }

    fn voice(per_second: u64, until: u64) -> Voice {
        Voice { vlan: 0, per_second, heard: (1_000, until), asked: true }
    }

    #[test]
    fn an_interface_that_hears_nothing_any_more_is_told_within_two_seconds() {
        let told = told(&[voice(50, FAULT), voice(10, FAULT)], false);
        let [(ms, kind, sentence, false)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(*kind, FindingKind::ReceiveSilence);
        assert!((13_000..=14_000).contains(ms), "{ms}");
        assert!(
            sentence.starts_with("nothing at all is received on eth0 any more (before: "),
            "{sentence}"
        );
    }

    #[test]
    fn one_vlan_of_several_may_be_silent() {
        let silent = Voice { vlan: 20, ..voice(50, FAULT) };
        let other = voice(50, END);
        let told = told(&[silent, silent, other], false);
        let [(ms, _, sentence, false)] = &told[..] else { panic!("{told:?}") };
        assert!((13_000..=14_000).contains(ms), "{ms}");
        assert!(sentence.starts_with("no VLAN 20 frame is received on eth0"), "{sentence}");
    }

    #[test]
    fn frames_that_come_with_another_tag_are_told() {
        let gone = voice(20, FAULT);
        for (old, new) in [(0, 10), (10, 0), (10, 956)] {
            let gone = Voice { vlan: old, ..gone };
            let came = Voice { vlan: new, heard: (FAULT + 50, END), asked: false, ..gone };
            let told = told(&[gone, came], false);
            let [(ms, FindingKind::TaggingChanged, sentence, false)] = &told[..] else {
                panic!("{told:?}")
            };
            assert!((13_000..=14_000).contains(ms), "{ms}");
            let new = tagged(new);
            assert!(
                sentence.contains(&format!("{new} frames are received, never seen")),
                "{sentence}"
            );
        }
    }

    #[test]
    fn what_has_another_reason_or_none_is_not_told() {
        let quiet = |voice: Voice| Voice { asked: false, ..voice };
        let both = |voice: Voice| vec![voice, voice];
        for (name, voices, explained) in [
            ("nothing is asked: suspended, idle", both(quiet(voice(50, FAULT))), false),
            ("one station: the next hop", vec![voice(50, FAULT)], false),
            ("the other was there long ago", vec![voice(50, FAULT), voice(50, 1_500)], false),
            ("quiet", both(voice(2, FAULT)), false),
            ("a storm", both(voice(50, FAULT)), true),
            ("heard for a moment", vec![Voice { heard: (9_000, FAULT), ..voice(50, 0) }; 2], false),
            (
                "another VLAN begins and nothing ends",
                vec![voice(50, END), Voice { vlan: 7, ..voice(50, END) }],
                false,
            ),
        ] {
            assert_eq!(told(&voices, explained), [], "{name}");
        }
    }

    #[test]
    fn it_is_over_when_something_is_received() {
        let (mut receiving, mut told) = (Receiving::default(), Vec::new());
        for ms in (1_000..END).step_by(100) {
            let mut seen = summary(ms);
            let before = voice(50, if ms < 20_000 { FAULT } else { ms });
            let before = Voice { heard: (1_000, before.heard.1), ..before };
            let station = |n| Station {
                mac: Mac([2, 0, 0, 0, 0, n]),
                hearing: before.hearing(ms),
                ..Station::default()
            };
            seen.stations.stations = vec![station(1), station(2)];
            seen.stations.vlans = vec![Vlan { id: 0, hearing: before.hearing(ms) }];
            receiving.judge(
                Scene { interface: "eth0" },
                &seen,
                &Addresses::default(),
                false,
                &mut told,
            );
        }
        let [began, over] = &told[..] else { panic!("{told:?}") };
        assert!(!began.over && over.over);
        // Heard last at 12.02 s, every 20 ms before.
        assert!((12_020..=12_050).contains(&(began.first.mono.0 / 1_000_000)), "{:?}", began.first);
        assert_eq!(over.first, began.first);
        assert!(over.sentence.contains("again after 8.0 s"), "{}", over.sentence);
    }
}
