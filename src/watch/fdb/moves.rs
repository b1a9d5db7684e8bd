//! When moves of addresses are news. Pure: it is told each place that an address was learned at, and the time.
//!
//! ```text
//!   port 2      ┌─┐ ┌─┐ ┌──          four moves in five seconds, to ports where it had been:
//!   port 1  ────┘ └─┘ └─┘            told of the bridge; over when no address moved for five seconds
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::wire::Mac;

/// A port of a bridge, by the indices of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) index: u32,
    pub(super) bridge: u32,
}

/// An address in a bridge's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BridgeAddress {
    pub(super) bridge: u32,
    pub(super) mac: Mac,
    /// 0 where the bridge has no VLANs.
    pub(super) vlan: u16,
}

/// All addresses that were learned or moved lately.
#[derive(Debug, Default)]
pub(super) struct Moves {
    addresses: BTreeMap<BridgeAddress, Learned>,
    flapping: BTreeMap<u32, Flapping>,
}

/// Where an address was learned, the last time and before.
#[derive(Debug, Default)]
struct Learned {
    at: Option<Port>,
    moves: VecDeque<(Stamp, Port, Port)>,
}

/// An address moves to and fro on a bridge.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flapping {
    address: BridgeAddress,
    ports: [Port; 2],
    first: Stamp,
    last: Stamp,
    /// Moves of all addresses of the bridge.
    moves: u64,
    over: bool,
}

impl Moves {
    /// Addresses that are remembered; newcomers beyond are not.
    const MOST: usize = 4_096;
    /// So many moves
    const MOVES: usize = 4;
    /// in so long are no change of place: who roams between access points moves a few times a minute.
    const SPAN: Duration = Duration::from_secs(5);
    /// Without a move for so long it is over.
    const QUIET: Duration = Duration::from_secs(5);

    /// An address was learned on a port, or forgotten; returns what is to be told.
    pub(super) fn learn(
        &mut self,
        at: Stamp,
        address: BridgeAddress,
        port: Option<Port>,
    ) -> Option<Flapping> {
        let Some(port) = port else {
            // One that moved is remembered until that is long ago.
            if self.addresses.get(&address).is_some_and(|learned| learned.moves.is_empty()) {
                self.addresses.remove(&address);
            }
            return None;
        };
        if !self.addresses.contains_key(&address) && self.addresses.len() >= Self::MOST {
            return None;
        }
        let learned = self.addresses.entry(address).or_default();
        let before = learned.at.replace(port).filter(|before| *before != port)?;
        learned.moves.push_back((at, before, port));
        if learned.moves.len() > Self::MOVES {
            learned.moves.pop_front();
        }
        if let Some(flapping) = self.flapping.get_mut(&address.bridge) {
            (flapping.last, flapping.moves) = (at, flapping.moves + 1);
            return None;
        }
        let first = learned.moves.front()?.0;
        let many = learned.moves.len() == Self::MOVES && at.mono.since(first.mono) <= Self::SPAN;
        let returns = learned.moves.iter().any(|(_, from, _)| *from == port);
        if !many || !returns {
            return None;
        }
        let (ports, moves) = ([before, port], Self::MOVES as u64);
        let flapping = Flapping { address, ports, first, last: at, moves, over: false };
        self.flapping.insert(address.bridge, flapping.clone());
        Some(flapping)
    }

    /// When something may be over.
    pub(super) fn due(&self) -> Option<Mono> {
        self.flapping.values().map(|flapping| flapping.last.mono.plus(Self::QUIET)).min()
    }

    /// What is over by now.
    pub(super) fn tick(&mut self, now: Stamp) -> Vec<Flapping> {
        let quiet = |last: Stamp| now.mono.since(last.mono) >= Self::QUIET;
        let over = self.flapping.values().filter(|flapping| quiet(flapping.last));
        let over = over.map(|flapping| Flapping { over: true, ..*flapping }).collect();
        self.flapping.retain(|_, flapping| !quiet(flapping.last));
        self.addresses
            .retain(|_, learned| learned.moves.back().is_none_or(|(last, ..)| !quiet(*last)));
        over
    }
}

impl Flapping {
    /// Faster than this no station moves, whoever carries it: a second move before the first was over.
    const LOOP: Duration = Duration::from_millis(500);

    pub(super) fn ports(&self) -> [Port; 2] {
        self.ports
    }

    /// For the recorder; `name` knows interfaces by their index.
    pub(super) fn finding(&self, at: Stamp, name: &dyn Fn(u32) -> String) -> Finding {
        let Self { address, ports, first, last, moves, over } = *self;
        let mut named = ports.map(|port| name(port.index));
        named.sort();
        let [one, other] = &named;
        let lasted = last.mono.since(first.mono);
        let what =
            format!("{} moves between {one} and {other} of {}", address.mac, name(address.bridge));
        let times = format!("{moves} moves in {:.2} s", lasted.as_secs_f64());
        let fast = lasted <= Self::LOOP;
        let why = if fast {
            format!(
                "frames go around in a loop between {one} and {other}, or two stations have one address"
            )
        } else {
            "two stations have one address, or there is a loop".to_owned()
        };
        let sentence = match over {
            true => format!(
                "link addresses of {} stay where they are again, after {times}",
                name(address.bridge)
            ),
            false => format!("MAC {what}, {times}: {why}"),
        };
        let finding = Finding {
            kind: FindingKind::MacFlapping,
            severity: if fast { Severity::Critical } else { Severity::Warning },
            first,
            last: if over { last } else { at },
            interface: Some(other.clone()),
            direction: Direction::Inbound,
            count: moves,
            rate: None,
            what,
            sentence,
            parties: vec![Party::Station(address.mac)],
            over,
        };
        if address.vlan == 0 { finding } else { finding.about(Party::Vlan(address.vlan)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    fn at(ms: u64) -> Stamp {
        Stamp { mono: Mono(ms * 1_000_000), wall: Wall(ms * 1_000_000) }
    }

    fn address(last: u8) -> BridgeAddress {
        BridgeAddress { bridge: 1, mac: Mac([2, 0, 0, 0, 0, last]), vlan: 0 }
    }

    fn port(index: u32) -> Option<Port> {
        Some(Port { index, bridge: 1 })
    }

    /// When something is told of these: ms, port; and whether as over.
    fn told(story: &[(u64, u32)]) -> Vec<(u64, Severity, bool)> {
        let (mut moves, mut told) = (Moves::default(), Vec::new());
        let name = |index| format!("p{index}");
        let mut story = story.iter().peekable();
        for ms in (0..30_000).step_by(10) {
            let mut findings = Vec::new();
            while let Some((_, index)) = story.next_if(|(then, _)| *then <= ms) {
                findings.extend(moves.learn(at(ms), address(7), port(*index)));
            }
            findings.extend(moves.tick(at(ms)));
            let told_now = findings.iter().map(|flapping| flapping.finding(at(ms), &name));
            told.extend(told_now.map(|finding| (ms, finding.severity, finding.over)));
        }
        told
    }

    #[test]
    fn to_and_fro_is_told_and_a_change_of_place_is_not() {
        use Severity::{Critical, Warning};
        let between = |step: u64| (0..6).map(|n| (n * step, (n % 2) as u32)).collect::<Vec<_>>();
        for (name, story, expected) in [
            ("a loop", between(10), vec![(40, Critical, false), (5_050, Critical, true)]),
            (
                "two with one address",
                between(1_000),
                vec![(4_000, Warning, false), (10_000, Warning, true)],
            ),
            ("roaming", between(2_000), vec![]),
            ("one move", vec![(0, 0), (1_000, 1)], vec![]),
            ("from port to port", (0..6).map(|n| (u64::from(n) * 100, n)).collect(), vec![]),
        ] {
            assert_eq!(told(&story), expected, "{name}");
        }
    }

    #[test]
    fn a_loop_is_told_once_whoever_moves() {
        let mut moves = Moves::default();
        let mut told = 0;
        for n in 0..40_000_u32 {
            let address = address((n % 200) as u8);
            told += usize::from(moves.learn(at(n.into()), address, port(n / 200 % 2)).is_some());
            if n % 5 == 0 {
                moves.learn(at(n.into()), address, None);
            }
        }
        assert_eq!(told, 1);
        assert!(moves.addresses.len() <= Moves::MOST);
        assert!(moves.flapping[&1].moves > 30_000);
    }
}
