//! How it stands, as the page shows it: one sentence, and a row for each thing. Rates come from two standings, one
//! after the other; the recorder is asked once a second at most, however many look.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::api::http::Standings;
use crate::api::line::{RecorderLine, Unanswered};
use crate::api::status::{Depth, Interface, RecorderStatus, Traffic};
use crate::words::rough;

/// Two standings are compared if they are at most so many seconds apart: a rate is of now, not of the last hour.
const APART: f64 = 10.0;

/// The latest standing and the one before it.
#[derive(Debug, Clone)]
pub(super) struct PagePulse {
    standings: Standings,
    seen: Arc<Mutex<[Option<Box<RecorderStatus>>; 2]>>,
}

/// What the page says of now.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct NowPage {
    /// The class of the sentence: `good`, `incident`, `losing`, or `off` where it is disarmed or memory falls short.
    level: &'static str,
    /// The state of it all.
    sentence: String,
    program: String,
    host: String,
    since: String,
    /// Seconds since the start: the axis of the plots.
    uptime: f64,
    interfaces: Vec<InterfaceRow>,
    depths: Vec<DepthRow>,
    /// Watchers that are unwell, each in a sentence.
    unwell: Vec<String>,
    /// How many watch.
    watchers: usize,
    armed: Vec<String>,
    unarmed: Vec<String>,
    /// What opens nothing for a while, each in a sentence.
    waiting: Vec<String>,
    bundles: String,
    /// Whole bundles since the start: one more, and the list is another.
    written: u64,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct InterfaceRow {
    name: String,
    state: &'static str,
    /// Frames a second received and sent, and bits; none while there is only one standing.
    rates: Option<[f64; 4]>,
    received: Option<u64>,
    dropped: u64,
    /// It lost frames since the standing before.
    losing: bool,
}

/// How far back a class reaches, on the interface where that is shortest.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct DepthRow {
    class: String,
    words: String,
    /// Of what is wanted, in percent, at most 100.
    percent: u32,
}

impl PagePulse {
    pub(super) fn of(line: &RecorderLine) -> Self {
        Self { standings: Standings::of(line), seen: Arc::default() }
    }

    /// How it stands.
    pub(super) async fn now(&self) -> Result<NowPage, Unanswered> {
        let status = self.status().await?;
        let [_, before] = &*self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(NowPage::of(&status, before.as_deref()))
    }

    /// The standing itself.
    pub(super) async fn status(&self) -> Result<Box<RecorderStatus>, Unanswered> {
        let status = self.standings.latest().await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |latest: &RecorderStatus| latest.uptime_seconds < status.uptime_seconds;
        if seen[0].as_deref().is_none_or(is_new) {
            seen[1] = seen[0].replace(status.clone());
        }
        Ok(status)
    }
}

impl NowPage {
    fn of(status: &RecorderStatus, before: Option<&RecorderStatus>) -> Self {
        let between = before.map(|before| status.uptime_seconds - before.uptime_seconds);
        let between = between.filter(|seconds| *seconds > 0.0 && *seconds <= APART);
        let before = before.zip(between);
        let interfaces: Vec<_> =
            status.interfaces.iter().map(|now| InterfaceRow::of(now, before)).collect();
        let (level, sentence) = sentence(status, &interfaces);
        let unwell =
            status.watchers.iter().filter_map(|watcher| match (watcher.running, watcher.missed) {
                (false, _) => Some(format!("{} has ended", watcher.name)),
                (true, 0) => None,
                (true, missed) => Some(format!("{} missed {missed} observations", watcher.name)),
            });
        let unwell = unwell.chain(status.limitations.iter().cloned()).collect();
        Self {
            level,
            sentence,
            program: status.program.clone(),
            host: status.host.clone(),
            since: status.since.clone(),
            uptime: status.uptime_seconds,
            interfaces,
            depths: status
                .depths
                .iter()
                .map(|depth| DepthRow::of(depth, status.pre_seconds))
                .collect(),
            unwell,
            watchers: status.watchers.len(),
            armed: status.rules_in_lines.clone(),
            unarmed: status.unarmed.clone(),
            waiting: status.waiting.iter().map(ToString::to_string).collect(),
            bundles: status.bundles.to_string(),
            written: status.bundles.written,
        }
    }
}

/// The most important thing first: an incident, a loss, triggers that do not count.
fn sentence(status: &RecorderStatus, interfaces: &[InterfaceRow]) -> (&'static str, String) {
    if let Some(open) = &status.incident {
        return ("incident", format!("INCIDENT {open}"));
    }
    let losing: Vec<_> = interfaces.iter().filter(|row| row.losing).map(|row| &*row.name).collect();
    if !losing.is_empty() {
        return ("losing", format!("LOSING frames on {}", losing.join(", ")));
    }
    let count = interfaces.len();
    let what = if count == 1 { "1 interface".to_owned() } else { format!("{count} interfaces") };
    let wanted = status.pre_seconds;
    let part = |depth: &&Depth| depth.part_of(wanted);
    let least = status.depths.iter().min_by(|a, b| part(a).total_cmp(&part(b)));
    let (level, reach) = match least {
        None => ("good", "nothing in memory yet".to_owned()),
        Some(least) if least.part_of(wanted) < 1.0 => {
            let (class, wanted) = (&least.class, words(wanted));
            ("off", format!("{class} reaches back {}, {wanted} are wanted", words(least.reach())))
        }
        Some(_) if status.depths.iter().all(|depth| depth.is_everything) => {
            ("good", "all since the start in memory".to_owned())
        }
        Some(_) => {
            let held = status.depths.iter().filter(|depth| !depth.is_everything);
            let held = held.map(|depth| depth.held_seconds).fold(f64::INFINITY, f64::min);
            ("good", format!("{} back", words(held)))
        }
    };
    if status.armed {
        return (level, format!("recording {what}, armed, {reach}"));
    }
    let by = status.disarmed_by.as_deref().unwrap_or("somebody");
    ("off", format!("recording {what}, DISARMED by {by}, {reach}"))
}

impl InterfaceRow {
    fn of(now: &Interface, before: Option<(&RecorderStatus, f64)>) -> Self {
        let dropped =
            |of: &Interface| of.counts.lane_dropped + of.counts.kernel_dropped.unwrap_or(0);
        let known = before.and_then(|(before, seconds)| {
            let before = before.interfaces.iter().find(|known| known.name == now.name)?;
            Some((before, seconds))
        });
        let ways = |of: &Interface| {
            let sum = |way: fn(&crate::api::status::Class) -> Traffic| {
                of.classes.iter().map(way).fold(Traffic::default(), Traffic::and)
            };
            [sum(|class| class.inbound.and(class.unknown)), sum(|class| class.outbound)]
        };
        let rates = known.map(|(before, seconds)| {
            let ([inward, out], [inward_before, out_before]) = (ways(now), ways(before));
            // Made anew, an interface counts from zero.
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            [
                rate(inward.frames, inward_before.frames),
                rate(out.frames, out_before.frames),
                rate(inward.bytes, inward_before.bytes) * 8.0,
                rate(out.bytes, out_before.bytes) * 8.0,
            ]
        });
        Self {
            name: now.name.clone(),
            state: now.up.map_or("?", |up| if up { "up" } else { "down" }),
            rates,
            received: now.counts.kernel_received,
            dropped: dropped(now),
            losing: known.is_some_and(|(before, _)| dropped(now) > dropped(before)),
        }
    }
}

impl DepthRow {
    fn of(depth: &Depth, wanted: f64) -> Self {
        let words = format!("{}; {} are wanted", depth.words(), words(wanted));
        let percent = (depth.part_of(wanted) * 100.0).round() as u32;
        Self { class: depth.class.clone(), words, percent }
    }
}

/// In the largest unit of which there are at least two.
fn words(seconds: f64) -> String {
    rough(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::{Class, OpenIncident};

    fn standing(uptime: f64, frames: u64, dropped: u64) -> RecorderStatus {
        let mut interface =
            Interface { name: "eth0".into(), up: Some(true), ..Interface::default() };
        interface.counts.lane_dropped = dropped;
        let inbound = Traffic { frames, bytes: frames * 100 };
        interface.classes = vec![Class { inbound, ..Class::default() }];
        RecorderStatus {
            armed: true,
            uptime_seconds: uptime,
            pre_seconds: 120.0,
            interfaces: vec![interface],
            depths: vec![Depth {
                class: "data".into(),
                full_seconds: 30.0,
                seconds: 41.0,
                is_known: true,
                held_seconds: 41.0,
                is_everything: false,
            }],
            ..RecorderStatus::default()
        }
    }

    #[test]
    fn rates_are_of_two_standings_shortly_after_each_other() {
        let now = NowPage::of(&standing(12.0, 500, 0), Some(&standing(10.0, 100, 0)));
        assert_eq!(now.interfaces[0].rates, Some([200.0, 0.0, 160_000.0, 0.0]));
        assert_eq!(
            (now.level, &*now.sentence),
            ("off", "recording 1 interface, armed, data reaches back 41 s, 2 min are wanted")
        );
        assert_eq!(now.depths[0].words, "41 s (30 s in full); 2 min are wanted");
        assert_eq!(now.depths[0].percent, 34);
        for before in [None, Some(standing(1.0, 100, 0)), Some(standing(12.0, 100, 0))] {
            let now = NowPage::of(&standing(12.0, 500, 0), before.as_ref());
            assert_eq!(now.interfaces[0].rates, None, "{before:?}");
        }
        let anew = NowPage::of(&standing(12.0, 5, 0), Some(&standing(11.0, 100, 0)));
        assert_eq!(anew.interfaces[0].rates.unwrap()[0], 0.0);
    }

    #[test]
    fn the_most_important_thing_is_said_first() {
        let before = standing(11.0, 0, 3);
        let mut status = standing(12.0, 0, 3);
        status.depths[0].held_seconds = 121.0;
        assert_eq!(NowPage::of(&status, Some(&before)).level, "good", "old losses are no news");
        status.armed = false;
        status.disarmed_by = Some("uid 0".into());
        assert!(NowPage::of(&status, None).sentence.contains("DISARMED by uid 0"));
        status.interfaces[0].counts.lane_dropped = 4;
        let losing = NowPage::of(&status, Some(&before));
        assert_eq!((losing.level, &*losing.sentence), ("losing", "LOSING frames on eth0"));
        status.incident =
            Some(OpenIncident { kind: "link-down".into(), ..OpenIncident::default() });
        let open = NowPage::of(&status, Some(&before));
        assert!(open.level == "incident" && open.sentence.starts_with("INCIDENT link-down"));
    }
}
