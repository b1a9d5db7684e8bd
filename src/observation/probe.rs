//! What changed about a probe, once for each change however long it lasts: what a rule matches on and an
//! operator wants to read, beside the single answers and losses it follows from.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Wall, as_nanos, as_nanos_if_any};

/// As many requests in a row were lost as make a probe down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeDown {
    /// The probe as configured.
    pub probe: String,
    /// The address it asks.
    pub address: IpAddr,
    /// How many were lost in a row.
    pub in_a_row: u32,
    /// Since the first of them was sent.
    #[serde(rename = "lasting_ns", with = "as_nanos")]
    pub lasting: Duration,
    /// When the first of them was sent: the beginning of the trouble.
    pub first_lost: Wall,
    /// When the last request before them was sent; none if none was ever answered.
    pub last_answered: Option<Wall>,
    /// How long the latest answer took that came too late to count; none if none came: then the host is down.
    #[serde(rename = "late_ns", default, with = "as_nanos_if_any")]
    pub late: Option<Duration>,
    /// Why the last of them was lost.
    pub reason: String,
}

/// A probe that was down was answered as often in a row as makes it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeUp {
    /// The probe as configured.
    pub probe: String,
    /// The address it asks.
    pub address: IpAddr,
    /// How many were answered in a row.
    pub in_a_row: u32,
    /// Since the first lost request of those that made it down was sent.
    #[serde(rename = "after_ns", with = "as_nanos")]
    pub after: Duration,
}

/// Round trips are too long, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSlow {
    /// The probe as configured.
    pub probe: String,
    /// The address it asks.
    pub address: IpAddr,
    /// The latest round trip.
    #[serde(rename = "round_trip_ns", with = "as_nanos")]
    pub round_trip: Duration,
    /// Longer than this is too long.
    #[serde(rename = "above_ns", with = "as_nanos")]
    pub above: Duration,
    /// How many in a row were.
    pub in_a_row: u32,
    /// True when it has ended: so many in a row were not.
    pub over: bool,
}

/// Too many of the latest requests are lost, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeLossy {
    /// The probe as configured.
    pub probe: String,
    /// The address it asks.
    pub address: IpAddr,
    /// Requests lost...
    pub lost: u32,
    /// ... of so many latest ones, or fewer right after the start.
    pub of: u32,
    /// The part in percent that is too much.
    pub percent: u8,
    /// True when it has ended: at most half of that is lost.
    pub over: bool,
}

impl fmt::Display for ProbeDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { probe, in_a_row, reason, lasting, first_lost, last_answered, late, .. } = self;
        let state = match late {
            Some(late) => format!("answers late, after {:.2} s", late.as_secs_f64()),
            None => "is down".to_owned(),
        };
        write!(
            f,
            "probe {probe} {state}: {in_a_row} lost in a row within {:.3} s, the last one: {reason}; the first \
             was sent at {}",
            lasting.as_secs_f64(),
            first_lost.time_of_day()
        )?;
        match last_answered {
            Some(answered) => write!(f, ", the last answered one at {}", answered.time_of_day()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ProbeUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { probe, in_a_row, after, .. } = self;
        write!(
            f,
            "probe {probe} is up again after {:.3} s: {in_a_row} answered in a row",
            after.as_secs_f64()
        )
    }
}

impl fmt::Display for ProbeSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { probe, in_a_row, over, .. } = self;
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let (state, than) = if *over { ("is fast again", "within") } else { ("is slow", "above") };
        write!(
            f,
            "probe {probe} {state}: {in_a_row} in a row {than} {} ms, the last one {:.3} ms",
            ms(self.above),
            ms(self.round_trip)
        )
    }
}

impl fmt::Display for ProbeLossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { probe, lost, of, percent, over, .. } = self;
        let state = if *over { "loses little again" } else { "loses too much" };
        write!(f, "probe {probe} {state}: {lost} of the last {of}, the limit is {percent} %")
    }
}

#[cfg(test)]
mod tests {
    use crate::observation::Fact;
    use crate::observation::probe::*;

    #[test]
    fn a_change_is_one_sentence_and_serialises_with_its_tag() {
        let (probe, address) = ("gw".to_owned(), IpAddr::from([192, 0, 2, 1]));
        let ms = Duration::from_millis;
        let slow = ProbeSlow {
            probe: probe.clone(),
            address,
            round_trip: ms(31),
            above: ms(20),
            in_a_row: 3,
            over: false,
        };
        let fast = ProbeSlow { round_trip: ms(5), over: true, ..slow.clone() };
        let lossy = ProbeLossy {
            probe: probe.clone(),
            address,
            lost: 12,
            of: 60,
            percent: 20,
            over: false,
        };
        let healed = ProbeLossy { lost: 6, over: true, ..lossy.clone() };
        let down = ProbeDown {
            probe: probe.clone(),
            address,
            in_a_row: 3,
            lasting: ms(3_001),
            first_lost: Wall(1_795_356_860_290_000_000),
            last_answered: Some(Wall(1_795_356_859_290_000_000)),
            late: None,
            reason: "no answer in 1 s".to_owned(),
        };
        let late = ProbeDown { late: Some(ms(1_500)), last_answered: None, ..down.clone() };
        let up = Fact::ProbeUp(ProbeUp { probe, address, in_a_row: 2, after: ms(9_500) });
        let json = serde_json::to_string(&up).unwrap();
        assert_eq!(
            json,
            r#"{"fact":"probe_up","probe":"gw","address":"192.0.2.1","in_a_row":2,"after_ns":9500000000}"#
        );
        for (fact, sentence) in [
            (
                Fact::ProbeDown(down),
                "probe gw is down: 3 lost in a row within 3.001 s, the last one: no answer in 1 s; the first was \
                 sent at 14:14:20.290, the last answered one at 14:14:19.290",
            ),
            (
                Fact::ProbeDown(late),
                "probe gw answers late, after 1.50 s: 3 lost in a row within 3.001 s, the last one: no answer \
                 in 1 s; the first was sent at 14:14:20.290",
            ),
            (up, "probe gw is up again after 9.500 s: 2 answered in a row"),
            (
                Fact::ProbeSlow(slow),
                "probe gw is slow: 3 in a row above 20 ms, the last one 31.000 ms",
            ),
            (
                Fact::ProbeSlow(fast),
                "probe gw is fast again: 3 in a row within 20 ms, the last one 5.000 ms",
            ),
            (
                Fact::ProbeLossy(lossy),
                "probe gw loses too much: 12 of the last 60, the limit is 20 %",
            ),
            (
                Fact::ProbeLossy(healed),
                "probe gw loses little again: 6 of the last 60, the limit is 20 %",
            ),
        ] {
            assert_eq!(fact.to_string(), sentence);
            assert_eq!(fact.watcher(), "probe");
        }
    }
}
