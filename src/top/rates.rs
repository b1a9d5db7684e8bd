//! Rates: the differences between two answers.

use std::collections::BTreeMap;

use crate::api::status::{Class, Interface, RecorderStatus, Traffic};

/// Frames and bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rate {
    pub(super) frames: f64,
    pub(super) bits: f64,
}

/// Rates of one interface.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct InterfaceRates {
    /// Received; what has no direction counts as received.
    pub(super) inbound: Rate,
    pub(super) outbound: Rate,
    /// By name.
    pub(super) classes: BTreeMap<String, Rate>,
    /// Frames lost in this time, by the kernel or for want of memory.
    pub(super) dropped: u64,
}

impl InterfaceRates {
    /// Both directions together.
    pub(super) fn frames(&self) -> f64 {
        self.inbound.frames + self.outbound.frames
    }
}

/// What passed each interface between two answers of one process; none if no time did.
pub(super) fn rates(
    before: &RecorderStatus,
    now: &RecorderStatus,
) -> Option<BTreeMap<String, InterfaceRates>> {
    let seconds = now.uptime_seconds - before.uptime_seconds;
    if seconds <= 0.0 {
        return None;
    }
    let each = now.interfaces.iter().map(|interface| {
        let before = before.interfaces.iter().find(|before| before.name == interface.name);
        (interface.name.clone(), before.map(|b| of(b, interface, seconds)).unwrap_or_default())
    });
    Some(each.collect())
}

fn of(before: &Interface, now: &Interface, seconds: f64) -> InterfaceRates {
    let rate = |before: Traffic, now: Traffic| Rate {
        frames: now.frames.saturating_sub(before.frames) as f64 / seconds,
        bits: now.bytes.saturating_sub(before.bytes) as f64 * 8.0 / seconds,
    };
    let sum = |interface: &Interface, of: fn(&Class) -> Traffic| {
        interface.classes.iter().map(of).fold(Traffic::default(), Traffic::and)
    };
    let received = |class: &Class| class.inbound.and(class.unknown);
    let classes = now.classes.iter().map(|class| {
        let before = before.classes.iter().find(|before| before.name == class.name);
        let before = before.map(Class::traffic).unwrap_or_default();
        (class.name.clone(), rate(before, class.traffic()))
    });
    InterfaceRates {
        inbound: rate(sum(before, received), sum(now, received)),
        outbound: rate(sum(before, |class| class.outbound), sum(now, |class| class.outbound)),
        classes: classes.collect(),
        dropped: now.counts.dropped().saturating_sub(before.counts.dropped()),
    }
}

/// A number in at most five characters: `0`, `999`, `1.2k`, `372k`, `9.9G`.
pub(super) fn short(number: f64) -> String {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    let (mut number, mut unit) = (number, 0);
    while number >= 999.5 && unit + 1 < UNITS.len() {
        number /= 1e3;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && number < 9.95);
    format!("{number:.digits$}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, expected) in [
            (0.0, "0"),
            (0.4, "0"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (1_234.0, "1.2k"),
            (9_960.0, "10k"),
            (372_000.0, "372k"),
            (9.9e9, "9.9G"),
            (1e16, "10000T"),
        ] {
            assert_eq!(short(number), expected);
        }
    }

    #[test]
    fn rates_are_differences_by_dashcaps_own_time() {
        let at = |uptime_seconds: f64, frames: u64, dropped: u64| {
            let inbound = Traffic { frames, bytes: frames * 100 };
            let class = Class { name: "data".into(), inbound, ..Class::default() };
            let mut interface =
                Interface { name: "eth0".into(), classes: vec![class], ..Interface::default() };
            interface.counts.lane_dropped = dropped;
            RecorderStatus {
                uptime_seconds,
                interfaces: vec![interface],
                ..RecorderStatus::default()
            }
        };
        let rates = rates(&at(10.0, 100, 0), &at(12.0, 300, 5)).unwrap();
        let eth0 = &rates["eth0"];
        assert_eq!(eth0.inbound, Rate { frames: 100.0, bits: 80_000.0 });
        assert_eq!((eth0.outbound, eth0.classes["data"]), (Rate::default(), eth0.inbound));
        assert_eq!((eth0.dropped, eth0.frames()), (5, 100.0));
        assert_eq!(super::rates(&at(10.0, 1, 0), &at(10.0, 2, 0)), None);
        let fresh = super::rates(&RecorderStatus::default(), &at(1.0, 7, 0)).unwrap();
        assert_eq!(fresh["eth0"], InterfaceRates::default(), "nothing to compare with yet");
    }
}
