//! The set of captures: which interfaces are recorded now, and what all of them are asked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::frame_store::{FrameStore, Held};
use super::gone::Gone;
use super::ring_file;
use super::selection::{Links, Selection};
use crate::capture::afpacket::Options as Ring;
use crate::capture::{
    self, Capture, CaptureReport, Follower, Interface, KernelRoom, Sliced, Surroundings,
    WaitingRoom,
};
use crate::error::Result;
use crate::observation::Fact;
use crate::observation::link::LinkState;
use crate::ring::metadata::LaneName;
use crate::ring::{HoldId, LaneId, PackThread, RingFile, memory_available};
use crate::time::{Mono, Window};

/// Captures answer between two kernel blocks, within a millisecond; one that does not is stuck or dead.
const ANSWER: Duration = Duration::from_millis(200);

/// An interface that appears while others are recorded has half of what is left for kernel rings at most.
const LATER: u64 = 2;

/// All captures, by interface name.
#[derive(Debug)]
pub struct Captures {
    selection: Selection,
    options: capture::Options,
    around: Surroundings,
    room: KernelRoom,
    /// The kernel ring of each capture whose interface is there.
    rings: BTreeMap<String, Ring>,
    gone: Gone,
    pack: PackThread,
    waiting: WaitingRoom,
    running: BTreeMap<String, Capture>,
    /// Every interface rtnetlink told of.
    links: Links,
    /// The number of the next lane.
    lanes: u16,
    ring_file: Option<RingFile>,
    /// Panics of packing that were told.
    pack_panics: u64,
}

impl Captures {
    /// None yet; `pack` packs what they record, and who has no source is in the room of those that wait.
    pub(super) fn new(
        selection: Selection,
        options: capture::Options,
        around: Surroundings,
        pack: PackThread,
        waiting: WaitingRoom,
    ) -> Self {
        Self {
            selection,
            options,
            around,
            room: KernelRoom::new(memory_available()),
            rings: BTreeMap::new(),
            gone: Gone::default(),
            pack,
            waiting,
            running: BTreeMap::new(),
            links: Links::default(),
            lanes: 0,
            ring_file: None,
            pack_panics: 0,
        }
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
        let ring = self.take_ring(&link.name, among)?;
        let options = capture::Options { ring, ..self.options.clone() };
        self.open(link, options).inspect_err(|_| self.give_ring_back(&link.name))
    }

    /// A kernel ring for the interface called so, as [`Captures::start`].
    fn take_ring(&mut self, name: &str, among: u64) -> Result<Ring> {
        let ring = self.room.take(name, &self.options.ring, among)?;
        if ring.blocks != self.options.ring.blocks {
            let size = (u64::from(ring.blocks) * u64::from(ring.block_size)) >> 10;
            let room = self.room.room() >> 20;
            tracing::warn!(
                "{name}: a kernel ring of {size} KiB only: all together may take {room} MiB, a quarter of the \
                 available memory; fewer interfaces (-i) have larger ones"
            );
        }
        self.rings.insert(name.to_owned(), ring.clone());
        Ok(ring)
    }

    fn give_ring_back(&mut self, name: &str) {
        if let Some(ring) = self.rings.remove(name) {
            self.room.give_back(&ring);
        }
    }

    fn open(&mut self, link: &LinkState, options: capture::Options) -> Result<()> {
        let first = self.free_lanes(u32::from(options.classes.lanes()));
        if let Some(file) = &self.ring_file {
            // Before the first frame, so that none is of a lane without a name.
            file.enroll((first..).zip(self.options.classes.names()).map(|(lane, class)| {
                let class = class.to_string();
                LaneName { lane, interface: link.name.clone(), class }
            }));
        }
        let lanes = options.classes.lanes();
        let capture = Capture::start(LaneId(first), Interface::from(link), options, &self.around)?;
        self.lanes = first.wrapping_add(lanes);
        self.running.insert(link.name.clone(), capture);
        Ok(())
    }

    /// The first of so many numbers that no lane has: there are fewer lanes than numbers, but ever new ones.
    fn free_lanes(&self, count: u32) -> u16 {
        let is_free = |first: u16| {
            let wanted = u32::from(first)..u32::from(first) + count;
            let overlaps = |taken: Range<u32>| wanted.start < taken.end && taken.start < wanted.end;
            let fits = wanted.end <= u32::from(u16::MAX) + 1;
            fits && !self.running.values().any(|capture| overlaps(capture.lanes()))
        };
        (self.lanes..=u16::MAX).chain(0..self.lanes).find(|first| is_free(*first)).unwrap_or(0)
    }

    /// Its interface is gone: what it recorded stays, its kernel ring and its share of the memory go to others.
    fn leave(&mut self, name: &str) {
        let Some(capture) = self.running.get(name) else { return };
        capture.unbind();
        self.give_ring_back(name);
        self.gone.add(name, self.around.clock.now().mono);
        self.part_with_gone();
        self.share_memory();
    }

    /// The interface of a capture is there again, or its state is another.
    fn bind(&mut self, link: &LinkState) -> Result<()> {
        let is_back = self.gone.has(&link.name);
        let ring = is_back.then(|| self.take_ring(&link.name, LATER)).transpose()?;
        let Some(capture) = self.running.get_mut(&link.name) else { return Ok(()) };
        ring.into_iter().for_each(|ring| capture.set_ring(ring));
        capture.bind(Interface::from(link));
        if self.gone.remove(&link.name) {
            self.share_memory();
        }
        Ok(())
    }

    /// Lets those rest that will not be back soon, and forgets the first of too many.
    fn part_with_gone(&mut self) {
        for name in self.gone.laid_to_rest(self.around.clock.now().mono) {
            if let Some(capture) = self.running.get(&name) {
                capture.rest();
            }
        }
        while let Some(name) = self.gone.to_forget().map(str::to_owned) {
            tracing::info!(
                "{name} is gone, and what it recorded is forgotten for those that left later"
            );
            self.forget(&name);
        }
    }

    /// Nothing of it is wanted any more.
    fn forget(&mut self, name: &str) {
        self.gone.remove(name);
        let Some(capture) = self.running.remove(name) else { return };
        let lanes = capture.lanes();
        // Nobody here waits for its end.
        capture.stop();
        if let Some(file) = &self.ring_file {
            file.note(|standing| {
                standing.lanes.retain(|named| !lanes.contains(&u32::from(named.lane)));
            });
        }
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
        self.around.memory.pool.obtained_bytes()
    }

    /// An interface is followed by its index, so that a rename loses nothing. Only where there was one by the
    /// new name before, that one's history goes on, and there is a gap.
    fn rename(&mut self, before: &str, now: &str) {
        if self.running.contains_key(now) {
            self.leave(before);
        } else if let Some(capture) = self.running.remove(before) {
            self.running.insert(now.to_owned(), capture);
            if let Some(ring) = self.rings.remove(before) {
                self.rings.insert(now.to_owned(), ring);
            }
        }
    }

    /// Equal quotas for those that are there; what one does not use the others may borrow.
    fn share_memory(&self) {
        let there = self.running.len() - self.gone.count();
        let share = self.around.memory.pool.quota_bytes() / there.max(1) as u64;
        for (_, capture) in self.running.iter().filter(|(name, _)| !self.gone.has(name)) {
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
                if self.running.contains_key(&now.name) {
                    self.bind(now)?;
                } else if self.selection.wants(now, &self.links) {
                    self.start(now, LATER)?;
                    self.share_memory();
                }
                Ok(true)
            }
            Fact::LinkGone { last } => {
                self.links.remove(last.index);
                let still_there = self.links.iter().any(|link| link.name == last.name);
                if !still_there {
                    self.leave(&last.name);
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

    fn bound(&mut self, hold: HoldId, to: Mono) {
        self.running.values().for_each(|capture| capture.bound(hold, to));
    }

    fn slice(&mut self, window: Window, release: HoldId) -> Vec<Receiver<Sliced>> {
        self.running.values().map(|capture| capture.slice(window, Some(release))).collect()
    }

    fn reports(&mut self) -> Vec<CaptureReport> {
        self.part_with_gone();
        let mut reports = collect(self.running.values().map(Capture::report).collect());
        reports.retain(|report| {
            let name = &report.origin.interface;
            let is_over = report.spent && self.gone.has(name);
            if is_over {
                self.forget(name);
            }
            !is_over
        });
        if let Some(file) = &self.ring_file {
            ring_file::note(file, self.around.clock.now(), &reports);
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
        let ends: Vec<_> = self.running.into_values().map(Capture::stop).collect();
        let reports = ends.into_iter().filter_map(|end| end.recv().ok()).collect();
        self.waiting.close();
        drop(self.around);
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
