//! HSRP, version 1 (RFC 2281 §5.1) and 2 (Cisco; fields as in Wireshark's packet-hsrp.c): who is active,
//! who stands by.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{array, u16_at, u32_at};

/// What a router is in its group, in the order in which it gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// HSRP is off.
    Disabled,
    /// Starting.
    Initial,
    /// Waits to hear the group's address.
    Learn,
    /// Hears others.
    Listen,
    /// Stands for election.
    Speak,
    /// Takes over if the active router falls silent.
    Standby,
    /// Forwards.
    Active,
}

impl State {
    /// RFC 2281 §5.1: 0, 1, 2, 4, 8, 16.
    fn of_version_1(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Initial,
            1 => Self::Learn,
            2 => Self::Listen,
            4 => Self::Speak,
            8 => Self::Standby,
            16 => Self::Active,
            _ => return None,
        })
    }

    fn of_version_2(code: u8) -> Option<Self> {
        const ALL: [State; 7] = [
            State::Disabled,
            State::Initial,
            State::Learn,
            State::Listen,
            State::Speak,
            State::Standby,
            State::Active,
        ];
        ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a router speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Says that it is there.
    Hello,
    /// Wants to become active.
    Coup,
    /// Does not want to be active any longer.
    Resign,
}

/// A message about one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hsrp {
    /// 1 or 2.
    pub version: u8,
    /// Why it was sent.
    pub operation: Operation,
    /// The sender's state.
    pub state: State,
    /// The group.
    pub group: u16,
    /// The sender's priority.
    pub priority: u32,
    /// Time between hellos.
    pub hello: Duration,
    /// Silence after which the sender counts as gone.
    pub hold: Duration,
    /// The virtual address, by which people know the group; none where the sender has yet to learn it.
    pub address: Option<IpAddr>,
}

impl Hsrp {
    /// Reads a UDP payload. None for version 1's advertisements, which are about interfaces, and for
    /// what is no HSRP.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        /// A group state TLV of version 2, 40 bytes long.
        const GROUP_STATE: [u8; 2] = [1, 40];
        if bytes.starts_with(&GROUP_STATE) { Self::parse_v2(bytes) } else { Self::parse_v1(bytes) }
    }

    fn parse_v1(bytes: &[u8]) -> Option<Self> {
        const VERSION: u8 = 0;
        let &[VERSION, operation, state, hello, hold, priority, group, ..] = bytes else {
            return None;
        };
        // Behind eight bytes of authentication; what is shorter is something else.
        let address = Ipv4Addr::from(array::<4>(bytes, 16)?);
        Some(Self {
            version: 1,
            operation: Operation::of(operation)?,
            state: State::of_version_1(state)?,
            group: group.into(),
            priority: priority.into(),
            hello: Duration::from_secs(hello.into()),
            hold: Duration::from_secs(hold.into()),
            address: (!address.is_unspecified()).then_some(address.into()),
        })
    }

    fn parse_v2(bytes: &[u8]) -> Option<Self> {
        const VERSION: u8 = 2;
        const IPV6: u8 = 6;
        let &[_, _, VERSION, operation, state, family, ..] = bytes else { return None };
        let address: IpAddr = match family {
            IPV6 => Ipv6Addr::from(array::<16>(bytes, 26)?).into(),
            _ => Ipv4Addr::from(array::<4>(bytes, 26)?).into(),
        };
        Some(Self {
            version: 2,
            operation: Operation::of(operation)?,
            state: State::of_version_2(state)?,
            group: u16_at(bytes, 6)?,
            priority: u32_at(bytes, 14)?,
            hello: Duration::from_millis(u32_at(bytes, 18)?.into()),
            hold: Duration::from_millis(u32_at(bytes, 22)?.into()),
            address: (!address.is_unspecified()).then_some(address),
        })
    }
}

impl Operation {
    fn of(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Hello,
            1 => Self::Coup,
            2 => Self::Resign,
            _ => return None,
        })
    }
}

impl fmt::Display for Hsrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, state, group, priority, .. } = self;
        write!(f, "{operation:?} (state {state}), group {group}, priority {priority}")
    }
}
