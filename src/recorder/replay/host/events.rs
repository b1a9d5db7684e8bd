//! Lines of `events.jsonl`: each fact that a replay judges, as its watcher told it then.

use std::io::BufRead;
use std::path::Path;

use super::{HostEvents, lines, refused};
use crate::error::Result;
use crate::incident::events::read::{EventLine, StoredEvent};
use crate::observation::Fact;
use crate::observation::capture::CaptureEvent;
use crate::observation::link::LinkState;

const ACCEPTED: &str = "lines of events.jsonl, see docs/bundle.md";

/// Adds what the file tells.
pub(super) fn read(path: &Path, file: impl BufRead, events: &mut HostEvents) -> Result<()> {
    for line in lines(path, file) {
        let (number, text) = line?;
        if text.is_empty() {
            continue;
        }
        let line = EventLine::read(text.as_bytes())
            .map_err(|reason| refused(path, number, reason, ACCEPTED))?;
        match line.event {
            StoredEvent::Observation { name, fact } => {
                match fact.and_then(|fact| replayed(*fact, &line.sentence)) {
                    Some(fact) => events.add(path, line.time, fact)?,
                    None => events.pass_over(&name),
                }
            }
            StoredEvent::Trigger { kind, object } => {
                // A rule about interfaces in general was about this one.
                let about_a_link = kind.is_some_and(|kind| kind.starts_with("link-"));
                events.watched.extend(object.filter(|_| about_a_link));
                events.pass_over("trigger");
            }
            StoredEvent::Other(kind) => events.pass_over(&kind),
        }
    }
    Ok(())
}

/// The fact that is judged again; none for what frames or rules tell anew, and for what ended that recording.
fn replayed(fact: Fact, sentence: &str) -> Option<Fact> {
    let missed = |watcher: String| Fact::Missed { watcher, what: sentence.to_owned() };
    Some(match fact {
        Fact::Link { before, now } => {
            Fact::Link { before: before.map(without_roles), now: without_roles(now) }
        }
        Fact::LinkGone { last } => Fact::LinkGone { last: without_roles(last) },
        Fact::ProbeAnswered { .. }
        | Fact::ProbeLost { .. }
        | Fact::ProbeLate { .. }
        | Fact::SnapshotSignal
        | Fact::Missed { .. } => fact,
        // What a watcher did not see then is missing now, whatever ended it.
        Fact::WatcherEnded { watcher, .. } => missed(watcher),
        Fact::Capture {
            event: CaptureEvent::Gap | CaptureEvent::Failed { .. } | CaptureEvent::Dropping,
            ..
        } => missed("capture".to_owned()),
        _ => return None,
    })
}

/// What a bond tells of itself speaks to rules through findings of the replayed frames.
fn without_roles(state: LinkState) -> LinkState {
    LinkState { address: None, bond: None, port: None, ..state }
}
