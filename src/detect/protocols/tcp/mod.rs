//! TCP: do services answer, do segments arrive, do receivers read.
//!
//! The tap shows how connections begin and end, the first data of both ends, what is sent again and which
//! windows are closed ([`Noticed`]). What is concluded of it:
//!
//! | finding | rule |
//! |---|---|
//! | *service refused*, *unanswered*, *stalled* | 5 connections in a row, or 8 of 10 in 3 s, fail of a service that answered 95 %; a notice where it never answered |
//! | *SYN flood* | 500 a second and 10 times the usual to one service, of which a fifth at most goes on |
//! | *round trip* | a SYN waits 5 times as long as usual and 50 ms more, median of 10 |
//! | *loss* | 1 % of the segments of two hosts, or of all, is sent again and 10 times the usual, 20 in 5 s |
//! | *unacknowledged* | one segment is sent 5 times in 3 s; a notice where a client may be gone |
//! | *MTU hole* | one of 1,000 bytes or more is sent 4 times, while small ones arrive |
//! | *zero window* | closed for 2 s, and asked again |
//!
//! Nothing is said of what could not be seen: where frames found no room, where the tap has no place to follow
//! a connection, where the capture holds packets twice, while a storm runs.

mod attempts;
mod flood;
mod loss;
mod record;
mod round_trip;
mod service;
mod stuck;
#[cfg(test)]
mod tests;
mod window;

use std::net::SocketAddr;

use super::heard::{Heard, Now, place};
use crate::detect::tap::{Noticed, Summary};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::wire::icmp_message::{IcmpMessage, Quoted};
use crate::wire::link::Vlans;
use crate::wire::tcp::Tcp;

/// Judges the connections of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    attempts: attempts::Attempts,
    losses: loss::Losses,
    stuck: stuck::Stuck,
    windows: window::Windows,
    /// Connections asked for until the last summary.
    syns: u64,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    vlans: Vlans,
    from: SocketAddr,
    to: SocketAddr,
}

impl Flow {
    fn of(heard: &Heard<'_>, tcp: &Tcp<'_>) -> Option<Self> {
        let packet = heard.reading.packet?;
        let from = SocketAddr::new(packet.source, tcp.source);
        let to = SocketAddr::new(packet.destination, tcp.destination);
        Some(Self { vlans: heard.vlans(), from, to })
    }

    /// The other direction.
    fn back(self) -> Self {
        Self { from: self.to, to: self.from, ..self }
    }

    /// True if it goes to the service, as far as ports tell: services listen on lower ones.
    fn is_to_service(&self) -> bool {
        self.to.port() < self.from.port()
    }
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            attempts: attempts::Attempts::new(),
            losses: loss::Losses::new(),
            stuck: stuck::Stuck::new(),
            windows: window::Windows::new(),
            syns: 0,
        }
    }

    pub(super) fn segment(
        &mut self,
        heard: &Heard<'_>,
        tcp: &Tcp<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let Some(flow) = Flow::of(heard, tcp) else { return };
        let noticed = heard.seen.noticed;
        if tcp.has(Tcp::RST) {
            self.attempts.reset(heard, flow, tcp, findings);
            self.ended(heard, flow, findings);
        } else if tcp.has(Tcp::SYN) && !tcp.has(Tcp::ACK) {
            self.attempts.asked(heard, flow, tcp, findings);
        } else if tcp.has(Tcp::SYN) {
            self.attempts.accepted(heard, flow, findings);
            self.stuck.hears(heard, flow);
        } else {
            if noticed == Some(Noticed::Speaks) {
                self.attempts.speaks(heard, flow, findings);
                self.stuck.hears(heard, flow);
            }
            if tcp.has(Tcp::FIN) {
                self.attempts.finished(heard, flow, findings);
                self.stuck.hears(heard, flow);
                self.windows.ended(heard, flow, findings);
            }
        }
        match noticed {
            Some(Noticed::Again(again)) => {
                self.losses.again(heard, flow, again);
                self.stuck.again(heard, flow, (tcp, again), findings);
            }
            Some(Noticed::Closed) => self.windows.closed(heard, flow),
            Some(Noticed::Opened) => self.windows.opened(heard, flow, findings),
            Some(Noticed::Followed | Noticed::Speaks) | None => {}
        }
    }

    /// The connection is over.
    fn ended(&mut self, heard: &Heard<'_>, flow: Flow, findings: &mut Vec<Finding>) {
        self.stuck.ended(heard, flow, findings);
        self.windows.ended(heard, flow, findings);
    }

    /// An ICMP error, which may be about a segment.
    pub(super) fn error(
        &mut self,
        heard: &Heard<'_>,
        icmp: &IcmpMessage,
        findings: &mut Vec<Finding>,
    ) {
        if let Some(about) = icmp.about.filter(Quoted::is_tcp) {
            self.attempts.undeliverable(heard, icmp, &about, findings);
            if icmp.is_too_big() {
                self.stuck.too_big(heard, &about, icmp.mtu.unwrap_or_default());
            }
        }
    }

    /// What was counted until now; `missed` says that answers may have been lost on the way here.
    pub(super) fn counts(&mut self, summary: &Summary, missed: bool) {
        let syns = summary.tcp.syns;
        let new = syns.saturating_sub(std::mem::replace(&mut self.syns, syns));
        self.attempts.counted(summary.at, new, missed);
        self.losses.counted(summary);
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.attempts.tick(now, findings);
        self.losses.tick(now, findings);
        self.stuck.tick(now, findings);
        self.windows.tick(now, findings);
    }

    pub(super) fn refused(&self) -> u64 {
        self.attempts.refused()
            + self.losses.refused()
            + self.stuck.refused()
            + self.windows.refused()
    }
}

/// The time of a frame, where no frame but what came of it is told.
fn now<'a>(heard: &Heard<'a>) -> Now<'a> {
    Now { at: heard.at(), interface: heard.seen.interface, local: heard.local }
}

/// A finding in a VLAN.
fn in_vlan(
    now: &Now<'_>,
    vlans: Vlans,
    kind: FindingKind,
    severity: Severity,
    what: String,
    sentence: String,
) -> Finding {
    let finding = now.finding(kind, severity, what, sentence);
    vlans.ids().iter().fold(finding, |finding, id| finding.about(Party::Vlan(*id)))
}

/// A service in words: `10.8.0.20:80 in VLAN 7`.
fn named((vlans, socket): (Vlans, SocketAddr)) -> String {
    format!("{socket}{}", place(vlans))
}
