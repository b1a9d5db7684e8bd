//! Who else is to freeze the same seconds: `fleet = { to = ["peers", "group:site-a"], mode = "keep" }`.

use std::fmt;
use std::str::FromStr;

/// What a rule asks of other hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Whom.
    pub to: Vec<Recipient>,
    /// True if they only hold the window until this host's own hold is confirmed or released.
    pub hold: bool,
}

/// Hosts that are asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recipient {
    /// The neighbours of this host, by what they show on the wire.
    Peers,
    /// All of a group.
    Group(String),
    /// One, by its name.
    Host(String),
}

impl Announce {
    /// Recipients of a rule: each is a message.
    pub const MOST: usize = 16;
}

impl FromStr for Recipient {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        match typed.split_once(':') {
            None if typed == "peers" => Ok(Self::Peers),
            Some(("group", name)) if !name.is_empty() => Ok(Self::Group(name.to_owned())),
            Some(("host", name)) if !name.is_empty() => Ok(Self::Host(name.to_owned())),
            _ => Err(format!("{typed:?} is nobody; accepted: peers, group:NAME or host:NAME")),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peers => f.write_str("peers"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Host(name) => write!(f, "host:{name}"),
        }
    }
}

impl fmt::Display for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to: Vec<_> = self.to.iter().map(ToString::to_string).collect();
        let mode = if self.hold { "held" } else { "kept" };
        write!(f, "{mode} by {}, too", to.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_read_back_or_say_what_is_accepted() {
        for typed in ["peers", "group:site-a", "host:router-b"] {
            assert_eq!(typed.parse::<Recipient>().unwrap().to_string(), typed);
        }
        for typed in ["", "peer", "group:", "host", "site-a", "peers:x"] {
            assert!(typed.parse::<Recipient>().unwrap_err().contains("accepted: peers"), "{typed}");
        }
    }
}
