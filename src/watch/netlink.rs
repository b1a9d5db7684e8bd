//! rtnetlink as watchers need it: a [`Subscription`] to the kernel's announcements, and dumps of the
//! whole state.
//!
//! ```text
//!   subscribe ─► state, settled ─► hear, hear, ... ─┬─► news, stamped
//!                     ▲                             └─► overflow
//!                     └──────── settled again ───────────┘
//! ```
//!
//! It promises to hand over messages as they come, one datagram at a time, and to say so when some
//! were lost. It never takes a message that another process sent, and never fails for a message it
//! does not understand. Dumps go over a socket of their own: announcements and answers never mix.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_packet_core::{
    ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE,
    NLMSG_ERROR, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use socket2::{SockFilter, SockRef};

use crate::error::{Error, Result};
use crate::sys::{poll, socket};
use crate::time::Stamp;

/// The kernel puts at most 32 KiB into a datagram of a dump (`netlink_dump()`, net/netlink/af_netlink.c)
/// and one message into an announcement, whose attributes have 16-bit lengths: 64 KiB hold either. A
/// datagram that fills it all may have been cut.
const DATAGRAM: usize = 64 * 1024;
/// The kernel's own address (netlink(7)); other processes have others.
const KERNEL: u32 = 0;
/// The kernel composes a dump while we read it; longer than this it has never been seen to take.
const DUMP_PATIENCE: Duration = Duration::from_secs(5);
/// How soon the state is read anew after the recorder had no room.
pub(super) const RESYNC: Duration = Duration::from_millis(100);
/// What is told of announcements that were lost, when the state was read anew.
pub(super) const OVERFLOWED: &str = "the netlink socket overflowed, so the state was read anew";
/// A dump that something changed under (`NLM_F_DUMP_INTR`) is asked for again this many times.
const DUMP_TRIES: usize = 5;

/// How often the state is read again because something was announced meanwhile, before it is taken as
/// it is: then what was announced follows as changes.
const SETTLE_TRIES: usize = 5;

/// How a message is read: its type, flags and payload; none for what does not belong.
type Read<N> = fn(u16, u16, &[u8]) -> Option<N>;

/// A subscription to some of the kernel's announcements, and what each of them says.
#[derive(Debug)]
pub(super) struct Subscription<N> {
    socket: Socket,
    read: Read<N>,
}

/// What one datagram says.
#[derive(Debug)]
pub(super) enum Heard<N> {
    /// What was announced, possibly nothing that belongs.
    News(Vec<N>),
    /// Nothing is waiting.
    Nothing,
    /// Announcements were lost.
    Overflow,
}

impl<N> Subscription<N> {
    /// Hears `groups` (`RTNLGRP_*` of linux/rtnetlink.h) from now on, with room for `buffer` bytes of
    /// announcements that were not read yet.
    pub(super) fn open(groups: &[u32], buffer: usize, read: Read<N>) -> Result<Self> {
        Ok(Self { socket: Socket::open(groups, buffer)?, read })
    }

    /// Lets the kernel drop announcements by a classic BPF program (linux/filter.h) over the message.
    pub(super) fn filtered(self, program: &[SockFilter]) -> Result<Self> {
        SockRef::from(&self.socket.as_fd())
            .attach_filter(program)
            .map_err(|e| Error::operation("filter", "a netlink socket", e))?;
        Ok(self)
    }

    /// One datagram, without waiting: stamped first, then understood.
    pub(super) fn hear(&mut self, clock: impl Fn() -> Stamp) -> Result<(Stamp, Heard<N>)> {
        let received = self.socket.receive()?;
        let at = clock();
        let heard = match received {
            Received::Nothing => Heard::Nothing,
            Received::Overflow => Heard::Overflow,
            Received::Messages(messages) => Heard::News(messages.read(self.read).collect()),
        };
        Ok((at, heard))
    }

    /// What `state` reads at a moment when nothing waits here to be heard. What was announced before says
    /// nothing that this state does not.
    pub(super) fn baseline<S>(&mut self, state: impl Fn() -> Result<S>) -> Result<S> {
        self.settled(|_| (), state)
    }

    /// The same, with what was announced meanwhile: history that the final state may hide.
    pub(super) fn resync<S>(
        &mut self,
        clock: impl Fn() -> Stamp,
        state: impl Fn() -> Result<S>,
    ) -> Result<(Vec<(Stamp, N)>, S)> {
        let mut announced = Vec::new();
        let state = self.settled(|news| announced.push((clock(), news)), state)?;
        Ok((announced, state))
    }

    /// An overflow needs no word here, because the state is read after it.
    fn settled<S>(
        &mut self,
        mut announced: impl FnMut(N),
        state: impl Fn() -> Result<S>,
    ) -> Result<S> {
        for _ in 1..SETTLE_TRIES {
            self.drain(&mut announced)?;
            let state = state()?;
            if !self.drain(&mut announced)? {
                return Ok(state);
            }
        }
        state()
    }

    /// Reads all that waits; true if anything did.
    fn drain(&mut self, announced: &mut impl FnMut(N)) -> Result<bool> {
        let mut any = false;
        loop {
            match self.socket.receive()? {
                Received::Nothing => return Ok(any),
                Received::Overflow => any = true,
                Received::Messages(messages) => {
                    any = true;
                    messages.read(self.read).for_each(&mut *announced);
                }
            }
        }
    }
}

impl<N> AsFd for Subscription<N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket of `NETLINK_ROUTE`.
#[derive(Debug)]
struct Socket {
    socket: netlink_sys::Socket,
    datagram: Vec<u8>,
}

/// What a read found.
#[derive(Debug)]
enum Received<'a> {
    /// Messages of the kernel, possibly none.
    Messages(Messages<'a>),
    /// Nothing is waiting.
    Nothing,
    /// Messages were lost: the socket's buffer was full (ENOBUFS, netlink(7)) or a datagram was longer
    /// than ours.
    Overflow,
}

/// The messages of one datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Those in a datagram of the kernel; what is cut short at its end is left out.
    pub(super) fn of(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }

    /// What each of them says.
    pub(super) fn read<N>(self, read: Read<N>) -> impl Iterator<Item = N> + 'a
    where
        N: 'a,
    {
        let says = move |message: NetlinkBuffer<&[u8]>| {
            read(message.message_type(), message.flags(), message.payload())
        };
        self.filter_map(says)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = NetlinkBuffer<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = NetlinkBuffer::new_checked(self.0).ok()?;
        let length = (message.length() as usize).next_multiple_of(NLMSG_ALIGNTO.into());
        self.0 = self.0.get(length..).unwrap_or_default();
        Some(message)
    }
}

impl Socket {
    fn open(groups: &[u32], buffer: usize) -> Result<Self> {
        let open = || -> io::Result<netlink_sys::Socket> {
            let mut netlink = netlink_sys::Socket::new(NETLINK_ROUTE)?;
            netlink.bind_auto()?;
            netlink.set_non_blocking(true)?;
            socket::receive_buffer(netlink.as_fd(), buffer)?;
            groups.iter().try_for_each(|group| netlink.add_membership(*group))?;
            Ok(netlink)
        };
        let socket = open().map_err(|e| Error::operation("open", "a netlink socket", e))?;
        Ok(Self { socket, datagram: Vec::with_capacity(DATAGRAM) })
    }

    /// Reads one datagram without waiting.
    fn receive(&mut self) -> Result<Received<'_>> {
        self.datagram.clear();
        match self.socket.recv_from(&mut self.datagram, 0) {
            Ok((_, from)) if from.port_number() != KERNEL => Ok(Received::Messages(Messages(&[]))),
            Ok((length, _)) if length >= self.datagram.capacity() => Ok(Received::Overflow),
            Ok(_) => Ok(Received::Messages(Messages(&self.datagram))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Received::Nothing),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Received::Nothing),
            Err(e) if is_overflow(&e) => Ok(Received::Overflow),
            Err(e) => Err(Error::operation("read from", "the netlink socket", e)),
        }
    }

    fn request(&self, message: RouteNetlinkMessage) -> io::Result<()> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(KERNEL, 0), 0).map(|_| ())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `ENOBUFS`, which [`io::ErrorKind`] has no name for (asm-generic/errno.h; differs on old
/// architectures that dashcap has never seen).
fn is_overflow(error: &io::Error) -> bool {
    const ENOBUFS: i32 = 105;
    error.raw_os_error() == Some(ENOBUFS)
}

/// All that the kernel answers to `request`: each message's type and payload go through `read`, which
/// returns none for what does not belong.
pub(super) fn dump<T>(
    request: &RouteNetlinkMessage,
    buffer: usize,
    read: impl Fn(u16, &[u8]) -> Option<T>,
) -> Result<Vec<T>> {
    let failed = |reason: &dyn std::fmt::Display| {
        Error::operation("read", "the kernel's state over netlink", reason)
    };
    let mut socket = Socket::open(&[], buffer)?;
    let mut answer = Vec::new();
    for _ in 0..DUMP_TRIES {
        answer.clear();
        socket.request(request.clone()).map_err(|e| failed(&e))?;
        if read_dump(&mut socket, &read, &mut answer)? {
            return Ok(answer);
        }
    }
    // It changes faster than it can be read. What was read is recent all the same, and whatever
    // changed announces itself.
    Ok(answer)
}

/// Reads to the end of one dump; true if nothing changed under it.
fn read_dump<T>(
    socket: &mut Socket,
    read: impl Fn(u16, &[u8]) -> Option<T>,
    answer: &mut Vec<T>,
) -> Result<bool> {
    let failed =
        |reason: String| Error::operation("read", "the kernel's state over netlink", reason);
    let mut consistent = true;
    loop {
        poll::readable(&[socket.as_fd()], Some(DUMP_PATIENCE))
            .map_err(|e| failed(e.to_string()))?;
        let messages = match socket.receive()? {
            Received::Messages(messages) => messages,
            Received::Nothing => {
                return Err(failed(format!("no answer in {} s", DUMP_PATIENCE.as_secs())));
            }
            Received::Overflow => return Err(failed("the answer is cut off".to_owned())),
        };
        for message in messages {
            consistent &= message.flags() & NLM_F_DUMP_INTR == 0;
            match message.message_type() {
                NLMSG_DONE => return Ok(consistent),
                NLMSG_ERROR => {
                    let code = ErrorBuffer::new_checked(message.payload())
                        .ok()
                        .and_then(|error| error.code())
                        .map_or(0, |code| code.get().saturating_abs());
                    return Err(failed(io::Error::from_raw_os_error(code).to_string()));
                }
                kind => answer.extend(read(kind, message.payload())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_where_they_stop_making_sense() {
        // Two messages of the shortest kind (linux/netlink.h: 16 bytes), the second padded, then rubbish.
        let mut bytes = Vec::new();
        for (length, kind) in [(16_u32, 16_u16), (17, 17)] {
            let mut message = length.to_ne_bytes().to_vec();
            message.extend(kind.to_ne_bytes());
            message.resize((length as usize).next_multiple_of(4), 0);
            bytes.extend(message);
        }
        bytes.extend([0xff; 7]);
        let kinds: Vec<u16> = Messages(&bytes).map(|m| m.message_type()).collect();
        assert_eq!(kinds, [16, 17]);
        assert_eq!(Messages(&[]).count(), 0);
        assert_eq!(Messages(&[0; 16]).count(), 0, "a length of zero does not go on forever");
    }
}
