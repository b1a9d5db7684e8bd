//! Which source an interface is read from: the packet ring, or pnet's datalink where that is refused.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::afpacket::{self, PacketRing, Refusal};
use super::classes;
use super::pnet::{self, PnetSource};
use super::{FrameSink, FrameSource, Interface, Ready, SourceCounters};
use crate::error::Result;
use crate::frame::Origin;
use crate::ring::LaneOptions;
use crate::sys::wakeup::Wakeup;
use crate::time::Clock;

/// How to capture, the same for every interface.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which source.
    pub source: SourceChoice,
    /// How to set the packet ring up; pnet takes of it what it can do.
    pub ring: afpacket::Options,
    /// How memory is shared among classes of traffic.
    pub classes: classes::Options,
    /// How memory is saved.
    pub lane: LaneOptions,
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, naming the accepted form.
    pub fn check(&self) -> Result<()> {
        self.ring.check()?;
        self.classes.check()?;
        self.lane.check()
    }

    /// The filter's expression, if there is one.
    pub fn filter(&self) -> Option<String> {
        self.ring.filter.as_ref().map(ToString::to_string)
    }
}

/// The operator's choice of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceChoice {
    /// The packet ring, or pnet where it is refused.
    #[default]
    Auto,
    /// The packet ring or nothing.
    PacketRing,
    /// pnet's datalink.
    Pnet,
}

impl FromStr for SourceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "packet-ring" => Ok(Self::PacketRing),
            "pnet" => Ok(Self::Pnet),
            _ => Err("unknown source; accepted: auto, packet-ring, pnet".to_owned()),
        }
    }
}

/// An open source of either kind. The choice costs a branch per kernel block, none per frame.
pub(super) enum Source {
    PacketRing(PacketRing),
    Pnet(PnetSource),
    /// Panics when it has handed over so many frames, or at once.
    #[cfg(test)]
    Breaking(PacketRing, u64),
}

impl Source {
    /// Opens `interface` as the options say; `wakeup` ends a wait early.
    ///
    /// # Errors
    /// When the interface cannot be captured at all, or not as chosen.
    pub(super) fn open(
        interface: &Interface,
        options: &Options,
        wakeup: &Wakeup,
        clock: &Clock,
    ) -> Result<Self> {
        if options.source == SourceChoice::Pnet {
            return Self::pnet(interface, options, wakeup, clock);
        }
        match PacketRing::open(interface, &options.ring, wakeup.clone()) {
            Ok(ring) => Ok(Self::PacketRing(ring)),
            Err(Refusal::Ring(error)) if options.source == SourceChoice::Auto => {
                warn!("{error}; trying pnet instead");
                Self::pnet(interface, options, wakeup, clock)
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn pnet(
        interface: &Interface,
        options: &Options,
        wakeup: &Wakeup,
        clock: &Clock,
    ) -> Result<Self> {
        let afpacket::Options { snaplen, promiscuous, filter, .. } = options.ring.clone();
        let options = pnet::Options { snaplen, promiscuous, filter };
        PnetSource::open(interface, &options, wakeup.clone(), clock.clone()).map(Self::Pnet)
    }

    /// In a word or two, for people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::PacketRing(_) => "packet ring",
            #[cfg(test)]
            Self::Breaking(..) => "packet ring",
            Self::Pnet(_) => "pnet",
        }
    }
}

impl FrameSource for Source {
    fn origin(&self) -> &Origin {
        match self {
            #[cfg(test)]
            Self::Breaking(source, _) => source.origin(),
            Self::PacketRing(source) => source.origin(),
            Self::Pnet(source) => source.origin(),
        }
    }

    fn unknowns(&self) -> &'static [&'static str] {
        match self {
            #[cfg(test)]
            Self::Breaking(source, _) => source.unknowns(),
            Self::PacketRing(source) => source.unknowns(),
            Self::Pnet(source) => source.unknowns(),
        }
    }

    fn read(&mut self, timeout: Duration, sink: &mut impl FrameSink) -> Result<Ready> {
        match self {
            #[cfg(test)]
            Self::Breaking(source, left) => source.read(timeout, &mut Breaking { sink, left }),
            Self::PacketRing(source) => source.read(timeout, sink),
            Self::Pnet(source) => source.read(timeout, sink),
        }
    }

    fn counters(&mut self) -> SourceCounters {
        match self {
            #[cfg(test)]
            Self::Breaking(source, _) => source.counters(),
            Self::PacketRing(source) => source.counters(),
            Self::Pnet(source) => source.counters(),
        }
    }

    fn stop(&mut self) -> Result<()> {
        match self {
            #[cfg(test)]
            Self::Breaking(source, _) => source.stop(),
            Self::PacketRing(source) => source.stop(),
            Self::Pnet(source) => source.stop(),
        }
    }
}

/// Takes so many frames and panics in the middle of the next one, as a defect would.
#[cfg(test)]
struct Breaking<'a, S> {
    sink: &'a mut S,
    left: &'a mut u64,
}

#[cfg(test)]
impl<S: FrameSink> FrameSink for Breaking<'_, S> {
    fn batch(&mut self) {
        self.sink.batch();
    }

    fn frame(&mut self, frame: &crate::frame::Frame<'_>) {
        *self.left = self.left.checked_sub(1).expect("on purpose, for a test");
        self.sink.frame(frame);
    }
}
