//! Lines of logs: a record of the kernel's, an entry of the journal.
#![no_main]

use dashcap::watch::logs::{parse_entry, parse_record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let line = &String::from_utf8_lossy(line);
    if let Some(record) = parse_record(line) {
        assert!(!record.text.contains('\n'));
    }
    let _ = parse_entry(line);
});
