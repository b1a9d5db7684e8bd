//! The wall clock, and whether somebody set it: frames, logs and reports are stamped with it, so a step makes
//! them contradict each other unless it is told.
//!
//! Both clocks of the kernel run alike (NTP slews them together), so the distance between them changes only when
//! the wall clock is set, or while the machine sleeps, which the monotonic clock does not count.

use std::time::Duration;

use crate::error::Result;
use crate::finding::{Finding, FindingKind, Severity};
use crate::observation::Fact;
use crate::time::{Offset, Stamp};
use crate::watch::ticks::Ticks;
use crate::watch::{Wake, Watcher, WatcherContext};

/// How often the clocks are compared: a step is told within this.
const INTERVAL: Duration = Duration::from_millis(500);
/// Smaller steps confuse nobody who lays stamps side by side; a daemon that corrects by less slews
/// (chronyd's makestep, ntpd's 128 ms).
const STEP: Duration = Duration::from_millis(100);
/// A shorter sleep is none: reading three clocks one after the other takes time, too.
const SLEEP: Duration = Duration::from_secs(1);

/// The watcher of the wall clock.
#[derive(Debug, Default)]
pub struct ClockWatcher;

impl Watcher for ClockWatcher {
    const NAME: &'static str = "clock";

    fn run(self, context: &mut WatcherContext) -> Result<()> {
        let mut before = Reading { at: context.now(), asleep: context.asleep() };
        let mut ticks = Ticks::new(before.at.mono, INTERVAL);
        while context.wait(&[], Some(ticks.due()))? != Wake::Stop {
            let now = Reading { at: context.now(), asleep: context.asleep() };
            for finding in now.differs(before) {
                context.send_at(now.at, Fact::Finding(Box::new(finding)));
            }
            before = now;
            ticks.served(now.at.mono);
        }
        Ok(())
    }
}

/// What the clocks showed.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Stamp,
    /// How long the machine slept since it was started.
    asleep: Duration,
}

impl Reading {
    /// What happened to the clocks since `before`. Pure.
    fn differs(self, before: Self) -> Vec<Finding> {
        let slept = self.asleep.saturating_sub(before.asleep);
        let slept = Some(slept).filter(|slept| *slept >= SLEEP);
        let moved = seconds(self.at.offset()) - seconds(before.at.offset());
        let step = moved - slept.unwrap_or_default().as_secs_f64();
        let stepped = (step.abs() > STEP.as_secs_f64()).then(|| {
            let sentence = format!("the clock was set {step:+.1} s, it is {}", self.at.wall);
            self.finding(FindingKind::ClockStep, sentence)
        });
        let slept = slept.map(|slept| {
            let sentence = format!(
                "the machine slept for {:.1} s: nothing was recorded meanwhile",
                slept.as_secs_f64()
            );
            self.finding(FindingKind::CaptureGap, sentence)
        });
        slept.into_iter().chain(stepped).collect()
    }

    fn finding(self, kind: FindingKind, sentence: String) -> Finding {
        let finding = Finding::of_host(kind, Severity::Notice, self.at, "clock", sentence);
        // It is over as soon as it is seen.
        Finding { over: true, ..finding }
    }
}

fn seconds(Offset(nanos): Offset) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::lab::wait_for;
    use crate::time::{Clock, Mono, Wall};
    use crate::watch::spawn;

    #[test]
    fn a_step_is_told_with_its_size_and_a_sleep_is_none() {
        const MS: u64 = 1_000_000;
        let reading = |mono: u64, wall: u64, asleep: u64| Reading {
            at: Stamp { mono: Mono(mono * MS), wall: Wall(wall * MS) },
            asleep: Duration::from_millis(asleep),
        };
        let begun = reading(1_000, 1_795_356_860_000, 0);
        for (now, told) in [
            (reading(1_500, 1_795_356_860_500, 0), &[][..]),
            (reading(1_500, 1_795_356_860_590, 0), &[]),
            (
                reading(1_500, 1_795_360_460_300, 0),
                &["the clock was set +3599.8 s, it is 2026-11-22T15:14:20.300000000Z (over)"],
            ),
            (
                reading(1_500, 1_795_356_859_500, 0),
                &["the clock was set -1.0 s, it is 2026-11-22T14:14:19.500000000Z (over)"],
            ),
            (
                reading(1_500, 1_795_360_460_500, 3_600_000),
                &["the machine slept for 3600.0 s: nothing was recorded meanwhile (over)"],
            ),
            (
                reading(1_500, 1_795_360_470_500, 3_600_000),
                &[
                    "the machine slept for 3600.0 s: nothing was recorded meanwhile (over)",
                    "the clock was set +10.0 s, it is 2026-11-22T15:14:30.500000000Z (over)",
                ],
            ),
        ] {
            let said: Vec<_> = now.differs(begun).iter().map(ToString::to_string).collect();
            assert_eq!(said, told);
        }
    }

    #[test]
    fn a_clock_that_is_set_is_seen() {
        let (clock, step) = Clock::stepping();
        let (outbox, inbox) = bounded(16);
        let watch = spawn(ClockWatcher, clock, outbox).unwrap();
        // Only a step between two looks is one.
        let mut hour = 3_600;
        let deadline = std::time::Instant::now() + crate::lab::BOUND;
        while inbox.is_empty() && std::time::Instant::now() < deadline {
            step.by(hour);
            hour = -hour;
            std::thread::sleep(INTERVAL / 3);
        }
        let (_, before) = wait_for(&inbox, "a step", |seen| {
            let Fact::Finding(finding) = &seen.fact else { return false };
            finding.kind == FindingKind::ClockStep && finding.sentence.contains("3600.0 s")
        });
        assert!(before.is_empty(), "{before:?}");
        watch.join();
    }
}
