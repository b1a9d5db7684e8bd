//! The body of `POST /trigger`, our own or Alertmanager's.
#![no_main]

use dashcap::api::webhook::meaning;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Ok(meaning) = meaning(body, "192.0.2.1") {
        let sentence = meaning.fact("192.0.2.1").to_string();
        assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
    }
});
