//! How somebody is usually heard: how often, and with what pauses.
//!
//! Kept in seconds in which something was heard, so that a silence does not become usual while it lasts; the
//! pause that it was counts once it is over.

use std::collections::VecDeque;
use std::time::Duration;

use crate::detect::tap::{Hearing, Tap};
use crate::finding::Finding;
use crate::time::{Mono, Stamp};

/// Of one station, VLAN or interface.
#[derive(Debug, Default)]
pub(super) struct Usual {
    seconds: VecDeque<Second>,
    current: Option<Second>,
    /// When it was last looked at, and how many there were then.
    looked: Option<(Mono, u32)>,
    last: Mono,
    /// How long it is silent, as far as was seen.
    pause: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Second {
    begun: Mono,
    frames: u32,
    /// The longest that ended in it.
    pause: Duration,
}

/// What makes a silence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    /// It lasts at least so long,
    pub(super) least: Duration,
    /// and so many times as long as the longest usual pause;
    pub(super) pauses: u32,
    /// meanwhile at least so many questions were asked.
    pub(super) asked: u16,
}

impl Usual {
    /// Seconds of history without which nothing is usual.
    const HISTORY: usize = 5;
    /// A conversation that is cut off has something open within this time, or within a usual pause. What is asked
    /// later may be asked of somebody who never was there, after all that was to be said was said.
    const MIDST: Duration = Duration::from_millis(500);
    /// Seconds that are remembered.
    const SECONDS: usize = 30;
    const SECOND: Duration = Duration::from_secs(1);

    /// It is `at`, and so it was heard until now.
    pub(super) fn listen(&mut self, at: Mono, hearing: &Hearing) {
        let (looked, before) =
            self.looked.replace((at, hearing.heard)).unwrap_or((at, hearing.heard));
        if hearing.last > self.last {
            let pause = std::mem::take(&mut self.pause);
            let begun = Second { begun: looked, frames: 0, pause };
            let second = self.current.get_or_insert(begun);
            second.pause = second.pause.max(pause);
            second.frames += hearing.heard.wrapping_sub(before);
            self.last = hearing.last;
        } else {
            self.pause = at.since(hearing.last);
        }
        if let Some(second) = self.current.take_if(|second| at.since(second.begun) >= Self::SECOND)
        {
            if self.seconds.len() == Self::SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(second);
        }
    }

    /// True if it is silent though it was heard and is spoken to. The time is that of the last frame sent, not
    /// of the clock: frames that are late on their way here are late in both directions.
    pub(super) fn is_missed(&self, hearing: &Hearing, missing: &Missing) -> bool {
        let open = hearing.open();
        self.seconds() >= Self::HISTORY
            && open.asked >= missing.asked
            && open.first.since(hearing.last) <= Self::MIDST.max(self.pause())
            && open.last().since(hearing.last) >= missing.least.max(self.pause() * missing.pauses)
    }

    /// Seconds in which it was heard, at most half a minute.
    pub(super) fn seconds(&self) -> usize {
        self.seconds.len()
    }

    /// Frames in these.
    pub(super) fn frames(&self) -> u32 {
        self.seconds.iter().map(|second| second.frames).sum()
    }

    /// Frames a second in these.
    pub(super) fn rate(&self) -> f64 {
        f64::from(self.frames()) / self.seconds.len().max(1) as f64
    }

    /// The longest pause; what is shorter than the time between two looks counts as that.
    pub(super) fn pause(&self) -> Duration {
        let pauses = self.seconds.iter().chain(&self.current).map(|second| second.pause);
        pauses.max().unwrap_or_default().max(Tap::INTERVAL)
    }

    /// When the frame after the last one was due.
    pub(super) fn due(&self, now: Stamp) -> Stamp {
        let between = Duration::from_secs_f64(1.0 / self.rate().max(1.0));
        let mono = self.last.plus(between).min(now.mono);
        Stamp { mono, wall: now.offset().wall(mono) }
    }
}

/// Listens to somebody, and tells the silence of it when it begins and when it is over.
#[derive(Debug, Default)]
pub(super) struct Listener {
    pub(super) usual: Usual,
    /// What was told, and when it had been heard last.
    told: Option<(Mono, Finding)>,
}

impl Listener {
    /// Listens; `begins` makes the finding if it is silent, `again` says that it is over.
    pub(super) fn look(
        &mut self,
        at: Stamp,
        hearing: &Hearing,
        begins: impl FnOnce(&Usual) -> Option<Finding>,
        again: impl FnOnce(&Finding) -> String,
    ) -> Option<Finding> {
        if hearing.last == Mono(0) {
            return None;
        }
        self.usual.listen(at.mono, hearing);
        if let Some((last, told)) = &self.told {
            if hearing.last <= *last {
                return None;
            }
            let last = Stamp { mono: hearing.last, wall: at.offset().wall(hearing.last) };
            let over = Finding { last, over: true, ..told.clone() };
            let sentence = again(&over);
            self.told = None;
            return Some(Finding { sentence, ..over });
        }
        let finding = begins(&self.usual)?;
        self.told = Some((hearing.last, finding.clone()));
        Some(finding)
    }

    /// A silence was told and is not over.
    pub(super) fn is_silent(&self) -> bool {
        self.told.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::*;

    fn hearing(heard: u32, last_ms: u64) -> Hearing {
        Hearing::of(heard, at(last_ms).mono, 0, (Mono(0), Mono(0)), 0)
    }

    #[test]
    fn a_silence_is_a_pause_once_it_is_over() {
        let mut usual = Usual::default();
        let (mut heard, mut last) = (0, 0);
        for tick in 0..300 {
            let ms = tick * 100;
            if !(100..150).contains(&tick) {
                (heard, last) = (heard + 5, ms);
            }
            usual.listen(at(ms).mono, &hearing(heard, last));
            if tick == 149 {
                assert_eq!(usual.pause(), Tap::INTERVAL);
                let due = usual.due(at(ms)).mono.0 / 100_000;
                assert_eq!(due, 99_202, "50 a second were heard until 9.9 s");
            }
        }
        assert_eq!(usual.pause(), Duration::from_millis(5_000));
        assert!((45.0..=55.0).contains(&usual.rate()), "{}", usual.rate());
        assert!((22..=25).contains(&usual.seconds()), "{}", usual.seconds());
    }
}
