//! Clocks as they answered on the bus: what `dashcap fleet --json` printed, kept for the report.
//!
//! Whoever asked bounds each clock against the one there, whatever way question and answer took (Cristian 1989). That
//! holds for the moment of the answer, by both clocks of the host: so it says something of a bundle of the same boot
//! whose wall clock was not set since, the less the longer ago that was.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::fleet::status::Presence;
use crate::time::{Offset, Stamp, Wall};

/// Longest file that is read: of ten thousand hosts it has some megabytes.
const LONGEST: u64 = 64 << 20;

/// How a clock answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnsweredClock {
    /// When, by the clock itself.
    pub(super) at: i64,
    /// How far it was ahead of the clock of whoever asked, in nanoseconds.
    pub(super) ahead: i64,
    /// How far that may be off.
    pub(super) wrong: i64,
}

/// How all clocks answered.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AnsweredClocks {
    there: Vec<AnsweredHost>,
}

/// How a host answered.
#[derive(Debug, Deserialize)]
struct AnsweredHost {
    presence: Presence,
    clock_offset_ns: i64,
    clock_error_ns: i64,
}

impl AnsweredClocks {
    /// What such a file tells.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let refused = |reason: &dyn std::fmt::Display| {
            Error::operation("read", path.display().to_string(), reason)
                .hint("accepted: what `dashcap fleet --json` prints")
        };
        let mut text = Vec::new();
        let file = File::open(path).map_err(|e| refused(&e))?;
        file.take(LONGEST).read_to_end(&mut text).map_err(|e| refused(&e))?;
        serde_json::from_slice(&text).map_err(|e| refused(&e))
    }

    /// What is known of a host that had these boots, and these distances of its wall clock from its monotonic clock:
    /// nothing where it was started again, or its wall clock was set, between bundle and answer.
    pub(super) fn of(&self, boots: &BTreeSet<String>, offsets: &[Offset]) -> Option<AnsweredClock> {
        let (boot, true) = (boots.first()?, boots.len() == 1) else { return None };
        let host = self.there.iter().find(|host| host.presence.boot == *boot)?;
        let clock = &host.presence.clock;
        let then = Stamp { mono: crate::time::Mono(clock.mono_ns), wall: clock.wall }.offset();
        let is_steady = !offsets.is_empty() && !offsets.iter().any(|one| then.stepped_from(*one));
        let at = |Wall(at)| i64::try_from(at).ok();
        // What is so far off would overflow where bounds are added.
        let is_sane = |by: &i64| by.unsigned_abs() < i64::MAX as u64 / 8;
        let (ahead, wrong) = (host.clock_offset_ns, host.clock_error_ns);
        let told = AnsweredClock { at: at(clock.wall)?, ahead, wrong };
        (is_steady && is_sane(&ahead) && (0..i64::MAX / 8).contains(&wrong)).then_some(told)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_tells_of_bundles_of_the_same_boot_whose_clock_was_not_set_since() {
        let clock = json!({ "wall": "2026-11-30T05:28:38.447600000Z", "mono_ns": 7_000_000_000_u64, "source": "unknown",
            "max_ns": null, "stepped": false });
        let presence = json!({ "host": "b", "boot": "77aa", "program": "dashcap", "groups": [], "armed": true,
            "depth_seconds": null, "interfaces": 1, "bundles": 0, "clock": clock });
        let there = json!({ "presence": presence, "clock_offset_ns": -7, "clock_error_ns": 9, "clock_by": "bus" });
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = json!({ "fleet": "edge", "there": [there], "silent": [] }).to_string();
        std::fs::write(file.path(), told).unwrap();
        let clocks = AnsweredClocks::read(file.path()).unwrap();
        let wall: Wall = "2026-11-30T05:28:38.447600000Z".parse().unwrap();
        let offset = Offset((wall.0 - 7_000_000_000) as i64);
        let set = Offset(offset.0 + 6_000_000);
        let boots = |boots: &[&str]| boots.iter().map(ToString::to_string).collect();
        let told = AnsweredClock { at: wall.0 as i64, ahead: -7, wrong: 9 };
        for (booted, offsets, expected) in [
            (&["77aa"][..], &[offset][..], Some(told)),
            (&["77aa"][..], &[offset, set][..], None),
            (&["77aa"][..], &[][..], None),
            (&["77aa", "99"][..], &[offset][..], None),
            (&["99"][..], &[offset][..], None),
            (&[][..], &[offset][..], None),
        ] {
            assert_eq!(clocks.of(&boots(booted), offsets), expected, "{booted:?} {offsets:?}");
        }
        std::fs::write(file.path(), "{}").unwrap();
        let refused = AnsweredClocks::read(file.path()).unwrap_err().to_string();
        assert!(refused.contains("accepted: what `dashcap fleet --json` prints"), "{refused}");
    }
}
