//! A frozen window of one lane: references to segments, so that freezing copies no frame.

use std::sync::Arc;

use super::segment::{Pinned, Segment};
use crate::error::Result;
use crate::frame::StoredFrame;
use crate::time::{Mono, Window};

/// While a slice lives, the pages of its segments are pinned.
#[derive(Debug, Clone)]
pub struct Slice {
    window: Window,
    covered_from: Mono,
    full_from: Mono,
    segments: Vec<Pinned>,
}

impl Slice {
    /// What `segments` have of the window, of which from `covered_from` on nothing is missing.
    pub(super) fn new(window: Window, covered_from: Mono, segments: Vec<Pinned>) -> Self {
        let faded = segments.iter().filter(|pinned| pinned.segment.faded() > 0);
        let after = faded.map(|pinned| Mono(pinned.segment.last().0.saturating_add(1)));
        let full_from = after.chain([covered_from]).max().unwrap_or(covered_from);
        Self { window, covered_from, full_from, segments }
    }

    /// The window asked for.
    pub fn window(&self) -> Window {
        self.window
    }

    /// From here to the end of the window nothing that was stored is missing; later than the window's
    /// beginning where memory or the recording did not reach that far.
    pub fn covered_from(&self) -> Mono {
        self.covered_from
    }

    /// From here to the end of the window no frame was cut to its headers; never before
    /// [`Self::covered_from`].
    pub fn full_from(&self) -> Mono {
        self.full_from
    }

    /// With what the same lane had recorded in an earlier process before it. What it covers stays what it
    /// covers: nothing was recorded in between.
    pub fn preceded_by(&mut self, earlier: &Self) {
        self.segments.splice(..0, earlier.segments.iter().cloned());
    }

    /// What of it lies in this window as well.
    pub fn narrow(&mut self, window: Window) {
        let Window { from, to } = self.window;
        self.window = Window { from: from.max(window.from), to: to.min(window.to) };
    }

    /// Lets `write` bring copies of what it has in memory to the disk, `room` bytes or a segment more at a time, and
    /// gives those pages back.
    ///
    /// # Errors
    /// When `write` fails; what it did not write stays in memory.
    pub fn spool(
        &mut self,
        room: usize,
        mut write: impl FnMut(&[Pinned]) -> Result<Vec<Arc<Segment>>>,
    ) -> Result<()> {
        loop {
            let mut bytes = 0;
            let in_memory = self.segments.iter_mut().filter(|pinned| pinned.is_in_memory());
            let mut next: Vec<_> = in_memory
                .take_while(|pinned| {
                    let fits = bytes < room;
                    bytes += pinned.bytes();
                    fits
                })
                .collect();
            if next.is_empty() {
                return Ok(());
            }
            let now: Vec<Pinned> = next.iter().map(|pinned| (**pinned).clone()).collect();
            for (pinned, copy) in next.iter_mut().zip(write(&now)?) {
                pinned.replaced_by(&copy);
            }
        }
    }

    /// True while it pins memory.
    pub fn is_in_memory(&self) -> bool {
        self.segments.iter().any(Pinned::is_in_memory)
    }

    /// Gives its pages back: what it covered is still told, but there are no frames any more.
    pub fn release(&mut self) {
        self.segments = Vec::new();
    }

    /// The window's frames, in order of arrival; can be read any number of times.
    pub fn frames(&self) -> impl Iterator<Item = StoredFrame> + '_ {
        let window = self.window;
        self.segments
            .iter()
            .flat_map(Pinned::frames)
            .filter(move |frame| window.overlaps(frame.mono, frame.last()))
    }
}
