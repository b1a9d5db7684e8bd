//! Question: what does it cost per frame to tell control from data?
//! Input: 1,024 generated frames of each kind, whose addresses and ports differ, in the parts in which
//! capture hands them over: one piece, or addresses, the tag put back, the rest. They stay in the cache,
//! as a frame does that is appended next; the mix is shuffled, so that branches are not learnt by heart.
//! Unit: nanoseconds per frame, with the loop that hands it over; the median of many rounds on one
//! thread. Beside it how many are control, which checks that the frames are what they are called.
//!
//! Run: `cargo bench --bench classify`

mod random;

use std::hint::black_box;
use std::time::Instant;

use dashcap::frame::{Frame, FrameHeader, LinkType};
use dashcap::wire::control::is_control;

use random::Random;

/// Many and short: on a busy machine most rounds of a fraction of a millisecond still run undisturbed,
/// and so the median does.
const ROUNDS: usize = 255;
const FRAMES: usize = 1024;
/// Times that every frame is classified in a round.
const PASSES: usize = 64;

/// A name, whether capture takes a tag out and puts it back, and the frames.
type Kind = (&'static str, bool, fn(&mut Random) -> Vec<u8>);

const KINDS: [Kind; 9] = [
    ("TCP 64 B", false, |r| ethernet(&[], 0x0800, &ipv4(6, &ports(r, 443)))),
    ("UDP 64 B", false, |r| ethernet(&[], 0x0800, &ipv4(17, &ports(r, 443)))),
    ("VLAN TCP", true, |r| ethernet(&[0x8100], 0x0800, &ipv4(6, &ports(r, 443)))),
    ("QinQ UDP", true, |r| ethernet(&[0x88a8, 0x8100], 0x0800, &ipv4(17, &ports(r, 443)))),
    ("IPv6 TCP", false, |r| ethernet(&[], 0x86dd, &ipv6(6, &ports(r, 443)))),
    ("DNS", false, |r| ethernet(&[], 0x0800, &ipv4(17, &ports(r, 53)))),
    ("BGP", false, |r| ethernet(&[], 0x0800, &ipv4(6, &ports(r, 179)))),
    ("ARP", false, |r| ethernet(&[], 0x0806, &bytes::<46>(r))),
    ("LACP", false, |r| ethernet(&[], 0x8809, &bytes::<110>(r))),
];
/// Frames of each kind, in the order above, in a hundred of the mix.
const MIX: [usize; 9] = [40, 15, 15, 8, 12, 5, 1, 3, 1];

fn main() {
    let mut random = Random::new();
    println!("classify, {} frames a round, {ROUNDS} rounds", FRAMES * PASSES);
    for (name, tagged, make) in KINDS {
        let frames: Vec<_> = (0..FRAMES).map(|_| (tagged, make(&mut random))).collect();
        report(name, &frames);
    }
    let shares: Vec<_> = KINDS.iter().zip(MIX).flat_map(|(k, share)| vec![k; share]).collect();
    let mix: Vec<_> = (0..FRAMES)
        .map(|_| {
            let (_, tagged, make) = shares[random.next() as usize % shares.len()];
            (*tagged, make(&mut random))
        })
        .collect();
    report("mix, shuffled", &mix);
}

fn report(name: &str, frames: &[(bool, Vec<u8>)]) {
    let frames: Vec<Frame<'_>> = frames
        .iter()
        .map(|(tagged, bytes)| {
            let (first, rest) = bytes.split_at(if *tagged { 12 } else { bytes.len() });
            let (tag, rest) = rest.split_at(if *tagged { 4 } else { 0 });
            Frame { header: FrameHeader::default(), parts: [first, tag, rest] }
        })
        .collect();
    let mut control = 0;
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            control = 0;
            let begun = Instant::now();
            for _ in 0..PASSES {
                for frame in &frames {
                    control += usize::from(is_control(LinkType::ETHERNET, black_box(frame)));
                }
            }
            begun.elapsed().as_secs_f64() / (frames.len() * PASSES) as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let median = rounds[rounds.len() / 2] * 1e9;
    println!("  {name:14} {median:6.2} ns/frame, {} of {FRAMES} control", control / PASSES);
}

fn ethernet(tags: &[u16], kind: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    for tpid in tags {
        bytes.extend(tpid.to_be_bytes());
        bytes.extend([0x03, 0xbc]);
    }
    bytes.extend(kind.to_be_bytes());
    bytes.extend(content);
    bytes.resize(bytes.len().max(64), 0);
    bytes
}

fn ipv4(protocol: u8, content: &[u8]) -> Vec<u8> {
    let header = [0x45, 0, 0, 50, 0, 0, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    [&header, content].concat()
}

fn ipv6(next: u8, content: &[u8]) -> Vec<u8> {
    [&[0x60, 0, 0, 0, 0, 30, next, 64][..], &[0x20; 32], content].concat()
}

/// The service's port on one side, an ephemeral one on the other (32,768 and above on Linux), and the
/// rest of the transport header.
fn ports(random: &mut Random, service: u16) -> Vec<u8> {
    let ephemeral = (random.next() as u16 | 0x8000).to_be_bytes();
    let service = service.to_be_bytes();
    let sent = random.next() & 1 == 0;
    let (from, to) = if sent { (ephemeral, service) } else { (service, ephemeral) };
    [&from[..], &to, &bytes::<16>(random)].concat()
}

fn bytes<const COUNT: usize>(random: &mut Random) -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    random.fill(&mut bytes);
    bytes
}
