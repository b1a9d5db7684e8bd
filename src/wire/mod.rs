//! Bytes and their meaning, both ways. What comes from the wire may be anything: readers here return
//! nothing rather than panic, and never read past what they were given.
//!
//! ```text
//!  link (tags, LLC/SNAP, MPLS, PPPoE, cooked) ─► ip (options, extensions) ─► one file per protocol
//!    └─ one walk for all: control asks it for a verdict, reading for the meaning ─┘
//! ```
//!
//! What every protocol's file promises: `parse` takes the protocol's own bytes, copies what it needs or
//! borrows, allocates nothing, and gives nothing for what is cut short or is something else; displayed,
//! a message reads as in tshark's Info column.

pub mod arp;
pub mod bfd;
pub mod bgp;
pub mod bpdu;
pub mod control;
pub mod dhcp;
pub mod dns;
pub mod flow;
pub mod headers;
pub mod hsrp;
pub mod icmp;
pub mod icmp_message;
pub mod ip;
pub mod lacp;
pub mod link;
pub mod lldp;
pub mod mac;
pub mod nd;
pub mod ospf;
pub mod ra;
pub mod reading;
mod service;
pub mod tcp;
pub mod udp;
pub mod vrrp;

pub use flow::Flow;
pub use mac::Mac;
pub use reading::{Message, Reading};
pub use service::ServiceName;

/// `N` bytes at `at`.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// A number of two bytes in network order.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

/// A number of four bytes in network order.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}
