//! Filter matches: a frame that the operator waits for.
//!
//! Told with the first frame, as soon as it is shown; further ones are counted until none came for a
//! while, so that a filter that matches everything tells twice, not a million times.

use std::sync::Arc;
use std::time::Duration;

use super::condition::{Course, Level, Rise};
use super::{Draft, Scene};
use crate::detect::tap::{Shown, Summary};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::Stamp;
use crate::words;

/// Every filter on one interface.
#[derive(Debug)]
pub(super) struct Matches(Vec<Match>);

#[derive(Debug)]
struct Match {
    name: Arc<str>,
    rise: Rise,
    course: Course,
    way: Direction,
    line: String,
}

impl Matches {
    /// Over when no frame matched for so long.
    const QUIET: Duration = Duration::from_secs(1);

    pub(super) fn new(names: Vec<Arc<str>>) -> Self {
        let each = names.into_iter().map(|name| Match {
            name,
            rise: Rise::default(),
            course: Course::new(Duration::ZERO, Self::QUIET),
            way: Direction::Unknown,
            line: String::new(),
        });
        Self(each.collect())
    }

    pub(super) fn shown(
        &mut self,
        scene: Scene<'_>,
        filter: usize,
        shown: &Shown,
        findings: &mut Vec<Finding>,
    ) {
        let Some(matched) = self.0.get_mut(filter) else { return };
        if !matched.course.is_on() {
            matched.way = shown.header.direction;
            matched.line = words::frame(shown.link_type, &shown.header, shown.bytes());
        }
        findings.extend(matched.judge(scene, shown.at, true, 0));
    }

    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        findings: &mut Vec<Finding>,
    ) {
        for (matched, total) in self.0.iter_mut().zip(&summary.matches) {
            let more = matched.rise.of(*total);
            findings.extend(matched.judge(scene, summary.at, more > 0, more));
        }
    }
}

impl Match {
    fn judge(&mut self, scene: Scene<'_>, at: Stamp, matches: bool, more: u64) -> Option<Finding> {
        let mut span = self.course.judge(at, Level::of(matches), more)?;
        span.count = span.count.max(1);
        let what = if self.line.is_empty() {
            self.name.to_string()
        } else {
            format!("{}: {}", self.name, self.line)
        };
        let sentence = format!("filter match {}, {}", words::way(self.way, scene.interface), what);
        let (kind, severity, direction) = (FindingKind::FilterMatch, Severity::Warning, self.way);
        Some(scene.finding(span, Draft { kind, severity, direction, what, sentence }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, summary};
    use super::*;

    #[test]
    fn matches_are_told_at_first_and_when_they_are_over() {
        let mut matches = Matches::new(vec!["storm control".into()]);
        let scene = Scene { interface: "eth0" };
        let mut findings = Vec::new();
        for second in 0..20 {
            let mut seen = summary(second * 1_000);
            seen.matches[0] = second.clamp(3, 9) * 100;
            matches.judge(scene, &seen, &mut findings);
        }
        assert_eq!(findings.len(), 2);
        assert_eq!((findings[0].first, findings[0].over), (at(4_000), false));
        assert_eq!((findings[1].count, findings[1].over), (600, true));
        assert!(findings[1].what.starts_with("storm control"), "{}", findings[1].what);
    }
}
