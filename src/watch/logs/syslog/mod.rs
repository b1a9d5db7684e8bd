//! A syslog receiver, for routers and switches that log over the network: UDP (RFC 5426) and TCP
//! (RFC 6587), messages of RFC 3164 and RFC 5424 alike.
//!
//! It listens only where the operator says, and the sender's address is all that is known of a sender:
//! anybody who reaches the address can log. What bounds it:
//!
//! * a message: [`LONGEST`] bytes, the rest is passed over;
//! * a connection: what has arrived of one message; connections: [`CONNECTIONS`], then the one that was
//!   silent the longest is closed, and that is told;
//! * a flood: so many datagrams and bytes are read before the others are heard again. Datagrams that
//!   found no room in the socket are counted by the kernel, and told.

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::sieve::{Line, Sieve};
use crate::error::{Error, Result};
use crate::observation::log_line::{Header, LONGEST, LogSource};
use crate::sys::{drops, socket};
use crate::time::{Mono, Stamp};
use crate::watch::{Wake, WatcherContext};

mod framing;
mod message;

pub use framing::Framing;
pub use message::{parse_header, split_priority};

/// Connections at once. A router has one or two; what comes beyond this is a mistake or an attack.
pub const CONNECTIONS: usize = 64;
/// The longest datagram that IP can carry.
const DATAGRAM: usize = 65_535;
/// Room for datagrams that were not read yet, in bytes of kernel memory: a second of 4,000 messages.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Datagrams before the stop wakeup is heard.
const BATCH: usize = 256;
/// Bytes per read of a connection.
const CHUNK: usize = 64 << 10;
/// Reads of a connection before others are heard.
const READS: usize = 16;
/// How long no connection is accepted after that failed, for want of descriptors or memory: the
/// waiting one would wake us at once, again and again.
const REST: Duration = Duration::from_secs(1);

/// How messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One message per datagram; what is lost on the way is lost.
    Udp,
    /// A stream of messages, framed either way of RFC 6587.
    Tcp,
}

/// The receiver on one address.
#[derive(Debug)]
pub(super) enum Receiver {
    Udp { socket: UdpSocket, dropped: u32 },
    Tcp { listener: TcpListener, connections: Vec<Connection>, rests: Option<Mono> },
}

/// One sender's connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    peer: IpAddr,
    framing: Framing,
    heard: Mono,
}

impl Receiver {
    pub(super) fn open(transport: Transport, address: SocketAddr) -> Result<Self> {
        let open = || -> io::Result<Self> {
            Ok(match transport {
                Transport::Udp => {
                    let socket = UdpSocket::bind(address)?;
                    socket.set_nonblocking(true)?;
                    socket::receive_buffer(socket.as_fd(), RECEIVE_BUFFER)?;
                    Self::Udp { socket, dropped: 0 }
                }
                Transport::Tcp => {
                    let listener = TcpListener::bind(address)?;
                    listener.set_nonblocking(true)?;
                    Self::Tcp { listener, connections: Vec::new(), rests: None }
                }
            })
        };
        open().map_err(|reason| {
            Error::operation("listen for syslog on", address.to_string(), reason).hint(
                "the address must be this host's and free, as no other syslog server may use it; \
                 ports below 1024 need root",
            )
        })
    }

    /// Where it listens: the port the kernel chose if none was given.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp { socket, .. } => socket.local_addr(),
            Self::Tcp { listener, .. } => listener.local_addr(),
        }
        .ok()
    }

    pub(super) fn run(mut self, context: &mut WatcherContext, mut sieve: Sieve) -> Result<()> {
        loop {
            if sieve.wait(context, &self.descriptors(), self.rests())? == Wake::Stop {
                return Ok(());
            }
            match &mut self {
                Self::Udp { socket, dropped } => {
                    read_datagrams(socket, context, &mut sieve)?;
                    tell_dropped(socket, dropped, context, &mut sieve);
                }
                Self::Tcp { listener, connections, rests } => {
                    read_connections(connections, context, &mut sieve);
                    let now = context.now().mono;
                    if rests.is_none_or(|until| until <= now) {
                        *rests = accept(listener, connections, context, &mut sieve);
                    }
                }
            }
        }
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Udp { socket, .. } => vec![socket.as_fd()],
            Self::Tcp { listener, connections, rests } => {
                let streams = connections.iter().map(|connection| connection.stream.as_fd());
                streams.chain(rests.is_none().then(|| listener.as_fd())).collect()
            }
        }
    }

    /// Until when no connection is accepted.
    fn rests(&self) -> Option<Mono> {
        match self {
            Self::Udp { .. } => None,
            Self::Tcp { rests, .. } => *rests,
        }
    }
}

fn read_datagrams(
    socket: &UdpSocket,
    context: &mut WatcherContext,
    sieve: &mut Sieve,
) -> Result<()> {
    let mut datagram = [0; DATAGRAM];
    for _ in 0..BATCH {
        let (length, from) = match socket.recv_from(&mut datagram) {
            Ok(received) => received,
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::operation("receive", "syslog datagrams", e)),
        };
        let at = context.now();
        let whole = datagram.get(..length).unwrap_or_default();
        let kept = whole.get(..LONGEST).unwrap_or(whole);
        take(context, sieve, at, from.ip(), kept, kept.len() < whole.len());
    }
    Ok(())
}

fn tell_dropped(
    socket: &UdpSocket,
    told: &mut u32,
    context: &mut WatcherContext,
    sieve: &mut Sieve,
) {
    // A kernel that cannot tell is older than what dashcap is made for, and then nothing is told.
    let dropped = drops::dropped(socket.as_fd()).unwrap_or(*told);
    let more = dropped.wrapping_sub(*told);
    if more > 0 {
        sieve.trouble(context, format_args!("{more} datagrams found no room in the socket"));
    }
    *told = dropped;
}

fn read_connections(
    connections: &mut Vec<Connection>,
    context: &mut WatcherContext,
    sieve: &mut Sieve,
) {
    connections.retain_mut(|connection| connection.read(context, sieve));
}

/// Accepts who waits; returns until when to leave that, if it failed.
fn accept(
    listener: &TcpListener,
    connections: &mut Vec<Connection>,
    context: &mut WatcherContext,
    sieve: &mut Sieve,
) -> Option<Mono> {
    for _ in 0..CONNECTIONS {
        let accepted = listener.accept().and_then(|(stream, peer)| {
            stream.set_nonblocking(true)?;
            Ok((stream, peer.ip()))
        });
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) if is_passing(&e) => continue,
            Err(reason) => {
                sieve.trouble(context, format_args!("a connection was not accepted: {reason}"));
                return Some(context.now().mono.plus(REST));
            }
        };
        if connections.len() >= CONNECTIONS {
            close_silent(connections, context, sieve);
        }
        let heard = context.now().mono;
        connections.push(Connection { stream, peer, framing: Framing::default(), heard });
    }
    None
}

/// Errors of a connection that ended before it was accepted (accept(2)).
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// Makes room: what the connection that was silent the longest had begun to say is still taken.
fn close_silent(
    connections: &mut Vec<Connection>,
    context: &mut WatcherContext,
    sieve: &mut Sieve,
) {
    let silent = connections.iter().enumerate().min_by_key(|(_, connection)| connection.heard);
    let Some(index) = silent.map(|(index, _)| index) else { return };
    let mut closed = connections.swap_remove(index);
    closed.finish(context, sieve);
    sieve.trouble(
        context,
        format_args!("a connection of {} was closed, {CONNECTIONS} are the limit", closed.peer),
    );
}

impl Connection {
    /// Reads what has come; false once the connection has ended.
    fn read(&mut self, context: &mut WatcherContext, sieve: &mut Sieve) -> bool {
        let mut chunk = [0; CHUNK];
        // A sender that never pauses takes turns with the others.
        for _ in 0..READS {
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    self.finish(context, sieve);
                    return false;
                }
                Ok(length) => {
                    let at = context.now();
                    self.heard = at.mono;
                    let Self { framing, peer, .. } = self;
                    framing.push(chunk.get(..length).unwrap_or_default(), |message, cut| {
                        take(context, sieve, at, *peer, message, cut);
                    });
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(reason) => {
                    self.finish(context, sieve);
                    let peer = self.peer;
                    sieve
                        .trouble(context, format_args!("the connection of {peer} broke: {reason}"));
                    return false;
                }
            }
        }
        true
    }

    fn finish(&mut self, context: &mut WatcherContext, sieve: &mut Sieve) {
        let at = context.now();
        let Self { framing, peer, .. } = self;
        framing.finish(|message, cut| take(context, sieve, at, *peer, message, cut));
    }
}

/// One message; what stands behind its priority is the line.
fn take(
    context: &mut WatcherContext,
    sieve: &mut Sieve,
    at: Stamp,
    sender: IpAddr,
    message: &[u8],
    cut: bool,
) {
    let message = String::from_utf8_lossy(message);
    let message = message.trim_end_matches(['\0', '\n', '\r']);
    let (_, text) = split_priority(message);
    let sender = sender.to_canonical();
    let line = Line { text, cut, is_local: sender.is_loopback() };
    sieve.line(context, at, line, || -> (LogSource, Header) {
        (LogSource::Syslog(sender), parse_header(message))
    });
}

#[cfg(test)]
mod tests;
