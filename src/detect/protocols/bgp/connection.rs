//! One TCP connection of a BGP session: which end has spoken, and which is no longer heard by the other.
//!
//! ```text
//!  A ── KEEPALIVE 100 ──►        A sends the same again, though B acknowledged it:  A does not hear B
//!  A ◄── ACK 119 ──────── B
//!  A ── KEEPALIVE 100 ──►        ... and B never acknowledged it:                   A gets no answer
//! ```
//!
//! Both are known seconds after they begin, long before a hold time is over, and tell which way is broken.

use std::time::Duration;

use crate::time::Stamp;
use crate::wire::bgp::{Bgp, Open};
use crate::wire::tcp::Tcp;

/// The ports, in the order of the session's ends.
pub(super) type Ports = (u16, u16);

/// A segment that comes again sooner is a copy by the capture, not by its sender: the shortest time-out is
/// 200 ms (`TCP_RTO_MIN`, linux/include/net/tcp.h), and loss probes wait longer than this.
const COPY: Duration = Duration::from_millis(50);
/// Sent again so often is no chance: by Linux' doubling time-outs that takes 3 s.
const AGAIN: u32 = 3;
/// Pauses between keep-alives that tell their interval, where no OPEN was seen.
const PAUSES: u32 = 3;
/// Keep-alives in a hold time (RFC 4271 §4.4).
const KEEP_ALIVES: u32 = 3;
/// Hold time where none is known (RFC 4271 §10 proposes 90 s; most implementations take 180 s).
const HOLD: Duration = Duration::from_secs(180);

/// Two ends and what they said.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ports: Ports,
    pub(super) phase: Phase,
    pub(super) ends: [End; 2],
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its beginning was not seen: it may carry a session.
    Found,
    /// A SYN or an OPEN was seen: what ends it now keeps the session from coming up.
    Opening,
    /// It carries the session since then.
    Alive(Stamp),
    /// It carries nothing any more.
    Over,
}

/// One end, as far as it was heard.
#[derive(Debug, Default)]
pub(super) struct End {
    /// How it opened the session.
    pub(super) open: Option<Open>,
    /// It took the other's OPEN.
    spoke: bool,
    /// Its last segment.
    last: Option<Stamp>,
    /// The next byte that it expects.
    expects: Option<u32>,
    keep_alive: Option<Stamp>,
    /// Longest time between two keep-alives, of so many.
    pause: Duration,
    pauses: u32,
    sent: Option<Sent>,
}

/// The oldest message that was not acknowledged, or is sent again all the same.
#[derive(Debug, Clone, Copy)]
struct Sent {
    sequence: u32,
    next: u32,
    first: Stamp,
    last: Stamp,
    again: u32,
    /// Times that it was sent again after an acknowledgement that was seen here.
    in_vain: u32,
    acknowledged: bool,
}

/// What is wrong between the ends; numbers are places in [`Connection::ends`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// This end sends again what the other acknowledged: it does not hear it.
    Deaf(usize),
    /// This end's message is not acknowledged by the other.
    Unanswered(usize),
    /// Nothing comes from this end, while the other goes on.
    Silent(usize),
}

/// Since when, and for how many segments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    pub(super) trouble: Trouble,
    pub(super) first: Stamp,
    pub(super) again: u32,
}

impl Connection {
    pub(super) fn new(ports: Ports) -> Self {
        Self { ports, phase: Phase::Found, ends: Default::default() }
    }

    /// A segment of the end `from`, with what it says of BGP.
    pub(super) fn segment(&mut self, at: Stamp, from: usize, tcp: &Tcp<'_>, bgp: Option<&Bgp<'_>>) {
        let opens = tcp.has(Tcp::SYN) || bgp.is_some_and(|bgp| bgp.open.is_some());
        if opens && self.phase == Phase::Found {
            self.phase = Phase::Opening;
        }
        if tcp.has(Tcp::ACK) {
            self.ends[1 - from].acknowledged(tcp.acknowledgement);
            self.ends[from].expects = Some(tcp.acknowledgement);
        }
        let others = self.ends[1 - from].expects;
        let end = &mut self.ends[from];
        end.last = Some(at);
        if !tcp.payload.is_empty() {
            end.sends(at, tcp, others);
        }
        if let Some(bgp) = bgp {
            end.says(at, bgp);
        }
    }

    /// True if both ends took each other's OPEN, which is when a session is up (RFC 4271 §8.2.2).
    pub(super) fn both_spoke(&self) -> bool {
        self.ends.iter().all(|end| end.spoke)
    }

    /// What was said until now no longer counts: the session is over.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Over;
        self.ends.iter_mut().for_each(|end| (end.spoke, end.sent) = (false, None));
    }

    /// Time after which an end gives the other up, if it is known: the lower of both OPENs (RFC 4271 §4.2),
    /// else by the rhythm of keep-alives. Endless where there are none.
    pub(super) fn hold(&self) -> Option<Duration> {
        let opens = self.ends.iter().filter_map(|end| end.open);
        if let Some(hold) = opens.map(|open| open.hold).min() {
            let hold = Duration::from_secs(hold.into());
            return Some(if hold.is_zero() { Duration::MAX } else { hold });
        }
        let rhythms = self.ends.iter().filter(|end| end.pauses >= PAUSES);
        rhythms.map(|end| end.pause.saturating_mul(KEEP_ALIVES)).max()
    }

    /// What is wrong at `now`, if anything is for long enough: a keep-alive's time for what is sent again,
    /// the hold time for silence.
    pub(super) fn trouble(&self, now: Stamp) -> Option<Since> {
        let hold = self.hold();
        let enough = hold.unwrap_or(HOLD) / KEEP_ALIVES;
        let stuck = |which: fn(&Sent) -> u32, trouble: fn(usize) -> Trouble| {
            self.ends.iter().enumerate().find_map(|(number, end)| {
                let sent = end.sent.as_ref()?;
                let again = which(sent);
                let long = now.mono.since(sent.first.mono) >= enough;
                let trouble = trouble(number);
                (again >= AGAIN && long).then_some(Since { trouble, first: sent.first, again })
            })
        };
        stuck(|sent| sent.in_vain, Trouble::Deaf)
            .or_else(|| {
                stuck(|sent| if sent.acknowledged { 0 } else { sent.again }, Trouble::Unanswered)
            })
            .or_else(|| self.silence(now, hold?))
    }

    /// An end that says nothing for the hold time, while the other goes on and hears nothing new either: it
    /// might come another way.
    fn silence(&self, now: Stamp, hold: Duration) -> Option<Since> {
        (0..self.ends.len()).find_map(|number| {
            let (end, other) = (&self.ends[number], &self.ends[1 - number]);
            let (last, others) = (end.last?, other.last?);
            let goes_on = now.mono.since(others.mono) < hold && others.mono > last.mono;
            let heard_elsewhere = other
                .expects
                .zip(end.sent_until())
                .is_some_and(|(next, sent)| is_after(next, sent));
            let silent = now.mono.since(last.mono) >= hold && goes_on && !heard_elsewhere;
            let due = last.mono.plus(hold / KEEP_ALIVES);
            let first = Stamp { mono: due, wall: now.offset().wall(due) };
            silent.then_some(Since { trouble: Trouble::Silent(number), first, again: 0 })
        })
    }
}

impl End {
    fn acknowledged(&mut self, next: u32) {
        if let Some(sent) = &mut self.sent {
            sent.acknowledged |= !is_after(sent.next, next);
        }
    }

    /// A segment with data; `expected` is the next byte that the other end waits for.
    fn sends(&mut self, at: Stamp, tcp: &Tcp<'_>, expected: Option<u32>) {
        match &mut self.sent {
            Some(sent) if sent.sequence == tcp.sequence => {
                if at.mono.since(sent.last.mono) >= COPY {
                    sent.last = at;
                    sent.again += 1;
                    sent.in_vain += u32::from(sent.acknowledged);
                }
            }
            Some(sent) if !sent.acknowledged || is_after(sent.sequence, tcp.sequence) => {}
            _ => {
                let (sequence, first, last) = (tcp.sequence, at, at);
                let next = sequence.wrapping_add(tcp.payload.len() as u32);
                let acknowledged = expected.is_some_and(|expected| !is_after(next, expected));
                let again = u32::from(acknowledged);
                let in_vain = again;
                self.sent =
                    Some(Sent { sequence, next, first, last, again, in_vain, acknowledged });
            }
        }
    }

    fn says(&mut self, at: Stamp, bgp: &Bgp<'_>) {
        self.open = bgp.open.or(self.open);
        self.spoke |= bgp.alive;
        if bgp.keep_alive
            && let Some(before) = self.keep_alive.replace(at)
        {
            self.pause = self.pause.max(at.mono.since(before.mono));
            self.pauses += 1;
        }
    }

    fn sent_until(&self) -> Option<u32> {
        self.sent.map(|sent| sent.next)
    }
}

/// True if sequence number `one` is behind `other` (RFC 9293 §3.4).
fn is_after(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}
