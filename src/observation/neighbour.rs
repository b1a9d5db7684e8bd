//! Neighbours that matter: is the next hop still there, and is it the same machine?

use std::fmt;
use std::net::IpAddr;

use pnet::util::MacAddr;
use serde::{Deserialize, Serialize};

use super::link_role;

/// A watched neighbour whose entry came, went, or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourChange {
    /// The interface it is looked for on.
    pub interface: String,
    /// Its address.
    pub address: IpAddr,
    /// What was known before; none where there was no entry.
    pub before: Option<Neighbour>,
    /// What is known now; none where the entry was removed.
    pub now: Option<Neighbour>,
}

/// What the kernel knows of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Neighbour {
    /// Whether it answers.
    pub answers: Answers,
    /// Its Ethernet address; none while it is not known.
    #[serde(default, with = "link_role::as_text_or_null")]
    pub address: Option<MacAddr>,
}

/// The states of linux/neighbour.h (`NUD_*`), as far as they differ for those who wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// It answered, or an administrator said where it is.
    Yes,
    /// It was asked for and has not answered yet (`NUD_INCOMPLETE`).
    NotYet,
    /// It was asked for as often as the kernel asks and never answered (`NUD_FAILED`).
    No,
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.answers, self.address) {
            (Answers::Yes, Some(address)) => write!(f, "at {address}"),
            (Answers::Yes, None) => f.write_str("there"),
            (Answers::NotYet, _) => f.write_str("being looked for"),
            (Answers::No, _) => f.write_str("FAILED"),
        }
    }
}

impl NeighbourChange {
    /// True if it was asked for as often as the kernel asks, and never answered.
    pub fn is_silent(&self) -> bool {
        self.now.is_some_and(|neighbour| neighbour.answers == Answers::No)
    }
}

impl fmt::Display for NeighbourChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: neighbour {} ", self.interface, self.address)?;
        match (self.before, self.now) {
            (_, None) => f.write_str("forgotten"),
            (None, Some(now)) => write!(f, "{now}"),
            (Some(before), Some(now)) => write!(f, "{before} -> {now}"),
        }
    }
}
