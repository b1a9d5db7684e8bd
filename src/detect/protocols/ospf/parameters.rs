//! What two OSPF routers on one link must agree on before they become neighbours (RFC 2328 §10.5): each
//! drops the other's hellos in silence until they do.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::wire::ospf::{Authentication, Hello, Ospf};

/// What a hello says of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) interval: Duration,
    pub(super) dead: Duration,
    /// Designated router and backup.
    pub(super) designated: [Ipv4Addr; 2],
    mask: Option<Ipv4Addr>,
    area: Ipv4Addr,
    authentication: Authentication,
    options: u8,
}

impl Parameters {
    pub(super) fn of(ospf: &Ospf<'_>, hello: &Hello<'_>) -> Self {
        Self {
            interval: hello.interval,
            dead: hello.dead,
            designated: hello.designated,
            mask: hello.mask,
            area: ospf.area,
            authentication: ospf.authentication,
            options: hello.options,
        }
    }

    /// In what they differ that must be the same, each with both values; empty where nothing is wrong.
    pub(super) fn differences(&self, other: &Self) -> String {
        let seconds = |time: Duration| format!("{} s", time.as_secs());
        // Masks count only where there is a designated router: not on links between two.
        let has_network =
            !self.designated[0].is_unspecified() || !other.designated[0].is_unspecified();
        let mask = |of: &Self| of.mask.filter(|_| has_network).map(|mask| mask.to_string());
        let all = [
            ("hello interval", seconds(self.interval), seconds(other.interval)),
            ("dead interval", seconds(self.dead), seconds(other.dead)),
            ("network mask", mask(self).unwrap_or_default(), mask(other).unwrap_or_default()),
            ("area", self.area.to_string(), other.area.to_string()),
            ("area type", area_type(self.options), area_type(other.options)),
        ];
        let mut differences: Vec<String> = all
            .into_iter()
            .filter(|(_, one, two)| one != two)
            .map(|(what, one, two)| format!("{what} {one} and {two}"))
            .collect();
        differences.extend(signed_differently(self.authentication, other.authentication));
        differences.join(", ")
    }

    /// True if `other` belongs to the network that `own` is in; version 3 does not tell, and has one link.
    pub(super) fn shares_network(&self, own: IpAddr, other: IpAddr) -> bool {
        match (self.mask, own, other) {
            (Some(mask), IpAddr::V4(own), IpAddr::V4(other)) => {
                !mask.is_unspecified() && own & mask == other & mask
            }
            (mask, ..) => mask.is_none(),
        }
    }
}

fn area_type(options: u8) -> String {
    const EXTERNAL: u8 = 0x02;
    const NSSA: u8 = 0x08;
    let word = match (options & EXTERNAL != 0, options & NSSA != 0) {
        (true, _) => "ordinary",
        (false, true) => "not so stubby",
        (false, false) => "stub",
    };
    word.to_owned()
}

fn signed_differently(one: Authentication, other: Authentication) -> Option<String> {
    let word = |how: Authentication| match how {
        Authentication::None => "none".to_owned(),
        Authentication::Simple(_) => "a password".to_owned(),
        Authentication::Key(id) => format!("key {id}"),
        Authentication::Other(kind) => format!("type {kind}"),
    };
    let (first, second) = (word(one), word(other));
    match one == other {
        true => None,
        false if first == second => Some("authentication with different passwords".to_owned()),
        false => Some(format!("authentication {first} and {second}")),
    }
}
