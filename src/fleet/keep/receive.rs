//! What is done about a notice: answered again, refused, too late, frozen, held, confirmed or released.
//!
//! The cheap comes before the dear: who is not accepted costs a line, what a bundle already has costs no window of
//! anybody's rate. What only the recorder knows (whether an incident has the window already, what memory still has)
//! is asked between [`Receiver::hear`] and [`Receiver::take`].

use std::time::Duration;

use super::event::EventTime;
use super::known::KnownNotices;
use super::quota::Quotas;
use crate::fleet::answer::HostAnswer;
use crate::fleet::inquiry::NoticeOutcome;
use crate::fleet::notice::{Mode, Notice, NoticeKey};
use crate::time::{Mono, Stamp, Window};

/// Windows of the fleet that are pinned at a time, in memory or on their way to the disk.
pub const AT_A_TIME: usize = 2;
/// Of the memory for frames, all of them together may pin one part in so many: local failures go before.
pub const MEMORY_PART: u64 = 4;

/// What a host may ask for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Time from before at most.
    pub pre: Duration,
    /// Windows an hour.
    pub per_hour: u32,
}

/// When and how a notice came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When it was heard.
    pub at: Stamp,
    /// How long it had lain in the server's stream then.
    pub waited: Duration,
    /// How much longer ago than that it may have happened.
    pub error: Duration,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It was heard before, and this was answered; nothing yet where it is still being worked at.
    Known(Option<Box<HostAnswer>>),
    /// Nothing, for this reason.
    Refused(String),
    /// Nothing: it is older than anybody here is asked for.
    Late(EventTime),
    /// Freeze the window, and write a bundle.
    Freeze(WantedWindow),
    /// Freeze the window until then, and wait whether it is confirmed.
    Hold(WantedWindow, Mono),
    /// Write what is held for it.
    Confirm,
    /// Give up what is held for it.
    Release,
}

/// A window that another host wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedWindow {
    /// When it happened.
    pub event: EventTime,
    /// What is wanted, as far as it is accepted.
    pub window: Window,
    /// True if more was wanted than is accepted.
    pub is_cut: bool,
}

/// What a recorder remembers of notices.
#[derive(Debug)]
pub struct Receiver {
    /// What this host is called.
    host: String,
    /// A notice of what is longer ago is of no use here.
    late: Duration,
    known: KnownNotices,
    quotas: Quotas,
}

impl Receiver {
    /// Nothing was heard yet by `host`, which takes notices so `late`.
    pub fn new(host: &str, late: Duration) -> Self {
        let (known, quotas) = (KnownNotices::default(), Quotas::default());
        Self { host: host.to_owned(), late, known, quotas }
    }

    /// Takes a notice in; whoever says it may have what is `accepted`.
    pub fn hear(
        &mut self,
        notice: &Notice,
        arrival: Arrival,
        accepted: Option<Accepted>,
    ) -> Decision {
        if notice.from == self.host {
            return Decision::Refused("it is our own".to_owned());
        }
        let Some(accepted) = accepted else {
            let why = format!("no rule of `accept` there is for {}", notice.from);
            return Decision::Refused(why);
        };
        match notice.mode {
            Mode::Confirm => return Decision::Confirm,
            Mode::Release => return Decision::Release,
            Mode::Keep | Mode::Hold => {}
        }
        if self.known.hear(notice.key(), arrival.at.mono) {
            return Decision::Known(self.known.answer(&notice.key()).cloned().map(Box::new));
        }
        let event = EventTime::of(notice, arrival.at, arrival.waited, arrival.error);
        if arrival.at.mono.since(event.at.mono) > self.late {
            return Decision::Late(event);
        }
        let pre = notice.pre.min(accepted.pre);
        let (window, is_cut) = (event.window(pre, notice.post), pre < notice.pre);
        let wanted = WantedWindow { event, window, is_cut };
        match notice.mode {
            Mode::Hold => Decision::Hold(wanted, arrival.at.mono.plus(notice.within)),
            _ => Decision::Freeze(wanted),
        }
    }

    /// Takes a window out of the rate of `host` and of all; why not, if there is none left.
    ///
    /// # Errors
    /// The rate that is used up, in words.
    pub fn take(&mut self, host: &str, accepted: Accepted, now: Mono) -> Result<(), String> {
        self.quotas.take(host, accepted.per_hour, now).map_err(|exceeded| exceeded.to_string())
    }

    /// What was answered to notices that no bundle here belongs to: to `id`, or to any.
    pub fn without_bundle(&self, id: Option<&str>) -> Vec<NoticeOutcome> {
        self.known
            .answers()
            .filter_map(|answer| NoticeOutcome::without_bundle(answer, id))
            .collect()
    }

    /// What is answered to a notice from now on.
    pub fn answered(&mut self, key: &NoticeKey, answer: &HostAnswer) {
        self.known.answered(key, answer);
    }
}

/// The window that pins no more than `room` bytes, where `bytes` tells what a window pins: of what is wanted the part
/// next to the event. None if not even the event itself finds room.
pub fn fitting(wanted: &WantedWindow, room: u64, bytes: impl Fn(Window) -> u64) -> Option<Window> {
    /// Halvings: of a day that leaves a second and a third.
    const HALVINGS: u32 = 16;
    let window = wanted.window;
    if bytes(window) <= room {
        return Some(window);
    }
    let from = |from| Window { from, ..window };
    let (mut fits, mut exceeds) = (wanted.event.earliest, window.from);
    if bytes(from(fits)) > room {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = Mono(exceeds.0.midpoint(fits.0));
        if bytes(from(middle)) <= room {
            fits = middle;
        } else {
            exceeds = middle;
        }
    }
    Some(from(fits))
}

/// Notices and answers for tests.
#[cfg(test)]
pub(super) mod fixture {
    use std::time::Duration;

    use crate::finding::Severity;
    use crate::fleet::answer::{AnswerFields, ClockReading, HostAnswer, State};
    use crate::fleet::notice::{Mode, Notice, NoticeFields, Want};
    use crate::time::Wall;

    /// A lost carrier on router-a, a moment ago.
    pub(crate) fn notice(id: &str) -> Notice {
        Notice::new(NoticeFields {
            id: id.to_owned(),
            root: id.to_owned(),
            hops: 0,
            from: "router-a".to_owned(),
            boot: "3f2b".to_owned(),
            kind: "link-down".to_owned(),
            object: Some("bond0".to_owned()),
            sentence: None,
            severity: Severity::Warning,
            at: Wall(1_795_010_000_000_000_000),
            error: Duration::ZERO,
            age: Duration::ZERO,
            pre: Duration::from_secs(120),
            post: Duration::from_secs(10),
            mode: Mode::Keep,
            within: Duration::ZERO,
            want: Want::State,
            spread: Duration::ZERO,
        })
        .unwrap()
    }

    pub(crate) fn answer(id: &str) -> HostAnswer {
        HostAnswer::new(AnswerFields {
            id: id.to_owned(),
            host: "router-b".to_owned(),
            boot: "77aa".to_owned(),
            state: State::Pinned,
            why: None,
            incident: None,
            from: None,
            to: None,
            held_from: None,
            full: true,
            missing: Vec::new(),
            frames: None,
            bytes: None,
            arrived_after: Duration::ZERO,
            pinned_after: None,
            clock: ClockReading {
                wall: Wall(1),
                mono_ns: 1,
                source: "unknown".to_owned(),
                max_ns: None,
                stepped: false,
            },
            onset: None,
        })
        .unwrap()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fixture::{answer, notice};
    use super::*;
    use crate::fleet::notice::NoticeFields;
    use crate::time::Wall;

    const S: u64 = 1_000_000_000;
    const ALL: Accepted = Accepted { pre: Duration::from_secs(300), per_hour: 6 };

    fn arrival() -> Arrival {
        let at = Stamp { mono: Mono(10_000 * S), wall: Wall(1_795_010_000 * S) };
        Arrival { at, waited: Duration::ZERO, error: Duration::ZERO }
    }

    fn receiver() -> Receiver {
        Receiver::new("router-b", Duration::from_secs(900))
    }

    fn other(id: &str, change: impl FnOnce(&mut NoticeFields)) -> Notice {
        let mut fields = (*notice(id)).clone();
        change(&mut fields);
        Notice::new(fields).unwrap()
    }

    #[test]
    fn what_is_done_about_a_notice() {
        let seconds = Duration::from_secs;
        let word = |decision: Decision| match decision {
            Decision::Freeze(wanted) => {
                let Window { from, to } = wanted.window;
                format!("freeze {} to {} {}", from.0 / S, to.0 / S, wanted.is_cut)
            }
            Decision::Hold(_, until) => format!("hold until {}", until.0 / S),
            Decision::Refused(why) => why,
            other => format!("{other:?}").split(['(', ' ']).next().unwrap().to_owned(),
        };
        for (notice, accepted, expected) in [
            (notice("a-1"), Some(ALL), "freeze 9880 to 10010 false"),
            (notice("a-1"), None, "no rule of `accept` there is for router-a"),
            (other("a-1", |n| n.from = "router-b".into()), Some(ALL), "it is our own"),
            (other("a-1", |n| n.pre = seconds(600)), Some(ALL), "freeze 9700 to 10010 true"),
            (
                other("a-1", |n| {
                    n.age = seconds(60);
                    n.at = n.at.minus(seconds(60));
                }),
                Some(ALL),
                "freeze 9820 to 9950 false",
            ),
            (other("a-1", |n| n.age = seconds(901)), Some(ALL), "Late"),
            (
                other("a-1", |n| (n.mode, n.within) = (Mode::Hold, seconds(90))),
                Some(ALL),
                "hold until 10090",
            ),
            (other("a-1", |n| n.mode = Mode::Confirm), Some(ALL), "Confirm"),
            (other("a-1", |n| n.mode = Mode::Release), Some(ALL), "Release"),
            (
                other("a-1", |n| n.mode = Mode::Release),
                None,
                "no rule of `accept` there is for router-a",
            ),
        ] {
            assert_eq!(word(receiver().hear(&notice, arrival(), accepted)), expected);
        }
    }

    #[test]
    fn a_notice_that_comes_again_is_answered_again() {
        let mut receiver = receiver();
        assert!(matches!(receiver.hear(&notice("a-1"), arrival(), Some(ALL)), Decision::Freeze(_)));
        let again = receiver.hear(&notice("a-1"), arrival(), Some(ALL));
        assert_eq!(again, Decision::Known(None));
        receiver.answered(&notice("a-1").key(), &answer("a-1"));
        let aged = notice("a-1").aged(Duration::from_secs(47)).unwrap();
        let again = receiver.hear(&aged, arrival(), Some(ALL));
        assert_eq!(again, Decision::Known(Some(answer("a-1").into())));
    }

    #[test]
    fn a_storm_is_bounded_by_rates() {
        let mut receiver = receiver();
        let kept = (0..200).filter(|_| receiver.take("a", ALL, Mono(S)).is_ok()).count();
        assert_eq!(kept, 3);
        assert!(
            receiver.take("a", ALL, Mono(S)).unwrap_err().starts_with("rate: 6 windows an hour")
        );
    }

    proptest! {
        #[test]
        fn what_fits_is_the_part_next_to_the_event(
            pre in 0_u64..86_400,
            age in 0_u64..900,
            rate in 1_u64..1_000_000,
            room in 0_u64..1_000_000_000,
        ) {
            let at = Stamp { mono: Mono((100_000 - age) * S), wall: Wall(0) };
            let (earliest, latest) = (at.mono, at.mono);
            let event = EventTime { at, earliest, latest, ahead: None };
            let window = event.window(Duration::from_secs(pre), Duration::from_secs(10));
            let wanted = WantedWindow { event, window, is_cut: false };
            let bytes = |window: Window| {
                let span = window.to.min(Mono(100_000 * S)).since(window.from).as_secs_f64();
                (span * rate as f64) as u64
            };
            match fitting(&wanted, room, bytes) {
                Some(fits) => {
                    prop_assert!(bytes(fits) <= room);
                    prop_assert!(window.from <= fits.from && fits.from <= earliest && fits.to == window.to);
                    let longer = Window { from: fits.from.minus(Duration::from_secs(2)), ..fits };
                    prop_assert!(fits.from == window.from || bytes(longer) > room);
                }
                None => {
                    let least = bytes(Window { from: earliest, ..window });
                    prop_assert!(least > room);
                }
            }
        }
    }
}
