//! The stream a client gets: frames that are wanted and lines of what was seen, in order, as pcapng.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::reader::{LanesReader, Missed, POLL};
use super::{FrameFeed, FramesRequest};
use crate::APPLICATION;
use crate::capture::Follower;
use crate::capture::filter::{Filter, UserFilter};
use crate::frame::{Frame, LinkType, StoredFrame};
use crate::incident::journal::Entry;
use crate::incident::pcapng::CaptureFile;
use crate::sys::poll;
use crate::time::{Clock, Mono, Stamp};

/// So often a reader that goes on looks for interfaces that are new.
const LOOK: Duration = Duration::from_secs(1);
/// Frames between two looks at the clock and at what was seen.
const BATCH: u32 = 256;

/// Sends what is asked for until it is all there, or the client is gone. `captures` tells which interfaces are
/// recorded now; none when the recorder has ended.
///
/// # Errors
/// When the client is gone, or takes nothing for longer than its socket waits.
pub fn serve<W: Write + AsFd>(
    asked: &FramesRequest,
    feed: FrameFeed,
    clock: &Clock,
    mut captures: impl FnMut() -> Option<Vec<Follower>>,
    client: W,
) -> io::Result<()> {
    let mut stream = Stream::begin(asked, feed, client)?;
    let mut looked = stream.now.mono;
    loop {
        let now = clock.now();
        stream.now = now;
        stream.reader.ask(now.mono);
        let mut sent = 0;
        while sent < BATCH
            && let Some(frame) = stream.reader.next(now.mono)
        {
            // Before the first frame behind the hole.
            stream.tell_missed()?;
            stream.frame(&frame)?;
            sent += 1;
            if stream.is_full() {
                break;
            }
        }
        if stream.is_done() {
            return stream.end();
        }
        if sent == BATCH {
            continue;
        }
        stream.lines(stream.reader.done_until())?;
        stream.file.flush()?;
        if poll::hung_up(stream.file.get_ref().as_fd(), POLL)? {
            return Ok(());
        }
        if asked.to.is_none() && now.mono.since(looked) >= LOOK {
            looked = now.mono;
            let Some(known) = captures() else { continue };
            let known = known.into_iter().filter(|follower| asked.wants(follower)).collect();
            stream.reader.follow(known, asked.from);
        }
    }
}

/// A filter for frames of any link type.
struct Sieve<'a> {
    filter: &'a Filter,
    /// None where it does not suit a link type: then no frame of it matches.
    programs: HashMap<LinkType, Option<UserFilter>>,
}

impl<'a> Sieve<'a> {
    fn new(filter: &'a Filter) -> Self {
        Self { filter, programs: HashMap::new() }
    }

    fn matches(&mut self, frame: &StoredFrame) -> bool {
        let link_type = frame.origin.link_type;
        let programs = self.programs.entry(link_type);
        let program = programs.or_insert_with(|| self.filter.for_user_space(link_type).ok());
        let frame = Frame::whole(frame.header, &frame.bytes);
        program.as_mut().is_some_and(|program| program.accepts(&frame))
    }
}

/// What is under way.
struct Stream<'a, W: Write> {
    asked: &'a FramesRequest,
    /// When it was last looked at the clock.
    now: Stamp,
    reader: LanesReader,
    file: CaptureFile<W>,
    /// Lines that are due, oldest first, and those to come.
    lines: VecDeque<Entry>,
    live: broadcast::Receiver<Entry>,
    wanted: Option<Sieve<'a>>,
    excepted: Option<Sieve<'a>>,
    frames: u64,
    left_out: u64,
}

impl<'a, W: Write> Stream<'a, W> {
    fn begin(asked: &'a FramesRequest, feed: FrameFeed, client: W) -> io::Result<Self> {
        let mut comment = format!("{APPLICATION}: frames of {}", feed.host.name);
        if let Some(except) = &asked.except {
            comment += &format!(", without those that match {except}");
        }
        let mut reader = LanesReader::new();
        reader.follow(feed.followers, asked.from);
        Ok(Self {
            asked,
            now: feed.at,
            reader,
            file: CaptureFile::plain(client, &feed.host, &comment)?,
            lines: feed.seen.into(),
            live: feed.live,
            wanted: asked.filter.as_ref().map(Sieve::new),
            excepted: asked.except.as_ref().map(Sieve::new),
            frames: 0,
            left_out: 0,
        })
    }

    /// A frame, and before it the lines that are older.
    fn frame(&mut self, frame: &StoredFrame) -> io::Result<()> {
        if frame.last() < self.asked.from || self.asked.to.is_some_and(|to| frame.mono >= to) {
            return Ok(());
        }
        if !self.wants(frame) {
            return Ok(());
        }
        if frame.faded && self.asked.without_faded
            || frame.tally.is_some() && self.asked.without_folded
        {
            self.left_out += 1;
            return Ok(());
        }
        self.lines(frame.mono)?;
        self.frames += 1;
        self.file.frame(frame)
    }

    fn wants(&mut self, frame: &StoredFrame) -> bool {
        self.wanted.as_mut().is_none_or(|sieve| sieve.matches(frame))
            && !self.excepted.as_mut().is_some_and(|sieve| sieve.matches(frame))
    }

    /// The lines of what was seen before `until`.
    fn lines(&mut self, until: Mono) -> io::Result<()> {
        loop {
            match self.live.try_recv() {
                Ok(entry) => self.lines.push_back(entry),
                Err(TryRecvError::Lagged(count)) => {
                    let told = format!("{count} events were missed here: this reader is too slow");
                    self.lines.push_back(Entry::of_stream(self.now, &told));
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let until = self.asked.to.map_or(until, |to| until.min(to));
        while self.lines.front().is_some_and(|line| line.at.mono < until) {
            if let Some(line) = self.lines.pop_front() {
                self.file.entry(&line)?;
            }
        }
        Ok(())
    }

    /// Says what the reader came too late for.
    fn tell_missed(&mut self) -> io::Result<()> {
        for Missed { interface, class, count } in self.reader.missed() {
            let told = format!(
                "{count} frames of {interface} ({class}) are missing here: memory had to give them up before this \
                 reader took them"
            );
            self.file.entry(&Entry::of_stream(self.now, &told))?;
        }
        Ok(())
    }

    /// True if no more frames are wanted.
    fn is_full(&self) -> bool {
        self.asked.count.is_some_and(|count| self.frames >= count)
    }

    fn is_done(&self) -> bool {
        let past = self.asked.to.is_some_and(|to| self.reader.done_until() >= to);
        self.is_full() || past || self.reader.is_over()
    }

    fn end(mut self) -> io::Result<()> {
        if !self.is_full() {
            self.lines(self.now.mono)?;
        }
        if self.left_out > 0 {
            let told = format!("{} frames left out, cut to headers or counted", self.left_out);
            self.file.entry(&Entry::of_stream(self.now, &told))?;
        }
        self.file.flush()
    }
}
