//! What became of a notice on this host, told state by state, none twice.
//!
//! ```text
//!   heard ─► refused · late · covered
//!         └► pinned or partial ─► writing ─► written or lost
//!         └► held ─► pinned · released
//! ```

use std::time::Duration;

use crate::fleet::answer::{AnswerFields, ClockReading, HostAnswer, OnsetThere, State};
use crate::incident::coverage::Coverage;

/// The host that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answerer {
    /// What it is called.
    pub host: String,
    /// Its boot.
    pub boot: String,
}

/// A notice whose course is followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    fields: AnswerFields,
    told: Vec<State>,
}

impl Course {
    /// Of the notice called `id`, which came `arrived_after` it had happened.
    pub fn new(of: &Answerer, id: &str, arrived_after: Duration, clock: ClockReading) -> Self {
        let fields = AnswerFields {
            id: id.to_owned(),
            host: of.host.clone(),
            boot: of.boot.clone(),
            state: State::Refused,
            why: None,
            incident: None,
            from: None,
            to: None,
            held_from: None,
            full: false,
            missing: Vec::new(),
            frames: None,
            bytes: None,
            arrived_after,
            pinned_after: None,
            clock,
            onset: None,
        };
        Self { fields, told: Vec::new() }
    }

    /// The incident that has it.
    pub fn incident(&self) -> Option<&str> {
        self.fields.incident.as_deref()
    }

    /// True if nothing more will become of it.
    pub fn is_over(&self) -> bool {
        use State::{Late, Lost, Refused, Released, Written};
        matches!(self.told.last(), Some(Refused | Late | Released | Written | Lost))
    }

    /// It stands so now: what is told, if that was not told yet.
    pub fn stands(&mut self, state: State, why: Option<&str>) -> Option<HostAnswer> {
        if self.told.contains(&state) {
            return None;
        }
        self.told.push(state);
        self.fields.state = state;
        self.fields.why = why.map(|why| shortened(why, HostAnswer::LONGEST_REASON));
        HostAnswer::new(self.fields.clone()).ok()
    }

    /// A window is frozen for it: whole, or in part.
    pub fn frozen(
        &mut self,
        incident: &str,
        coverage: &Coverage,
        pinned_after: Duration,
        why: Option<&str>,
    ) -> Option<HostAnswer> {
        self.belongs_to(incident);
        self.covers(coverage);
        self.fields.pinned_after = Some(pinned_after);
        let state = if coverage.full && why.is_none() { State::Pinned } else { State::Partial };
        self.fields.full = state == State::Pinned;
        self.stands(state, why)
    }

    /// An incident that was there has it.
    pub fn belongs_to(&mut self, incident: &str) {
        self.fields.incident = Some(shortened(incident, HostAnswer::LONGEST_REASON));
    }

    /// What of the window is there.
    pub fn covers(&mut self, coverage: &Coverage) {
        let fields = &mut self.fields;
        (fields.from, fields.to) = (Some(coverage.from), Some(coverage.to));
        fields.held_from = Some(coverage.held_from);
        (fields.full, fields.missing) = (coverage.full, coverage.missing.clone());
    }

    /// Its bundle is on the disk, and tells where it began.
    pub fn written(
        &mut self,
        frames: u64,
        bytes: u64,
        onset: Option<OnsetThere>,
    ) -> Option<HostAnswer> {
        (self.fields.frames, self.fields.bytes) = (Some(frames), Some(bytes));
        self.fields.onset = onset;
        self.stands(State::Written, None)
    }
}

/// The beginning of a text, in bytes.
fn shortened(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::coverage::MissingPart;
    use crate::time::Wall;

    fn course() -> Course {
        let of = Answerer { host: "router-b".into(), boot: "77aa".into() };
        let clock = ClockReading {
            wall: Wall(1),
            mono_ns: 1,
            source: "unknown".into(),
            max_ns: None,
            stepped: false,
        };
        Course::new(&of, "a-1", Duration::from_secs(47), clock)
    }

    fn coverage(full: bool) -> Coverage {
        let part = MissingPart {
            interface: Some("eth0".into()),
            class: None,
            reason: "not recorded yet".into(),
            from: Wall(1),
            to: Wall(2),
        };
        Coverage {
            asked_after_ns: 1,
            from: Wall(1),
            to: Wall(9),
            held_from: Wall(2),
            full,
            missing: if full { Vec::new() } else { vec![part] },
            more_missing: 0,
        }
    }

    #[test]
    fn each_state_is_told_once_with_what_is_known_by_then() {
        let mut course = course();
        let pinned = course.frozen("x", &coverage(true), Duration::from_millis(1), None).unwrap();
        assert_eq!((pinned.state, pinned.full, pinned.frames), (State::Pinned, true, None));
        assert_eq!(course.frozen("x", &coverage(true), Duration::ZERO, None), None);
        assert_eq!(course.stands(State::Writing, None).unwrap().state, State::Writing);
        assert!(!course.is_over());
        assert_eq!(course.stands(State::Writing, None), None);
        let written = course.written(7, 9, None).unwrap();
        assert_eq!(
            (written.state, written.frames, written.bytes),
            (State::Written, Some(7), Some(9))
        );
        assert_eq!((written.arrived_after.as_secs(), course.incident()), (47, Some("x")));
        assert!(course.is_over());
    }

    #[test]
    fn nothing_is_called_whole_that_is_not() {
        let why = Some("of 600 s before it 300 s are accepted");
        for (full, why) in [(false, None), (true, why), (false, why)] {
            let told = course().frozen("x", &coverage(full), Duration::ZERO, why).unwrap();
            assert_eq!((told.state, told.full), (State::Partial, false));
        }
        let long = "é".repeat(300);
        let refused = course().stands(State::Refused, Some(&long)).unwrap();
        assert_eq!(refused.why.as_ref().unwrap().len(), HostAnswer::LONGEST_REASON);
    }
}
