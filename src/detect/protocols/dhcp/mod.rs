//! DHCP, both families: clients that get no address, or lose it.
//!
//! | what happens | conclusion |
//! |---|---|
//! | a client asks again and again | `dhcp_no_answer`, see [`clients`] |
//! | a server's host says "port unreachable" to a client | `dhcp_no_answer`: nobody listens there |
//! | a server refuses an address (NAK) | `dhcp_nak`: a warning of an address in use, else a notice |
//! | a client declines what it was given | `dhcp_declined`, with the station that has the address |
//! | a client gives its address back | `dhcp_released`: a notice of this host's, else info |
//! | two servers configure differently | `dhcp_servers_differ`, see [`servers`] |
//!
//! What a relay forwards is heard from the client already, or from far away: it is not judged.

mod clients;
mod servers;

use std::net::IpAddr;
use std::time::Duration;

use self::clients::Clients;
use self::servers::Servers;
use super::bounded::Bounded;
use super::claims::Claims;
use super::heard::{Heard, Now, place};
use super::lasting::Lasting;
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::Mono;
use crate::wire::Mac;
use crate::wire::dhcp::Dhcp;
use crate::wire::icmp_message::IcmpMessage;
use crate::wire::ip::protocol;
use crate::wire::link::Vlans;

/// Clients that were refused, and servers where nobody listens.
const TROUBLED: usize = 512;
/// What is not said again within this is over: twice the pause of clients that begin anew after a refusal or a
/// conflict (RFC 2131 §3.1: 10 s), and dhclient's default `retry` of 5 min is another attempt.
const OVER: Duration = Duration::from_secs(60);

/// VLANs, IPv6, and the client: its link address, or for IPv6 the one its frames come from.
type Name = (Vlans, bool, Mac);

/// Judges the DHCP messages of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    clients: Clients,
    servers: Servers,
    refused: Bounded<Name, Lasting>,
    declined: Bounded<Name, Lasting>,
    deaf: Bounded<(Vlans, IpAddr), Lasting>,
}

impl Watch {
    pub(super) fn new(tries: u32, patience: Duration) -> Self {
        Self {
            clients: Clients::new(tries, patience),
            servers: Servers::new(),
            refused: Bounded::new(TROUBLED),
            declined: Bounded::new(TROUBLED),
            deaf: Bounded::new(TROUBLED),
        }
    }

    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        dhcp: &Dhcp,
        claims: &Claims,
        findings: &mut Vec<Finding>,
    ) {
        if dhcp.relayed {
            return;
        }
        let name = name(heard, dhcp);
        if dhcp.is_answer() {
            self.answered(heard, dhcp, claims, findings);
        } else if dhcp.is_question() {
            self.servers.asked(heard, dhcp);
            self.clients.asked(heard, dhcp, name);
        } else if dhcp.is_decline() {
            self.declined(heard, dhcp, name, claims, findings);
        } else if dhcp.is_release() {
            released(heard, dhcp, name.2, findings);
        }
    }

    fn answered(
        &mut self,
        heard: &Heard<'_>,
        dhcp: &Dhcp,
        claims: &Claims,
        findings: &mut Vec<Finding>,
    ) {
        if let Some(server) = server(heard, dhcp)
            && let Some(mut deaf) = self.deaf.remove(&(heard.vlans(), server))
        {
            deaf.end(heard.at(), || format!("DHCP server {server} answers again"), findings);
        }
        let wanted = self.clients.answered(heard, dhcp, findings);
        if dhcp.is_refusal() {
            self.refused(heard, dhcp, wanted, claims, findings);
            return;
        }
        self.servers.answered(heard, dhcp, findings);
        let name = (heard.vlans(), dhcp.is_v6, dhcp.client);
        if let Some(mut refused) = self.refused.remove(&name) {
            let given = dhcp.address.map_or_else(String::new, |address| format!(" {address}"));
            let sentence = || format!("DHCP client {} is given{given}", dhcp.client);
            refused.end(heard.at(), sentence, findings);
        }
    }

    /// A server refuses the address that the client `wanted`.
    fn refused(
        &mut self,
        heard: &Heard<'_>,
        dhcp: &Dhcp,
        wanted: Option<IpAddr>,
        claims: &Claims,
        findings: &mut Vec<Finding>,
    ) {
        let (vlans, client) = (heard.vlans(), dhcp.client);
        let in_use = wanted.is_some_and(|address| {
            claims.holder(vlans, address) == Some(client)
                || heard.local.is_station(client)
                    && heard.local.has_address(address, heard.seen.interface, vlans)
        });
        let severity = if in_use { Severity::Warning } else { Severity::Notice };
        let server = server(heard, dhcp).map_or_else(String::new, |server| format!(" {server}"));
        let what = match wanted {
            Some(address) if in_use => format!("{address}, which client {client} uses"),
            Some(address) => format!("{address} to client {client}"),
            None => format!("client {client}"),
        };
        let sentence = format!("DHCP server{server}{} refuses {what} (NAK)", place(vlans));
        let finding = heard.finding(FindingKind::DhcpNak, severity, sentence);
        let finding = about(finding, client, wanted);
        if let Some(refused) = self.refused.entry((vlans, dhcp.is_v6, client), Lasting::default) {
            refused.begin(finding, findings);
        }
    }

    /// A client found the address that it was given in use.
    fn declined(
        &mut self,
        heard: &Heard<'_>,
        dhcp: &Dhcp,
        name: Name,
        claims: &Claims,
        findings: &mut Vec<Finding>,
    ) {
        let (vlans, is_v6, client) = name;
        let holder = dhcp.address.and_then(|address| claims.holder(vlans, address));
        let by = match holder.filter(|holder| *holder != client) {
            Some(holder) => format!("{holder} has it"),
            None => "somebody else has it".to_owned(),
        };
        let what = dhcp.address.map_or_else(|| "its address".to_owned(), |given| given.to_string());
        let version = version(is_v6);
        let sentence =
            format!("DHCP{version} client {client}{} declines {what}: {by}", place(vlans));
        let finding = heard.finding(FindingKind::DhcpDeclined, Severity::Warning, sentence);
        let finding = holder.map(Party::Station).into_iter().fold(finding, Finding::about);
        if let Some(declined) = self.declined.entry(name, Lasting::default) {
            declined.begin(about(finding, client, dhcp.address), findings);
        }
    }

    /// An error that says that nobody listens where a client sent a message.
    pub(super) fn unreachable(
        &mut self,
        heard: &Heard<'_>,
        icmp: &IcmpMessage,
        findings: &mut Vec<Finding>,
    ) {
        /// Servers listen there (RFC 2131 §4.1, RFC 9915 §7.2).
        const SERVERS: [u16; 2] = [67, 547];
        let Some(quoted) = icmp.about.filter(|_| icmp.is_port_unreachable()) else { return };
        let to_server = quoted.ports.is_some_and(|(_, to)| SERVERS.contains(&to));
        let itself = heard.reading.packet.is_some_and(|packet| packet.source == quoted.destination);
        if quoted.protocol != protocol::UDP || !to_server || !itself {
            return;
        }
        let (server, client) = (quoted.destination, quoted.source);
        let version = version(icmp.is_v6);
        let sentence = format!(
            "DHCP{version} server {server}{} does not listen: it refuses (port unreachable) what {client} \
             sends",
            place(heard.vlans())
        );
        let finding = heard.finding(FindingKind::DhcpNoAnswer, Severity::Warning, sentence);
        if let Some(deaf) = self.deaf.entry((heard.vlans(), server), Lasting::default) {
            deaf.begin(finding.about(Party::Host(client)), findings);
        }
    }

    /// Since when a server of this segment may ask for an address that nobody has: it makes sure of that before it
    /// gives it to a client (RFC 2131 §2.2), or the client took another's.
    pub(super) fn unanswerable_since(
        &self,
        heard: &Heard<'_>,
        asker: IpAddr,
        target: IpAddr,
    ) -> Option<Mono> {
        self.servers.unanswerable_since(heard, asker, target)
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.clients.tick(now, findings);
        self.servers.tick(now, findings);
        let mut rest = |lasting: &mut Lasting, sentence: fn() -> String| {
            let over = |last: crate::time::Stamp| now.at.mono.since(last.mono) > OVER;
            let is_over = lasting.last().is_none_or(over);
            if is_over {
                lasting.end(now.at, sentence, findings);
            }
            !is_over
        };
        self.refused.retain(|_, lasting| rest(lasting, || "not refused again".to_owned()));
        self.declined.retain(|_, lasting| rest(lasting, || "not declined again".to_owned()));
        self.deaf.retain(|_, lasting| rest(lasting, || "not refused again".to_owned()));
    }

    pub(super) fn no_room(&self) -> u64 {
        let tables = [self.refused.refused(), self.declined.refused(), self.deaf.refused()];
        self.clients.refused() + self.servers.refused() + tables.into_iter().sum::<u64>()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        let of_clients =
            self.refused.iter().chain(self.declined.iter()).map(|(_, lasting)| lasting);
        let deaf = self.deaf.iter().map(|(_, lasting)| lasting);
        self.clients.lasting().chain(self.servers.lasting()).chain(of_clients).chain(deaf)
    }
}

/// A client gives its address back, which is how it ends in good order; what it carried ends, too.
fn released(heard: &Heard<'_>, dhcp: &Dhcp, client: Mac, findings: &mut Vec<Finding>) {
    let severity = if heard.sent_here { Severity::Notice } else { Severity::Info };
    let what = dhcp.address.map_or_else(|| "its address".to_owned(), |given| given.to_string());
    let version = version(dhcp.is_v6);
    let sentence = format!("DHCP{version} client {client} releases {what}");
    let finding = heard.finding(FindingKind::DhcpReleased, severity, sentence);
    findings.push(about(finding, client, dhcp.address));
}

fn about(finding: Finding, client: Mac, address: Option<IpAddr>) -> Finding {
    let finding = finding.about(Party::Station(client));
    address.map(Party::Host).into_iter().fold(finding, Finding::about)
}

/// Which client asks.
fn name(heard: &Heard<'_>, dhcp: &Dhcp) -> Name {
    let source = heard.reading.link.source.unwrap_or_default();
    (heard.vlans(), dhcp.is_v6, if dhcp.is_v6 { source } else { dhcp.client })
}

/// Which server answers.
fn server(heard: &Heard<'_>, dhcp: &Dhcp) -> Option<IpAddr> {
    let source = || heard.reading.packet.map(|packet| packet.source);
    dhcp.server.map(IpAddr::V4).or_else(source)
}

fn version(is_v6: bool) -> &'static str {
    if is_v6 { "v6" } else { "" }
}
