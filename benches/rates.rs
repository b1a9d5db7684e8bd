//! Question: does `dashcap run` keep every frame at 10 Gbit/s and at a million frames a second, and
//! what does a frame cost the whole process? With `--rivals`: what do others lose at the same load?
//!
//! Input: numbered UDP frames that the kernel makes and receives on a veth in a network namespace of
//! its own (see `inject`), 0.8 million of 1,500 bytes or 1 million of 64 bytes a second, without their
//! checksums; the sender has one core, dashcap the others. Memory 1 GiB, all else default but windows
//! of 50 ms around a snapshot that is taken while frames come.
//!
//! Unit: nanoseconds of processor time, user and system, of all threads but `pack`, per frame stored,
//! between 1 s and 9 s after the first frame; packing takes what nobody else needs, and all of that; the kernel's own copy is made by the sender, as a card's interrupt
//! would, and not counted. *Waited* is how long the capture thread wanted to run while others did: a
//! machine that is busy with other things shows there. Drops are counted over the whole run. The numbers of the snapshot's frames
//! are looked at: none may be *missing*, out of order or twice. Medians of three rounds, the cases taking turns.
//!
//! `cargo bench --bench rates`, `cargo bench --bench rates -- --rivals`

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pcap_file::pcapng::{Block, PcapNgReader};

mod inject;
mod lab;
#[path = "inject/numbered.rs"]
mod numbered;
#[path = "lab/quantile.rs"]
mod quantile;

use inject::{Flood, Injector};
use lab::{Cores, Outcome, Process};
use numbered::NUMBER_AT;

const ROUNDS: usize = 3;
/// Before the measurement: the first blocks are cold.
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(8);
/// Milliseconds that a capture thread waits in a round at most where nothing else runs: dashcap's own
/// threads and the bundle take turns with it.
const QUIET: f64 = 100.0;
/// How long a rival is looked at.
const RIVAL: Duration = Duration::from_secs(4);
const INTERFACE: &str = "bench0";

/// A load, and what a frame of it may cost.
struct Case {
    name: &'static str,
    size: usize,
    /// Frames per second.
    rate: u64,
    /// Nanoseconds per frame.
    target: f64,
}

const CASES: [Case; 2] = [
    Case { name: "1500 B at 0.8 Mpps", size: 1_500, rate: 800_000, target: 350.0 },
    Case { name: "64 B at 1 Mpps", size: 64, rate: 1_000_000, target: 100.0 },
];

/// What one round showed.
struct Round {
    offered: f64,
    sent: u64,
    received: u64,
    stored: u64,
    kernel_drops: u64,
    lane_drops: u64,
    /// Milliseconds in which the capture thread wanted to run and somebody else did.
    waited: f64,
    nanoseconds: f64,
    depth: String,
    /// Frames of the snapshot, whose numbers were looked at.
    checked: u64,
    /// Numbers missing between them.
    missing: u64,
}

fn main() -> Outcome<()> {
    let Some(cores) = lab::enter()? else { return Ok(()) };
    lab::veth("bench")?;
    let rivals = std::env::args().any(|argument| argument == "--rivals");
    println!(
        "{:<20} {:>7} {:>10} {:>10} {:>10} {:>7} {:>6} {:>7} {:>9} {:>6} {:>8} {:>7}",
        "load",
        "Mpps",
        "sent",
        "received",
        "stored",
        "kernel",
        "lane",
        "waited",
        "ns/frame",
        "depth",
        "snapshot",
        "missing"
    );
    println!("{:<20} {:>7} {:>40} {:>13} {:>7}", "", "offered", "", "drops", "ms");
    let mut results: Vec<Vec<Round>> = CASES.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (case, rounds) in CASES.iter().zip(&mut results) {
            let round = round(case, &cores)?;
            println!(
                "{:<20} {:>7.3} {:>10} {:>10} {:>10} {:>7} {:>6} {:>7.0} {:>9.1} {:>6} {:>8} {:>7}",
                case.name,
                round.offered / 1e6,
                round.sent,
                round.received,
                round.stored,
                round.kernel_drops,
                round.lane_drops,
                round.waited,
                round.nanoseconds,
                round.depth,
                round.checked,
                round.missing
            );
            rounds.push(round);
        }
    }
    for (case, rounds) in CASES.iter().zip(&results) {
        let of = |what: fn(&Round) -> f64| rounds.iter().map(what).collect::<Vec<_>>();
        let worst = of(|round| (round.sent - round.stored) as f64).into_iter().fold(0.0, f64::max);
        let slowest = of(|round| round.offered).into_iter().fold(f64::MAX, f64::min);
        lab::figure(&format!("{}: frames not stored, worst round", case.name), worst, "", 0.0);
        let missing = of(|round| round.missing as f64).into_iter().fold(0.0, f64::max);
        lab::figure(&format!("{}: numbers missing in a snapshot", case.name), missing, "", 0.0);
        let cost = quantile::median(&of(|round| round.nanoseconds));
        lab::figure(&format!("{}: processor time per frame", case.name), cost, "ns", case.target);
        let waited = of(|round| round.waited).into_iter().fold(0.0, f64::max);
        if waited > QUIET {
            println!(
                "{}: the capture thread waited {waited:.0} ms for a processor in one round; the machine was \
                 busy with other things",
                case.name
            );
        }
        if slowest < case.rate as f64 * 0.99 {
            println!("the sender fell short: {:.3} Mpps offered", slowest / 1e6);
        }
    }
    if rivals {
        compare(&cores)?;
    }
    Ok(())
}

fn flood(case: &Case, cores: &Cores) -> Outcome<Flood> {
    let index = lab::index(INTERFACE)?;
    let injector = Injector::new(index, numbered::frame(case.size), &numbered::making())?;
    Ok(Flood::start(&Arc::new(injector), case.rate, cores.sending)?)
}

fn round(case: &Case, cores: &Cores) -> Outcome<Round> {
    let bundles = tempfile::tempdir()?;
    let options =
        format!("--interface {INTERFACE} --memory 1GiB --pre 50ms --post 50ms --control off");
    let mut dashcap = Process::dashcap(&options, bundles.path())?;
    let waited = waiting(&dashcap)?;
    let flood = flood(case, cores)?;
    thread::sleep(WARM_UP);
    let (used, sent) = (needed_time(&dashcap)?, flood.sent());
    thread::sleep(MEASURED);
    let (used, sent) = (needed_time(&dashcap)? - used, flood.sent() - sent);

    dashcap.signal(Signal::SIGUSR1)?;
    let snapshot = dashcap.bundle()?;
    let depth = dashcap.wait_for("holds about: data ")?;
    let (all, took) = flood.stop()?;
    // A second snapshot, of silence, has the final counts.
    dashcap.signal(Signal::SIGUSR1)?;
    let last = lab::manifest(&dashcap.bundle()?)?;
    let waited = waiting(&dashcap)? - waited;
    dashcap.finish(Signal::SIGTERM)?;
    let count = |name: &str| {
        let counts = &last["interfaces"][0]["counts"];
        counts[name].as_u64().ok_or_else(|| format!("no count {name} in {counts}"))
    };
    let (checked, missing) = check_order(&snapshot)?;
    Ok(Round {
        offered: all as f64 / took.as_secs_f64(),
        sent: all,
        received: count("kernel_received")?,
        stored: count("stored")?,
        kernel_drops: count("kernel_dropped")?,
        lane_drops: count("lane_dropped")?,
        waited: waited.as_secs_f64() * 1e3,
        // Of what was sent meanwhile, the part that was stored of all; what waits in the kernel at either
        // end is 30 ms of 8 s at most.
        nanoseconds: used.as_nanos() as f64 / (sent as f64 * count("stored")? as f64 / all as f64),
        depth,
        checked,
        missing,
    })
}

/// Processor time of all its threads, dead ones too, user and system: what `/proc/PID/stat` tells as
/// utime and stime, but in nanoseconds.
fn processor_time(process: &Process) -> Outcome<Duration> {
    Ok(nix::time::clock_getcpuclockid(process.pid())?.now()?.into())
}

/// Processor time of its threads but the one that packs.
fn needed_time(process: &Process) -> Outcome<Duration> {
    let packing = thread_time(process, "pack", 0)?;
    Ok(processor_time(process)? - packing)
}

/// How long its capture thread waited for a processor.
fn waiting(process: &Process) -> Outcome<Duration> {
    thread_time(process, &format!("cap/{INTERFACE}"), 1)
}

/// A number of a thread's schedstat: 0 is the time it ran, 1 the time it waited for a processor
/// (Documentation/scheduler/sched-stats.rst).
fn thread_time(process: &Process, name: &str, number: usize) -> Outcome<Duration> {
    for thread in fs::read_dir(format!("/proc/{}/task", process.pid()))? {
        let thread = thread?.path();
        if fs::read_to_string(thread.join("comm"))?.trim() == name {
            let times = fs::read_to_string(thread.join("schedstat"))?;
            let time = times.split(' ').nth(number).ok_or("no such time")?;
            return Ok(Duration::from_nanos(time.parse()?));
        }
    }
    Err(format!("no thread {name}").into())
}

/// Looks at the frames' numbers: how many there are, which manifest and capinfos must say, too, and how
/// many are missing in between. A number out of order or twice is an error.
fn check_order(bundle: &Path) -> Outcome<(u64, u64)> {
    let capture = bundle.join("capture.pcapng.zst");
    let mut reader = PcapNgReader::new(zstd::Decoder::new(File::open(&capture)?)?)?;
    let (mut frames, mut missing, mut last) = (0, 0, None);
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block? else { continue };
        let number = packet.data.get(NUMBER_AT..NUMBER_AT + 8).ok_or("a frame is too short")?;
        let number = u64::from_be_bytes(number.try_into()?);
        let expected = last.map_or(number, |last| last + 1);
        if number < expected {
            return Err(format!("frame {number} stands where {expected} should").into());
        }
        missing += number - expected;
        last = Some(number);
        frames += 1;
    }
    let told = lab::manifest(bundle)?["interfaces"][0]["in_bundle"]["frames"].as_u64();
    let seen = Command::new("capinfos").args(["-TcrMm"]).arg(&capture).output()?;
    let seen = String::from_utf8_lossy(&seen.stdout);
    let seen = seen.trim().rsplit([',', '\t']).next().and_then(|count| count.parse().ok());
    if told != Some(frames) || seen != Some(frames) {
        let differ = format!("{frames} frames in the bundle, {told:?} told, {seen:?} by capinfos");
        return Err(differ.into());
    }
    Ok((frames, missing))
}

/// Another program that writes all frames to a ring of files.
struct Rival {
    name: &'static str,
    /// `DIR` stands for the directory to write to.
    arguments: &'static str,
    ready: &'static str,
    /// What stands before and after the number of frames it captured, in what it says at the end.
    captured: (&'static str, &'static str),
}

/// Default settings, but files of 256 MB in a ring of 4, so that all they keep is 1 GB, as with dashcap.
const RIVALS: [Rival; 3] = [
    Rival {
        name: "tcpdump",
        arguments: "-Z root -n -i bench0 -w DIR/ring.pcap -C 256 -W 4",
        ready: "listening on",
        captured: ("", " packets captured"),
    },
    Rival {
        name: "dumpcap",
        arguments: "-i bench0 -w DIR/ring.pcapng -b filesize:256000 -b files:4",
        ready: "File: ",
        captured: ("'bench0': ", "/"),
    },
    Rival {
        name: "netsniff-ng",
        arguments: "--in bench0 --out DIR --silent --interval 256MiB --overwrite 4",
        ready: "Running!",
        // What it read; what it says passed has what it never read, too.
        captured: ("", "  packets incoming"),
    },
];

fn compare(cores: &Cores) -> Outcome<()> {
    println!("rivals, {} s each, files on tmpfs:", RIVAL.as_secs());
    for case in &CASES {
        for rival in &RIVALS {
            match rival.lost(case, cores) {
                Ok((lost, nanoseconds)) => println!(
                    "  {:<12} {:<20} lost {:5.1} %, {nanoseconds:6.0} ns per frame kept",
                    rival.name,
                    case.name,
                    100.0 * lost
                ),
                Err(reason) => {
                    println!("  {:<12} {:<20} not measured: {reason}", rival.name, case.name);
                }
            }
        }
    }
    Ok(())
}

impl Rival {
    /// The part of the frames that it did not capture, and the processor time per frame it did.
    fn lost(&self, case: &Case, cores: &Cores) -> Outcome<(f64, f64)> {
        let files = tempfile::tempdir_in("/dev/shm")?;
        let directory = files.path().to_str().ok_or("a directory that is not UTF-8")?;
        let arguments = self.arguments.replace("DIR", directory);
        // It speaks into a pipe, and would keep its words until the end.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", self.name]).args(arguments.split_whitespace());
        let mut process = Process::start(command)?;
        process.wait_for(self.ready)?;
        let before = processor_time(&process)?;
        let flood = flood(case, cores)?;
        thread::sleep(RIVAL);
        let (sent, _) = flood.stop()?;
        settle(&process)?;
        let used = processor_time(&process)? - before;
        let said = process.finish(Signal::SIGINT)?;
        let (before, after) = self.captured;
        let captured = said.iter().find_map(|line| {
            let (number, _) = line.split_once(before)?.1.split_once(after)?;
            number.trim().rsplit(' ').next()?.parse::<u64>().ok()
        });
        let captured = captured.ok_or_else(|| format!("no count in {said:#?}"))?;
        let lost = 1.0 - captured as f64 / sent as f64;
        Ok((lost, used.as_nanos() as f64 / captured.max(1) as f64))
    }
}

/// Waits until a process has worked off what it has: its processor time stands still.
fn settle(process: &Process) -> Outcome<()> {
    const STILL: Duration = Duration::from_millis(200);
    let until = Instant::now() + Duration::from_secs(10);
    let mut last = processor_time(process)?;
    while Instant::now() < until {
        thread::sleep(STILL);
        let now = processor_time(process)?;
        if now - last < STILL / 100 {
            break;
        }
        last = now;
    }
    Ok(())
}
