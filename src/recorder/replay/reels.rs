//! The reels of a replay: one per interface of its files, by name and link type.

use std::collections::BTreeSet;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use crate::capture::{self, CaptureReport, Reel, Sliced, Tapping};
use crate::capture_file::merge::Head;
use crate::error::{Error, Result};
use crate::frame::Origin;
use crate::observation::Fact;
use crate::recorder::frame_store::{FrameStore, Held};
use crate::recorder::selection::Links;
use crate::ring::{HoldId, LaneId, Pool};
use crate::time::{Clock, Mono, Offset, Stamp, Window};

/// Most interfaces of a replay: each has lanes with tables of their own, some ten KiB.
const MAX_REELS: usize = 1_024;

/// All reels, and what is known of links.
#[derive(Debug)]
pub(super) struct Reels {
    options: capture::Options,
    pool: Pool,
    clock: Clock,
    tapping: Tapping,
    /// Interfaces by name; none = all.
    selected: Vec<String>,
    reels: Vec<Reel>,
    /// Where the frames of each file's origins go.
    places: Vec<Vec<Option<Destination>>>,
    passed_over: u64,
    links: Links,
    /// What is watched beside recorded interfaces and their masters.
    also_watched: BTreeSet<String>,
    /// False where a table of the host has its own rows.
    makes_rows: bool,
}

#[derive(Debug, Clone, Copy)]
enum Destination {
    Reel(usize),
    /// The operator did not select it.
    Nowhere,
}

impl Reels {
    pub(super) fn new(
        options: capture::Options,
        pool: Pool,
        clock: Clock,
        tapping: Tapping,
        selected: Vec<String>,
    ) -> Self {
        Self {
            options,
            pool,
            clock,
            tapping,
            selected,
            reels: Vec::new(),
            places: Vec::new(),
            passed_over: 0,
            links: Links::default(),
            also_watched: BTreeSet::new(),
            makes_rows: true,
        }
    }

    /// These interfaces are watched, too; rows for the operator's table are made here or not.
    pub(super) fn watch(&mut self, also: BTreeSet<String>, makes_rows: bool) {
        (self.also_watched, self.makes_rows) = (also, makes_rows);
    }

    /// Appends a frame; true if that began a reel.
    ///
    /// # Errors
    /// When the filter does not suit its link type, or there are too many interfaces.
    pub(super) fn append(&mut self, head: &Head<'_>, offset: Offset) -> Result<bool> {
        let known = self.places.get(head.file).and_then(|file| *file.get(head.frame.origin)?);
        let place = match known {
            Some(place) => place,
            None => self.place(head, offset)?,
        };
        match place {
            Destination::Reel(number) => {
                let frame = head.frame.stamped(head.wall, self.options.ring.snaplen);
                self.reels[number].append(&frame, offset);
            }
            Destination::Nowhere => self.passed_over += 1,
        }
        Ok(known.is_none())
    }

    fn place(&mut self, head: &Head<'_>, offset: Offset) -> Result<Destination> {
        let selected = self.selected.is_empty() || self.selected.contains(&head.origin.interface);
        let place = if selected {
            Destination::Reel(self.reel(head, offset)?)
        } else {
            Destination::Nowhere
        };
        let wanted = self.places.len().max(head.file + 1);
        self.places.resize(wanted, Vec::new());
        let file = &mut self.places[head.file];
        file.resize(file.len().max(head.frame.origin + 1), None);
        file[head.frame.origin] = Some(place);
        Ok(place)
    }

    /// The interface's reel, be it in another file. One name with two link types is two interfaces.
    fn reel(&mut self, head: &Head<'_>, offset: Offset) -> Result<usize> {
        let mut origin = Origin::clone(head.origin);
        origin.snaplen = origin.snaplen.min(self.options.ring.snaplen);
        let alike = |reel: &Reel| reel.origin().interface == origin.interface;
        if let Some(other) = self.reels.iter().find(|reel| alike(reel))
            && other.origin().link_type != origin.link_type
        {
            origin.interface = format!("{}@{}", origin.interface, origin.link_type.0);
        }
        let alike = |reel: &Reel| reel.origin().interface == origin.interface;
        if let Some(known) = self.reels.iter().position(alike) {
            return Ok(known);
        }
        if self.reels.len() >= MAX_REELS {
            let reason = format!("the files have more than {MAX_REELS} interfaces");
            return Err(Error::operation("replay", &origin.interface, reason)
                .hint("select some with --interface"));
        }
        let since = Stamp { mono: offset.mono(head.begun), wall: head.begun };
        // At most [`MAX_REELS`] times 18 lanes: far below 2^16.
        let first = LaneId(self.reels.len() as u16 * self.options.classes.lanes());
        let reel =
            Reel::new(first, Arc::new(origin), &self.options, &self.pool, &self.tapping, since)?;
        self.reels.push(reel);
        let share = self.pool.quota_bytes() / self.reels.len() as u64;
        self.reels.iter_mut().for_each(|reel| reel.set_quota(share));
        Ok(self.reels.len() - 1)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Stamp) {
        self.reels.iter_mut().for_each(|reel| reel.tick(now));
    }

    /// True, once, if the detectors have something to hear.
    pub(super) fn has_news(&mut self) -> bool {
        self.reels.iter_mut().fold(false, |news, reel| reel.has_news() | news)
    }

    /// Frames of interfaces that were not selected.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Selected interfaces of which there was no frame.
    pub(super) fn unseen(&self) -> Vec<String> {
        let names = self.names();
        self.selected.iter().filter(|name| !names.contains(name)).cloned().collect()
    }

    /// Frames that went into each interface's reel, in the order of [`FrameStore::stop`].
    pub(super) fn read(&self) -> Vec<u64> {
        self.reels.iter().map(Reel::read).collect()
    }
}

impl FrameStore for Reels {
    const LIVE: bool = false;

    fn follow(&mut self, fact: &Fact) -> Result<bool> {
        match fact {
            Fact::Link { now, .. } => self.links.insert(now.clone()),
            Fact::LinkGone { last } => self.links.remove(last.index),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn names(&self) -> Vec<String> {
        self.reels.iter().map(|reel| reel.origin().interface.clone()).collect()
    }

    fn watched(&self) -> BTreeSet<String> {
        let recorded = self.names().into_iter().chain(self.also_watched.iter().cloned());
        self.links.with_masters(recorded.collect())
    }

    fn listed(&self) -> BTreeSet<String> {
        if self.makes_rows { self.links.with_vlans(self.watched()) } else { BTreeSet::new() }
    }

    fn hold(&mut self, hold: HoldId, from: Mono, yields: bool) -> Held {
        let held = self.reels.iter_mut().map(|reel| reel.hold(hold, from, yields));
        Held { complete_from: held.max().unwrap_or(from), silent: 0 }
    }

    fn slice(&mut self, window: Window, release: HoldId) -> Vec<Receiver<Sliced>> {
        let now = self.clock.now();
        let sliced = self.reels.iter_mut().map(|reel| reel.slice(window, Some(release), now));
        sliced
            .map(|sliced| {
                let (answer, receiver) = bounded(1);
                // It has room for the one answer.
                let _ = answer.send(sliced);
                receiver
            })
            .collect()
    }

    fn reports(&mut self) -> Vec<CaptureReport> {
        let now = self.clock.now();
        self.reels.iter().map(|reel| reel.report(now)).collect()
    }

    fn stop(mut self) -> Vec<CaptureReport> {
        self.reports()
    }
}
