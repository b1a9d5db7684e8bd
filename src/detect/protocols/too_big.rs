//! Packets that are longer than the way takes: routers say so with ICMP, and senders send smaller ones
//! (RFC 1191, RFC 8201). Each router that says so is a notice. Where it has no effect, the sender does not
//! hear it: something on the way drops ICMP, and its connections hang.

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::Lasting;
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::Stamp;
use crate::wire::icmp_message::{IcmpMessage, Quoted};
use crate::wire::link::Vlans;

/// Ways on which packets were too long lately.
const WAYS: usize = 256;
/// Notices told at a time: they end with the way.
const NOTICES: usize = 16;
/// One segment that was refused so many times, over so long, is sent again without heed. A sender that heeds
/// has at most a window of others on the way.
const REFUSED: u32 = 3;
const LASTS: Duration = Duration::from_secs(1);
/// A sender tries again after two minutes at most (Linux, TCP_RTO_MAX).
const OVER: Duration = Duration::from_secs(130);

/// VLANs, who says so, and of which packets: source and destination.
type Way = (Vlans, IpAddr, IpAddr, IpAddr);

/// Judges what routers say of long packets on one interface.
#[derive(Debug)]
pub(super) struct Watch {
    ways: Bounded<Way, Said>,
}

#[derive(Debug)]
struct Said {
    last: Stamp,
    /// The segment that was refused last: its number, when first, and how often.
    segment: Option<(u32, Stamp, u32)>,
    told: Lasting,
    in_vain: Lasting,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { ways: Bounded::new(WAYS) }
    }

    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        icmp: &IcmpMessage,
        findings: &mut Vec<Finding>,
    ) {
        if !icmp.is_too_big() {
            return;
        }
        let (Some(about), Some(packet)) = (icmp.about, heard.reading.packet) else { return };
        let at = heard.at();
        let way = (heard.vlans(), packet.source, about.source, about.destination);
        let notices = self.ways.iter().filter(|(_, said)| said.told.is_open()).count();
        let make = || Said {
            last: at,
            segment: None,
            told: Lasting::default(),
            in_vain: Lasting::default(),
        };
        let Some(said) = self.ways.entry(way, make) else { return };
        said.last = at;
        if said.told.is_open() || notices < NOTICES {
            let sentence = sentence(way, icmp, &about);
            let kind = FindingKind::PacketTooBig;
            let finding = heard.finding(kind, Severity::Notice, sentence);
            said.told.begin(of_way(finding, way), findings);
        }
        said.refused(heard, way, icmp, &about, findings);
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.ways.retain(|(.., source, destination), said| {
            let keep = now.at.mono.since(said.last.mono) < OVER;
            if !keep {
                let sentence =
                    || format!("packets of {source} to {destination} are not too big any longer");
                said.told.end(now.at, sentence, findings);
                said.in_vain.end(now.at, sentence, findings);
            }
            keep
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.ways.refused()
    }
}

impl Said {
    /// A segment was refused, perhaps not for the first time.
    fn refused(
        &mut self,
        heard: &Heard<'_>,
        way: Way,
        icmp: &IcmpMessage,
        about: &Quoted,
        findings: &mut Vec<Finding>,
    ) {
        let at = heard.at();
        let Some(sequence) = about.sequence else { return };
        let (_, first, times) = match self.segment {
            Some((number, first, times)) if number == sequence => (number, first, times + 1),
            _ => (sequence, at, 1),
        };
        self.segment = Some((sequence, first, times));
        let lasted = at.mono.since(first.mono);
        if self.in_vain.is_open() {
            self.in_vain.more(at);
        } else if times >= REFUSED && lasted >= LASTS {
            let seconds = lasted.as_secs_f64();
            let sentence = format!(
                "{}, and it has no effect: one segment was refused {times} times in {seconds:.1} s. \
                 {} does not hear it",
                sentence(way, icmp, about),
                about.source
            );
            let kind = FindingKind::PacketTooBig;
            let finding = heard.finding(kind, Severity::Warning, sentence);
            let what = format!("{}, in vain", finding.what);
            let finding = Finding { first, count: times.into(), what, ..of_way(finding, way) };
            self.in_vain.begin(finding, findings);
        }
    }
}

fn sentence(
    (vlans, router, source, destination): Way,
    icmp: &IcmpMessage,
    about: &Quoted,
) -> String {
    let takes = match icmp.mtu {
        Some(mtu) if mtu > 0 => format!(", the way takes {mtu}"),
        _ => String::new(),
    };
    format!(
        "{router}{} says that packets of {source} to {destination} are too big: they have {} \
         bytes{takes}",
        place(vlans),
        about.length
    )
}

/// Whom it is about, beside who says it to whom.
fn of_way(finding: Finding, (_, _, source, destination): Way) -> Finding {
    finding.about(Party::Host(source)).about(Party::Host(destination))
}
