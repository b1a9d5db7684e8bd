//! Floods: frames that every switch passes on to every port, far more than usual, and who sends them.
//!
//! Three kinds. *Broadcasts* and what else goes to everybody; no two need be alike. *Frames for stations that
//! are not there*, which switches pass on everywhere because nobody knows where they are. *Ever new sources*,
//! which fill the address tables of switches until these pass on everything. Groups that somebody asked for
//! (video) are no flood, nor are copies of one frame, see [`storm`](super::storm).

use std::collections::VecDeque;
use std::time::Duration;

use super::addresses::Addresses;
use super::condition::{ConditionSpan, Course, Level};
use super::limit::DIRECTIONS;
use super::{Draft, Scene};
use crate::detect::tap::{Station, StationCounts, Summary, Tap};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::Stamp;
use crate::words::{self, figure};

/// Of one interface.
#[derive(Debug)]
pub(super) struct Floods {
    everybody: [Flood; 3],
    strays: Flood,
    /// The present flood of strays is no part of another.
    strays_are_told: bool,
    sources: Flood,
    forgotten: u64,
}

/// One kind, one way.
#[derive(Debug)]
struct Flood {
    direction: Direction,
    /// Frames of a station that belong to it.
    of: fn(&Station) -> u32,
    /// Frames a second that are too many before it is known what is usual.
    at_first: f64,
    /// Count at each of the last looks, half a second of them.
    recent: VecDeque<(Stamp, u64)>,
    usual: Rates,
    begun: Option<Begun>,
    course: Course,
}

/// Since when there may be a flood.
#[derive(Debug)]
struct Begun {
    first: Stamp,
    /// Count before it.
    before: u64,
    /// How it stood a moment later: count, and all stations.
    seen: (u64, Vec<Station>),
}

/// Frames of each of the last seconds without a flood.
#[derive(Debug, Default)]
struct Rates {
    second: Option<(Stamp, u64)>,
    rates: VecDeque<f64>,
}

/// Frames a second below which nobody suffers: 500 interrupts for each host on the segment.
const LEAST: f64 = 500.0;
/// Times the usual rate, so that a large segment's broadcasts are no flood.
const TIMES: f64 = 20.0;
/// Times the busiest second of the last minute.
const PEAKS: f64 = 2.0;
/// Broadcasts a second that no segment has in order.
const NEVER_USUAL: f64 = 5_000.0;
/// Seconds that tell what is usual, and how many are remembered.
const HISTORY: usize = 5;
const SECONDS: usize = 60;
/// What rises for so long and is no flood, is usual.
const SETTLES: Duration = Duration::from_secs(3);
/// A rate is the mean of this time.
const WINDOW: Duration = Duration::from_millis(500);
/// A flood is told when it has lasted so long and goes on: three looks, of which the last may still be late.
const LASTS: Duration = Duration::from_millis(300);
/// Half of the rate is still a flood; calm for so long, it is over.
const CALM: f64 = 0.5;
const QUIET: Duration = Duration::from_secs(2);
/// A station with this part of the frames is the source.
const SOURCE: f64 = 0.5;

impl Floods {
    pub(super) fn new() -> Self {
        let everybody = |direction| Flood::new(direction, NEVER_USUAL, |station| station.flooded);
        // In the first seconds everybody is new.
        let of_strangers = |of| Flood::new(Direction::Inbound, f64::INFINITY, of);
        Self {
            everybody: DIRECTIONS.map(everybody),
            strays: of_strangers(|station| station.strays),
            strays_are_told: true,
            sources: of_strangers(|_| 0),
            forgotten: 0,
        }
    }

    /// One was told and is not over.
    pub(super) fn are_on(&self) -> bool {
        let mut all = self.everybody.iter().chain([&self.strays, &self.sources]);
        all.any(|flood| flood.course.is_on())
    }

    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        addresses: &Addresses,
        findings: &mut Vec<Finding>,
    ) {
        let (at, counts) = (summary.at, &summary.stations);
        if std::mem::replace(&mut self.forgotten, counts.forgotten) != counts.forgotten {
            // Those who are known must be heard again before anybody is a stranger.
            (self.strays.usual, self.strays.begun) = (Rates::default(), None);
        }
        for flood in &mut self.everybody {
            let told = flood.look(at, counts.flooded[flood.direction as usize], counts);
            findings.extend(told.map(|told| flood.of_everybody(scene, addresses, counts, told)));
        }
        let told = self.sources.look(at, counts.sources, counts);
        findings.extend(told.map(|told| self.sources.of_sources(scene, told)));
        let told = self.strays.look(at, counts.strays, counts).filter(|told| {
            // Frames of a table attack are for made-up stations, too: then neither beginning nor end is told.
            if !told.span.over {
                self.strays_are_told = !self.sources.course.is_on();
            }
            self.strays_are_told
        });
        findings.extend(told.map(|told| self.strays.of_strays(scene, addresses, counts, told)));
    }
}

/// What is to be told now.
#[derive(Debug, Clone, Copy)]
struct FloodNews {
    span: ConditionSpan,
    rate: f64,
}

impl Flood {
    fn new(direction: Direction, at_first: f64, of: fn(&Station) -> u32) -> Self {
        Self {
            direction,
            of,
            at_first,
            recent: VecDeque::new(),
            usual: Rates::default(),
            begun: None,
            course: Course::new(Duration::ZERO, QUIET),
        }
    }

    fn look(&mut self, at: Stamp, count: u64, counts: &StationCounts) -> Option<FloodNews> {
        while self.recent.get(1).is_some_and(|(then, _)| at.mono.since(then.mono) >= WINDOW) {
            self.recent.pop_front();
        }
        let (window, last) = (self.recent.front().copied(), self.recent.back().copied());
        self.recent.push_back((at, count));
        let (window, last) = (window?, last?);
        let now = (at, count);
        let per_second = rate(window, now);
        let rises = rate(last, now) >= LEAST;
        if self.begun.is_none() && rises {
            let seen = (count, counts.stations.clone());
            self.begun = Some(Begun { first: last.0, before: last.1, seen });
        } else if !rises && per_second < LEAST && !self.course.is_on() {
            self.begun = None;
        }
        let rose = self.begun.as_ref().map(|begun| (at.mono.since(begun.first.mono), begun.before));
        if rose.is_none_or(|(since, _)| since >= SETTLES) && !self.course.is_on() {
            self.usual.look(at, count);
        }
        // A sweep of a few hundred addresses is over before it lasted, or was many.
        let lasts = |(since, before): (Duration, u64)| {
            rises && since >= LASTS && (count - before) as f64 >= LEAST
        };
        let level = match Level::above(per_second, self.usual.threshold(self.at_first), CALM) {
            Level::Beyond if !rose.is_some_and(lasts) => Level::Between,
            level => level,
        };
        let mut span = self.course.judge(at, level, 0)?;
        if let Some(begun) = &self.begun {
            (span.first, span.count) = (begun.first, count - begun.before);
        }
        Some(FloodNews { span, rate: per_second })
    }

    /// The station that most of it is from, and its part.
    fn source<'a>(&self, counts: &'a StationCounts, count: u64) -> Option<(&'a Station, f64)> {
        let (seen, stations) = &self.begun.as_ref()?.seen;
        let before = |station: &Station| {
            let same = stations.iter().find(|s| s.mac == station.mac && s.vlan == station.vlan);
            same.map_or(0, self.of)
        };
        let rose = |station: &Station| (self.of)(station).wrapping_sub(before(station));
        let most = counts.stations.iter().max_by_key(|station| rose(station))?;
        let part = f64::from(rose(most)) / count.saturating_sub(*seen).max(1) as f64;
        (part >= SOURCE).then_some((most, part.min(1.0)))
    }

    fn of_everybody(
        &self,
        scene: Scene<'_>,
        addresses: &Addresses,
        counts: &StationCounts,
        told: FloodNews,
    ) -> Finding {
        let count = counts.flooded[self.direction as usize];
        let source = self.source(counts, count);
        let says = format!(
            "broadcast storm: {} frames a second that everybody gets {}",
            figure(told.rate),
            words::way(self.direction, scene.interface)
        );
        let kind = FindingKind::BroadcastStorm;
        self.finding(scene, addresses, (kind, "broadcasts and the like"), &says, told, source)
    }

    fn of_strays(
        &self,
        scene: Scene<'_>,
        addresses: &Addresses,
        counts: &StationCounts,
        told: FloodNews,
    ) -> Finding {
        let source = self.source(counts, counts.strays);
        let says = format!(
            "unknown unicast flood: {} frames a second {} for stations that were never heard there, which switches \
             pass on to every port",
            figure(told.rate),
            words::way(self.direction, scene.interface)
        );
        let kind = FindingKind::UnknownUnicastFlood;
        self.finding(scene, addresses, (kind, "frames for unknown stations"), &says, told, source)
    }

    fn of_sources(&self, scene: Scene<'_>, told: FloodNews) -> Finding {
        let says = format!(
            "MAC flood: {} new link addresses a second {}: the address tables of switches fill up, and they pass \
             on everything to every port",
            figure(told.rate),
            words::way(self.direction, scene.interface)
        );
        let what = (FindingKind::MacFlood, "new link addresses");
        self.finding(scene, &Addresses::default(), what, &says, told, None)
    }

    fn finding(
        &self,
        scene: Scene<'_>,
        addresses: &Addresses,
        (kind, what): (FindingKind, &str),
        says: &str,
        FloodNews { span, .. }: FloodNews,
        source: Option<(&Station, f64)>,
    ) -> Finding {
        let from = source.map_or_else(String::new, |(station, part)| {
            let name = addresses.name(station.mac, station.vlan);
            format!(", {:.0} % of them from {name}", part * 100.0)
        });
        let usual = format!("; usual are {}", figure(self.usual.middle()));
        let sentence = match span.over {
            true => format!(
                "{what} on {} are as usual again, after {}",
                scene.interface,
                words::count(span.count)
            ),
            false => format!("{says}{from}{usual}"),
        };
        let (severity, direction) = (Severity::Warning, self.direction);
        let what = format!("{what}{from}");
        let finding = scene.finding(span, Draft { kind, severity, direction, what, sentence });
        match source {
            Some((station, _)) => addresses.about(finding, station.mac, station.vlan),
            None => finding,
        }
    }
}

impl Rates {
    fn look(&mut self, at: Stamp, count: u64) {
        const SECOND: Duration = Duration::from_secs(1);
        let begun = *self.second.get_or_insert((at, count));
        let passed = at.mono.since(begun.0.mono);
        if passed < SECOND {
            return;
        }
        self.second = Some((at, count));
        // A second that a flood ended in is none that is usual.
        if passed < SECOND * 2 {
            if self.rates.len() == SECONDS {
                self.rates.pop_front();
            }
            self.rates.push_back(rate(begun, (at, count)));
        }
    }

    fn middle(&self) -> f64 {
        let mut sorted: Vec<f64> = self.rates.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    fn threshold(&self, at_first: f64) -> f64 {
        if self.rates.len() < HISTORY {
            return at_first;
        }
        let peak = self.rates.iter().copied().fold(0.0, f64::max);
        LEAST.max(TIMES * self.middle()).max(PEAKS * peak)
    }
}

/// Frames a second between two counts.
fn rate((then, before): (Stamp, u64), (at, count): (Stamp, u64)) -> f64 {
    let passed = at.mono.since(then.mono).max(Tap::INTERVAL / 2);
    count.saturating_sub(before) as f64 / passed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, summary};
    use super::*;
    use crate::finding::Party;
    use crate::wire::Mac;

    const SOURCE_MAC: Mac = Mac([2, 0, 0, 0, 0, 66]);

    /// What is told when, if so many frames a second are for everybody, for nobody, and from new sources; nine
    /// of ten from one station.
    fn told(rates: impl Fn(u64) -> [u64; 3]) -> Vec<(u64, Finding)> {
        let (mut floods, mut told) = (Floods::new(), Vec::new());
        let (mut counts, mut of_one) = ([0; 3], [0; 3]);
        for tick in 0..600 {
            let ms = tick * 100;
            let mut seen = summary(ms);
            seen.stations.flooded[Direction::Inbound as usize] = counts[0];
            (seen.stations.strays, seen.stations.sources) = (counts[1], counts[2]);
            seen.stations.stations = vec![
                Station { mac: Mac([2, 0, 0, 0, 0, 1]), ..Station::default() },
                Station {
                    mac: SOURCE_MAC,
                    flooded: of_one[0] as u32,
                    strays: of_one[1] as u32,
                    ..Station::default()
                },
            ];
            let mut findings = Vec::new();
            let scene = Scene { interface: "eth0" };
            floods.judge(scene, &seen, &Addresses::default(), &mut findings);
            told.extend(findings.into_iter().map(|finding| (ms, finding)));
            for (n, rate) in rates(ms).into_iter().enumerate() {
                counts[n] += rate / 10;
                of_one[n] += rate / 10 * 9 / 10;
            }
        }
        told
    }

    const FAULT: u64 = 20_000;
    const END: u64 = 28_000;

    /// So many a second in the time of the fault, and a few before and after.
    fn fault(flood: [u64; 3]) -> impl Fn(u64) -> [u64; 3] {
        move |ms| if (FAULT..END).contains(&ms) { flood } else { [10, 0, 0] }
    }

    #[test]
    fn each_flood_is_told_within_a_second_with_its_source_and_when_it_is_over() {
        use FindingKind::{BroadcastStorm, MacFlood, UnknownUnicastFlood};
        for (flood, kind, named) in [
            ([8_000, 0, 0], BroadcastStorm, true),
            ([900, 0, 0], BroadcastStorm, true),
            ([0, 800, 0], UnknownUnicastFlood, true),
            ([0, 8_000, 8_000], MacFlood, false),
        ] {
            let told = told(fault(flood));
            let kinds: Vec<_> =
                told.iter().map(|(_, finding)| (finding.kind, finding.over)).collect();
            assert_eq!(kinds, [(kind, false), (kind, true)], "{flood:?}");
            let (ms, began) = &told[0];
            assert!((FAULT + 300..=FAULT + 1_000).contains(ms), "{flood:?} at {ms}");
            assert_eq!(began.first, at(FAULT), "{flood:?}");
            assert_eq!(began.sentence.contains("90 % of them from 02:00:00:00:00:42"), named);
            assert_eq!(
                began.parties,
                if named { vec![Party::Station(SOURCE_MAC)] } else { vec![] }
            );
            assert!((END..=END + 3_000).contains(&told[1].0));
        }
    }

    #[test]
    fn ordinary_rates_are_no_flood() {
        type Rates = Box<dyn Fn(u64) -> [u64; 3]>;
        let ordinary: [(&str, Rates); 7] = [
            ("a large segment", Box::new(|ms| [2_000 + ms % 700, 900, 100])),
            (
                "a sweep of 256 addresses",
                Box::new(|ms| [if (FAULT..FAULT + 500).contains(&ms) { 510 } else { 1 }, 0, 0]),
            ),
            (
                "a burst that is over when it would be told",
                Box::new(|ms| [if (FAULT..FAULT + 200).contains(&ms) { 3_500 } else { 5 }, 0, 0]),
            ),
            ("short bursts", Box::new(|ms| [if ms % 7_000 < 500 { 900 } else { 5 }, 0, 0])),
            (
                "a segment that is new",
                Box::new(|ms| {
                    [100, if ms < 3_000 { 4_000 } else { 0 }, if ms < 2_000 { 900 } else { 0 }]
                }),
            ),
            ("it grows", Box::new(|ms| [ms / 100, 0, 0])),
            ("silence", Box::new(|_| [0; 3])),
        ];
        for (name, rates) in ordinary {
            let told = told(rates);
            let late: Vec<_> = told.iter().filter(|(ms, _)| *ms > 9_000).collect();
            assert!(late.is_empty(), "{name}: {late:?}");
        }
    }
}
