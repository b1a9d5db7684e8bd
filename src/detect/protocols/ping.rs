//! Pings: echo requests of both families that are not answered, by whom they were before. Their rules are
//! those of [`super::questions`].

use std::sync::Arc;

use super::heard::Heard;
use super::lasting::Lasting;
use super::questions::{Complaint, Question, Questions, Reached, Words};
use crate::finding::{Finding, FindingKind, Severity};
use crate::time::Stamp;
use crate::wire::Mac;
use crate::wire::icmp_message::{Echo, Quoted};
use crate::wire::ip::Packet;

const WORDS: Words = Words {
    kind: FindingKind::PingUnanswered,
    host: "",
    questions: "pings",
    protocol: "ICMP echo",
    topics: 1,
    any_server: false,
    routed: Severity::Notice,
};

/// Judges the pings of all interfaces.
#[derive(Debug)]
pub(super) struct Watch(Questions);

impl Watch {
    pub(super) fn new() -> Self {
        Self(Questions::new(WORDS))
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.0.lasting()
    }

    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        interface: &Arc<str>,
        echo: Echo,
        findings: &mut Vec<Finding>,
    ) {
        if echo.is_reply {
            self.0.answered(heard, key(echo), findings);
        } else if is_plain(heard) {
            let question = Question { key: key(echo), topic: echo.identifier.into() };
            self.0.asked(heard, interface, question);
        }
    }

    /// An error of `complaint.by` quotes a ping.
    pub(super) fn undelivered(&mut self, complaint: Complaint, quoted: &Quoted) {
        if let Some(echo) = quoted.echo.filter(|echo| !echo.is_reply) {
            let pair = (quoted.source, quoted.destination);
            self.0.refused_by(pair, |asked| asked == key(echo), complaint);
        }
    }

    /// Frames were not seen.
    pub(super) fn missed(&mut self) {
        self.0.missed();
    }

    pub(super) fn tick(&mut self, now: Stamp, reached: &Reached, findings: &mut Vec<Finding>) {
        self.0.tick(now, reached, findings);
    }

    pub(super) fn refused(&self) -> u64 {
        self.0.refused()
    }
}

fn key(echo: Echo) -> u32 {
    u32::from(echo.identifier) << 16 | u32::from(echo.sequence)
}

/// Asks one host, and for an answer: a group may stay silent (RFC 1122 §3.2.2.6), and traceroute(8) asks
/// the routers on the way.
fn is_plain(heard: &Heard<'_>) -> bool {
    /// Hops that traceroute(8) looks for; hosts begin with 64 or more (RFC 1700).
    const TRACED: u8 = 30;
    let one_station = heard.reading.link.destination.is_none_or(Mac::is_unicast);
    let is_plain =
        |packet: Packet<'_>| !packet.destination.is_multicast() && packet.hop_limit > TRACED;
    one_station && heard.reading.packet.is_some_and(is_plain)
}
