//! What passed each interface in an interval: the figures of `sar -n DEV` and `sar -n EDEV`, under the names
//! sysstat gives them.
//!
//! Read from /proc/net/dev, where sysstat reads them too, for every interface of our network namespace,
//! recorded or not. The file is opened at the start and read again each time. Counters that went back (the
//! driver was loaded anew, the interface was created again) begin again: that interval is left out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::export::choice::What;
use crate::export::event::Event;
use crate::finding::Severity;
use crate::time::Stamp;

/// Statistics of every interface, as text (proc_pid_net(5)).
const FILE: &str = "/proc/net/dev";
/// Longest content that is read: 4,096 interfaces at 200 bytes a line.
const LONGEST: u64 = 1 << 20;
/// Interfaces at most; further ones of a longer file are left out.
const INTERFACES: usize = 4_096;
/// sysstat's kB.
const KILOBYTE: f64 = 1_024.0;

/// The counters of one interface (`dev_seq_printf_stats`, net/core/net-procfs.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counters {
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    rx_multicast: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
    collisions: u64,
}

/// One interval of one interface; names and units are sysstat's (sar(1)): per second, kB of 1024 bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(non_snake_case, reason = "sysstat's names, as operators know them")]
struct Rates {
    rxpck_s: f64,
    txpck_s: f64,
    rxkB_s: f64,
    txkB_s: f64,
    rxmcst_s: f64,
    rxerr_s: f64,
    txerr_s: f64,
    rxdrop_s: f64,
    txdrop_s: f64,
    coll_s: f64,
}

/// Reads the counters again and again.
#[derive(Debug)]
pub(super) struct Meter {
    file: File,
    before: Option<(Stamp, BTreeMap<String, Counters>)>,
}

impl Meter {
    /// Opens the file; the first round is the baseline.
    pub(super) fn open() -> Result<Self> {
        let file = File::open(FILE).map_err(|e| Error::operation("open", FILE, e))?;
        Ok(Self { file, before: None })
    }

    /// What passed since the round before, an event for each interface.
    pub(super) fn round(&mut self, now: Stamp) -> io::Result<Vec<Event>> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(LONGEST).read_to_string(&mut text)?;
        let counters = read(&text);
        let events = self.before.as_ref().map(|(then, before)| {
            let passed = now.mono.since(then.mono);
            let each = counters.iter().filter_map(|(interface, now)| {
                Some((interface, rates(before.get(interface)?, now, passed)?))
            });
            each.map(|(interface, rates)| told(interface, &rates, passed, now)).collect()
        });
        self.before = Some((now, counters));
        Ok(events.unwrap_or_default())
    }
}

/// Every interface of the file; lines that are none are passed over.
fn read(text: &str) -> BTreeMap<String, Counters> {
    text.lines().filter_map(line).take(INTERFACES).collect()
}

fn line(line: &str) -> Option<(String, Counters)> {
    // The name ends at the last colon: an alias has one of its own.
    let (name, numbers) = line.rsplit_once(':')?;
    let numbers: Vec<u64> =
        numbers.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
    let at = |place: usize| numbers.get(place).copied();
    Some((
        name.trim().to_owned(),
        Counters {
            rx_bytes: at(0)?,
            rx_packets: at(1)?,
            rx_errors: at(2)?,
            rx_dropped: at(3)?,
            rx_multicast: at(7)?,
            tx_bytes: at(8)?,
            tx_packets: at(9)?,
            tx_errors: at(10)?,
            tx_dropped: at(11)?,
            collisions: at(13)?,
        },
    ))
}

/// The rates between two readings; none if a counter went back or no time passed.
fn rates(before: &Counters, now: &Counters, passed: Duration) -> Option<Rates> {
    let seconds = passed.as_secs_f64();
    if seconds <= 0.0 {
        return None;
    }
    let rate = |of: fn(&Counters) -> u64| {
        let grown = of(now).checked_sub(of(before))?;
        // Three digits, as much as a person or a graph can use.
        Some((grown as f64 / seconds * 1e3).round() / 1e3)
    };
    let kilobytes = |of: fn(&Counters) -> u64| {
        let grown = of(now).checked_sub(of(before))?;
        Some((grown as f64 / KILOBYTE / seconds * 1e3).round() / 1e3)
    };
    Some(Rates {
        rxpck_s: rate(|c| c.rx_packets)?,
        txpck_s: rate(|c| c.tx_packets)?,
        rxkB_s: kilobytes(|c| c.rx_bytes)?,
        txkB_s: kilobytes(|c| c.tx_bytes)?,
        rxmcst_s: rate(|c| c.rx_multicast)?,
        rxerr_s: rate(|c| c.rx_errors)?,
        txerr_s: rate(|c| c.tx_errors)?,
        rxdrop_s: rate(|c| c.rx_dropped)?,
        txdrop_s: rate(|c| c.tx_dropped)?,
        coll_s: rate(|c| c.collisions)?,
    })
}

fn told(interface: &str, rates: &Rates, passed: Duration, now: Stamp) -> Event {
    let (speed, half) = line_rate(interface);
    let util = speed.map(|speed| utilisation(rates, speed, half));
    let mut fields = json!(rates);
    let Rates { rxpck_s, txpck_s, rxkB_s, txkB_s, .. } = rates;
    let sentence = format!(
        "{interface}: {rxpck_s} rxpck/s, {txpck_s} txpck/s, {rxkB_s} rxkB/s, {txkB_s} txkB/s"
    );
    if let Value::Object(fields) = &mut fields {
        for (field, value) in [
            ("time", Value::from(now.wall.to_string())),
            ("interface", interface.into()),
            ("seconds", ((passed.as_secs_f64() * 1e3).round() / 1e3).into()),
            ("util_percent", util.into()),
            ("speed_mbit", speed.into()),
            ("sentence", sentence.into()),
        ] {
            fields.insert(field.to_owned(), value);
        }
    }
    Event::new(What::Traffic, Severity::Info, "traffic", fields)
}

/// Speed in Mbit/s, where the driver knows one, and whether it is half duplex
/// (Documentation/ABI/testing/sysfs-class-net).
fn line_rate(interface: &str) -> (Option<u32>, bool) {
    let attribute = |name: &str| fs::read_to_string(format!("/sys/class/net/{interface}/{name}"));
    // A link that is down has -1, or no answer.
    let speed = attribute("speed").ok().and_then(|text| text.trim().parse().ok());
    let half = attribute("duplex").is_ok_and(|text| text.trim() == "half");
    (speed.filter(|speed| *speed > 0), half)
}

/// `%ifutil`: the busier direction of a full-duplex link, both of a half-duplex one.
fn utilisation(rates: &Rates, speed_mbit: u32, half: bool) -> f64 {
    let (rx, tx) = (rates.rxkB_s, rates.txkB_s);
    let kilobytes = if half { rx + tx } else { rx.max(tx) };
    let percent = kilobytes * KILOBYTE * 8.0 / (f64::from(speed_mbit) * 1e6) * 100.0;
    (percent * 1e2).round() / 1e2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::{Mono, Wall};

    const TEXT: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1024 8 0 0 0 0 0 0 1024 8 0 0 0 0 0 0
eth0:1: 2048 10 1 2 0 0 0 3 4096 20 4 5 0 6 0 0
";

    #[test]
    fn counters_are_read_by_name() {
        let counters = read(TEXT);
        assert_eq!(counters.keys().collect::<Vec<_>>(), ["eth0:1", "lo"]);
        let Counters { rx_bytes, rx_multicast, tx_packets, tx_errors, collisions, .. } =
            counters["eth0:1"];
        assert_eq!(
            (rx_bytes, rx_multicast, tx_packets, tx_errors, collisions),
            (2_048, 3, 20, 4, 6)
        );
    }

    #[test]
    fn rates_are_those_of_sar() {
        let before = Counters { rx_bytes: 1_000, tx_packets: 5, ..Counters::default() };
        let now = Counters { rx_bytes: 1_000 + 125_000_000, tx_packets: 25, ..Counters::default() };
        let rates = rates(&before, &now, Duration::from_secs(10)).unwrap();
        assert_eq!((rates.rxkB_s, rates.txpck_s, rates.txkB_s), (12_207.031, 2.0, 0.0));
        assert_eq!(utilisation(&rates, 1_000, false), 10.0);
        let both = Rates { txkB_s: rates.rxkB_s, ..rates.clone() };
        assert_eq!(
            (utilisation(&both, 1_000, false), utilisation(&both, 1_000, true)),
            (10.0, 20.0)
        );
        assert_eq!(super::rates(&now, &before, Duration::from_secs(1)), None, "went back");
        assert_eq!(super::rates(&before, &now, Duration::ZERO), None);
    }

    #[test]
    fn the_first_round_is_the_baseline() {
        let at = |seconds: u64| Stamp { mono: Mono(seconds * 1_000_000_000), wall: Wall(0) };
        let mut meter = Meter::open().unwrap();
        assert_eq!(meter.round(at(1)).unwrap(), []);
        let events = meter.round(at(11)).unwrap();
        let lo = events.iter().find(|event| event.text("interface") == Some("lo")).expect("it is");
        assert_eq!((lo.what, lo.fields["seconds"].as_f64()), (What::Traffic, Some(10.0)));
        assert!(lo.fields["rxpck_s"].is_number() && lo.fields["util_percent"].is_null());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}|[a-z:0-9 \n]{0,200}") {
            let _ = read(&text);
        }
    }
}
