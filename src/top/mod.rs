//! A terminal view of a running dashcap: what `dashcap top` shows and which keys it takes.
//!
//! Pure: it is told answers of the control socket and keys, and draws what it knows on any terminal of
//! ratatui's. Rates are differences between two answers, by the uptime that dashcap itself tells, so nothing
//! here reads a clock. Who speaks with the socket and the terminal is `cli/top.rs`.
//!
//! Nothing depends on colour: every state is a word. What is kept is bounded: [`HISTORY`] points per
//! interface, [`EVENTS`] lines.

mod rates;
mod view;

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use self::rates::{InterfaceRates, rates};
pub use self::view::draw;
use crate::api::digest::{Digest, DigestLine};
use crate::api::question::Verdict;
use crate::api::status::RecorderStatus;
use crate::finding::Severity;
use crate::visible;

/// Points of a sparkline: one a second, more than any screen is wide.
pub const HISTORY: usize = 512;
/// Events that are kept to be shown.
pub const EVENTS: usize = 200;
/// Longest reason that can be typed, in characters; dashcap cuts there, too.
const REASON: usize = 200;
/// The reason of a snapshot if none is typed.
const USUAL_REASON: &str = "asked for in dashcap top";

/// What is known, and what is shown of it.
#[derive(Debug, Default)]
pub struct Top {
    standing: Option<RecorderStatus>,
    /// Why there is no answer, if there is none.
    gone: Option<String>,
    rates: BTreeMap<String, InterfaceRates>,
    /// Frames a second of each interface, the newest last.
    history: BTreeMap<String, VecDeque<u64>>,
    events: VecDeque<String>,
    digest: Digest,
    selected: usize,
    helping: bool,
    /// The reason being typed.
    asking: Option<String>,
    /// What came of the last wish.
    told: Option<String>,
    plain: bool,
}

/// A key, whatever terminal it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Towards the first interface.
    Up,
    /// Towards the last.
    Down,
    /// Done typing.
    Enter,
    /// Never mind.
    Escape,
    /// One character less.
    Backspace,
    /// Control and C.
    Interrupt,
}

/// What a key asks of who speaks with dashcap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A snapshot, for this reason.
    Snapshot(String),
    /// To leave.
    Quit,
}

impl Top {
    /// Nothing is known yet; `plain` is without colour, and events milder than `least` are left out.
    pub fn new(plain: bool, least: Option<Severity>) -> Self {
        Self { plain, digest: Digest::new(least), ..Self::default() }
    }

    /// dashcap answered how it stands.
    pub fn stands(&mut self, standing: RecorderStatus) {
        let before = self.standing.as_ref().filter(|before| {
            // Another process counts from zero.
            (before.process, &before.since) == (standing.process, &standing.since)
        });
        if before.is_none() {
            self.history.clear();
            self.rates.clear();
        }
        if let Some(fresh) = before.and_then(|before| rates(before, &standing)) {
            for (name, rates) in &fresh {
                let history = self.history.entry(name.clone()).or_default();
                if history.len() >= HISTORY {
                    history.pop_front();
                }
                history.push_back(rates.frames() as u64);
            }
            self.history.retain(|name, _| fresh.contains_key(name));
            self.rates = fresh;
        }
        self.selected = self.selected.min(standing.interfaces.len().saturating_sub(1));
        self.gone = None;
        self.standing = Some(standing);
    }

    /// dashcap does not answer.
    pub fn is_gone(&mut self, why: String) {
        self.gone = Some(why);
    }

    /// Events follow that may have been told before.
    pub fn events_begin(&mut self) {
        self.events.clear();
    }

    /// Something was seen: a line of `events.jsonl`.
    pub fn saw(&mut self, event: &Value) {
        for line in self.digest.lines(event) {
            self.keep(words(&line));
        }
    }

    /// Events were missed on the way here.
    pub fn missed(&mut self, count: u64) {
        self.keep(format!("({count} events missed here)"));
    }

    fn keep(&mut self, line: String) {
        if self.events.len() >= EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(line);
    }

    /// What came of a snapshot, or why it could not be asked for.
    pub fn came_of_it(&mut self, outcome: Result<Verdict, String>) {
        self.told = Some(match outcome {
            Ok(verdict) => format!("snapshot: {verdict}"),
            Err(why) => format!("snapshot: not asked for: {why}"),
        });
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Option<Wish> {
        if key == Key::Interrupt {
            return Some(Wish::Quit);
        }
        if let Some(reason) = &mut self.asking {
            match key {
                Key::Char(c) if reason.chars().count() < REASON => reason.push(c),
                Key::Backspace => drop(reason.pop()),
                Key::Escape => self.asking = None,
                Key::Enter => {
                    let typed = self.asking.take().unwrap_or_default();
                    let reason =
                        if typed.trim().is_empty() { USUAL_REASON.to_owned() } else { typed };
                    self.told = Some("snapshot: asking …".to_owned());
                    return Some(Wish::Snapshot(reason));
                }
                _ => {}
            }
            return None;
        }
        self.told = None;
        let last = self.standing.as_ref().map_or(0, |s| s.interfaces.len().saturating_sub(1));
        match key {
            Key::Escape if self.helping => self.helping = false,
            Key::Char('q') | Key::Escape => return Some(Wish::Quit),
            Key::Char('?' | 'h') => self.helping = !self.helping,
            Key::Char('s') => self.asking = Some(String::new()),
            Key::Up | Key::Char('k') => self.selected = self.selected.saturating_sub(1),
            Key::Down | Key::Char('j') => self.selected = (self.selected + 1).min(last),
            _ => {}
        }
        None
    }
}

/// `14:14:20.811 link       eth0: DOWN`; triggers and findings stand out by their word.
fn words(DigestLine { time, who, sentence }: &DigestLine) -> String {
    // Today's, mostly: the hour is enough.
    let time = time.get(11..23).unwrap_or_default();
    let line: String =
        sentence.chars().map(|c| if visible::controls(c) { ' ' } else { c }).collect();
    format!("{time} {who:<9} {line}")
}

#[cfg(test)]
mod tests;
