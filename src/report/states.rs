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
    tracks: Vec<ToldState>,
}

#[derive(Debug)]
struct ToldState {
    track: Track,
    heard: Wall,
    /// So long it may be silent; none for what is told at each change only.
    patience: Option<Duration>,
    /// What its silence means, and whether that is as it should be.
    silent: (&'static str, bool),
    /// Those of whom one leads: a VRRP or HSRP group on an interface.
    group: Option<String>,
    leads: bool,
}

/// Of whom everybody hears that waits for him.
const NOT_HEARD: (&str, bool) = ("not heard", false);
/// An HSRP router that neither is active nor waits to be: it listens (RFC 2281 §5.2), or is gone.
const NO_HELLOS: (&str, bool) = ("sends no hellos", true);

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
                let group = format!("{interface} VRRP group {}", vrrp.group);
                let name = format!("{group} {}", from());
                let resigned = vrrp.priority == 0;
                let state = if resigned { "resigned" } else { "master" };
                let patience = (!resigned).then(|| vrrp.master_down());
                self.tell("vrrp", name.clone(), at, state, !resigned, patience);
                self.leads(&name, group, !resigned, at, NOT_HEARD);
            }
            Message::Hsrp(hello) if hello.operation == hsrp::Operation::Hello => {
                let group = format!("{interface} HSRP group {}", hello.group);
                let name = format!("{group} {}", from());
                let state = hello.state.to_string();
                let active = hello.state == hsrp::State::Active;
                let silent = if active { NOT_HEARD } else { NO_HELLOS };
                self.tell("hsrp", name.clone(), at, &state, true, Some(hello.hold.max(FAST)));
                self.leads(&name, group, active, at, silent);
            }
            _ => {}
        }
    }

    /// The one of this name is of a group, and leads it or does not. Whoever led it and was heard until now was
    /// replaced: it is silent because it stands by, not because it failed.
    fn leads(
        &mut self,
        name: &str,
        group: String,
        leads: bool,
        at: Wall,
        silent: (&'static str, bool),
    ) {
        if leads {
            let others = self.tracks.iter_mut().filter(|told| told.track.name != name);
            for told in others.filter(|told| told.leads && told.group.as_ref() == Some(&group)) {
                told.silent_until(at);
                if told.track.states.last().is_some_and(|state| state.good) {
                    told.change(at, "replaced, stands by", true);
                }
                (told.leads, told.patience) = (false, None);
            }
        }
        if let Some(told) = self.tracks.iter_mut().find(|told| told.track.name == name) {
            (told.group, told.leads, told.silent) = (Some(group), leads, silent);
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
                let (silent, group, leads) = (NOT_HEARD, None, false);
                self.tracks.push(ToldState { track, heard: at, patience, silent, group, leads });
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

impl ToldState {
    fn silent_until(&mut self, now: Wall) {
        let Some(patience) = self.patience else { return };
        let until = self.heard.0.saturating_add(patience.as_nanos() as u64);
        if until < now.0 {
            let (state, good) = self.silent;
            self.change(Wall(until), state, good);
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
    use crate::detect::protocols::tests::frames;
    use crate::frame::LinkType;

    /// What is told of each router, by the end of its name, of messages at these seconds.
    fn states_of(messages: &[(u64, Vec<u8>)], end: u64) -> Vec<(String, Vec<(String, bool)>)> {
        let mut tracks = Tracks::default();
        for (second, bytes) in messages {
            let reading = Reading::of(LinkType::ETHERNET, bytes).unwrap();
            tracks.frame("eth0", Wall(second * 1_000_000_000), &reading);
        }
        let states = |track: Track| {
            let states = track.states.into_iter().map(|state| (state.state, state.good));
            (track.name.rsplit(' ').next().unwrap_or_default().to_owned(), states.collect())
        };
        tracks.finish(Wall(end * 1_000_000_000)).into_iter().map(states).collect()
    }

    #[test]
    fn a_router_that_was_replaced_stands_by_and_one_that_died_is_not_heard() {
        let replaced = [(0, frames::vrrp(2, 7, 100)), (1, frames::vrrp(3, 7, 200))];
        let died = [(0, frames::vrrp(2, 7, 100)), (30, frames::vrrp(3, 7, 90))];
        for (messages, state, good) in
            [(replaced, "replaced, stands by", true), (died, "not heard", false)]
        {
            let told = states_of(&messages, 31);
            let (name, states) = &told[0];
            assert_eq!((&**name, states.last()), ("10.0.0.2", Some(&(state.to_owned(), good))));
        }
        // A router that resigned is not waited for.
        let resigned = [(0, frames::vrrp(2, 7, 100)), (1, frames::vrrp(2, 7, 0))];
        assert_eq!(states_of(&resigned, 99)[0].1.last(), Some(&("resigned".to_owned(), false)));
    }

    #[test]
    fn an_hsrp_router_that_listens_sends_no_hellos() {
        // From Standby (8) on it is silent, while another is Active (16).
        let mut messages = vec![(0, frames::hsrp(2, 0, 8, 100))];
        messages.extend((0..30).map(|n| (3 * n, frames::hsrp(3, 0, 16, 120))));
        let told = states_of(&messages, 90);
        assert_eq!(told[0].1.last(), Some(&("sends no hellos".to_owned(), true)));
        assert!(told.iter().all(|(_, states)| states.iter().all(|(_, good)| *good)), "{told:?}");
    }

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
