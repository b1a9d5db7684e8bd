use std::fs;
use std::io::{self, Cursor, Write};

use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/capture-files");

/// What a file turned out to hold.
#[derive(Debug, Default, PartialEq)]
struct Contents {
    frames: Vec<Seen>,
    interfaces: Vec<(String, u16)>,
    damage: Option<(u64, String)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    origin: usize,
    wall: Option<u64>,
    original_len: u32,
    direction: Direction,
    bytes: Vec<u8>,
}

fn bytes_of(file: &str) -> Vec<u8> {
    fs::read(Path::new(FILES).join(file)).unwrap()
}

/// A reader that hands over a few bytes at a time, as a pipe may.
struct Drip(Cursor<Vec<u8>>);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(7);
        self.0.read(&mut buffer[..length])
    }
}

fn read(bytes: &[u8]) -> Result<Contents> {
    read_from(Cursor::new(bytes.to_vec()))
}

fn read_from(reader: impl Read + Send + 'static) -> Result<Contents> {
    let mut file = FileSource::from_reader("router.pcap", reader)?;
    let mut contents = Contents::default();
    loop {
        match file.advance() {
            Ok(true) => {}
            Ok(false) => break,
            Err(damage) => {
                assert_eq!(damage.frames, contents.frames.len() as u64);
                contents.damage = Some((damage.offset, damage.what));
                assert!(!file.advance().unwrap(), "told once");
                break;
            }
        }
        let FileFrame { origin, wall, original_len, direction, bytes, .. } = file.frame().unwrap();
        let (wall, bytes) = (wall.map(|wall| wall.0), bytes.to_vec());
        assert!(bytes.len() <= original_len as usize && bytes.len() <= LONGEST_FRAME as usize);
        contents.frames.push(Seen { origin, wall, original_len, direction, bytes });
    }
    let name = |origin: &Arc<Origin>| (origin.interface.clone(), origin.link_type.0);
    contents.interfaces = file.origins().iter().map(name).collect();
    Ok(contents)
}

#[test]
fn files_hold_what_other_readers_say() {
    let expected = fs::read_to_string(Path::new(FILES).join("expected.tsv")).unwrap();
    for line in expected.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, frames, first, last, bytes, verdict] = fields[..] else { panic!("{line}") };
        let contents = read(&bytes_of(file));
        if verdict == "refused" {
            let error = contents.unwrap_err().to_string();
            assert!(error.contains("cannot read router.pcap"), "{file}: {error}");
            assert!(error.contains("accepted: pcap and pcapng"), "{file}: {error}");
            continue;
        }
        let contents = contents.unwrap();
        let stamp = |frame: Option<&Seen>| {
            frame.and_then(|f| f.wall).map_or("-".to_owned(), |wall| {
                format!("{}.{:09}", wall / 1_000_000_000, wall % 1_000_000_000)
            })
        };
        let sum: u64 = contents.frames.iter().map(|f| u64::from(f.original_len)).sum();
        let damage = contents.damage.as_ref();
        let told = damage.map_or("ok".to_owned(), |(offset, _)| format!("damaged {offset}"));
        assert_eq!(
            (contents.frames.len().to_string(), sum.to_string(), told),
            (frames.to_owned(), bytes.to_owned(), verdict.to_owned()),
            "{file}"
        );
        assert_eq!(stamp(contents.frames.first()), first, "{file}");
        assert_eq!(stamp(contents.frames.last()), last, "{file}");
    }
}

#[test]
fn interfaces_have_names() {
    for (file, expected) in [
        ("arkime-bigendian.pcap", &[("router", 1)][..]),
        ("hadrielk-le-test100.pcapng", &[("eth0", 1), ("null1", 0), ("wifi2?", 1)]),
        (
            "zeek-pcapng-multi-interface.pcapng",
            &[("eth0", 1), ("\\Device\\NPF_{5AE6EDB4-EFF9-46B3-A3C2-EE50C688A9E6}", 1)],
        ),
    ] {
        let found = read(&bytes_of(file)).unwrap().interfaces;
        let found: Vec<_> = found.iter().map(|(name, link)| (name.as_str(), *link)).collect();
        assert_eq!(found, expected, "{file}");
    }
    let unnamed = [section(), block(1, &numbers(&[1, 0])), block(1, &numbers(&[101, 0]))].concat();
    let found = read(&unnamed).unwrap().interfaces;
    assert_eq!(found, [("router".to_owned(), 1), ("router.1".to_owned(), 101)]);
    for (name, expected) in [
        ("/var/log/router.pcap.gz", "router"),
        ("a.b.pcapng.zst", "a.b"),
        ("trace", "trace"),
        ("-", "capture"),
        (".pcap", "capture"),
    ] {
        assert_eq!(stem(name), expected);
    }
}

#[test]
fn compressed_and_piped_files_are_the_same() {
    for file in ["zeek-pcapng-multi-interface.pcapng", "arkime-bigendian.pcap"] {
        let plain = bytes_of(file);
        let expected = read(&plain).unwrap();
        let zstd = zstd::encode_all(&plain[..], 3).unwrap();
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&plain).unwrap();
        let gzip = gzip.finish().unwrap();
        for bytes in [plain, zstd, gzip] {
            assert_eq!(read(&bytes).unwrap(), expected, "{file}");
            assert_eq!(read_from(Drip(Cursor::new(bytes))).unwrap(), expected, "{file} in drips");
        }
    }
}

#[test]
fn a_compressed_file_that_is_cut_short_gives_what_it_has() {
    // Without likeness, so that the compressor makes many blocks.
    let mut state = 1_u64;
    let frames: Vec<Vec<u8>> = (0..2_000)
        .map(|_| {
            let mut frame = Vec::new();
            for _ in 0..100 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                frame.extend((state >> 24).to_le_bytes());
            }
            frame
        })
        .collect();
    let records: Vec<_> = frames.iter().map(|f| (1, 2, 800, 800, &f[..])).collect();
    let plain = classic([0xa1, 0xb2, 0xc3, 0xd4], 4, &records, u32::to_be_bytes);
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    for compressed in [zstd::encode_all(&plain[..], 1).unwrap(), gzip.finish().unwrap()] {
        let contents = read(&compressed[..compressed.len() / 2]).unwrap();
        assert!(contents.frames.len() > 100 && contents.frames.len() < 1_900);
        assert!(contents.frames.iter().zip(&frames).all(|(seen, frame)| seen.bytes == *frame));
        assert!(contents.damage.is_some());
    }
}

#[test]
fn a_file_cut_anywhere_gives_the_frames_before_the_cut() {
    for file in ["tcpdump-tcp-handshake-nano.pcap", "hadrielk-le-test100.pcapng"] {
        let whole = bytes_of(file);
        let all = read(&whole).unwrap().frames;
        for end in 0..whole.len() {
            let Ok(contents) = read(&whole[..end]) else { continue };
            let there = contents.frames.len();
            assert_eq!(contents.frames, all[..there], "{file} cut at {end}");
            assert!(contents.damage.is_none_or(|(offset, what)| {
                offset <= end as u64 && what.starts_with("cut short")
            }));
        }
    }
}

/// A classic file with this magic, version and records of seconds, fraction, two lengths and bytes.
fn classic(
    magic: [u8; 4],
    minor: u16,
    records: &[(u32, u32, u32, u32, &[u8])],
    order: fn(u32) -> [u8; 4],
) -> Vec<u8> {
    let little = order(1)[0] == 1;
    let short = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    let mut file = magic.to_vec();
    file.extend(short(2));
    file.extend(short(minor));
    file.extend([order(0), order(0), order(0), order(1)].concat());
    for (seconds, fraction, one, other, bytes) in records {
        file.extend([seconds, fraction, one, other].into_iter().flat_map(|n| order(*n)));
        file.extend(*bytes);
    }
    file
}

#[test]
fn variants_of_the_classic_format_are_read() {
    const MICRO: [u8; 4] = [0xa1, 0xb2, 0xc3, 0xd4];
    const NANO_LITTLE: [u8; 4] = [0x4d, 0x3c, 0xb2, 0xa1];
    const MODIFIED: [u8; 4] = [0xa1, 0xb2, 0xcd, 0x34];
    let little: fn(u32) -> [u8; 4] = u32::to_le_bytes;
    let big: fn(u32) -> [u8; 4] = u32::to_be_bytes;
    let kind = |kind: u8| [&[0, 0, 0, 7, 8, 0, kind, 0][..], b"abc"].concat();
    let (sent, received) = (kind(4), kind(0));
    // name, file, (nanoseconds, original length, direction)
    for (name, file, expected) in [
        (
            "big",
            classic(MICRO, 4, &[(1, 2, 3, 9, b"abc")], big),
            (1_000_002_000, 9, Direction::Unknown),
        ),
        (
            "nano",
            classic(NANO_LITTLE, 4, &[(1, 2, 3, 9, b"abc")], little),
            (1_000_000_002, 9, Direction::Unknown),
        ),
        (
            "2.2",
            classic(MICRO, 2, &[(1, 2, 9, 3, b"abc")], big),
            (1_000_002_000, 9, Direction::Unknown),
        ),
        (
            "2.3",
            classic(MICRO, 3, &[(1, 2, 3, 9, b"abc")], big),
            (1_000_002_000, 9, Direction::Unknown),
        ),
        (
            "2.3 swapped",
            classic(MICRO, 3, &[(1, 2, 9, 3, b"abc")], big),
            (1_000_002_000, 9, Direction::Unknown),
        ),
        (
            "sent",
            classic(MODIFIED, 4, &[(1, 2, 3, 9, &sent)], big),
            (1_000_002_000, 9, Direction::Outbound),
        ),
        (
            "received",
            classic(MODIFIED, 4, &[(1, 2, 3, 9, &received)], big),
            (1_000_002_000, 9, Direction::Inbound),
        ),
        (
            "short original",
            classic(MICRO, 4, &[(1, 2, 3, 1, b"abc")], big),
            (1_000_002_000, 3, Direction::Unknown),
        ),
    ] {
        let contents = read(&file).unwrap();
        assert_eq!(contents.damage, None, "{name}");
        let [frame] = &contents.frames[..] else { panic!("{name}: {contents:?}") };
        assert_eq!((frame.wall.unwrap(), frame.original_len, frame.direction), expected, "{name}");
        assert_eq!(frame.bytes, b"abc", "{name}");
    }
    for (records, what) in [
        (&[(1, 2, 3, 3, &b"abc"[..]), (0, 0, 0, 0, b"")][..], "zeros where a record should begin"),
        (&[(1, 2, 3, 3, b"abc"), (1, 2, 262_145, 262_145, b"")], "claims 262145 bytes"),
    ] {
        let contents = read(&classic(MICRO, 4, records, big)).unwrap();
        assert_eq!(contents.frames.len(), 1);
        let (offset, told) = contents.damage.unwrap();
        assert!(offset == 43 && told.contains(what), "{offset} {told}");
    }
}

/// A little-endian block.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let body = [body, &[0; 3][..body.len().next_multiple_of(4) - body.len()]].concat();
    let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &body, &length].concat()
}

fn section() -> Vec<u8> {
    block(0x0a0d_0d0a, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8]].concat())
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

#[test]
fn sections_tell_offset_direction_and_odd_names() {
    let options = [
        &[2, 0, 4, 0, b'L', 0xe4, b'n', b'0'][..],
        &[14, 0, 8, 0, 100, 0, 0, 0, 0, 0, 0, 0],
        &[9, 0, 1, 0, 9, 0, 0, 0],
    ];
    let interface = block(1, &[&numbers(&[1, 0])[..], &options.concat()].concat());
    let flags = [2, 0, 4, 0, 0b1_0010, 0, 0, 0];
    let frame = [&numbers(&[0, 0, 7, 3, 60])[..], b"abc\0", &flags].concat();
    let obsolete = [&numbers(&[0, 0, 8, 3, 3])[..], b"abc\0"].concat();
    let file =
        [section(), interface, block(6, &frame), block(0xbad, b"?"), block(2, &obsolete)].concat();
    let contents = read(&file).unwrap();
    assert_eq!(contents.damage, None);
    assert_eq!(contents.interfaces, [("L\u{fffd}n0".to_owned(), 1)]);
    let told: Vec<_> =
        contents.frames.iter().map(|f| (f.wall.unwrap(), f.original_len, f.direction)).collect();
    let s = 100_000_000_000;
    assert_eq!(told, [(s + 7, 60, Direction::Outbound), (s + 8, 3, Direction::Unknown)]);
}

#[test]
fn what_has_no_meaning_is_damage() {
    let interface = block(1, &numbers(&[1, 0]));
    let frame = |interface: u32, captured: u32| {
        block(6, &[&numbers(&[interface, 0, 7, captured, captured])[..], b"abc\0"].concat())
    };
    let mut huge = block(6, &[]);
    huge[4..8].copy_from_slice(&(LONGEST_BLOCK + 4).to_le_bytes());
    for (blocks, what) in [
        (frame(1, 3), "interface 1, which was not described"),
        (frame(0, 9), "a frame of 9 bytes in a shorter block"),
        (frame(0, 262_145), "a frame that claims 262145 bytes"),
        (block(6, &[0; 8]), "a block too short for its enhanced packet"),
        (block(1, &[0; 4]), "a block too short for its interface description"),
        (block(3, &[]), "a block too short for its simple packet"),
        (huge, "a block that claims 16777220 bytes"),
    ] {
        let file = [section(), interface.clone(), frame(0, 3), blocks].concat();
        let contents = read(&file).unwrap();
        assert_eq!(contents.frames.len(), 1);
        assert!(contents.damage.as_ref().unwrap().1.contains(what), "{contents:?}");
    }
    let many = [section(), interface.repeat(MAX_INTERFACES + 1)].concat();
    assert!(read(&many).unwrap().damage.unwrap().1.contains("more than 4096 interfaces"));
    for (bytes, reason) in [(&b""[..], "it is empty"), (b"#!/bin/sh", "unknown magic")] {
        let error = read(bytes).unwrap_err();
        assert!(error.exit_status() == 1 && error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn versions_that_nobody_defined_are_refused() {
    for (minor, known) in [(0, true), (3, true), (4, true), (5, false), (9, false)] {
        let file = classic([0xa1, 0xb2, 0xc3, 0xd4], minor, &[], u32::to_be_bytes);
        assert_eq!(read(&file).is_ok(), known, "pcap 2.{minor}");
    }
    for (minor, known) in [(0, true), (1, false), (2, true), (3, false)] {
        let mut file = section();
        file[14] = minor;
        assert_eq!(read(&file).is_ok(), known, "pcapng 1.{minor}");
    }
}

#[test]
fn what_pzstd_writes_is_read_and_what_others_pack_is_named() {
    let plain = bytes_of("tcpdump-tcp-handshake-nano.pcap");
    let packed = zstd::encode_all(&plain[..], 1).unwrap();
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"abcd"].concat();
    let pzstd = [&skipped[..], &packed, &skipped].concat();
    assert_eq!(read(&pzstd).unwrap(), read(&plain).unwrap());
    for (begin, name) in [
        (&[0x04, 0x22, 0x4d, 0x18, 0x64, 0x40][..], "lz4"),
        (&[0x02, 0x21, 0x4c, 0x18, 0, 0], "lz4"),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
        (b"BZh91AY", "bzip2"),
    ] {
        let text = read(begin).unwrap_err().to_string();
        assert!(text.contains(&format!("compressed with {name}: unpack it first")), "{text}");
    }
}

#[test]
fn of_a_rotated_set_empty_and_cut_members_are_damaged_and_the_others_read() {
    let place = tempfile::TempDir::new().unwrap();
    let whole = classic([0xa1, 0xb2, 0xc3, 0xd4], 4, &[(1, 0, 3, 3, b"abc")], u32::to_be_bytes);
    let packed = zstd::encode_all(&whole[..], 1).unwrap();
    let members: Vec<_> = [
        ("whole", &whole[..]),
        ("empty", b""),
        ("a.byte", &whole[..1]),
        ("header", &whole[..24]),
        ("half.a.header", &whole[..23]),
        ("packed", &packed[..9]),
        ("half.a.section", &section()[..20]),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let path = place.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    })
    .collect();
    let (mut files, ended) = merge::Merged::open(&members).unwrap();
    let mut frames = 0;
    while files.head().is_some() {
        frames += 1;
        files.pass();
    }
    assert_eq!(frames, 1);
    let damaged = |end: &merge::Ended| end.damage.as_ref().map(|damage| damage.what.clone());
    let damaged: Vec<_> = ended.iter().filter_map(damaged).collect();
    assert_eq!(damaged.len(), 5, "{damaged:?}");
    assert_eq!(damaged[0], "it is empty");
    for alone in &members[1..] {
        let is_header = alone.ends_with("header");
        assert_eq!(FileSource::open(alone).is_ok(), is_header, "{}", alone.display());
    }
    fs::write(&members[1], "#!/bin/sh").unwrap();
    assert!(merge::Merged::open(&members).is_err(), "it never was a capture file");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        magic in prop::sample::select(vec![
            vec![], section(), vec![0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4], vec![0x28, 0xb5, 0x2f, 0xfd],
            vec![0x1f, 0x8b, 8, 0], [section(), block(1, &numbers(&[1, 0]))].concat(),
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let _ = read(&[magic, bytes].concat());
    }

    #[test]
    fn damaged_files_never_panic(
        file in prop::sample::select(vec![
            "hadrielk-le-test100.pcapng", "hadrielk-be-test010.pcapng",
            "rusticata-modified-format.pcap", "zeek-linux_dlt_sll2.pcap",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = bytes_of(file);
        for (at, to) in changes {
            *at.get_mut(&mut bytes) = to;
        }
        let _ = read(&bytes);
    }
}
