//! Frames at a steady rate without a network card: the kernel itself makes them and receives them.
//!
//! Traffic from user space tops out far below what a card delivers, and pktgen is a module that few
//! kernels carry. So an XDP program is run by the kernel on frames it allocates (`BPF_PROG_TEST_RUN`
//! with `BPF_F_TEST_XDP_LIVE_FRAMES`); it makes something of each frame ([`Making`]: `numbered` numbers
//! it, `cycle` makes it one of a few) and passes it up the stack, where it is received by the interface named as its ingress, as if a driver had just taken it off the wire.
//! The packet socket's copy happens there, in softirq on the sending core, as it does with a card.
//!
//! Setting such a run up takes 20 ms, so one run lasts as long as the flood, and it is the program that
//! keeps the pace: it waits until its frame is due. Frames are counted from 1 on, and none is left out.
//! If it falls behind it catches up, and says which rate it reached.
//!
//! ```text
//!   flood ── interval, stop ──► state ──► program, per frame:  stop?  wait until due
//!         ◄── number ─────────  (a map, mapped here too)       number += 1, make, pass
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

/// Frames of one run: half a minute at a million a second. Those left when a flood is stopped are run
/// through and dropped, tens of nanoseconds each.
const RUN: u32 = 30_000_000;
/// Looks at the clock before a frame that is not due is sent all the same, because the kernel wants
/// loops to end: 20 us and more, so the pace holds from 50,000 frames per second on.
const LOOKS: i32 = 1_000;

/// What the program does to each frame: instructions that find the frame in r2, its number in r5 and the
/// state in r6, and may change all registers but the stack's.
pub(crate) struct Making {
    /// Bytes that every frame must have.
    pub(crate) length: usize,
    /// Words of the state, those of [`State`] included.
    pub(crate) words: usize,
    pub(crate) instructions: Vec<Instruction>,
}

/// A program loaded into the kernel that makes copies of one frame.
pub(crate) struct Injector {
    program: OwnedFd,
    state: State,
    frame: Vec<u8>,
    interface: u32,
}

impl Injector {
    /// What `making` makes of copies of `frame` will be received by the interface with that index.
    ///
    /// # Errors
    /// Without privilege, or where the kernel is too old.
    pub(crate) fn new(interface: u32, frame: Vec<u8>, making: &Making) -> io::Result<Self> {
        let state = State::new(making.words)?;
        let program = load(&paced(&state.map, making))?;
        Ok(Self { program, state, frame, interface })
    }

    /// A word of the state.
    pub(crate) fn word(&self, number: usize) -> &AtomicU64 {
        self.state.word(number)
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
    pub(crate) fn start(injector: &Arc<Injector>, rate: u64, core: usize) -> io::Result<Self> {
        let injector = Arc::clone(injector);
        let begun = Clock::system().now().mono;
        injector.word(State::DUE).store(begun.0, Ordering::Release);
        injector.word(State::INTERVAL).store(1_000_000_000 / rate, Ordering::Release);
        let sender = Arc::clone(&injector);
        let thread = thread::Builder::new().name("inject".to_owned()).spawn(move || {
            let mut cores = CpuSet::new();
            cores.set(core)?;
            sched_setaffinity(Pid::from_raw(0), &cores)?;
            while sender.word(State::STOP).load(Ordering::Acquire) == 0 {
                sender.run()?;
            }
            Ok(())
        })?;
        Ok(Self { injector, begun, thread: Some(thread) })
    }

    /// Frames received by the interface so far; a batch of them may be on its way.
    pub(crate) fn sent(&self) -> u64 {
        self.injector.word(State::NUMBER).load(Ordering::Acquire)
    }

    /// Ends it: the frames sent, and the time that took.
    pub(crate) fn stop(mut self) -> io::Result<(u64, Duration)> {
        self.injector.word(State::STOP).store(1, Ordering::Release);
        let took = Clock::system().now().mono.since(self.begun);
        let thread = self.thread.take().map(JoinHandle::join);
        thread.and_then(Result::ok).unwrap_or_else(|| Err(io::Error::other("died")))?;
        Ok((self.sent(), took))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.injector.word(State::STOP).store(1, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What program and flood tell each other: a map of one entry, words that are mapped into this process.
pub(crate) struct State {
    map: OwnedFd,
    words: NonNull<AtomicU64>,
    bytes: usize,
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
    /// Words of all programs; those of a kind of [`Making`] begin here.
    pub(crate) const OWN: usize = 4;

    fn new(words: usize) -> io::Result<Self> {
        let bytes = words * size_of::<u64>();
        let mut create = MapCreate {
            kind: BPF_MAP_TYPE_ARRAY,
            key_size: 4,
            value_size: bytes as u32,
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
        let at = unsafe { libc::mmap(none, bytes, protection, libc::MAP_SHARED, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(at.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { map, words, bytes })
    }

    fn word(&self, number: usize) -> &AtomicU64 {
        assert!(number * size_of::<u64>() < self.bytes);
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
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.bytes) };
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
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    /// Destination in the low four bits, source in the high.
    registers: u8,
    offset: i16,
    immediate: i32,
}

pub(crate) const fn instruction(
    code: u8,
    to: u8,
    from: u8,
    offset: i16,
    immediate: i32,
) -> Instruction {
    Instruction { code, registers: to | from << 4, offset, immediate }
}

// Codes as in Documentation/bpf/standardization/instruction-set.rst.
const LOAD_32: u8 = 0x61;
pub(crate) const LOAD_64: u8 = 0x79;
pub(crate) const STORE_64: u8 = 0x7b;
const LOAD_IMMEDIATE: u8 = 0x18;
pub(crate) const MOVE: u8 = 0xbf;
const MOVE_IMMEDIATE: u8 = 0xb7;
pub(crate) const ADD: u8 = 0x0f;
pub(crate) const ADD_IMMEDIATE: u8 = 0x07;
const UNLESS_ZERO: u8 = 0x55;
const IF_ABOVE: u8 = 0x2d;
const IF_AT_LEAST: u8 = 0x3d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// Where a word of the state stands, in bytes.
pub(crate) const fn word(number: usize) -> i16 {
    (number * size_of::<u64>()) as i16
}

/// Waits until a frame is due, counts it, makes it and passes it; r0 to r5 are lost in a call.
fn paced(state: &OwnedFd, making: &Making) -> Vec<Instruction> {
    /// `bpf_ktime_get_ns` (linux/bpf.h, `___BPF_FUNC_MAPPER`).
    const NOW: i32 = 5;
    const XDP_DROP: i32 = 1;
    const XDP_PASS: i32 = 2;
    let (number, due) = (word(State::NUMBER), word(State::DUE));
    let (interval, stop) = (word(State::INTERVAL), word(State::STOP));
    let made = making.instructions.len() as i16;
    let begin = [
        // r9 = context, r6 = state
        instruction(MOVE, 9, 1, 0, 0),
        instruction(LOAD_IMMEDIATE, 6, BPF_PSEUDO_MAP_VALUE, 0, state.as_raw_fd()),
        instruction(0, 0, 0, 0, 0),
        // if state.stop: to the drop at the end
        instruction(LOAD_64, 7, 6, stop, 0),
        instruction(UNLESS_ZERO, 7, 0, 19 + made, 0),
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
        instruction(ADD_IMMEDIATE, 4, 0, 0, making.length as i32),
        instruction(IF_ABOVE, 4, 3, 5 + made, 0),
        // r5 = state.number += 1
        instruction(LOAD_64, 5, 6, number, 0),
        instruction(ADD_IMMEDIATE, 5, 0, 0, 1),
        instruction(STORE_64, 6, 5, number, 0),
    ];
    let end = [
        instruction(MOVE_IMMEDIATE, 0, 0, 0, XDP_PASS),
        instruction(EXIT, 0, 0, 0, 0),
        instruction(MOVE_IMMEDIATE, 0, 0, 0, XDP_DROP),
        instruction(EXIT, 0, 0, 0, 0),
    ];
    begin.into_iter().chain(making.instructions.iter().copied()).chain(end).collect()
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
