//! The windows that bundles already have: who asks for a moment that is over is told where it is, instead of getting
//! the same frames a second time.
//!
//! Pure, and bounded.

use std::collections::VecDeque;
use std::path::Path;

use crate::api::question::Fate;
use crate::incident::name::name_of;
use crate::incident::writer::Outcome;
use crate::recorder::audience::progress::absolute;
use crate::time::{Offset, Window, nanos};
use crate::trigger::{Trigger, TriggerKind};

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
    /// What opened it.
    pub(super) kind: TriggerKind,
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
    pub(super) fn closed(&mut self, by: &Trigger, window: Window) {
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        let (incident, offset, kind) = (name_of(by), by.at.offset(), by.kind);
        self.0.push_back(ClosedWindow { incident, window, offset, kind, written: None });
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
        self.0.iter().rev().find(|one| Self::is_enough(one.window, window))
    }

    /// True if what `has` a part of a window has enough of it.
    pub(super) fn is_enough(has: Window, window: Window) -> bool {
        let length = u128::from(nanos(window.to.since(window.from)));
        let (from, to) = (has.from.max(window.from), has.to.min(window.to));
        from <= to && u128::from(nanos(to.since(from))) * 100 >= length * Self::ENOUGH
    }

    /// Windows of a kind whose bundles are not on the disk yet.
    pub(super) fn unwritten(&self, kind: TriggerKind) -> impl Iterator<Item = Window> {
        let waits = move |one: &&ClosedWindow| one.kind == kind && one.written.is_none();
        self.0.iter().filter(waits).map(|one| one.window)
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
    use crate::time::{Mono, Stamp, Wall};

    const S: u64 = 1_000_000_000;

    /// Opened in that second, and named by it.
    fn by(second: u64) -> Trigger {
        Trigger {
            kind: TriggerKind::Fleet,
            object: None,
            at: Stamp { mono: Mono(second * S), wall: Wall(second * S) },
            told_after: Duration::ZERO,
            sentence: String::new(),
        }
    }

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
            onset: None,
        };
        Outcome::Written { bundle, took: Duration::ZERO, reported: None }
    }

    #[test]
    fn nine_tenths_of_a_window_are_enough() {
        let mut recent = RecentWindows::default();
        recent.closed(&by(1), window(100, 200));
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
        let (mut recent, a) = (RecentWindows::default(), name_of(&by(1)));
        recent.closed(&by(1), window(100, 200));
        recent.closed(&by(1), window(100, 210));
        assert_eq!(recent.unwritten(TriggerKind::Fleet).count(), 2);
        assert_eq!(recent.unwritten(TriggerKind::Snapshot).count(), 0);
        recent.settle(&written(&a));
        assert_eq!(recent.covers(window(100, 200)).unwrap().written, None, "the later one");
        recent.settle(&written(&format!("{a}-2")));
        assert_eq!(recent.unwritten(TriggerKind::Fleet).count(), 0);
        let covers = recent.covers(window(100, 200)).unwrap();
        assert_eq!(covers.incident, format!("{a}-2"));
        let path = format!("/var/{a}-2");
        assert_eq!(covers.written, Some(Fate::Written { path, frames: 2, bytes: 1 }));
        assert!(recent.named(&a).is_some());
        recent.forget(&format!("{a}-2"));
        assert_eq!(recent.covers(window(100, 200)).unwrap().incident, a);
        for n in 0..RecentWindows::MOST as u64 {
            recent.closed(&by(n), window(300, 400));
        }
        assert_eq!((recent.0.len(), recent.covers(window(100, 200))), (RecentWindows::MOST, None));
    }
}
