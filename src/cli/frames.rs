//! `dashcap frames`: what a running dashcap has in memory, and what comes.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use super::control::{SocketOption, print, unexpected};
use super::values::TimeSpan;
use crate::api::protocol::{Answer, Command, FramesWanted};
use crate::capture::filter::Filter;
use crate::capture_file::FileSource;
use crate::capture_file::output::{Format, is_standard};
use crate::cut::{ACCEPTED, Moment};
use crate::error::{Error, Result};
use crate::frames::{session, text};
use crate::sys::poll;
use crate::time::{Clock, Wall};
use crate::visible;

/// Read frames out of the memory of a running dashcap, at once: no incident is made.
///
/// As lines, or as pcapng with --write, with what the host saw between them as in a bundle:
/// `dashcap frames --last 2m -f 'arp or port 53' -w - | tshark -r -`, or, from a desk,
/// `ssh router dashcap frames --last 5m --follow -w - | wireshark -k -i -`.
/// Frames that came so fast that they were counted are one frame with a comment that counts them; of old ones
/// memory may have only the headers. A reader that is too slow misses frames, and the stream says how many;
/// recording does not wait for it. Four can read at a time.
#[derive(Debug, Args)]
pub(super) struct Frames {
    /// From so long ago on [default: as far as memory reaches].
    #[arg(long, value_name = "DUR", conflicts_with = "from")]
    last: Option<TimeSpan>,

    /// From this moment on: RFC 3339, the local clock such as 14:14:20, seconds since 1970, or before now
    /// such as -30s.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,

    /// Up to this moment, likewise [default: now; with --follow: without end].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,

    /// Go on with what comes, until --to or an interrupt: nothing is missing and nothing comes twice in between.
    #[arg(long)]
    follow: bool,

    /// Only frames of this interface. Repeat for several.
    #[arg(short, long, value_name = "IF")]
    interface: Vec<String>,

    /// Only frames that match, in libpcap's syntax, such as 'arp or port 53'.
    #[arg(short, long, value_name = "EXPR")]
    filter: Option<String>,

    /// At most so many frames.
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,

    /// Without frames of which memory has only the headers.
    #[arg(long)]
    no_fade: bool,

    /// Without frames that stand for copies that were counted: they came too fast to be kept each.
    #[arg(long)]
    no_fold: bool,

    /// Write pcapng to this file, or to standard output for -.
    #[arg(short, long, value_name = "OUT")]
    write: Option<PathBuf>,

    /// Print one line a frame: time, interface, way, what it is. So it is done without --write.
    #[arg(long, conflicts_with = "write")]
    text: bool,

    /// With --follow: leave out the frames of this ssh session, which would carry themselves; given as ssh writes
    /// it, or '' for none [default: $SSH_CONNECTION].
    #[arg(long, value_name = "CONNECTION")]
    session: Option<String>,

    #[command(flatten)]
    socket: SocketOption,
}

/// What ssh tells a program of its connection (ssh(1), "ENVIRONMENT").
const CONNECTION: &str = "SSH_CONNECTION";
/// A time of day is the latest one that is over: a day back at most, less the hour that [`Moment::wall`] looks
/// back by itself.
const DAY: Duration = Duration::from_secs(23 * 3_600);
/// Bytes that are copied at a time: what a socket holds.
const CHUNK: usize = 256 << 10;

impl Frames {
    pub(super) fn start(self) -> Result<ExitCode> {
        if let Some(path) = &self.write
            && Format::of(path)? != Format::Pcapng
        {
            return Err(Error::usage(
                "--write",
                path.display().to_string(),
                "frames are written as pcapng; dashcap cut makes other formats of it",
                "a name that ends with .pcapng, or - for standard output",
            ));
        }
        let wanted = self.wanted()?;
        let stdout = io::stdout();
        let over;
        match &self.write {
            Some(path) if !is_standard(path) => {
                let name = path.display().to_string();
                let file = File::create(path).map_err(|e| Error::operation("write", &*name, e))?;
                let stream = self.ask(wanted, &file)?;
                over = Arc::clone(&stream.over);
                copy(stream, &file, &name)
            }
            Some(_) => {
                let stream = self.ask(wanted, &stdout)?;
                over = Arc::clone(&stream.over);
                copy(stream, stdout.lock(), "standard output")
            }
            None => {
                let stream = self.ask(wanted, &stdout)?;
                over = Arc::clone(&stream.over);
                let mut file = FileSource::from_reader("the frames", stream)?;
                text::lines(&mut file, &TimeZone::system(), print)
            }
        }?;
        let is_endless = self.follow && self.to.is_none() && self.count.is_none();
        if is_endless && over.load(Relaxed) {
            let ended = io::Error::new(ErrorKind::UnexpectedEof, "dashcap has ended");
            return Err(Error::operation("follow", "the frames", ended));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Asks for them, and says so if memory reaches less far than was asked for.
    fn ask(&self, wanted: FramesWanted, taker: &impl AsFd) -> Result<FramesReader> {
        let reader = FramesReader::ask(&self.socket, wanted, taker)?;
        if (self.last.is_some() || self.from.is_some()) && reader.held_from > reader.from {
            eprintln!("dashcap: memory has all frames since {} only", reader.held_from);
        }
        Ok(reader)
    }

    fn wanted(&self) -> Result<FramesWanted> {
        let now = Clock::system().now().wall;
        let filter = self.filter.as_deref().map(Filter::parse).transpose()?;
        Ok(FramesWanted {
            interfaces: self.interface.clone(),
            last: self.last.map(|last| last.0),
            from: self.from.as_deref().map(|text| moment("--from", text, now)).transpose()?,
            to: self.to.as_deref().map(|text| moment("--to", text, now)).transpose()?,
            follow: self.follow,
            filter: filter.map(|filter| filter.to_string()),
            except: self.excepted()?,
            count: self.count,
            without_faded: self.no_fade,
            without_folded: self.no_fold,
        })
    }

    /// What matches the frames of the session that this runs in.
    fn excepted(&self) -> Result<Option<String>> {
        if !self.follow {
            return Ok(None);
        }
        if let Some(connection) = self.session.as_deref().filter(|text| !text.is_empty()) {
            return session::filter(connection).map(Some).ok_or_else(|| {
                let accepted = "address and port of the client, then of the server, or ''";
                Error::usage("--session", connection, "this is no connection of ssh", accepted)
            });
        }
        let connection = std::env::var(CONNECTION).ok().filter(|_| self.session.is_none());
        let Some(connection) = connection else { return Ok(None) };
        let excepted = session::filter(&connection);
        if excepted.is_some() {
            eprintln!(
                "dashcap: without the frames of this ssh session ({}), which would carry themselves; \
                 --session '' keeps them",
                visible::plain(&connection)
            );
        }
        Ok(excepted)
    }
}

/// The frames, as pcapng, for as long as somebody takes them: who is gone leaves the place to others at once, not
/// with the next frame.
pub(super) struct FramesReader {
    stream: BufReader<UnixStream>,
    taker: OwnedFd,
    /// The first moment that was asked for.
    from: Wall,
    /// Since then memory has every frame.
    held_from: Wall,
    /// Set when dashcap has said all, or is gone.
    over: Arc<AtomicBool>,
}

impl FramesReader {
    /// Asks the dashcap at `socket` for frames; `taker` is where they go.
    pub(super) fn ask(
        socket: &SocketOption,
        wanted: FramesWanted,
        taker: &impl AsFd,
    ) -> Result<Self> {
        let mut client = socket.ask(&Command::Frames(wanted))?;
        let answer = client.answer()?;
        let Answer::Frames { from, held_from, .. } = answer else {
            return Err(unexpected(&answer));
        };
        let taker = taker.as_fd().try_clone_to_owned();
        let taker = taker.map_err(|e| Error::operation("watch", "who takes the frames", e))?;
        let over = Arc::default();
        Ok(Self { stream: client.into_stream()?, taker, from, held_from, over })
    }
}

impl Read for FramesReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (stream, taker) = (self.stream.get_ref().as_fd(), self.taker.as_fd());
        if self.stream.buffer().is_empty() && !poll::readable_while_read(stream, taker)? {
            return Ok(0);
        }
        let read = self.stream.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.over.store(true, Relaxed);
        }
        Ok(read)
    }
}

/// A moment as it is typed, at `now`.
pub(super) fn moment(option: &str, text: &str, now: Wall) -> Result<Wall> {
    let refused = |reason: String| Error::usage(option, text, reason, ACCEPTED);
    match Moment::parse(text, &TimeZone::system()).map_err(refused)? {
        Moment::FromStart(_) => {
            Err(refused("memory has no beginning that stays; say how long before now".to_owned()))
        }
        moment => Ok(moment.wall(now.minus(DAY), now)),
    }
}

/// Everything there is, as soon as it is there. A reader that has seen enough ends it in peace.
pub(super) fn copy(mut from: impl Read, mut to: impl Write, name: &str) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::operation("read", "the frames", e)),
        };
        match to.write_all(&chunk[..read]).and_then(|()| to.flush()) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|e| Error::operation("write", name, e))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_before_now() {
        let now = Wall(1_795_356_860_000_000_000);
        assert_eq!(moment("--from", "-30s", now).unwrap(), now.minus(Duration::from_secs(30)));
        assert_eq!(
            moment("--from", "1795356800", now).unwrap(),
            now.minus(Duration::from_secs(60))
        );
        assert!(moment("--from", "00:00:00", now).unwrap() <= now);
        assert!(moment("--from", "23:59:59.999", now).unwrap() <= now.plus(Duration::from_secs(1)));
        let refused = moment("--from", "+30s", now).unwrap_err().to_string();
        assert!(refused.contains("how long before now"), "{refused}");
    }
}
