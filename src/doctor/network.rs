//! What on this host could say more if it were asked: routers without a probe, routing daemons whose logs are
//! not watched, bridges and network namespaces that change what is seen.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use glob::glob;

use super::{Check, State, Subject};
use crate::watch::ip::routers::routers;
use crate::watch::logs::Place;

/// Daemons whose log tells of failures, by the names of their processes (15 bytes at most, proc(5)), and where
/// they log where they log to files.
const DAEMONS: [(&str, &[&str], &str); 4] = [
    (
        "FRR",
        &["zebra", "bgpd", "ospfd", "ospf6d", "isisd", "bfdd", "vrrpd", "eigrpd", "pimd", "ripd"],
        "/var/log/frr/*.log",
    ),
    ("keepalived", &["keepalived"], "/var/log/keepalived*.log"),
    ("BIRD", &["bird", "bird6"], "/var/log/bird*.log"),
    ("systemd-networkd", &["systemd-network"], ""),
];
/// Where syslog daemons write what programs tell them, the most general last.
const SYSLOG: [&str; 3] = ["/var/log/daemon.log", "/var/log/messages", "/var/log/syslog"];
/// Where ip-netns(8) names namespaces.
const NAMED: &str = "/run/netns";

pub(super) fn examine(subject: &Subject) -> Vec<Check> {
    let processes = Processes::read();
    let exists = |pattern: &str| glob(pattern).is_ok_and(|mut found| found.next().is_some());
    let mut checks = gateways(&routers().unwrap_or_default(), &subject.probed);
    checks.extend(daemons(&processes.names, &subject.logs, exists));
    checks.extend(bridges(subject));
    let named = fs::read_dir(NAMED).map_or(0, Iterator::count);
    checks.extend(namespaces(processes.others.max(named)));
    checks
}

/// What is worth a word when a recording starts.
pub fn hints(subject: &Subject) -> Vec<Check> {
    examine(subject).into_iter().filter(|check| check.state != State::Ok).collect()
}

/// The routers on default routes, of which those that are probed are well.
fn gateways(routers: &BTreeSet<IpAddr>, probed: &[IpAddr]) -> Vec<Check> {
    let check = |router: &IpAddr| {
        if probed.contains(router) {
            return Check::ok("gateway", format!("{router} is probed"));
        }
        let advice = format!(
            "-p {router} tells within 3 s that it is gone, also while nothing is sent through it"
        );
        Check::new(State::Note, "gateway", format!("{router} has no probe"), advice)
    };
    routers.iter().map(check).collect()
}

/// Routing and redundancy daemons that run: whether their log is watched, and how it can be.
fn daemons(
    running: &BTreeSet<String>,
    logs: &[Place],
    exists: impl Fn(&str) -> bool,
) -> Vec<Check> {
    let has_journal = logs.iter().any(|log| matches!(log, Place::Journal { .. }));
    let is_watched = |file: &str| {
        logs.iter().any(|log| {
            matches!(log, Place::Files(pattern) if pattern == file || is_below(pattern, file))
        })
    };
    let runs = |names: &[&str]| names.iter().any(|name| running.contains(*name));
    let check = |(daemon, _, files): &(&str, &[&str], &str)| {
        let own = Some(*files).filter(|files| !files.is_empty() && exists(files));
        let file = own.or_else(|| SYSLOG.into_iter().find(|file| exists(file)));
        match file {
            Some(file) if is_watched(file) => {
                Check::ok(*daemon, format!("runs, and {file} is watched"))
            }
            // What logs to a file of its own need not log to the journal, too.
            _ if has_journal && own.is_none() => {
                Check::ok(*daemon, "runs, and the journal is watched")
            }
            Some(file) => {
                let also =
                    if has_journal { "--log kernel --log journal " } else { "--log kernel " };
                let advice =
                    format!("{also}--log '{file}' reads what it says of neighbours and links");
                Check::new(State::Note, *daemon, "runs, and its log is not watched", advice)
            }
            None => {
                let advice = "let it log to a file, and name that: --log /var/log/FILE";
                Check::new(State::Note, *daemon, "runs, and logs where it cannot be read", advice)
            }
        }
    };
    DAEMONS.iter().filter(|(_, names, _)| runs(names)).map(check).collect()
}

/// True if the files that `file` stands for are among those of a wildcard in the same directory.
fn is_below(pattern: &str, file: &str) -> bool {
    let directory = |path: &str| Path::new(path).parent().map(Path::to_owned);
    pattern.contains('*') && directory(pattern) == directory(file)
}

/// Bridges, because their ports show what is only passed on.
fn bridges(subject: &Subject) -> Option<Check> {
    let is_bridge = |kind: &Option<String>| kind.as_deref() == Some("bridge");
    let bridges = subject.links.iter().filter(|link| is_bridge(&link.kind));
    let told: Vec<_> = bridges
        .map(|bridge| {
            let ports = subject.links.iter().filter(|link| link.master == Some(bridge.index));
            format!("{} with {} ports", bridge.name, ports.count())
        })
        .collect();
    if told.is_empty() {
        return None;
    }
    let advice = "a frame that is passed on is seen on each port that is recorded, as sent and as received; \
                  name the ports that matter with -i";
    Some(Check::new(State::Note, "bridge", told.join(", "), advice))
}

/// Other network namespaces, which share more with this one than is good for reading.
fn namespaces(others: usize) -> Option<Check> {
    if others == 0 {
        return None;
    }
    let found = format!("{others} others on this machine, such as containers");
    let advice = "what is inside is recorded only by a dashcap that runs inside: ip netns exec NAME dashcap \
                  run; the kernel's log and its table of neighbours are one for all";
    Some(Check::new(State::Note, "namespaces", found, advice))
}

/// What runs on this machine, as far as we may look.
#[derive(Debug, Default)]
struct Processes {
    /// Names of those in our network namespace, or in one that is kept from us.
    names: BTreeSet<String>,
    /// Other network namespaces that processes are in.
    others: usize,
}

impl Processes {
    fn read() -> Self {
        let namespace =
            |process: &Path| fs::metadata(process.join("ns/net")).ok().map(|ns| ns.ino());
        let ours = namespace(Path::new("/proc/self"));
        let (mut names, mut others) = (BTreeSet::new(), BTreeSet::new());
        for process in glob("/proc/[0-9]*").into_iter().flatten().flatten() {
            match namespace(&process) {
                Some(other) if Some(other) != ours => drop(others.insert(other)),
                _ => {
                    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
                    names.insert(name.trim().to_owned());
                }
            }
        }
        Self { names, others: others.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::link::LinkState;

    #[test]
    fn a_router_without_a_probe_is_named_with_the_option() {
        let routers = ["10.6.0.1", "fe80::1"].map(|router| router.parse().unwrap()).into();
        let told = gateways(&routers, &["10.6.0.1".parse().unwrap()]);
        assert_eq!(told[0], Check::ok("gateway", "10.6.0.1 is probed"));
        assert_eq!((told[1].state, &*told[1].found), (State::Note, "fe80::1 has no probe"));
        assert!(told[1].advice.as_ref().unwrap().starts_with("-p fe80::1 "));
        assert!(gateways(&BTreeSet::new(), &[]).is_empty());
    }

    #[test]
    fn a_daemon_that_runs_is_told_with_the_log_to_name() {
        let files = |pattern: &str| Place::Files(pattern.to_owned());
        let (frr, syslog) = ("/var/log/frr/*.log", "/var/log/syslog");
        for (running, there, logs, expected) in [
            ("bash", frr, vec![], None),
            ("ospfd", frr, vec![], Some("--log kernel --log '/var/log/frr/*.log'")),
            (
                "ospfd",
                frr,
                vec![Place::journal()],
                Some("--log journal --log '/var/log/frr/*.log'"),
            ),
            (
                "ospfd",
                frr,
                vec![files("/var/log/frr/*.log")],
                Some("runs, and /var/log/frr/*.log is"),
            ),
            ("ospfd", frr, vec![files("/var/log/frr/*")], Some("runs, and /var/log/frr/*.log is")),
            ("bird", syslog, vec![], Some("--log '/var/log/syslog'")),
            ("keepalived", syslog, vec![files(syslog)], Some("/var/log/syslog is watched")),
            ("keepalived", syslog, vec![Place::journal()], Some("the journal is watched")),
            ("systemd-network", "", vec![], Some("name that: --log")),
        ] {
            let told = daemons(&[running.to_owned()].into(), &logs, |file| file == there);
            let words = told.iter().map(|check| {
                format!("{} {}", check.found, check.advice.clone().unwrap_or_default())
            });
            let words = words.collect::<String>();
            match expected {
                Some(part) => assert!(words.contains(part), "{running} {logs:?}: {words}"),
                None => assert_eq!(words, ""),
            }
        }
    }

    #[test]
    fn bridges_and_namespaces_are_told_where_there_are_any() {
        let link = |index, name: &str, kind: Option<&str>, master| LinkState {
            index,
            name: name.into(),
            kind: kind.map(str::to_owned),
            master,
            ..LinkState::default()
        };
        let links = vec![
            link(1, "br0", Some("bridge"), None),
            link(2, "eth0", None, Some(1)),
            link(3, "veth1", Some("veth"), Some(1)),
        ];
        let told = bridges(&Subject { links, ..Subject::default() }).unwrap();
        assert_eq!(told.found, "br0 with 2 ports");
        assert_eq!(bridges(&Subject::default()), None);
        assert_eq!(namespaces(0), None);
        assert!(namespaces(7).unwrap().found.starts_with("7 others"));
    }
}
