//! Silence: nothing is received any more, at all, or of a class that may not be silent.
//!
//! Pauses are ordinary, so an interface must have been talkative: heard for three times as long as the
//! silence must last, and never quiet for a third of it. A quiet one raises its own bar: three times the
//! longest pause it ever made. The silence begins when the next frame was due, by the mean distance of those
//! before.

use std::sync::Arc;
use std::time::Duration;

use super::condition::{Course, Level};
use super::{ClassSilence, Draft, Scene};
use crate::detect::tap::{ClassCount, Summary};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::words;

/// The whole interface, and the classes that may not be silent.
#[derive(Debug)]
pub(super) struct Silences {
    after: Duration,
    whole: Ear,
    classes: Vec<(ClassSilence, usize, Ear)>,
}

/// When something was heard.
#[derive(Debug)]
struct Ear {
    /// Frames received when last looked at.
    frames: Option<u64>,
    /// The first time, and how many there were then.
    first: Option<(Mono, u64)>,
    last: Stamp,
    longest_pause: Duration,
    course: Course,
}

/// Pauses and spans that make an interface talkative, in parts and times of the silence.
const TIMES: u32 = 3;

impl Silences {
    pub(super) fn new(after: Duration, classes: &[Arc<str>], silent: &[ClassSilence]) -> Self {
        let number = |silent: &ClassSilence| classes.iter().position(|c| *c == silent.class);
        let classes = silent.iter().filter_map(|s| Some((s.clone(), number(s)?, Ear::new())));
        Self { after, whole: Ear::new(), classes: classes.collect() }
    }

    /// Tells what is silent; of the whole interface only if it is not told already.
    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        is_told: bool,
        findings: &mut Vec<Finding>,
    ) {
        let (at, recording) = (summary.at, summary.health.recording);
        let total = summary.classes.iter().map(received).sum();
        let whole = &mut self.whole;
        whole.listen(at, total);
        whole.heard_at(at, summary.stations.hearing().last);
        let after = self.after.max(whole.longest_pause * TIMES);
        let talkative = whole.span() >= after * TIMES;
        // An interface that is gone is no silent one.
        let silent = recording && !is_told && talkative && whole.pause(at) >= after;
        findings.extend(whole.tell(scene, at, silent, "nothing"));
        for (silence, number, ear) in &mut self.classes {
            ear.listen(at, summary.classes.get(*number).map_or(0, received));
            let silent = recording && ear.first.is_some() && ear.pause(at) >= silence.after;
            findings.extend(ear.tell(scene, at, silent, &format!("nothing of {}", silence.class)));
        }
    }
}

/// Frames that this host did not send: where no direction is told, all of them.
fn received(class: &ClassCount) -> u64 {
    class[Direction::Inbound as usize].frames + class[Direction::Unknown as usize].frames
}

impl Ear {
    fn new() -> Self {
        Self {
            frames: None,
            first: None,
            last: Stamp::default(),
            longest_pause: Duration::ZERO,
            course: Course::new(Duration::ZERO, Duration::ZERO),
        }
    }

    fn listen(&mut self, at: Stamp, frames: u64) {
        if self.frames.replace(frames).is_none_or(|before| frames <= before) {
            return;
        }
        // What was told as silence is no pause that is usual.
        if self.first.is_some() && !self.course.is_on() {
            self.longest_pause = self.longest_pause.max(self.pause(at));
        }
        self.first.get_or_insert((at.mono, frames));
        self.last = at;
    }

    /// The last frame came then, which is known better than from the counts.
    fn heard_at(&mut self, now: Stamp, last: Mono) {
        if last != Mono(0) && last < self.last.mono {
            self.last = Stamp { mono: last, wall: now.offset().wall(last) };
        }
    }

    /// When the next frame was due.
    fn due(&self, now: Stamp) -> Stamp {
        let (first, before) = self.first.unwrap_or((now.mono, 0));
        let frames = self.frames.unwrap_or_default().saturating_sub(before).max(1);
        let between = self.last.mono.since(first).as_secs_f64() / frames as f64;
        let mono = self.last.mono.plus(Duration::from_secs_f64(between)).min(now.mono);
        Stamp { mono, wall: now.offset().wall(mono) }
    }

    fn pause(&self, at: Stamp) -> Duration {
        at.mono.since(self.last.mono)
    }

    fn span(&self) -> Duration {
        self.first.map_or(Duration::ZERO, |(first, _)| self.last.mono.since(first))
    }

    fn tell(&mut self, scene: Scene<'_>, at: Stamp, silent: bool, what: &str) -> Option<Finding> {
        let pause = self.pause(at);
        let mut span = self.course.judge(at, Level::of(silent), 0)?;
        if !span.over {
            span.first = self.due(at);
        }
        let for_long = if span.over { self.last.mono.since(span.first.mono) } else { pause };
        let direction = Direction::Inbound;
        let sentence = format!(
            "silence: {what} {} for {:.1} s",
            words::way(direction, scene.interface),
            for_long.as_secs_f64()
        );
        let (kind, severity) = (FindingKind::Silence, Severity::Warning);
        let what = what.to_owned();
        Some(scene.finding(span, Draft { kind, severity, direction, what, sentence }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{counts, summary};
    use super::*;

    /// When which silence is told, if frames of data are received in these tenths of seconds.
    fn told(heard: impl Fn(u64) -> bool) -> Vec<(u64, String, bool)> {
        let classes = ["control".into(), "data".into()];
        let data = ClassSilence { class: "data".into(), after: Duration::from_secs(20) };
        let mut silences = Silences::new(Duration::from_secs(10), &classes, &[data]);
        let (mut frames, mut told) = (0, Vec::new());
        for tick in 0..2_000 {
            frames += u64::from(heard(tick));
            let mut seen = summary(tick * 100);
            seen.classes[1] = counts(frames, 5 * tick);
            let mut findings = Vec::new();
            silences.judge(Scene { interface: "eth0" }, &seen, false, &mut findings);
            told.extend(findings.into_iter().map(|f| (tick / 10, f.what, f.over)));
        }
        told
    }

    #[test]
    fn silence_is_told_of_who_was_talkative() {
        let whole = |second, over| (second, "nothing".to_owned(), over);
        let data = |second, over| (second, "nothing of data".to_owned(), over);
        assert_eq!(told(|tick| tick < 1_000), [whole(109, false), data(119, false)]);
        assert_eq!(
            told(|tick| !(1_000..1_300).contains(&tick)),
            [whole(109, false), data(119, false), whole(130, true), data(130, true)]
        );
        assert_eq!(told(|_| true), []);
        assert_eq!(told(|_| false), []);
        assert_eq!(
            told(|tick| tick % 60 == 0 && tick < 1_000),
            [whole(114, false), data(116, false)]
        );
        assert_eq!(told(|tick| tick < 50)[..1], [data(24, false)], "too short to be talkative");
    }

    #[test]
    fn an_interface_that_is_gone_is_not_silent() {
        let mut silences = Silences::new(Duration::from_secs(1), &[], &[]);
        for tick in 0..100 {
            let mut seen = summary(tick * 100);
            seen.classes[1] = counts(tick.min(50), 0);
            seen.health.recording = tick <= 50;
            let mut findings = Vec::new();
            silences.judge(Scene { interface: "eth0" }, &seen, false, &mut findings);
            assert_eq!(findings, []);
        }
    }
}
