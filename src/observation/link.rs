//! The state of an interface, as rtnetlink and sysfs tell it.

use std::fmt;
use std::time::Duration;

use pnet::util::MacAddr;
use serde::{Deserialize, Serialize};

use super::link_role::{self, Bond, Port};
use crate::time::as_nanos;

/// `IF_OPER_*` of RFC 2863 as the kernel numbers them (linux/if.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperState {
    /// Not told by the driver, which for many virtual interfaces means up.
    #[default]
    Unknown,
    /// A component is missing.
    NotPresent,
    /// Down.
    Down,
    /// Down because what it lies upon is down.
    LowerLayerDown,
    /// In a test mode.
    Testing,
    /// Waiting for an external event.
    Dormant,
    /// Up.
    Up,
}

/// What rtnetlink tells of one interface (`RTM_NEWLINK`, linux/if_link.h).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkState {
    /// Interface index; a re-created interface has a new one.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `ARPHRD_*` of linux/if_arp.h.
    pub hardware: u16,
    /// `IFLA_INFO_KIND`: "bond", "team", "vlan", "veth"; none for most physical ones.
    pub kind: Option<String>,
    /// Index of the bond, team or bridge it belongs to.
    pub master: Option<u32>,
    /// Index of the interface it lies upon (the parent of a VLAN, the peer of a veth).
    pub lower: Option<u32>,
    /// True if a bus device stands behind it (`IFLA_PARENT_DEV_NAME`).
    pub physical: bool,
    /// Carrier; none while it is administratively down, where the kernel does not tell.
    pub carrier: Option<bool>,
    /// Operational state.
    pub operstate: OperState,
    /// `IFF_*` flags (linux/if.h).
    pub flags: u32,
    /// MTU in bytes.
    pub mtu: u32,
    /// Times the carrier came.
    pub carrier_up_count: Option<u32>,
    /// Times the carrier went.
    pub carrier_down_count: Option<u32>,
    /// Its Ethernet address; none for what has another kind.
    #[serde(with = "link_role::as_text_or_null")]
    pub address: Option<MacAddr>,
    /// What it tells as a bond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<Box<Bond>>,
    /// What its master tells of it as a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Box<Port>>,
}

impl LinkState {
    /// `IFF_UP`: administratively up (linux/if.h).
    pub const IFF_UP: u32 = 1;
    /// `IFF_LOOPBACK` (linux/if.h).
    pub const IFF_LOOPBACK: u32 = 1 << 3;

    /// Administratively up.
    pub fn admin_up(&self) -> bool {
        self.flags & Self::IFF_UP != 0
    }

    /// Able to carry frames: administratively up, carrier, and an operational state that allows it.
    pub fn is_up(&self) -> bool {
        self.admin_up()
            && self.carrier != Some(false)
            && matches!(self.operstate, OperState::Up | OperState::Unknown)
    }

    /// The VRRP group whose virtual MAC address it has, as the macvlan of a master does.
    pub fn virtual_router(&self) -> Option<u8> {
        link_role::virtual_router(self.address?)
    }

    /// Its carrier and operational state, in words.
    pub(super) fn in_words(&self) -> String {
        let carrier = match self.carrier {
            _ if !self.admin_up() => "administratively down",
            Some(true) => "carrier",
            Some(false) => "no carrier",
            None => "carrier unknown",
        };
        format!("{carrier}, operstate {}", self.operstate)
    }

    /// Carrier changes in both directions, as sysfs' `carrier_changes` counts them.
    pub fn carrier_changes(&self) -> Option<u32> {
        Some(self.carrier_up_count?.wrapping_add(self.carrier_down_count?))
    }
}

/// One row of the operator's table for one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSample {
    /// The interface.
    pub interface: String,
    /// `carrier`; none while it is administratively down (the kernel answers EINVAL) or gone.
    pub carrier: Option<bool>,
    /// `operstate` as sysfs words it; "gone" where the interface does not exist.
    pub operstate: String,
    /// Time in this operational state (`opstate_age`): the kernel's own where it has the attribute,
    /// else since we saw it change, or since we began to look.
    #[serde(rename = "age_ns", with = "as_nanos")]
    pub age: Duration,
    /// Operational state changes (`opstate_changes`): the kernel's own count, else those we saw.
    pub changes: u64,
}

impl fmt::Display for OperState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::NotPresent => "notpresent",
            Self::Down => "down",
            Self::LowerLayerDown => "lowerlayerdown",
            Self::Testing => "testing",
            Self::Dormant => "dormant",
            Self::Up => "up",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up() -> LinkState {
        LinkState {
            index: 7,
            name: "dp0bond0".to_owned(),
            carrier: Some(true),
            operstate: OperState::Up,
            flags: LinkState::IFF_UP,
            carrier_up_count: Some(1),
            carrier_down_count: Some(0),
            ..LinkState::default()
        }
    }

    #[test]
    fn up_needs_the_administrator_the_carrier_and_the_state() {
        assert!(up().is_up());
        assert!(LinkState { operstate: OperState::Unknown, ..up() }.is_up());
        assert!(!LinkState { flags: 0, ..up() }.is_up());
        assert!(!LinkState { carrier: Some(false), ..up() }.is_up());
        assert!(!LinkState { operstate: OperState::LowerLayerDown, ..up() }.is_up());
    }
}
