//! A frozen window of one lane: references to segments, so that freezing copies no frame.

use super::segment::Pinned;
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
    pub(super) fn new(
        window: Window,
        covered_from: Mono,
        full_from: Mono,
        segments: Vec<Pinned>,
    ) -> Self {
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

    /// Gives its pages back: what it covered is still told, but there are no frames any more.
    pub fn release(&mut self) {
        self.segments = Vec::new();
    }

    /// The window's frames, in order of arrival; can be read any number of times.
    pub fn frames(&self) -> impl Iterator<Item = StoredFrame> + '_ {
        let window = self.window;
        self.segments
            .iter()
            .flat_map(|pinned| pinned.segment.read_in_order())
            .filter(move |frame| window.overlaps(frame.mono, frame.last()))
    }
}
