//! A capture file through `dashcap thin`: nothing is left out silently.
#![no_main]

use std::path::PathBuf;

use dashcap::capture_file::output::Format;
use dashcap::thin::{Amount, Limits, Options, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((keep, capture)) = input.split_first() else { return };
    let file = PathBuf::from(format!("/dev/shm/dashcap-fuzz-thin-{}", std::process::id()));
    std::fs::write(&file, capture).expect("it can be written");
    let keep = u32::from(*keep % 4) + 1;
    let options = Options {
        files: vec![file],
        output: PathBuf::from("/dev/null"),
        format: Format::Pcapng,
        amount: Amount::Frames(Limits::of(keep, keep).expect("in range")),
    };
    if let Ok(account) = run(&options, |_| {}) {
        let share = &account.total;
        let all = share.kept.frames + share.folded.count.frames + share.thinned.count.frames;
        assert_eq!(share.read.frames, all);
    }
});
