//! What an interface is besides an interface: the head of a bond, a port of a bond, team or bridge, the
//! virtual router's MAC address. Values are as the kernel tells them; what it does not tell is none.

use std::fmt;

use pnet::util::MacAddr;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A bond as its head tells it (`IFLA_BOND_*`, linux/if_link.h).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bond {
    /// "802.3ad", "active-backup", ...
    pub mode: String,
    /// How often the driver looks at its ports' carrier, in milliseconds; 0 = never.
    pub miimon_ms: u32,
    /// Ports with a link in the active aggregator that the bond needs to have a carrier. With 0 or 1 it
    /// never goes down for LACP alone.
    pub min_links: u32,
    /// True where LACPDUs are asked for every second, false every 30 s; none without LACP.
    pub lacp_fast: Option<bool>,
    /// Index of the port in use, where only one is.
    pub active_port: Option<u32>,
    /// The active aggregator; none without LACP.
    pub aggregator: Option<Aggregator>,
}

/// The aggregator that carries a bond's traffic (`IFLA_BOND_AD_INFO_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Aggregator {
    /// Its number.
    pub id: u16,
    /// Ports in it.
    pub ports: u16,
    /// The key that our side uses.
    pub actor_key: u16,
    /// The key that the other side uses.
    pub partner_key: u16,
    /// The other side; all zero while there is none.
    #[serde(with = "as_text")]
    pub partner: MacAddr,
}

/// A port as its master tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Port {
    /// Of a bond.
    Bond(BondPort),
    /// Of a bridge.
    Bridge {
        /// `IFLA_BRPORT_STATE`: "forwarding", "blocking", "listening", "learning", "disabled".
        state: String,
    },
    /// Of a master whose ports have no state here: "team", "vrf".
    Other {
        /// The kind of the master (`IFLA_INFO_SLAVE_KIND`).
        kind: String,
    },
}

/// A port of a bond (`IFLA_BOND_SLAVE_*`, linux/if_link.h).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BondPort {
    /// "active" or "backup".
    pub state: String,
    /// "up", "going_down", "down", "going_back".
    pub mii_status: String,
    /// How often its link failed since it became a port.
    pub link_failures: u32,
    /// The aggregator it is in; none without LACP.
    pub aggregator: Option<u16>,
    /// What we say of ourselves; none without LACP.
    pub actor: Option<LacpState>,
    /// What the partner said last of itself; none without LACP.
    pub partner: Option<LacpState>,
}

/// The state octet of an LACPDU (IEEE 802.1AX-2020, 6.4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LacpState(pub u8);

impl LacpState {
    /// The bits by name, lowest first.
    pub const NAMES: [&str; 8] = [
        "activity",
        "timeout",
        "aggregation",
        "synchronization",
        "collecting",
        "distributing",
        "defaulted",
        "expired",
    ];
    /// It sends what is to go out (IEEE 802.1AX 6.4.2.3).
    pub const DISTRIBUTING: u8 = 1 << 5;
    /// The receive machine gave the partner up and uses what the administrator configured for it.
    pub const DEFAULTED: u8 = 1 << 6;
    /// The receive machine heard nothing from the partner for its timeout.
    pub const EXPIRED: u8 = 1 << 7;

    /// The names of the bits that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let set = move |(bit, name): (usize, _)| (self.0 & (1 << bit) != 0).then_some(name);
        Self::NAMES.into_iter().enumerate().filter_map(set)
    }

    /// What came and went on the way to `now`: `+expired -collecting -distributing`.
    pub(super) fn towards(self, now: Self) -> String {
        let came = Self(now.0 & !self.0).names().map(|name| format!("+{name}"));
        let went = Self(self.0 & !now.0).names().map(|name| format!("-{name}"));
        came.chain(went).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for LacpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(" "))
    }
}

/// As the list of the bits that are set, for programs that read events.
impl Serialize for LacpState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// As it is written; a bit by another name is an error.
impl<'de> Deserialize<'de> for LacpState {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(from)?.iter().try_fold(Self(0), |state, name| {
            let bit = Self::NAMES.iter().position(|known| known == name);
            let bit = bit.ok_or_else(|| D::Error::custom(format!("{name:?} is no bit of LACP")))?;
            Ok(Self(state.0 | 1 << bit))
        })
    }
}

/// The group of a virtual router's MAC address `00:00:5e:00:01:XX`, or `02:XX` for IPv6 (RFC 9568,
/// section 7.3): VRRP puts it on a macvlan of the master.
pub fn virtual_router(address: MacAddr) -> Option<u8> {
    match address.octets() {
        [0, 0, 0x5e, 0, 1 | 2, group] => Some(group),
        _ => None,
    }
}

impl Port {
    /// The kind of its master.
    pub fn of(&self) -> &str {
        match self {
            Self::Bond(_) => "bond",
            Self::Bridge { .. } => "bridge",
            Self::Other { kind } => kind,
        }
    }
}

/// Link addresses as people write them: `#[serde(with = "as_text")]`.
mod as_text {
    use pnet::util::MacAddr;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        address: &MacAddr,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<MacAddr, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no link address")))
    }
}

/// The same of addresses that need not be there: then null.
pub(super) mod as_text_or_null {
    use pnet::util::MacAddr;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::as_text;

    #[derive(Serialize, Deserialize)]
    struct Text(#[serde(with = "as_text")] MacAddr);

    pub(in crate::observation) fn serialize<S: Serializer>(
        address: &Option<MacAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        address.map(Text).serialize(serializer)
    }

    pub(in crate::observation) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<MacAddr>, D::Error> {
        Ok(Option::<Text>::deserialize(from)?.map(|Text(address)| address))
    }
}
