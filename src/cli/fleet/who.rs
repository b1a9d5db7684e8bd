//! `dashcap fleet`: who is there.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::onsets::was_set;
use super::place::Place;
use crate::cli::control::print;
use crate::error::{Error, Result};
use crate::fleet::inquiry::{Arrived, Inquiry, Told, all_of};
use crate::fleet::status::{MemberSeen, Presence};
use crate::time::{Clock, Wall};
use crate::visible::{self, plain};
use crate::words;

/// Rounds of questions: of each host the quickest counts, and its clock is known the better.
const ROUNDS: usize = 8;
/// Hosts beyond which one round must do: each is asked in each round.
const MANY: usize = 200;

/// A host that answers.
struct There {
    presence: Presence,
    clock: Difference,
}

/// How far another clock is from the one here: within `plus_minus` for certain, whatever way the question and the
/// answer took (Cristian, 1989).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Difference {
    nanoseconds: i64,
    plus_minus: Duration,
}

impl Difference {
    /// From when a question was sent and its answer arrived here, and what the other clock showed in between; none if
    /// a clock was set meanwhile.
    fn of(sent: Wall, arrived_there: Wall, replied_there: Wall, arrived: Wall) -> Option<Self> {
        let [t1, t2, t3, t4] =
            [sent, arrived_there, replied_there, arrived].map(|wall| i128::from(wall.0));
        let under_way = u64::try_from((t4 - t1) - (t3 - t2)).ok()?;
        let nanoseconds = i64::try_from(((t2 - t1) + (t3 - t4)) / 2).ok()?;
        Some(Self { nanoseconds, plus_minus: Duration::from_nanos(under_way.div_ceil(2)) })
    }

    fn in_words(self) -> String {
        let milliseconds = |nanoseconds: f64| nanoseconds / 1e6;
        let difference = milliseconds(self.nanoseconds as f64);
        format!("{difference:+.2} ms ± {:.2} ms", milliseconds(self.plus_minus.as_nanos() as f64))
    }
}

/// Asks who is there, and prints it.
pub(super) fn run(place: &Place) -> Result<ExitCode> {
    let options = place.options()?;
    let person = place.connect(&options)?;
    let clock = Clock::system();
    let known = person.members()?;
    let mut there = BTreeMap::new();
    let begun = clock.now();
    for round in 0..ROUNDS {
        let expected: Vec<String> = if round == 0 {
            known.keys().cloned().collect()
        } else {
            there.keys().cloned().collect()
        };
        if round > 0 && (expected.is_empty() || expected.len() > MANY) {
            break;
        }
        let sent = clock.now().wall;
        // Who is new is heard of only if the time is up.
        let arrived = person.ask(Inquiry::Who { sent }, place.patience(), all_of(&expected))?;
        arrived.into_iter().for_each(|arrived| hear(&mut there, arrived));
    }
    if was_set(begun, clock.now()) {
        let reason = "the clock here was set meanwhile";
        return Err(Error::operation("compare", "clocks", reason).hint("ask again"));
    }
    let silent: Vec<_> = known.iter().filter(|(name, _)| !there.contains_key(*name)).collect();
    let now = clock.now().wall;
    let shown = if place.json {
        visible::json(&json(&options.name, &there, &silent)).into_owned()
    } else {
        text(&options.name, &there, &silent, now)
    };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

fn hear(there: &mut BTreeMap<String, There>, Arrived { reply, at }: Arrived) {
    let Told::Here { presence, sent, arrived, replied } = reply.told else { return };
    let Some(clock) = Difference::of(sent, arrived, replied, at) else { return };
    let better = |known: &There| clock.plus_minus < known.clock.plus_minus;
    if there.get(&reply.host).is_none_or(better) {
        there.insert(reply.host, There { presence, clock });
    }
}

fn text(
    fleet: &str,
    there: &BTreeMap<String, There>,
    silent: &[(&String, &MemberSeen)],
    now: Wall,
) -> String {
    let all = there.len() + silent.len();
    let mut lines = vec![format!("fleet {fleet}: {} of {all} hosts are there", there.len())];
    if all > 0 {
        let [host, depth, clock, groups] = ["host", "reaches back", "clock differs by", "groups"];
        lines.push(format!("{host:<20} {depth:<14} {clock:<26} {:<9} {groups}", "triggers"));
    }
    for (host, There { presence, clock }) in there {
        let depth = presence.depth_seconds.map_or("everything".to_owned(), span);
        let armed = if presence.armed { "armed" } else { "DISARMED" };
        let line = format!(
            "{host:<20} {depth:<14} {:<26} {armed:<9} {}",
            clock.in_words(),
            presence.groups.join(", ")
        );
        lines.push(line.trim_end().to_owned());
    }
    for (host, seen) in silent {
        let age = now.0.saturating_sub(seen.heard.as_nanosecond().try_into().unwrap_or(0));
        let age = words::rough(Duration::from_nanos(age));
        lines.push(format!("{host:<20} SILENT, heard {age} ago"));
    }
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
}

fn span(seconds: f64) -> String {
    words::rough(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn json(fleet: &str, there: &BTreeMap<String, There>, silent: &[(&String, &MemberSeen)]) -> String {
    let there = there.values().map(|There { presence, clock }| {
        json!({
            "presence": presence,
            "clock_offset_ns": clock.nanoseconds,
            "clock_error_ns": clock.plus_minus.as_nanos() as u64,
            "clock_by": "bus",
        })
    });
    let silent =
        silent.iter().map(|(host, seen)| json!({ "host": host, "heard": seen.heard.to_string() }));
    let there: Vec<_> = there.collect();
    let silent: Vec<_> = silent.collect();
    json!({ "fleet": fleet, "there": there, "silent": silent }).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clock_is_told_with_its_error() {
        let at = |ms: u64| Wall(ms * 1_000_000);
        // One hour behind, 3 ms there, 1 ms to think, 1 ms back.
        let hour = 3_600_000;
        let clock = Difference::of(at(hour), at(3), at(4), at(hour + 5)).unwrap();
        assert_eq!(clock.in_words(), "-3599999.00 ms ± 2.00 ms");
        assert_eq!(Difference::of(at(10), at(3), at(4), at(9)), None, "a clock was set");
    }

    proptest! {
        #[test]
        fn the_band_contains_the_truth(offset in -1_000_000_i64..1_000_000, there in 0_u64..1_000_000, back in 0_u64..1_000_000) {
            let begin = 1_u64 << 40;
            let away = |here: u64| Wall(here.checked_add_signed(offset).unwrap());
            let clock = Difference::of(Wall(begin), away(begin + there), away(begin + there), Wall(begin + there + back)).unwrap();
            prop_assert!(clock.nanoseconds.abs_diff(offset) <= clock.plus_minus.as_nanos() as u64 + 1);
        }
    }
}
