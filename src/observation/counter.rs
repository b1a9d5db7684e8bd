//! The counters of trouble by name (`struct rtnl_link_stats64`, linux/if_link.h, says what each means), and
//! their growth.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The counters of trouble, in the order in which they are told: causes before sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// Times the carrier came or went.
    CarrierChanges,
    /// Received frames that the interface had no room for; the host was too slow.
    RxMissedErrors,
    /// Received frames that a FIFO had no room for.
    RxFifoErrors,
    /// Received frames that a ring had no room for.
    RxOverErrors,
    /// Received frames with a wrong checksum: cable, transceiver, duplex.
    RxCrcErrors,
    /// Received frames with a broken alignment.
    RxFrameErrors,
    /// Received frames of a wrong length.
    RxLengthErrors,
    /// Received frames that were bad, in any way.
    RxErrors,
    /// Received frames that the kernel dropped.
    RxDropped,
    /// Frames to send that were given up.
    TxAbortedErrors,
    /// Frames to send while the carrier went.
    TxCarrierErrors,
    /// Frames to send that a FIFO had no room for.
    TxFifoErrors,
    /// Frames that were not sent, in any way.
    TxErrors,
    /// Frames to send that the kernel dropped.
    TxDropped,
    /// Frames that collided: half duplex, wanted or not.
    Collisions,
    /// Frames to send that the interface's queueing discipline dropped: a shaper, or a queue that is full.
    QdiscDropped,
}

impl Counter {
    /// As /sys/class/net/IF/statistics spells it, as far as it is there.
    pub fn name(self) -> &'static str {
        match self {
            Self::CarrierChanges => "carrier_changes",
            Self::RxMissedErrors => "rx_missed_errors",
            Self::RxFifoErrors => "rx_fifo_errors",
            Self::RxOverErrors => "rx_over_errors",
            Self::RxCrcErrors => "rx_crc_errors",
            Self::RxFrameErrors => "rx_frame_errors",
            Self::RxLengthErrors => "rx_length_errors",
            Self::RxErrors => "rx_errors",
            Self::RxDropped => "rx_dropped",
            Self::TxAbortedErrors => "tx_aborted_errors",
            Self::TxCarrierErrors => "tx_carrier_errors",
            Self::TxFifoErrors => "tx_fifo_errors",
            Self::TxErrors => "tx_errors",
            Self::TxDropped => "tx_dropped",
            Self::Collisions => "collisions",
            Self::QdiscDropped => "qdisc_dropped",
        }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A counter of trouble that grew between two rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CounterGrowth {
    /// The interface.
    pub interface: String,
    /// Which counter.
    pub counter: Counter,
    /// Its value in the round before.
    pub before: u64,
    /// Its value now.
    pub now: u64,
    /// By how much it grew, in a second.
    pub per_second: f64,
}

impl fmt::Display for CounterGrowth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, counter, before, now, per_second } = self;
        write!(f, "{interface}: {counter} {before} -> {now}, {per_second:.1} a second")
    }
}
