//! A capture file: pcap or pcapng, plain or compressed.
#![no_main]

use std::io::Cursor;

use dashcap::capture_file::FileSource;
use libfuzzer_sys::fuzz_target;

/// A few bytes compress a file of any size: frames of it that are read.
const MOST: usize = 10_000;

fuzz_target!(|input: &[u8]| {
    let Ok(mut file) = FileSource::from_reader("fuzz.pcap", Cursor::new(input.to_vec())) else {
        return;
    };
    for number in 0..MOST {
        match file.advance() {
            Ok(true) => {}
            Ok(false) => break,
            Err(damage) => {
                assert_eq!(damage.frames, number as u64);
                assert!(!damage.to_string().is_empty());
                assert_eq!(file.advance(), Ok(false), "damage is told once");
                break;
            }
        }
        let frame = file.frame().expect("the frame that it went to");
        assert!(frame.bytes.len() <= frame.original_len as usize);
        assert!(frame.origin < file.origins().len());
    }
});
