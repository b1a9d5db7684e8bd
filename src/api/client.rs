//! The other end of the control socket: what `dashcap snapshot`, `status` and the like speak with.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{self, Answer, Command};
use super::session::ALIVE;
use crate::error::{Error, Result};

/// A dashcap that says nothing for so long is stuck: it would have said that it is alive.
const SILENCE: Duration = ALIVE.saturating_mul(4);
/// Longest answer in bytes: a status with thousands of interfaces, some 2 KiB each.
const LONGEST: u64 = 16 << 20;

/// A connection to a running dashcap.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the dashcap whose control socket is at `path`.
    ///
    /// # Errors
    /// When nobody listens there, or this user may not ask.
    pub fn connect(path: &Path) -> Result<Self> {
        let connect = || -> io::Result<UnixStream> {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(SILENCE))?;
            stream.set_write_timeout(Some(SILENCE))?;
            Ok(stream)
        };
        let stream = connect().map_err(|e| {
            let hint = match e.kind() {
                io::ErrorKind::PermissionDenied => "be root, or in the group of the socket",
                _ => "is dashcap running? It may listen elsewhere: --control PATH",
            };
            Error::operation("reach dashcap at", path.display().to_string(), e).hint(hint)
        })?;
        Ok(Self { path: path.to_owned(), stream: BufReader::new(stream) })
    }

    /// Asks.
    ///
    /// # Errors
    /// When dashcap is gone.
    pub fn ask(&mut self, command: &Command) -> Result<()> {
        let line = protocol::command(command);
        match self.stream.get_mut().write_all(line.as_bytes()) {
            // It says why before it hangs up.
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(self.failed(&e)),
            _ => Ok(()),
        }
    }

    /// The next answer that says something.
    ///
    /// # Errors
    /// When dashcap refuses, is gone, or says nothing for a minute.
    pub fn answer(&mut self) -> Result<Answer> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(LONGEST).read_until(b'\n', &mut line);
            match read.map_err(|e| self.failed(&e))? {
                0 => return Err(self.failed(&"it hung up")),
                _ => match protocol::answered(&line).map_err(|e| self.failed(&e))? {
                    Answer::Alive => {}
                    Answer::Error { message, .. } => return Err(self.failed(&message)),
                    answer => return Ok(answer),
                },
            }
        }
    }

    /// What follows the answers, where they say that something does: it may be silent for as long as it likes.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn into_stream(self) -> Result<BufReader<UnixStream>> {
        let unlimited = self.stream.get_ref().set_read_timeout(None);
        unlimited.map_err(|e| self.failed(&e))?;
        Ok(self.stream)
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::operation("ask dashcap at", self.path.display().to_string(), reason)
    }
}
