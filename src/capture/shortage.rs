//! When it is told that frames are dropped, because pinned incidents have all the memory: when that begins, again while
//! it goes on, and when it is over.

use std::time::Duration;

use crate::observation::capture::CaptureEvent;
use crate::time::Mono;

/// Frames are called stored again when none was dropped for this long.
const OVER: Duration = Duration::from_secs(1);
/// While frames are dropped, this is told again so often: an incident that holds the memory is given up
/// each time, and half a second shows whether that was enough.
const RETOLD: Duration = Duration::from_millis(500);

/// What the lanes dropped, looked at after each round.
#[derive(Debug, Default)]
pub(super) struct Shortage(Option<OngoingShortage>);

#[derive(Debug)]
struct OngoingShortage {
    /// The lanes' count before it.
    before: u64,
    /// When the last frame was dropped.
    last: Mono,
    /// When it was last told.
    told: Mono,
}

impl Shortage {
    /// What is to be told, of the counts before a round and after it. Again and again, because the recorder may not be
    /// able to make room at first, or not enough.
    pub(super) fn look(&mut self, before: u64, dropped: u64, now: Mono) -> Option<CaptureEvent> {
        match &mut self.0 {
            None if dropped > before => {
                self.0 = Some(OngoingShortage { before, last: now, told: now });
                Some(CaptureEvent::Dropping)
            }
            Some(shortage) if dropped > before => {
                shortage.last = now;
                let is_due = now.since(shortage.told) >= RETOLD;
                if is_due {
                    shortage.told = now;
                }
                is_due.then_some(CaptureEvent::Dropping)
            }
            Some(shortage) if now.since(shortage.last) >= OVER => {
                let dropped = dropped - shortage.before;
                self.0 = None;
                Some(CaptureEvent::Storing { dropped })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_it_begins_again_while_it_lasts_and_when_it_is_over() {
        let mut shortage = Shortage::default();
        let mut look =
            |before, dropped, millis: u64| shortage.look(before, dropped, Mono(millis * 1_000_000));
        assert_eq!(look(7, 7, 0), None);
        assert_eq!(look(7, 8, 10), Some(CaptureEvent::Dropping));
        assert_eq!(look(8, 9, 509), None);
        assert_eq!(look(9, 20, 510), Some(CaptureEvent::Dropping));
        assert_eq!(look(20, 20, 1_509), None);
        assert_eq!(look(20, 20, 1_510), Some(CaptureEvent::Storing { dropped: 13 }));
        assert_eq!(look(20, 20, 9_000), None);
    }
}
