//! The set of captures: which interfaces are recorded now, and what all of them are asked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::selection::{Links, Selection};
use crate::capture::{self, Capture, Interface, Report, Sliced};
use crate::error::Result;
use crate::ring::{HoldId, LaneId, Pool};
use crate::time::{Clock, Mono, Window};
use crate::watch::{Fact, LinkState, Observation};

/// Captures answer between two kernel blocks, within a millisecond; one that does not is stuck or dead.
const ANSWER: Duration = Duration::from_millis(200);

/// All captures, by interface name.
#[derive(Debug)]
pub(super) struct Captures {
    selection: Selection,
    options: capture::Options,
    pool: Pool,
    clock: Clock,
    events: Sender<Observation>,
    running: BTreeMap<String, Capture>,
    /// Every interface rtnetlink told of.
    links: Links,
    lanes: u16,
}

/// What holding came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// From then on every lane that answered is complete.
    pub(super) complete_from: Mono,
    /// Captures that did not answer.
    pub(super) silent: usize,
}

impl Captures {
    pub(super) fn new(
        selection: Selection,
        options: capture::Options,
        pool: Pool,
        clock: Clock,
        events: Sender<Observation>,
    ) -> Self {
        let (running, links) = (BTreeMap::new(), Links::default());
        Self { selection, options, pool, clock, events, running, links, lanes: 0 }
    }

    /// Starts with these interfaces.
    ///
    /// # Errors
    /// When one that was named cannot be captured, or none of those that were not.
    pub(super) fn begin(&mut self, links: &[LinkState]) -> Result<()> {
        let mut refused = None;
        self.links = Links::of(links);
        for link in links {
            if !self.selection.wants(link, &self.links) {
                continue;
            }
            match self.start(link) {
                Err(error) if matches!(self.selection, Selection::Named(_)) => return Err(error),
                Err(error) => {
                    tracing::warn!("{error}");
                    refused = Some(error);
                }
                Ok(()) => {}
            }
        }
        self.share_memory();
        match refused {
            Some(error) if self.running.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Follows what rtnetlink told; true if the set of names to watch may have changed.
    pub(super) fn follow(&mut self, fact: &Fact) -> Result<bool> {
        match fact {
            Fact::Link { before, now } => {
                self.links.insert(now.clone());
                if let Some(before) = before
                    && before.name != now.name
                    && let Some(capture) = self.running.get(&before.name)
                {
                    capture.unbind();
                }
                if let Some(capture) = self.running.get(&now.name) {
                    capture.bind(Interface::from(now));
                } else if self.selection.wants(now, &self.links) {
                    self.start(now)?;
                    self.share_memory();
                }
                Ok(true)
            }
            Fact::LinkGone { last } => {
                self.links.remove(last.index);
                let still_there = self.links.iter().any(|link| link.name == last.name);
                if let Some(capture) = self.running.get(&last.name)
                    && !still_there
                {
                    capture.unbind();
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn start(&mut self, link: &LinkState) -> Result<()> {
        let capture = Capture::start(
            LaneId(self.lanes),
            Interface::from(link),
            self.options.clone(),
            &self.pool,
            self.clock.clone(),
            self.events.clone(),
        )?;
        self.lanes = self.lanes.wrapping_add(self.options.classes.lanes());
        self.running.insert(link.name.clone(), capture);
        Ok(())
    }

    /// Equal quotas; what one does not use the others may borrow.
    fn share_memory(&self) {
        let share = self.pool.obtained_bytes() / self.running.len().max(1) as u64;
        for capture in self.running.values() {
            capture.set_quota(share);
        }
    }

    /// Names of the captured interfaces.
    pub(super) fn names(&self) -> Vec<String> {
        self.running.keys().cloned().collect()
    }

    /// Captured interfaces, their masters, and the masters of these.
    pub(super) fn watched(&self) -> BTreeSet<String> {
        let mut watched: BTreeSet<String> = self.running.keys().cloned().collect();
        loop {
            let masters: BTreeSet<String> = self
                .links
                .iter()
                .filter(|link| watched.contains(&link.name))
                .filter_map(|link| self.links.at(link.master))
                .map(|master| master.name.clone())
                .filter(|master| !watched.contains(master))
                .collect();
            if masters.is_empty() {
                return watched;
            }
            watched.extend(masters);
        }
    }

    /// Whether the interface with this name can carry frames; none if there is none.
    pub(super) fn is_up(&self, name: &str) -> Option<bool> {
        self.links.iter().find(|link| link.name == name).map(LinkState::is_up)
    }

    /// Memory for frames, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.pool.obtained_bytes()
    }

    /// What is watched, and the VLANs on top of it: the interfaces of the operator's table.
    pub(super) fn listed(&self) -> BTreeSet<String> {
        let mut listed = self.watched();
        let on_top = self.links.iter().filter(|link| link.kind.as_deref() == Some("vlan"));
        let vlans: Vec<_> = on_top
            .filter(|vlan| {
                self.links.at(vlan.lower).is_some_and(|lower| listed.contains(&lower.name))
            })
            .map(|vlan| vlan.name.clone())
            .collect();
        listed.extend(vlans);
        listed
    }

    /// Holds everything since `from` in every lane.
    pub(super) fn hold(&self, hold: HoldId, from: Mono) -> Held {
        let answers: Vec<_> = self.running.values().map(|c| c.hold(hold, from)).collect();
        let asked = answers.len();
        let held = collect(answers);
        let complete_from = held.iter().copied().max().unwrap_or(from);
        Held { complete_from, silent: asked - held.len() }
    }

    /// Asks every capture to pin `window` and then give up `release`; the answers come by themselves.
    pub(super) fn slice(&self, window: Window, release: HoldId) -> Vec<Receiver<Sliced>> {
        self.running.values().map(|capture| capture.slice(window, Some(release))).collect()
    }

    /// How all captures stand; those that do not answer are left out.
    pub(super) fn reports(&self) -> Vec<Report> {
        collect(self.running.values().map(Capture::report).collect())
    }

    /// Stops all captures after the last frame.
    pub(super) fn stop(self) -> Vec<Report> {
        // All at once, so that the last ones do not record what the first no longer do for long.
        let threads: Vec<_> = self
            .running
            .into_values()
            .map(|capture| std::thread::spawn(move || capture.stop()))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
    }
}

/// The answers that come within [`ANSWER`].
fn collect<T>(answers: Vec<Receiver<T>>) -> Vec<T> {
    let over = crossbeam_channel::after(ANSWER);
    answers
        .into_iter()
        .filter_map(|answer| {
            crossbeam_channel::select! {
                recv(answer) -> answer => answer.ok(),
                recv(over) -> _ => answer.try_recv().ok(),
            }
        })
        .collect()
}
