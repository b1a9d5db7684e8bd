//! Real senders on the loopback of a namespace of their own.

use std::io::Write;
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::process::Command;

use super::*;
use crate::observation::Fact;
use crate::observation::log_line::{KEPT, KEPT_FIELD, Priority};
use crate::time::Clock;
use crate::watch::logs::lab::{Watching, namespace, show};
use crate::watch::logs::{LogWatcher, Matcher, Options, Place};

fn options(transport: Transport) -> Options {
    let address = "127.0.0.1:0".parse().unwrap();
    let mut options = Options::new(Place::Syslog { transport, address });
    options.matchers.push(Matcher::new("number", "number (?<number>\\d+)"));
    options.per_second = 1_000;
    options
}

/// A receiver, and where it listens.
fn receiver(options: &Options) -> (Watching, SocketAddr) {
    let watcher = LogWatcher::open(options).unwrap();
    let address = watcher.address().unwrap();
    (Watching::employ(watcher), address)
}

#[test]
fn datagrams_of_both_kinds_are_read() {
    let Some(place) = namespace() else { return };
    place.inside(|| {
        let (watcher, address) = receiver(&options(Transport::Udp));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (message, matcher, program, interface) in [
            (
                "<30>Nov 22 14:14:20 r1 Keepalived_vrrp[812]: Kernel is reporting: interface dp0bond0 DOWN\n",
                "vrrp-interface-down",
                Some("Keepalived_vrrp[812]"),
                Some("dp0bond0"),
            ),
            (
                "<27>1 2026-11-22T14:14:20.811Z r1 nsm 77 - - NSM Interface is Down",
                "nsm-interface-down",
                Some("nsm[77]"),
                None,
            ),
            ("Entering FAULT STATE\0", "vrrp-fault", None, None),
        ] {
            sender.send_to(message.as_bytes(), address).unwrap();
            let (_, line) = watcher.line();
            assert_eq!(line.matcher, matcher);
            assert_eq!(line.header.program.as_deref(), program);
            assert_eq!(line.interface(), interface);
            assert_eq!(line.source, LogSource::Syslog(sender.local_addr().unwrap().ip()));
        }
        sender.send_to(&[0xff; 2_000], address).unwrap();
        sender.send_to(&[], address).unwrap();
        let long = format!("<11>number 1{}", " ".repeat(20_000));
        sender.send_to(long.as_bytes(), address).unwrap();
        let (_, line) = watcher.line();
        assert_eq!((line.header.cut, line.header.priority), (true, Some(Priority::Err)));
        assert_eq!(watcher.stop(), [""; 0]);
    });
}

#[test]
fn h1_a_long_line_is_kept_as_far_as_a_person_reads_it_and_a_flood_of_all_matchers_is_bounded_in_bytes()
 {
    let Some(place) = namespace() else { return };
    place.inside(|| {
        let matchers =
            (0..24).map(|n| Matcher::new(format!("m{n}"), format!("flood{n} (?<what>x+)")));
        let options = Options { matchers: matchers.collect(), ..options(Transport::Udp) };
        let (watcher, address) = receiver(&Options { per_second: 10, ..options });
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..240 {
            let text = format!("<30>flood{} {}", n % 24, "x".repeat(7_800));
            sender.send_to(text.as_bytes(), address).unwrap();
            until_read(&watcher, n + 1);
        }
        let lines: Vec<_> = watcher
            .inbox
            .try_iter()
            .filter_map(|seen| match seen.fact {
                Fact::Log(line) => Some(line),
                _ => None,
            })
            .collect();
        assert!(lines.iter().all(|line| line.text.len() == KEPT && line.header.cut));
        assert!(lines.iter().all(|line| line.fields["what"].len() == KEPT_FIELD));
        let counts = watcher.counters.read();
        assert_eq!((counts.read, counts.sent + counts.held), (240, 240));
        // The first of each matcher, and 14 kB, in a second; a slow machine needs several.
        assert!((24..200).contains(&counts.sent), "{counts:?}");
        watcher.stop();
    });
}

#[test]
fn l3_a_line_cannot_hide_itself_by_naming_us() {
    let Some(place) = namespace() else { return };
    place.inside(|| {
        let (watcher, address) = receiver(&options(Transport::Udp));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ours = format!("dashcap[{}]", std::process::id());
        for text in [
            format!("<30>number 1 {ours}"),
            format!("<30>Nov 22 14:14:20 router sshd[1]: number 2 {ours}: x"),
            format!("<30>Nov 22 14:14:20 router {ours}: number 3"),
            "<30>number 4".to_owned(),
        ] {
            sender.send_to(text.as_bytes(), address).unwrap();
        }
        let texts = watcher.texts(3).join("|");
        assert!(["1", "2", "4"].iter().all(|n| texts.contains(&format!("number {n}"))), "{texts}");
        assert_eq!(watcher.counters.read().own, 1, "what a syslog daemon here marked as ours");
        watcher.stop();
    });
}

/// Waits until it is known of so many lines what became of them, so that none finds the socket full.
fn until_read(watcher: &Watching, lines: u64) {
    let known = || watcher.counters.read();
    while known().sent + known().held < lines {
        std::thread::yield_now();
    }
}

/// An independent sender: logger(1) of util-linux.
#[test]
fn what_logger_sends_is_understood() {
    let Some(place) = namespace() else { return };
    place.inside(|| {
        for (transport, how) in [
            (Transport::Udp, &["--udp", "--rfc3164"][..]),
            (Transport::Udp, &["--udp", "--rfc5424"]),
            (Transport::Tcp, &["--tcp", "--rfc3164"]),
            (Transport::Tcp, &["--tcp", "--rfc5424", "--octet-count"]),
        ] {
            let (watcher, address) = receiver(&options(transport));
            let port = address.port().to_string();
            let sent = Command::new("logger")
                .args(["--server", "127.0.0.1", "--port", &port, "--tag", "vrrp", "--id=812"])
                .args(["--priority", "daemon.err"])
                .args(how)
                .arg("VRRP_Instance(VI_1) Entering FAULT STATE")
                .status()
                .expect("logger(1) is there");
            assert!(sent.success(), "{how:?}");
            let (_, line) = watcher.line();
            assert_eq!(line.matcher, "vrrp-fault", "{how:?}");
            assert_eq!(line.header.program.as_deref(), Some("vrrp[812]"), "{how:?}");
            assert_eq!(line.header.priority, Some(Priority::Err), "{how:?}");
            assert!(line.header.host.is_some(), "{how:?}");
            let modern = how.contains(&"--rfc5424");
            assert_eq!(line.header.stamp.is_some(), modern, "{how:?}");
            assert_eq!(watcher.stop(), [""; 0]);
        }
    });
}

#[test]
fn datagrams_without_room_are_told() {
    let Some(place) = namespace() else { return };
    place.inside(|| {
        let options = options(Transport::Udp);
        let watcher = LogWatcher::open(&options).unwrap();
        let address = watcher.address().unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Nobody reads before the watcher runs.
        for _ in 0..400 {
            sender.send_to(&[b'x'; 60_000], address).unwrap();
        }
        let watcher = Watching::employ(watcher);
        watcher.missed("datagrams found no room in the socket");
        watcher.stop();
    });
}

#[test]
fn streams_of_both_framings_are_read_side_by_side() {
    let Some(place) = namespace() else { return };
    place.inside(|| {
        let (watcher, address) = receiver(&options(Transport::Tcp));
        let mut lines = TcpStream::connect(address).unwrap();
        let mut octets = TcpStream::connect(address).unwrap();
        lines.write_all(b"<30>number 1\n<30>num").unwrap();
        assert_eq!(watcher.texts(1), ["number 1"]);
        octets.write_all(b"12 <30>number 212 <30>number 3").unwrap();
        assert_eq!(watcher.texts(2), ["number 2", "number 3"]);
        lines.write_all(b"ber 4\n<30>number 5").unwrap();
        assert_eq!(watcher.texts(1), ["number 4"]);
        lines.shutdown(Shutdown::Both).unwrap();
        assert_eq!(watcher.texts(1), ["number 5"], "a last line without an end counts");
        assert_eq!(watcher.stop(), [""; 0]);
    });
}

#[test]
fn connections_are_bounded_and_the_silent_one_goes() {
    let Some(place) = namespace() else { return };
    place.inside(|| {
        let (watcher, address) = receiver(&options(Transport::Tcp));
        let connect = |number: usize| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(format!("<30>number {number}\n").as_bytes()).unwrap();
            assert_eq!(watcher.texts(1), [format!("number {number}")]);
            stream
        };
        let mut streams: Vec<_> = (0..CONNECTIONS).map(connect).collect();
        streams[0].write_all(b"<30>number 1000\n").unwrap();
        assert_eq!(watcher.texts(1), ["number 1000"]);
        // The second one is now the one that was silent the longest.
        let _one_more = TcpStream::connect(address).unwrap();
        watcher.missed("a connection of 127.0.0.1 was closed, 64 are the limit");
        streams[0].write_all(b"<30>number 1001\n").unwrap();
        assert_eq!(watcher.texts(1), ["number 1001"]);
        streams[1].set_read_timeout(Some(crate::lab::BOUND)).unwrap();
        assert_eq!(streams[1].read(&mut [0; 1]).unwrap(), 0, "closed");
        watcher.stop();
    });
}

#[test]
fn an_address_in_use_is_refused_with_advice() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let place = Place::Syslog { transport: Transport::Udp, address };
    let error = LogWatcher::open(&Options::new(place)).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen for syslog on {address}: ")), "{error}");
}

#[test]
fn from_datagram_to_observation() {
    let Some(place) = namespace() else { return };
    place.inside(|| {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (watcher, address) = receiver(&options(transport));
            let mut stream = (transport == Transport::Tcp).then(|| {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream
            });
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let (clock, mut latencies) = (Clock::system(), Vec::new());
            for number in 0..200 {
                let message = format!("<30>number {number}\n");
                let written = clock.now();
                match &mut stream {
                    Some(stream) => stream.write_all(message.as_bytes()).unwrap(),
                    None => assert!(sender.send_to(message.as_bytes(), address).unwrap() > 0),
                }
                let (at, line) = watcher.line();
                assert_eq!(line.fields["number"], number.to_string());
                latencies.push(at.mono.since(written.mono));
            }
            show(&format!("syslog {transport:?}: from before the send to the stamp"), latencies);
            assert_eq!(watcher.stop(), [""; 0]);
        }
    });
}
