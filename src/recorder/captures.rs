//! The set of captures: which interfaces are recorded now, and what all of them are asked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::frame_store::{Held, Keeper};
use super::ring_file;
use super::selection::{Links, Selection};
use crate::capture::{self, Capture, Interface, Memory, Report, Sliced, Tapping};
use crate::error::Result;
use crate::observation::link::LinkState;
use crate::observation::{Fact, Observation};
use crate::ring::metadata::LaneName;
use crate::ring::{HoldId, LaneId, PackThread, Pool, RingFile};
use crate::time::{Clock, Mono, Window};

/// Captures answer between two kernel blocks, within a millisecond; one that does not is stuck or dead.
const ANSWER: Duration = Duration::from_millis(200);

/// All captures, by interface name.
#[derive(Debug)]
pub struct Captures {
    selection: Selection,
    options: capture::Options,
    memory: Memory,
    pack: PackThread,
    clock: Clock,
    events: Sender<Observation>,
    tapping: Tapping,
    running: BTreeMap<String, Capture>,
    /// Every interface rtnetlink told of.
    links: Links,
    lanes: u16,
    ring_file: Option<RingFile>,
    /// Panics of packing that were told.
    pack_panics: u64,
}

impl Captures {
    pub(super) fn new(
        selection: Selection,
        options: capture::Options,
        pool: Pool,
        clock: Clock,
        events: Sender<Observation>,
        tapping: Tapping,
    ) -> Result<Self> {
        let (running, links) = (BTreeMap::new(), Links::default());
        let pack = PackThread::start(pool.clone())?;
        let memory = Memory { pool, requests: pack.requests() };
        let (lanes, ring_file) = (0, None);
        Ok(Self {
            selection,
            options,
            memory,
            pack,
            clock,
            events,
            tapping,
            running,
            links,
            lanes,
            ring_file,
            pack_panics: 0,
        })
    }

    /// The memory lies in this file, which is to know what is in it.
    pub(super) fn keep_in(&mut self, file: Option<RingFile>) {
        self.ring_file = file;
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

    fn start(&mut self, link: &LinkState) -> Result<()> {
        if let Some(file) = &self.ring_file {
            // Before the first frame, so that none is of a lane without a name.
            file.enroll((self.lanes..).zip(self.options.classes.names()).map(|(lane, class)| {
                let class = class.to_string();
                LaneName { lane, interface: link.name.clone(), class }
            }));
        }
        let capture = Capture::start(
            LaneId(self.lanes),
            Interface::from(link),
            self.options.clone(),
            &self.memory,
            self.clock.clone(),
            self.events.clone(),
            self.tapping.clone(),
        )?;
        self.lanes = self.lanes.wrapping_add(self.options.classes.lanes());
        self.running.insert(link.name.clone(), capture);
        Ok(())
    }

    /// Whether the interface with this name can carry frames; none if there is none.
    pub(super) fn is_up(&self, name: &str) -> Option<bool> {
        self.links.iter().find(|link| link.name == name).map(LinkState::is_up)
    }

    /// The rounds each capture thread has done, by interface.
    pub(super) fn rounds(&self) -> impl Iterator<Item = (&str, u64)> {
        self.running.iter().map(|(name, capture)| (name.as_str(), capture.pulse().rounds()))
    }

    /// Memory for frames, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.memory.pool.obtained_bytes()
    }

    /// Equal quotas; what one does not use the others may borrow.
    fn share_memory(&self) {
        let share = self.memory.pool.quota_bytes() / self.running.len().max(1) as u64;
        for capture in self.running.values() {
            capture.set_quota(share);
        }
    }
}

impl Keeper for Captures {
    const LIVE: bool = true;

    fn follow(&mut self, fact: &Fact) -> Result<bool> {
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

    fn names(&self) -> Vec<String> {
        self.running.keys().cloned().collect()
    }

    fn watched(&self) -> BTreeSet<String> {
        self.links.with_masters(self.running.keys().cloned().collect())
    }

    fn listed(&self) -> BTreeSet<String> {
        self.links.with_vlans(self.watched())
    }

    fn relatives(&self, interface: &str) -> Option<Vec<String>> {
        Some(self.links.relatives(interface))
    }

    fn hold(&mut self, hold: HoldId, from: Mono) -> Held {
        let answers: Vec<_> = self.running.values().map(|c| c.hold(hold, from)).collect();
        let asked = answers.len();
        let held = collect(answers);
        let complete_from = held.iter().copied().max().unwrap_or(from);
        Held { complete_from, silent: asked - held.len() }
    }

    fn slice(&mut self, window: Window, release: HoldId) -> Vec<Receiver<Sliced>> {
        self.running.values().map(|capture| capture.slice(window, Some(release))).collect()
    }

    fn reports(&mut self) -> Vec<Report> {
        let reports = collect(self.running.values().map(Capture::report).collect());
        if let Some(file) = &self.ring_file {
            ring_file::note(file, self.clock.now(), &reports);
        }
        reports
    }

    fn mishap(&mut self) -> Option<String> {
        let panics = self.pack.panics();
        let told = std::mem::replace(&mut self.pack_panics, panics);
        (panics > told).then(|| {
            "packing panicked, which is a bug: some segments take more memory than they could"
                .to_owned()
        })
    }

    fn stop(self) -> Vec<Report> {
        // All at once, so that the last ones do not record what the first no longer do for long.
        let threads: Vec<_> = self
            .running
            .into_values()
            .map(|capture| std::thread::spawn(move || capture.stop()))
            .collect();
        let reports = threads.into_iter().filter_map(|t| t.join().ok().flatten()).collect();
        drop(self.memory);
        self.pack.join();
        reports
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
