//! OSPF, version 2 (RFC 2328 A.3) and 3 (RFC 5340 A.3): its hellos name every neighbour that is heard.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{array, u16_at, u32_at};

/// A packet; hellos are read to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ospf<'a> {
    /// 2 or 3.
    pub version: u8,
    /// The sender's identity.
    pub router: Ipv4Addr,
    /// The area.
    pub area: Ipv4Addr,
    /// What it says.
    pub kind: Kind<'a>,
}

/// Packet types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Type 1.
    Hello(Hello<'a>),
    /// Any other, by number, and a hello (1) that was cut.
    Other(u8),
}

/// A hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Time between hellos.
    pub interval: Duration,
    /// Silence after which a neighbour counts as gone.
    pub dead: Duration,
    neighbours: &'a [u8],
}

impl Hello<'_> {
    /// The routers that the sender hears.
    pub fn neighbours(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.neighbours.as_chunks::<4>().0.iter().copied().map(Ipv4Addr::from)
    }
}

impl<'a> Ospf<'a> {
    /// Reads what follows the IP header.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        const HELLO: u8 = 1;
        /// Headers in bytes, and where a hello's fields stand behind them.
        const HEADER_V2: usize = 24;
        const HEADER_V3: usize = 16;
        let &[version, kind, ..] = bytes else { return None };
        let length = usize::from(u16_at(bytes, 2)?);
        // Of a hello that was cut nobody could say which neighbours it does not name.
        let whole = bytes.get(..length);
        let hello = match (version, kind) {
            (2, HELLO) => whole.and_then(|w| w.get(HEADER_V2..)).and_then(Hello::parse_v2),
            (3, HELLO) => whole.and_then(|w| w.get(HEADER_V3..)).and_then(Hello::parse_v3),
            (2 | 3, _) => None,
            _ => return None,
        };
        let kind = hello.map_or(Kind::Other(kind), Kind::Hello);
        let router = array::<4>(bytes, 4)?.into();
        Some(Self { version, router, area: array::<4>(bytes, 8)?.into(), kind })
    }
}

impl<'a> Hello<'a> {
    /// Mask 4, interval 2, options 1, priority 1, dead 4, two designated routers, neighbours.
    fn parse_v2(body: &'a [u8]) -> Option<Self> {
        let interval = u16_at(body, 4)?;
        let dead = u32_at(body, 8)?;
        Some(Self::new(interval, dead, body.get(20..)?))
    }

    /// Interface 4, priority 1, options 3, interval 2, dead 2, two designated routers, neighbours.
    fn parse_v3(body: &'a [u8]) -> Option<Self> {
        let (interval, dead) = (u16_at(body, 8)?, u16_at(body, 10)?);
        Some(Self::new(interval, dead.into(), body.get(20..)?))
    }

    fn new(interval: u16, dead: u32, neighbours: &'a [u8]) -> Self {
        Self {
            interval: Duration::from_secs(interval.into()),
            dead: Duration::from_secs(dead.into()),
            neighbours,
        }
    }
}

impl fmt::Display for Ospf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            Kind::Hello(_) | Kind::Other(1) => "Hello Packet",
            Kind::Other(2) => "DB Description",
            Kind::Other(3) => "LS Request",
            Kind::Other(4) => "LS Update",
            Kind::Other(5) => "LS Acknowledge",
            Kind::Other(_) => "Unknown Packet",
        };
        write!(f, "{name}, router {}, area {}", self.router, self.area)
    }
}
