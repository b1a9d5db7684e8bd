//! A client of the control socket that reads frames: from its answer on, the connection is a pcapng file, written by
//! a thread of its own.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::line::RecorderLine;
use super::protocol::{Answer, FramesWanted, Trouble};
use crate::capture::Follower;
use crate::capture::filter::Filter;
use crate::error::Error;
use crate::frames::{self, FrameFeed, FramesRequest, Pin};
use crate::sys::priority;
use crate::time::{Mono, Stamp};

/// A client that takes nothing for a minute is sent away. A write that took some bytes first waits this long, and says
/// so; the next one waits as long and fails (socket(7), SO_SNDTIMEO).
const STUCK: Duration = Duration::from_secs(30);

/// Frames that are ready to be sent.
pub(super) struct FrameSender {
    asked: FramesRequest,
    feed: FrameFeed,
    _place: OwnedSemaphorePermit,
    _pin: Pin,
}

impl FrameSender {
    /// Finds out what is to be read.
    ///
    /// # Errors
    /// What the client is told instead.
    pub(super) async fn prepare(
        wanted: &FramesWanted,
        line: &RecorderLine,
    ) -> Result<Self, Answer> {
        let bad = |error: Error| Answer::error(Trouble::BadRequest, error.to_string());
        let asked = asked(wanted, line.clock().now()).map_err(bad)?;
        let place = line.reader().ok_or_else(|| {
            let busy = format!("{} clients read frames already: try again later", frames::READERS);
            Answer::error(Trouble::Busy, busy)
        })?;
        let mut feed = line.frames(asked.from).await.map_err(Answer::from)?;
        let pin = feed.pin(&asked, line.pins()).map_err(bad)?;
        Ok(Self { asked, feed, _place: place, _pin: pin })
    }

    /// What the client is told before the file begins.
    pub(super) fn answer(&self) -> Answer {
        let interfaces = self.feed.followers.iter().map(Follower::interface).map(str::to_owned);
        let wall = |mono| self.feed.at.offset().wall(mono);
        let (from, held_from) = (wall(self.asked.from), wall(self.feed.held_from(self.asked.from)));
        Answer::Frames { from, held_from, interfaces: interfaces.collect() }
    }

    /// Sends them, until there are no more or the client is gone.
    pub(super) async fn send(self, stream: UnixStream, line: RecorderLine) {
        let (done, ended) = oneshot::channel::<()>();
        let work = move || {
            match self.run(stream, &line) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    tracing::info!(
                        "a reader of frames was sent away: it took nothing for a minute"
                    );
                }
                Err(error) => tracing::info!("a reader of frames ended: {error}"),
                Ok(()) => {}
            }
            drop(done);
        };
        match thread::Builder::new().name("frames".to_owned()).spawn(work) {
            // Closed when the thread ends, also by a panic.
            Ok(_) => drop(ended.await),
            Err(error) => tracing::warn!("cannot send frames: {error}"),
        }
    }

    fn run(self, stream: UnixStream, line: &RecorderLine) -> io::Result<()> {
        // Never refused: only raising it needs a privilege.
        let _ = priority::step_back(frames::NICE);
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(STUCK))?;
        frames::serve(&self.asked, self.feed, line.clock(), || line.captures(), stream)
    }
}

/// What is wanted, on the clock of the recording.
fn asked(wanted: &FramesWanted, now: Stamp) -> Result<FramesRequest, Error> {
    if wanted.count == Some(0) {
        return Err(Error::usage("--count", "0", "that is no frame", "1 or more"));
    }
    let from = match (wanted.last, wanted.from) {
        (Some(last), _) => now.mono.minus(last),
        (None, Some(from)) => now.offset().mono(from),
        (None, None) => Mono(0),
    };
    let until = wanted.to.map(|to| now.offset().mono(to));
    let to =
        if wanted.follow { until } else { Some(until.map_or(now.mono, |to| to.min(now.mono))) };
    if to.is_some_and(|to| to < from) {
        return Err(Error::usage(
            "--to",
            wanted.to.unwrap_or(now.wall).to_string(),
            "the window ends before it begins",
            "a moment after --from, not in the future without --follow",
        ));
    }
    Ok(FramesRequest {
        interfaces: wanted.interfaces.clone(),
        from,
        to,
        filter: wanted.filter.as_deref().map(Filter::parse).transpose()?,
        except: wanted.except.as_deref().map(Filter::parse).transpose()?,
        count: wanted.count,
        without_faded: wanted.without_faded,
        without_folded: wanted.without_folded,
    })
}
