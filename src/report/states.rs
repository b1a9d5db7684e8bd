//! States over time, as frames tell them: LACP ports, VRRP and HSRP routers. Bounded: so many tracks and
//! changes, those beyond are counted.

use std::time::Duration;

use crate::time::Wall;
use crate::wire::hsrp;
use crate::wire::lacp::State as LacpState;
use crate::wire::{Message, Reading};

use super::model::{State, Track};

/// All tracks.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    tracks: Vec<Told>,
}

#[derive(Debug)]
struct Told {
    track: Track,
    heard: Wall,
    /// So long it may be silent; none for what is told at each change only.
    patience: Option<Duration>,
}

/// Most tracks, and most changes of each.
const TRACKS: usize = 64;
const CHANGES: usize = 1_000;
/// LACPDUs come every second or every 30 s (IEEE 802.1AX 6.4.4), and three of them are a timeout.
const FAST: Duration = Duration::from_secs(3);
const SLOW: Duration = Duration::from_secs(90);

impl Tracks {
    /// A control frame was seen on `interface`.
    pub(super) fn frame(&mut self, interface: &str, at: Wall, reading: &Reading<'_>) {
        let from = || reading.packet.map_or_else(String::new, |packet| packet.source.to_string());
        match &reading.message {
            Message::Lacp(lacp) => {
                let state = lacp.actor.state;
                let name = format!("{interface} LACP {}", lacp.actor.system);
                // What the partner wants to hear decides how often it is told.
                let short = lacp.partner.state.has(LacpState::SHORT_TIMEOUT);
                let patience = if short { FAST } else { SLOW };
                let word = lacp_word(state);
                self.tell(
                    "lacp",
                    name,
                    at,
                    &format!("{word} {state}"),
                    state.is_up(),
                    Some(patience),
                );
            }
            Message::Vrrp(vrrp) => {
                let name = format!("{interface} VRRP group {} {}", vrrp.group, from());
                let resigned = vrrp.priority == 0;
                let state = if resigned { "resigned" } else { "master" };
                let patience = vrrp.master_down();
                self.tell("vrrp", name, at, state, !resigned, Some(patience));
            }
            Message::Hsrp(hello) if hello.operation == hsrp::Operation::Hello => {
                let name = format!("{interface} HSRP group {} {}", hello.group, from());
                let state = hello.state.to_string();
                self.tell("hsrp", name, at, &state, true, Some(hello.hold.max(FAST)));
            }
            _ => {}
        }
    }

    /// Somebody is in this state now.
    pub(super) fn tell(
        &mut self,
        kind: &'static str,
        name: String,
        at: Wall,
        state: &str,
        good: bool,
        patience: Option<Duration>,
    ) {
        let known = self.tracks.iter().position(|told| told.track.name == name);
        let told = match known {
            Some(known) => &mut self.tracks[known],
            None if self.tracks.len() < TRACKS => {
                let track = Track { kind, name, states: Vec::new(), more: 0 };
                self.tracks.push(Told { track, heard: at, patience });
                let last = self.tracks.len() - 1;
                &mut self.tracks[last]
            }
            None => return,
        };
        told.silent_until(at);
        (told.heard, told.patience) = (at, patience);
        told.change(at, state, good);
    }

    /// The end of the files.
    pub(super) fn finish(mut self, at: Wall) -> Vec<Track> {
        self.tracks.iter_mut().for_each(|told| told.silent_until(at));
        let mut tracks: Vec<_> = self.tracks.into_iter().map(|told| told.track).collect();
        tracks.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        tracks
    }
}

impl Told {
    fn silent_until(&mut self, now: Wall) {
        let Some(patience) = self.patience else { return };
        let until = self.heard.0.saturating_add(patience.as_nanos() as u64);
        if until < now.0 {
            self.change(Wall(until), "not heard", false);
        }
    }

    fn change(&mut self, at: Wall, state: &str, good: bool) {
        let states = &mut self.track.states;
        if states.last().is_some_and(|last| last.state == state) {
            return;
        }
        if states.len() >= CHANGES {
            self.track.more += 1;
            return;
        }
        states.push(State { from: at, state: state.to_owned(), good });
    }
}

fn lacp_word(state: LacpState) -> &'static str {
    match state {
        state if state.has(LacpState::DEFAULTED) => "defaulted",
        state if state.has(LacpState::EXPIRED) => "expired",
        state if state.is_up() => "up",
        _ => "not in the aggregate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_a_state_and_repetition_is_none() {
        let second = |s: u64| Wall(s * 1_000_000_000);
        let mut tracks = Tracks::default();
        for s in [1, 2, 3, 10, 11] {
            tracks.tell("vrrp", "a".to_owned(), second(s), "master", true, Some(FAST));
        }
        let all = tracks.finish(second(20));
        let states: Vec<_> =
            all[0].states.iter().map(|s| (s.from.0 / 1_000_000_000, s.state.as_str())).collect();
        assert_eq!(states, [(1, "master"), (6, "not heard"), (10, "master"), (14, "not heard")]);
    }
}
