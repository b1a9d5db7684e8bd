//! Questions and answers: name servers and hosts that answered and do not any longer, and what only looks
//! like it.

use super::frames::*;
use super::*;
use crate::detect::tap::Health;
use crate::finding::Party;
use crate::wire::Mac;
use Direction::{Inbound, Outbound, Unknown};

const CLIENT: u8 = 10;
const SERVER: u8 = 53;
const SPARE: u8 = 54;
const ROUTER_HOST: u8 = 1;
const FOUND: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const PORT_UNREACHABLE: (u8, u8) = (3, 3);
const HOST_UNREACHABLE: (u8, u8) = (3, 1);
const TIME_EXCEEDED: (u8, u8) = (11, 0);

/// Who asks whom which question of a number, over which family.
#[derive(Clone, Copy)]
struct Ask {
    from: u8,
    to: u8,
    number: u16,
    v6: bool,
}

fn ask(number: u16) -> Ask {
    Ask { from: CLIENT, to: SERVER, number, v6: false }
}

impl Ask {
    fn over(self, from: u8, to: u8, protocol: u8, content: &[u8]) -> Vec<u8> {
        let hops = 64;
        if self.v6 {
            unicast6(from, to, protocol, content)
        } else {
            unicast(from, to, (protocol, hops), content)
        }
    }

    /// A query that wants recursion, for `www.example.test`.
    fn query(self) -> Vec<u8> {
        self.over(self.from, self.to, 17, &self.datagram(0x0100, false))
    }

    /// It wants to know where to ask next.
    fn iterative(self) -> Vec<u8> {
        self.over(self.from, self.to, 17, &self.datagram(0, false))
    }

    fn answer(self, code: u8) -> Vec<u8> {
        self.over(self.to, self.from, 17, &self.datagram(0x8180 | u16::from(code), true))
    }

    fn datagram(self, flags: u16, back: bool) -> Vec<u8> {
        let port = 40_000 + self.number % 1_000;
        let head = [self.number, flags, 1, 0, 0, 0];
        let mut dns: Vec<u8> = head.iter().flat_map(|field| field.to_be_bytes()).collect();
        dns.extend(b"\x03www\x07example\x04test\0\0\x01\0\x01");
        if back { udp(53, port, &dns) } else { udp(port, 53, &dns) }
    }

    fn ping(self) -> Vec<u8> {
        self.over(self.from, self.to, if self.v6 { 58 } else { 1 }, &self.echo(false))
    }

    fn pong(self) -> Vec<u8> {
        self.over(self.to, self.from, if self.v6 { 58 } else { 1 }, &self.echo(true))
    }

    fn echo(self, reply: bool) -> Vec<u8> {
        let kind = match (self.v6, reply) {
            (false, false) => 8,
            (false, true) => 0,
            (true, false) => 128,
            (true, true) => 129,
        };
        [&[kind, 0, 0, 0, 0x12, 0x34][..], &self.number.to_be_bytes(), b"payload"].concat()
    }

    /// Host `by` says of the packet in `frame` that it did not arrive.
    fn undelivered(self, by: u8, (kind, code): (u8, u8), frame: &[u8]) -> Vec<u8> {
        let content = [&[kind, code, 0, 0, 0, 0, 0, 0], &frame[14..]].concat();
        unicast(by, self.from, (1, 64), &content)
    }
}

fn asks(stage: &mut Stage, at: f64, bytes: &[u8]) {
    stage.frame(at, Unknown, bytes);
}

/// Questions ten times a second from 0 to `until`, each answered after a millisecond.
fn good(stage: &mut Stage, until: f64, pair: impl Fn(u16) -> (Vec<u8>, Vec<u8>)) {
    for number in 0..(until * 10.0) as u16 {
        let (question, answer) = pair(number);
        asks(stage, f64::from(number) / 10.0, &question);
        asks(stage, f64::from(number) / 10.0 + 0.001, &answer);
    }
}

fn dns(number: u16) -> (Vec<u8>, Vec<u8>) {
    (ask(number).query(), ask(number).answer(FOUND))
}

/// Three clients that wait two seconds each begin to ask at `from`.
fn waiting(from: f64, rounds: u16) -> impl Iterator<Item = (f64, Ask)> {
    let one = move |client: u16, round: u16| {
        let at = from + f64::from(round) * 2.0 + f64::from(client) / 10.0;
        (at, ask(5_000 + round * 3 + client))
    };
    (0..rounds).flat_map(move |round| (0..3).map(move |client| one(client, round)))
}

fn begins(stage: &Stage) -> f64 {
    let (_, finding) = &stage.findings[0];
    finding.first.mono.since(Mono(3_600_000_000_000)).as_secs_f64()
}

#[test]
fn a_name_server_dies_and_comes_back() {
    for v6 in [false, true] {
        let mut stage = Stage::new();
        let pair = |number| {
            let ask = Ask { v6, ..ask(number) };
            (ask.query(), ask.answer(FOUND))
        };
        good(&mut stage, 20.0, pair);
        for (at, ask) in waiting(20.0, 5) {
            asks(&mut stage, at, &Ask { v6, ..ask }.query());
        }
        assert_eq!(stage.told(), ["warning dns_unanswered"], "{v6}");
        let when = stage.when(FindingKind::DnsUnanswered).unwrap();
        assert!((22.0..22.5).contains(&when), "{when}");
        assert!((begins(&stage) - 20.0).abs() < 1e-6, "from the first that was not answered");
        let (question, answer) = pair(9_000);
        asks(&mut stage, 31.0, &question);
        asks(&mut stage, 31.1, &answer);
        assert_eq!(stage.told()[1..], ["warning dns_unanswered over"], "{v6}");
    }
}

#[test]
fn it_is_said_that_nobody_listens() {
    let mut stage = Stage::new();
    good(&mut stage, 20.0, dns);
    for (at, ask) in waiting(20.0, 2) {
        asks(&mut stage, at, &ask.query());
        let error = ask.undelivered(SERVER, PORT_UNREACHABLE, &ask.query());
        asks(&mut stage, at + 0.001, &error);
    }
    let (_, finding) = &stage.findings[0];
    assert_eq!(
        finding.sentence,
        "DNS server 10.0.0.53 does not answer 10.0.0.10: 3 DNS queries unanswered for 2.0 s, and \
         10.0.0.53 says: nobody listens on that port; it had answered 200, the last one 0.1 s before"
    );
    for party in [[10, 0, 0, SERVER], [10, 0, 0, CLIENT]] {
        assert!(finding.parties.contains(&Party::Host(party.into())));
    }
}

#[test]
fn a_name_server_fails_or_is_slow() {
    // what it does from 20 s on, what is told, and within which time
    for (code, late, kind, within) in [
        (SERVFAIL, 0.001, FindingKind::DnsFailing, 1.5),
        (5, 0.001, FindingKind::DnsFailing, 1.5),
        (FOUND, 1.5, FindingKind::DnsSlow, 5.0),
    ] {
        let mut stage = Stage::new();
        good(&mut stage, 20.0, dns);
        let pause = if late > 1.0 { 2.0 } else { 0.3 };
        for round in 0..8_u16 {
            let asked: Vec<_> = (0..3_u16)
                .map(|client| {
                    let at = 20.0 + f64::from(round) * pause + f64::from(client) / 10.0;
                    (at, ask(5_000 + round * 3 + client))
                })
                .collect();
            let questions = asked.iter().map(|(at, ask)| (*at, ask.query()));
            let answers = asked.iter().map(|(at, ask)| (at + late, ask.answer(code)));
            let mut frames: Vec<_> = questions.chain(answers).collect();
            frames.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (at, frame) in frames {
                asks(&mut stage, at, &frame);
            }
        }
        assert_eq!(stage.told(), [format!("warning {kind}")]);
        let when = stage.when(kind).unwrap();
        assert!((20.0..20.0 + within).contains(&when), "{kind} at {when}");
        assert!((begins(&stage) - 20.0).abs() < 1e-6, "{kind}");
    }
}

#[test]
fn a_client_of_dead_name_servers_asks_again_and_again() {
    // As in sanders-nowebaccess1: the next hop answers ARP, two servers stay silent.
    let mut stage = Stage::new();
    asks(&mut stage, 0.0, &arp_reply((ROUTER, ROUTER_HOST), (OTHER, CLIENT)));
    for (at, to) in [
        (0.0, SERVER),
        (1.0, SPARE),
        (2.0, SERVER),
        (4.0, SPARE),
        (4.0, SERVER),
        (8.0, SPARE),
        (8.0, SERVER),
    ] {
        asks(&mut stage, at, &Ask { to, ..ask(7) }.query());
    }
    assert_eq!(stage.told(), ["warning dns_unanswered"]);
    assert_eq!(
        stage.findings[0].1.sentence,
        "10.0.0.10 gets no answer to its DNS queries: 5 in 4.0 s to 10.0.0.53 and 10.0.0.54, of which none \
         ever answered"
    );
    stage.wait(400.0);
    assert_eq!(stage.findings[1].1.count, 7, "all of them");
    // Where nothing comes by for the client, the answers may go another way.
    let mut stage = Stage::new();
    for at in 0..20 {
        asks(&mut stage, f64::from(at), &ask(7).query());
    }
    assert_eq!(stage.told(), [""; 0]);
}

#[test]
fn what_looks_like_a_dead_name_server_and_is_none() {
    // what it is, and from 20 s on: seconds and frame
    let flat = |frames: Vec<(f64, Ask)>, made: fn(Ask) -> Vec<u8>| {
        frames.into_iter().map(|(at, ask)| (at, made(ask))).collect::<Vec<_>>()
    };
    let restart = flat(waiting(20.0, 1).collect(), Ask::query);
    let restarted = [(21.9, ask(5_002).answer(FOUND))];
    let lost: Vec<_> = (0..60_u16)
        .flat_map(|number| {
            let at = 20.0 + f64::from(number);
            let answer = (number % 3 == 0).then(|| (at + 0.01, ask(number).answer(FOUND)));
            std::iter::once((at, ask(number).query())).chain(answer)
        })
        .collect();
    let closed: Vec<_> = (0..9_u16)
        .map(|number| {
            let answer = ask(number).answer(FOUND);
            let back = Ask { from: SERVER, ..ask(number) };
            (20.0 + f64::from(number), back.undelivered(CLIENT, PORT_UNREACHABLE, &answer))
        })
        .collect();
    let dead_zone: Vec<_> = (0..6_u16)
        .map(|number| {
            let mut query = ask(number).query();
            let name = query.windows(3).position(|bytes| bytes == b"www").unwrap();
            query[name..name + 3].copy_from_slice(b"xyz");
            (20.0 + f64::from(number) * 2.0, query)
        })
        .collect();
    let missing: Vec<_> = (0..60_u16)
        .flat_map(|number| {
            let at = 20.0 + f64::from(number) / 4.0;
            [(at, ask(number).query()), (at + 0.01, ask(number).answer(NXDOMAIN))]
        })
        .collect();
    for (what, frames) in [
        ("a restart", [&restart[..], &restarted].concat()),
        ("two of three lost", lost),
        ("a name whose own servers are dead", dead_zone),
        ("a resolver on its way", flat(waiting(20.0, 9).collect(), Ask::iterative)),
        ("clients that closed their port", closed),
        ("names that do not exist", missing),
    ] {
        let mut stage = Stage::new();
        good(&mut stage, 20.0, dns);
        for (at, frame) in frames {
            asks(&mut stage, at, &frame);
        }
        stage.wait(120.0);
        assert_eq!(stage.told(), [""; 0], "{what}");
    }
}

#[test]
fn a_host_stops_answering_pings() {
    for v6 in [false, true] {
        let mut stage = Stage::new();
        for number in 0..60_u16 {
            let ask = Ask { v6, ..ask(number) };
            asks(&mut stage, f64::from(number) / 2.0, &ask.ping());
            if number < 40 {
                asks(&mut stage, f64::from(number) / 2.0 + 0.001, &ask.pong());
            }
        }
        assert_eq!(stage.told(), ["warning ping_unanswered"], "{v6}");
        let when = stage.when(FindingKind::PingUnanswered).unwrap();
        assert!((22.0..22.5).contains(&when), "{when}");
        assert!((begins(&stage) - 20.0).abs() < 1e-6);
        assert_eq!(stage.findings[0].1.direction, Unknown);
    }
}

#[test]
fn who_says_that_a_host_is_unreachable_is_named() {
    let mut stage = Stage::new();
    good(&mut stage, 20.0, |number| (ask(number).ping(), ask(number).pong()));
    for number in 0..20_u16 {
        let at = 20.0 + f64::from(number);
        let ask = ask(1_000 + number);
        asks(&mut stage, at, &ask.ping());
        asks(&mut stage, at + 0.1, &ask.undelivered(ROUTER_HOST, HOST_UNREACHABLE, &ask.ping()));
    }
    assert_eq!(stage.told(), ["warning ping_unanswered"]);
    let sentence = &stage.findings[0].1.sentence;
    let says = "and 10.0.0.1 says: Destination unreachable (Host unreachable); it had answered 200";
    assert!(sentence.contains(says), "{sentence}");
}

#[test]
fn pings_of_hosts_that_are_off_are_a_notice_at_most_and_traceroute_is_nothing() {
    for (pings, told) in [(4, vec![]), (30, vec!["notice ping_unanswered"])] {
        let mut stage = Stage::new();
        asks(&mut stage, 0.0, &arp_reply((ROUTER, ROUTER_HOST), (OTHER, CLIENT)));
        for number in 0..pings {
            asks(&mut stage, f64::from(number), &ask(number).ping());
        }
        stage.wait(60.0);
        assert_eq!(stage.told(), told, "{pings}");
    }
    let mut stage = Stage::new();
    good(&mut stage, 20.0, |number| (ask(number).ping(), ask(number).pong()));
    for number in 0..30_u8 {
        let at = 20.0 + f64::from(number);
        let ask = ask(number.into());
        let traced = unicast(CLIENT, SERVER, (1, number + 1), &ask.echo(false));
        asks(&mut stage, at, &traced);
        asks(&mut stage, at + 0.1, &ask.undelivered(ROUTER_HOST, TIME_EXCEEDED, &traced));
    }
    assert_eq!(stage.told(), [""; 0]);
}

/// Two interfaces of one host, heard one after the other each tenth of a second.
struct Pair {
    protocols: [Protocols; 2],
    findings: Vec<Finding>,
}

impl Pair {
    fn new() -> Self {
        let together = Together::default();
        let of = |name| Protocols::new(name, &Options::default(), &together);
        Self { protocols: ["dp0s0", "dp0s1"].map(of), findings: Vec::new() }
    }

    fn stamp(seconds: f64) -> Stamp {
        let nanos = (seconds * 1e9) as u64;
        Stamp { mono: Mono(nanos), wall: Wall(nanos) }
    }

    /// What each interface shows, by seconds; then the time of each.
    fn heard(&mut self, frames: [&[(f64, Vec<u8>)]; 2], until: f64) {
        for (protocols, frames) in self.protocols.iter_mut().zip(frames) {
            for (at, bytes) in frames {
                let (at, interface) = (Self::stamp(*at), "dp0s0");
                let header = FrameHeader { direction: Outbound, ..FrameHeader::default() };
                let reading = Reading::of(LinkType::ETHERNET, bytes).unwrap();
                let link_type = LinkType::ETHERNET;
                let seen = Seen { interface, link_type, header, at, bytes, noticed: None };
                protocols.reading(&seen, &reading, &mut self.findings);
            }
        }
        for protocols in &mut self.protocols {
            protocols.tick(Self::stamp(until), &mut self.findings);
        }
    }
}

#[test]
fn an_answer_may_come_in_by_another_interface() {
    // The order in which the two are heard, and from when on answers move to the other interface.
    for answers_first in [false, true] {
        let mut pair = Pair::new();
        for tenth in 0..400_u16 {
            let at = f64::from(tenth) / 10.0;
            let question = vec![(at, ask(tenth).ping())];
            let answer = vec![(at + 0.001, ask(tenth).pong())];
            let both = [&question[..], &answer].concat();
            match (tenth < 200, answers_first) {
                (true, _) => pair.heard([&both, &[]], at + 0.1),
                (false, false) => pair.heard([&question, &answer], at + 0.1),
                (false, true) => pair.heard([&answer, &question], at + 0.1),
            }
        }
        assert_eq!(pair.findings, [], "{answers_first}");
    }
}

#[test]
fn pings_that_this_host_only_routes_are_a_notice() {
    // Hop limit on the second interface: one less behind a router, the same behind a bridge.
    for (hops, severity) in [(63, Severity::Notice), (64, Severity::Warning)] {
        let mut pair = Pair::new();
        for tenth in 0..400_u16 {
            let at = f64::from(tenth) / 10.0;
            let passed = unicast(CLIENT, SERVER, (1, hops), &ask(tenth).echo(false));
            let mut frames = [vec![(at, ask(tenth).ping())], vec![(at + 0.000_1, passed)]];
            if tenth < 200 {
                frames.iter_mut().for_each(|frames| frames.push((at + 0.001, ask(tenth).pong())));
            }
            let [first, second] = &frames;
            pair.heard([first, second], at + 0.1);
        }
        let severities: Vec<_> = pair.findings.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [severity]);
        assert!(pair.findings[0].sentence.contains("it had answered 200,"), "counted once");
    }
}

#[test]
fn where_frames_were_not_seen_nothing_is_unanswered() {
    let mut stage = Stage::new();
    good(&mut stage, 20.0, dns);
    let mut summary = summary();
    for (at, ask) in waiting(20.0, 20) {
        asks(&mut stage, at, &ask.query());
        summary.unseen_exchanges += 1;
        stage.protocols.counts(&summary);
    }
    assert_eq!(stage.told(), [""; 0]);
    for (at, ask) in waiting(70.0, 3) {
        asks(&mut stage, at, &ask.query());
        stage.protocols.counts(&summary);
    }
    assert_eq!(stage.told(), ["warning dns_unanswered"], "nothing is lost any longer");
}

fn summary() -> Summary {
    let wakeup = crate::sys::wakeup::Wakeup::new().unwrap();
    let (mut tap, outlet) = crate::detect::tap::Tap::new(1, 0, wakeup);
    tap.summary(Stamp::default(), Health::default(), Vec::new());
    outlet.summaries.try_recv().unwrap()
}

#[test]
fn questions_inside_a_vlan_are_judged_there() {
    let mut stage = Stage::new();
    let vlan =
        |number| (tagged(956, &ask(number).query()), tagged(956, &ask(number).answer(FOUND)));
    good(&mut stage, 20.0, vlan);
    for (at, ask) in waiting(20.0, 3) {
        stage.frame(at, Inbound, &tagged(956, &ask.query()));
    }
    assert_eq!(stage.told(), ["warning dns_unanswered"]);
    let (_, finding) = &stage.findings[0];
    assert!(finding.sentence.starts_with("DNS server 10.0.0.53 in VLAN 956 does not"), "{finding}");
    assert!(finding.parties.contains(&Party::Vlan(956)));
    assert_eq!(
        finding.parties.iter().filter(|party| matches!(party, Party::Station(_))).count(),
        2
    );
    assert!(Mac([2, 0, 0, 0, 0, CLIENT]).is_unicast());
}
