//! Whether a line of the kernel is about this network namespace. The kernel has one log for all of them, so a
//! host with containers hears of bridges, interfaces and addresses that do not exist here, often by names that
//! do.
//!
//! | a line names | it is from elsewhere if, here, |
//! |---|---|
//! | an interface, a bridge, a bond | there is none of that name |
//! | an interface of a bridge or bond | it is no port of it |
//! | a station whose address is our own | no interface has that address |
//! | an address of ours | no interface of that name has it |
//! | a port that is flooded | nobody listens on it, or no listener's queue became full since the last such line |
//! | a network namespace | it is another one |
//! | the full table of connections | the table has room |
//!
//! Tables of neighbours, memory and processors are everybody's. What cannot be found out is believed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;

use crate::observation::link::LinkState;
use crate::watch::ip::addresses;
use crate::watch::link::links;

/// What is here, as far as it could be found out.
#[derive(Debug, Clone, Default)]
pub(super) struct Here {
    links: Option<Vec<LinkState>>,
    /// Index of the interface, and an address it has.
    addresses: Option<Vec<(u32, IpAddr)>>,
    /// TCP ports somebody listens on.
    listening: Option<Vec<u16>>,
    /// The inode of this network namespace.
    namespace: Option<u64>,
    /// Tracked connections, and how many there may be.
    connections: Option<(u64, u64)>,
    /// Times that a listener's queue was full: until the last line of that, and until now.
    queues_full: Option<(u64, u64)>,
}

/// The table of connections is as good as full from this share on: some may have ended since the line was
/// written.
const FULL: f64 = 0.9;
/// `TCP_LISTEN` (include/net/tcp_states.h) as /proc/net/tcp spells it. Listeners stand before all others
/// (tcp_seek_last_pos(), net/ipv4/tcp_ipv4.c).
const LISTEN: &str = "0A";

/// The matcher of lines that tell a flood of a port.
pub(super) const FLOOD: &str = "syn-flood";

impl Here {
    /// Now; `queues_full_before` is what [`queues_full`] said after the last line of a flood.
    pub(super) fn read(queues_full_before: Option<u64>) -> Self {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(listening);
        let listening: Vec<_> = tables.collect();
        Self {
            links: links().ok(),
            addresses: addresses().ok(),
            listening: (!listening.is_empty()).then(|| listening.concat()),
            namespace: fs::metadata("/proc/self/ns/net").ok().map(|place| place.ino()),
            connections: number("/proc/sys/net/netfilter/nf_conntrack_count")
                .zip(number("/proc/sys/net/netfilter/nf_conntrack_max")),
            queues_full: queues_full_before.zip(queues_full()),
        }
    }

    /// Why a line of the matcher `matcher`, which caught `fields`, is not about this namespace; none if it
    /// is. Pure.
    pub(super) fn elsewhere(
        &self,
        matcher: &str,
        fields: &BTreeMap<String, String>,
    ) -> Option<String> {
        let field = |name: &str| fields.get(name).map(String::as_str);
        let masters = [field("bridge"), field("bond")].into_iter().flatten();
        let (interface, master) = (field("interface"), masters.clone().next());
        let name = interface.into_iter().chain(masters);
        let missing = name.into_iter().find_map(|name| self.lacks(name));
        missing
            .or_else(|| self.is_no_port(interface?, master?))
            .or_else(|| self.has_no_station(field("station").filter(|_| master.is_some())?))
            .or_else(|| self.has_no_address(interface?, field("address")?))
            .or_else(|| self.nobody_listens(field("port")?))
            .or_else(|| self.no_queue_was_full().filter(|_| matcher == FLOOD))
            .or_else(|| self.is_another(field("namespace")?))
            .or_else(|| self.has_room().filter(|_| matcher == "conntrack-table-full"))
    }

    fn link(&self, name: &str) -> Option<&LinkState> {
        self.links.as_ref()?.iter().find(|link| link.name == name)
    }

    fn lacks(&self, name: &str) -> Option<String> {
        let is_known = self.links.is_some();
        (is_known && self.link(name).is_none()).then(|| format!("there is no {name}"))
    }

    fn is_no_port(&self, interface: &str, master: &str) -> Option<String> {
        let (port, master) = (self.link(interface)?, self.link(master)?);
        let is_port = port.master == Some(master.index);
        (!is_port).then(|| format!("{interface} is no port of {}", master.name))
    }

    fn has_no_station(&self, station: &str) -> Option<String> {
        let is_ours = |link: &LinkState| link.address.is_some_and(|own| own.to_string() == station);
        let here = self.links.as_ref()?.iter().any(is_ours);
        (!here).then(|| format!("no interface has {station}"))
    }

    fn has_no_address(&self, interface: &str, address: &str) -> Option<String> {
        let (index, ours): (u32, IpAddr) = (self.link(interface)?.index, address.parse().ok()?);
        let here = self.addresses.as_ref()?.contains(&(index, ours));
        (!here).then(|| format!("{interface} does not have {address}"))
    }

    fn nobody_listens(&self, port: &str) -> Option<String> {
        let here = self.listening.as_ref()?.contains(&port.parse().ok()?);
        (!here).then(|| format!("nobody listens on port {port}"))
    }

    fn is_another(&self, namespace: &str) -> Option<String> {
        let ours = self.namespace?;
        (namespace.parse() != Ok(ours)).then(|| format!("this is namespace {ours}"))
    }

    fn no_queue_was_full(&self) -> Option<String> {
        let (before, now) = self.queues_full?;
        (now == before).then(|| "no listener's queue became full".to_owned())
    }

    fn has_room(&self) -> Option<String> {
        let (entries, limit) = self.connections?;
        let is_full = entries as f64 >= limit as f64 * FULL;
        (!is_full).then(|| format!("the table has {entries} of at most {limit}"))
    }
}

/// Times that a listener of this namespace had no room for a connection and said that it is flooded: counted before it is
/// logged (tcp_syn_flood_action(), net/ipv4/tcp_input.c).
pub(super) fn queues_full() -> Option<u64> {
    const COUNTERS: [&str; 2] = ["TCPReqQFullDoCookies", "TCPReqQFullDrop"];
    let text = fs::read_to_string("/proc/net/netstat").ok()?;
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (rows.next()?.split(' '), rows.next()?.split(' '));
    let ours = names.zip(values).filter(|(name, _)| COUNTERS.contains(name));
    let counts: Vec<u64> = ours.map_while(|(_, value)| value.parse().ok()).collect();
    (counts.len() == COUNTERS.len()).then(|| counts.iter().sum())
}

/// The ports of the listeners at the beginning of `path`; none if it cannot be read.
fn listening(path: &str) -> Option<Vec<u16>> {
    let lines = BufReader::new(fs::File::open(path).ok()?).lines().skip(1).map_while(Result::ok);
    let listener = |line: String| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        let port = local.rsplit_once(':')?.1;
        u16::from_str_radix(port, 16).ok().filter(|_| state == LISTEN)
    };
    Some(lines.map_while(listener).collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::{defaults, matcher::Matchers};
    use super::*;

    fn here() -> Here {
        let link = |index, name: &str, master, last| LinkState {
            index,
            name: name.into(),
            master,
            address: Some(pnet::util::MacAddr::new(2, 0, 0, 0, 0, last)),
            ..LinkState::default()
        };
        Here {
            links: Some(vec![
                link(2, "eth0", None, 1),
                link(3, "br0", None, 2),
                link(4, "t1", Some(3), 2),
                link(5, "t2", None, 3),
            ]),
            addresses: Some(vec![(2, "fe80::1".parse().unwrap()), (5, "fe80::2".parse().unwrap())]),
            listening: Some(vec![22, 80]),
            namespace: Some(4_026_531_840),
            connections: Some((100, 1_000)),
            queues_full: Some((3, 4)),
        }
    }

    /// Regression: a bridge of one namespace froze windows in namespaces that have no bridge at all, and was
    /// the symptom of one.
    #[test]
    fn a_line_about_another_namespace_is_told_from_ours() {
        let loops = |bridge: &str, port: &str, station: &str| {
            format!(
                "{bridge}: received packet on {port} with own address as source address \
                 (addr:{station}, vlan:0)"
            )
        };
        let duplicate = |interface: &str, address: &str| {
            format!(
                "IPv6: {interface}: IPv6 duplicate address {address} used by 02:00:00:00:00:09 detected!"
            )
        };
        let (ours, theirs) = ("02:00:00:00:00:02", "02:00:00:00:00:99");
        let full = |connections| Here { connections, ..here() };
        let matchers = Matchers::compile(&defaults()).unwrap();
        for (here, line, expected) in [
            (here(), loops("br0", "t1", ours), None),
            (here(), loops("br7", "t1", ours), Some("there is no br7")),
            (here(), loops("br0", "t9", ours), Some("there is no t9")),
            (here(), loops("br0", "t2", ours), Some("t2 is no port of br0")),
            (here(), loops("br0", "t1", theirs), Some("no interface has 02:00:00:00:00:99")),
            (here(), duplicate("eth0", "fe80::1"), None),
            (here(), duplicate("eth0", "fe80::2"), Some("eth0 does not have fe80::2")),
            (here(), duplicate("eth5", "fe80::1"), Some("there is no eth5")),
            (here(), "igb 0000:02:00.2 eth0: igb: eth0 NIC Link is Down".into(), None),
            (here(), "r8169 0000:02:00.0 enp2s0: Link is Down".into(), Some("there is no enp2s0")),
            (
                here(),
                "bond0: (slave eth0): link status definitely down, disabling slave".into(),
                Some("there is no bond0"),
            ),
            (
                here(),
                "NETDEV WATCHDOG: eth9 (igb): transmit queue 3 timed out".into(),
                Some("there is no eth9"),
            ),
            (here(), "TCP: Possible SYN flooding on port 80. Sending cookies.".into(), None),
            (
                here(),
                "TCP: Possible SYN flooding on port 0.0.0.0:8080. Sending cookies.".into(),
                Some("nobody listens on port 8080"),
            ),
            // Three servers had one address in three namespaces, and one was flooded.
            (
                Here { queues_full: Some((4, 4)), ..here() },
                "TCP: Possible SYN flooding on port 10.8.0.20:80. Sending cookies.".into(),
                Some("no listener's queue became full"),
            ),
            (
                Here { queues_full: None, ..here() },
                "TCP: Possible SYN flooding on port 10.8.0.20:80. Sending cookies.".into(),
                None,
            ),
            // Everybody's.
            (here(), "neighbour: arp_cache: neighbor table overflow!".into(), None),
            (here(), "Out of memory: Killed process 812 (bgpd) total-vm:1kB".into(), None),
            (
                full(Some((100, 1_000))),
                "nf_conntrack: nf_conntrack: table full, dropping packet".into(),
                Some("the table has 100 of at most 1000"),
            ),
            (full(Some((999, 1_000))), "nf_conntrack: table full, dropping packet".into(), None),
            (full(None), "nf_conntrack: table full, dropping packet".into(), None),
            (
                full(Some((999, 1_000))),
                "nf_conntrack: table full in netns 7, dropping packet".into(),
                Some("this is namespace 4026531840"),
            ),
            // What cannot be found out is believed.
            (Here::default(), loops("br7", "t1", theirs), None),
            (Here::default(), duplicate("eth5", "fe80::1"), None),
        ] {
            let found = matchers.find(&line).unwrap_or_else(|| panic!("{line} matches nothing"));
            let told = here.elsewhere(&found.name, &found.fields);
            assert_eq!(told.as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_here_is_found_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = Here::read(queues_full());
        let (before, now) = here.queues_full.unwrap();
        assert!(here.link("lo").is_some() && before <= now);
        assert!(here.addresses.is_some() && here.namespace.is_some());
        assert!(here.listening.unwrap().contains(&listener.local_addr().unwrap().port()));
    }
}
