//! A frozen window of one lane: references to segments, so that freezing copies no frame.

use std::sync::Arc;

use super::segment::Segment;
use crate::frame::StoredFrame;
use crate::time::{Mono, Window};

/// While a slice lives, the pages of its segments are pinned.
#[derive(Debug, Clone)]
pub struct Slice {
    window: Window,
    covered_from: Mono,
    segments: Vec<Arc<Segment>>,
}

impl Slice {
    pub(super) fn new(window: Window, covered_from: Mono, segments: Vec<Arc<Segment>>) -> Self {
        Self { window, covered_from, segments }
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

    /// The window's frames, in order of arrival; can be read any number of times.
    pub fn frames(&self) -> impl Iterator<Item = StoredFrame> + '_ {
        let window = self.window;
        self.segments
            .iter()
            .flat_map(|segment| segment.read())
            .filter(move |frame| window.contains(frame.mono))
    }
}
