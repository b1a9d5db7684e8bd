//! OSPF: a router's hello names the neighbours it hears. One that drops out of it, or a router whose
//! hellos stay away for its dead interval, is lost.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{Lasting, Pulse};
use crate::finding::{Finding, FindingKind, Severity};
use crate::wire::link::Vlans;
use crate::wire::ospf::{Kind, Ospf};

/// Routers on one interface.
const MOST: usize = 512;
/// Neighbours that one router names.
const NEIGHBOURS: usize = 128;

/// VLANs, version, router.
type Name = (Vlans, u8, Ipv4Addr);

/// Judges the hellos of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    routers: Bounded<Name, Router>,
}

#[derive(Debug)]
struct Router {
    pulse: Pulse,
    neighbours: Bounded<Ipv4Addr, Lasting>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { routers: Bounded::new(MOST) }
    }

    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        ospf: &Ospf<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let Kind::Hello(hello) = ospf.kind else { return };
        let make = || Router {
            pulse: Pulse::new(heard.at(), hello.dead),
            neighbours: Bounded::new(NEIGHBOURS),
        };
        let name = (heard.vlans(), ospf.version, ospf.router);
        let Some(router) = self.routers.entry(name, make) else { return };
        router.pulse.beat(heard, hello.dead, || named(&name), findings);
        for neighbour in hello.neighbours() {
            if let Some(lost) = router.neighbours.entry(neighbour, Lasting::default) {
                let again = || format!("{} hears {neighbour} again", named(&name));
                lost.end(heard.at(), again, findings);
            }
        }
        router.neighbours.retain(|neighbour, lost| {
            if !hello.neighbours().any(|named| named == *neighbour) && !lost.is_open() {
                let sentence =
                    format!("{} does not hear its neighbor {neighbour} any longer", named(&name));
                let kind = FindingKind::OspfNeighborLost;
                lost.begin(heard.finding(kind, Severity::Warning, sentence), findings);
            }
            true
        });
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.routers.retain(|name, router| {
            let silence = |silent: Duration| {
                let what = named(name);
                let sentence = format!(
                    "no hello of {what} for {:.0} s, its dead interval",
                    silent.as_secs_f64()
                );
                now.finding(FindingKind::OspfNeighborLost, Severity::Warning, what, sentence)
            };
            router.pulse.check(now, silence, findings);
            let keep = !router.pulse.is_forgotten(now, findings);
            if !keep {
                router.neighbours.retain(|neighbour, lost| {
                    let given_up = || format!("{} is gone, and {neighbour} with it", named(name));
                    lost.end(now.at, given_up, findings);
                    false
                });
            }
            keep
        });
    }

    pub(super) fn refused(&self) -> u64 {
        let within: u64 = self.routers.iter().map(|(_, router)| router.neighbours.refused()).sum();
        self.routers.refused() + within
    }
}

fn named((vlans, version, router): &Name) -> String {
    format!("OSPFv{version} router {router}{}", place(*vlans))
}
