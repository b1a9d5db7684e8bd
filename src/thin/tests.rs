use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::capture_file::fields::Options as BlockOptions;
use crate::capture_file::{FileSource, Item, block};

const S: u64 = 1_000_000_000;
/// 2026-11-22T14:14:20Z.
const AT: u64 = 1_795_356_860 * S;

/// UDP over IPv4 from a port, with a time to live and something that tells frames apart.
fn udp(port: u16, ttl: u8, payload: u32) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    bytes.extend([0x45, 0, 0, 32, 0, 0, 0, 0, ttl, 17, ttl, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    let [high, low] = port.to_be_bytes();
    bytes.extend([high, low, 0, 9, 0, 12, 0, 0]);
    bytes.extend(payload.to_be_bytes());
    bytes
}

fn arp(number: u32) -> Vec<u8> {
    let mut bytes = vec![0xff; 12];
    bytes.extend([8, 6]);
    bytes.extend(number.to_be_bytes());
    bytes
}

/// An echo request.
fn icmp(number: u32) -> Vec<u8> {
    let mut bytes = udp(0x0800, 64, number);
    bytes[23] = 1;
    bytes
}

/// A capture file with frames of these times after [`AT`].
fn file(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    block::append(&mut out, 0x0a0d_0d0a, |out| {
        out.extend([0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
        out.extend([0xff; 8]);
    });
    block::append(&mut out, 1, |out| {
        out.extend([1, 0, 0, 0, 0, 0, 4, 0]);
        block::option(out, 2, b"eth0");
        block::option(out, 9, &[9]);
        block::end_options(out);
    });
    for (after, bytes) in frames {
        let nanos = AT + after;
        block::append(&mut out, 6, |out| {
            let length = bytes.len() as u32;
            for field in [0, (nanos >> 32) as u32, nanos as u32, length, length] {
                out.extend(field.to_le_bytes());
            }
            out.extend(bytes);
        });
    }
    out
}

fn thinned(place: &TempDir, contents: &[u8], amount: Amount) -> (Account, Vec<Written>) {
    let (input, output) = (place.path().join("in.pcapng"), place.path().join("out.pcapng.zst"));
    fs::write(&input, contents).unwrap();
    let format = Format::of(&output).unwrap();
    let options = Options { files: vec![input], output: output.clone(), format, amount };
    (run(&options, |_| {}).unwrap(), written(&output))
}

/// A frame in the output: how long after [`AT`], its bytes, its first comment.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    after: u64,
    bytes: Vec<u8>,
    comment: Option<String>,
}

fn written(path: &Path) -> Vec<Written> {
    let mut file = FileSource::open(path).unwrap();
    let mut frames = Vec::new();
    while let Some(item) = file.step().unwrap() {
        if item != Item::Frame {
            continue;
        }
        let (frame, block) = (file.frame().unwrap(), file.block().unwrap());
        let options = 28 + frame.bytes.len().next_multiple_of(4);
        let mut options = BlockOptions::of(block.order, block.bytes, options);
        let comment = options.find(|(code, _)| *code == 1);
        frames.push(Written {
            after: frame.wall.unwrap().0 - AT,
            bytes: frame.bytes.to_vec(),
            comment: comment.map(|(_, text)| String::from_utf8(text.to_vec()).unwrap()),
        });
    }
    frames
}

/// What the comments say is missing.
fn told(frames: &[Written]) -> u64 {
    let comments = frames.iter().filter_map(|frame| frame.comment.as_deref());
    let number = |text: &str| text.split_whitespace().next().unwrap().parse::<u64>().unwrap();
    comments
        .map(|text| match text.strip_prefix("dashcap: folded; this frame came ") {
            Some(rest) => number(rest) - 1,
            None => number(text.split_once("; ").unwrap().1),
        })
        .sum()
}

fn frames(keep: u32, copies: u32) -> Amount {
    Amount::Frames(Limits::of(keep, copies).unwrap())
}

fn assert_adds_up(account: &Account, written: &[Written]) {
    let mut sum = account.others;
    for flow in account.flows.iter().map(|flow| flow.share).chain([account.total]) {
        let aside = flow.aside();
        assert_eq!(flow.read.frames, flow.kept.frames + aside.frames, "{flow:?}");
        assert_eq!(flow.read.bytes, flow.kept.bytes + aside.bytes, "{flow:?}");
    }
    for flow in &account.flows {
        sum.read.frames += flow.share.read.frames;
        sum.kept.frames += flow.share.kept.frames;
    }
    assert_eq!(sum.read.frames, account.total.read.frames);
    assert_eq!(sum.kept.frames, account.total.kept.frames);
    assert_eq!(written.len() as u64, account.total.kept.frames);
    assert_eq!(told(written), account.total.aside().frames, "comments tell every frame");
}

#[test]
fn of_a_storm_the_first_copies_of_each_second_are_kept_and_all_are_counted() {
    let place = TempDir::new().unwrap();
    let storm: Vec<_> = (0..2_000).map(|n| (n * S / 1_000, udp(1, 64, 7))).collect();
    let (account, written) = thinned(&place, &file(&storm), frames(4, 16));
    assert_adds_up(&account, &written);
    // Eight before it is known to come fast, of which no more than the limit of flows is missing.
    assert_eq!(account.total.folded.count.frames, (1_000 - 8 - 16) + (1_000 - 16));
    let comment = written.iter().find_map(|frame| frame.comment.as_deref()).unwrap();
    assert_eq!(
        comment,
        "dashcap: folded; this frame came 977 times within 0.976000 s, the last time at \
         2026-11-22T14:14:20.999000000Z; it is stored once"
    );
    assert_eq!(written[24].after, S, "the next second begins with copies again");
    let between = account.total.folded.between.unwrap();
    assert_eq!((between.first, between.last), (Wall(AT + 24_000_000), Wall(AT + 1_999_000_000)));
}

#[test]
fn of_a_busy_flow_the_first_and_the_last_of_each_second_are_kept() {
    let place = TempDir::new().unwrap();
    let mut busy: Vec<_> = (0..500).map(|n| (n * S / 500, udp(1, 64, n as u32))).collect();
    busy.extend((0..20).map(|n| (S + n, udp(2, 64, n as u32))));
    let (account, written) = thinned(&place, &file(&busy), frames(10, 64));
    assert_adds_up(&account, &written);
    assert_eq!(written.len(), 40, "20 of the busy one, and the quiet one as it is");
    let payloads: Vec<_> = written[..20].iter().map(|frame| frame.bytes[45]).collect();
    let expected: Vec<_> = (0..10).chain((490..500).map(|n| n as u8)).collect();
    assert_eq!(payloads, expected);
    assert_eq!(
        written[9].comment.as_deref(),
        Some(
            "dashcap: thinned; 480 frames, 22080 bytes set aside here, from \
             2026-11-22T14:14:20.020000000Z to 2026-11-22T14:14:20.978000000Z: 192.0.2.1:1 → \
             192.0.2.2:9 UDP"
        )
    );
    assert_eq!(account.flows.len(), 1);
    assert_eq!(account.flows[0].flow, "192.0.2.1:1 → 192.0.2.2:9 UDP");
}

#[test]
fn a_packet_in_a_circle_is_folded_and_control_is_not() {
    let place = TempDir::new().unwrap();
    let circle = (0..200).map(|n| (n, udp(1, 250 - n as u8, 7)));
    let control = (0..200).map(|n| (1_000 + n, arp(n as u32)));
    let all: Vec<_> = circle.chain(control).collect();
    let (account, written) = thinned(&place, &file(&all), frames(8, 8));
    assert_adds_up(&account, &written);
    assert_eq!(written.iter().filter(|frame| frame.bytes[12..14] == [8, 6]).count(), 200);
    assert_eq!(account.total.folded.count.frames, 200 - 16);
    let comment = written[15].comment.as_deref().unwrap();
    assert!(
        comment.contains("184 frames, 8464 bytes, as this one but for time to live (51 to 243)"),
        "{comment}"
    );
}

#[test]
fn a_target_is_met_and_nothing_is_thinned_that_fits() {
    let place = TempDir::new().unwrap();
    let busy: Vec<_> =
        (0..20_000).map(|n| (n * S / 5_000, udp((n % 3) as u16, 64, n as u32))).collect();
    let contents = file(&busy);
    for (target, met) in [(u64::MAX, true), (200_000, true), (20_000, true), (5_000, false)] {
        let (account, written) = thinned(&place, &contents, Amount::Target(target));
        assert_adds_up(&account, &written);
        assert_eq!(account.plain_bytes <= target, met, "{target}: {}", account.plain_bytes);
        assert_eq!(written.len() == 20_000, target == u64::MAX);
        let of_target = account.plain_bytes as f64 / target as f64;
        assert!(target == u64::MAX || of_target > 0.6, "{target}: {}", account.plain_bytes);
    }
}

#[test]
fn a_flood_of_control_traffic_is_thinned_and_what_is_beside_it_is_not() {
    let place = TempDir::new().unwrap();
    let flood = (0..40_000_u32).map(|n| (u64::from(n) * S / 10_000, arp(n)));
    let quiet = (0..40_u32).map(|n| (u64::from(n) * S / 10, icmp(n)));
    let mut all: Vec<_> = flood.chain(quiet).collect();
    all.sort_by_key(|(at, _)| *at);
    let contents = file(&all);
    for (amount, most) in [(frames(8, 8), 4 * 1_024), (Amount::Target(50_000), 800)] {
        let (account, written) = thinned(&place, &contents, amount);
        assert_adds_up(&account, &written);
        let arp = written.iter().filter(|frame| frame.bytes[12..14] == [8, 6]).count();
        assert!((64..=most).contains(&arp), "{arp}");
        assert_eq!(written.len() - arp, 40, "as much as a network needs");
        assert!(account.target.is_none_or(|target| account.plain_bytes <= target));
    }
}

#[test]
fn frames_without_a_stamp_do_not_begin_in_1970() {
    let place = TempDir::new().unwrap();
    let mut contents = file(&[]);
    block::append(&mut contents, 3, |out| {
        out.extend(46_u32.to_le_bytes());
        out.extend(udp(1, 64, 1));
    });
    let stamped = file(&[(S, udp(1, 64, 2)), (2 * S, udp(1, 64, 3))]);
    contents.extend(&stamped[file(&[]).len()..]);
    let (input, output) = (place.path().join("in.pcapng"), place.path().join("out.pcapng"));
    fs::write(&input, contents).unwrap();
    let amount = frames(1, 1);
    let options = Options { files: vec![input], output, format: Format::Pcapng, amount };
    let account = run(&options, |_| {}).unwrap();
    let Some(Between { first, last }) = account.span else { panic!("no span") };
    assert_eq!((first, last), (Wall(AT + S), Wall(AT + 2 * S)));
    assert_eq!(account.unstamped, 1);
}

#[test]
fn what_cannot_be_held_at_once_is_thinned_in_parts() {
    let place = TempDir::new().unwrap();
    // All in one second, and all wanted: 420,000 frames.
    let busy: Vec<_> = (0..420_000).map(|n| (n, udp((n % 5) as u16, 64, n as u32))).collect();
    let (account, written) = thinned(&place, &file(&busy), frames(1_000_000, 64));
    assert_adds_up(&account, &written);
    assert_eq!(written.len(), 420_000);
    let (account, written) = thinned(&place, &file(&busy), frames(50, 64));
    assert_adds_up(&account, &written);
    assert_eq!(written.len(), 500, "what cannot be kept leaves early");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = TempDir::new().unwrap();
    let input = place.path().join("in.pcapng");
    fs::write(&input, file(&[])).unwrap();
    let out = place.path().join("out.pcapng");
    for (files, output, amount, reason) in [
        (vec![], &out, frames(1, 1), "name at least one file"),
        (vec![input.clone()], &input, frames(1, 1), "one of the files that are read"),
        (vec!["-".into()], &out, Amount::Target(5), "reads its input twice"),
        (vec![input.clone()], &"-".into(), Amount::Target(5), "writes its output several times"),
    ] {
        let options = Options { files, output: output.clone(), format: Format::Pcapng, amount };
        let refused = options.check().unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
    let (account, written) = thinned(&place, &file(&[]), frames(1, 1));
    assert_eq!((account.total, account.span, written.len()), (Share::default(), None, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_comes_adds_up(
        shape in prop::collection::vec((0..4_u16, 60..64_u8, 0..3_u32, 0..400_u64, 1..80_usize), 0..40),
        keep in 1..9_u32,
        copies in 1..9_u32,
    ) {
        let place = TempDir::new().unwrap();
        let mut at = 0;
        let mut all = Vec::new();
        for (number, (port, ttl, payload, pause, times)) in shape.into_iter().enumerate() {
            for n in 0..times {
                at += pause * S / 10_000;
                let bytes = match payload {
                    0 => udp(port, ttl, 0),
                    1 => udp(port, ttl, (number * 100 + n) as u32),
                    _ => arp(u32::from(port)),
                };
                all.push((at, bytes));
            }
        }
        let (account, written) = thinned(&place, &file(&all), frames(keep, copies));
        prop_assert_eq!(account.total.read.frames, all.len() as u64);
        assert_adds_up(&account, &written);
        prop_assert!(written.is_sorted_by_key(|frame| frame.after));
        let (account, written) = thinned(&place, &file(&all), Amount::Target(8_000));
        assert_adds_up(&account, &written);
    }
}

#[test]
fn the_comment_on_the_file_tells_what_is_missing_in_all() {
    let place = TempDir::new().unwrap();
    let storm: Vec<_> = (0..2_000).map(|n| (n * S / 1_000, udp(1, 64, 7))).collect();
    let (account, _) = thinned(&place, &file(&storm), frames(4, 16));
    let mut file = FileSource::open(&place.path().join("out.pcapng.zst")).unwrap();
    assert_eq!(file.step().unwrap(), Some(Item::Block));
    let header = file.block().unwrap();
    let (_, text) =
        BlockOptions::of(header.order, header.bytes, 24).find(|(code, _)| *code == 1).unwrap();
    let text = std::str::from_utf8(text).unwrap();
    let missing = format!("{} identical ones are folded", account.total.folded.count.frames);
    assert!(text.contains("2000 frames were read") && text.contains(&missing), "{text}");
    assert!(text.contains("eth0 192.0.2.1:1 → 192.0.2.2:9 UDP: "), "{text}");
}
