//! Spanning tree: BPDUs of STP, RSTP, MSTP (IEEE 802.1D 9.3, 802.1Q 14) and of Cisco's tree per VLAN.

use std::fmt;
use std::time::Duration;

use super::mac::Mac;
use super::{array, u16_at, u32_at};

/// A bridge as spanning tree knows it; the lower one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BridgeId {
    /// Priority, and below it the tree's number (IEEE 802.1Q 13.26.2): 32768 and 5.
    pub priority: u16,
    /// Its address.
    pub mac: Mac,
}

impl BridgeId {
    fn parse(bytes: &[u8], at: usize) -> Option<Self> {
        Some(Self { priority: u16_at(bytes, at)?, mac: Mac(array(bytes, at + 2)?) })
    }
}

/// As tshark writes it: `32768/5/00:1c:0e:87:85:00`.
impl fmt::Display for BridgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXTENSION: u16 = 0x0fff;
        let (priority, tree) = (self.priority & !EXTENSION, self.priority & EXTENSION);
        write!(f, "{priority}/{tree}/{}", self.mac)
    }
}

/// A bridge's configuration, as it sends it each hello time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configuration {
    /// Protocol version: 0 STP, 2 RSTP, 3 MSTP, 4 SPT.
    pub version: u8,
    /// The topology changed.
    pub topology_change: bool,
    /// Whom the sender takes for the root.
    pub root: BridgeId,
    /// What the way there costs.
    pub cost: u32,
    /// The sender.
    pub bridge: BridgeId,
    /// Its port: priority and number.
    pub port: u16,
    /// Time between configurations.
    pub hello: Duration,
    /// The tree's VLAN, where there is one tree per VLAN.
    pub vlan: Option<u16>,
}

/// A bridge protocol data unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bpdu {
    /// STP's message towards the root that the topology changed.
    Notification,
    /// Everything else.
    Configuration(Configuration),
}

impl Bpdu {
    /// Reads what follows LLC or SNAP. None for GARP and others.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        const PROTOCOL: [u8; 2] = [0, 0];
        const CONFIGURATION: u8 = 0x00;
        const RAPID: u8 = 0x02;
        const NOTIFICATION: u8 = 0x80;
        const TOPOLOGY_CHANGE: u8 = 0x01;
        /// Times count in 1/256 s (IEEE 802.1D 9.2.8).
        const TICKS_A_SECOND: u64 = 256;
        if !bytes.starts_with(&PROTOCOL) {
            return None;
        }
        let flags = match *bytes.get(3)? {
            NOTIFICATION => return Some(Self::Notification),
            CONFIGURATION | RAPID => *bytes.get(4)?,
            _ => return None,
        };
        let hello = u64::from(u16_at(bytes, 31)?) * 1_000 / TICKS_A_SECOND;
        Some(Self::Configuration(Configuration {
            version: *bytes.get(2)?,
            topology_change: flags & TOPOLOGY_CHANGE != 0,
            root: BridgeId::parse(bytes, 5)?,
            cost: u32_at(bytes, 13)?,
            bridge: BridgeId::parse(bytes, 17)?,
            port: u16_at(bytes, 25)?,
            hello: Duration::from_millis(hello),
            vlan: None,
        }))
    }

    /// The same of a tree per VLAN, whose number stands at the end.
    pub fn parse_per_vlan(bytes: &[u8]) -> Option<Self> {
        /// Type 0, length 2, behind the configuration of 35 bytes and, in RSTP, one more.
        const ORIGINATING_VLAN: [u8; 4] = [0, 0, 0, 2];
        let mut bpdu = Self::parse(bytes)?;
        if let Self::Configuration(configuration) = &mut bpdu {
            configuration.vlan = [35, 36]
                .into_iter()
                .find(|&at| array(bytes, at) == Some(ORIGINATING_VLAN))
                .and_then(|at| u16_at(bytes, at + ORIGINATING_VLAN.len()));
        }
        Some(bpdu)
    }
}

impl fmt::Display for Bpdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Configuration(c) = self else {
            return f.write_str("Topology Change Notification");
        };
        let name = match c.version {
            0 => "Conf.",
            2 => "RST.",
            _ => "MST.",
        };
        let change = if c.topology_change { "TC + " } else { "" };
        let (root, cost, port) = (c.root, c.cost, c.port);
        write!(f, "{name} {change}Root = {root}  Cost = {cost}  Port = {port:#06x}")
    }
}
