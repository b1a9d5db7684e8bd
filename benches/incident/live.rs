//! The storm live: the kernel makes it, dashcap records it, and other frames must not suffer.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use pnet::datalink::{self, Channel, DataLinkSender};

use crate::cycle;
use crate::inject::{Flood, Injector};
use crate::lab::{self, Cores, Outcome, Process};
use crate::story::{self, PHASES_BEGIN};
use crate::{KEPT, LARGEST, MEMORY, RATE, mebibytes};

const INTERFACE: &str = "bench0";
const OTHER_END: &str = "bench1";
/// Between two numbered frames.
const PAUSE: Duration = Duration::from_millis(1);
/// An LACPDU each way after so many of them.
const LACP_EVERY: u64 = 1_000;
/// EtherType for experiments (IEEE 802, Local Experimental Ethertype 1), and where the number stands.
const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];
const NUMBER_AT: usize = 14;
/// Slow protocols.
const SLOW: [u8; 2] = [0x88, 0x09];
/// Part of the rate that the sender must reach.
const REACHED: f64 = 0.99;

/// What the bundle has.
#[derive(Debug, Default)]
struct Held {
    copies: [u64; 3],
    numbered: u64,
    lacp: u64,
}

/// Records a storm of that length.
pub(crate) fn run(storm: Duration) -> Outcome<()> {
    let Some(cores) = lab::enter()? else { return Ok(()) };
    lab::veth("bench")?;
    let bundles = tempfile::tempdir()?;
    let options = format!(
        "--interface {INTERFACE} --memory {MEMORY} --pre 15m --post 1s --on signal --control off"
    );
    let mut dashcap = Process::dashcap(&options, bundles.path())?;
    let (stop, said) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let talker = talk(Arc::clone(&stop), Arc::clone(&said))?;
    thread::sleep(Duration::from_secs(2));
    let (sent, rate) = rage(storm, &cores)?;
    thread::sleep(Duration::from_secs(2));
    let before = said.load(Ordering::Acquire);
    dashcap.signal(Signal::SIGUSR1)?;
    thread::sleep(Duration::from_secs(2));
    stop.store(true, Ordering::Release);
    let bundle = dashcap.bundle()?;
    let (numbered, lacp) = talker.join().map_err(|_| "the talker died")??;
    // Of silence: the final counts.
    dashcap.signal(Signal::SIGUSR1)?;
    let last = lab::manifest(&dashcap.bundle()?)?;
    dashcap.finish(Signal::SIGTERM)?;

    let counts = &last["interfaces"][0]["counts"];
    let count = |name: &str| counts[name].as_u64().ok_or_else(|| format!("no {name}: {counts}"));
    let all = sent.iter().sum::<u64>() + numbered + lacp;
    let unaccounted = all.abs_diff(count("stored")? + count("folded")?);
    let held = read(&bundle)?;
    let folded = story::runs(&fs::read_to_string(bundle.join("events.jsonl"))?)?;
    let wrong: u64 =
        (0..3).map(|which| sent[which].abs_diff(held.copies[which] + folded[which])).sum();
    let few = |which: &usize| held.copies[*which] < KEPT.min(sent[*which]);
    let first_copies = (0..3).filter(few).count();
    println!(
        "live: {sent:?} copies at {:.3} million a second, {numbered} numbered frames, {lacp} LACPDUs; kept \
         {:?}, counted {folded:?}; {counts}",
        rate / 1e6,
        held.copies
    );
    if rate < RATE as f64 * REACHED {
        println!("the sender fell short: the machine was busy with other things");
    }
    let name = format!("incident live, {} s", storm.as_secs());
    let dropped = (count("kernel_dropped")? + count("lane_dropped")?) as f64;
    lab::figure(&format!("{name}: dropped by kernel and lanes"), dropped, "", 0.0);
    lab::figure(&format!("{name}: not accounted for"), (unaccounted + wrong) as f64, "", 0.0);
    lab::figure(&format!("{name}: runs without first copies"), first_copies as f64, "", 0.0);
    // What came after the window is not in the bundle.
    let missing = before.saturating_sub(held.numbered);
    lab::figure(&format!("{name}: numbered frames missing"), missing as f64, "", 0.0);
    let missing = (held.numbered.div_ceil(LACP_EVERY) * 2).saturating_sub(held.lacp);
    lab::figure(&format!("{name}: LACPDUs missing"), missing as f64, "", 0.0);
    lab::figure(&format!("{name}: bundle"), mebibytes(&bundle)?, "MiB", LARGEST);
    Ok(())
}

/// The three frames at full rate; how often each was sent, and the rate that was reached.
fn rage(storm: Duration, cores: &Cores) -> Outcome<([u64; 3], f64)> {
    let frames = story::storm();
    let injector =
        Arc::new(Injector::new(lab::index(INTERFACE)?, frames[0].clone(), &cycle::making())?);
    let which = |phase: usize, place: usize| story::which(place as u64, PHASES_BEGIN[phase]);
    for phase in 0..PHASES_BEGIN.len() {
        for place in 0..cycle::PLACES {
            let frame = frames[which(phase, place)].first_chunk().ok_or("too short")?;
            cycle::set(&injector, phase, place, frame);
        }
    }
    let begun = Instant::now();
    let flood = Flood::start(&injector, RATE, cores.sending)?;
    for (phase, begin) in PHASES_BEGIN.iter().enumerate() {
        thread::sleep(begin.min(&storm).saturating_sub(begun.elapsed()));
        cycle::turn_to(&injector, phase);
    }
    thread::sleep(storm.saturating_sub(begun.elapsed()));
    let (all, took) = flood.stop()?;
    let mut sent = [0; 3];
    for phase in 0..PHASES_BEGIN.len() {
        for place in 0..cycle::PLACES {
            sent[which(phase, place)] += cycle::sent(&injector, phase, place);
        }
    }
    if sent.iter().sum::<u64>() != all {
        return Err(format!("{sent:?} were sent, {all} in all").into());
    }
    Ok((sent, all as f64 / took.as_secs_f64()))
}

type Talker = thread::JoinHandle<Result<(u64, u64), String>>;

/// Numbered frames from the other end, LACPDUs from both; how many the kernel took. `said` is how many
/// numbered ones it took so far.
fn talk(stop: Arc<AtomicBool>, said: Arc<AtomicU64>) -> Outcome<Talker> {
    let (mut router, mut switch) = (sender(INTERFACE)?, sender(OTHER_END)?);
    Ok(thread::spawn(move || {
        let (mut numbered, mut lacp) = (0_u64, 0);
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend(EXPERIMENTAL);
        frame.resize(cycle::LENGTH, 0);
        while !stop.load(Ordering::Acquire) {
            if numbered.is_multiple_of(LACP_EVERY) {
                send(&mut router, &story::lacp_from_router())?;
                send(&mut switch, &story::lacp_from_switch(false, false))?;
                lacp += 2;
            }
            frame[NUMBER_AT..NUMBER_AT + 8].copy_from_slice(&numbered.to_be_bytes());
            send(&mut switch, &frame)?;
            numbered += 1;
            said.store(numbered, Ordering::Release);
            thread::sleep(PAUSE);
        }
        Ok((numbered, lacp))
    }))
}

fn sender(interface: &str) -> Outcome<Box<dyn DataLinkSender>> {
    let found = datalink::interfaces().into_iter().find(|found| found.name == interface);
    let found = found.ok_or_else(|| format!("no interface {interface}"))?;
    match datalink::channel(&found, datalink::Config::default())? {
        Channel::Ethernet(sender, _) => Ok(sender),
        _ => Err(format!("{interface}: no Ethernet").into()),
    }
}

fn send(sender: &mut Box<dyn DataLinkSender>, frame: &[u8]) -> Result<(), String> {
    let sent = sender.send_to(frame, None).ok_or("not sent")?;
    sent.map_err(|e| format!("not sent: {e}"))
}

/// Reads the bundle: numbers begin with 0 and have no gap, or this fails.
fn read(bundle: &Path) -> Outcome<Held> {
    let file = File::open(bundle.join("capture.pcapng.zst"))?;
    let mut reader = PcapNgReader::new(zstd::Decoder::new(file)?)?;
    let (storm, mut held) = (story::storm(), Held::default());
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block? else { continue };
        let stands_for_others =
            |option: &EnhancedPacketOption<'_>| matches!(option, EnhancedPacketOption::Comment(_));
        if let Some(which) = storm.iter().position(|copy| copy[..] == *packet.data) {
            held.copies[which] += u64::from(!packet.options.iter().any(stands_for_others));
            continue;
        }
        match packet.data.get(12..14) {
            Some(kind) if kind == SLOW => held.lacp += 1,
            Some(kind) if kind == EXPERIMENTAL => {
                let number = packet.data[NUMBER_AT..].first_chunk().ok_or("a short frame")?;
                let number = u64::from_be_bytes(*number);
                if number != held.numbered {
                    return Err(format!("{number} stands where {} should", held.numbered).into());
                }
                held.numbered += 1;
            }
            _ => return Err(format!("nobody sent {packet:?}").into()),
        }
    }
    Ok(held)
}
