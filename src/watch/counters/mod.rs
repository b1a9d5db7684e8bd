//! Counters of trouble that every interface has: errors, drops, missed frames, changes of carrier. They
//! stand still while all is well, so whatever makes one grow is worth a word, with its rate.
//!
//! It promises regular rounds that do not drift, exact differences from the kernel's 64-bit counters,
//! and silence while nothing grows. A counter that went back (the driver was loaded anew) begins again;
//! nothing is concluded from that. Rounds are read over rtnetlink, in one dump for all interfaces, so
//! they are those of our own network namespace, whatever is mounted on /sys.

use std::collections::BTreeMap;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use netlink_packet_core::{NlasIterator, ParseableParametrized};
use netlink_packet_route::link::{LinkAttribute, LinkMessage, Stats64};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::observation::counter::{Counter, CounterGrowth};
use crate::observation::link::LinkState;
use crate::time::Mono;
use crate::watch::netlink::dump;
use crate::watch::ticks::{Ticks, check_interval};
use crate::watch::{Wake, Watcher, WatcherContext, link};

mod queueing;

/// `RTM_NEWLINK` (linux/rtnetlink.h).
const RTM_NEWLINK: u16 = 16;
/// `struct ifinfomsg` (linux/rtnetlink.h) in bytes; attributes follow.
const IFINFOMSG: usize = 16;
/// `IFLA_IFNAME`, `IFLA_STATS64`, `IFLA_CARRIER_UP_COUNT`, `IFLA_CARRIER_DOWN_COUNT` (linux/if_link.h).
const WANTED: [u16; 4] = [3, 23, 47, 48];
/// Most interfaces that are remembered; a router with more VLANs names those that matter.
const INTERFACES: usize = 4_096;

/// Where rtnetlink has a counter's value (`struct rtnl_link_stats64`, linux/if_link.h).
type Field = fn(&Stats64) -> u64;

/// Those that are in the statistics, and where.
const FIELDS: [(Counter, Field); 14] = [
    (Counter::RxMissedErrors, |stats| stats.rx_missed_errors),
    (Counter::RxFifoErrors, |stats| stats.rx_fifo_errors),
    (Counter::RxOverErrors, |stats| stats.rx_over_errors),
    (Counter::RxCrcErrors, |stats| stats.rx_crc_errors),
    (Counter::RxFrameErrors, |stats| stats.rx_frame_errors),
    (Counter::RxLengthErrors, |stats| stats.rx_length_errors),
    (Counter::RxErrors, |stats| stats.rx_errors),
    (Counter::RxDropped, |stats| stats.rx_dropped),
    (Counter::TxAbortedErrors, |stats| stats.tx_aborted_errors),
    (Counter::TxCarrierErrors, |stats| stats.tx_carrier_errors),
    (Counter::TxFifoErrors, |stats| stats.tx_fifo_errors),
    (Counter::TxErrors, |stats| stats.tx_errors),
    (Counter::TxDropped, |stats| stats.tx_dropped),
    (Counter::Collisions, |stats| stats.collisions),
];

/// What can be tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Time between two rounds.
    pub interval: Duration,
    /// Patterns of names, such as `dp0*`; none = every interface but loopback.
    pub interfaces: Vec<String>,
    /// Growth per second below which nothing is told.
    pub at_least: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), interfaces: Vec::new(), at_least: 0.0 }
    }
}

impl Options {
    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] if the interval is below 10 ms or above an hour, a pattern is none, or the least
    /// growth is no number or negative.
    pub fn check(&self) -> Result<()> {
        check_interval("interval of counters", self.interval)?;
        if !self.at_least.is_finite() || self.at_least < 0.0 {
            let given = self.at_least.to_string();
            let accepted = "a number of frames per second, such as 10";
            return Err(Error::usage(
                "least growth of counters",
                given,
                "the growth is a number of 0 or more",
                accepted,
            ));
        }
        self.matcher().map(|_| ())
    }

    fn matcher(&self) -> Result<GlobSet> {
        let mut set = GlobSetBuilder::new();
        for pattern in &self.interfaces {
            let glob = Glob::new(pattern).map_err(|error| {
                let accepted = "the name of an interface, in which * stands for any part: dp0*";
                let reason = error.kind().to_string();
                Error::usage("interfaces of counters", pattern, reason, accepted)
            })?;
            set.add(glob);
        }
        set.build().map_err(|error| Error::operation("compile", "interface patterns", error))
    }
}

/// The counters of one interface in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    index: u32,
    name: String,
    loopback: bool,
    values: Vec<(Counter, u64)>,
}

/// The watcher of counters.
#[derive(Debug)]
pub struct CounterWatcher {
    options: Options,
    matcher: GlobSet,
    at: Option<Mono>,
    before: BTreeMap<u32, Vec<(Counter, u64)>>,
    /// There are more interfaces than are remembered, and that was said.
    too_many: bool,
}

impl CounterWatcher {
    /// Makes sure that counters can be read. The baseline is that of the first round.
    ///
    /// # Errors
    /// When an option has no meaning, or the kernel refuses a netlink socket or an answer.
    pub fn open(options: Options) -> Result<Self> {
        options.check()?;
        let matcher = options.matcher()?;
        readings()?;
        Ok(Self { options, matcher, at: None, before: BTreeMap::new(), too_many: false })
    }

    fn round(&mut self, context: &mut WatcherContext) {
        let readings = match readings() {
            Ok(readings) => readings,
            Err(error) => return context.report_missed(format!("one round of counters: {error}")),
        };
        let at = context.now();
        let passed = self.at.map_or(Duration::ZERO, |before| at.mono.since(before));
        self.at = Some(at.mono);
        let mut now = BTreeMap::new();
        for reading in readings.into_iter().filter(|reading| self.is_watched(reading)) {
            if now.len() >= INTERFACES {
                if !self.too_many {
                    self.too_many = true;
                    context.report_missed(format!(
                        "counters beyond the first {INTERFACES} interfaces"
                    ));
                }
                break;
            }
            if let Some(before) = self.before.get(&reading.index) {
                for growth in growths(&reading, before, passed) {
                    if growth.per_second >= self.options.at_least {
                        context.send_at(at, Fact::Counter(Box::new(growth)));
                    }
                }
            }
            now.insert(reading.index, reading.values);
        }
        self.before = now;
    }

    fn is_watched(&self, reading: &Reading) -> bool {
        if self.options.interfaces.is_empty() {
            !reading.loopback
        } else {
            self.matcher.is_match(&reading.name)
        }
    }
}

impl Watcher for CounterWatcher {
    const NAME: &'static str = "counters";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let mut ticks = Ticks::new(context.now().mono, self.options.interval);
        while context.wait(&[], Some(ticks.due()))? != Wake::Stop {
            self.round(context);
            // A late round loses nothing: the next one has the difference.
            ticks.served(context.now().mono);
        }
        Ok(())
    }
}

/// What grew from `before` to `reading`, `passed` later. Pure.
fn growths(
    reading: &Reading,
    before: &[(Counter, u64)],
    passed: Duration,
) -> impl Iterator<Item = CounterGrowth> {
    let seconds = passed.as_secs_f64();
    reading.values.iter().filter_map(move |(counter, now)| {
        let (_, before) = before.iter().find(|(other, _)| other == counter)?;
        let grown = now.checked_sub(*before).filter(|grown| *grown > 0 && seconds > 0.0)?;
        Some(CounterGrowth {
            interface: reading.name.clone(),
            counter: *counter,
            before: *before,
            now: *now,
            per_second: grown as f64 / seconds,
        })
    })
}

/// The counters of all interfaces now.
fn readings() -> Result<Vec<Reading>> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let mut readings = dump(&request, link::Options::default().receive_buffer, |kind, payload| {
        (kind == RTM_NEWLINK).then(|| read(payload)).flatten()
    })?;
    let drops = queueing::drops()?;
    for reading in &mut readings {
        let dropped = drops.get(&reading.index).map(|drops| (Counter::QdiscDropped, *drops));
        reading.values.extend(dropped);
    }
    Ok(readings)
}

/// The counters that an `RTM_NEWLINK` tells.
fn read(payload: &[u8]) -> Option<Reading> {
    let header = link::link_header(payload)?;
    let (mut name, mut values) = (None, Vec::new());
    let (mut came, mut went) = (None, None);
    let attributes = NlasIterator::new(payload.get(IFINFOMSG..)?).map_while(Result::ok);
    for attribute in attributes.filter(|attribute| WANTED.contains(&attribute.kind())) {
        match LinkAttribute::parse_with_param(&attribute, AddressFamily::Unspec) {
            Ok(LinkAttribute::IfName(told)) => name = Some(told),
            Ok(LinkAttribute::Stats64(stats)) => {
                values.extend(FIELDS.map(|(counter, field)| (counter, field(&stats))));
            }
            Ok(LinkAttribute::CarrierUpCount(count)) => came = Some(u64::from(count)),
            Ok(LinkAttribute::CarrierDownCount(count)) => went = Some(u64::from(count)),
            _ => {}
        }
    }
    if let (Some(came), Some(went)) = (came, went) {
        values.insert(0, (Counter::CarrierChanges, came + went));
    }
    let loopback = header.flags.bits() & LinkState::IFF_LOOPBACK != 0;
    Some(Reading { index: header.index, name: name?, loopback, values })
}

#[cfg(test)]
mod tests;
