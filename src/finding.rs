//! What a detector concluded from frames: the storm, the silent partner, the address two hosts claim; or a
//! watcher from what it counted: the link that flaps, the table that is full.
//!
//! Live detectors, `replay` and `report` speak of the same findings, so they are ground: plain values
//! that know neither ring nor recorder.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::frame::Direction;
use crate::time::Stamp;
use crate::wire::Mac;

/// One conclusion. It is told when it begins and, where it lasts, again when it is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Of which kind.
    pub kind: FindingKind,
    /// How bad that is by itself.
    pub severity: Severity,
    /// The first frame that belongs to it.
    #[serde(skip)]
    pub first: Stamp,
    /// The last one so far.
    #[serde(skip)]
    pub last: Stamp,
    /// Where it was seen; none if it is about no interface in particular.
    pub interface: Option<String>,
    /// Which way its frames went.
    pub direction: Direction,
    /// Frames that belong to it so far.
    pub count: u64,
    /// Frames per second between first and last; none where that says nothing.
    pub rate: Option<f64>,
    /// What exactly, in one line: the frame, the address, the neighbour.
    pub what: String,
    /// The whole of it for a person.
    pub sentence: String,
    /// Whom it is about, at most [`Finding::PARTIES`]: what ties one finding to another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parties: Vec<Party>,
    /// True when it has ended.
    pub over: bool,
}

/// Somebody or something that a finding is about, beside its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A host, by its address.
    Host(IpAddr),
    /// A station, by its link address.
    Station(Mac),
    /// A VLAN, by its identifier.
    Vlan(u16),
}

impl Finding {
    /// Parties that are kept: both ends with both addresses, and the tags.
    pub const PARTIES: usize = 8;

    /// What the host tells at `at` without a frame; it lasts.
    pub fn of_host(
        kind: FindingKind,
        severity: Severity,
        at: Stamp,
        what: impl Into<String>,
        sentence: String,
    ) -> Self {
        Self {
            kind,
            severity,
            first: at,
            last: at,
            interface: None,
            direction: Direction::Unknown,
            count: 0,
            rate: None,
            what: what.into(),
            sentence,
            parties: Vec::new(),
            over: false,
        }
    }

    /// The watcher that concludes it: most conclude from frames, some from what the host counts or the kernel tells.
    pub fn watcher(&self) -> &'static str {
        match self.kind {
            FindingKind::LinkFlapping => "link",
            FindingKind::MacFlapping => "fdb",
            FindingKind::RoutesGone => "routes",
            FindingKind::TableFull => "capacity",
            FindingKind::ClockStep => "clock",
            // All interfaces at once: the machine slept.
            FindingKind::CaptureGap if self.interface.is_none() => "clock",
            _ => "detect",
        }
    }

    /// Adds somebody whom it is about, once; beyond [`Finding::PARTIES`] nobody.
    #[must_use]
    pub fn about(mut self, party: Party) -> Self {
        if self.parties.len() < Self::PARTIES && !self.parties.contains(&party) {
            self.parties.push(party);
        }
        self
    }

    /// True if both are about the same host, station or VLAN.
    pub fn shares_party(&self, other: &Self) -> bool {
        self.parties.iter().any(|party| other.parties.contains(party))
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => write!(f, "{address}"),
            Self::Station(address) => write!(f, "{address}"),
            Self::Vlan(id) => write!(f, "VLAN {id}"),
        }
    }
}

/// As [`Party`] is displayed.
impl FromStr for Party {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(id) = text.strip_prefix("VLAN ") {
            return id.parse().map(Self::Vlan).map_err(drop);
        }
        let host = text.parse().map(Self::Host);
        host.or_else(|_| text.parse().map(Self::Station)).map_err(drop)
    }
}

impl Serialize for Party {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Party {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|()| D::Error::custom(format!("{text:?} is no party")))
    }
}

/// How bad a finding is by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know: a recovery, a neighbour.
    Info,
    /// Unusual, and often harmless.
    Notice,
    /// Something does not work as it should.
    Warning,
    /// Traffic is being lost.
    Critical,
}

impl Severity {
    /// As spelled in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Defines the kinds once: variant, spelling, explanation.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// The kinds of findings, spelled in files as [`FindingKind::name`] says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind { $($(#[doc = $doc])+ $variant,)+ }

        impl FindingKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As spelled in files and configuration.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

kinds! {
    /// One frame, many times a second.
    DuplicateStorm = "duplicate_storm",
    /// One packet again and again, with nothing changed but what routers change: it goes in a circle.
    NearDuplicateLoop = "near_duplicate_loop",
    /// Frames for everybody, far more than usual.
    BroadcastStorm = "broadcast_storm",
    /// Frames for stations that are not there, which switches pass on to every port.
    UnknownUnicastFlood = "unknown_unicast_flood",
    /// Ever new link addresses, which fill the tables of switches.
    MacFlood = "mac_flood",
    /// A link address moves to and fro between ports of a bridge.
    MacFlapping = "mac_flapping",
    /// ARP requests without an answer.
    ArpUnanswered = "arp_unanswered",
    /// Neighbour solicitations without an answer.
    NdUnanswered = "nd_unanswered",
    /// Two stations claim one address.
    AddressConflict = "address_conflict",
    /// An address has another link address than before.
    AddressMoved = "address_moved",
    /// Traffic goes one way only.
    OneWay = "one_way",
    /// Nothing is heard any more.
    Silence = "silence",
    /// Nothing is received any more, in the midst of conversations.
    ReceiveSilence = "receive_silence",
    /// A station that frames are sent to is not heard any more.
    NextHopSilent = "next_hop_silent",
    /// Frames come with another VLAN tag than before.
    TaggingChanged = "tagging_changed",
    /// The rate changed for good.
    RateChange = "rate_change",
    /// A rate is above or below what the operator allows.
    RateLimit = "rate_limit",
    /// A frame matches what the operator waits for.
    FilterMatch = "filter_match",
    /// The partner's LACPDUs stay away.
    LacpSilence = "lacp_silence",
    /// The partner says that it does not hear us.
    LacpExpired = "lacp_expired",
    /// The partner gave us up and uses its defaults.
    LacpDefaulted = "lacp_defaulted",
    /// The partner took the link out of its aggregate.
    LacpOutOfSync = "lacp_out_of_sync",
    /// Another partner answers.
    LacpPartnerChanged = "lacp_partner_changed",
    /// Both ends are in the aggregate again.
    LacpRecovered = "lacp_recovered",
    /// Another router is the VRRP master.
    VrrpMasterChanged = "vrrp_master_changed",
    /// The master's advertisements stay away, or it resigned.
    VrrpSilence = "vrrp_silence",
    /// A router's HSRP state changed.
    HsrpStateChanged = "hsrp_state_changed",
    /// The active router's hellos stay away.
    HsrpSilence = "hsrp_silence",
    /// A bridge reports a topology change.
    StpTopologyChange = "stp_topology_change",
    /// Another bridge is the root.
    StpRootChanged = "stp_root_changed",
    /// The bridge that speaks for the root is no longer heard.
    StpSilence = "stp_silence",
    /// Another neighbour, or another port of it.
    LldpNeighborChanged = "lldp_neighbor_changed",
    /// A BFD session is down.
    BfdDown = "bfd_down",
    /// An OSPF neighbour is lost.
    OspfNeighborLost = "ospf_neighbor_lost",
    /// Two OSPF routers' hellos or descriptions do not fit together, so that they become no neighbours.
    OspfMismatch = "ospf_mismatch",
    /// Two OSPF routers begin to exchange their databases again and again.
    OspfStuck = "ospf_stuck",
    /// Two OSPF routers have one identity.
    OspfDuplicateRouter = "ospf_duplicate_router",
    /// Routes of one next hop or protocol vanished together.
    RoutesGone = "routes_gone",
    /// A BGP session ended, with a notification or without.
    BgpNotification = "bgp_notification",
    /// An end of a BGP session no longer hears the other.
    BgpSilence = "bgp_silence",
    /// A BGP session does not come up: its OPEN or its connection is refused.
    BgpRefused = "bgp_refused",
    /// TCP connections are reset at a high rate.
    TcpResetBurst = "tcp_reset_burst",
    /// TCP segments are sent again at a high rate.
    TcpRetransmissionBurst = "tcp_retransmission_burst",
    /// A receiver's window stays closed.
    TcpZeroWindow = "tcp_zero_window",
    /// A service refuses connections.
    ServiceRefused = "service_refused",
    /// A service does not answer connections.
    ServiceUnanswered = "service_unanswered",
    /// A service accepts connections and answers no request.
    ServiceStalled = "service_stalled",
    /// Many connections are asked for, and none goes on.
    SynFlood = "syn_flood",
    /// Connections are answered much later than usual.
    TcpRoundTrip = "tcp_round_trip",
    /// More segments are lost than usual.
    TcpLoss = "tcp_loss",
    /// One segment is sent again and again.
    TcpUnacknowledged = "tcp_unacknowledged",
    /// Large packets do not arrive, small ones do.
    MtuHole = "mtu_hole",
    /// A router says that packets are too big for the way.
    PacketTooBig = "packet_too_big",
    /// ICMP says unreachable at a high rate.
    IcmpUnreachableBurst = "icmp_unreachable_burst",
    /// A name server does not answer, or none of them does.
    DnsUnanswered = "dns_unanswered",
    /// A name server cannot find out, or refuses to.
    DnsFailing = "dns_failing",
    /// A name server answers much later than usual.
    DnsSlow = "dns_slow",
    /// A client asks for names that do not exist, many times a second.
    DnsNxdomainFlood = "dns_nxdomain_flood",
    /// Pings without an answer.
    PingUnanswered = "ping_unanswered",
    /// DHCP clients get no answer.
    DhcpNoAnswer = "dhcp_no_answer",
    /// A DHCP server refuses an address.
    DhcpNak = "dhcp_nak",
    /// A DHCP client found the address it was given in use.
    DhcpDeclined = "dhcp_declined",
    /// A DHCP client gave its address back.
    DhcpReleased = "dhcp_released",
    /// DHCP servers of one network configure differently.
    DhcpServersDiffer = "dhcp_servers_differ",
    /// A router's advertisements stay away for its lifetime.
    RaExpired = "ra_expired",
    /// A router says that it is no default router any longer.
    RaWithdrawn = "ra_withdrawn",
    /// Another router advertises itself.
    RaRogue = "ra_rogue",
    /// A router advertises something else than before.
    RaChanged = "ra_changed",
    /// Nothing was recorded for a time.
    CaptureGap = "capture_gap",
    /// Frames were dropped before they were recorded.
    Drops = "drops",
    /// A link goes down again and again.
    LinkFlapping = "link_flapping",
    /// A table of the kernel is full: neighbours, tracked connections.
    TableFull = "table_full",
    /// The wall clock was set.
    ClockStep = "clock_step",
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for FindingKind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let found = Self::ALL.iter().find(|kind| kind.name() == name);
        found.copied().ok_or_else(|| D::Error::custom(format!("{name:?} is no kind of finding")))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        if self.over { f.write_str(" (over)") } else { Ok(()) }
    }
}
