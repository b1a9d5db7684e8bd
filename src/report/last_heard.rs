//! Whom each interface heard last: what an engineer asks first when something is silent.
//!
//! Anybody; the stations that most is asked of, routers first; the hosts that are probed. By the same tables as
//! the detectors', so a frame counts whatever it was, and a probed host by the answers that were shown to them.

use std::net::IpAddr;

use super::interface::Judged;
use super::model::{LastHeard, Track, seconds_between};
use crate::detect::tap::Station;
use crate::time::{Mono, Wall};

/// Stations of an interface that are told: those that most is heard of.
const STATIONS: usize = 4;

/// A few rows for each interface.
pub(super) fn of(interfaces: &[Judged], tracks: &[Track], end: Wall) -> Vec<LastHeard> {
    let probed: Vec<IpAddr> = tracks.iter().filter_map(probed).collect();
    interfaces.iter().flat_map(|judged| of_interface(judged, &probed, end)).collect()
}

fn of_interface(judged: &Judged, probed: &[IpAddr], end: Wall) -> Vec<LastHeard> {
    let (counts, detectors) = (judged.stations(), judged.detectors());
    let row = |who: String, last: Mono, sent_since| {
        let time = judged.clock().wall(last);
        let before_end_s = seconds_between(time, end).max(0.0);
        LastHeard { interface: judged.name.to_string(), who, time, before_end_s, sent_since }
    };
    let anybody = counts.hearing().last;
    if anybody == Mono(0) {
        return Vec::new();
    }
    let mut rows = vec![row("anybody".to_owned(), anybody, None)];
    let is_router = |station: &Station| {
        let asked = detectors.asked_of(station.mac, station.vlan);
        asked.is_some() && asked != detectors.address_of(station.mac, station.vlan)
    };
    let mut stations: Vec<&Station> = counts.stations.iter().collect();
    stations.retain(|station| detectors.asked_of(station.mac, station.vlan).is_some());
    stations.sort_by_key(|station| std::cmp::Reverse((is_router(station), station.hearing.heard)));
    for station in stations.into_iter().take(STATIONS) {
        let kind = if is_router(station) { "next hop" } else { "neighbour" };
        let own = detectors.address_of(station.mac, station.vlan);
        let own = own.map_or_else(String::new, |own| format!("{own} "));
        let tag =
            if station.vlan == 0 { String::new() } else { format!(" in VLAN {}", station.vlan) };
        let who = format!("{kind} {own}({}){tag}", station.mac);
        rows.push(row(who, station.hearing.last, Some(station.hearing.open().sent)));
    }
    let hosts = probed.iter().filter_map(|host| Some((host, detectors.heard(*host)?)));
    rows.extend(hosts.map(|(host, last)| row(format!("probed host {host}"), last, None)));
    rows
}

/// The host of a probe, where it is named by its address.
fn probed(track: &Track) -> Option<IpAddr> {
    track.name.strip_prefix("probe ")?.parse().ok()
}
