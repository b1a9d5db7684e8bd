//! Question: does 256 MiB of memory outlive the incident at its full size, 372,000 copies of three frames
//! a second for 90 s, and is everything else still there? How fast is a replay?
//!
//! Input: the story of `tests/story`, ten minutes of ordinary traffic that does not compress, with
//! LACPDUs, HSRP and VRRP, then the storm. *file*: through a pipe into `dashcap replay -`, in its own
//! time, once with little ordinary traffic and once with 20 Mbit/s, which fills the memory many times.
//! *live*: the storm only, made by the kernel on a veth in a network namespace of its own (see `inject`),
//! beside a thousand numbered frames a second and an LACPDU a second each way.
//!
//! Unit: frames that are missing or counted wrongly, which must be none; MiB of the bundle. Every frame of
//! the bundle is compared with the story's, and counts with what was sent. A bundle holds the ordinary
//! traffic, too: 20 Mbit/s of noise for ten minutes are 1.4 GB, so that case has no target for its size
//! but the memory. The pipe's other end makes the frames meanwhile, on another core where there is one.
//!
//! `cargo bench --bench incident`, `cargo bench --bench incident -- [--seconds 10] [file|live]`

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

#[path = "inject/cycle.rs"]
mod cycle;
mod inject;
mod lab;
#[path = "incident/live.rs"]
mod live;
#[path = "../tests/story/mod.rs"]
mod story;

use lab::Outcome;
use story::{Counts, Plan};

/// Copies kept of each run by default.
const KEPT: u64 = 64;
/// What the incident had.
const RATE: u64 = 372_000;
const MEMORY: &str = "256MiB";
/// Largest bundle in MiB, where the ordinary traffic itself leaves room for it.
const LARGEST: f64 = 32.0;
/// How long the storm takes live.
const SECONDS: u64 = 90;
/// Bytes handed to a pipe at once.
const GATHER: usize = 1 << 20;

struct Case {
    name: &'static str,
    /// Bits per second.
    ordinary: u64,
    /// MiB of the bundle.
    largest: f64,
    /// Nanoseconds of a frame.
    slowest: f64,
}

/// In the second, most of the time goes into noise: making it, packing it, writing it.
const CASES: [Case; 2] = [
    Case {
        name: "incident from a file, 0.25 Mbit/s",
        ordinary: 250_000,
        largest: LARGEST,
        slowest: 333.0,
    },
    Case {
        name: "incident from a file, 20 Mbit/s",
        ordinary: 20_000_000,
        largest: 256.0,
        slowest: 1_000.0,
    },
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let seconds = arguments.iter().skip_while(|argument| *argument != "--seconds").nth(1);
    let seconds = seconds.map_or(Ok(SECONDS), |seconds| seconds.parse())?;
    if !has("live") {
        CASES.iter().try_for_each(replay)?;
    }
    if !has("file") {
        live::run(Duration::from_secs(seconds))?;
    }
    Ok(())
}

/// Tells the story to `dashcap replay`, and judges its bundle.
fn replay(case: &Case) -> Outcome<()> {
    let plan = Plan { quiet: Duration::from_secs(600), ordinary: case.ordinary, rate: RATE };
    let place = tempfile::tempdir()?;
    let (host, bundles) = (place.path().join("host.csv"), place.path().join("bundles"));
    fs::write(&host, story::table(plan))?;
    let begun = Instant::now();
    let mut replay = Command::new(env!("CARGO_BIN_EXE_dashcap"))
        .args(["replay", "-", "--memory", MEMORY, "--pre", "15m", "--on", "link-down"])
        .arg("--events")
        .arg(&host)
        .arg("--output")
        .arg(&bundles)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = replay.stdin.take().ok_or("no pipe")?;
    let teller =
        thread::spawn(move || story::write(plan, &mut BufWriter::with_capacity(GATHER, pipe)));
    let output = replay.wait_with_output()?;
    let took = begun.elapsed().as_secs_f64();
    let told = teller.join().map_err(|_| "the story broke off")??;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stdout).into());
    }
    let bundle = only(&bundles)?;
    let wrong = judge(&bundle, plan, &told)?;
    let rate = told.all() as f64 / took / 1e6;
    println!("{}: {} frames in {took:.1} s, {rate:.2} million a second", case.name, told.all());
    lab::figure(&format!("{}: missing or miscounted", case.name), wrong as f64, "", 0.0);
    lab::figure(&format!("{}: bundle", case.name), mebibytes(&bundle)?, "MiB", case.largest);
    lab::figure(&format!("{}: a frame", case.name), 1e3 / rate, "ns", case.slowest);
    Ok(())
}

/// Frames by which the bundle and the story differ.
fn judge(bundle: &Path, plan: Plan, told: &Counts) -> Outcome<u64> {
    let held = story::judge(&bundle.join("capture.pcapng.zst"), plan)?;
    let folded = story::runs(&fs::read_to_string(bundle.join("events.jsonl"))?)?;
    let differ = (0..3).map(|which| {
        let kept = held.counts.storm[which];
        kept.abs_diff(KEPT) + (kept + folded[which]).abs_diff(told.storm[which])
    });
    println!(
        "  {} ordinary frames ({} cut to headers), {} LACP, {} HSRP, {} VRRP; copies kept {:?}, counted \
         {folded:?}, told by {} frames",
        held.counts.ordinary,
        held.thinned,
        held.counts.lacp,
        held.counts.hsrp,
        held.counts.vrrp,
        held.counts.storm,
        held.stand_ins
    );
    Ok(differ.sum::<u64>() + held.counts.quiet().abs_diff(told.quiet()))
}

fn only(place: &Path) -> Outcome<PathBuf> {
    let mut found = fs::read_dir(place)?;
    let first = found.next().ok_or("no bundle")??.path();
    if found.next().is_some() {
        return Err("more than one bundle".into());
    }
    Ok(first)
}

/// Size of the capture in a bundle.
fn mebibytes(bundle: &Path) -> Outcome<f64> {
    Ok(fs::metadata(bundle.join("capture.pcapng.zst"))?.len() as f64 / f64::from(1 << 20))
}
