//! A datagram of rtnetlink, by the watchers of links and of addresses, routes and neighbours.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use dashcap::watch::{ip, link};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let neighbours = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))];
    for fact in link::told_by(datagram).into_iter().chain(ip::told_by(datagram, &neighbours)) {
        let _ = (fact.to_string(), fact.interface());
    }
});
