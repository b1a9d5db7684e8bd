//! What a host saw, as a replay reads it: `events.jsonl` or a table.
#![no_main]

use dashcap::recorder::replay::host_events;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    if let Ok(seen) = host_events("events", file) {
        assert!(seen.is_sorted_by_key(|(wall, _)| *wall));
        seen.iter().for_each(|(_, fact)| assert!(!fact.to_string().is_empty()));
    }
});
