//! Who is heard on the segment: each station and each VLAN, since when nothing came from it, what it was asked
//! since then, and who floods.
//!
//! ```text
//!   received   source ───────► its place: heard, and nothing is open any more
//!              destination ──► never a source here: a stray, which switches flood everywhere
//!   sent       destination ──► its place: so many frames, so many questions since it was last heard
//! ```
//!
//! Promises: memory is fixed, a frame touches two or three places of 64 bytes, and nobody who speaks loses its
//! place to a newcomer, so that a flood of made-up addresses hides nobody. Of stations that would need the
//! same place one is not watched; `missed` says that there are some. A source is called new, and a
//! destination a stray, only if it surely never sent a frame since [`StationCounts::forgotten`] last rose.

mod question;
mod table;

pub(super) use self::question::Passing;
pub(super) use self::table::Stations;

use self::question::{AnswerKind, Question};
use crate::time::Mono;
use crate::wire::Mac;

/// A unit of time: 2^20 ns, about a millisecond; a shift instead of a division.
const UNIT_SHIFT: u32 = 20;

/// What was counted since the tap was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StationCounts {
    /// Stations that were heard, by link address and outermost VLAN.
    pub stations: Vec<Station>,
    /// VLANs, by their outermost tag; 0 = untagged, or without a link header.
    pub vlans: Vec<Vlan>,
    /// Sources that surely were not heard before.
    pub sources: u64,
    /// Times that the memory of sources was full and began anew.
    pub forgotten: u64,
    /// By the numbers of [`Direction`](crate::frame::Direction): frames that each switch passes on to everybody, copies aside.
    pub flooded: [u64; 3],
    /// Frames received for a single station that surely never was a source here.
    pub strays: u64,
    /// By the numbers of [`Direction`](crate::frame::Direction): when the last frame to a single station came.
    pub addressed: [Mono; 3],
    /// Frames of stations that found no place.
    pub missed: u64,
}

/// One station in one VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Station {
    /// Its link address.
    pub mac: Mac,
    /// Its outermost VLAN; 0 = untagged.
    pub vlan: u16,
    /// When it was heard.
    pub hearing: Hearing,
    /// Frames of it that go to everybody, as in [`StationCounts::flooded`]; counted around zero.
    pub flooded: u32,
    /// Frames of it as in [`StationCounts::strays`]; counted around zero.
    pub strays: u32,
}

/// One VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vlan {
    /// Its identifier; 0 = untagged.
    pub id: u16,
    /// When it was heard.
    pub hearing: Hearing,
}

/// How somebody is heard, and what is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hearing {
    /// First frame received.
    pub first: Mono,
    /// Last frame received; zero = none so far.
    pub last: Mono,
    /// Frames received; counted around zero.
    pub heard: u32,
    /// Value of `heard` when the open ones below began to be counted: they are of no interest once it rose.
    since: u32,
    open: Open,
}

/// What was sent since the last frame was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Open {
    /// When the first question was.
    pub first: Mono,
    /// From there to the last one, in units of 2^20 ns.
    lasted: u32,
    /// Frames.
    pub sent: u32,
    /// A bit for each host that was asked; different hosts may share one.
    hosts: u32,
    /// Questions: frames that any station that works answers within a second, be it only by an
    /// acknowledgement.
    pub asked: u16,
    /// Of these, beginnings of a conversation: SYNs, echo requests, address resolution.
    pub openers: u16,
}

impl Open {
    /// When the last frame was sent; the first question, if none came after it.
    pub fn last(&self) -> Mono {
        Mono(self.first.0 + (u64::from(self.lasted) << UNIT_SHIFT))
    }

    /// At least so many hosts were asked.
    pub fn hosts(&self) -> u32 {
        self.hosts.count_ones()
    }

    fn count(&mut self, question: Question, now: Mono) {
        self.sent = self.sent.saturating_add(1);
        if question.kind != AnswerKind::None {
            if self.asked == 0 {
                self.first = now;
            }
            self.asked = self.asked.saturating_add(1);
            self.openers =
                self.openers.saturating_add(u16::from(question.kind == AnswerKind::Opener));
            self.hosts |= question.host;
        }
        if self.asked > 0 {
            let lasted = now.0.saturating_sub(self.first.0) >> UNIT_SHIFT;
            self.lasted = u32::try_from(lasted).unwrap_or(u32::MAX);
        }
    }

    fn and(self, other: Self) -> Self {
        let first = match (self.asked, other.asked) {
            (0, _) => other.first,
            (_, 0) => self.first,
            _ => self.first.min(other.first),
        };
        let lasted = self.last().max(other.last()).0.saturating_sub(first.0) >> UNIT_SHIFT;
        Self {
            first,
            lasted: u32::try_from(lasted).unwrap_or(u32::MAX),
            sent: self.sent.saturating_add(other.sent),
            hosts: self.hosts | other.hosts,
            asked: self.asked.saturating_add(other.asked),
            openers: self.openers.saturating_add(other.openers),
        }
    }
}

impl Hearing {
    /// What is open.
    pub fn open(&self) -> Open {
        if self.since == self.heard { self.open } else { Open::default() }
    }

    /// Several together: heard when any of them was, and open what was asked of any after that.
    pub fn together<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let heard = all.clone().filter(|hearing| hearing.last != Mono(0));
        let last = heard.clone().map(|hearing| hearing.last).max().unwrap_or_default();
        let count = heard.clone().fold(0, |sum: u32, hearing| sum.wrapping_add(hearing.heard));
        let open = all.map(Self::open).filter(|open| open.first >= last);
        Self {
            first: heard.map(|hearing| hearing.first).min().unwrap_or_default(),
            last,
            heard: count,
            since: count,
            open: open.fold(Open::default(), Open::and),
        }
    }

    #[inline]
    fn hear(&mut self, now: Mono) {
        if self.last == Mono(0) {
            self.first = now;
        }
        self.last = now;
        self.heard = self.heard.wrapping_add(1);
    }

    /// Several frames, the first and the last of which came then.
    fn hear_all(&mut self, count: u64, (first, last): (Mono, Mono)) {
        if self.last == Mono(0) {
            self.first = first;
        }
        self.last = self.last.max(last);
        // Counted around zero.
        self.heard = self.heard.wrapping_add(count as u32);
    }

    #[inline]
    fn send(&mut self, question: Question, now: Mono) {
        if self.since != self.heard {
            (self.since, self.open) = (self.heard, Open::default());
        }
        self.open.count(question, now);
    }

    /// When it last did anything.
    fn moved(&self) -> Mono {
        self.last.max(self.open().last())
    }
}

impl StationCounts {
    /// The interface as a whole.
    pub fn hearing(&self) -> Hearing {
        Hearing::together(self.vlans.iter().map(|vlan| &vlan.hearing))
    }
}

#[cfg(test)]
impl Hearing {
    /// Heard so often, last at that time; after it asked so often, from the one time to the other, so many
    /// hosts and each time something new.
    pub(in crate::detect) fn of(
        heard: u32,
        last: Mono,
        asked: u16,
        span: (Mono, Mono),
        hosts: u32,
    ) -> Self {
        let lasted = (span.1.0.saturating_sub(span.0.0) >> UNIT_SHIFT) as u32;
        let hosts = (1 << hosts) - 1;
        let open = Open { first: span.0, lasted, sent: asked.into(), hosts, asked, openers: asked };
        Self { first: Mono(1), last, heard, since: heard, open }
    }

    /// The same, with questions that begin nothing.
    pub(in crate::detect) fn without_openers(self) -> Self {
        Self { open: Open { openers: 0, ..self.open }, ..self }
    }
}
