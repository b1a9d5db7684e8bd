//! LACP: what each end of a link says of itself and of the other (IEEE 802.1AX 6.4.2).
//!
//! ```text
//!  0        1         2    3    4              19   22   23   24           39   42
//! ┌────────┬─────────┬────┬────┬──────────────┬────┬────┬────┬────────────┬────┬───────────╌╌
//! │ sub- 1 │ version │ 1  │ 20 │ actor        │ -- │ 2  │ 20 │ partner    │ -- │ collector ...
//! └────────┴─────────┴────┴────┴──────────────┴────┴────┴────┴────────────┴────┴───────────╌╌
//!                      actor, partner: priority 2, system 6, key 2, port priority 2, port 2, state 1
//! ```

use std::fmt;

use super::mac::Mac;
use super::{array, u16_at};

/// The state bits of an end (IEEE 802.1AX 6.4.2.3, figure 6-8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct State(pub u8);

impl State {
    /// Speaks unasked.
    pub const ACTIVE: u8 = 0x01;
    /// Wants to hear a PDU each second, not each 30 s.
    pub const SHORT_TIMEOUT: u8 = 0x02;
    /// May be aggregated.
    pub const AGGREGATION: u8 = 0x04;
    /// Is in the right aggregate.
    pub const SYNCHRONIZATION: u8 = 0x08;
    /// Receives.
    pub const COLLECTING: u8 = 0x10;
    /// Sends.
    pub const DISTRIBUTING: u8 = 0x20;
    /// Gave its partner up and uses what was configured.
    pub const DEFAULTED: u8 = 0x40;
    /// Did not hear its partner in time.
    pub const EXPIRED: u8 = 0x80;

    /// True if every bit of `bits` is set.
    pub fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// In its aggregate and passing traffic, and not by default.
    pub fn is_up(self) -> bool {
        const WORKING: u8 = State::SYNCHRONIZATION | State::COLLECTING | State::DISTRIBUTING;
        self.has(WORKING) && self.0 & (Self::DEFAULTED | Self::EXPIRED) == 0
    }
}

/// Eight letters as in tshark, `*` for a bit that is not set: `**DCSG*A`.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        "EFDCSGSA".chars().enumerate().try_for_each(|(at, letter)| {
            let set = self.0 & (0x80 >> at) != 0;
            write!(f, "{}", if set { letter } else { '*' })
        })
    }
}

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct End {
    /// The system's priority; lower decides.
    pub system_priority: u16,
    /// The system; zero while unknown.
    pub system: Mac,
    /// Ports with the same key may be aggregated.
    pub key: u16,
    /// The port's priority.
    pub port_priority: u16,
    /// The port.
    pub port: u16,
    /// How it is.
    pub state: State,
}

impl End {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            system_priority: u16_at(bytes, 0)?,
            system: Mac(array(bytes, 2)?),
            key: u16_at(bytes, 8)?,
            port_priority: u16_at(bytes, 10)?,
            port: u16_at(bytes, 12)?,
            state: State(*bytes.get(14)?),
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} P: {} K: {} {}", self.system, self.port, self.key, self.state)
    }
}

/// An LACPDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacp {
    /// Its version.
    pub version: u8,
    /// The end that sent it, of itself.
    pub actor: End,
    /// What it knows of the other end.
    pub partner: End,
}

impl Lacp {
    /// Reads what follows the slow protocols' EtherType. None for marker, OAM and others.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        const SUBTYPE: u8 = 1;
        const ACTOR: [u8; 2] = [1, 20];
        const PARTNER: [u8; 2] = [2, 20];
        let &[SUBTYPE, version, ..] = bytes else { return None };
        if array(bytes, 2)? != ACTOR || array(bytes, 22)? != PARTNER {
            return None;
        }
        let actor = End::parse(bytes.get(4..)?)?;
        Some(Self { version, actor, partner: End::parse(bytes.get(24..)?)? })
    }
}

impl fmt::Display for Lacp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{} ACTOR {} PARTNER {}", self.version, self.actor, self.partner)
    }
}
