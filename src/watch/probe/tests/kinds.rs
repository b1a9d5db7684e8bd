//! Every kind of probe: answered, lost, late, up again.

use super::server::Server;
use super::*;
use crate::lab::BOUND;
use crate::sys::link_address::link_address;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const MS: fn(u64) -> Duration = Duration::from_millis;

/// Slow enough for servers on a busy machine.
fn steady(host: &str) -> Options {
    Options { interval: MS(250), timeout: MS(200), ..Options::new(host) }
}

fn down(seen: &Observation) -> Option<&ProbeDown> {
    if let Fact::ProbeDown(down) = &seen.fact { Some(down) } else { None }
}

fn up(seen: &Observation) -> bool {
    matches!(seen.fact, Fact::ProbeUp(_))
}

#[test]
fn every_kind_is_answered_then_down_with_the_peer_and_up_again() {
    let Some((near, far)) = pair() else { return };
    // Else the kernel forgets the addresses of an interface that goes down.
    far.inside(|| std::fs::write("/proc/sys/net/ipv6/conf/q1/keep_addr_on_down", "1").unwrap());
    let _servers = [
        Server::tcp(&far, "[::]:8080", OK),
        Server::dns(&far, "10.9.8.2:53", 0, None),
        Server::dns(&far, "[fd00::2]:53", 3, None),
    ];
    let kinds = [
        "10.9.8.2",
        "icmp:fd00::2%q0",
        "arp:10.9.8.2%q0",
        "arp:10.9.8.2",
        "arp:fd00::2%q0",
        "arp:fd00::2",
        "tcp:10.9.8.2:8080",
        "tcp:[fd00::2]:8080",
        "http://10.9.8.2:8080/health",
        "http://[fd00::2%q0]:8080",
        "dns:10.9.8.2/example.org",
        "dns:fd00::2/nowhere.example",
    ];
    let probes: Vec<_> = kinds.iter().map(|kind| (kind, begin(&near, steady(kind)))).collect();
    for (kind, (_, inbox)) in &probes {
        let (seen, before) = wait_for(inbox, kind, answered);
        let Fact::ProbeAnswered { probe, address, round_trip } = seen.fact else { panic!() };
        assert_eq!(&probe, *kind);
        assert!(!round_trip.is_zero() && kind.contains(&address.to_string()));
        // The first request may have had to wait for addresses and neighbours.
        if before.iter().any(|seen| down(seen).is_some()) {
            wait_for(inbox, kind, up);
        }
    }
    far.ip("link set q1 down");
    for (kind, (_, inbox)) in &probes {
        let (seen, before) = wait_for(inbox, kind, |seen| down(seen).is_some());
        assert_eq!(down(&seen).unwrap().in_a_row, 3);
        assert_eq!(before.last().and_then(lost).map(|(in_a_row, _)| in_a_row), Some(3), "{kind}");
    }
    far.ip("link set q1 up");
    for (kind, (_, inbox)) in &probes {
        let (seen, before) = wait_for(inbox, kind, up);
        let Fact::ProbeUp(ProbeUp { in_a_row, after, .. }) = seen.fact else { panic!() };
        assert!(in_a_row == 2 && after > MS(500), "{kind}: {after:?}");
        assert!(!before.iter().any(|seen| down(seen).is_some()), "{kind}: told once");
    }
    for (_, (watch, _)) in probes {
        assert_eq!(watch.join(), 0);
    }
}

/// Makes the kernel answer no ARP request at all: 8 in ip-sysctl.rst.
fn ignore_arp(ignore: bool) {
    let value = if ignore { "8" } else { "0" };
    std::fs::write("/proc/sys/net/ipv4/conf/q1/arp_ignore", value).unwrap();
}

#[test]
fn arp_tells_that_layer_two_is_dead_though_route_and_table_say_otherwise() {
    let Some((near, far)) = pair() else { return };
    let hardware = far.inside(|| exchange::interface("q1").unwrap().mac.unwrap());
    near.ip(&format!("neigh replace 10.9.8.2 lladdr {hardware} nud permanent dev q0"));
    let answering_arp = |answers: bool| far.inside(|| ignore_arp(!answers));
    answering_arp(false);
    let (ping, of_ping) = begin(&near, steady("10.9.8.2"));
    let (arp, of_arp) = begin(&near, steady("arp:10.9.8.2"));
    let (seen, before) = wait_for(&of_arp, "layer two down", |seen| down(seen).is_some());
    assert_eq!(down(&seen).unwrap().reason, "no answer in 0.2 s");
    assert!(!before.iter().any(answered), "{before:#?}");
    wait_for(&of_ping, "an answer nevertheless", answered);
    answering_arp(true);
    wait_for(&of_arp, "layer two up", up);
    ping.join();
    arp.join();
}

#[test]
fn an_interface_that_comes_later_or_comes_back_is_used() {
    let Some((near, far)) = pair() else { return };
    let (watch, inbox) = begin(&near, steady("arp:10.9.8.2%q0"));
    wait_for(&inbox, "an answer", answered);
    near.ip("link del q0");
    let gone = |seen: &Observation| {
        lost(seen).is_some_and(|(_, reason)| reason.contains("there is no interface q0"))
    };
    wait_for(&inbox, "the interface gone", gone);
    near.ip(&format!("link add q0 type veth peer name q1 netns {}", far.name()));
    for (side, end, host) in [(&near, "q0", 1), (&far, "q1", 2)] {
        side.ip(&format!("addr add 10.9.8.{host}/24 dev {end}"));
        side.ip(&format!("link set {end} up"));
    }
    wait_for(&inbox, "an answer through the new one", answered);
    watch.join();
}

#[test]
fn losses_say_why() {
    let Some((near, far)) = pair() else { return };
    let _servers = [
        Server::tcp(&far, "10.9.8.2:80", "HTTP/1.1 404 Not Found\r\n\r\n"),
        Server::tcp(&far, "10.9.8.2:81", "SSH-2.0-nothing\r\n"),
        Server::tcp(&far, "10.9.8.2:82", ""),
        Server::dns(&far, "10.9.8.2:53", 2, None),
    ];
    for (host, reason) in [
        ("tcp:10.9.8.2:9", "connection refused"),
        ("tcp:192.0.2.7:9", "cannot connect: Network is unreachable (os error 101)"),
        ("http://10.9.8.2/", "status 404"),
        ("http://10.9.8.2:81/", "the answer is not HTTP: invalid HTTP version"),
        ("http://10.9.8.2:82/", "closed without an answer"),
        ("http://10.9.8.2:9/", "connection refused"),
        ("dns:10.9.8.2/x", "the server says SERVFAIL"),
        (
            "dns:10.9.8.2:54/x",
            "no answer in 0.2 s; the network says: Connection refused (os error 111)",
        ),
        ("arp:10.9.8.7", "no answer in 0.2 s"),
        ("arp:192.0.2.7", "name the interface, as in arp:192.0.2.7%eth0"),
        ("10.9.8.2%nosuch", "cannot send: through nosuch: No such device (os error 19)"),
    ] {
        let (watch, inbox) = begin(&near, steady(host));
        let (seen, _) = wait_for(&inbox, host, |seen| down(seen).is_some());
        let told = &down(&seen).unwrap().reason;
        assert!(told.ends_with(reason), "{host}: {told}");
        watch.join();
    }
}

#[test]
fn the_source_is_what_the_operator_chose() {
    let Some((near, far)) = pair() else { return };
    let _server = Server::dns(&far, "10.9.8.2:53", 0, Some("10.9.8.77"));
    let source = Some([10, 9, 8, 77].into());
    let (watch, inbox) = begin(&near, Options { source, ..steady("dns:10.9.8.2/x") });
    let (seen, _) = wait_for(&inbox, "no such address", |seen| lost(seen).is_some());
    let (_, reason) = lost(&seen).unwrap();
    assert!(reason.contains("from 10.9.8.77: Cannot assign requested address"), "{reason}");
    near.ip("addr add 10.9.8.77/24 dev q0");
    wait_for(&inbox, "an answer to the chosen address", answered);
    watch.join();
    near.ip("link set lo up");
    for (interface, answers) in [("q0", true), ("lo", false)] {
        let interface = Some(interface.to_owned());
        let (watch, inbox) = begin(&near, Options { interface, ..steady("10.9.8.2") });
        wait_for(&inbox, "an outcome", |seen| answered(seen) || down(seen).is_some());
        wait_for(&inbox, "as expected", |seen| {
            if answers { answered(seen) } else { lost(seen).is_some() }
        });
        watch.join();
    }
}

#[test]
fn late_answers_of_servers_are_told_late_and_slow_ones_slow() {
    let Some((near, far)) = pair() else { return };
    let http = Server::tcp(&far, "10.9.8.2:80", OK);
    let dns = Server::dns(&far, "10.9.8.2:53", 0, None);
    for (host, server) in [("http://10.9.8.2", &http), ("dns:10.9.8.2/x", &dns)] {
        let slow = Some(Slow { above: MS(150), in_a_row: 2 });
        let options = Options { interval: MS(800), timeout: MS(500), slow, ..Options::new(host) };
        let (watch, inbox) = begin(&near, options);
        wait_for(&inbox, "an answer", answered);
        server.delay(MS(200));
        let slow = |end: bool| move |seen: &Observation| matches!(&seen.fact, Fact::ProbeSlow(slow) if slow.over == end);
        wait_for(&inbox, "slowness", slow(false));
        server.delay(MS(600));
        let late = |seen: &Observation| matches!(seen.fact, Fact::ProbeLate { .. });
        let (seen, _) = wait_for(&inbox, "a late answer", late);
        let Fact::ProbeLate { round_trip, .. } = seen.fact else { panic!() };
        assert!(round_trip >= MS(600), "{host}: {round_trip:?}");
        server.delay(MS(0));
        wait_for(&inbox, "the end of slowness", slow(true));
        watch.join();
    }
}

#[test]
fn too_much_loss_is_told_and_its_end() {
    let Some((near, far)) = pair() else { return };
    let loss = Some(Loss { percent: 50, of: 4 });
    let (watch, inbox) = begin(&near, Options { loss, fall: 1_000, ..steady("arp:10.9.8.2") });
    wait_for(&inbox, "an answer", answered);
    let lossy = |end: bool| move |seen: &Observation| matches!(&seen.fact, Fact::ProbeLossy(lossy) if lossy.over == end);
    far.ip("link set q1 down");
    let (seen, before) = wait_for(&inbox, "loss", lossy(false));
    let Fact::ProbeLossy(ProbeLossy { lost: 2, percent: 50, .. }) = seen.fact else {
        panic!("{seen:?}");
    };
    far.ip("link set q1 up");
    let (_, after) = wait_for(&inbox, "its end", lossy(true));
    assert!(!before.iter().chain(&after).any(|seen| down(seen).is_some()), "{before:#?}");
    watch.join();
}

#[test]
fn a_connection_that_takes_too_long_is_late() {
    let Some((near, far)) = pair() else { return };
    let _server = Server::tcp(&far, "[::]:8080", OK);
    far.ip("addr del 10.9.8.2/24 dev q1");
    let (watch, inbox) = begin(&near, fast("tcp:10.9.8.2:8080"));
    wait_for(&inbox, "a loss", |seen| lost(seen).is_some());
    // SYNs wait for the neighbour, which is asked again after a second, and then leave at once.
    far.ip("addr add 10.9.8.2/24 dev q1");
    let late = |seen: &Observation| matches!(seen.fact, Fact::ProbeLate { .. });
    let (seen, _) = wait_for(&inbox, "a late connection", late);
    let Fact::ProbeLate { round_trip, .. } = seen.fact else { panic!() };
    assert!(round_trip > MS(40), "{round_trip:?}");
    wait_for(&inbox, "connections in time", up);
    watch.join();
}

/// Answers one ARP request in the kernel's stead, once `go` says so.
fn answer_arp(ready: &Sender<()>, go: &Receiver<()>) {
    const ARP: u16 = 0x0806;
    let q1 = exchange::interface("q1").unwrap();
    let mut socket = Neighbor::socket([10, 9, 8, 2].into()).unwrap();
    socket.bind(&link_address(q1.index, ARP, [0; 6])).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    ready.send(()).unwrap();
    let mut bytes = [0; 28];
    socket.read_exact(&mut bytes).unwrap();
    go.recv_timeout(BOUND).unwrap();
    let (theirs, ours) = (bytes[8..18].to_vec(), q1.mac.unwrap().octets());
    bytes[7] = 2;
    bytes[8..14].copy_from_slice(&ours);
    bytes[14..18].copy_from_slice(&[10, 9, 8, 2]);
    bytes[18..28].copy_from_slice(&theirs);
    let to: [u8; 6] = theirs[..6].try_into().unwrap();
    for _ in 0..2 {
        socket.send_to(&bytes, &link_address(q1.index, ARP, to)).unwrap();
    }
}

#[test]
fn a_late_neighbour_is_told_late_once() {
    let Some((near, far)) = pair() else { return };
    far.inside(|| ignore_arp(true));
    let ((ready, is_ready), (go, may_go)) = (bounded(1), bounded(1));
    std::thread::scope(|scope| {
        let there = &far;
        scope.spawn(move || there.inside(|| answer_arp(&ready, &may_go)));
        is_ready.recv_timeout(BOUND).unwrap();
        let options =
            Options { interval: MS(3_000), timeout: MS(40), ..Options::new("arp:10.9.8.2%q0") };
        let (watch, inbox) = begin(&near, options);
        wait_for(&inbox, "a loss", |seen| lost(seen).is_some());
        go.send(()).unwrap();
        let late = |seen: &Observation| matches!(seen.fact, Fact::ProbeLate { .. });
        wait_for(&inbox, "the late answer", late);
        let (_, between) = wait_for(&inbox, "the next loss", |seen| lost(seen).is_some());
        assert!(between.is_empty(), "{between:#?}");
        watch.join();
    });
}
