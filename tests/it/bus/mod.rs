//! Notices over a real server: with TLS and permissions, cut off, killed, started again, replaced by a second one,
//! late, and by somebody who stole a key.

pub(crate) mod fetch;
mod member;
mod recorder;
mod server;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use dashcap::fleet::Options;
use dashcap::fleet::subject::Addressee;
use nix::sys::signal::Signal;

use self::member::{Heard, Member, STORY, options};
use self::server::{PASSWORD, Server};
use crate::lab::{BOUND, until};

/// A message under way, on a machine that does much else.
const UNDER_WAY: Duration = Duration::from_secs(5);

fn group() -> Vec<Addressee> {
    vec![Addressee::Group("routers".into())]
}

/// When a notice says that it happened is when it did, within what it says of its error.
fn is_of(heard: &Heard, event: dashcap::time::Mono) {
    let apart = Duration::from_nanos(heard.event.0.abs_diff(event.0));
    assert!(apart <= heard.error + UNDER_WAY, "{heard:?} is of {event:?}");
}

#[test]
fn a_notice_reaches_those_it_is_for_over_tls_and_is_answered() {
    let Some(mut server) = Server::prepared(&["a", "b", "c", "d"], &["noc"]) else { return };
    server.start();
    assert!(server.asked(&["init"]).contains("the streams of edge are made"));
    let join = |host: &str, group: &str| {
        Member::join(options(&server, host), group, &format!("02:00:00:00:00:0{host}")).there()
    };
    let [a, b, c, d] = [("a", "routers"), ("b", "routers"), ("c", "others"), ("d", "others")]
        .map(|(host, group)| join(host, group));
    let mut to = group();
    to.push(Addressee::Identity("02:00:00:00:00:0c".into()));
    // Addresses of interfaces are listened to a moment after the connection.
    until("c listens", || {
        let event = a.announce(1, Duration::from_secs(3), to.clone());
        let heard = c.has_heard();
        heard.first().inspect(|heard| is_of(heard, event)).map(drop)
    });
    let heard = b.hears();
    assert_eq!((heard.notice.from.as_str(), heard.waited), ("a", None), "live");
    assert!(d.has_heard().is_empty(), "it was not for d");
    a.wait_for("the stream has them", |status| status.sent >= 2 && status.waiting == 0);
    b.wait_for("it answered", |status| status.answered > 0);

    let shown = server.asked(&[]);
    assert!(shown.contains("fleet edge: 4 of 4 hosts are there"), "{shown}");
    assert!(shown.contains("1 min") || shown.contains("90 s"), "how far back: {shown}");
    let shown = server.asked(&["incidents"]);
    assert!(shown.contains("link-down  a-story-1  4 hosts: a, b, c, d"), "{shown}");
    let shown = server.asked(&["show", STORY]);
    assert!(shown.contains("b: 2026-11-30T05-27-51.447Z_fleet_b, 7 frames"), "{shown}");
    assert!(server.asked(&["keep", STORY]).contains("c: 1 bundle"));
    assert!(server.asked(&["release", STORY]).contains("c: no mark on 1 bundle"));
    d.leave();
    let shown = server.asked(&["--json"]);
    assert!(
        shown.contains("\"silent\":[{\"heard\":") && shown.contains("\"host\":\"d\""),
        "{shown}"
    );
    let frozen =
        server.asked(&["freeze", "--group", "routers", "--ago", "5s", "--reason", "story"]);
    assert!(frozen.contains("a: pinned") && frozen.contains("b: pinned"), "{frozen}");
    let heard =
        until("freeze", || b.has_heard().into_iter().find(|heard| heard.notice.from == "noc"));
    assert_eq!(heard.notice.sentence.as_deref(), Some("story"));
    assert!(heard.notice.age >= Duration::from_secs(5), "{heard:?}");
}

#[test]
fn what_happened_while_the_way_was_cut_is_told_with_its_age() {
    let Some(mut server) = Server::prepared(&["a", "b"], &["noc"]) else { return };
    server.start();
    server.asked(&["init"]);
    let a = Member::join(options(&server, "a"), "routers", "x").there();
    let b = Member::join(options(&server, "b"), "routers", "y").there();

    // Killed as by a crash: what a has to say waits, and is as old as it is when it is said.
    server.kill();
    a.wait_for("the way is cut", |status| !status.connected && status.trouble.is_some());
    let event = a.announce(1, Duration::from_secs(60), group());
    a.wait_for("it waits", |status| status.waiting == 1);
    server.start();
    let heard = b.hears();
    is_of(&heard, event);
    assert!(heard.notice.age >= Duration::from_secs(60), "{heard:?}");

    // B is away: the stream keeps it, and the server's clock tells how long.
    b.leave();
    let event = a.announce(2, Duration::from_secs(60), group());
    a.wait_for("the stream has it", |status| status.waiting == 0);
    let b = Member::join(options(&server, "b"), "routers", "y");
    let late = until("the look finds it", || {
        b.has_heard().into_iter().find(|heard| heard.notice.id.ends_with("-2"))
    });
    is_of(&late, event);
    assert!(late.waited.is_some() && late.error < UNDER_WAY, "{late:?}");
    assert!(b.standing().late >= 1);

    // A server that hangs is one that is dead.
    server.signal(Signal::SIGSTOP);
    a.wait_for("nobody answers", |status| !status.connected);
    server.signal(Signal::SIGCONT);
    a.wait_for("it is back", |status| status.connected);
    a.leave();
}

#[test]
fn a_second_server_takes_over_and_a_wrong_password_is_told() {
    let Some(mut server) = Server::prepared(&["a"], &["noc"]) else { return };
    server.start();
    let dead = "tls://127.0.0.1:1".parse().expect("one");
    let mut both = options(&server, "a");
    both.servers.insert(0, dead);
    Member::join(both, "routers", "x").there().leave();

    let wrong = server.path("wrong");
    std::fs::write(&wrong, "SECRET").expect("it can be written");
    let options = Options { password_file: Some(wrong), ..options(&server, "a") };
    let a = Member::join(options, "routers", "x");
    let status = a.wait_for("it is told", |status| status.trouble.is_some());
    let told = status.to_string();
    assert!(told.contains("NOT CONNECTED: the server does not know this user"), "{told}");
    assert!(!told.contains("SECRET"), "{told}");
    a.leave();
}

#[test]
fn without_a_stream_notices_still_come_and_that_is_told() {
    let Some(mut server) = Server::prepared(&["a", "b"], &["noc"]) else { return };
    server.start();
    let a = Member::join(options(&server, "a"), "routers", "x").there();
    let b = Member::join(options(&server, "b"), "routers", "y").there();
    assert!(a.standing().to_string().contains("has no stream"), "{}", a.standing());
    let event = a.announce(1, Duration::ZERO, group());
    is_of(&b.hears(), event);
}

/// A key that was stolen: with it one may ask for windows, and nothing else.
#[test]
fn the_server_refuses_a_member_whatever_is_not_its_own() {
    let Some(mut server) = Server::prepared(&["a", "b"], &["noc"]) else { return };
    server.start();
    server.asked(&["init"]);
    let b = Member::join(options(&server, "b"), "routers", "y").there();
    // As a, says that it is b.
    let thief = Options { user: Some("a".into()), ..options(&server, "b") };
    let thief = Member::join(thief, "routers", "x");
    thief.wait_for("it is refused", |status| {
        status
            .trouble
            .as_ref()
            .is_some_and(|told| told.to_lowercase().contains("permissions violation"))
    });
    thief.announce(1, Duration::ZERO, group());
    thief.wait_for("it was said", |status| status.waiting == 1);
    for (verb, subject) in [
        ("PUB", "dashcap.edge.freeze.b.group.routers"),
        ("PUB", "dashcap.edge.answer.b.x"),
        ("PUB", "dashcap.edge.here.b"),
        ("PUB", "dashcap.edge.ask.a"),
        ("PUB", "dashcap.edge.fetch.a.b"),
        ("PUB", "dashcap.edge.data.b.noc.x"),
        ("PUB", "dashcap.other.freeze.a.group.routers"),
        ("PUB", "$JS.API.STREAM.DELETE.DASHCAP_edge"),
        ("PUB", "$JS.API.STREAM.PURGE.DASHCAP_edge"),
        ("PUB", "_INBOX_b.x"),
        ("SUB", "dashcap.edge.answer.>"),
        ("SUB", "dashcap.edge.data.>"),
        ("SUB", "dashcap.edge.fetch.*.b"),
        ("SUB", "_INBOX_noc.>"),
        ("SUB", ">"),
    ] {
        let told = server.said_as_a(verb, subject);
        assert!(told.contains("Permissions Violation"), "{verb} {subject}: {told}");
    }
    assert!(b.has_heard().is_empty(), "nobody heard any of it");
}

impl Server {
    /// What the server answers to `a`, who says one line of its protocol: all in one connection, in the clear.
    fn said_as_a(&self, verb: &str, subject: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(BOUND)).expect("a socket");
        let connect =
            format!("CONNECT {{\"user\":\"a\",\"pass\":{PASSWORD:?},\"verbose\":false}}\r\n");
        let line = if verb == "PUB" { "0\r\n" } else { "1" };
        write!(stream, "{connect}{verb} {subject} {line}\r\nPING\r\n").expect("it takes it");
        let lines = BufReader::new(stream).lines().map(|line| line.expect("an answer in time"));
        lines.skip(1).take_while(|line| line != "PONG").collect()
    }
}
