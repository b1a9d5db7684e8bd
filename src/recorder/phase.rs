//! The phase machine: when an incident opens, how long it collects, when and why it closes.
//!
//! ```text
//!            trigger                     deadline, limit or cut
//!   Armed ──────────────► Collecting ─────────────────────────────► Armed
//!                          ▲      │ another trigger: deadline = its time + post, never beyond the limit
//!                          └──────┘
//!
//!   ────┬──────────────────────────┬───────────────┬───────────────┬────────► monotonic time
//!       from = first trigger - pre  first trigger   another         deadline
//! ```
//!
//! Pure: it is told the time, so a silent interface or a stepped wall clock cannot keep it waiting.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::incident::Ending;
use crate::time::{Mono, Window};
use crate::trigger::Trigger;

/// How long a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// Kept from before the first trigger.
    pub pre: Duration,
    /// Kept from after the last trigger.
    pub post: Duration,
    /// However many triggers follow, an incident collects no longer than this after the first.
    pub limit: Duration,
}

impl WindowOptions {
    /// An incident longer than this is a capture, not an incident.
    const MAX: Duration = Duration::from_secs(24 * 3600);
    /// Post-trigger windows in a row, unless the operator sets another limit.
    const EXTENSIONS: u32 = 6;

    /// The window for `pre` and `post`, with a limit that leaves room for extensions.
    pub fn new(pre: Duration, post: Duration) -> Self {
        let limit = post.saturating_mul(Self::EXTENSIONS).clamp(post, Self::MAX.max(post));
        Self { pre, post, limit }
    }

    /// Accepts only windows that can be meant.
    ///
    /// # Errors
    /// When a part is longer than a day, or the limit is shorter than the post-trigger window.
    pub fn check(&self) -> Result<()> {
        for (option, given) in [("--pre", self.pre), ("--post", self.post), ("--limit", self.limit)]
        {
            if given > Self::MAX {
                let given = format!("{given:?}");
                return Err(Error::usage(
                    option,
                    given,
                    "longer than a day",
                    "up to 24h, such as 90s",
                ));
            }
        }
        if self.limit < self.post {
            return Err(Error::usage(
                "--limit",
                format!("{:?}", self.limit),
                format!("shorter than the post-trigger window of {:?}", self.post),
                "the post-trigger window or more",
            ));
        }
        Ok(())
    }
}

impl Default for WindowOptions {
    /// A slow LACP failure takes up to 93 s from cause to symptom (IEEE 802.1AX: 3 × 30 s, then 3 s).
    fn default() -> Self {
        Self::new(Duration::from_secs(120), Duration::from_secs(10))
    }
}

/// Whether an incident is being collected.
#[derive(Debug)]
pub(super) struct Phase {
    options: WindowOptions,
    open: Option<Collecting>,
}

/// An incident that is still open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Collecting {
    opened_by: Trigger,
    extended_by: Vec<Trigger>,
    /// Triggers beyond [`Phase::MAX_TRIGGERS`], which extend but are not kept one by one.
    further: u64,
    from: Mono,
    /// The deadline it was opened with.
    asked: Mono,
    deadline: Mono,
}

/// What the window of an incident should be, beyond the operator's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wish {
    /// Reach back by so much more: the time a command ran.
    pub(super) beyond: Duration,
    /// Instead of the pre-trigger window; for the trigger that opens the incident.
    pub(super) pre: Option<Duration>,
    /// Instead of the post-trigger window. An open incident goes on no longer than its limit for it.
    pub(super) post: Option<Duration>,
}

impl From<Duration> for Wish {
    fn from(beyond: Duration) -> Self {
        Self { beyond, ..Self::default() }
    }
}

/// What a trigger led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// An incident was opened: hold everything since.
    Opened {
        /// Beginning of the pre-trigger window.
        from: Mono,
    },
    /// The open incident goes on until then.
    Extended {
        /// The new deadline.
        until: Mono,
    },
}

/// A closed incident, still without frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closed {
    /// The trigger that opened it.
    pub(super) opened_by: Trigger,
    /// Those that came while it was open.
    pub(super) extended_by: Vec<Trigger>,
    /// Triggers beyond [`Phase::MAX_TRIGGERS`] that came, too.
    pub(super) further_triggers: u64,
    /// From the beginning of the pre-trigger window to where it was closed.
    pub(super) window: Window,
    /// Where it was to be closed when it was opened.
    pub(super) asked: Mono,
    /// Why it was closed.
    pub(super) ending: Ending,
}

impl Phase {
    /// Extending triggers kept one by one in an incident; a storm of them is counted beyond that.
    pub(super) const MAX_TRIGGERS: usize = 1000;

    /// Armed.
    pub(super) fn new(options: WindowOptions) -> Self {
        Self { options, open: None }
    }

    /// True while an incident is open.
    pub(super) fn is_collecting(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a trigger in; it opens an incident or extends the open one.
    pub(super) fn trigger(&mut self, trigger: Trigger, wish: impl Into<Wish>) -> Effect {
        let (at, wish) = (trigger.at.mono, wish.into());
        let post = wish.post.unwrap_or(self.options.post);
        let Some(open) = &mut self.open else {
            let deadline = at.plus(post);
            let from = at.minus(wish.pre.unwrap_or(self.options.pre)).minus(wish.beyond);
            let (opened_by, extended_by, asked) = (trigger, Vec::new(), deadline);
            self.open =
                Some(Collecting { opened_by, extended_by, further: 0, from, asked, deadline });
            return Effect::Opened { from };
        };
        let limit = open.opened_by.at.mono.plus(self.options.limit);
        open.deadline = open.deadline.max(at.plus(post).min(limit));
        if open.extended_by.len() < Self::MAX_TRIGGERS {
            open.extended_by.push(trigger);
        } else {
            open.further += 1;
        }
        Effect::Extended { until: open.deadline }
    }

    /// The trigger that opened the open incident, and how many came since.
    pub(super) fn opened_by(&self) -> Option<(&Trigger, u64)> {
        self.open
            .as_ref()
            .map(|open| (&open.opened_by, open.extended_by.len() as u64 + open.further))
    }

    /// When the open incident is due to be closed.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.open.as_ref().map(|open| open.deadline)
    }

    /// Closes the open incident if its time has come.
    pub(super) fn close_if_due(&mut self, now: Mono) -> Option<Closed> {
        let open = self.open.take_if(|open| open.deadline <= now)?;
        let limit = open.opened_by.at.mono.plus(self.options.limit);
        let at_limit = open.deadline == limit && limit > open.asked;
        let ending = if at_limit { Ending::Limit } else { Ending::OnTime };
        Some(closed(open, ending, None))
    }

    /// Closes the open incident now, whatever its deadline.
    pub(super) fn cut(&mut self, now: Mono, by: &str) -> Option<Closed> {
        let open = self.open.take()?;
        Some(closed(open, Ending::Cut { by: by.to_owned() }, Some(now)))
    }
}

fn closed(open: Collecting, ending: Ending, at: Option<Mono>) -> Closed {
    let to = at.map_or(open.deadline, |at| at.min(open.deadline));
    Closed {
        opened_by: open.opened_by,
        extended_by: open.extended_by,
        further_triggers: open.further,
        window: Window { from: open.from, to },
        asked: open.asked,
        ending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Stamp, Wall};
    use crate::trigger::TriggerKind;

    const S: u64 = 1_000_000_000;

    fn phase() -> Phase {
        Phase::new(WindowOptions {
            pre: Duration::from_secs(30),
            post: Duration::from_secs(10),
            limit: Duration::from_secs(25),
        })
    }

    fn at(second: u64) -> Trigger {
        Trigger {
            kind: TriggerKind::LinkDown,
            object: None,
            at: Stamp { mono: Mono(second * S), wall: Wall(second) },
            sentence: String::new(),
        }
    }

    #[test]
    fn a_lone_trigger_gives_its_window() {
        let mut phase = phase();
        assert_eq!(phase.trigger(at(100), Duration::ZERO), Effect::Opened { from: Mono(70 * S) });
        assert_eq!(phase.close_if_due(Mono(110 * S - 1)), None);
        let closed = phase.close_if_due(Mono(117 * S)).unwrap();
        assert_eq!(closed.window, Window { from: Mono(70 * S), to: Mono(110 * S) });
        assert_eq!(closed.ending, Ending::OnTime);
        assert!(!phase.is_collecting());
    }

    #[test]
    fn further_triggers_extend_up_to_the_limit() {
        let mut phase = phase();
        phase.trigger(at(100), Duration::ZERO);
        assert_eq!(
            phase.trigger(at(105), Duration::ZERO),
            Effect::Extended { until: Mono(115 * S) }
        );
        assert_eq!(
            phase.trigger(at(114), Duration::ZERO),
            Effect::Extended { until: Mono(124 * S) }
        );
        assert_eq!(
            phase.trigger(at(120), Duration::ZERO),
            Effect::Extended { until: Mono(125 * S) }
        );
        let closed = phase.close_if_due(Mono(125 * S)).unwrap();
        assert_eq!(closed.window, Window { from: Mono(70 * S), to: Mono(125 * S) });
        assert_eq!((closed.extended_by.len(), closed.ending), (3, Ending::Limit));
    }

    #[test]
    fn whoever_asks_may_want_another_window() {
        let wish = |pre, post| Wish {
            pre: Some(Duration::from_secs(pre)),
            post: Some(Duration::from_secs(post)),
            ..Wish::default()
        };
        let mut phase = phase();
        assert_eq!(phase.trigger(at(100), wish(5, 3)), Effect::Opened { from: Mono(95 * S) });
        assert_eq!(phase.trigger(at(101), wish(50, 7)), Effect::Extended { until: Mono(108 * S) });
        assert_eq!(phase.trigger(at(102), wish(0, 99)), Effect::Extended { until: Mono(125 * S) });
        let closed = phase.close_if_due(Mono(125 * S)).unwrap();
        assert_eq!(closed.window, Window { from: Mono(95 * S), to: Mono(125 * S) });
        assert_eq!((closed.asked, closed.ending), (Mono(103 * S), Ending::Limit));

        // Longer than the limit, because it was asked for.
        phase.trigger(at(200), wish(0, 60));
        assert_eq!(phase.trigger(at(210), wish(0, 60)), Effect::Extended { until: Mono(260 * S) });
        assert_eq!(phase.close_if_due(Mono(260 * S)).unwrap().ending, Ending::OnTime);
    }

    #[test]
    fn a_storm_of_triggers_is_counted() {
        let mut phase = phase();
        for _ in 0..=Phase::MAX_TRIGGERS + 5 {
            phase.trigger(at(100), Duration::ZERO);
        }
        let closed = phase.close_if_due(Mono(110 * S)).unwrap();
        assert_eq!((closed.extended_by.len(), closed.further_triggers), (Phase::MAX_TRIGGERS, 5));
    }

    #[test]
    fn a_cut_ends_now_and_says_by_whom() {
        let mut phase = phase();
        assert_eq!(phase.cut(Mono(1), "SIGTERM"), None);
        phase.trigger(at(100), Duration::ZERO);
        let closed = phase.cut(Mono(103 * S), "SIGTERM").unwrap();
        assert_eq!(closed.window.to, Mono(103 * S));
        assert_eq!(closed.ending, Ending::Cut { by: "SIGTERM".into() });
    }

    #[test]
    fn the_window_of_a_command_reaches_back_to_its_beginning() {
        let ran = Duration::from_secs(50);
        assert_eq!(phase().trigger(at(100), ran), Effect::Opened { from: Mono(20 * S) });
    }

    #[test]
    fn a_window_at_boot_begins_at_boot() {
        assert_eq!(phase().trigger(at(5), Duration::ZERO), Effect::Opened { from: Mono(0) });
    }

    #[test]
    fn only_windows_that_can_be_meant() {
        assert!(WindowOptions::default().check().is_ok());
        let day = Duration::from_secs(24 * 3600 + 1);
        assert!(WindowOptions { pre: day, ..WindowOptions::default() }.check().is_err());
        let short = WindowOptions { limit: Duration::from_secs(1), ..WindowOptions::default() };
        assert!(short.check().is_err());
    }
}
