//! What is usual against what was: a bundle's long memory of traffic (`traffic.csv`), the minutes before its window
//! against the busiest and the quietest one within.
//!
//! A minute is compared with minutes only. Where fewer than an hour of them is known nothing is said, and what is
//! within twice of what was before is not called remarkable.

use std::collections::HashMap;
use std::io::Read;

use super::model::{MinuteRates, Span, Usual};
use crate::time::Wall;
use crate::traffic::csv::{self, TrafficLine};
use crate::visible;
use crate::words;

/// Minutes that must be known: with less than an hour, anything is the most there ever was.
const FEWEST: usize = 60;
/// A row of so many seconds or more is one of a minute; of one that is shorter by more, its interface had a gap.
const MINUTE: f64 = 55.0;
/// Seconds that together are a minute: their rows are a little longer than a second each.
const WHOLE: f64 = 59.0;
/// Shorter rows than that are those of a second, or of a few where the machine was busy.
const SECONDS: f64 = 10.0;
/// So many times what the busiest minute had, or such a part of the quietest one, is remarkable.
const REMARKABLE: f64 = 2.0;
/// Frames a second below which nothing is remarkable: a few hellos more or less.
const FEW: f64 = 10.0;
/// Interfaces with their classes, at most: of a host with many, those that stand first.
const MOST: usize = 64;
/// Lines read at most: what the largest memory makes would take minutes.
const LINES: usize = 2_000_000;

/// One class of one interface.
#[derive(Debug, Default)]
struct Known {
    /// Frames a second of each minute before, and when it ended.
    before: Vec<(f64, Wall)>,
    /// Seconds around the window: end, length, frames.
    seconds: Vec<(Wall, f64, u64)>,
}

/// Compares what stands in `table` for the time that a bundle covers.
pub(super) fn of(table: impl Read, covered: Span) -> Vec<Usual> {
    let mut order: Vec<(String, String)> = Vec::new();
    let mut known: HashMap<(String, String), Known> = HashMap::new();
    for line in csv::read(table).take(LINES).flatten() {
        let plain = |name: &str| visible::plain(name).into_owned();
        let whose = (plain(&line.interface), plain(&line.class));
        if !known.contains_key(&whose) {
            if order.len() >= MOST {
                continue;
            }
            order.push(whose.clone());
        }
        known.entry(whose).or_default().add(&line, covered);
    }
    let compared = order.into_iter().filter_map(|whose| {
        let known = known.remove(&whose)?;
        known.usual(whose, covered)
    });
    compared.collect()
}

impl Known {
    fn add(&mut self, line: &TrafficLine, covered: Span) {
        let TrafficLine { date, seconds, frames, .. } = *line;
        if seconds >= MINUTE && date <= covered.from {
            self.before.push((frames as f64 / seconds, date));
        } else if seconds < SECONDS && date <= covered.to {
            self.seconds.push((date, seconds, frames));
        }
    }

    fn usual(self, (interface, class): (String, String), covered: Span) -> Option<Usual> {
        let (_, since) = *self.before.first()?;
        let mut rates: Vec<f64> = self.before.iter().map(|(rate, _)| *rate).collect();
        if rates.len() < FEWEST {
            return None;
        }
        rates.sort_by(f64::total_cmp);
        let before = MinuteRates {
            least: rates[0],
            median: Some(rates[rates.len() / 2]),
            most: rates[rates.len() - 1],
        };
        let now = minutes(&self.seconds).filter(|(end, _)| *end > covered.from);
        let now = now.fold(None, |now: Option<MinuteRates>, (_, rate)| {
            let MinuteRates { least, most, .. } =
                now.unwrap_or(MinuteRates { least: rate, median: None, most: rate });
            Some(MinuteRates { least: least.min(rate), median: None, most: most.max(rate) })
        })?;
        let minutes = rates.len() as u64;
        let remark = remark(before, now, minutes);
        Some(Usual { interface, class, minutes, since, before, now, remark })
    }
}

/// Every minute that whole seconds make up without a gap: when it ends, and its frames a second.
fn minutes(seconds: &[(Wall, f64, u64)]) -> impl Iterator<Item = (Wall, f64)> {
    let (mut begin, mut length, mut frames) = (0, 0.0, 0);
    seconds.iter().enumerate().filter_map(move |(at, (end, lasted, passed))| {
        let follows = at == 0 || {
            let (before, ..) = seconds[at - 1];
            let distance = (end.0 as f64 - before.0 as f64) / 1e9;
            (distance - lasted).abs() < GAP
        };
        if !follows {
            (begin, length, frames) = (at, 0.0, 0);
        }
        length += lasted;
        frames += passed;
        // Without its first row it would still be a minute.
        while length - seconds[begin].1 >= WHOLE {
            length -= seconds[begin].1;
            frames -= seconds[begin].2;
            begin += 1;
        }
        (length >= WHOLE).then(|| (*end, frames as f64 / length))
    })
}

/// Seconds that two rows may be apart beside their length, and still follow each other.
const GAP: f64 = 0.5;

impl Usual {
    /// What is remarkable, else how it was and how it is.
    pub(super) fn sentence(&self) -> String {
        let Self { minutes, before, now, remark, .. } = self;
        let rate = |rate: f64| words::figure(rate);
        remark.clone().unwrap_or_else(|| {
            let half = before
                .median
                .map_or(String::new(), |half| format!(", half of them below {}", rate(half)));
            format!(
                "{} to {} frames/s over a minute; {} to {} in the {} minutes before{half}",
                rate(now.least),
                rate(now.most),
                rate(before.least),
                rate(before.most),
                words::count(*minutes)
            )
        })
    }
}

/// What is remarkable, in words.
fn remark(before: MinuteRates, now: MinuteRates, minutes: u64) -> Option<String> {
    let rate = |rate: f64| format!("{} frames/s", words::figure(rate.round()));
    let any = format!("any of the {} minutes before", words::count(minutes));
    if now.most >= FEW && now.most >= REMARKABLE * before.most {
        let most = rate(now.most);
        return Some(match before.most {
            most_before if most_before < 1.0 => {
                format!("{most} over a minute; fewer than one in {any}")
            }
            most_before => format!(
                "{most} over a minute, {} times the rate of {any} (at most {})",
                words::figure((now.most / most_before * 10.0).round() / 10.0),
                rate(most_before)
            ),
        });
    }
    if before.least >= FEW && now.least <= before.least / REMARKABLE {
        return Some(format!(
            "{} over a minute, fewer than in {any} (at least {})",
            rate(now.least),
            rate(before.least)
        ));
    }
    None
}

#[cfg(test)]
mod tests;
