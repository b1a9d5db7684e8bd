//! What an interface is besides an interface, read from `IFLA_LINKINFO`. LACP dies here first, while every
//! carrier stays on.
//!
//! Values are kept as the kernel tells them and shown in words; what a kernel does not tell is none,
//! never a guess. Of a team's ports rtnetlink tells that they are ports and nothing more: their state
//! is teamd's own (drivers/net/team has no `fill_slave_info`).

use netlink_packet_route::link::{
    BondAdInfo, BondLacpRate, BondMode, BridgePortState, InfoBond, InfoBondPort, InfoBridgePort,
    InfoData, InfoPortData, LinkInfo,
};
use pnet::util::MacAddr;

use crate::observation::link::LinkState;
use crate::observation::link_role::{Aggregator, Bond, BondPort, LacpState, Port};

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
