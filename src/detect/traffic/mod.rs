//! Detectors of traffic: what the counts of an interface tell, not single frames.
//!
//! Pure: each is shown the tap's summary ten times a second and told the time by it; the first one, from
//! before the first frame, is what they count from. Thresholds are such
//! that ordinary traffic gives nothing at warning level: bursts, pauses, one-sided flows are ordinary.

mod addresses;
mod burst;
mod change;
mod circle;
mod condition;
mod filter;
mod flood;
mod limit;
mod loss;
mod next_hop;
mod one_way;
mod options;
mod receive;
mod silence;
mod storm;
mod usual;

use std::sync::Arc;

pub use self::options::{Bound, Burst, ClassSilence, Options, RateLimit, Unit};

use self::addresses::Addresses;
use self::burst::Bursts;
use self::change::Changes;
use self::circle::Circling;
use self::condition::ConditionSpan;
use self::filter::Matches;
use self::flood::Floods;
use self::limit::Limits;
use self::loss::Losses;
use self::next_hop::NextHops;
use self::one_way::OneWay;
use self::receive::Receiving;
use self::silence::Silences;
use self::storm::Storms;
use super::Seen;
use super::protocols::Local;
use super::tap::Summary;
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::Stamp;

/// All traffic detectors of one interface.
#[derive(Debug)]
pub struct Traffic {
    interface: Arc<str>,
    addresses: Addresses,
    storms: Storms,
    floods: Floods,
    receiving: Receiving,
    next_hops: NextHops,
    circling: Circling,
    limits: Limits,
    changes: Changes,
    silences: Silences,
    one_way: OneWay,
    bursts: Bursts,
    losses: Losses,
    matches: Matches,
    /// What was told to begin and has not ended.
    standing: Vec<Finding>,
}

impl Traffic {
    /// Findings remembered until they end: a storm of each frame that is folded, and some of each other kind.
    const STANDING: usize = 256;

    /// For an interface with these classes and filters, by name in the order of their numbers.
    pub fn new(
        interface: Arc<str>,
        classes: &[Arc<str>],
        filters: Vec<Arc<str>>,
        options: &Options,
    ) -> Self {
        Self {
            addresses: Addresses::default(),
            storms: Storms::new(options.storm_rate),
            floods: Floods::new(),
            receiving: Receiving::default(),
            next_hops: NextHops::default(),
            circling: Circling::new(),
            limits: Limits::new(&interface, classes, &options.limits),
            changes: Changes::new(options.change_factor),
            silences: Silences::new(options.silence, classes, &options.silent_classes),
            one_way: OneWay::new(options.one_way),
            bursts: Bursts::new(options),
            losses: Losses::new(),
            matches: Matches::new(filters),
            standing: Vec::new(),
            interface,
        }
    }

    /// What the counts tell until now.
    pub fn judge(&mut self, summary: &Summary, findings: &mut Vec<Finding>) {
        let scene = Scene { interface: &self.interface };
        let before = findings.len();
        self.storms.judge(scene, summary, findings);
        self.floods.judge(scene, summary, &self.addresses, findings);
        // What a storm drowns is not silent.
        let stormy = self.storms.are_on() || self.floods.are_on();
        self.receiving.judge(scene, summary, &self.addresses, stormy, findings);
        let receiving = &self.receiving;
        let explained = |vlan| stormy || receiving.is_silent_in(vlan);
        self.next_hops.judge(scene, summary, &self.addresses, explained, findings);
        self.circling.judge(scene, summary, findings);
        self.limits.judge(scene, summary, findings);
        self.changes.judge(scene, summary, findings);
        self.silences.judge(scene, summary, self.receiving.is_silent(), findings);
        self.one_way.judge(scene, summary, findings);
        self.bursts.judge(scene, summary, findings);
        self.losses.judge(scene, summary, findings);
        self.matches.judge(scene, summary, findings);
        findings[before..].iter().for_each(|told| self.remember(told));
    }

    fn remember(&mut self, told: &Finding) {
        if !told.over {
            if self.standing.len() < Self::STANDING {
                self.standing.push(told.clone());
            }
            return;
        }
        let alike = |open: &Finding| open.kind == told.kind && open.direction == told.direction;
        let exactly = |open: &Finding| alike(open) && open.what == told.what;
        let ended = self.standing.iter().position(exactly);
        let ended = ended.or_else(|| self.standing.iter().position(alike));
        ended.map(|ended| self.standing.remove(ended));
    }

    /// Tells once more what was told to begin and has not ended by `now`.
    pub fn standing(&self, now: Stamp, findings: &mut Vec<Finding>) {
        findings.extend(self.standing.iter().map(|told| Finding { last: now, ..told.clone() }));
    }

    /// The interface is one of this host.
    pub(super) fn know(&mut self, local: Local) {
        self.addresses.know(local, Arc::clone(&self.interface));
    }

    /// Who is who.
    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// A frame is shown to the detectors: it may say who is who.
    pub fn shown(&mut self, seen: &Seen<'_>) {
        self.addresses.frame(seen);
    }

    /// A frame that matches the filter of this number was shown.
    pub fn matched(
        &mut self,
        filter: usize,
        shown: &super::tap::Shown,
        findings: &mut Vec<Finding>,
    ) {
        self.matches.shown(Scene { interface: &self.interface }, filter, shown, findings);
    }
}

/// Where findings are made.
#[derive(Debug, Clone, Copy)]
struct Scene<'a> {
    interface: &'a str,
}

/// What a detector has to say beside when and how often.
struct Draft {
    kind: FindingKind,
    severity: Severity,
    direction: Direction,
    what: String,
    sentence: String,
}

impl Scene<'_> {
    /// `eth0`, or `VLAN 5 of eth0`.
    fn place(self, vlan: u16) -> String {
        if vlan == 0 {
            self.interface.to_owned()
        } else {
            format!("VLAN {vlan} of {}", self.interface)
        }
    }

    fn finding(self, span: ConditionSpan, draft: Draft) -> Finding {
        let Draft { kind, severity, direction, what, sentence } = draft;
        Finding {
            kind,
            severity,
            first: span.first,
            last: span.last,
            interface: Some(self.interface.to_owned()),
            direction,
            count: span.count,
            rate: span.rate(),
            what,
            sentence,
            parties: Vec::new(),
            over: span.over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tap::{
        CircleCounts, ClassCount, Health, StationCounts, TcpCounts, TrafficCount,
    };
    use crate::frame::LinkType;
    use crate::time::{Mono, Wall};

    pub(super) fn at(ms: u64) -> Stamp {
        Stamp { mono: Mono(ms * 1_000_000), wall: Wall(ms * 1_000_000) }
    }

    /// Nothing happened until then, on an interface with the classes control and data.
    pub(super) fn summary(ms: u64) -> Summary {
        Summary {
            at: at(ms),
            link_type: LinkType::ETHERNET,
            classes: vec![ClassCount::default(); 2].into(),
            tcp: TcpCounts::default(),
            circles: CircleCounts::default(),
            stations: StationCounts::default(),
            storms: Vec::new(),
            matches: vec![0].into(),
            unseen: 0,
            unseen_exchanges: 0,
            health: Health { recording: true, ..Health::default() },
        }
    }

    /// Frames of 100 bytes to single stations, received and sent.
    pub(super) fn counts(received: u64, sent: u64) -> ClassCount {
        let count = |frames| TrafficCount { frames, bytes: frames * 100, addressed: frames };
        [TrafficCount::default(), count(received), count(sent)]
    }

    #[test]
    fn quiet_and_steady_interfaces_give_nothing() {
        let classes = ["control".into(), "data".into()];
        for rate in [0, 1, 1_000] {
            let options = Options::default();
            let mut traffic = Traffic::new("eth0".into(), &classes, Vec::new(), &options);
            let mut findings = Vec::new();
            for tick in 0..9_000 {
                let mut seen = summary(tick * 100);
                seen.classes[1] = counts(tick * rate, tick * rate / 2);
                seen.tcp.segments = tick * rate;
                traffic.judge(&seen, &mut findings);
            }
            assert_eq!(findings, [], "{rate} frames a tick");
        }
    }
}
