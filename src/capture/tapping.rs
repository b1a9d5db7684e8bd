//! What an interface's capture thread shows the detectors: its tap, and the operator's filters, which only
//! capture can run.
//!
//! On the packet path: no allocation, lock, log or system call per frame. The wakeup is rung at most once
//! per kernel block.

use std::sync::Arc;

use super::filter::{Filter, UserFilter};
use super::lanes::Lanes;
use crate::detect::Subject;
use crate::detect::tap::{ClassCount, Health, Shown, Storm, Tap};
use crate::detect::watcher::Taps;
use crate::error::{Error, Result};
use crate::frame::{Frame, LinkType};
use crate::time::{Offset, Stamp};

/// Frames that the operator waits for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What findings call them.
    pub name: Arc<str>,
    /// Which they are; run in user space, with VLAN tags in place. Copies that are folded are not counted
    /// again.
    pub filter: Filter,
}

/// Where taps are made, and what every interface looks for.
#[derive(Debug, Clone)]
pub struct Tapping {
    taps: Taps,
    wanted: Vec<Wanted>,
}

impl Tapping {
    /// Most filters: each costs every frame a run of its program.
    const MAX_WANTED: usize = 16;

    /// Taps of `taps` with these filters.
    ///
    /// # Errors
    /// Wrong usage when there are too many.
    pub fn new(taps: Taps, wanted: Vec<Wanted>) -> Result<Self> {
        if wanted.len() > Self::MAX_WANTED {
            return Err(Error::usage(
                "filter-match",
                wanted.len().to_string(),
                "the number of filters is bounded: every frame is run through each",
                format!("up to {}", Self::MAX_WANTED),
            ));
        }
        Ok(Self { taps, wanted })
    }

    /// The tap of an interface with these classes.
    ///
    /// # Errors
    /// When the detectors are to watch a class that it does not have.
    pub(super) fn tap(&self, interface: &str, classes: Vec<Arc<str>>) -> Result<Tapped> {
        let tap = self.tap_alone(interface, classes)?;
        Ok(Tapped { tap, wanted: self.wanted.clone(), filters: Vec::new() })
    }

    /// A tap was dropped.
    pub(super) fn dropped(&self) {
        self.taps.wake();
    }

    fn tap_alone(&self, interface: &str, classes: Vec<Arc<str>>) -> Result<Tap> {
        let filters = self.wanted.iter().map(|wanted| Arc::clone(&wanted.name)).collect();
        self.taps.tap(Subject { interface: interface.into(), classes, filters })
    }
}

/// One interface's tap.
#[derive(Debug)]
pub(super) struct Tapped {
    tap: Tap,
    wanted: Vec<Wanted>,
    filters: Vec<UserFilter>,
}

impl Tapped {
    /// Frames begin with `link_type` from now on.
    ///
    /// # Errors
    /// When a filter does not suit it.
    pub(super) fn begin(&mut self, link_type: LinkType) -> Result<()> {
        let filters = self.wanted.iter().map(|wanted| wanted.filter.for_user_space(link_type));
        self.filters = filters.collect::<Result<_>>()?;
        self.tap.begin(link_type);
        Ok(())
    }

    /// Frames are of an interface with this name from now on; what they begin with is the same.
    ///
    /// # Errors
    /// As [`Tapping::tap`]; then they are still judged by the old name.
    pub(super) fn rename(
        &mut self,
        tapping: &Tapping,
        interface: &str,
        classes: Vec<Arc<str>>,
        link_type: LinkType,
    ) -> Result<()> {
        self.tap = tapping.tap_alone(interface, classes)?;
        self.tap.begin(link_type);
        Ok(())
    }

    /// Looks at a frame of a class. Copies that were folded are counted, and matched no filter that the
    /// first copy did not.
    #[inline]
    pub(super) fn frame(&mut self, frame: &Frame<'_>, class: usize, folded: bool, offset: Offset) {
        self.tap.frame(frame, class, folded, offset);
        if !self.filters.is_empty() && !folded {
            self.run_filters(frame, offset);
        }
    }

    /// Each class: frames and bytes by direction.
    pub(super) fn counts(&self) -> Vec<ClassCount> {
        self.tap.counts().to_vec()
    }

    /// A kernel block is done.
    pub(super) fn block(&mut self) {
        self.tap.block();
    }

    /// True, once, if the detectors have something to hear.
    pub(super) fn has_news(&mut self) -> bool {
        self.tap.has_news()
    }

    /// True if the detectors are due to learn how it stands.
    pub(super) fn is_due(&self, now: Stamp) -> bool {
        self.tap.is_due(now.mono)
    }

    /// Tells them.
    pub(super) fn tell(&mut self, now: Stamp, health: Health, lanes: &Lanes) {
        let storms = lanes.storms().map(|(class, storm)| Storm {
            class,
            header: storm.header,
            bytes: storm.bytes[..storm.bytes.len().min(Shown::LONGEST)].to_vec(),
            first: storm.first,
            last: storm.last,
            copies: storm.copies,
        });
        self.tap.summary(now, health, storms.collect());
    }

    #[inline(never)]
    fn run_filters(&mut self, frame: &Frame<'_>, offset: Offset) {
        for (number, filter) in self.filters.iter_mut().enumerate() {
            if filter.accepts(frame) {
                self.tap.matched(number, frame, offset);
            }
        }
    }
}
