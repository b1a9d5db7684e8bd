//! A service: does what listens at an address and port answer those who connect, as it usually does?
//!
//! What it promises: a failure is told only of a service that served ([`ServiceRecord`]), and begins with the first
//! SYN that failed. Without such a past it is a notice, and only where an answer would be seen.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::heard::Now;
use super::super::lasting::{FORGET, Lasting};
use super::flood::Flood;
use super::record::{Failed, Failure, ServiceRecord, Trouble};
use super::round_trip::RoundTrips;
use super::{in_vlan, named};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::{Mono, Stamp};
use crate::wire::link::Vlans;

/// Connections or tries in vain, for this long, that are told of a service that never answered.
const IN_VAIN: u32 = 3;
const IN_VAIN_FOR: Duration = Duration::from_secs(3);
/// A service of which so little is known makes room after a minute.
const BARELY_KNOWN: Duration = Duration::from_secs(60);

/// VLANs, address and port.
pub(super) type Name = (Vlans, SocketAddr);

/// One, from its past to what is told of it.
#[derive(Debug)]
pub(super) struct Service {
    /// When it was asked last.
    pub(super) last: Mono,
    /// Attempts that are judged.
    pub(super) open: u32,
    /// Hop limit of its last answer, and whether the last refusal has it, too: then it is the host's own.
    pub(super) hops: u8,
    refused_itself: bool,
    pub(super) connections: ServiceRecord,
    requests: ServiceRecord,
    /// The longest wait for the first byte of an answer, slowly forgotten.
    pub(super) longest: Duration,
    /// Connections on which it spoke first, and on which the client did.
    pub(super) speaks_first: (u32, u32),
    failing: Lasting,
    stalled: Lasting,
    /// Connections that failed while it never answered one, since when, and the notice of it.
    pub(super) in_vain_count: u32,
    in_vain_since: Option<Stamp>,
    pub(super) in_vain: Lasting,
    pub(super) round_trips: RoundTrips,
    pub(super) flood: Flood,
}

impl Service {
    pub(super) fn new(at: Mono) -> Self {
        Self {
            last: at,
            open: 0,
            hops: 0,
            refused_itself: false,
            connections: ServiceRecord::default(),
            requests: ServiceRecord::default(),
            longest: Duration::ZERO,
            speaks_first: (0, 0),
            failing: Lasting::default(),
            stalled: Lasting::default(),
            in_vain_count: 0,
            in_vain_since: None,
            in_vain: Lasting::default(),
            round_trips: RoundTrips::default(),
            flood: Flood::default(),
        }
    }

    /// A server of mail or of a terminal greets; one of pages waits for a request.
    pub(super) fn usually_speaks_first(&self) -> bool {
        const LEAST: u32 = 20;
        let (itself, client) = self.speaks_first;
        itself >= LEAST && client * LEAST <= itself
    }

    /// It accepted a connection.
    pub(super) fn connected(
        &mut self,
        now: &Now<'_>,
        name: Name,
        client: IpAddr,
        findings: &mut Vec<Finding>,
    ) {
        self.connections.succeeded(client);
        self.in_vain.end(now.at, || format!("{} answers now", named(name)), findings);
        if self.connections.is_recovered() {
            let sentence = || format!("{} answers again", named(name));
            self.failing.end(now.at, sentence, findings);
        }
    }

    /// It answered a request that had waited since then.
    pub(super) fn served(
        &mut self,
        now: &Now<'_>,
        name: Name,
        client: IpAddr,
        since: Mono,
        findings: &mut Vec<Finding>,
    ) {
        /// The part of it by which an older longest wait is forgotten each time.
        const FORGETS: u32 = 256;
        self.longest = (self.longest - self.longest / FORGETS).max(now.at.mono.since(since));
        self.requests.succeeded(client);
        if self.requests.is_recovered() {
            let sentence = || format!("{} answers requests again", named(name));
            self.stalled.end(now.at, sentence, findings);
        }
    }

    /// A connection failed; true if that counts.
    pub(super) fn failed(
        &mut self,
        now: &Now<'_>,
        name: Name,
        failed: Failed,
        hops: Option<u8>,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let is_silent = failed.how == Failure::Silent;
        let alive = hops.is_some_and(|hops| hops == self.hops);
        let (record, told) = if is_silent {
            (&mut self.requests, &mut self.stalled)
        } else {
            (&mut self.connections, &mut self.failing)
        };
        if !record.failed(failed) {
            return false;
        }
        if told.is_open() {
            record.told();
            told.more(now.at);
        }
        self.refused_itself = alive;
        self.tell(now, name, findings);
        true
    }

    /// Tells that it fails, when that is certain.
    fn tell(&mut self, now: &Now<'_>, name: Name, findings: &mut Vec<Finding>) {
        let alive = self.refused_itself;
        let judged =
            [(&mut self.connections, &mut self.failing), (&mut self.requests, &mut self.stalled)];
        for (record, told) in judged {
            if told.is_open() || self.flood.is_on() {
                continue;
            }
            if let Some(trouble) = record.trouble(now.at.mono) {
                record.told();
                let waited = now.at.mono.since(trouble.first.mono);
                told.begin(finding(now, name, &trouble, waited, alive), findings);
            }
        }
    }

    /// It never answered; true if that is told now.
    pub(super) fn tell_in_vain(
        &mut self,
        now: &Now<'_>,
        name: Name,
        (failed, tries): (Failed, u32),
        may_tell: bool,
        findings: &mut Vec<Finding>,
    ) -> bool {
        if self.in_vain.is_open() {
            self.in_vain.more(now.at);
            return false;
        }
        let first = *self.in_vain_since.get_or_insert(failed.first);
        let waited = now.at.mono.since(first.mono);
        let many = self.in_vain_count >= IN_VAIN || tries > IN_VAIN;
        let unanswered = failed.how == Failure::Unanswered;
        if !may_tell || unanswered && (!many || waited < IN_VAIN_FOR) {
            return false;
        }
        let Failed { how, client, direction, .. } = failed;
        let count = self.in_vain_count.max(1).into();
        let trouble =
            Trouble { how, client, first, direction, failed: count, of: count, before: (0, 0) };
        self.in_vain.begin(finding(now, name, &trouble, waited, false), findings);
        true
    }

    /// False when it is forgotten.
    pub(super) fn tick(
        &mut self,
        now: &Now<'_>,
        name: Name,
        many: bool,
        findings: &mut Vec<Finding>,
    ) -> bool {
        self.flood.tell(now, name, findings);
        self.tell(now, name, findings);
        self.round_trips.tick(now, name, findings);
        let idle = now.at.mono.since(self.last);
        let keep = idle < if many && self.connections.is_new() { BARELY_KNOWN } else { FORGET };
        if !keep {
            let sentence = || format!("nobody asks for {} any longer", named(name));
            for told in [&mut self.failing, &mut self.stalled, &mut self.in_vain] {
                told.end(now.at, sentence, findings);
            }
        }
        keep
    }
}

/// The finding that a trouble is.
fn finding(now: &Now<'_>, name: Name, trouble: &Trouble, waited: Duration, alive: bool) -> Finding {
    let kind = match trouble.how {
        Failure::Refused | Failure::Unreachable => FindingKind::ServiceRefused,
        Failure::Unanswered => FindingKind::ServiceUnanswered,
        Failure::Silent => FindingKind::ServiceStalled,
    };
    let severity = match trouble.before.0 {
        0 => Severity::Notice,
        _ if trouble.is_certain() => Severity::Critical,
        _ => Severity::Warning,
    };
    let Trouble { client, first, direction, failed: count, .. } = *trouble;
    let what = format!("TCP {client} → {}", named(name));
    let sentence = sentence(name, trouble, waited, alive);
    let finding = in_vlan(now, name.0, kind, severity, what, sentence);
    Finding { first, direction, count, ..finding }
        .about(Party::Host(name.1.ip()))
        .about(Party::Host(client))
}

fn sentence(name: Name, trouble: &Trouble, waited: Duration, alive: bool) -> String {
    let Trouble { how, failed, of, before: (good, all), .. } = *trouble;
    let seconds = waited.as_secs_f64();
    let does = match how {
        Failure::Refused => "refuses connections (RST)",
        Failure::Unreachable => "cannot be reached, says ICMP",
        Failure::Unanswered => "does not answer connections (SYN)",
        Failure::Silent => "accepts connections and does not answer requests",
    };
    let share = match (failed, of) {
        (1, 1) => String::new(),
        (failed, of) if failed == of => format!(": all {of} in {seconds:.1} s"),
        (failed, of) => format!(": {failed} of {of} in {seconds:.1} s"),
    };
    let before = match (good, all) {
        (0, _) => "; it never answered one here".to_owned(),
        (good, all) if good == all => format!("; before, it answered every one of {good}"),
        (good, all) => format!("; before, it answered {good} of {all}"),
    };
    let so = match how {
        _ if good == 0 => "",
        Failure::Refused if alive => ". Nobody listens there any longer, host and path are alive",
        Failure::Refused => ". The refusal does not look like the host's own: perhaps a firewall's",
        Failure::Silent => ". Its process hangs, or has more to do than it can",
        Failure::Unreachable | Failure::Unanswered => "",
    };
    format!("{} {does}{share}{before}{so}", named(name))
}
