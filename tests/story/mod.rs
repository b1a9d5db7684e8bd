//! The incident that dashcap is for, made to measure: ten quiet minutes, then transmit dies, one frame
//! repeats hundreds of thousands of times a second, and 89 s later the bond goes down.
//!
//! ```text
//!   -10 min            0        +2.5 s     +26 s                 +86 s        +89 s      +89.36 s +90 s
//!   ordinary traffic ──┤ A A A A │ A A A B │ A A A B A C A B ... │            │          │        │ end
//!   VRRP, HSRP, LACP   │ still received: HSRP, LACP, a trickle    │ expired    │ defaulted│ down   │
//! ```
//!
//! What the story tests and the benchmarks share: the same plan always gives the same frames, so a bundle
//! is judged by telling the story once more beside it ([`judge`]). Nothing is kept in memory: a story of
//! tens of millions of frames is told frame by frame.

mod file;
mod frames;
mod judge;

use std::time::Duration;

use dashcap::frame::Direction;

pub(crate) use self::file::{table, write};
pub(crate) use self::frames::{lacp_from_router, lacp_from_switch, storm};
pub(crate) use self::judge::{judge, runs};

use self::frames::Traffic;

/// When transmit dies: 2026-11-22T14:12:51.447649Z, nanoseconds since 1970. No run's first 64 copies have
/// a multiple of 2^30 ns among them, where folding begins to count a second anew: exactly 64 are kept.
pub(crate) const FAULT: u64 = 1_795_356_771_447_649_000;
/// The second frame joins in.
const UNICAST: Duration = Duration::from_millis(2_508);
/// The third.
const BROADCAST: Duration = Duration::from_millis(26_316);
/// The switch has not heard an LACPDU for three times 30 s.
pub(crate) const EXPIRED: Duration = Duration::from_millis(86_363);
/// Three seconds later it gives its partner up.
pub(crate) const DEFAULTED: Duration = Duration::from_millis(89_363);
/// And the bond its port.
const DOWN: Duration = Duration::from_millis(89_365);
/// When the storm's phases begin.
pub(crate) const PHASES_BEGIN: [Duration; 3] = [Duration::ZERO, UNICAST, BROADCAST];
/// What there is of the storm.
const END: Duration = Duration::from_secs(90);
/// Between two LACPDUs of a slow port (IEEE 802.1AX-2020 6.4.4, `Slow_Periodic_Time`), and of one in
/// trouble (`Fast_Periodic_Time`).
const SLOW: u64 = 30_000_000_000;
const FAST: u64 = 1_000_000_000;
/// Between two advertisements of the router, and two hellos of its neighbour; no multiples of a second,
/// as with real timers.
const VRRP: u64 = 1_000_900_000;
const HSRP: u64 = 2_973_000_000;
/// Never.
const NEVER: u64 = u64::MAX;

/// The interfaces of the story.
pub(crate) const BOND: usize = 0;
pub(crate) const SLAVE: usize = 1;
pub(crate) const INTERFACES: [&str; 2] = ["dp0bond0", "dp0s0"];

/// How much of it is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Time before the fault.
    pub(crate) quiet: Duration,
    /// Ordinary traffic before the fault, in bits per second; a sixteenth of it comes in afterwards.
    pub(crate) ordinary: u64,
    /// Frames of the storm per second; none = no storm.
    pub(crate) rate: u64,
}

/// What a frame is to the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ordinary,
    Lacp,
    Hsrp,
    Vrrp,
    /// Which of the three that repeat.
    Storm(usize),
}

/// A frame on its way.
#[derive(Debug)]
pub(crate) struct Passing<'a> {
    /// Nanoseconds since 1970.
    pub(crate) wall: u64,
    pub(crate) interface: usize,
    pub(crate) direction: Direction,
    pub(crate) kind: Kind,
    pub(crate) bytes: &'a [u8],
}

/// Frames by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) ordinary: u64,
    pub(crate) lacp: u64,
    pub(crate) hsrp: u64,
    pub(crate) vrrp: u64,
    pub(crate) storm: [u64; 3],
}

/// The story, frame by frame, in order of time.
pub(crate) struct Story {
    plan: Plan,
    storm: [Vec<u8>; 3],
    /// Copies so far.
    copies: u64,
    /// When the next one is due, and the next frame that is none.
    next_copy: u64,
    next_quiet: u64,
    /// When each stream is due.
    ordinary: u64,
    vrrp: u64,
    hsrp: u64,
    to_switch: u64,
    from_switch: u64,
    traffic: Traffic,
    bytes: Vec<u8>,
}

impl Plan {
    /// The beginning, in nanoseconds since 1970.
    pub(crate) fn begin(&self) -> u64 {
        FAULT - nanos(self.quiet)
    }

    /// Without the storm: what must all be there.
    pub(crate) fn without_storm(self) -> Self {
        Self { rate: 0, ..self }
    }
}

impl Counts {
    pub(crate) fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Ordinary => self.ordinary += 1,
            Kind::Lacp => self.lacp += 1,
            Kind::Hsrp => self.hsrp += 1,
            Kind::Vrrp => self.vrrp += 1,
            Kind::Storm(which) => self.storm[which] += 1,
        }
    }

    /// Those that do not repeat.
    pub(crate) fn quiet(&self) -> u64 {
        self.ordinary + self.lacp + self.hsrp + self.vrrp
    }

    pub(crate) fn all(&self) -> u64 {
        self.quiet() + self.storm.iter().sum::<u64>()
    }
}

/// Which of the three is copy `number` of a storm that began `since` ago: the second is one in four, the
/// third takes every second place of the second.
pub(crate) fn which(number: u64, since: Duration) -> usize {
    match number % 8 {
        5 if since >= BROADCAST => 2,
        3 | 7 if since >= UNICAST => 1,
        _ => 0,
    }
}

impl Story {
    pub(crate) fn new(plan: Plan) -> Self {
        let begin = plan.begin();
        // On a grid that has the expired LACPDU on it.
        let before = (FAULT + nanos(EXPIRED) - begin) / SLOW * SLOW;
        let mut story = Self {
            plan,
            storm: storm(),
            copies: 0,
            next_copy: if plan.rate > 0 { FAULT } else { NEVER },
            next_quiet: 0,
            ordinary: begin,
            vrrp: begin + 130_000_000,
            hsrp: begin + 1_900_000_000,
            to_switch: begin + 4_763_827_000,
            from_switch: FAULT + nanos(EXPIRED) - before,
            traffic: Traffic::new(plan.ordinary),
            bytes: Vec::new(),
        };
        story.look_ahead();
        story
    }

    /// The next frame; none when all is told.
    pub(crate) fn next(&mut self) -> Option<Passing<'_>> {
        if self.next_copy < self.next_quiet {
            let wall = self.next_copy;
            let which = which(self.copies, Duration::from_nanos(wall - FAULT));
            self.copies += 1;
            self.next_copy = FAULT + self.copies * 1_000_000_000 / self.plan.rate;
            let (kind, bytes) = (Kind::Storm(which), &self.storm[which][..]);
            let direction = Direction::Outbound;
            return (wall < FAULT + nanos(END)).then_some(Passing {
                wall,
                interface: BOND,
                direction,
                kind,
                bytes,
            });
        }
        let wall = self.next_quiet;
        if wall >= FAULT + nanos(END) {
            return None;
        }
        let (interface, direction, kind) = self.quiet(wall);
        self.look_ahead();
        Some(Passing { wall, interface, direction, kind, bytes: &self.bytes })
    }

    fn look_ahead(&mut self) {
        let due = [self.ordinary, self.vrrp, self.hsrp, self.to_switch, self.from_switch];
        self.next_quiet = due.into_iter().min().unwrap_or(NEVER);
    }

    /// Makes the frame that is due at `wall`.
    fn quiet(&mut self, wall: u64) -> (usize, Direction, Kind) {
        let works = wall < FAULT;
        let since = Duration::from_nanos(wall.saturating_sub(FAULT));
        if wall == self.ordinary {
            let (direction, pause) = self.traffic.next(works, &mut self.bytes);
            self.ordinary += pause;
            (BOND, direction, Kind::Ordinary)
        } else if wall == self.vrrp {
            // Transmit dies with the bond's only way out, and the advertisements with it.
            self.vrrp = if wall + VRRP < FAULT { wall + VRRP } else { NEVER };
            self.bytes = frames::vrrp();
            (BOND, Direction::Outbound, Kind::Vrrp)
        } else if wall == self.hsrp {
            self.hsrp += HSRP;
            self.bytes = frames::hsrp();
            (BOND, Direction::Inbound, Kind::Hsrp)
        } else if wall == self.to_switch {
            self.to_switch += SLOW;
            self.bytes = lacp_from_router();
            (SLAVE, Direction::Outbound, Kind::Lacp)
        } else {
            self.from_switch += match since {
                _ if since >= DEFAULTED => FAST,
                _ if since >= EXPIRED => nanos(DEFAULTED - EXPIRED),
                _ => SLOW,
            };
            self.bytes = lacp_from_switch(since >= EXPIRED, since >= DEFAULTED);
            (SLAVE, Direction::Inbound, Kind::Lacp)
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
