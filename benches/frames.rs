//! Question: what do readers of `dashcap frames` cost capture, do they get every frame, and how soon is the first
//! byte there?
//!
//! Input: as in `rates`, a million numbered frames of 64 bytes a second, recorded into 1 GiB. First nobody reads;
//! then one reads from a second ago on and goes on live; then one that was stopped (SIGSTOP) after its first frames;
//! then four. At last, when memory is full and nothing comes any more, the last minute is asked for, again and again.
//!
//! Unit: frames that capture lost, in a round of 8 s; of the reader that reads fast, numbers that are *missing* in its
//! stream (it crosses from memory to the present), and those that came *twice* or out of order; milliseconds from
//! the start of the program to its first byte, the median of 21.
//!
//! `cargo bench --bench frames`

use std::fs;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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

const INTERFACE: &str = "bench0";
/// Frames per second.
const RATE: u64 = 1_000_000;
const MEASURED: Duration = Duration::from_secs(8);
/// Before a reader begins: there is something to look back at.
const BEFORE: Duration = Duration::from_secs(2);
const ASKED: usize = 21;
/// Milliseconds.
const FIRST_BYTE: f64 = 50.0;

/// Who reads meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Nobody,
    Fast,
    Stopped,
    Four,
}

/// What a reader's stream had.
#[derive(Default)]
struct Stream {
    frames: u64,
    missing: u64,
    twice: u64,
}

fn main() -> Outcome<()> {
    let Some(cores) = lab::enter()? else { return Ok(()) };
    lab::veth("bench")?;
    let place = tempfile::tempdir()?;
    for (readers, name) in [
        (Readers::Nobody, "nobody reads"),
        (Readers::Fast, "one reader"),
        (Readers::Stopped, "a stopped reader"),
        (Readers::Four, "four readers"),
    ] {
        let (sent, stored, streams) = round(readers, place.path(), &cores)?;
        lab::figure(&format!("{name}: frames not stored"), (sent - stored) as f64, "", 0.0);
        for Stream { frames, missing, twice } in streams {
            println!("{name}: {sent} sent, {frames} read");
            if readers == Readers::Fast {
                lab::figure("one reader: numbers missing in its stream", missing as f64, "", 0.0);
            }
            lab::figure(&format!("{name}: numbers twice or out of order"), twice as f64, "", 0.0);
        }
    }
    let first = first_byte(place.path(), &cores)?;
    lab::figure("first byte of the last minute, 1 GiB full", first, "ms", FIRST_BYTE);
    Ok(())
}

/// Frames sent and stored, and what the readers got that were not stopped.
fn round(readers: Readers, place: &Path, cores: &Cores) -> Outcome<(u64, u64, Vec<Stream>)> {
    let bundles = tempfile::tempdir()?;
    let socket = place.join("control.sock");
    let mut dashcap = recorder(&socket, bundles.path())?;
    let flood = flood(cores)?;
    thread::sleep(BEFORE);
    let count = match readers {
        Readers::Nobody => 0,
        Readers::Fast | Readers::Stopped => 1,
        Readers::Four => 4,
    };
    let follow: Vec<Child> =
        (0..count).map(|_| ask(&socket, &["--last", "1s", "--follow"])).collect::<Outcome<_>>()?;
    let pids: Vec<_> = follow.iter().map(|child| Pid::from_raw(child.id().cast_signed())).collect();
    let reading: Vec<_> =
        follow.into_iter().map(|child| thread::spawn(move || read(child))).collect();
    if readers == Readers::Stopped {
        thread::sleep(BEFORE);
        pids.iter().try_for_each(|pid| kill(*pid, Signal::SIGSTOP))?;
    }
    thread::sleep(MEASURED);
    let (sent, _) = flood.stop()?;
    // What waits in the kernel, and is on the way to the readers.
    thread::sleep(BEFORE);
    pids.iter().try_for_each(|pid| kill(*pid, Signal::SIGINT))?;
    pids.iter().try_for_each(|pid| kill(*pid, Signal::SIGCONT))?;
    let streams = reading.into_iter().map(|read| read.join().map_err(|_| "a reader panicked")?);
    let streams: Vec<Stream> = streams.collect::<Result<_, String>>()?;
    dashcap.signal(Signal::SIGUSR1)?;
    let last = lab::manifest(&dashcap.bundle()?)?;
    dashcap.finish(Signal::SIGTERM)?;
    let counts = &last["interfaces"][0]["counts"];
    let stored = counts["stored"].as_u64().ok_or_else(|| format!("no count in {counts}"))?;
    let streams = if readers == Readers::Stopped { Vec::new() } else { streams };
    Ok((sent, stored, streams))
}

/// Milliseconds until the first byte of the last minute, of memory that is full.
fn first_byte(place: &Path, cores: &Cores) -> Outcome<f64> {
    let bundles = tempfile::tempdir()?;
    let socket = place.join("control.sock");
    let dashcap = recorder(&socket, bundles.path())?;
    let flood = flood(cores)?;
    thread::sleep(Duration::from_secs(30));
    flood.stop()?;
    let mut waits = Vec::new();
    for _ in 0..ASKED {
        let begun = Instant::now();
        let mut child = ask(&socket, &["--last", "1m"])?;
        let mut out = child.stdout.take().ok_or("no standard output")?;
        out.read_exact(&mut [0])?;
        waits.push(begun.elapsed().as_secs_f64() * 1e3);
        child.kill()?;
        child.wait()?;
    }
    dashcap.finish(Signal::SIGTERM)?;
    Ok(quantile::median(&waits))
}

fn recorder(socket: &Path, output: &Path) -> Outcome<Process> {
    let _ = fs::remove_file(socket);
    let socket = socket.display();
    let options =
        format!("--interface {INTERFACE} --memory 1GiB --pre 50ms --post 50ms --control {socket}");
    Process::dashcap(&options, output)
}

fn flood(cores: &Cores) -> Outcome<Flood> {
    let index = lab::index(INTERFACE)?;
    let injector = Injector::new(index, numbered::frame(64), &numbered::making())?;
    Ok(Flood::start(&Arc::new(injector), RATE, cores.sending)?)
}

/// `dashcap frames` with pcapng on its standard output.
fn ask(socket: &Path, options: &[&str]) -> Outcome<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dashcap"));
    command.args(["frames", "-w", "-", "--control"]).arg(socket).args(options);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

/// Reads a stream to its end.
fn read(mut child: Child) -> Result<Stream, String> {
    let out = child.stdout.take().ok_or("no standard output")?;
    let failed = |e: &dyn std::fmt::Display| e.to_string();
    let mut reader =
        PcapNgReader::new(BufReader::with_capacity(1 << 20, out)).map_err(|e| failed(&e))?;
    let (mut stream, mut last) = (Stream::default(), None);
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.map_err(|e| failed(&e))? else { continue };
        let Some(number) = packet.data.get(NUMBER_AT..NUMBER_AT + 8) else { continue };
        let number = number.try_into().map_or(0, u64::from_be_bytes);
        let expected = last.map_or(number, |last: u64| last + 1);
        stream.frames += 1;
        stream.twice += u64::from(number < expected);
        stream.missing += number.saturating_sub(expected);
        last = last.max(Some(number));
    }
    child.wait().map_err(|e| failed(&e))?;
    Ok(stream)
}
