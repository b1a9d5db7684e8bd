//! What the operator decides about traffic detectors; the defaults suit most networks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobMatcher;

use crate::error::{Error, Result};
use crate::frame::Direction;

/// Thresholds of all traffic detectors.
#[derive(Debug, Clone)]
pub struct Options {
    /// Copies of one frame a second that make a duplicate storm. Only frames that are folded are looked
    /// at, so with folding off there are no storms.
    pub storm_rate: f64,
    /// Rates that are not allowed; none by default.
    pub limits: Vec<RateLimit>,
    /// Nothing received for so long is silence, on an interface that was never quiet for a third of it
    /// while it was heard for three times as long.
    pub silence: Duration,
    /// Classes that may not be silent; none by default.
    pub silent_classes: Vec<ClassSilence>,
    /// Traffic to single stations that goes one way only for so long, where it went both ways before.
    pub one_way: Duration,
    /// The rate changed if it is so many times what it was, up or down.
    pub change_factor: f64,
    /// TCP resets.
    pub tcp_resets: Burst,
    /// TCP segments sent again.
    pub tcp_retransmissions: Burst,
    /// TCP segments that close the receiver's window.
    pub tcp_zero_windows: Burst,
}

/// A count is too high if it is beyond both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// Over the last second.
    pub per_second: f64,
    /// Of all TCP segments of that second, as a part of 1.
    pub share: f64,
}

/// A rate that is not allowed.
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// What findings call it.
    pub name: Arc<str>,
    /// On which interfaces; none = on each.
    pub interface: Option<GlobMatcher>,
    /// Which class; none = all together.
    pub class: Option<Arc<str>>,
    /// Which way; none = both together.
    pub direction: Option<Direction>,
    /// Of what, a second.
    pub unit: Unit,
    /// What is too much or too little.
    pub bound: Bound,
    /// Part of the bound by which the rate must be on the right side again.
    pub hysteresis: f64,
    /// For so long the rate must be wrong.
    pub hold: Duration,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Frames.
    Frames,
    /// Bits of original length.
    Bits,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frames => "frames/s",
            Self::Bits => "bit/s",
        })
    }
}

/// A bound per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// More is wrong.
    Above(f64),
    /// Less is wrong.
    Below(f64),
}

/// A class that may not be silent for so long once it was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassSilence {
    /// Its name.
    pub class: Arc<str>,
    /// For so long nothing of it is received.
    pub after: Duration,
}

/// The fastest hellos come every 3.33 ms and equal one another (BFD of MPLS paths, RFC 6428 §3.7.1; CFM,
/// ITU-T Y.1731 §7.1.1): 300 a second. What repeats itself a tenth faster is no hello.
///
/// Resets end connections in ordinary use, a few a second for a person's browser, and a share of segments
/// that falls with the length of connections: both must be passed. Segments are sent again wherever a
/// queue is full (RFC 5681), some tenths of a percent; a tenth is a path that does not work.
///
/// A neighbour that works answers a unicast ARP or ND request within a minute of traffic without answer:
/// `BASE_REACHABLE_TIME` 30 s, at most half more, then 5 s and three tries a second apart
/// (net/ipv4/arp.c, net/core/neighbour.c). So a minute without any frame to this station, while it sends,
/// is a path that is broken, and not a flow that needs no answer.
impl Default for Options {
    fn default() -> Self {
        Self {
            storm_rate: 330.0,
            limits: Vec::new(),
            silence: Duration::from_secs(30),
            silent_classes: Vec::new(),
            one_way: Duration::from_secs(60),
            change_factor: 4.0,
            tcp_resets: Burst { per_second: 50.0, share: 0.1 },
            tcp_retransmissions: Burst { per_second: 50.0, share: 0.1 },
            tcp_zero_windows: Burst { per_second: 50.0, share: 0.1 },
        }
    }
}

impl Options {
    /// Most rates that may be watched: each is computed for each interface ten times a second.
    const MAX_LIMITS: usize = 64;

    /// Accepts only what can be meant, on interfaces with these classes.
    ///
    /// # Errors
    /// Wrong usage, naming the key and the accepted form.
    pub fn check(&self, classes: &[Arc<str>]) -> Result<()> {
        // The ring folds from 64 copies a second on, or as many as the operator says.
        number("storm_rate", self.storm_rate, 100.0, 1e9, "330 copies a second")?;
        number("change_factor", self.change_factor, 1.5, 1e6, "4")?;
        span("silence", self.silence)?;
        span("one_way", self.one_way)?;
        for (key, burst) in [
            ("tcp_resets", self.tcp_resets),
            ("tcp_retransmissions", self.tcp_retransmissions),
            ("tcp_zero_windows", self.tcp_zero_windows),
        ] {
            number(key, burst.per_second, 1.0, 1e9, "50 a second")?;
            number(key, burst.share, 0.0, 1.0, "0.1, a tenth of all TCP segments")?;
        }
        for silent in &self.silent_classes {
            class("silence of class", &silent.class, classes)?;
            span("silence of class", silent.after)?;
        }
        if self.limits.len() > Self::MAX_LIMITS {
            let accepted = format!("up to {}", Self::MAX_LIMITS);
            let count = self.limits.len().to_string();
            return Err(Error::usage("rate", count, "the number of rates has a bound", accepted));
        }
        self.limits.iter().try_for_each(|limit| limit.check(classes))
    }
}

impl RateLimit {
    fn check(&self, classes: &[Arc<str>]) -> Result<()> {
        let (Bound::Above(bound) | Bound::Below(bound)) = self.bound;
        number(&format!("rate {}", self.name), bound, 0.0, 1e15, "100000 frames a second")?;
        number("hysteresis", self.hysteresis, 0.0, 0.9, "0.1, a tenth of the rate")?;
        self.class.as_ref().map_or(Ok(()), |name| class("class of a rate", name, classes))
    }
}

fn number(what: &str, given: f64, least: f64, most: f64, example: &str) -> Result<()> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    let accepted = format!("a number from {least} to {most}, such as {example}");
    Err(Error::usage(what, given.to_string(), "out of range", accepted))
}

fn span(what: &str, given: Duration) -> Result<()> {
    /// Ten summaries, so that a pause between two is no silence.
    const LEAST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(86_400);
    if (LEAST..=MOST).contains(&given) {
        return Ok(());
    }
    let accepted = "a time from 1s to 1d, such as 30s";
    Err(Error::usage(what, format!("{given:?}"), "out of range", accepted))
}

fn class(what: &str, given: &str, classes: &[Arc<str>]) -> Result<()> {
    if classes.iter().any(|class| **class == *given) {
        return Ok(());
    }
    let names: Vec<&str> = classes.iter().map(|class| &**class).collect();
    Err(Error::usage(what, given, "no class has this name", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> RateLimit {
        RateLimit {
            name: "uplink".into(),
            interface: None,
            class: None,
            direction: None,
            unit: Unit::Frames,
            bound: Bound::Above(1_000.0),
            hysteresis: 0.1,
            hold: Duration::ZERO,
        }
    }

    #[test]
    fn only_what_can_be_meant_is_accepted() {
        let classes = ["control".into(), "data".into()];
        let good = Options::default;
        let burst = |share| Burst { per_second: 50.0, share };
        let with = |limit| Options { limits: vec![limit], ..good() };
        let silent = |name: &str| {
            let after = Duration::from_secs(5);
            Options { silent_classes: vec![ClassSilence { class: name.into(), after }], ..good() }
        };
        for (named, options) in [
            ("", good()),
            ("", with(limit())),
            ("", silent("data")),
            ("storm_rate", Options { storm_rate: 1.0, ..good() }),
            ("storm_rate", Options { storm_rate: f64::NAN, ..good() }),
            ("change_factor", Options { change_factor: 1.0, ..good() }),
            ("silence", Options { silence: Duration::ZERO, ..good() }),
            ("one_way", Options { one_way: Duration::MAX, ..good() }),
            ("tcp_resets", Options { tcp_resets: burst(2.0), ..good() }),
            ("control, data", silent("dns")),
            ("rate uplink", with(RateLimit { bound: Bound::Below(-1.0), ..limit() })),
            ("hysteresis", with(RateLimit { hysteresis: 1.0, ..limit() })),
            ("control, data", with(RateLimit { class: Some("dns".into()), ..limit() })),
            ("up to 64", Options { limits: vec![limit(); 65], ..good() }),
        ] {
            match options.check(&classes) {
                Ok(()) => assert_eq!(named, ""),
                Err(error) => {
                    assert_eq!(error.exit_status(), 2);
                    let text = error.to_string();
                    assert!(!named.is_empty() && text.contains(named), "{named}: {text}");
                }
            }
        }
    }
}
