//! ARP for IPv4 over Ethernet (RFC 826): who asks for whom, and who answers.

use std::fmt;
use std::net::Ipv4Addr;

use super::mac::Mac;
use super::{array, u16_at};

/// A request or a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// True for a reply.
    pub is_reply: bool,
    /// Link address the sender claims.
    pub sender_mac: Mac,
    /// Address the sender claims; unspecified in a probe (RFC 5227 §1.1).
    pub sender: Ipv4Addr,
    /// Link address of the target; of no meaning in a request.
    pub target_mac: Mac,
    /// The address asked for, or the one that had asked.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Reads what follows the EtherType. None for other address families and operations.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        /// IPv4, addresses of six and four bytes.
        const FAMILIES: [u8; 4] = [8, 0, 6, 4];
        /// Ethernet, and the IEEE's networks behind LLC (IANA's hardware types).
        const ETHERNET: u16 = 1;
        const IEEE_802: u16 = 6;
        const REQUEST: u16 = 1;
        const REPLY: u16 = 2;
        if !matches!(u16_at(bytes, 0)?, ETHERNET | IEEE_802) || array(bytes, 2)? != FAMILIES {
            return None;
        }
        let is_reply = match u16_at(bytes, 6)? {
            REQUEST => false,
            REPLY => true,
            _ => return None,
        };
        Some(Self {
            is_reply,
            sender_mac: Mac(array(bytes, 8)?),
            sender: array::<4>(bytes, 14)?.into(),
            target_mac: Mac(array(bytes, 18)?),
            target: array::<4>(bytes, 24)?.into(),
        })
    }

    /// A request whose sender does not own the address yet and asks whether somebody does.
    pub fn is_probe(&self) -> bool {
        !self.is_reply && self.sender.is_unspecified()
    }

    /// The sender speaks of itself: nobody is meant to answer.
    pub fn is_gratuitous(&self) -> bool {
        self.sender == self.target
    }
}

impl fmt::Display for Arp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sender, sender_mac, target, .. } = self;
        match (self.is_reply, self.is_gratuitous()) {
            (false, true) => write!(f, "ARP Announcement for {sender}"),
            (false, false) if self.is_probe() => write!(f, "Who has {target}? (ARP Probe)"),
            (false, false) => write!(f, "Who has {target}? Tell {sender}"),
            (true, true) => write!(f, "Gratuitous ARP for {sender} (Reply)"),
            (true, false) => write!(f, "{sender} is at {sender_mac}"),
        }
    }
}
