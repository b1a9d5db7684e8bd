//! What an interface is besides an interface: the head of a bond, a port of a bond, team or bridge, the
//! virtual router's MAC address. LACP dies here first, while every carrier stays on.
//!
//! Values are kept as the kernel tells them and shown in words; what a kernel does not tell is none,
//! never a guess. Of a team's ports rtnetlink tells that they are ports and nothing more: their state
//! is teamd's own (drivers/net/team has no `fill_slave_info`).

use std::fmt;

use netlink_packet_route::link::{
    BondAdInfo, BondLacpRate, BondMode, BridgePortState, InfoBond, InfoBondPort, InfoBridgePort,
    InfoData, InfoPortData, LinkInfo,
};
use pnet::util::MacAddr;
use serde::{Serialize, Serializer};

use crate::watch::LinkState;

/// A bond as its head tells it (`IFLA_BOND_*`, linux/if_link.h).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
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
    #[serde(serialize_with = "as_text")]
    pub partner: MacAddr,
}

/// A port as its master tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
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

/// The group of a virtual router's MAC address `00:00:5e:00:01:XX`, or `02:XX` for IPv6 (RFC 9568,
/// section 7.3): VRRP puts it on a macvlan of the master.
pub(in crate::watch) fn virtual_router(address: MacAddr) -> Option<u8> {
    match address.octets() {
        [0, 0, 0x5e, 0, 1 | 2, group] => Some(group),
        _ => None,
    }
}

/// An Ethernet address; none for what has another length.
pub(in crate::watch) fn ethernet(address: &[u8]) -> Option<MacAddr> {
    <[u8; 6]>::try_from(address).ok().map(MacAddr::from)
}

/// Fills in what the attributes nested in `IFLA_LINKINFO` tell.
pub(super) fn read(infos: Vec<LinkInfo>, state: &mut LinkState) {
    for info in infos {
        match info {
            LinkInfo::Kind(kind) => state.kind = Some(kind.to_string()),
            LinkInfo::Data(InfoData::Bond(told)) => state.bond = Some(Box::new(read_bond(told))),
            LinkInfo::PortKind(kind) => {
                state.port = Some(Box::new(Port::Other { kind: kind.to_string() }));
            }
            LinkInfo::PortData(InfoPortData::BondPort(told)) => {
                state.port = Some(Box::new(Port::Bond(read_bond_port(told))));
            }
            LinkInfo::PortData(InfoPortData::BridgePort(told)) => {
                if let Some(port) = read_bridge_port(&told) {
                    state.port = Some(Box::new(port));
                }
            }
            _ => {}
        }
    }
}

fn read_bond(told: Vec<InfoBond>) -> Bond {
    let mut bond = Bond::default();
    let mut lacp = false;
    for info in told {
        match info {
            InfoBond::Mode(mode) => {
                lacp = mode == BondMode::Ieee8023Ad;
                bond.mode = mode.to_string();
            }
            InfoBond::ActivePort(index) => bond.active_port = (index != 0).then_some(index),
            InfoBond::MiiMon(interval) => bond.miimon_ms = interval,
            InfoBond::MinLinks(links) => bond.min_links = links,
            InfoBond::AdLacpRate(rate) => bond.lacp_fast = Some(rate == BondLacpRate::Fast),
            InfoBond::AdInfo(told) => bond.aggregator = Some(read_aggregator(&told)),
            _ => {}
        }
    }
    if !lacp {
        // The kernel tells the rate in every mode.
        bond.lacp_fast = None;
    }
    bond
}

fn read_aggregator(told: &[BondAdInfo]) -> Aggregator {
    let mut aggregator = Aggregator::default();
    for info in told {
        match info {
            BondAdInfo::Aggregator(id) => aggregator.id = *id,
            BondAdInfo::NumPorts(ports) => aggregator.ports = *ports,
            BondAdInfo::ActorKey(key) => aggregator.actor_key = *key,
            BondAdInfo::PartnerKey(key) => aggregator.partner_key = *key,
            BondAdInfo::PartnerMac(address) => aggregator.partner = MacAddr::from(*address),
            _ => {}
        }
    }
    aggregator
}

fn read_bond_port(told: Vec<InfoBondPort>) -> BondPort {
    let mut port = BondPort::default();
    for info in told {
        match info {
            InfoBondPort::BondPortState(state) => port.state = state.to_string(),
            InfoBondPort::MiiStatus(status) => port.mii_status = status.to_string(),
            InfoBondPort::LinkFailureCount(count) => port.link_failures = count,
            InfoBondPort::AdAggregatorId(id) => port.aggregator = Some(id),
            InfoBondPort::AdActorOperPortState(bits) => port.actor = Some(LacpState(bits.bits())),
            InfoBondPort::AdPartnerOperPortState(bits) => {
                port.partner = Some(LacpState(bits.bits()));
            }
            _ => {}
        }
    }
    port
}

fn read_bridge_port(told: &[InfoBridgePort]) -> Option<Port> {
    told.iter().find_map(|info| match info {
        InfoBridgePort::State(state) => Some(Port::Bridge { state: stp_word(*state) }),
        _ => None,
    })
}

/// As bridge(8) words it.
fn stp_word(state: BridgePortState) -> String {
    match state {
        BridgePortState::Disabled => "disabled".to_owned(),
        BridgePortState::Listening => "listening".to_owned(),
        BridgePortState::Learning => "learning".to_owned(),
        BridgePortState::Forwarding => "forwarding".to_owned(),
        BridgePortState::Blocking => "blocking".to_owned(),
        other => format!("state {}", u8::from(other)),
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

fn as_text<S: Serializer>(address: &MacAddr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

/// For `serialize_with`, which hands over a reference to the whole field.
pub(in crate::watch) fn as_text_or_null<S: Serializer>(
    address: &Option<MacAddr>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_none(),
    }
}
