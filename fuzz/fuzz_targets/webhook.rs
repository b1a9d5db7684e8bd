//! The body of `POST /trigger`, our own or Alertmanager's.
#![no_main]

use dashcap::api::webhook::meaning;
use dashcap::time::Wall;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Ok(meaning) = meaning(body, "192.0.2.1", Wall(1_795_356_860_000_000_000)) {
        let sentence = meaning.fact("192.0.2.1").to_string();
        assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
    }
});
