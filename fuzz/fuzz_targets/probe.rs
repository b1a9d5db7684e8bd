//! What a probe hears: a byte that says of whom, then a datagram, or the beginning of a stream.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dashcap::watch::probe::{Options, is_answer};
use libfuzzer_sys::fuzz_target;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
const PROBED: [(&str, IpAddr); 4] = [
    ("10.0.0.1", V4),
    ("fe80::1%eth0", V6),
    ("dns:10.0.0.1/example.org", V4),
    ("http://10.0.0.1/health", V4),
];

fuzz_target!(|input: &[u8]| {
    let Some((which, heard)) = input.split_first() else { return };
    let (host, address) = PROBED[usize::from(*which) % PROBED.len()];
    is_answer(&Options::new(host), address, heard).expect("a host of an accepted form");
});
