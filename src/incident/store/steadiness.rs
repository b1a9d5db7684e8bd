//! Whether the wall clock can be believed when it says that a bundle is old.
//!
//! One jump ahead would make every bundle old at once, and what is removed is lost for good; so nothing is
//! too old while nobody keeps the clock right, and for a day after it was stepped, in which the operator
//! sees it. Pure: told the time.

use std::time::Duration;

use crate::time::{Mono, Offset, Stamp, Wall};

/// So long after a step nothing is too old.
const WAIT: Duration = Duration::from_secs(24 * 3600);

/// What is known of the wall clock's steps.
#[derive(Debug, Default)]
pub(super) struct Steadiness {
    /// The clocks' distance when last looked at.
    before: Option<Offset>,
    /// When a step was noticed last.
    stepped: Option<Mono>,
}

impl Steadiness {
    /// The wall clock, or why it cannot be believed.
    pub(super) fn look(&mut self, now: Stamp, synchronised: bool) -> Result<Wall, &'static str> {
        let offset = now.offset();
        if self.before.replace(offset).is_some_and(|before| offset.stepped_from(before)) {
            self.stepped = Some(now.mono);
        }
        if self.stepped.is_some_and(|stepped| now.mono.since(stepped) < WAIT) {
            return Err("the clock was stepped within a day");
        }
        if synchronised { Ok(now.wall) } else { Err("nobody keeps the clock right") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn at(mono: u64, wall: u64) -> Stamp {
        Stamp { mono: Mono(mono * S), wall: Wall(wall * S) }
    }

    #[test]
    fn a_clock_is_believed_while_it_is_kept_right_and_a_day_after_a_step() {
        let day = WAIT.as_secs();
        let mut clock = Steadiness::default();
        assert_eq!(clock.look(at(1, 1_001), true), Ok(Wall(1_001 * S)));
        assert!(clock.look(at(2, 1_002), false).is_err());
        assert!(clock.look(at(3, 1_003), true).is_ok());
        assert!(clock.look(at(4, 100 * day), true).is_err(), "ahead");
        assert!(clock.look(at(5, 1_005), true).is_err(), "and back");
        assert!(clock.look(at(4 + day, 1_004 + day), true).is_err());
        assert!(clock.look(at(5 + day, 1_005 + day), true).is_ok());
    }
}
