//! TCP connections, and HTTP upon them: every request is a connection of its own, which is closed as soon
//! as it told what we wanted to know. A body is never read, so a server that is still sending one sees
//! the connection reset, as with the health checks of load balancers.
//!
//! ```text
//!   connecting ──► connected: an answer           tcp:
//!        └───────► sending ──► reading a status   http:
//! ```
//!
//! A connection may take longer than its request may wait for it, because a lost SYN is sent again only
//! after a second (RFC 6298 §2.1), so the latest few stay under way and tell late answers. All of them
//! are heard through one descriptor, an epoll(7) set, which is readable when any of them goes on.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use socket2::{Domain, Protocol, Socket, Type};

use super::exchange::{Exchange, Heard, Way};
use super::http::{Get, LONGEST};

/// Connections under way at most; the oldest is closed for a new one. At the default interval these are
/// enough for a second and a third SYN, which leave after one and three seconds.
const UNDER_WAY: usize = 5;
/// Bytes read at once.
const READ: usize = 4 << 10;

/// Connections to one port.
#[derive(Debug)]
pub(super) struct Connections {
    way: Way,
    /// What is asked once connected; none if being connected is the answer.
    get: Option<Get>,
    ready: OwnedFd,
    under_way: VecDeque<Connection>,
}

#[derive(Debug)]
struct Connection {
    sequence: u16,
    socket: Socket,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    /// So many bytes of the request are sent.
    Sending(usize),
    /// So much of the answer is read.
    Reading(Vec<u8>),
}

/// How far a connection came.
enum Progress {
    /// It waits for the network.
    Waits,
    /// It may go on at once.
    Moved,
    Answered,
    Refused(String),
}

impl Connections {
    /// No connection yet.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub(super) fn new(way: Way, get: Option<Get>) -> io::Result<Self> {
        let ready = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { way, get, ready, under_way: VecDeque::with_capacity(UNDER_WAY) })
    }

    fn begin(&mut self, sequence: u16) -> io::Result<()> {
        let domain = Domain::for_address(self.way.far);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        self.way.connect(&socket)?;
        // The kernel takes it out of the set when it is closed.
        epoll::add(&self.ready, &socket, EventData::new_u64(sequence.into()), EventFlags::OUT)?;
        if self.under_way.len() == UNDER_WAY {
            self.under_way.pop_front();
        }
        self.under_way.push_back(Connection { sequence, socket, stage: Stage::Connecting });
        Ok(())
    }
}

impl Exchange for Connections {
    fn ask(&mut self, sequence: u16) -> Result<(), String> {
        self.begin(sequence).map_err(|error| cannot_connect(&error))
    }

    fn hear(&mut self) -> Heard {
        for place in 0..self.under_way.len() {
            let Some(connection) = self.under_way.get_mut(place) else { break };
            let sequence = connection.sequence;
            let heard = match connection.go_on(self.get.as_ref(), self.ready.as_fd()) {
                Progress::Waits | Progress::Moved => continue,
                Progress::Answered => Heard::Answer(sequence),
                Progress::Refused(reason) => Heard::Refused(sequence, reason),
            };
            self.under_way.remove(place);
            return heard;
        }
        Heard::Nothing
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (!self.under_way.is_empty()).then(|| self.ready.as_fd())
    }
}

impl Connection {
    /// Until it waits or has ended.
    fn go_on(&mut self, get: Option<&Get>, ready: BorrowedFd<'_>) -> Progress {
        loop {
            let progress = match &self.stage {
                Stage::Connecting => self.connected(get),
                Stage::Sending(_) => self.send(get, ready),
                Stage::Reading(_) => self.read(get),
            };
            match progress {
                Ok(Progress::Moved) => {}
                Ok(ended) => return ended,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waits,
                Err(error) => return Progress::Refused(cannot_connect(&error)),
            }
        }
    }

    /// connect(2): once writable, the error of the socket tells, or its peer does.
    fn connected(&mut self, get: Option<&Get>) -> io::Result<Progress> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) if get.is_none() => Ok(Progress::Answered),
            Ok(_) => {
                self.stage = Stage::Sending(0);
                Ok(Progress::Moved)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(Progress::Waits),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, get: Option<&Get>, ready: BorrowedFd<'_>) -> io::Result<Progress> {
        let Stage::Sending(sent) = &mut self.stage else { return Ok(Progress::Waits) };
        let rest = get.and_then(|get| get.request.get(*sent..)).unwrap_or_default();
        if !rest.is_empty() {
            *sent += self.socket.write(rest)?;
            return Ok(Progress::Moved);
        }
        let event = EventData::new_u64(self.sequence.into());
        epoll::modify(ready, &self.socket, event, EventFlags::IN)?;
        self.stage = Stage::Reading(Vec::new());
        Ok(Progress::Moved)
    }

    fn read(&mut self, get: Option<&Get>) -> io::Result<Progress> {
        let Stage::Reading(answer) = &mut self.stage else { return Ok(Progress::Waits) };
        let mut bytes = [0; READ];
        let room = READ.min(LONGEST - answer.len().min(LONGEST));
        let length = self.socket.read(&mut bytes[..room])?;
        answer.extend(&bytes[..length]);
        Ok(match get.and_then(|get| get.judge(answer)) {
            Some(Ok(())) => Progress::Answered,
            Some(Err(reason)) => Progress::Refused(reason),
            None if length == 0 => Progress::Refused("closed without an answer".to_owned()),
            None => Progress::Moved,
        })
    }
}

/// The same words whether the kernel knows at once or later.
fn cannot_connect(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => format!("cannot connect: {error}"),
    }
}
