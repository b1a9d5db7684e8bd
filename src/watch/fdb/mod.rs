//! Link addresses that move between ports of a bridge of this host, as the kernel announces them: a switch
//! that learns an address on one port, then on another, and back, has a loop, or two stations with one address.
//!
//! What it promises: each move that is announced is counted, and told of a bridge once, when the first address
//! moves to and fro; a station that changes its place once is no news. In a loop the kernel announces a move for
//! every frame: then the socket overflows, the watcher rests a moment between two rounds, and what it does not
//! see is not counted. It never asks for the tables of bridges, which may be long, and sets nothing.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Duration;

use netlink_packet_core::NlasIterator;
use socket2::SockFilter;

use self::moves::{BridgeAddress, Moves, Port};
use crate::error::Result;
use crate::observation::Fact;
use crate::time::Stamp;
use crate::watch::link;
use crate::watch::netlink::{Heard, Subscription};
use crate::watch::{Wake, Watcher, WatcherContext};
use crate::wire::Mac;

mod moves;

/// `RTNLGRP_NEIGH` and the types of its messages (linux/rtnetlink.h).
const GROUP_NEIGHBOURS: u32 = 3;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
/// `AF_BRIDGE` (linux/socket.h).
const AF_BRIDGE: u8 = 7;
/// Datagrams read in one round; with more there is a loop, and the next round waits for [`REST`].
const ROUND: usize = 1_000;
const REST: Duration = Duration::from_millis(100);
/// Names of interfaces are asked for at most this often.
const ASK_NAMES: Duration = Duration::from_secs(1);

/// The watcher of the address tables of bridges.
#[derive(Debug)]
pub struct FdbWatcher {
    subscription: Subscription<News>,
    moves: Moves,
    names: BTreeMap<u32, String>,
    named: Option<Stamp>,
}

impl FdbWatcher {
    /// Subscribes.
    ///
    /// # Errors
    /// When the kernel refuses a netlink socket.
    pub fn open() -> Result<Self> {
        let subscription = subscribe(link::Options::default().receive_buffer)?;
        Ok(Self { subscription, moves: Moves::default(), names: BTreeMap::new(), named: None })
    }

    /// Reads what waits, as far as one round goes; true if there may be more.
    fn round(&mut self, context: &mut WatcherContext) -> Result<bool> {
        for _ in 0..ROUND {
            let (at, news) = match self.subscription.hear(|| context.now())? {
                (_, Heard::Nothing) => return Ok(false),
                (_, Heard::Overflow) => continue,
                (at, Heard::News(news)) => (at, news),
            };
            for (address, port) in news {
                let Some(flapping) = self.moves.learn(at, address, port) else { continue };
                self.learn_names(at, flapping.ports());
                let finding = flapping.finding(at, &|index| self.name(index));
                context.send_at(at, Fact::Finding(Box::new(finding)));
            }
        }
        Ok(true)
    }

    fn name(&self, index: u32) -> String {
        self.names.get(&index).cloned().unwrap_or_else(|| format!("interface {index}"))
    }

    /// Asks the kernel for the names of interfaces, if one of these is not known.
    fn learn_names(&mut self, at: Stamp, ports: [Port; 2]) {
        let known = ports.iter().flat_map(|port| [port.index, port.bridge]);
        let known = known.into_iter().all(|index| self.names.contains_key(&index));
        let lately = self.named.is_some_and(|asked| at.mono.since(asked.mono) < ASK_NAMES);
        if known || lately {
            return;
        }
        self.named = Some(at);
        // Without an answer they are called by their numbers.
        let links = link::links().unwrap_or_default();
        self.names = links.into_iter().map(|link| (link.index, link.name)).collect();
    }
}

impl Watcher for FdbWatcher {
    const NAME: &'static str = "fdb";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let mut rest = None;
        loop {
            let fds = if rest.is_some() { vec![] } else { vec![self.subscription.as_fd()] };
            let until = rest.into_iter().chain(self.moves.due()).min();
            if context.wait(&fds, until)? == Wake::Stop {
                return Ok(());
            }
            let now = context.now();
            rest = self.round(context)?.then(|| now.mono.plus(REST));
            for over in self.moves.tick(context.now()) {
                let finding = over.finding(context.now(), &|index| self.name(index));
                context.send(Fact::Finding(Box::new(finding)));
            }
        }
    }
}

/// An address of a bridge's table is behind this port now; none if it is forgotten.
type News = (BridgeAddress, Option<Port>);

/// What a message says of a bridge's table.
fn read(kind: u16, _flags: u16, payload: &[u8]) -> Option<News> {
    /// `struct ndmsg` (linux/neighbour.h): family, padding, index, state, flags, type.
    const NDMSG: usize = 12;
    /// `NDA_LLADDR`, `NDA_VLAN`, `NDA_MASTER` (linux/neighbour.h).
    const LINK_ADDRESS: u16 = 2;
    const VLAN: u16 = 5;
    const MASTER: u16 = 9;
    let header = payload.first_chunk::<NDMSG>()?;
    if header[0] != AF_BRIDGE {
        return None;
    }
    let index = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    let (mut mac, mut vlan, mut bridge) = (None, 0, None);
    for attribute in NlasIterator::new(&payload[NDMSG..]).map_while(Result::ok) {
        match (attribute.kind(), attribute.value()) {
            (LINK_ADDRESS, value) => mac = value.try_into().ok().map(Mac),
            (VLAN, value) => vlan = value.try_into().map(u16::from_ne_bytes).unwrap_or_default(),
            (MASTER, value) => bridge = value.try_into().ok().map(u32::from_ne_bytes),
            _ => {}
        }
    }
    let bridge = bridge?;
    let address = BridgeAddress { bridge, mac: mac?, vlan };
    match kind {
        // An entry without a port is the bridge's own.
        RTM_NEWNEIGH if index != bridge => Some((address, Some(Port { index, bridge }))),
        RTM_DELNEIGH => Some((address, None)),
        _ => None,
    }
}

/// Hears of bridges' tables, and not of all other neighbours: the family is the first byte behind
/// `struct nlmsghdr`.
fn subscribe(receive_buffer: usize) -> Result<Subscription<News>> {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const FAMILY: u32 = 16;
    Subscription::open(&[GROUP_NEIGHBOURS], receive_buffer, read)?.filtered(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FAMILY),
        SockFilter::new(JUMP_EQUAL, 0, 1, AF_BRIDGE.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;
    use std::time::Instant;

    use crossbeam_channel::bounded;

    use super::*;
    use crate::finding::FindingKind;
    use crate::lab::{BOUND, Namespace};
    use crate::time::Clock;
    use crate::watch::spawn;

    #[test]
    fn messages_are_read_and_others_passed_over() {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let message = |family: u8, index: u32| {
            let mut bytes = vec![family, 0, 0, 0];
            bytes.extend(index.to_ne_bytes());
            bytes.extend([2, 0, 0, 0]);
            bytes.extend(attribute(2, &[2, 0, 0, 0, 0, 7]));
            bytes.extend(attribute(9, &3_u32.to_ne_bytes()));
            bytes.extend(attribute(5, &10_u16.to_ne_bytes()));
            bytes
        };
        let address = BridgeAddress { bridge: 3, mac: Mac([2, 0, 0, 0, 0, 7]), vlan: 10 };
        let port = Port { index: 5, bridge: 3 };
        assert_eq!(read(RTM_NEWNEIGH, 0, &message(AF_BRIDGE, 5)), Some((address, Some(port))));
        assert_eq!(read(RTM_DELNEIGH, 0, &message(AF_BRIDGE, 5)), Some((address, None)));
        assert_eq!(read(RTM_NEWNEIGH, 0, &message(AF_BRIDGE, 3)), None, "the bridge's own");
        assert_eq!(read(RTM_NEWNEIGH, 0, &message(2, 5)), None, "a neighbour of IPv4");
        for length in 0..12 {
            assert_eq!(read(RTM_NEWNEIGH, 0, &message(AF_BRIDGE, 5)[..length]), None);
        }
    }

    #[test]
    fn an_address_that_moves_between_ports_is_told() {
        let Some(lab) = Namespace::new() else { return };
        for line in [
            "link add br0 type bridge",
            "link set br0 up",
            "link add p1 type veth peer name q1",
            "link add p2 type veth peer name q2",
            "link set q1 up",
            "link set q2 up",
            "link set p1 master br0 up",
            "link set p2 master br0 up",
        ] {
            lab.ip(line);
        }
        let told = lab.inside(|| {
            let (outbox, inbox) = bounded(64);
            let watch = spawn(FdbWatcher::open().unwrap(), Clock::system(), outbox).unwrap();
            // Refused until the kernel has made the port forward.
            let learn = |port| {
                let command =
                    ["fdb", "replace", "02:00:00:00:00:07", "dev", port, "master", "dynamic"];
                let until = Instant::now() + BOUND;
                while !Command::new("bridge")
                    .args(command)
                    .status()
                    .is_ok_and(|done| done.success())
                {
                    assert!(Instant::now() < until, "bridge fdb on {port}");
                }
            };
            let told = thread::scope(|scope| {
                scope.spawn(|| ["p1", "p2", "p1", "p2", "p1", "p2"].map(learn));
                inbox.recv_timeout(BOUND).unwrap()
            });
            watch.join();
            told
        });
        let Fact::Finding(finding) = told.fact else { panic!("{told:?}") };
        assert_eq!(finding.kind, FindingKind::MacFlapping);
        let sentence = &finding.sentence;
        assert!(
            sentence.contains("02:00:00:00:00:07 moves between p1 and p2 of br0"),
            "{sentence}"
        );
    }
}
