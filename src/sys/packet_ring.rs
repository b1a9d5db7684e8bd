//! The kernel's packet ring (TPACKET_V3): blocks of frames in memory shared with the kernel.
//!
//! It promises that a block is read only while the kernel has given it to us, and goes back as soon as
//! its [`Block`] is dropped; frames are read through [`Packets`], which believes nothing. It never
//! copies a frame and makes no system call but the wait.
//!
//! ```text
//!   kernel fills ─────────────►            one status word per block says whose it is
//!   ┌────────┬────────┬────────┬────────┐
//!   │ USER   │ USER   │ KERNEL │ KERNEL │  full or RETIRE old: KERNEL → USER, by the kernel
//!   └────────┴────────┴────────┴────────┘  Block dropped:      USER → KERNEL, by us
//!     ▲ next
//! ```
//!
//! Source: packet(7), Documentation/networking/packet_mmap.rst, net/packet/af_packet.c.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::packet_block::{BLOCK_STATUS, Packets};
use super::packet_socket::PacketSocket;

/// Frame size the kernel is told. With TPACKET_V3 frames are as long as they are and this only has to
/// be sound: a multiple of 16, room for the headers, at most the block size (packet_mmap.rst).
const NOMINAL_FRAME: u32 = 2048;

/// Sizes of a ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    /// Number of blocks.
    pub(crate) blocks: u32,
    /// Bytes per block: a power of two, at least a page, so that blocks follow each other in memory.
    pub(crate) block_size: u32,
}

/// The ring and the socket it belongs to.
#[derive(Debug)]
pub(crate) struct KernelRing {
    // Unmapped before the socket closes; the kernel would not mind the other order either.
    map: Mapping,
    socket: PacketSocket,
    geometry: Geometry,
    next: u32,
}

impl KernelRing {
    /// Gives `socket` a ring; a block with frames in it is handed over after `retire`.
    ///
    /// # Errors
    /// What the kernel says of the sizes, of its memory, or of packet rings altogether.
    pub(crate) fn new(
        socket: PacketSocket,
        geometry: Geometry,
        retire: Duration,
    ) -> io::Result<Self> {
        let Geometry { blocks, block_size } = geometry;
        socket.ring(&libc::tpacket_req3 {
            tp_block_size: block_size,
            tp_block_nr: blocks,
            tp_frame_size: NOMINAL_FRAME,
            tp_frame_nr: (block_size / NOMINAL_FRAME).saturating_mul(blocks),
            tp_retire_blk_tov: u32::try_from(retire.as_millis()).unwrap_or(u32::MAX),
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        })?;
        let map = Mapping::new(&socket, blocks as usize * block_size as usize)?;
        Ok(Self { map, socket, geometry, next: 0 })
    }

    /// The socket, for its options and to wait.
    pub(crate) fn socket(&self) -> &PacketSocket {
        &self.socket
    }

    /// The next block with frames, if the kernel has handed one over.
    pub(crate) fn next_block(&mut self) -> Option<Block<'_>> {
        let status = self.status().load(Ordering::Acquire);
        // Acquire: the frames were written before the kernel set the status. A Block exists only for a
        // block that is ours, because dropping it gives the block away: `then_some` would make one.
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        Some(Block { ring: self })
    }

    fn block(&self) -> NonNull<u8> {
        let offset = self.next as usize * self.geometry.block_size as usize;
        // SAFETY: `next` is below the number of blocks, so the block lies within the mapping.
        unsafe { self.map.start.add(offset) }
    }

    fn status(&self) -> &AtomicU32 {
        // SAFETY: every block is longer than its header, which holds the status.
        let status = unsafe { self.block().add(BLOCK_STATUS) };
        // SAFETY: the word lies within the mapping, which lives as long as `self`; blocks begin on
        // pages and the status at 8, so it is aligned; it is changed only as a whole word, by the
        // kernel and here, and while a slice of the block is out neither does.
        unsafe { AtomicU32::from_ptr(status.as_ptr().cast()) }
    }
}

/// A block that is ours until it is dropped.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    ring: &'a mut KernelRing,
}

impl Block<'_> {
    /// Its frames.
    pub(crate) fn packets(&self) -> Packets<'_> {
        let len = self.ring.geometry.block_size as usize;
        // SAFETY: `len` bytes from the block's start lie within the mapping and are initialised (the
        // kernel zeroes the ring); the kernel gave us the block and does not write to it until Drop
        // gives it back, which the borrow of `self` puts after the last use of the slice.
        Packets::of(unsafe { std::slice::from_raw_parts(self.ring.block().as_ptr(), len) })
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // Release: our reads of the frames come before the kernel's next writes.
        self.ring.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.ring.next = (self.ring.next + 1) % self.ring.geometry.blocks;
    }
}

/// Memory shared with the kernel.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and this is its only owner.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(socket: &PacketSocket, len: usize) -> io::Result<Self> {
        let fd = socket.as_fd().as_raw_fd();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours; `fd`
        // is an open packet socket with a ring of `len` bytes, else the call fails.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`, and no reference into it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
