//! What a dashcap that was taken over says to the runner of hooks: nothing of it is run, for there is nothing to run.
#![no_main]

use dashcap::hook::runner::serve;
use dashcap::time::Clock;
use libfuzzer_sys::fuzz_target;

/// What is said first, before a byte of a stranger was read: no hook, no collector.
const ROSTER: &[u8] =
    b"{\"ask\":\"roster\",\"hooks\":[],\"collect\":null,\"output\":\"/nonexistent\"}\n";

fuzz_target!(|input: &[u8]| {
    let said = [ROSTER, input].concat();
    let mut answers = Vec::new();
    // What cannot be understood ends it with a reason.
    let _ = serve(&said[..], &mut answers, &Clock::system());
    for line in answers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let text = str::from_utf8(line).expect("text");
        assert!(!text.contains("\"answer\":\"began\""), "{text}");
    }
});
