//! Who claims which address: two stations that claim one do so in turns.
//!
//! ```text
//!  A ─► B             a takeover: gratuitous ARP after a failover
//!  A ─► B ─► A        in 5 s: B announced itself, A defended (RFC 5227 §2.4); slower: there and back
//!  A ─► B ─► A ─► B   in 60 s: both answer whoever asks
//! ```
//!
//! Never a conflict: virtual router addresses, which change hands by design, and addresses that this
//! host gives out itself in several ways (bonding's balance-alb does, one per client).

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::Mono;
use crate::wire::Mac;
use crate::wire::link::Vlans;

/// Addresses remembered.
const MOST: usize = 4_096;
/// A claim, another's, and the first again within this is a defence.
const DEFENCE: Duration = Duration::from_secs(5);
/// Three changes within this are two stations that both answer.
const TURNS: Duration = Duration::from_secs(60);

/// Follows the claims on one interface.
#[derive(Debug)]
pub(super) struct Claims {
    addresses: Bounded<(Vlans, IpAddr), Address>,
}

#[derive(Debug)]
struct Address {
    holder: Claimant,
    before: Option<Claimant>,
    /// When it changed hands between the same two, latest first.
    turns: [Option<Mono>; 3],
    last: Mono,
    conflict: Lasting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claimant {
    mac: Mac,
    own: bool,
}

impl Claims {
    pub(super) fn new() -> Self {
        Self { addresses: Bounded::new(MOST) }
    }

    pub(super) fn claimed(
        &mut self,
        heard: &Heard<'_>,
        address: IpAddr,
        mac: Mac,
        findings: &mut Vec<Finding>,
    ) {
        let claimant = Claimant { mac, own: heard.direction() == Direction::Outbound };
        if mac.is_virtual_router() || !mac.is_unicast() || mac == Mac::default() {
            return;
        }
        let now = heard.at().mono;
        let make = || Address {
            holder: claimant,
            before: None,
            turns: [None; 3],
            last: now,
            conflict: Lasting::default(),
        };
        let Some(known) = self.addresses.entry((heard.vlans(), address), make) else { return };
        known.last = now;
        if let Some(other) = known.turn(claimant, now) {
            let place = place(heard.vlans());
            let sentence = format!("{address}{place} is claimed by {} and by {mac}", other.mac);
            let kind = FindingKind::AddressConflict;
            known.conflict.begin(heard.finding(kind, Severity::Warning, sentence), findings);
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let at = now.at.mono;
        self.addresses.retain(|(vlans, address), known| {
            if known.conflict.last().is_some_and(|last| at.since(last.mono) > TURNS) {
                let sentence = || format!("{address}{} is claimed by one station", place(*vlans));
                known.conflict.end(now.at, sentence, findings);
            }
            at.since(known.last) < FORGET
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.addresses.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.addresses.iter().map(|(_, address)| &address.conflict)
    }
}

impl Address {
    /// A claim; the other station if this one makes a conflict.
    fn turn(&mut self, claimant: Claimant, now: Mono) -> Option<Claimant> {
        if claimant.mac == self.holder.mac {
            return None;
        }
        let other = std::mem::replace(&mut self.holder, claimant);
        let back = self.before.replace(other).is_some_and(|before| before.mac == claimant.mac);
        if !back {
            self.turns = [None; 3];
        }
        self.turns.rotate_right(1);
        self.turns[0] = Some(now);
        let within = |turn: Option<Mono>, time| turn.is_some_and(|turn| now.since(turn) <= time);
        let both = within(self.turns[1], DEFENCE) || within(self.turns[2], TURNS);
        (both && !(claimant.own && other.own)).then_some(other)
    }
}
