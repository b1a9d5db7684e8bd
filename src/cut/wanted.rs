//! Which frames: those of the window, of the interfaces that were named, that the filter accepts.

use super::Options;
use crate::capture::filter::{Filter, UserFilter};
use crate::capture_file::cursor::Window;
use crate::capture_file::{FileFrame, FileSource};
use crate::error::Result;
use crate::frame::{Frame, FrameHeader, LinkType, Origin};
use crate::time::Wall;

/// The choice, and what it refused.
pub(super) struct Wanted<'a> {
    pub(super) window: Window,
    interfaces: &'a [String],
    filter: Option<&'a Filter>,
    /// One program per link type.
    programs: Vec<(LinkType, UserFilter)>,
    /// For each file, for each of its interfaces that was met: none if it is not wanted, else its program.
    views: Vec<Vec<View>>,
    pub(super) filtered: u64,
    pub(super) passed_over: u64,
}

#[derive(Clone, Copy)]
struct View {
    wanted: bool,
    program: Option<usize>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(options: &'a Options, window: Window) -> Self {
        Self {
            window,
            interfaces: &options.interfaces,
            filter: options.filter.as_ref(),
            programs: Vec::new(),
            views: options.files.iter().map(|_| Vec::new()).collect(),
            filtered: 0,
            passed_over: 0,
        }
    }

    /// True if the frame belongs into the output. Called once per frame.
    ///
    /// # Errors
    /// Wrong usage, when the filter does not fit the link type.
    pub(super) fn wants(
        &mut self,
        number: usize,
        file: &FileSource,
        frame: &FileFrame<'_>,
        wall: Wall,
    ) -> Result<bool> {
        if !self.window.contains(wall) {
            return Ok(false);
        }
        if self.filter.is_none() && self.interfaces.is_empty() {
            return Ok(true);
        }
        while self.views[number].len() <= frame.origin {
            let view = self.view(&file.origins()[self.views[number].len()])?;
            self.views[number].push(view);
        }
        let View { wanted, program } = self.views[number][frame.origin];
        if !wanted {
            self.passed_over += 1;
            return Ok(false);
        }
        let Some(program) = program else { return Ok(true) };
        let accepted =
            self.programs[program].1.accepts(&Frame::whole(FrameHeader::default(), frame.bytes));
        self.filtered += u64::from(!accepted);
        Ok(accepted)
    }

    fn view(&mut self, origin: &Origin) -> Result<View> {
        let wanted = self.interfaces.is_empty() || self.interfaces.contains(&origin.interface);
        let Some(filter) = self.filter.filter(|_| wanted) else {
            return Ok(View { wanted, program: None });
        };
        let link_type = origin.link_type;
        let program = match self.programs.iter().position(|(known, _)| *known == link_type) {
            Some(known) => known,
            None => {
                self.programs.push((link_type, filter.for_user_space(link_type)?));
                self.programs.len() - 1
            }
        };
        Ok(View { wanted, program: Some(program) })
    }
}
