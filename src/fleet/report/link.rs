//! The links between hosts: pairs of observation points that are proven by the same frames at both, and what became
//! of what each end sent.
//!
//! Where frames of one point reach another host by several ways (a bond beside its ports), a pair is a link only if
//! no frame between its hosts took another way: what did is no loss of this one. Interfaces of a VLAN upon a link
//! that is told already say nothing more.

use std::collections::BTreeMap;
use std::thread;

use super::band::Band;
use super::clocks::{Clocks, bound, together};
use super::gather::Sightings;
use super::loss::{WayAccount, WayAsked};
use super::matching::{MatchedFrame, Matches, PROVEN};
use super::model::{DeadTime, LinkEnd, LinkSummary, UnknownFrames, WaySummary, bar, span};
use crate::time::Wall;
use crate::words;

/// Links at most; each costs a look at all frames.
const MOST_LINKS: usize = 128;

/// Two observation points, the one of the host that was named first before the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LinkPair {
    points: (u16, u16),
    matches: usize,
    routed: bool,
}

/// All links, those with most frames first; and how many more there are.
pub(super) fn links(
    names: &[&str],
    sightings: &Sightings,
    matches: &Matches,
    clocks: &Clocks,
) -> (Vec<LinkSummary>, usize) {
    let found = proven(sightings, matches);
    let more = found.len().saturating_sub(MOST_LINKS);
    let told = found.into_iter().take(MOST_LINKS);
    (told.map(|ends| Told { names, sightings, matches, clocks, ends }.summary()).collect(), more)
}

fn proven(sightings: &Sightings, matches: &Matches) -> Vec<LinkPair> {
    let mut found = Vec::new();
    for &(one, other) in matches.pairs.keys() {
        let points = (one.min(other), one.max(other));
        let count = matches.both_ways(one, other);
        let is_known = found.iter().any(|ends: &LinkPair| ends.points == points);
        if is_known || count < PROVEN {
            continue;
        }
        let both = of(matches, points.0, points.1).iter().chain(of(matches, points.1, points.0));
        let routed = both.filter(|found| found.same_link).count() < count.div_ceil(2);
        if routed || matches.is_only_way(sightings, one, other) {
            found.push(LinkPair { points, matches: count, routed });
        }
    }
    found.sort_by_key(|ends| (ends.routed, std::cmp::Reverse(ends.matches)));
    let name = |point: u16| sightings.points[usize::from(point)].interface.as_str();
    let host = |point: u16| sightings.points[usize::from(point)].host;
    let mut told: Vec<LinkPair> = Vec::new();
    for ends in found {
        let is_upon = |known: &LinkPair| {
            let both = [(ends.points.0, known.points.0), (ends.points.1, known.points.1)];
            both.iter().all(|(upper, lower)| {
                let vlan = name(*upper).strip_prefix(name(*lower));
                host(*upper) == host(*lower)
                    && vlan.is_some_and(|rest| rest.starts_with('.') || rest.is_empty())
            })
        };
        // Behind a router, hosts are told once, by the points with most frames.
        let hosts = |ends: &LinkPair| (host(ends.points.0), host(ends.points.1));
        let is_told = |known: &LinkPair| hosts(known) == hosts(&ends);
        let is_known = told.iter().any(is_upon) || ends.routed && told.iter().any(is_told);
        if !is_known {
            told.push(ends);
        }
    }
    told
}

fn of(matches: &Matches, from: u16, to: u16) -> &[MatchedFrame] {
    matches.pairs.get(&(from, to)).map_or(&[], Vec::as_slice)
}

struct Told<'a> {
    names: &'a [&'a str],
    sightings: &'a Sightings,
    matches: &'a Matches,
    clocks: &'a Clocks,
    ends: LinkPair,
}

impl Told<'_> {
    fn summary(&self) -> LinkSummary {
        let (one, other) = self.ends.points;
        let ends = [self.end(one), self.end(other)];
        let ways = [(one, other), (other, one)];
        let mut summary = LinkSummary {
            ends,
            routed: self.ends.routed,
            matches: self.ends.matches as u64,
            least_delay_sum_ns: self.delays(),
            ways: Default::default(),
            differences: Vec::new(),
        };
        if self.ends.routed {
            return summary;
        }
        let mut accounts = [WayAccount::default(), WayAccount::default()];
        // Each looks through all frames: one on each of two processors.
        thread::scope(|scope| {
            for (account, points) in accounts.iter_mut().zip(ways) {
                scope.spawn(move || *account = WayAccount::of(&self.asked(points)));
            }
        });
        for (number, points) in ways.into_iter().enumerate() {
            let way = self.way(points, &accounts[number], &accounts[1 - number]);
            let ends = [&summary.ends[number], &summary.ends[1 - number]];
            let told = difference(ends, &way);
            // A way that is dead says more than frames that are missing.
            let place = if way.dead.is_some() { 0 } else { summary.differences.len() };
            told.into_iter().for_each(|told| summary.differences.insert(place, told));
            summary.ways[number] = way;
        }
        summary
    }

    fn host(&self, point: u16) -> usize {
        self.sightings.points[usize::from(point)].host
    }

    fn end(&self, point: u16) -> LinkEnd {
        let host = self.names[self.host(point)].to_owned();
        LinkEnd { host, interface: self.sightings.points[usize::from(point)].interface.clone() }
    }

    fn asked(&self, points: (u16, u16)) -> WayAsked<'_> {
        let (from, to) = points;
        let matches = (of(self.matches, from, to), of(self.matches, to, from));
        let apart = self.clocks.apart(self.host(from), self.host(to));
        WayAsked { sightings: self.sightings, points, matches, apart }
    }

    /// The smallest sum of the delays of both ways.
    fn delays(&self) -> Option<u64> {
        let mut parts = BTreeMap::new();
        let (one, other) = self.ends.points;
        of(self.matches, one, other).iter().for_each(|found| bound(&mut parts, found, true));
        of(self.matches, other, one).iter().for_each(|found| bound(&mut parts, found, false));
        let sum = Band::of(parts.into_values().map(together)).narrowest()?;
        u64::try_from(sum).ok()
    }

    fn way(&self, points: (u16, u16), account: &WayAccount, other: &WayAccount) -> WaySummary {
        let host = self.host(points.0);
        let wall = |time: i64| Wall(self.clocks.place(host, time).time.max(0) as u64);
        let dead = account.outage().map(|outage| {
            let placed = self.clocks.place(host, outage.from);
            let apart = self.clocks.apart(host, self.host(points.1));
            let by = apart.low.unwrap_or_default();
            let (other_way, other_way_lost) = other.within(
                outage.from.saturating_add(by),
                outage.until.unwrap_or(outage.last).saturating_add(by),
            );
            DeadTime {
                from: Wall(placed.time.max(0) as u64),
                bar_ns: placed.bar.map(i64::unsigned_abs),
                from_by_sender: Wall(outage.from.max(0).unsigned_abs()),
                until: outage.until.map(wall),
                frames: outage.frames,
                other_way,
                other_way_lost,
            }
        });
        let unknown = account.unknown.iter();
        let unknown = unknown
            .map(|(reason, frames)| UnknownFrames { reason: reason.clone(), frames: *frames });
        WaySummary {
            both: Some(account.both),
            lost: Some(account.lost),
            receiver_only: Some(account.unsent),
            unknown: unknown.collect(),
            lost_by_second: self.by_second(host, account),
            dead,
        }
    }

    /// Lost frames in each second of the reference.
    fn by_second(&self, host: usize, account: &WayAccount) -> Vec<(Wall, u64)> {
        const SECOND: i64 = 1_000_000_000;
        let mut seconds: BTreeMap<i64, u64> = BTreeMap::new();
        for (time, _) in account.course.iter().filter(|(_, came)| !came) {
            let time = self.clocks.place_fast(host, *time).time;
            *seconds.entry(time.div_euclid(SECOND)).or_default() += 1;
        }
        seconds
            .into_iter()
            .map(|(second, lost)| (Wall((second * SECOND).max(0) as u64), lost))
            .collect()
    }
}

/// What differs between the two ends, in the words of an operator.
fn difference([from, to]: [&LinkEnd; 2], way: &WaySummary) -> Option<String> {
    let lost = way.lost.unwrap_or_default();
    let Some(dead) = &way.dead else {
        let all = lost + way.both.unwrap_or_default();
        return (lost > 0).then(|| {
            format!(
                "{} of {} that {from} sent did not arrive at {to}",
                words::count(lost),
                words::counted(all, "frame")
            )
        });
    };
    let DeadTime { from: begun, bar_ns, until, frames, other_way, other_way_lost, .. } = dead;
    let begun = format!("from {begun} {} on", bar(*bar_ns));
    let ended = until.map_or_else(String::new, |until| format!(" until {until}"));
    let frames = words::counted(*frames, "frame");
    let other = match (other_way, other_way_lost) {
        (0, 0) => format!("of what {to} sent meanwhile nothing can be judged"),
        (came, 0) => format!("what {to} sends does arrive ({})", words::counted(*came, "frame")),
        (0, lost) => format!("nor does what {to} sends ({})", words::counted(*lost, "frame")),
        (came, lost) => {
            let all = words::counted(came + lost, "frame");
            format!("of what {to} sends, {} of {all} do not arrive", words::count(*lost))
        }
    };
    Some(format!("{begun}{ended}, what {from} sends does not arrive at {to} ({frames}); {other}"))
}

/// Of a link: what the delays of both ways are together.
pub(super) fn delays([one, other]: &[LinkEnd; 2], sum: u64) -> String {
    let (one, other) = (&one.host, &other.host);
    let sum = span(sum);
    format!(
        "the fastest frames took {sum} for {one}→{other} and back together, so each way between 0 and {sum}"
    )
}
