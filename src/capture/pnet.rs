//! Frames through `pnet`'s datalink channel: the fallback where the packet ring is refused.
//!
//! It promises frames, and says in [`FrameSource::unknowns`] what it cannot know. One system call per
//! frame, so it is for slow links and poor kernels; it never pretends to a count it does not have.
//!
//! The channel runs on a socket made here, for three reasons: made by `pnet` it would capture on every
//! interface until it is bound, a channel whose interface went down answers with an error that only
//! the socket's owner can clear, and the wake-up can be waited for beside it.

use std::io;
use std::time::Duration;

use ::pnet::datalink::{self, Channel, Config, DataLinkReceiver, NetworkInterface};
use tracing::warn;

use super::afpacket::{leave_out_copies, refused};
use super::filter::{Filter, UserFilter};
use super::{FrameSink, FrameSource, Interface, Ready, SourceCounters, check_snaplen};
use crate::error::{Error, Result};
use crate::frame::{Direction, Frame, FrameHeader, MAX_SNAPLEN, Origin, Reception, StampClock};
use crate::sys::packet_socket::{Instruction, PacketSocket, Woken};
use crate::sys::wakeup::Wakeup;
use crate::time::Clock;

/// Most frames per read, so that a flood does not keep the reader from everything else.
const BATCH: usize = 64;

/// How to capture on one interface.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest captured length in bytes.
    pub snaplen: u32,
    /// Whether to see frames addressed to other hosts.
    pub promiscuous: bool,
    /// Which frames to capture, judged in user space; none = all.
    pub filter: Option<Filter>,
}

impl Default for Options {
    fn default() -> Self {
        Self { snaplen: MAX_SNAPLEN, promiscuous: false, filter: None }
    }
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, naming the accepted form.
    pub fn check(&self) -> Result<()> {
        check_snaplen(self.snaplen)
    }
}

/// One interface's datalink channel.
pub struct PnetSource {
    origin: Origin,
    /// A second hand on the channel's socket.
    socket: PacketSocket,
    receiver: Box<dyn DataLinkReceiver>,
    wakeup: Wakeup,
    clock: Clock,
    filter: Option<UserFilter>,
    counters: SourceCounters,
}

impl PnetSource {
    /// Starts to capture on `interface`, which may be down; `wakeup` ends a wait early, `clock` stamps.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, for an unknown interface or hardware type, for options or a filter that
    /// mean nothing.
    pub fn open(
        interface: &Interface,
        options: &Options,
        wakeup: Wakeup,
        clock: Clock,
    ) -> Result<Self> {
        options.check()?;
        let link_type = interface.link_type()?;
        let filter = match &options.filter {
            Some(filter) => Some(filter.for_user_space(link_type)?),
            None => None,
        };
        let socket = PacketSocket::new().map_err(|error| refused(interface, &error))?;
        leave_out_copies(&socket, interface);
        let receiver =
            channel(interface, &socket, options).map_err(|error| refused(interface, &error))?;
        let origin = Origin {
            interface: interface.name.clone(),
            index: interface.index,
            link_type,
            snaplen: options.snaplen,
            clock: StampClock::Reader,
        };
        warn!(
            interface = interface.name,
            "captured without a packet ring: stamps, lengths, \
            directions and drops are not those of the kernel"
        );
        let counters = SourceCounters::default();
        Ok(Self { origin, socket, receiver, wakeup, clock, filter, counters })
    }

    /// Reads what is there, at most [`BATCH`] frames; returns how many.
    fn drain(&mut self, sink: &mut impl FrameSink) -> io::Result<usize> {
        for read in 0..BATCH {
            let bytes = match self.receiver.next() {
                Ok(bytes) => bytes,
                Err(error) if is_empty(&error) => return Ok(read),
                Err(error) => return Err(error),
            };
            if read == 0 {
                sink.batch();
            }
            let header = FrameHeader {
                wall: self.clock.now().wall,
                original_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                direction: Direction::Unknown,
                reception: Reception::Unspecified,
            };
            let frame = Frame::whole(header, bytes);
            if self.filter.as_mut().is_some_and(|filter| !filter.accepts(&frame)) {
                self.counters.filtered += 1;
                continue;
            }
            let captured = bytes.len().min(self.origin.snaplen as usize);
            sink.frame(&Frame::whole(header, &bytes[..captured]));
        }
        Ok(BATCH)
    }

    fn broken(&self, error: impl std::fmt::Display) -> Error {
        Error::operation("read from", &self.origin.interface, error)
    }
}

impl FrameSource for PnetSource {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn unknowns(&self) -> &'static [&'static str] {
        &[
            "when the kernel saw a frame: stamps are from when dashcap read it",
            "the direction of a frame",
            "the original length of a frame above 262144 bytes",
            "the outer VLAN tag, where the kernel or the interface stripped it",
            "how many frames the kernel received and dropped",
        ]
    }

    fn read(&mut self, timeout: Duration, sink: &mut impl FrameSink) -> Result<Ready> {
        let woken = self.socket.wait(timeout, &self.wakeup).map_err(|error| self.broken(error))?;
        if woken == Woken::Down {
            return Ok(Ready::Down);
        }
        match self.drain(sink) {
            Ok(0) => Ok(Ready::Idle),
            Ok(_) => Ok(Ready::Frames),
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => Ok(Ready::Down),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn counters(&mut self) -> SourceCounters {
        self.counters
    }

    fn stop(&mut self) -> Result<()> {
        self.socket
            .filter(&[Instruction::keep(0)])
            .map_err(|error| Error::operation("stop capture on", &self.origin.interface, error))
    }
}

/// The receiving half of a channel on `socket`, which it binds.
fn channel(
    interface: &Interface,
    socket: &PacketSocket,
    options: &Options,
) -> io::Result<Box<dyn DataLinkReceiver>> {
    let target = NetworkInterface {
        name: interface.name.clone(),
        description: String::new(),
        index: interface.index,
        mac: None,
        ips: Vec::new(),
        flags: 0,
    };
    let config = Config {
        read_buffer_size: MAX_SNAPLEN as usize,
        // It is asked only after poll(2) said that there is something.
        read_timeout: Some(Duration::ZERO),
        promiscuous: options.promiscuous,
        // The channel closes this descriptor, also when it fails.
        socket_fd: Some(socket.try_clone()?.into_raw_fd()),
        ..Config::default()
    };
    match datalink::channel(&target, config)? {
        Channel::Ethernet(_sender, receiver) => Ok(receiver),
        _ => Err(io::Error::other("pnet made a channel of a kind it does not have on Linux")),
    }
}

/// True for the ways the channel says that there is nothing: its own time-out, or a socket whose frame
/// was refused by the filter in between.
fn is_empty(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock | Interrupted)
}
