//! A capture file through `dashcap cut`: every reader, and the writer of pcapng.
#![no_main]

use std::path::PathBuf;

use dashcap::capture_file::output::Format;
use dashcap::cut::{Asked, Options, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((format, capture)) = input.split_first() else { return };
    let file = PathBuf::from(format!("/dev/shm/dashcap-fuzz-cut-{}", std::process::id()));
    std::fs::write(&file, capture).expect("it can be written");
    let format = match format % 3 {
        0 => Format::Pcap,
        1 => Format::Pcapng,
        _ => Format::PcapngZstd,
    };
    let options = Options {
        files: vec![file],
        output: PathBuf::from("/dev/null"),
        format,
        window: Asked::Between(None, None),
        filter: None,
        interfaces: Vec::new(),
        bisect: Some(0),
    };
    if let Ok(account) = run(&options, |_| {}) {
        assert!(account.frames == 0 || account.span.is_some());
    }
});
