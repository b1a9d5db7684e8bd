//! This host's seat in its fleet: what the bus hears goes to the recorder, and what others ask of this host is answered
//! from its status.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::line::RecorderLine;
use super::status::RecorderStatus;
use crate::error::Result;
use crate::fleet::Options;
use crate::fleet::answer::{ClockReading, OnsetThere};
use crate::fleet::exchange::{HeardNotice, Keeper};
use crate::fleet::inquiry::{
    Conclusion, FleetBundle, Inquiry, LONGEST_REPORTS, MOST_BUNDLES, NoticeOutcome, OnsetSince,
    Told,
};
use crate::fleet::notice::Want;
use crate::fleet::status::Presence;
use crate::incident::Host;
use crate::incident::onset::{self, BundleOnset};
use crate::incident::store::{Listing, Stored, mark};
use crate::observation::Fact;
use crate::observation::shown::ShownNames;
use crate::sys::discipline;
use crate::time::{Clock, Offset, Stamp, nanos};
use crate::watch::ip::addresses;
use crate::watch::link::links;

/// What the kernel adds to its bound each second since a daemon said that the clock is right (500 ppm,
/// kernel/time/ntp.c, MAXFREQ). A bound that is a multiple of it began at zero, as systemd-timesyncd and phc2sys leave
/// it: it tells how long ago that was, and no error.
const GROWTH_MICROSECONDS: u128 = 500;

/// What this host is in its fleet.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    host: String,
    boot: String,
    groups: Vec<String>,
    /// What others may be told of bundles.
    share: Want,
    /// Where bundles appear.
    store: PathBuf,
    /// What this host shows on the wire.
    shown: ShownNames,
}

/// One for each task of the bus.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    line: RecorderLine,
    member: Membership,
}

impl Membership {
    /// That of `host`, whose bundles appear in `store`, and which has the names that are `shown`.
    pub(super) fn new(options: &Options, host: &Host, store: &Path, shown: &ShownNames) -> Self {
        Self {
            host: options.host.clone().unwrap_or_else(|| host.name.clone()),
            boot: host.boot_id.clone(),
            groups: options.groups.clone(),
            share: options.share,
            store: store.to_owned(),
            shown: shown.clone(),
        }
    }

    /// Its seat, from which the recorder is asked.
    pub(super) fn seat(self, line: &RecorderLine) -> Seat {
        Seat { line: line.clone(), member: self }
    }

    /// Bundles of incidents that the fleet knows, the newest first: all, or those of one notice, or the one of that
    /// name.
    fn bundles(&self, id: Option<&str>) -> Result<Vec<(Stored, Vec<String>)>> {
        let bundles = Listing::read(&self.store)?.bundles.into_iter().rev();
        let known = bundles.map(|bundle| (ids(&bundle), bundle)).filter(|(ids, bundle)| match id {
            Some(id) => bundle.name == id || ids.iter().any(|known| known == id),
            None => !ids.is_empty(),
        });
        Ok(known.take(MOST_BUNDLES).map(|(ids, bundle)| (bundle, ids)).collect())
    }

    /// What the reports of a notice's bundles conclude, if that may be told.
    fn reports(&self, id: &str) -> Result<Told> {
        let bundles = self.bundles(Some(id))?;
        if self.share == Want::State && !bundles.is_empty() {
            let why = "reports are not shared there: [fleet] has share = \"state\"";
            return Ok(Told::Refused { why: why.to_owned() });
        }
        let (mut reports, mut more, mut room) = (Vec::new(), 0, LONGEST_REPORTS);
        for (Stored { name, path, .. }, _) in bundles {
            let report = onset::report(&path).ok();
            let Some(told) = report.and_then(|report| Conclusion::of(&name, &report)) else {
                continue;
            };
            // Nothing in it has keys that JSON cannot write.
            let bytes = serde_json::to_string(&told).map_or(usize::MAX, |told| told.len());
            if bytes <= room {
                room -= bytes;
                reports.push(told);
            } else {
                more += 1;
            }
        }
        Ok(Told::Reports { reports, more })
    }

    fn shown(&self, bundle: Stored, ids: Vec<String>, now: impl Fn() -> Stamp) -> FleetBundle {
        let onset = self.onset(&bundle, now);
        let Stored { name, kind, time, frames, bytes, kept, .. } = bundle;
        FleetBundle { name, ids, kind, at: time, frames, bytes, kept, onset }
    }

    /// Where it began, if the report tells.
    fn onset(&self, bundle: &Stored, now: impl Fn() -> Stamp) -> Option<OnsetSince> {
        let onset = BundleOnset::told_by(&onset::report(&bundle.path).ok()?)?;
        let manifest = bundle.manifest().unwrap_or_default();
        let host = &manifest["host"];
        let is_steady = host["clock_stepped"] == false && host["boot_id"] == *self.boot;
        let offset = host["clock_offset_ns"].as_i64().map(Offset).filter(|_| is_steady);
        let now = now();
        // Else it was set since then, or the host slept, in which its monotonic clock does.
        let offset = offset.filter(|then| !now.offset().stepped_from(*then));
        let age_ns = offset.map(|offset| nanos(now.mono.since(offset.mono(onset.at))));
        let onset = OnsetThere::of(&onset, self.share == Want::Report);
        Some(OnsetSince { onset, age_ns })
    }

    /// Marks the bundles of a notice to be kept, or no longer; how many there are.
    fn marked(&self, id: &str, kept: bool) -> Result<usize> {
        let bundles = self.bundles(Some(id))?;
        bundles.iter().try_for_each(|(bundle, _)| mark(&bundle.path, kept).map(drop))?;
        Ok(bundles.len())
    }
}

impl Keeper for Seat {
    fn clock(&self) -> &Clock {
        self.line.clock()
    }

    async fn hear(&self, heard: HeardNotice) -> Result<(), String> {
        self.line.hear(heard).await.map_err(|why| why.to_string())
    }

    async fn presence(&self) -> Option<Presence> {
        let standing = self.line.standing().await.ok()?;
        Some(Presence {
            host: self.member.host.clone(),
            boot: self.member.boot.clone(),
            program: standing.program.clone(),
            groups: self.member.groups.clone(),
            armed: standing.armed,
            depth_seconds: depth(&standing),
            interfaces: standing.interfaces.len(),
            bundles: standing.bundles.written,
            clock: reading(self.line.clock().now()),
        })
    }

    fn identities(&self) -> Vec<String> {
        let links = links().unwrap_or_default();
        let shown = links.iter().filter_map(|link| link.address).filter(|mac| !mac.is_zero());
        let mut identities: Vec<_> = shown.map(|mac| mac.to_string()).collect();
        identities.sort();
        // IP addresses last: there is room for so many, and a router has more of that kind.
        identities.extend(self.member.shown.own());
        let mut hosts: Vec<IpAddr> =
            addresses().unwrap_or_default().into_iter().map(|(_, ip)| ip).collect();
        hosts.retain(is_of_one_host);
        hosts.sort();
        identities.extend(hosts.iter().map(ToString::to_string));
        let mut met = BTreeSet::new();
        identities.retain(|identity| met.insert(identity.clone()));
        identities
    }

    async fn without_bundle(&self, id: Option<String>) -> Vec<NoticeOutcome> {
        self.line.without_bundle(id).await.unwrap_or_default()
    }

    fn tell(&self, inquiry: &Inquiry) -> Told {
        let told = match inquiry {
            Inquiry::Who { .. } => Ok(Told::Refused { why: "the recorder is asked".to_owned() }),
            Inquiry::Incidents { id } => self.member.bundles(id.as_deref()).map(|bundles| {
                let now = || self.line.clock().now();
                let bundles =
                    bundles.into_iter().map(|(bundle, ids)| self.member.shown(bundle, ids, now));
                Told::Incidents { bundles: bundles.collect(), without: Vec::new() }
            }),
            Inquiry::Reports { id } => self.member.reports(id),
            Inquiry::Keep { id } => self.member.marked(id, true).map(|count| Told::Kept { count }),
            Inquiry::Release { id } => {
                self.member.marked(id, false).map(|count| Told::Released { count })
            }
        };
        told.unwrap_or_else(|error| Told::Refused { why: error.to_string() })
    }

    fn store(&self) -> Option<PathBuf> {
        Some(self.member.store.clone())
    }

    async fn note(&self, fact: Fact) {
        if let Err(why) = self.line.tell(fact, false).await {
            tracing::warn!("the recorder is not told of a fetch: {why}");
        }
    }
}

/// True for an address by which others may know this host: not one that every host or every link has.
fn is_of_one_host(address: &IpAddr) -> bool {
    let is_of_link = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !is_of_link && !address.is_loopback() && !address.is_unspecified()
}

/// The notices that a bundle belongs to.
fn ids(bundle: &Stored) -> Vec<String> {
    let manifest = bundle.manifest().unwrap_or_default();
    let ids = manifest["fleet"]["ids"].as_array().into_iter().flatten();
    ids.filter_map(|id| id.as_str()).map(str::to_owned).collect()
}

/// The clock of this host, with the kernel's bound where that is one.
fn reading(now: Stamp) -> ClockReading {
    let told = discipline::read().ok().filter(|told| told.synchronised);
    let bound = told.map(|told| told.most_wrong);
    let bound = bound.filter(|bound| !bound.as_micros().is_multiple_of(GROWTH_MICROSECONDS));
    ClockReading {
        wall: now.wall,
        mono_ns: now.mono.0,
        source: if bound.is_some() { "kernel" } else { "unknown" }.to_owned(),
        max_ns: bound.map(|bound| bound.as_nanos() as u64),
        stepped: false,
    }
}

/// How far back every class reaches; none while nothing had to be forgotten yet.
fn depth(standing: &RecorderStatus) -> Option<f64> {
    let known = standing.depths.iter().filter(|depth| depth.is_known);
    known.map(|depth| depth.seconds).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_host_has_names_none() {
        for (address, named) in [
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("169.254.1.1", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_of_one_host(&address.parse().unwrap()), named, "{address}");
        }
    }
}
