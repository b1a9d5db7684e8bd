//! What the kernel says in text: `/proc/net/bonding`.
#![no_main]

use dashcap::watch::attribute::bonding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = bonding::read(text);
});
