//! A route as it is followed, and the ways it leads.

use std::net::IpAddr;

/// A route, by what tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    pub(super) destination: IpAddr,
    pub(super) length: u8,
    pub(super) table: u32,
    pub(super) metric: u32,
    pub(super) tos: u8,
    /// Who made it: `RTPROT_*` (linux/rtnetlink.h).
    pub(super) protocol: u8,
}

/// One way that it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hop {
    pub(super) gateway: Option<IpAddr>,
    pub(super) index: Option<u32>,
}
