//! Segments are lost on the way: the share that is sent again, of two hosts or of the whole interface,
//! against what it usually is.
//!
//! ```text
//!   five slots of a second   ─── sent again / segments ──► now
//!   everything before them   ─────────────────────────────► usual
//! ```
//!
//! A queue that overflows once, as at the start of a transfer (RFC 5681 §3.1), loses many at once: that is how
//! TCP finds its rate. Trouble is what is lost second after second. Nothing is counted while a storm runs
//! on the interface, nor where the capture holds packets twice.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::super::bounded::Bounded;
use super::super::heard::{Heard, Now, place};
use super::super::lasting::Lasting;
use super::{Flow, in_vlan};
use crate::detect::tap::{Again, Summary, TcpCounts};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::wire::link::Vlans;
use crate::words;

/// Pairs of hosts between which something was sent again lately.
const PAIRS: usize = 256;
/// A pair between which nothing was sent again for so long is forgotten: the tap still knows its counts.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// VLANs and two hosts, the lower first.
type Name = (Vlans, IpAddr, IpAddr);

/// Judges the losses on one interface.
#[derive(Debug)]
pub(super) struct Losses {
    all: Course,
    told: Lasting,
    pairs: Bounded<Name, Pair>,
    /// What the tap counted until the last summary.
    before: Option<TcpCounts>,
    /// Counted, without what came during storms.
    counted: Counts,
    /// Sent again lately says nothing until then.
    blind_until: Mono,
}

#[derive(Debug)]
struct Pair {
    course: Course,
    direction: Direction,
    last: Stamp,
    told: Lasting,
}

/// Segments, and those sent again, since the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    segments: u64,
    again: u64,
}

/// The counts as time passes.
#[derive(Debug, Default)]
struct Course {
    /// Slots in which something was sent again, the newest last.
    slots: VecDeque<Slot>,
    now: Counts,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    number: u64,
    /// The counts before it.
    before: Counts,
    /// What was sent again first in it.
    first: Stamp,
    again: u64,
}

/// A share that is beyond what is usual.
#[derive(Debug, Clone, Copy)]
struct Excess {
    first: Stamp,
    lately: Counts,
    usual: Counts,
}

impl Counts {
    fn share(self) -> f64 {
        if self.segments > 0 { self.again as f64 / self.segments as f64 } else { 0.0 }
    }

    fn since(self, before: Self) -> Self {
        Self {
            segments: self.segments.saturating_sub(before.segments),
            again: self.again.saturating_sub(before.again),
        }
    }
}

impl Course {
    /// A second, in nanoseconds.
    const SLOT: u64 = 1_000_000_000;
    /// So many are looked at.
    const SLOTS: u64 = 5;
    /// Sent again in them at least: fewer are chance.
    const LEAST: u64 = 20;
    /// In so many of them at least two, and the share.
    const SPREAD: usize = 3;
    /// Share from which on connections suffer: half the throughput at 1 % and 20 ms (Mathis et al. 1997).
    const SHARE: f64 = 0.01;
    /// And so many times what is usual.
    const TIMES: f64 = 10.0;
    /// Segments before from which on there is a usual.
    const KNOWN: u64 = 1_000;

    /// The counts at this time; `number` tells slots apart.
    fn counted(&mut self, at: Stamp, now: Counts) {
        let number = at.mono.0 / Self::SLOT;
        let again = now.again.saturating_sub(self.now.again);
        if again > 0 {
            match self.slots.back_mut().filter(|slot| slot.number == number) {
                Some(slot) => slot.again += again,
                None => self.slots.push_back(Slot { number, before: self.now, first: at, again }),
            }
        }
        self.now = now;
        self.slots.retain(|slot| slot.number + Self::SLOTS > number);
    }

    fn excess(&self) -> Option<Excess> {
        let ends = self.slots.iter().skip(1).map(|slot| slot.before).chain([self.now]);
        let bad =
            self.slots.iter().zip(ends).filter(|(slot, end)| {
                slot.again >= 2 && end.since(slot.before).share() >= Self::SHARE
            });
        let (first, _) = bad.clone().next()?;
        let (lately, usual) = (self.now.since(first.before), first.before);
        let known = usual.segments >= Self::KNOWN;
        let beyond = lately.share() >= (usual.share() * Self::TIMES).max(Self::SHARE);
        let many = lately.again >= Self::LEAST && bad.count() >= Self::SPREAD;
        (known && beyond && many).then_some(Excess { first: first.first, lately, usual })
    }

    /// Few enough that it is over.
    fn is_calm(&self) -> bool {
        let again: u64 = self.slots.iter().map(|slot| slot.again).sum();
        again < Self::LEAST / 2
    }

    /// What was sent again lately.
    fn lately(&self) -> u64 {
        self.slots.iter().map(|slot| slot.again).sum()
    }
}

impl Losses {
    /// Where more than this part are copies, the capture holds packets twice, and not all are known as such.
    const COPIES: f64 = 0.1;
    /// After a storm or copies, senders repeat what they ran into for so long.
    const SETTLES: Duration = Duration::from_secs(3);

    pub(super) fn new() -> Self {
        Self {
            all: Course::default(),
            told: Lasting::default(),
            pairs: Bounded::new(PAIRS),
            before: None,
            counted: Counts::default(),
            blind_until: Mono::default(),
        }
    }

    /// A segment was sent again.
    pub(super) fn again(&mut self, heard: &Heard<'_>, flow: Flow, again: Again) {
        let at = heard.at();
        if again.pair_segments == 0 || at.mono < self.blind_until {
            return;
        }
        let (from, to) = (flow.from.ip(), flow.to.ip());
        let name = (flow.vlans, from.min(to), from.max(to));
        let make = || Pair {
            course: Course::default(),
            direction: heard.direction(),
            last: at,
            told: Lasting::default(),
        };
        let Some(pair) = self.pairs.entry(name, make) else { return };
        let now = Counts { segments: again.pair_segments.into(), again: again.pair_again.into() };
        let before = now.since(Counts { segments: 1, again: 1 });
        // The tap knows what was before; and it forgets two hosts that pause.
        if pair.course.now == Counts::default() || now.segments < pair.course.now.segments {
            pair.course = Course { now: before, ..Course::default() };
        } else if pair.course.slots.is_empty() {
            // Nothing was sent again for long: all that was sent is part of the usual.
            pair.course.now = before;
        }
        pair.last = at;
        pair.course.counted(at, now);
        pair.told.more(at);
    }

    pub(super) fn counted(&mut self, summary: &Summary) {
        let Some(before) = self.before.replace(summary.tcp) else { return };
        let (now, at) = (summary.tcp, summary.at);
        let new = Counts {
            segments: now.followed.saturating_sub(before.followed),
            again: now.retransmissions.saturating_sub(before.retransmissions),
        };
        let copies = now.copies.saturating_sub(before.copies);
        if !summary.storms.is_empty() || copies as f64 > new.segments as f64 * Self::COPIES {
            self.blind_until = at.mono.plus(Self::SETTLES);
            self.all.slots.clear();
            self.pairs.retain(|_, pair| {
                pair.course.slots.clear();
                true
            });
        }
        self.counted.segments += new.segments;
        if at.mono >= self.blind_until {
            self.counted.again += new.again;
        }
        self.all.counted(at, self.counted);
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let mut any = false;
        let mut most = 0;
        self.pairs.retain(|name, pair| {
            let counts = pair.course.now;
            pair.course.counted(now.at, counts);
            most = most.max(pair.course.lately());
            if let Some(excess) = pair.course.excess().filter(|_| !pair.told.is_open()) {
                pair.told.begin(of_pair(now, *name, pair.direction, excess), findings);
            }
            if pair.course.is_calm() {
                let sentence = || format!("segments between {} arrive again", named(*name));
                pair.told.end(now.at, sentence, findings);
            }
            any |= pair.told.is_open();
            pair.told.is_open() || now.at.mono.since(pair.last.mono) < FORGOTTEN
        });
        if self.all.is_calm() {
            let sentence = || format!("segments on {} arrive again", now.interface);
            self.told.end(now.at, sentence, findings);
        }
        // Whose segments are lost is told of the pair; of the interface only if no pair has most of them.
        let spread = most * 2 < self.all.lately();
        let excess = self.all.excess().filter(|_| !any && spread && !self.told.is_open());
        if let Some(excess) = excess {
            self.told.begin(of_all(now, excess), findings);
        }
    }

    pub(super) fn refused(&self) -> u64 {
        self.pairs.refused()
    }
}

fn named((vlans, one, other): Name) -> String {
    format!("{one} and {other}{}", place(vlans))
}

/// `2.4 % of the segments WHERE are sent again (95 of 3,912), 0.04 % before`.
fn words_of(excess: &Excess, place: &str) -> String {
    let Excess { lately, usual, .. } = excess;
    format!(
        "segments are lost: {:.1} % {place} are sent again ({} of {}), {:.2} % before",
        lately.share() * 100.0,
        words::count(lately.again),
        words::count(lately.segments),
        usual.share() * 100.0
    )
}

fn of_pair(now: &Now<'_>, name: Name, direction: Direction, excess: Excess) -> Finding {
    let sentence = words_of(&excess, &format!("between {}", named(name)));
    let what = format!("TCP between {}", named(name));
    let kind = FindingKind::TcpLoss;
    let finding = in_vlan(now, name.0, kind, Severity::Warning, what, sentence);
    Finding { first: excess.first, count: excess.lately.again, direction, ..finding }
        .about(Party::Host(name.1))
        .about(Party::Host(name.2))
}

fn of_all(now: &Now<'_>, excess: Excess) -> Finding {
    let sentence = words_of(&excess, &format!("on {}, of many hosts,", now.interface));
    let (kind, what) = (FindingKind::TcpLoss, "TCP of many hosts".to_owned());
    let finding = now.finding(kind, Severity::Warning, what, sentence);
    Finding { first: excess.first, count: excess.lately.again, ..finding }
}
