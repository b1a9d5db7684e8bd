//! DHCP: a client asks again and again and no server answers.
//!
//! A server may answer to the client alone, which others do not hear. So it is a warning only of this
//! host's own questions and of those whose answer must be broadcast. And many networks have no DHCPv6:
//! there a server must have been heard before.

use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::wire::dhcp::Dhcp;
use crate::wire::link::Vlans;

/// Clients that wait at a time.
const CLIENTS: usize = 512;
/// VLANs in which servers are remembered.
const SERVED: usize = 4_096;
/// A client not heard for so long gave up. Clients double their pauses up to 64 s (RFC 2131 §4.1), or
/// 120 s (RFC 9915 §7.6, SOL_MAX_RT is longer still).
const GIVEN_UP: Duration = Duration::from_secs(150);

/// VLANs, IPv6, and the client: its link address, or for IPv6 the one its frames come from.
type Name = (Vlans, bool, crate::wire::Mac);

/// Judges the DHCP messages of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    tries: u32,
    patience: Duration,
    clients: Bounded<Name, Client>,
    served: Bounded<(Vlans, bool), Mono>,
}

#[derive(Debug)]
struct Client {
    finding: Finding,
    transaction: u32,
    first: Stamp,
    last: Stamp,
    count: u32,
    waiting: Lasting,
}

impl Watch {
    pub(super) fn new(tries: u32, patience: Duration) -> Self {
        Self { tries, patience, clients: Bounded::new(CLIENTS), served: Bounded::new(SERVED) }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, dhcp: &Dhcp, findings: &mut Vec<Finding>) {
        if dhcp.is_answer() {
            self.answered(heard, dhcp, findings);
        } else if dhcp.is_question() {
            self.asked(heard, dhcp);
        }
    }

    fn asked(&mut self, heard: &Heard<'_>, dhcp: &Dhcp) {
        let source = heard.reading.link.source.unwrap_or_default();
        let client = if dhcp.is_v6 { source } else { dhcp.client };
        let served = self.served.get(&(heard.vlans(), dhcp.is_v6)).is_some();
        let own = heard.direction() == Direction::Outbound;
        let comes_by = own || (dhcp.broadcast && heard.direction() == Direction::Unknown);
        let certain = comes_by && (served || (own && !dhcp.is_v6));
        let severity = if certain { Severity::Warning } else { Severity::Notice };
        let make = || Client {
            finding: heard.finding(FindingKind::DhcpNoAnswer, severity, String::new()),
            transaction: dhcp.transaction,
            first: heard.at(),
            last: heard.at(),
            count: 0,
            waiting: Lasting::default(),
        };
        let name = (heard.vlans(), dhcp.is_v6, client);
        let Some(client) = self.clients.entry(name, make) else { return };
        client.transaction = dhcp.transaction;
        client.last = heard.at();
        client.count = client.count.saturating_add(1);
        client.waiting.more(heard.at());
    }

    fn answered(&mut self, heard: &Heard<'_>, dhcp: &Dhcp, findings: &mut Vec<Finding>) {
        let (vlans, at) = (heard.vlans(), heard.at());
        if let Some(last) = self.served.entry((vlans, dhcp.is_v6), || at.mono) {
            *last = at.mono;
        }
        self.clients.retain(|(client_vlans, is_v6, _), client| {
            let answered = (*client_vlans, *is_v6, client.transaction)
                == (vlans, dhcp.is_v6, dhcp.transaction);
            if answered {
                client.waiting.end(at, || "the DHCP client is answered".to_owned(), findings);
            }
            !answered
        });
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let at = now.at.mono;
        self.clients.retain(|(vlans, is_v6, mac), client| {
            let silent = at.since(client.last.mono) >= self.patience;
            if client.count >= self.tries && silent && !client.waiting.is_open() {
                let finding = Finding {
                    first: client.first,
                    last: client.last,
                    count: client.count.into(),
                    sentence: format!(
                        "DHCP{} client {mac}{} asked {} times in {:.1} s and got no answer",
                        if *is_v6 { "v6" } else { "" },
                        place(*vlans),
                        client.count,
                        at.since(client.first.mono).as_secs_f64()
                    ),
                    ..client.finding.clone()
                };
                client.waiting.begin(finding, findings);
            }
            let given_up = at.since(client.last.mono) > GIVEN_UP;
            if given_up {
                let sentence = || format!("DHCP client {mac} does not ask any longer");
                client.waiting.end(now.at, sentence, findings);
            }
            !given_up
        });
        self.served.retain(|_, last| at.since(*last) < FORGET);
    }

    pub(super) fn refused(&self) -> u64 {
        self.clients.refused() + self.served.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.clients.iter().map(|(_, client)| &client.waiting)
    }
}
