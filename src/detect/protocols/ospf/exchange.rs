//! How two OSPF routers become adjacent: each describes its database to the other, one packet after the
//! other, until neither has more. Who repeats the same description is not understood.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::Lasting;
use crate::time::Stamp;
use crate::wire::ospf::Description;

/// Sooner again is a copy by the capture (RFC 2328 C.3: an interval for retransmission is at least 1 s).
const COPY: Duration = Duration::from_secs(1);
/// Two intervals for retransmission as they are proposed (RFC 2328 C.3: 5 s).
const STUCK: Duration = Duration::from_secs(10);

/// Two routers.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) last: Stamp,
    pub(super) mismatch: Lasting,
    pub(super) stuck: Lasting,
    /// What the lower sends, and the higher.
    sent: [Sent; 2],
}

/// The newest description that one sends to the other.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    /// None before the first.
    newest: Option<Description>,
    first: Stamp,
    last: Stamp,
    again: u32,
    /// When it said that it has no more.
    done: Option<Stamp>,
}

/// Why an exchange goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    /// What both say is their largest packet, the lower router's first: who takes less drops the other's.
    Mtu([u16; 2]),
    /// Number of the sender that repeats itself, and how often.
    Repeats(usize, u32),
}

impl Pair {
    pub(super) fn new(last: Stamp) -> Self {
        Self {
            last,
            mismatch: Lasting::default(),
            stuck: Lasting::default(),
            sent: Default::default(),
        }
    }

    /// The lower router describes its database (0), or the higher (1).
    pub(super) fn describes(&mut self, at: Stamp, from: usize, description: Description) {
        self.last = at;
        let sent = &mut self.sent[from];
        if sent.newest == Some(description) {
            if at.mono.since(sent.last.mono) >= COPY {
                (sent.last, sent.again) = (at, sent.again + 1);
            }
        } else {
            *sent = Sent { newest: Some(description), first: at, last: at, again: 0, ..*sent };
        }
        if description.initial {
            sent.done = None;
        } else if !description.more {
            sent.done = Some(at);
        }
    }

    /// What keeps them from becoming adjacent, and since when: one of them repeats itself, and either their
    /// largest packets differ, or it goes on for longer than a lost packet explains.
    pub(super) fn stuck(&self) -> Option<(Stuck, Stamp)> {
        let (from, sent) = self.sent.iter().enumerate().max_by_key(|(_, sent)| sent.again)?;
        let mtu = |sent: &Sent| sent.newest.map_or(0, |newest| newest.mtu);
        let both = [mtu(&self.sent[0]), mtu(&self.sent[1])];
        let differ = both[0] != both[1] && !both.contains(&0);
        let lasts = sent.last.mono.since(sent.first.mono);
        let why = match sent.again {
            0 => return None,
            _ if self.both_done(Stamp::default()) => return None,
            _ if differ => Stuck::Mtu(both),
            again if lasts >= STUCK => Stuck::Repeats(from, again),
            _ => return None,
        };
        Some((why, sent.first))
    }

    /// True if each told the other all of its database since then.
    pub(super) fn both_done(&self, since: Stamp) -> bool {
        self.sent.iter().all(|sent| sent.done.is_some_and(|done| done.mono >= since.mono))
    }

    /// True if one of them began to describe its database since then.
    pub(super) fn is_seen_since(&self, since: Stamp) -> bool {
        self.sent.iter().any(|sent| sent.newest.is_some() && sent.last.mono >= since.mono)
    }
}

impl Stuck {
    /// In words; `routers` are the lower and the higher.
    pub(super) fn sentence(&self, routers: [Ipv4Addr; 2]) -> String {
        let [one, other] = routers;
        match self {
            Self::Mtu([of_one, of_other]) => format!(
                "{one} and {other} do not become adjacent (ExStart): their MTU differs, {one} says \
                 {of_one}, {other} says {of_other}"
            ),
            Self::Repeats(from, again) => format!(
                "{one} and {other} do not become adjacent (ExStart or Exchange): {} has sent the \
                 same database description {again} times again",
                routers[*from]
            ),
        }
    }
}
