//! Frames from the kernel's packet ring (AF_PACKET, TPACKET_V3): the source that knows everything.
//!
//! It promises every frame in order, with the VLAN tag that the kernel stripped back in its place, the
//! kernel's stamp, direction and original length, and counters that are exact to the frame. It never
//! allocates, locks, logs or calls the kernel per frame: one look at a status word per block, one
//! poll(2) when there is none. It survives its interface going down and up; when the interface is
//! removed it stays silent, and whoever reads it opens another for the new index.
//!
//! The order of opening leaves no early leak and no early loss: a socket with protocol 0 is called for
//! no frame at all, so ring, filter, stamps and promiscuous mode are in place when binding starts it.
//!
//! Snaplen counts the frame as it is on the wire, tag included: a frame that grew by its tag is cut to
//! snaplen again, so the captured length never exceeds [`Origin::snaplen`].

use std::io;
use std::mem;
use std::time::Duration;

use tracing::{info, warn};

use super::filter::{Filter, UserFilter};
use super::vlan::{Insertion, cut, frame};
use super::{FrameSink, FrameSource, Interface, Ready, SourceCounters, check_snaplen};
use crate::error::{Error, Result};
use crate::frame::{LinkType, MAX_SNAPLEN, Origin, StampClock};
use crate::sys::packet_ring::{Geometry, KernelRing};
use crate::sys::packet_socket::{Instruction, PacketSocket, Woken};
use crate::sys::wakeup::Wakeup;

/// A kernel block is handed over when it is full or this old (`tp_retire_blk_tov`). Shorter costs
/// wake-ups on busy links, longer delays what packet watchers see.
pub const RETIRE: Duration = Duration::from_millis(10);

/// How to capture on one interface.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of blocks in the kernel's ring.
    pub blocks: u32,
    /// Bytes per block, a power of two. A frame longer than a block is cut to it.
    pub block_size: u32,
    /// Longest captured length in bytes.
    pub snaplen: u32,
    /// Whether to see frames addressed to other hosts.
    pub promiscuous: bool,
    /// Whether to ask the interface's clock for the stamps.
    pub hardware_stamps: bool,
    /// Which frames to capture; none = all.
    pub filter: Option<Filter>,
}

/// 64 blocks of 1 MiB: at 10 Gbit/s this bridges 50 ms in which the reader does not run. The kernel's
/// ring comes on top of the memory for history.
impl Default for Options {
    fn default() -> Self {
        Self {
            blocks: 64,
            block_size: 1 << 20,
            snaplen: MAX_SNAPLEN,
            promiscuous: false,
            hardware_stamps: false,
            filter: None,
        }
    }
}

impl Options {
    /// Fewest blocks: one being filled while one is read.
    pub const MIN_BLOCKS: u32 = 2;
    /// Smallest block: 16 pages, room for many frames, so that blocks and not frames cost wake-ups.
    pub const MIN_BLOCK_SIZE: u32 = 1 << 16;
    /// Largest block: what the page allocator gives in one piece (`MAX_PAGE_ORDER` 10, x86 and arm64
    /// with 4 KiB pages).
    pub const MAX_BLOCK_SIZE: u32 = 1 << 22;
    /// Largest ring in bytes: kernel memory that nobody can swap.
    pub const MAX_RING: u64 = 1 << 32;

    /// Refuses what the kernel would refuse, and what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, naming the accepted form.
    pub fn check(&self) -> Result<()> {
        check_snaplen(self.snaplen)?;
        let sizes = Self::MIN_BLOCK_SIZE..=Self::MAX_BLOCK_SIZE;
        if !sizes.contains(&self.block_size) || !self.block_size.is_power_of_two() {
            return Err(Error::usage(
                "kernel ring block size",
                self.block_size.to_string(),
                "the kernel divides a ring into blocks of whole pages",
                format!(
                    "a power of two from {} to {} bytes",
                    Self::MIN_BLOCK_SIZE,
                    Self::MAX_BLOCK_SIZE
                ),
            ));
        }
        let ring = u64::from(self.blocks) * u64::from(self.block_size);
        if self.blocks < Self::MIN_BLOCKS || ring > Self::MAX_RING {
            let least = u64::from(Self::MIN_BLOCKS) * u64::from(self.block_size);
            return Err(Error::usage(
                "--kernel-memory",
                format!("{} blocks of {} bytes", self.blocks, self.block_size),
                "the ring has at least two blocks and at most 2GiB",
                format!("{least} to {} bytes, such as 64MiB", Self::MAX_RING),
            ));
        }
        Ok(())
    }
}

/// Why there is no packet ring.
#[derive(Debug)]
pub enum Refusal {
    /// Nobody may or can capture on this interface.
    Capture(Error),
    /// Capture is possible, but not with a packet ring: another source may do.
    Ring(Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Capture(error) | Refusal::Ring(error) => error,
        }
    }
}

/// One interface's packet ring.
#[derive(Debug)]
pub struct PacketRing {
    origin: Origin,
    ring: KernelRing,
    wakeup: Wakeup,
    filter: Option<UserFilter>,
    counters: SourceCounters,
    /// ENETDOWN was heard and not told yet.
    down: bool,
}

impl PacketRing {
    /// Starts to capture on `interface`, which may be down; `wakeup` ends a wait early.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, for an unknown interface or hardware type, for options or a filter that
    /// mean nothing ([`Refusal::Capture`]); where the kernel has no packet ring or no memory for it
    /// ([`Refusal::Ring`]).
    pub fn open(interface: &Interface, options: &Options, wakeup: Wakeup) -> Result<Self, Refusal> {
        options.check().map_err(Refusal::Capture)?;
        let link_type = interface.link_type().map_err(Refusal::Capture)?;
        let refused = |error| Refusal::Capture(refused(interface, &error));
        let geometry = Geometry { blocks: options.blocks, block_size: options.block_size };
        let socket = PacketSocket::new().map_err(refused)?;
        let ring = KernelRing::new(socket, geometry, RETIRE).map_err(|error| {
            let ring = Error::operation("set up the packet ring of", &interface.name, error);
            Refusal::Ring(ring.hint("the kernel may lack memory for it: try fewer blocks"))
        })?;
        let socket = ring.socket();
        leave_out_copies(socket, interface);
        let clock = stamps(socket, interface, options.hardware_stamps);
        let filter = attach(socket, interface, link_type, options).map_err(Refusal::Capture)?;
        if options.promiscuous {
            socket.promiscuous(interface.index).map_err(refused)?;
        }
        socket.bind(interface.index).map_err(refused)?;
        let origin = Origin {
            interface: interface.name.clone(),
            index: interface.index,
            link_type,
            snaplen: options.snaplen,
            clock,
        };
        let counters = SourceCounters {
            kernel_received: Some(0),
            kernel_dropped: Some(0),
            ..SourceCounters::default()
        };
        Ok(Self { origin, ring, wakeup, filter, counters, down: false })
    }

    /// Hands over the next block if there is one; then it is the kernel's again.
    fn hand_over(&mut self, sink: &mut impl FrameSink) -> bool {
        let Some(block) = self.ring.next_block() else { return false };
        sink.batch();
        let mut packets = block.packets();
        let snaplen = self.origin.snaplen as usize;
        // The packet path: nothing here allocates, locks, logs or calls the kernel.
        for packet in packets.by_ref() {
            let insertion = Insertion::of(&packet, self.origin.link_type);
            let frame = frame(&packet, &insertion);
            if self.filter.as_mut().is_some_and(|filter| !filter.accepts(&frame)) {
                self.counters.filtered += 1;
                continue;
            }
            sink.frame(&cut(frame, snaplen));
        }
        self.counters.damaged += u64::from(packets.unread());
        true
    }
}

impl FrameSource for PacketRing {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn unknowns(&self) -> &'static [&'static str] {
        &[]
    }

    /// While blocks are ready they are handed over without a look at the wake-up: whoever rings it
    /// should also leave word where the reader looks between two reads. After it rang, reads do not
    /// wait until it was heard.
    fn read(&mut self, timeout: Duration, sink: &mut impl FrameSink) -> Result<Ready> {
        if self.hand_over(sink) {
            return Ok(Ready::Frames);
        }
        if !self.down {
            let woken = self.ring.socket().wait(timeout, &self.wakeup);
            let woken = woken
                .map_err(|error| Error::operation("read from", &self.origin.interface, error))?;
            self.down = woken == Woken::Down;
        }
        if self.hand_over(sink) {
            return Ok(Ready::Frames);
        }
        Ok(if mem::take(&mut self.down) { Ready::Down } else { Ready::Idle })
    }

    fn counters(&mut self) -> SourceCounters {
        // It fails for no open packet socket (packet_getsockopt, af_packet.c); if it did, the kernel
        // would keep counting and the next call would tell.
        if let Ok(since) = self.ring.socket().statistics() {
            let add = |sum: &mut Option<u64>, more: u32| {
                *sum = sum.map(|sum| sum + u64::from(more));
            };
            add(&mut self.counters.kernel_received, since.tp_packets);
            add(&mut self.counters.kernel_dropped, since.tp_drops);
            self.counters.kernel_ring_full += u64::from(since.tp_freeze_q_cnt);
        }
        self.counters
    }

    fn stop(&mut self) -> Result<()> {
        self.ring
            .socket()
            .filter(&[Instruction::keep(0)])
            .map_err(|error| Error::operation("stop capture on", &self.origin.interface, error))
    }
}

/// Words for a refusal by socket(2), bind(2) or setsockopt(2).
pub(super) fn refused(interface: &Interface, error: &io::Error) -> Error {
    let (reason, hint) = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => (
            "permission denied",
            "needs CAP_NET_RAW: run as root, or setcap cap_net_raw+ep dashcap",
        ),
        Some(libc::ENODEV | libc::ENXIO) => {
            ("no such interface", "it may have been removed; `ip link` lists those there are")
        }
        Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => {
            ("the kernel has no packet sockets", "needs CONFIG_PACKET")
        }
        _ => return Error::operation("open capture on", &interface.name, error),
    };
    Error::operation("open capture on", &interface.name, reason).hint(hint)
}

/// On loopback the kernel shows each frame when it is sent and when it is received. The sent copy is
/// refused before it is counted.
pub(super) fn leave_out_copies(socket: &PacketSocket, interface: &Interface) {
    if !interface.is_loopback() {
        return;
    }
    if let Err(error) = socket.ignore_outgoing() {
        warn!(interface = interface.name, %error, "frames come twice: sent and received");
    }
}

/// Chooses the clock: the interface's if asked for and possible, else the kernel's. Frames that this
/// host sends carry the kernel's stamp in any case: they are seen before the hardware has them.
fn stamps(socket: &PacketSocket, interface: &Interface, hardware: bool) -> StampClock {
    if !hardware {
        return StampClock::Software;
    }
    match socket.stamp_all(&interface.name).and_then(|()| socket.hardware_stamps()) {
        Ok(()) => {
            info!(interface = interface.name, "received frames are stamped by the interface");
            StampClock::Hardware
        }
        Err(error) => {
            warn!(
                interface = interface.name,
                %error,
                "no hardware stamps for every frame, the kernel stamps; see `ethtool -T`"
            );
            StampClock::Software
        }
    }
}

/// Gives the kernel its program, and returns what is left to do in user space.
fn attach(
    socket: &PacketSocket,
    interface: &Interface,
    link_type: LinkType,
    options: &Options,
) -> Result<Option<UserFilter>> {
    let failed = |error| Error::operation("attach a filter to", &interface.name, error);
    let Some(filter) = &options.filter else {
        socket.filter(&[Instruction::keep(options.snaplen)]).map_err(failed)?;
        return Ok(None);
    };
    let kernel = filter.for_kernel(interface, link_type, options.snaplen);
    if kernel.is_some_and(|program| socket.filter(&program).is_ok()) {
        return Ok(None);
    }
    let user = filter.for_user_space(link_type)?;
    // Long enough for tests on length and late bytes; cut to snaplen after the filter.
    socket.filter(&[Instruction::keep(MAX_SNAPLEN)]).map_err(failed)?;
    info!(
        interface = interface.name,
        %filter,
        "the filter runs in user space: libpcap or the kernel did not take it"
    );
    Ok(Some(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_the_accepted_form() {
        let good = Options::default();
        good.check().unwrap();
        for (name, options, accepted) in [
            ("snaplen", Options { snaplen: 63, ..good.clone() }, "64 to 262144 bytes"),
            ("snaplen", Options { snaplen: 262_145, ..good.clone() }, "64 to 262144 bytes"),
            ("size", Options { block_size: 100_000, ..good.clone() }, "a power of two from 65536"),
            ("size", Options { block_size: 4096, ..good.clone() }, "a power of two from 65536"),
            ("blocks", Options { blocks: 1, ..good.clone() }, "2097152 to 4294967296 bytes"),
            ("blocks", Options { blocks: 5000, ..good.clone() }, "such as 64MiB"),
        ] {
            let error = options.check().unwrap_err();
            assert_eq!(error.exit_status(), 2, "{error}");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(accepted), "{text}");
        }
    }

    #[test]
    fn refusals_say_what_to_try() {
        let interface = Interface { name: "eth0".to_owned(), index: 2, hardware_type: 1 };
        let text = |code| refused(&interface, &io::Error::from_raw_os_error(code)).to_string();
        assert_eq!(
            text(libc::EPERM),
            "cannot open capture on eth0: permission denied; needs CAP_NET_RAW: run as root, or \
             setcap cap_net_raw+ep dashcap"
        );
        assert!(text(libc::ENODEV).contains("no such interface"));
        assert!(text(libc::ENOBUFS).starts_with("cannot open capture on eth0: "));
    }
}
