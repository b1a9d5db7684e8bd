//! The set of captures: which interfaces are recorded now, and what all of them are asked at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::frame_store::{FrameStore, Held};
use super::ring_file;
use super::selection::{Links, Selection};
use crate::capture::afpacket::Options as Ring;
use crate::capture::{
    self, Capture, CaptureReport, Follower, Interface, KernelRoom, Memory, Sliced, Tapping,
};
use crate::error::Result;
use crate::observation::link::LinkState;
use crate::observation::{Fact, Observation};
use crate::ring::metadata::LaneName;
use crate::ring::{HoldId, LaneId, PackThread, Pool, RingFile, memory_available};
use crate::time::{Clock, Mono, Window};

/// Captures answer between two kernel blocks, within a millisecond; one that does not is stuck or dead.
const ANSWER: Duration = Duration::from_millis(200);

/// An interface that appears while others are recorded has half of what is left for kernel rings at most.
const LATER: u64 = 2;

/// All captures, by interface name.
#[derive(Debug)]
pub struct Captures {
    selection: Selection,
    options: capture::Options,
    memory: Memory,
    room: KernelRoom,
    /// The kernel ring that each capture has, or had when its interface was there.
    rings: BTreeMap<String, Ring>,
    /// Captures whose interface is gone, the first one first.
    gone: VecDeque<String>,
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
            room: KernelRoom::new(memory_available()),
            rings: BTreeMap::new(),
            gone: VecDeque::new(),
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
        let wanted: Vec<_> =
            links.iter().filter(|link| self.selection.wants(link, &self.links)).collect();
        for (link, waiting) in wanted.iter().zip((1..=wanted.len() as u64).rev()) {
            // One share is left over for those that appear later.
            match self.start(link, waiting + 1) {
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

    /// Starts one, whose kernel ring is no larger than a share `among` so many of what is left for them.
    fn start(&mut self, link: &LinkState, among: u64) -> Result<()> {
        let ring = loop {
            match self.room.take(&link.name, &self.options.ring, among) {
                Err(_) if self.forget_one() => {}
                taken => break taken?,
            }
        };
        if ring.blocks != self.options.ring.blocks {
            let size = (u64::from(ring.blocks) * u64::from(ring.block_size)) >> 10;
            let room = self.room.room() >> 20;
            tracing::warn!(
                "{}: a kernel ring of {size} KiB only: all together may take {room} MiB, a quarter of the \
                 available memory; fewer interfaces (-i) have larger ones",
                link.name
            );
        }
        let options = capture::Options { ring: ring.clone(), ..self.options.clone() };
        self.open(link, options).inspect_err(|_| self.room.give_back(&ring))?;
        self.rings.insert(link.name.clone(), ring);
        Ok(())
    }

    /// Forgets the capture whose interface is gone for the longest time, so that another finds room; false if all
    /// are there. On a host where interfaces come and go by ever new names there would be no end of them.
    fn forget_one(&mut self) -> bool {
        while let Some(name) = self.gone.pop_front() {
            let is_back = self.links.iter().any(|link| link.name == name);
            if is_back {
                continue;
            }
            let Some(capture) = self.running.remove(&name) else { continue };
            if let Some(ring) = self.rings.remove(&name) {
                self.room.give_back(&ring);
            }
            tracing::info!("{name} is gone, and forgotten for those that are there");
            // Nobody here waits for its end.
            drop(std::thread::spawn(move || capture.stop()));
            return true;
        }
        false
    }

    fn open(&mut self, link: &LinkState, options: capture::Options) -> Result<()> {
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
            options,
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

    /// Memory of the kernel's rings, in bytes.
    pub(super) fn kernel_memory(&self) -> u64 {
        self.room.taken()
    }

    /// Memory for frames, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.memory.pool.obtained_bytes()
    }

    /// An interface is followed by its index, so that a rename loses nothing. Only where there was one by the
    /// new name before, that one's history goes on, and there is a gap.
    fn rename(&mut self, before: &str, now: &str) {
        if self.running.contains_key(now) {
            if let Some(capture) = self.running.get(before) {
                capture.unbind();
            }
        } else if let Some(capture) = self.running.remove(before) {
            self.running.insert(now.to_owned(), capture);
            if let Some(ring) = self.rings.remove(before) {
                self.rings.insert(now.to_owned(), ring);
            }
        }
    }

    /// Equal quotas; what one does not use the others may borrow.
    fn share_memory(&self) {
        let share = self.memory.pool.quota_bytes() / self.running.len().max(1) as u64;
        for capture in self.running.values() {
            capture.set_quota(share);
        }
    }
}

impl FrameStore for Captures {
    const LIVE: bool = true;

    fn follow(&mut self, fact: &Fact) -> Result<bool> {
        match fact {
            Fact::Link { before, now } => {
                self.links.insert(now.clone());
                if let Some(before) = before.as_ref().filter(|before| before.name != now.name) {
                    self.rename(&before.name, &now.name);
                }
                if let Some(capture) = self.running.get_mut(&now.name) {
                    capture.bind(Interface::from(now));
                } else if self.selection.wants(now, &self.links) {
                    self.start(now, LATER)?;
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
                    self.gone.retain(|name| *name != last.name);
                    self.gone.push_back(last.name.clone());
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

    fn followers(&self) -> Vec<Follower> {
        self.running.values().map(Capture::follower).collect()
    }

    fn hold(&mut self, hold: HoldId, from: Mono, yields: bool) -> Held {
        let answers: Vec<_> = self.running.values().map(|c| c.hold(hold, from, yields)).collect();
        let asked = answers.len();
        let held = collect(answers);
        let complete_from = held.iter().copied().max().unwrap_or(from);
        Held { complete_from, silent: asked - held.len() }
    }

    fn slice(&mut self, window: Window, release: HoldId) -> Vec<Receiver<Sliced>> {
        self.running.values().map(|capture| capture.slice(window, Some(release))).collect()
    }

    fn reports(&mut self) -> Vec<CaptureReport> {
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

    fn stop(self) -> Vec<CaptureReport> {
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
