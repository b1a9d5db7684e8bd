//! The protocols that keep a network up, watched for what they say when it falls: one detector per
//! protocol, one reading per frame for them all.
//!
//! They see control frames, and of data how services are asked and answer, a few thousand a second at most.
//! What they conclude:
//!
//! | protocol | findings, those of severity warning and above in *italics* |
//! |---|---|
//! | LACP | *silence* (3 PDUs by the timeout bits), *expired*, *defaulted*, *out of sync*, *partner changed*, recovered |
//! | ARP, ND | *unanswered* (of a neighbour that was alive; else a notice), *address conflict*, *address moved* (info or a notice unless it is a next hop's) |
//! | router advertisements | *expired*, *withdrawn* (a notice if another router is left), *another router*, *changed* (a notice unless a prefix is gone) |
//! | VRRP | *silence*, *resigned*, *silent but still answering for the address*, *master changed* (a notice if a better one took over), *two masters* |
//! | HSRP | *silence*, *active changed* (a notice after a coup), *two active*, state changed |
//! | STP | topology change, *root changed* (info if the bridge just joined), *silence* of the bridge that speaks for the root |
//! | LLDP | neighbor changed, *neighbor gone* |
//! | BFD | *down* with its diagnostic (a notice if administrative), *not heard*, never up (a notice) |
//! | OSPF | *neighbor lost*: not named in a hello any longer, or silent for its dead interval; *mismatch* of hellos; *stuck*, with both MTUs; *duplicate router* |
//! | BGP | *notification* (a notice if administrative), *reset without one*, *silence* and which way, *refused* |
//! | DNS | *unanswered* (of a server that had answered, or of all), *failing* (SERVFAIL, REFUSED), *slow*, *NXDOMAIN flood* |
//! | ICMP echo | *unanswered* (of a host that had answered; else a notice) |
//! | DHCP | *no answer* (to this host, or to others where somebody is served), *refused* (a notice of an address not in use), *declined*, *servers differ*, released |
//! | ICMP | *burst of unreachables*, packet too big (*without effect*) |
//! | TCP | *services that fail*, *floods*, *losses*, *closed windows*: see `tcp` |
//!
//! Rules hold a finding for trouble from [`Severity::Warning`](crate::finding::Severity) on: ordinary
//! traffic stays below. Each finding that lasts is told twice, when it begins and when it is over; a
//! happening (recovered, changed) once. Silence is told of those only that were heard.
//!
//! Memory is bounded: each table has its bound in its own file; newcomers beyond are not watched and
//! counted in [`Protocols::refused`].

mod arp;
mod bfd;
mod bgp;
mod bounded;
mod claims;
mod dhcp;
mod dns;
mod heard;
mod hsrp;
mod icmp;
mod lacp;
mod lasting;
mod lldp;
mod local;
mod nd;
mod ospf;
mod ping;
mod questions;
mod ra;
mod resolution;
mod rival;
mod stp;
mod tcp;
#[cfg(test)]
pub(crate) mod tests;
mod together;
mod too_big;
mod vrrp;

use std::sync::Arc;
use std::time::Duration;

use claims::Claims;
use heard::{Heard, Now};
use lasting::Lasting;
pub use local::Local;
pub use together::Together;

use super::tap::Summary;
use super::{Detector, Seen};
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::time::{Mono, Stamp};
use crate::wire::vrrp::Vrrp;
use crate::wire::{Message, Reading};

/// Deadlines are looked at this often, whoever calls: at ticks, and between frames if ticks are late.
const LOOK: Duration = Duration::from_millis(100);

/// What is still in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// LACPDUs or HSRP hellos missing in a row that are silence, 1 to 100. Three is what LACP itself
    /// takes for a timeout (IEEE 802.1AX 6.4.4) and HSRP's hold time covers (RFC 2281 §5.1).
    pub missed: u32,
    /// ARP requests or neighbour solicitations in a row without an answer, 1 to 100. Three is what Linux
    /// asks before it gives a neighbour up (arp(7), mcast_solicit).
    pub unanswered: u32,
    /// How long each of them may wait, 1 ms to 1 min. Linux asks again each second (arp(7)).
    pub patience: Duration,
    /// DHCP questions of one client without an answer, 1 to 100.
    pub dhcp_unanswered: u32,
    /// Most ICMP unreachables in ten seconds.
    pub unreachables: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            missed: 3,
            unanswered: 3,
            patience: Duration::from_secs(1),
            dhcp_unanswered: 3,
            unreachables: 100,
        }
    }
}

impl Options {
    /// Accepts only what can be meant.
    ///
    /// # Errors
    /// When a count or a time is out of its range.
    pub fn check(&self) -> Result<()> {
        const COUNTS: std::ops::RangeInclusive<u32> = 1..=100;
        let counts = [
            ("missed", self.missed),
            ("unanswered", self.unanswered),
            ("dhcp_unanswered", self.dhcp_unanswered),
        ];
        for (what, count) in counts {
            if !COUNTS.contains(&count) {
                let reason = "the count in a row is 1 to 100";
                return Err(Error::usage(what, count.to_string(), reason, "1 to 100, such as 3"));
            }
        }
        let patience = Duration::from_millis(1)..=Duration::from_secs(60);
        if !patience.contains(&self.patience) {
            let given = format!("{:?}", self.patience);
            let reason = "the wait for an answer is 1ms to 1min";
            return Err(Error::usage("patience", given, reason, "1ms to 1min, such as 1s"));
        }
        if self.unreachables == 0 {
            let reason = "a burst has at least one error";
            return Err(Error::usage("unreachables", "0", reason, "1 or more, such as 100"));
        }
        Ok(())
    }
}

/// All protocols of one interface.
#[derive(Debug)]
pub struct Protocols {
    interface: Arc<str>,
    looked: Mono,
    together: Together,
    /// Frames that were not seen, as [`lost`] counts them.
    lost: u64,
    claims: Claims,
    arp: arp::Watch,
    bfd: bfd::Watch,
    bgp: bgp::Watch,
    dhcp: dhcp::Watch,
    hsrp: hsrp::Watch,
    icmp: icmp::Watch,
    lacp: lacp::Watch,
    lldp: lldp::Watch,
    nd: nd::Watch,
    ospf: ospf::Watch,
    ra: ra::Watch,
    stp: stp::Watch,
    tcp: tcp::Watch,
    too_big: too_big::Watch,
    vrrp: vrrp::Watch,
}

impl Protocols {
    /// Watches `interface`, `together` with the others of this host; `options` were checked.
    pub fn new(interface: &str, options: &Options, together: &Together) -> Self {
        Self {
            interface: interface.into(),
            looked: Mono::default(),
            together: together.clone(),
            lost: 0,
            claims: Claims::new(),
            arp: arp::Watch::new(options.unanswered, options.patience),
            bfd: bfd::Watch::new(),
            bgp: bgp::Watch::new(),
            dhcp: dhcp::Watch::new(options.dhcp_unanswered, options.patience),
            hsrp: hsrp::Watch::new(options.missed),
            icmp: icmp::Watch::new(options.unreachables),
            lacp: lacp::Watch::new(options.missed),
            lldp: lldp::Watch::new(),
            nd: nd::Watch::new(options.unanswered, options.patience),
            ospf: ospf::Watch::new(),
            ra: ra::Watch::new(),
            stp: stp::Watch::new(),
            tcp: tcp::Watch::new(),
            too_big: too_big::Watch::new(),
            vrrp: vrrp::Watch::new(),
        }
    }

    /// Times that something was not watched because a table was full.
    pub fn refused(&self) -> u64 {
        self.arp.refused()
            + self.bfd.refused()
            + self.bgp.refused()
            + self.claims.refused()
            + self.dhcp.no_room()
            + self.hsrp.refused()
            + self.lacp.refused()
            + self.lldp.refused()
            + self.nd.refused()
            + self.ospf.refused()
            + self.ra.refused()
            + self.stp.refused()
            + self.tcp.refused()
            + self.too_big.refused()
            + self.vrrp.refused()
    }

    /// The same for whoever has read the frame already.
    pub fn reading(&mut self, seen: &Seen<'_>, reading: &Reading<'_>, findings: &mut Vec<Finding>) {
        if seen.at.mono.since(self.looked) >= LOOK {
            self.tick(seen.at, findings);
        }
        let together = self.together.clone();
        let heard = &Heard::new(seen, reading, together.local());
        together.heard(heard, &self.interface, findings);
        self.addresses(heard, findings);
        match &reading.message {
            Message::Lacp(lacp) => self.lacp.heard(heard, lacp, findings),
            Message::Vrrp(vrrp) => self.vrrp.heard(heard, vrrp, findings),
            Message::Hsrp(hsrp) => self.hsrp.heard(heard, hsrp, findings),
            Message::Bpdu(bpdu) => self.stp.heard(heard, bpdu, findings),
            Message::Lldp(lldp) => {
                heard.shows(lldp.chassis.name());
                self.lldp.heard(heard, lldp, findings);
            }
            Message::Bfd(bfd) => self.bfd.heard(heard, bfd, findings),
            Message::Ospf(ospf) => {
                heard.shows(ospf.router.to_string());
                self.ospf.heard(heard, ospf, findings);
            }
            Message::Bgp(bgp, tcp) => {
                self.bgp.heard(heard, bgp, tcp, findings);
                self.tcp.segment(heard, tcp, findings);
            }
            Message::Tcp(tcp) => {
                self.bgp.segment(heard, tcp, findings);
                self.tcp.segment(heard, tcp, findings);
            }
            Message::Icmp(icmp) => {
                self.icmp.heard(heard, icmp, findings);
                self.tcp.error(heard, icmp, findings);
                self.too_big.heard(heard, icmp, findings);
            }
            // Of these only who has which address matters.
            Message::Arp(_) | Message::Nd(_) | Message::Dhcp(_) | Message::Ra(_) => {}
            Message::Dns(..) | Message::Udp(_) | Message::Other => {}
        }
    }

    /// Who has which address, and from whom.
    fn addresses(&mut self, heard: &Heard<'_>, findings: &mut Vec<Finding>) {
        let Reading { message, packet, .. } = heard.reading;
        match message {
            Message::Arp(arp) => {
                let (asker, target) = (arp.sender.into(), arp.target.into());
                if arp.is_reply {
                    self.vrrp.claimed(heard, asker, arp.sender_mac, findings);
                }
                let free = self.dhcp.unanswerable_since(heard, asker, target);
                self.arp.heard(heard, arp, free, &mut self.claims, findings);
            }
            // Whose link address is told is not whose packet it is.
            Message::Nd(nd) => {
                if let Some(mac) = nd.mac.filter(|_| nd.is_advertisement) {
                    self.vrrp.claimed(heard, nd.target.into(), mac, findings);
                }
                self.nd.heard(heard, nd, &mut self.claims, findings);
            }
            Message::Ra(ra) => self.ra.heard(heard, ra, findings),
            Message::Dhcp(dhcp) => {
                self.dhcp.heard(heard, dhcp, &self.claims, findings);
                if let Some(address) = dhcp.address.filter(|_| dhcp.is_release()) {
                    self.arp.released(heard, address);
                    self.nd.released(heard, address);
                }
            }
            Message::Hsrp(hsrp) => {
                if let Some(address) = hsrp.address {
                    self.claims.share(heard.vlans(), address, heard.at().mono);
                }
            }
            Message::Vrrp(_) => {
                let content = packet.map(|packet| (packet.content, packet.source.is_ipv6()));
                let shared = content.map(|(content, is_v6)| Vrrp::addresses(content, is_v6));
                for address in shared.into_iter().flatten() {
                    self.claims.share(heard.vlans(), address, heard.at().mono);
                }
            }
            message => {
                if let Message::Icmp(icmp) = message {
                    self.dhcp.unreachable(heard, icmp, findings);
                }
                if let Some(packet) = packet {
                    self.claims.packet(heard, packet, findings);
                }
            }
        }
    }
}

/// Frames, or times without any, that may have been answers.
fn lost(summary: &Summary) -> u64 {
    let health = &summary.health;
    summary.unseen + summary.unseen_exchanges + health.kernel_dropped + health.gaps
}

impl Detector for Protocols {
    fn frame(&mut self, seen: &Seen<'_>, findings: &mut Vec<Finding>) {
        if let Some(reading) = Reading::of(seen.link_type, seen.bytes) {
            self.reading(seen, &reading, findings);
        }
    }

    fn counts(&mut self, summary: &Summary) {
        let lost = lost(summary);
        let missed = std::mem::replace(&mut self.lost, lost) != lost;
        if missed {
            self.together.missed();
        }
        self.tcp.counts(summary, missed);
    }

    fn tick(&mut self, at: Stamp, findings: &mut Vec<Finding>) {
        self.looked = at.mono;
        let interface = Arc::clone(&self.interface);
        let together = self.together.clone();
        let local = together.local();
        local.tick(at.mono);
        let now = &Now { at, interface: &interface, local };
        self.claims.tick(now, findings);
        self.arp.tick(now, findings);
        self.bfd.tick(now, findings);
        self.bgp.tick(now, findings);
        self.dhcp.tick(now, findings);
        self.hsrp.tick(now, findings);
        self.icmp.tick(now, findings);
        self.lacp.tick(now, findings);
        self.lldp.tick(now, findings);
        self.nd.tick(now, findings);
        self.ospf.tick(now, findings);
        self.ra.tick(now, findings);
        self.stp.tick(now, findings);
        self.tcp.tick(now, findings);
        self.too_big.tick(now, findings);
        self.vrrp.tick(now, findings);
        self.together.tick(&interface, at, findings);
    }

    fn standing(&self, findings: &mut Vec<Finding>) {
        let link = self.lacp.lasting().chain(self.lldp.lasting()).chain(self.stp.lasting());
        let claims = self.claims.lasting().chain(self.arp.lasting()).chain(self.nd.lasting());
        let addresses = claims.chain(self.dhcp.lasting()).chain(self.ra.lasting());
        let first_hops = self.vrrp.lasting().chain(self.hsrp.lasting()).chain(self.icmp.lasting());
        let routing = self.bfd.lasting().chain(self.bgp.lasting()).chain(self.ospf.lasting());
        let all = link.chain(addresses).chain(first_hops).chain(routing);
        findings.extend(all.filter_map(Lasting::standing));
        self.together.standing(findings);
    }
}
