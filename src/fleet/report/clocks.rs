//! The clocks of all hosts by one of them: what frames prove, what kernels claim, what the operator says, and nothing
//! where none of these says anything.
//!
//! Everything known is a bound on the difference of two clocks. The tightest bounds that follow from all of them are
//! the shortest ways through these differences (bars add along a way), and where a way back to its beginning is
//! shorter than nothing, two of them contradict each other. Then the weaker one is dropped and told, never averaged:
//! what the operator says before what a kernel claims, that before how a clock answered on the bus, that before what
//! frames prove.
//!
//! ```text
//!   A ──frames──► B ──frames──► C        C by A: the bounds of both added
//!   └──── claim ─► UTC ◄─ claim ─┘       and narrowed by what both kernels claim
//! ```

use std::collections::BTreeMap;

use super::answered::AnsweredClock;
use super::band::{Band, Bounds, Interval, MOST_DRIFT, OffsetBound, WANDER};
use super::gather::Sightings;
use super::matching::{MatchedFrame, Matches, PROVEN};
use crate::incident::clock_reading::ClockReading;

/// Longest a frame is under way between two hosts: seconds of a full buffer, as was measured on slow access lines.
/// Two sightings further apart than their neighbours by more are not one frame.
const FLIGHT: i64 = 2_000_000_000;
/// Neighbours in time by whose middle a match is judged.
const NEIGHBOURS: usize = 15;
/// How fast a claim grows old, in parts of the time that passed: `MAXFREQ`, as the kernel counts on itself.
const AGEING: f64 = 500e-6;
/// From here on the kernel takes a clock for unsynchronised (`NTP_PHASE_LIMIT`, include/linux/timex.h), µs.
const NO_CLAIM_US: u64 = 16_000_000;
/// What the kernel adds to a claim each second (`MAXFREQ`), µs: one of whole such steps began at zero, as
/// systemd-timesyncd and phc2sys set it, and says when the clock was set, not how well.
const ADDED_US: u64 = 500;
/// Moments at which the clocks are looked at to find the moment that a stamp means.
const KNOTS: usize = 32;
/// Looks at the bounds of one moment at most.
const LOOKS: usize = 3;
/// Nanoseconds by which the moment of a look may be off: in so short a time clocks part by a thousandth of it.
const NEAR: u64 = 1_000_000;
/// No bound.
const FAR: i64 = i64::MAX / 2;

/// Two hosts that saw the same frames.
#[derive(Debug, Clone)]
pub struct Pairing {
    /// Numbers of the hosts, the lower one first.
    pub hosts: (usize, usize),
    /// The second's clock less the first's, by the first's.
    pub band: Band,
    /// Frames that bound it.
    pub frames: usize,
    /// The two observation points that most of them crossed.
    pub points: (u16, u16),
}

/// How a clock's offset is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FoundBy {
    /// It is the one that all times are told by.
    Reference,
    /// By frames that it and its neighbour on the way to the reference saw.
    Frames { neighbour: usize, pairing: usize },
    /// By how it and others answered somebody on the bus.
    Answered,
    /// By what kernels claim.
    Claimed,
    /// By what the operator says.
    Assumed,
    /// One bound at most.
    Nothing,
}

/// What contradicts what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contradiction {
    /// Frames of these hosts allow no offset with those of others.
    Frames { hosts: (usize, usize) },
    /// A host answered on the bus what cannot be, by so many nanoseconds.
    Answer { host: usize, by: i64 },
    /// The kernel of a host claims what cannot be, by so many nanoseconds.
    Claim { host: usize, by: i64 },
    /// The clocks are further apart than the operator says.
    Assumed { by: i64 },
}

/// A moment by the reference clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The middle of what it may be.
    pub time: i64,
    /// How far it may be to either side; none where nobody knows.
    pub bar: Option<i64>,
}

/// What is known of clocks beside frames, of each host.
#[derive(Debug, Default)]
pub(super) struct Testimony<'a> {
    /// What its kernel claims.
    pub(super) readings: &'a [Vec<ClockReading>],
    /// How it answered on the bus.
    pub(super) answered: &'a [Option<AnsweredClock>],
    /// How wrong each is at most, in nanoseconds, as the operator says.
    pub(super) assumed: Option<i64>,
}

/// All clocks.
#[derive(Debug)]
pub(super) struct Clocks {
    hosts: usize,
    pub(super) reference: usize,
    pub(super) pairings: Vec<Pairing>,
    /// Of each host: claims by its own clock, believable ones only.
    claims: Vec<Vec<(i64, i64)>>,
    /// How each host's clock answered on the bus.
    answered: Vec<Option<AnsweredClock>>,
    /// How far from the truth the operator says each clock is at most.
    assumed: Option<i64>,
    pub(super) contradictions: Vec<Contradiction>,
    /// Offsets at [`KNOTS`] moments of the reference.
    knots: Vec<(i64, Vec<Interval>)>,
}

/// Bounds by how often either clock had been set.
pub(super) type Parts = BTreeMap<(u8, u8), Bounds>;

/// What two hosts saw of each other: bounds, and the points that had most frames, with how many.
struct PairSeen {
    parts: Parts,
    most: usize,
    points: (u16, u16),
}

/// Host pairs that saw the same frames, proven ones.
pub fn pairings(sightings: &Sightings, matches: &Matches) -> Vec<Pairing> {
    let mut seen: BTreeMap<(usize, usize), PairSeen> = BTreeMap::new();
    for (&(from, to), list) in &matches.pairs {
        let [sender, receiver] = [from, to].map(|point| &sightings.points[usize::from(point)]);
        let proven = matches.both_ways(from, to) >= PROVEN;
        if !proven || sender.foreign_stamps || receiver.foreign_stamps {
            continue;
        }
        let forth = sender.host < receiver.host;
        let hosts = if forth { (sender.host, receiver.host) } else { (receiver.host, sender.host) };
        let points = if forth { (from, to) } else { (to, from) };
        let known = seen.entry(hosts).or_insert(PairSeen { parts: Parts::new(), most: 0, points });
        if list.len() > known.most {
            (known.most, known.points) = (list.len(), points);
        }
        list.iter().for_each(|found| bound(&mut known.parts, found, forth));
    }
    let made = |(hosts, PairSeen { parts, points, .. })| {
        let parts: Vec<Bounds> = parts.into_values().map(together).collect();
        let frames = parts.iter().map(|part| part.upper.len() + part.lower.len()).sum();
        Pairing { hosts, band: Band::of(parts), frames, points }
    };
    seen.into_iter().map(made).collect()
}

/// What a frame says of B's clock less A's, that went from A to B (`forth`) or back.
pub(super) fn bound(parts: &mut Parts, found: &MatchedFrame, forth: bool) {
    let MatchedFrame { sent, arrived, epochs: (sender, receiver), .. } = *found;
    if forth {
        let part = parts.entry((sender, receiver)).or_default();
        part.upper.push(OffsetBound { at: sent, value: arrived - sent });
    } else {
        let part = parts.entry((receiver, sender)).or_default();
        part.lower.push(OffsetBound { at: arrived, value: sent - arrived });
    }
}

/// Without what is too far from its neighbours to be one frame.
pub(super) fn together(mut bounds: Bounds) -> Bounds {
    let both = || bounds.upper.iter().chain(&bounds.lower);
    let (least, most) = both().fold((i64::MAX, i64::MIN), |(least, most), bound| {
        (least.min(bound.value), most.max(bound.value))
    });
    if most.saturating_sub(least) <= FLIGHT {
        return bounds;
    }
    let mut all: Vec<OffsetBound> = both().copied().collect();
    all.sort_unstable();
    let is_near = |number: usize| {
        let from = number.saturating_sub(NEIGHBOURS / 2).min(all.len().saturating_sub(NEIGHBOURS));
        let mut near: Vec<i64> =
            all[from..].iter().take(NEIGHBOURS).map(|bound| bound.value).collect();
        let middle = near.len() / 2;
        let (_, middle, _) = near.select_nth_unstable(middle);
        all[number].value.abs_diff(*middle) <= FLIGHT.unsigned_abs()
    };
    let strays: std::collections::HashSet<(i64, i64)> =
        (0..all.len()).filter(|n| !is_near(*n)).map(|n| (all[n].at, all[n].value)).collect();
    for side in [&mut bounds.upper, &mut bounds.lower] {
        side.retain(|bound| !strays.contains(&(bound.at, bound.value)));
    }
    bounds
}

/// Claims that say something: how far the clock may be from the truth, at moments of that clock, in nanoseconds.
fn believable(readings: &[ClockReading]) -> impl Iterator<Item = (i64, i64)> + '_ {
    let began_at_zero = readings.iter().all(|reading| reading.most_wrong_us % ADDED_US == 0);
    let says_nothing = readings.iter().any(|reading| reading.most_wrong_us >= NO_CLAIM_US);
    let told = readings.iter().filter(move |_| !began_at_zero && !says_nothing);
    told.map(|reading| (reading.time.0 as i64, reading.most_wrong_us as i64 * 1_000))
}

impl Clocks {
    /// Puts together what is known; `spans` are what each host covers, by its own clock.
    pub(super) fn of(
        pairings: Vec<Pairing>,
        Testimony { readings, answered, assumed }: Testimony<'_>,
        spans: &[(i64, i64)],
    ) -> Self {
        let hosts = readings.len();
        let claims: Vec<Vec<_>> = readings.iter().map(|of| believable(of).collect()).collect();
        let neighbours = |host: usize| {
            pairings.iter().filter(|p| p.hosts.0 == host || p.hosts.1 == host).count()
        };
        let has_answered = |host: usize| answered.get(host).is_some_and(Option::is_some);
        let worth =
            |host: &usize| (neighbours(*host), has_answered(*host), !claims[*host].is_empty());
        // Of several equal ones, the first.
        let reference = (0..hosts).rev().max_by_key(worth).unwrap_or_default();
        let mut clocks = Self {
            hosts,
            reference,
            pairings,
            claims: vec![Vec::new(); hosts],
            answered: vec![None; hosts],
            assumed: None,
            contradictions: Vec::new(),
            knots: Vec::new(),
        };
        // Others may be hours away by their own clocks: only the reference's says where to look.
        let span = spans.get(reference).copied().unwrap_or_default();
        let step = ((span.1 - span.0) / KNOTS as i64).max(1);
        let moments: Vec<i64> = (0..=KNOTS as i64).map(|n| span.0 + n * step).collect();
        clocks.drop_what_contradicts(&moments);
        clocks.take_answers(answered, &moments);
        clocks.believe(claims, &moments);
        if assumed.is_some() {
            clocks.assumed = assumed;
            if let Some(by) = clocks.contradiction(&moments) {
                clocks.assumed = None;
                clocks.contradictions.push(Contradiction::Assumed { by });
            }
        }
        clocks.knots = moments.iter().map(|at| (*at, clocks.offsets(*at).0)).collect();
        clocks
    }

    /// Of pairs of hosts that contradict the others, the one with fewest frames goes.
    fn drop_what_contradicts(&mut self, moments: &[i64]) {
        // It takes a circle of three to contradict.
        while self.pairings.len() > 2 && self.contradiction(moments).is_some() {
            let fewest = (0..self.pairings.len()).min_by_key(|n| self.pairings[*n].frames);
            let Some(fewest) = fewest else { return };
            let hosts = self.pairings.remove(fewest).hosts;
            self.contradictions.push(Contradiction::Frames { hosts });
        }
    }

    /// Takes in how each host's clock answered, unless that contradicts.
    fn take_answers(&mut self, answered: &[Option<AnsweredClock>], moments: &[i64]) {
        for (host, answer) in answered.iter().enumerate().filter(|(_, answer)| answer.is_some()) {
            self.answered[host] = *answer;
            if let Some(by) = self.contradiction(moments) {
                self.answered[host] = None;
                self.contradictions.push(Contradiction::Answer { host, by });
            }
        }
    }

    /// Takes each host's claims in, unless they contradict.
    fn believe(&mut self, claims: Vec<Vec<(i64, i64)>>, moments: &[i64]) {
        for (host, claim) in claims.into_iter().enumerate().filter(|(_, claim)| !claim.is_empty()) {
            self.claims[host] = claim;
            if let Some(by) = self.contradiction(moments) {
                self.claims[host].clear();
                self.contradictions.push(Contradiction::Claim { host, by });
            }
        }
    }

    /// By how much bounds contradict each other somewhere.
    fn contradiction(&self, moments: &[i64]) -> Option<i64> {
        moments.iter().filter_map(|at| self.offsets(*at).1).max()
    }

    /// Of each host its clock less the reference when that shows `at`; and by how much bounds contradict each other.
    fn offsets(&self, at: i64) -> (Vec<Interval>, Option<i64>) {
        let local = self.locals(at);
        // One stands for the truth, one for whoever asked on the bus.
        let (nodes, asker) = (self.hosts + 2, self.hosts + 1);
        let mut most = vec![FAR; nodes * nodes];
        let mut bound = |from: usize, to: usize, by: i64| {
            let known = &mut most[from * nodes + to];
            *known = (*known).min(by);
        };
        for pairing in &self.pairings {
            let (a, b) = pairing.hosts;
            let told = pairing.band.at(local[a]);
            // The moment is known to the width of the band only, in which the clocks part a little.
            let blur = told.width().map_or(1, |width| (width as f64 * MOST_DRIFT) as i64 + 1);
            told.high.into_iter().for_each(|high| bound(a, b, high.saturating_add(blur)));
            told.low.into_iter().for_each(|low| bound(b, a, blur.saturating_sub(low)));
        }
        for (host, claims) in self.claims.iter().enumerate() {
            let claimed = claims
                .iter()
                .map(|(when, wrong)| wrong + (local[host].abs_diff(*when) as f64 * AGEING) as i64);
            if let Some(wrong) = claimed.chain(self.assumed).min() {
                bound(host, self.hosts, wrong);
                bound(self.hosts, host, wrong);
            }
        }
        for (host, AnsweredClock { at, ahead, wrong }) in self.answers() {
            let apart = local[host].abs_diff(at).saturating_add(wrong.unsigned_abs());
            let wrong = wrong + (apart as f64 * MOST_DRIFT) as i64 + 1;
            bound(asker, host, ahead + wrong);
            bound(host, asker, wrong - ahead);
        }
        shortest(&mut most, nodes);
        let contradiction = (0..nodes).map(|n| most[n * nodes + n]).filter(|by| *by < 0).min();
        let reference = self.reference;
        let offset = |host: usize| {
            let (high, low) = (most[reference * nodes + host], most[host * nodes + reference]);
            let known = |by: i64| Some(by).filter(|by| *by < FAR / 2);
            let zero = (host == reference).then_some(0);
            Interval { low: zero.or(known(low).map(|low| -low)), high: zero.or(known(high)) }
        };
        ((0..self.hosts).map(offset).collect(), contradiction.map(i64::abs))
    }

    fn answers(&self) -> impl Iterator<Item = (usize, AnsweredClock)> + '_ {
        let answers = self.answered.iter().enumerate();
        answers.filter_map(|(host, answer)| answer.map(|answer| (host, answer)))
    }

    /// What each clock shows about when the reference shows `at`, hop by hop.
    fn locals(&self, at: i64) -> Vec<i64> {
        let mut local = vec![None; self.hosts];
        local[self.reference] = Some(at);
        for _ in 0..self.hosts {
            for pairing in &self.pairings {
                let (a, b) = pairing.hosts;
                match (local[a], local[b]) {
                    (Some(time), None) => {
                        local[b] = middle(pairing.band.at(time)).map(|by| time.saturating_add(by));
                    }
                    (None, Some(time)) => {
                        // By its own clock, which is not known yet: closer at each look.
                        let back = |guess: i64| {
                            middle(pairing.band.at(guess)).map(|by| time.saturating_sub(by))
                        };
                        local[a] = back(time).and_then(back).and_then(back);
                    }
                    _ => {}
                }
            }
            let known = self.answers().find_map(|(host, one)| Some((local[host]?, one.ahead)));
            if let Some((time, ahead)) = known {
                for (host, other) in self.answers() {
                    local[host].get_or_insert(time.saturating_add(other.ahead - ahead));
                }
            }
        }
        local.into_iter().map(|local| local.unwrap_or(at)).collect()
    }

    /// When a host's clock showed `time`, by the reference.
    pub(super) fn place(&self, host: usize, time: i64) -> Placed {
        let Some(mut about) = self.about(host, time) else { return Placed { time, bar: None } };
        let mut found = placed(time, self.offsets(about).0[host]);
        // Beside a step the knots may have told the wrong side.
        for _ in 0..LOOKS {
            if found.time.abs_diff(about) < NEAR {
                break;
            }
            about = found.time;
            found = placed(time, self.offsets(about).0[host]);
        }
        found
    }

    /// The moment of the reference that a stamp means, as the knots tell it.
    fn about(&self, host: usize, time: i64) -> Option<i64> {
        let mut about = time.saturating_sub(middle(self.between(host, time)?)?);
        for _ in 0..2 {
            about = time.saturating_sub(middle(self.between(host, about)?)?);
        }
        Some(about)
    }

    /// What the knots tell of a moment between two of them.
    fn between(&self, host: usize, at: i64) -> Option<Interval> {
        let after = self.knots.partition_point(|(knot, _)| *knot <= at);
        let (first, one) = self.knots.get(after.saturating_sub(1))?;
        let (second, other) = self.knots.get(after).or(self.knots.last())?;
        let part = if second > first {
            at.saturating_sub(*first) as f64 / (second - first) as f64
        } else {
            0.0
        };
        let mix =
            |one: Option<i64>, other: Option<i64>| {
                let (one, other) = one.zip(other)?;
                Some(one.saturating_add(
                    (other.saturating_sub(one) as f64 * part.clamp(0.0, 1.0)) as i64,
                ))
            };
        let (one, other) = (one[host], other[host]);
        let apart = middle(one).zip(middle(other)).map(|(one, other)| one.abs_diff(other));
        let blur = one.width().unwrap_or(0).saturating_add(other.width().unwrap_or(0));
        let drift = ((second - first) as f64 * MOST_DRIFT) as i64;
        if apart.is_some_and(|apart| apart > blur.saturating_add(drift).unsigned_abs()) {
            return Some(one.or(other));
        }
        Some(Interval { low: mix(one.low, other.low), high: mix(one.high, other.high) })
    }

    /// As [`Self::place`] for millions of frames: from the knots alone, with a bar as much wider as the clocks may
    /// have wandered between two of them.
    pub(super) fn place_fast(&self, host: usize, time: i64) -> Placed {
        let is_known = |about: &i64| {
            let ends = self.knots.first().zip(self.knots.last());
            ends.is_some_and(|((first, _), (last, _))| first <= about && about <= last)
        };
        if host == self.reference {
            return Placed { time, bar: Some(0) };
        }
        let about = self.about(host, time).filter(is_known);
        let Some(told) = about.and_then(|about| self.between(host, about)) else {
            return self.place(host, time);
        };
        let apart = self.knots.windows(2).map(|pair| pair[1].0 - pair[0].0).next().unwrap_or(0);
        // How a clock answered holds the less the longer ago that was: as fast as clocks may drift.
        let wander = if self.answers().next().is_some() { MOST_DRIFT } else { WANDER };
        let Placed { time, bar } = placed(time, told);
        Placed { time, bar: bar.map(|bar| bar + (apart as f64 * wander / 2.0) as i64 + 1) }
    }

    /// By how much a host's clock is ahead of another's while both saw the same frames.
    pub(super) fn apart(&self, from: usize, to: usize) -> Interval {
        let is_it = |pairing: &&Pairing| pairing.hosts == (from.min(to), from.max(to));
        let told = self.pairings.iter().find(is_it).map(|pairing| pairing.band.hull());
        let told = told.unwrap_or_default();
        if from < to { told } else { told.turned() }
    }

    /// What a host's clock is ahead of the reference, in the middle of everything.
    pub(super) fn middle(&self, host: usize) -> Interval {
        self.knots.get(self.knots.len() / 2).map_or_else(Interval::default, |(_, told)| told[host])
    }

    /// The same, and how far that may be off.
    pub(super) fn offset(&self, host: usize) -> Option<(i64, u64)> {
        let told = self.middle(host);
        Some((middle(told)?, told.width()?.unsigned_abs().div_ceil(2)))
    }

    /// How the offset of a host is known, in the middle of everything.
    pub(super) fn known(&self, host: usize) -> FoundBy {
        if host == self.reference {
            return FoundBy::Reference;
        }
        let at = self.knots.get(self.knots.len() / 2).map_or(0, |(at, _)| *at);
        let is_known = |part: &Self| part.offsets(at).0[host].width().is_some();
        let mut part = self.copy();
        part.assumed = None;
        let without_assumed = is_known(&part);
        part.claims = vec![Vec::new(); self.hosts];
        let without_claims = is_known(&part);
        part.answered = vec![None; self.hosts];
        match (is_known(&part), without_claims, without_assumed) {
            (true, ..) => self.way(host),
            (_, true, _) => FoundBy::Answered,
            (.., true) => FoundBy::Claimed,
            _ if is_known(self) => FoundBy::Assumed,
            _ => FoundBy::Nothing,
        }
    }

    fn copy(&self) -> Self {
        Self {
            hosts: self.hosts,
            reference: self.reference,
            pairings: self.pairings.clone(),
            claims: self.claims.clone(),
            answered: self.answered.clone(),
            assumed: self.assumed,
            contradictions: Vec::new(),
            knots: Vec::new(),
        }
    }

    /// The next host on the way of fewest steps to the reference.
    fn way(&self, host: usize) -> FoundBy {
        let mut near = vec![self.reference];
        let mut known = vec![false; self.hosts];
        known[self.reference] = true;
        while !near.is_empty() {
            let mut next = Vec::new();
            for (number, pairing) in self.pairings.iter().enumerate() {
                for (one, other) in [pairing.hosts, (pairing.hosts.1, pairing.hosts.0)] {
                    if near.contains(&one) && !known[other] {
                        if other == host {
                            return FoundBy::Frames { neighbour: one, pairing: number };
                        }
                        known[other] = true;
                        next.push(other);
                    }
                }
            }
            near = next;
        }
        FoundBy::Nothing
    }
}

/// The shortest ways between all (Floyd and Warshall).
fn shortest(most: &mut [i64], nodes: usize) {
    for over in 0..nodes {
        for from in 0..nodes {
            for to in 0..nodes {
                let way =
                    most[from * nodes + over].saturating_add(most[over * nodes + to]).min(FAR);
                let known = &mut most[from * nodes + to];
                *known = (*known).min(way);
            }
        }
    }
}

fn middle(told: Interval) -> Option<i64> {
    Some(told.low?.saturating_add(told.width()? / 2))
}

/// A stamp of a clock that is so far ahead of the reference.
fn placed(time: i64, offset: Interval) -> Placed {
    match (middle(offset), offset.width()) {
        (Some(by), Some(width)) => {
            Placed { time: time.saturating_sub(by), bar: Some(width / 2 + width % 2) }
        }
        _ => Placed { time, bar: None },
    }
}
