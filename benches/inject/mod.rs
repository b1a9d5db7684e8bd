//! Frames at a steady rate without a network card: the kernel itself makes them and receives them.
//!
//! Traffic from user space tops out far below what a card delivers, and pktgen is a module that few
//! kernels carry. So an XDP program is run by the kernel on frames it allocates (`BPF_PROG_TEST_RUN`
//! with `BPF_F_TEST_XDP_LIVE_FRAMES`); it numbers each frame and passes it up the stack, where it is
//! received by the interface named as its ingress, as if a driver had just taken it off the wire.
//! The packet socket's copy happens there, in softirq on the sending core, as it does with a card.
//!
//! Setting such a run up takes 20 ms, so one run lasts as long as the flood, and it is the program that
//! keeps the pace: it waits until its frame is due. It promises frames that differ in nothing but
//! their number, which begins at 1 and has no gaps. If it falls behind it catches up, and says which
//! rate it reached.
//!
//! ```text
//!   flood ── interval, stop ──► state ──► program, per frame:  stop?  wait until due
//!         ◄── number ─────────  (a map, mapped here too)       number += 1, into the frame, pass
//! ```
//!
//! Source: Documentation/bpf/bpf_prog_run.rst, net/bpf/test_run.c, linux/bpf.h. Needs Linux 5.18 and
//! CAP_NET_ADMIN with CAP_BPF.
#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper among the dependencies")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dashcap::time::{Clock, Mono};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Where in a frame its number stands, big-endian, eight bytes: the first of the UDP payload, behind
/// the headers of Ethernet (14), IPv4 (20) and UDP (8).
pub(crate) const NUMBER_AT: usize = 42;
/// Frames of one run: half a minute at a million a second. Those left when a flood is stopped are run
/// through and dropped, tens of nanoseconds each.
const RUN: u32 = 30_000_000;
/// Looks at the clock before a frame that is not due is sent all the same, because the kernel wants
/// loops to end: 20 us and more, so the pace holds from 50,000 frames per second on.
const LOOKS: i32 = 1_000;

/// An Ethernet frame of `size` bytes without its checksum: UDP over IPv4 to another host, so that the
/// stack has no more to do with it than to drop it. The payload behind the number does not compress.
pub(crate) fn frame(size: usize) -> Vec<u8> {
    let mut frame = vec![0; size];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for byte in &mut frame[NUMBER_AT..] {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    frame[14..16].copy_from_slice(&[0x45, 0]);
    frame[16..18].copy_from_slice(&((size - 14) as u16).to_be_bytes());
    frame[22..24].copy_from_slice(&[64, 17]);
    frame[26..34].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    frame[34..38].copy_from_slice(&[4, 0, 4, 1]);
    frame[38..40].copy_from_slice(&((size - 34) as u16).to_be_bytes());
    frame
}

/// A program loaded into the kernel that makes numbered copies of one frame.
pub(crate) struct Injector {
    program: OwnedFd,
    state: State,
    frame: Vec<u8>,
    interface: u32,
}

impl Injector {
    /// Frames like `frame` will be received by the interface with that index.
    ///
    /// # Errors
    /// Without privilege, or where the kernel is too old.
    pub(crate) fn new(interface: u32, frame: Vec<u8>) -> io::Result<Self> {
        let state = State::new()?;
        let program = load(&numbering(&state.map))?;
        Ok(Self { program, state, frame, interface })
    }

    /// Sends frames at the state's pace, [`RUN`] at most.
    fn run(&self) -> io::Result<()> {
        let length = self.frame.len() as u32;
        let context =
            XdpContext { data_end: length, ingress: self.interface, ..Default::default() };
        let mut run = TestRun {
            program: self.program.as_raw_fd() as u32,
            data_size_in: length,
            data_in: self.frame.as_ptr() as u64,
            repeat: RUN,
            context_size_in: size_of::<XdpContext>() as u32,
            context_in: (&raw const context) as u64,
            flags: BPF_F_TEST_XDP_LIVE_FRAMES,
            // The NAPI budget: what a driver takes off its ring at a time.
            batch_size: 64,
            ..Default::default()
        };
        // SAFETY: the kernel reads frame and context, which live as long as this call, at their stated
        // lengths; with live frames it writes nothing back but into `run`.
        unsafe { bpf(BPF_PROG_TEST_RUN, &mut run) }.map(drop)
    }
}

/// Frames under way at a steady rate, from a thread of their own on a core of their own.
pub(crate) struct Flood {
    injector: Arc<Injector>,
    begun: Mono,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Flood {
    /// Sends `rate` frames per second from `core` until it is stopped.
    pub(crate) fn start(injector: Injector, rate: u64, core: usize) -> io::Result<Self> {
        let injector = Arc::new(injector);
        let begun = Clock::system().now().mono;
        injector.state.word(State::DUE).store(begun.0, Ordering::Release);
        injector.state.word(State::INTERVAL).store(1_000_000_000 / rate, Ordering::Release);
        let sender = Arc::clone(&injector);
        let thread = thread::Builder::new().name("inject".to_owned()).spawn(move || {
            let mut cores = CpuSet::new();
            cores.set(core)?;
            sched_setaffinity(Pid::from_raw(0), &cores)?;
            while sender.state.word(State::STOP).load(Ordering::Acquire) == 0 {
                sender.run()?;
            }
            Ok(())
        })?;
        Ok(Self { injector, begun, thread: Some(thread) })
    }

    /// Frames received by the interface so far; a batch of them may be on its way.
    pub(crate) fn sent(&self) -> u64 {
        self.injector.state.word(State::NUMBER).load(Ordering::Acquire)
    }

    /// Ends it: the frames sent, and the time that took.
    pub(crate) fn stop(mut self) -> io::Result<(u64, Duration)> {
        self.injector.state.word(State::STOP).store(1, Ordering::Release);
        let took = Clock::system().now().mono.since(self.begun);
        let thread = self.thread.take().map(JoinHandle::join);
        thread.and_then(Result::ok).unwrap_or_else(|| Err(io::Error::other("died")))?;
        Ok((self.sent(), took))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.injector.state.word(State::STOP).store(1, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What program and flood tell each other: a map of one entry of four words, mapped into this process.
struct State {
    map: OwnedFd,
    words: NonNull<AtomicU64>,
}

// SAFETY: the mapping belongs to the process, and is reached through atomics only.
unsafe impl Send for State {}
// SAFETY: as above.
unsafe impl Sync for State {}

impl State {
    /// The last frame's number.
    const NUMBER: usize = 0;
    /// When it was due, in nanoseconds of CLOCK_MONOTONIC (`bpf_ktime_get_ns`, bpf-helpers(7)).
    const DUE: usize = 1;
    /// Nanoseconds from frame to frame.
    const INTERVAL: usize = 2;
    /// Other than zero: no more frames.
    const STOP: usize = 3;
    const BYTES: usize = 4 * size_of::<u64>();

    fn new() -> io::Result<Self> {
        let mut create = MapCreate {
            kind: BPF_MAP_TYPE_ARRAY,
            key_size: 4,
            value_size: Self::BYTES as u32,
            entries: 1,
            flags: BPF_F_MMAPABLE,
        };
        // SAFETY: the command reads `create` only.
        let fd = unsafe { bpf(BPF_MAP_CREATE, &mut create) }?;
        // SAFETY: the kernel just made this descriptor for us.
        let map = unsafe { OwnedFd::from_raw_fd(fd) };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let none = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let at = unsafe { libc::mmap(none, Self::BYTES, protection, libc::MAP_SHARED, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(at.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { map, words })
    }

    fn word(&self, number: usize) -> &AtomicU64 {
        assert!(number * size_of::<u64>() < Self::BYTES);
        // SAFETY: the word lies within the mapping.
        let word = unsafe { self.words.add(number) };
        // SAFETY: it is aligned, zeroed by the kernel, lives as long as `self`, and is changed as a
        // whole word only, by the program and through atomics.
        unsafe { word.as_ref() }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`, and no reference into it outlives `self`.
        unsafe { libc::munmap(self.words.as_ptr().cast(), Self::BYTES) };
    }
}

// ── bpf(2), as far as needed (linux/bpf.h) ──

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
/// Second operand of a 64-bit load: the address of a map's value, the map being given by descriptor.
const BPF_PSEUDO_MAP_VALUE: u8 = 2;
/// The map can be mapped into memory.
const BPF_F_MMAPABLE: u32 = 1 << 10;

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    kind: u32,
    instructions: u32,
    instructions_at: u64,
    license_at: u64,
    log_level: u32,
    log_size: u32,
    log_at: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    returned: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    /// Zero: the kernel refuses unknown bits behind what it knows.
    padding: u32,
}

/// `struct xdp_md`.
#[repr(C)]
#[derive(Default)]
struct XdpContext {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress: u32,
    queue: u32,
    egress: u32,
}

/// `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the low four bits, source in the high.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: to | from << 4, offset, immediate }
}

/// Waits until a frame is due, numbers it and passes it. Codes as in
/// Documentation/bpf/standardization/instruction-set.rst; r0 to r5 are lost in a call.
fn numbering(state: &OwnedFd) -> [Instruction; 28] {
    const LOAD_32: u8 = 0x61;
    const LOAD_64: u8 = 0x79;
    const STORE_64: u8 = 0x7b;
    const LOAD_IMMEDIATE: u8 = 0x18;
    const MOVE: u8 = 0xbf;
    const MOVE_IMMEDIATE: u8 = 0xb7;
    const ADD: u8 = 0x0f;
    const ADD_IMMEDIATE: u8 = 0x07;
    const TO_BIG_ENDIAN: u8 = 0xdc;
    const UNLESS_ZERO: u8 = 0x55;
    const IF_ABOVE: u8 = 0x2d;
    const IF_AT_LEAST: u8 = 0x3d;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    /// `bpf_ktime_get_ns` (linux/bpf.h, `___BPF_FUNC_MAPPER`).
    const NOW: i32 = 5;
    const XDP_DROP: i32 = 1;
    const XDP_PASS: i32 = 2;
    let word = |number: usize| (number * size_of::<u64>()) as i16;
    let (number, due) = (word(State::NUMBER), word(State::DUE));
    let (interval, stop) = (word(State::INTERVAL), word(State::STOP));
    let at = NUMBER_AT as i16;
    [
        // r9 = context, r6 = state
        instruction(MOVE, 9, 1, 0, 0),
        instruction(LOAD_IMMEDIATE, 6, BPF_PSEUDO_MAP_VALUE, 0, state.as_raw_fd()),
        instruction(0, 0, 0, 0, 0),
        // if state.stop: to the drop at the end
        instruction(LOAD_64, 7, 6, stop, 0),
        instruction(UNLESS_ZERO, 7, 0, 21, 0),
        // r7 = state.due += state.interval
        instruction(LOAD_64, 7, 6, due, 0),
        instruction(LOAD_64, 8, 6, interval, 0),
        instruction(ADD, 7, 8, 0, 0),
        instruction(STORE_64, 6, 7, due, 0),
        // until r7 has come, at most LOOKS times
        instruction(MOVE_IMMEDIATE, 8, 0, 0, LOOKS),
        instruction(CALL, 0, 0, 0, NOW),
        instruction(IF_AT_LEAST, 0, 7, 2, 0),
        instruction(ADD_IMMEDIATE, 8, 0, 0, -1),
        instruction(UNLESS_ZERO, 8, 0, -4, 0),
        // r2 = the frame; if it is too short: to the drop
        instruction(LOAD_32, 2, 9, 0, 0),
        instruction(LOAD_32, 3, 9, 4, 0),
        instruction(MOVE, 4, 2, 0, 0),
        instruction(ADD_IMMEDIATE, 4, 0, 0, i32::from(at) + 8),
        instruction(IF_ABOVE, 4, 3, 7, 0),
        // state.number += 1, and into the frame
        instruction(LOAD_64, 5, 6, number, 0),
        instruction(ADD_IMMEDIATE, 5, 0, 0, 1),
        instruction(STORE_64, 6, 5, number, 0),
        instruction(TO_BIG_ENDIAN, 5, 0, 0, 64),
        instruction(STORE_64, 2, 5, at, 0),
        instruction(MOVE_IMMEDIATE, 0, 0, 0, XDP_PASS),
        instruction(EXIT, 0, 0, 0, 0),
        instruction(MOVE_IMMEDIATE, 0, 0, 0, XDP_DROP),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    const LICENSE: &[u8] = b"GPL\0";
    let mut load = ProgramLoad {
        kind: BPF_PROG_TYPE_XDP,
        instructions: program.len() as u32,
        instructions_at: program.as_ptr() as u64,
        license_at: LICENSE.as_ptr() as u64,
        ..Default::default()
    };
    // SAFETY: the kernel reads the instructions, as many as stated, and the license, which ends with
    // a zero; both live as long as this call. There is no log to write.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut load) }?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// `attributes` must be what the command expects (`union bpf_attr`), and what it points to must be
/// good for the reads and writes of that command.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    let (at, size) = (std::ptr::from_mut(attributes), size_of::<T>());
    // SAFETY: `at` is valid for `size` bytes; the rest is the caller's promise.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, at, size) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as i32) }
}
