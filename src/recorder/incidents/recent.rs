//! The windows that bundles already have: who asks for a moment that is over is told where it is, instead of getting
//! the same frames a second time.
//!
//! Pure, and bounded.

use std::collections::VecDeque;
use std::path::Path;

use crate::api::question::Fate;
use crate::incident::writer::Outcome;
use crate::recorder::audience::progress::absolute;
use crate::time::{Offset, Window, nanos};

/// Incidents whose windows are closed, the latest last.
#[derive(Debug, Default)]
pub(super) struct RecentWindows(VecDeque<ClosedWindow>);

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClosedWindow {
    /// The name of its bundle.
    pub(super) incident: String,
    /// What it has.
    pub(super) window: Window,
    /// The distance of the clocks then.
    pub(super) offset: Offset,
    /// Its bundle; none while it is being written.
    pub(super) written: Option<Fate>,
}

impl RecentWindows {
    /// Windows that are remembered: an hour of the default budget.
    const MOST: usize = 64;
    /// A bundle that has so much of a window, in percent, is as good as a second one: what is missing is a tenth of
    /// its edge.
    const ENOUGH: u128 = 90;

    /// The window of an incident is closed.
    pub(super) fn closed(&mut self, incident: String, window: Window, offset: Offset) {
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(ClosedWindow { incident, window, offset, written: None });
    }

    /// What became of one.
    pub(super) fn settle(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Written { bundle, .. } => {
                let name = file_name(&bundle.path);
                // A name that was taken has a number behind it.
                let is_it = |one: &&mut ClosedWindow| {
                    one.written.is_none() && name.starts_with(&one.incident)
                };
                if let Some(one) = self.0.iter_mut().find(is_it) {
                    let (path, frames, bytes) =
                        (absolute(&bundle.path), bundle.frames, bundle.bytes);
                    one.incident = name;
                    one.written = Some(Fate::Written { path, frames, bytes });
                }
            }
            Outcome::Lost(lost) => self.forget(&lost.name),
            Outcome::Removed(removed) => self.forget(&removed.name),
            Outcome::Retrying { .. } => {}
        }
    }

    /// The latest that has enough of a window.
    pub(super) fn covers(&self, window: Window) -> Option<&ClosedWindow> {
        let length = u128::from(nanos(window.to.since(window.from)));
        let has = |one: &&ClosedWindow| {
            let (from, to) = (one.window.from.max(window.from), one.window.to.min(window.to));
            from <= to && u128::from(nanos(to.since(from))) * 100 >= length * Self::ENOUGH
        };
        self.0.iter().rev().find(has)
    }

    /// The one with this name.
    pub(super) fn named(&self, incident: &str) -> Option<&ClosedWindow> {
        self.0.iter().rev().find(|one| one.incident == incident)
    }

    fn forget(&mut self, incident: &str) {
        self.0.retain(|one| one.incident != incident);
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::incident::bundle::Bundle;
    use crate::time::Mono;
    use crate::trigger::TriggerKind;

    const S: u64 = 1_000_000_000;

    fn window(from: u64, to: u64) -> Window {
        Window { from: Mono(from * S), to: Mono(to * S) }
    }

    fn written(name: &str) -> Outcome {
        let bundle = Bundle {
            path: PathBuf::from(format!("/var/{name}")),
            bytes: 1,
            frames: 2,
            trigger: TriggerKind::Snapshot,
            manifest_sha256: String::new(),
        };
        Outcome::Written { bundle, took: Duration::ZERO, reported: None }
    }

    #[test]
    fn nine_tenths_of_a_window_are_enough() {
        let mut recent = RecentWindows::default();
        recent.closed("a".into(), window(100, 200), Offset(0));
        for (from, to, covered) in [
            (100, 200, true),
            (120, 180, true),
            (90, 190, true),
            (89, 189, false),
            (110, 210, true),
            (111, 211, false),
            (0, 50, false),
            (250, 300, false),
            (150, 150, true),
            (50, 50, false),
        ] {
            assert_eq!(recent.covers(window(from, to)).is_some(), covered, "{from} to {to}");
        }
    }

    #[test]
    fn the_latest_is_named_and_what_is_gone_is_forgotten() {
        let mut recent = RecentWindows::default();
        recent.closed("a".into(), window(100, 200), Offset(0));
        recent.closed("a".into(), window(100, 210), Offset(0));
        recent.settle(&written("a"));
        assert_eq!(recent.covers(window(100, 200)).unwrap().written, None, "the later one");
        recent.settle(&written("a-2"));
        let covers = recent.covers(window(100, 200)).unwrap();
        assert_eq!(covers.incident, "a-2");
        let path = "/var/a-2".to_owned();
        assert_eq!(covers.written, Some(Fate::Written { path, frames: 2, bytes: 1 }));
        assert!(recent.named("a").is_some());
        recent.forget("a-2");
        assert_eq!(recent.covers(window(100, 200)).unwrap().incident, "a");
        for n in 0..RecentWindows::MOST {
            recent.closed(n.to_string(), window(300, 400), Offset(0));
        }
        assert_eq!((recent.0.len(), recent.covers(window(100, 200))), (RecentWindows::MOST, None));
    }
}
