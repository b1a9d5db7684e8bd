//! OSPF, version 2 (RFC 2328 A.3) and 3 (RFC 5340 A.3): its hellos name every neighbour that is heard, its
//! database descriptions begin each adjacency.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{array, u16_at, u32_at};

/// Headers in bytes.
const HEADER_V2: usize = 24;
const HEADER_V3: usize = 16;

/// A packet, its hello read to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ospf<'a> {
    /// 2 or 3.
    pub version: u8,
    /// The sender's identity.
    pub router: Ipv4Addr,
    /// The area.
    pub area: Ipv4Addr,
    /// Which of several on one link, in version 3.
    pub instance: u8,
    /// How it is signed.
    pub authentication: Authentication,
    /// What it says.
    pub kind: Kind<'a>,
}

/// How a packet of version 2 is signed (RFC 2328 D.3); version 3 leaves that to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authentication {
    /// Not at all.
    #[default]
    None,
    /// With a password that everybody can read, which is why it is not shown.
    Simple([u8; 8]),
    /// With a secret key of this number.
    Key(u8),
    /// Some other way, by number.
    Other(u16),
}

/// Packet types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Type 1.
    Hello(Hello<'a>),
    /// Type 2.
    Description(Description),
    /// Any other, by number, and one of the others that was cut.
    Other(u8),
}

/// A hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Of the sender's network; version 3 has none.
    pub mask: Option<Ipv4Addr>,
    /// Time between hellos.
    pub interval: Duration,
    /// Silence after which a neighbour counts as gone.
    pub dead: Duration,
    /// What kind of area it is for the sender: bit 0x02 takes external routes (not a stub), 0x08 is NSSA.
    pub options: u8,
    /// Designated router and its backup: an address in version 2, an identity in version 3.
    pub designated: [Ipv4Addr; 2],
    /// False for a hello that was cut: nobody can say which neighbours it does not name.
    pub whole: bool,
    neighbours: &'a [u8],
}

/// How a router begins to exchange its database, or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Largest packet that the sender takes on the link; zero on virtual links.
    pub mtu: u16,
    /// The very first, which decides who leads.
    pub initial: bool,
    /// More follow.
    pub more: bool,
    /// Its number.
    pub sequence: u32,
}

impl Hello<'_> {
    /// The options in which neighbours must agree (RFC 2328 §10.5, RFC 3101 §2.4).
    const AGREED: u8 = 0x0a;

    /// The routers that the sender hears.
    pub fn neighbours(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.neighbours.as_chunks::<4>().0.iter().copied().map(Ipv4Addr::from)
    }
}

impl<'a> Ospf<'a> {
    /// Reads what follows the IP header.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        const HELLO: u8 = 1;
        const DESCRIPTION: u8 = 2;
        let &[version, number, ..] = bytes else { return None };
        let length = usize::from(u16_at(bytes, 2)?);
        let whole = bytes.len() >= length;
        let header = match version {
            2 => HEADER_V2,
            3 => HEADER_V3,
            _ => return None,
        };
        let body = bytes.get(header..length.min(bytes.len())).unwrap_or_default();
        let kind = match (version, number) {
            (2, HELLO) => Hello::parse_v2(body, whole).map(Kind::Hello),
            (_, HELLO) => Hello::parse_v3(body, whole).map(Kind::Hello),
            (2, DESCRIPTION) => Description::parse(body, 0, 3, 4).map(Kind::Description),
            (_, DESCRIPTION) => Description::parse(body, 4, 7, 8).map(Kind::Description),
            _ => None,
        };
        Some(Self {
            version,
            router: array::<4>(bytes, 4)?.into(),
            area: array::<4>(bytes, 8)?.into(),
            instance: if version == 3 { *bytes.get(14)? } else { 0 },
            authentication: if version == 2 {
                Authentication::parse(bytes)?
            } else {
                Authentication::None
            },
            kind: kind.unwrap_or(Kind::Other(number)),
        })
    }
}

impl Authentication {
    /// Type at 14, eight bytes of it at 16.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let kind = u16_at(bytes, 14)?;
        Some(match kind {
            0 => Self::None,
            1 => Self::Simple(array(bytes, 16)?),
            2 => Self::Key(*bytes.get(18)?),
            other => Self::Other(other),
        })
    }
}

impl<'a> Hello<'a> {
    /// Mask 4, interval 2, options 1, priority 1, dead 4, two designated routers, neighbours.
    fn parse_v2(body: &'a [u8], whole: bool) -> Option<Self> {
        Some(Self {
            mask: Some(array::<4>(body, 0)?.into()),
            interval: Duration::from_secs(u16_at(body, 4)?.into()),
            dead: Duration::from_secs(u32_at(body, 8)?.into()),
            options: *body.get(6)? & Self::AGREED,
            designated: [array::<4>(body, 12)?.into(), array::<4>(body, 16)?.into()],
            whole,
            neighbours: body.get(20..)?,
        })
    }

    /// Interface 4, priority 1, options 3, interval 2, dead 2, two designated routers, neighbours.
    fn parse_v3(body: &'a [u8], whole: bool) -> Option<Self> {
        Some(Self {
            mask: None,
            interval: Duration::from_secs(u16_at(body, 8)?.into()),
            dead: Duration::from_secs(u16_at(body, 10)?.into()),
            options: *body.get(7)? & Self::AGREED,
            designated: [array::<4>(body, 12)?.into(), array::<4>(body, 16)?.into()],
            whole,
            neighbours: body.get(20..)?,
        })
    }
}

impl Description {
    /// The versions differ in where the fields stand.
    fn parse(body: &[u8], mtu: usize, flags: usize, sequence: usize) -> Option<Self> {
        const MORE: u8 = 0x02;
        const INITIAL: u8 = 0x04;
        let bits = *body.get(flags)?;
        Some(Self {
            mtu: u16_at(body, mtu)?,
            initial: bits & INITIAL != 0,
            more: bits & MORE != 0,
            sequence: u32_at(body, sequence)?,
        })
    }
}

impl fmt::Display for Ospf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            Kind::Hello(_) | Kind::Other(1) => "Hello Packet",
            Kind::Description(_) | Kind::Other(2) => "DB Description",
            Kind::Other(3) => "LS Request",
            Kind::Other(4) => "LS Update",
            Kind::Other(5) => "LS Acknowledge",
            Kind::Other(_) => "Unknown Packet",
        };
        write!(f, "{name}, router {}, area {}", self.router, self.area)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_tell_the_largest_packet_in_both_versions() {
        let header = |version, header: usize, length: u8| {
            let mut bytes = vec![version, 2, 0, length, 2, 2, 2, 2, 0, 0, 0, 0];
            bytes.resize(header, 0);
            bytes
        };
        let v2 = [&header(2, 24, 32)[..], &[5, 120, 2, 7, 0, 0, 0, 9]].concat();
        let v3 = [&header(3, 16, 28)[..], &[0, 0, 0, 0x13, 5, 120, 0, 7, 0, 0, 0, 9]].concat();
        let expected = Description { mtu: 1_400, initial: true, more: true, sequence: 9 };
        for bytes in [v2, v3] {
            let ospf = Ospf::parse(&bytes).unwrap();
            assert_eq!(ospf.kind, Kind::Description(expected));
            assert_eq!(Ospf::parse(&bytes[..bytes.len() - 1]).unwrap().kind, Kind::Other(2), "cut");
        }
    }
}
