//! What every kind of probe has in common: requests go out, something is heard, and nothing blocks.
//!
//! Kinds whose answer is a datagram differ only in a [`Dialect`]; TCP has an exchange of its own.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use pnet::datalink::{self, NetworkInterface};
use socket2::{SockAddr, Socket};

use crate::error::Result;

/// Longer than all of an answer that is looked at: an echo with the longest IPv4 header, a DNS header
/// with the longest question. What is longer is cut, and the rest of it never matters.
const DATAGRAM: usize = 512;

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing; there is nothing to read.
    Nothing,
    /// Something that is no answer to us.
    Stray,
    /// The answer to the request with this sequence.
    Answer(u16),
    /// The request with this sequence will not be answered any more, or not as it should.
    Refused(u16, String),
    /// The network says that something is wrong, which may or may not be about the latest request.
    Complaint(String),
}

/// One way to ask and to hear the answer. No call blocks.
pub(super) trait Exchange: Debug + Send {
    /// Sends the request with this sequence; the error says why it could not, in words. Answers to
    /// earlier requests may still come.
    fn ask(&mut self, sequence: u16) -> Result<(), String>;

    /// Looks at the next thing that came in.
    fn hear(&mut self) -> Heard;

    /// Readable when there is something to hear; none while there is nothing to hear from.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

/// How requests and answers look that are datagrams.
pub(super) trait Dialect: Debug + Send {
    /// A socket that hears the host.
    fn open(&mut self) -> io::Result<Line>;

    /// The request with this sequence.
    fn request(&mut self, sequence: u16) -> io::Result<Vec<u8>>;

    /// What a datagram says; never [`Heard::Nothing`].
    fn heard(&mut self, datagram: &[u8]) -> Heard;
}

/// A socket, and where its requests go unless it is connected.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) socket: Socket,
    pub(super) to: Option<SockAddr>,
}

/// The exchange of everything that is a datagram.
#[derive(Debug)]
pub(super) struct Datagrams<D> {
    dialect: D,
    /// None while the host cannot be reached at all.
    line: Option<Line>,
}

impl<D: Dialect> Datagrams<D> {
    pub(super) fn new(dialect: D) -> Self {
        Self { dialect, line: None }
    }

    /// A socket that refused is not used again, because its source address or its interface may be the
    /// reason.
    fn try_ask(&mut self, sequence: u16) -> io::Result<()> {
        let line = match self.line.take() {
            Some(line) => line,
            None => self.dialect.open()?,
        };
        // Stale errors of earlier requests would be taken for this one's.
        line.socket.take_error()?;
        let request = self.dialect.request(sequence)?;
        match &line.to {
            Some(to) => line.socket.send_to(&request, to)?,
            None => line.socket.send(&request)?,
        };
        self.line = Some(line);
        Ok(())
    }
}

impl<D: Dialect> Exchange for Datagrams<D> {
    fn ask(&mut self, sequence: u16) -> Result<(), String> {
        self.try_ask(sequence).map_err(|error| format!("cannot send: {error}"))
    }

    fn hear(&mut self) -> Heard {
        let Some(line) = &mut self.line else { return Heard::Nothing };
        let mut datagram = [0; DATAGRAM];
        match line.socket.read(&mut datagram) {
            Ok(length) => self.dialect.heard(&datagram[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::Nothing,
            Err(error) => Heard::Complaint(error.to_string()),
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.line.as_ref().map(|line| line.socket.as_fd())
    }
}

/// Whom to reach, and how the operator wants it done.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// The host's address, and the port where there is one.
    pub(super) far: SocketAddr,
    /// The interface to ask through.
    pub(super) interface: Option<String>,
    /// The address to ask from.
    pub(super) source: Option<IpAddr>,
}

impl Way {
    /// Makes a socket go this way. An interface or a source address that is not there is an error now
    /// and may be none the next time.
    pub(super) fn prepare(&self, socket: &Socket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        if let Some(name) = &self.interface {
            let told = |e: io::Error| io::Error::new(e.kind(), format!("through {name}: {e}"));
            socket.bind_device(Some(name.as_bytes())).map_err(told)?;
        }
        if let Some(source) = self.source {
            let told = |e: io::Error| io::Error::new(e.kind(), format!("from {source}: {e}"));
            socket.bind(&self.scoped(SocketAddr::new(source, 0))?.into()).map_err(told)?;
        }
        Ok(())
    }

    /// Connects a socket to the host. A TCP connection is then under way, not made.
    pub(super) fn connect(&self, socket: &Socket) -> io::Result<()> {
        self.prepare(socket)?;
        match socket.connect(&self.scoped(self.far)?.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
            other => other,
        }
    }

    /// A link-local address means something only together with an interface (RFC 4007 §6), which may
    /// have another index than it had a moment ago.
    fn scoped(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        match (address, &self.interface) {
            (SocketAddr::V6(mut address), Some(name)) if address.ip().is_unicast_link_local() => {
                address.set_scope_id(interface(name)?.index);
                Ok(address.into())
            }
            (address, _) => Ok(address),
        }
    }
}

/// The interface of this name.
pub(super) fn interface(name: &str) -> io::Result<NetworkInterface> {
    let gone = || io::Error::new(ErrorKind::NotFound, format!("there is no interface {name}"));
    datalink::interfaces().into_iter().find(|interface| interface.name == name).ok_or_else(gone)
}
