//! Questions and answers in the files: what was looked at, and whether it was in order. "Nothing was found" says
//! something only beside what there was to find.
//!
//! ```text
//!   SYN ─────► SYN, ACK     accepted      DNS query ─► response     ARP request ─► reply
//!   SYN ─────► RST          refused       echo request ─► reply     solicitation ─► advertisement
//! ```
//!
//! Counted as frames show it, a question that is sent again once; nothing is concluded here, detectors do that.
//! Bounded: so many questions wait at a time, those beyond are counted and told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::model::Looked;
use crate::time::Wall;
use crate::wire::dns::Dns;
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;
use crate::wire::{Message, Reading};
use crate::words;

/// Questions that wait for an answer at a time. When there are more, those that waited long are forgotten.
const WAITING: usize = 8_192;
/// Answers are not waited for longer: resolvers and TCP ask again several times before.
const GIVEN_UP: Duration = Duration::from_secs(30);
/// Questions are given up at most this often: each time all that wait are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// So late before the end of the files the answer may still be on its way.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// Who answered last, remembered of so many.
const SERVERS: usize = 1_024;
/// Of those who answered, so many are named.
const NAMED: usize = 3;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum QuestionKind {
    Tcp,
    Dns,
    Ping,
    Arp,
    Nd,
}

/// The same question, however often it is sent: kind, who asks, who is asked, and what tells it from others.
type AskedQuestion = (QuestionKind, IpAddr, IpAddr, u64);

/// All of the files.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// When each was asked first.
    waiting: HashMap<AskedQuestion, Wall>,
    counts: [Count; QuestionKind::ALL.len()],
    /// Who answered what, and when last.
    servers: HashMap<(QuestionKind, IpAddr, u16), Wall>,
    /// When those that waited too long may be forgotten again, to make room.
    sweep: Wall,
    /// Questions for which there was no room.
    passed_over: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    asked: u64,
    answered: u64,
    /// Of the answers, those that say no.
    refused: u64,
}

impl QuestionKind {
    const ALL: [Self; 5] = [Self::Tcp, Self::Dns, Self::Ping, Self::Arp, Self::Nd];

    /// As talkers call it, what is asked, and how an answer is called.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Tcp => ("TCP", "connection", "accepted"),
            Self::Dns => ("DNS", "question", "answered"),
            Self::Ping => ("ICMP", "ping", "answered"),
            Self::Arp => ("ARP", "request", "answered"),
            Self::Nd => ("ICMPv6", "neighbour solicitation", "answered"),
        }
    }
}

/// Half of an exchange.
enum Half {
    Asks(AskedQuestion),
    /// An answer to it, from this port, and whether it says no.
    Answers(AskedQuestion, u16, bool),
}

impl Questions {
    /// A frame that was read.
    pub(super) fn frame(&mut self, at: Wall, reading: &Reading<'_>) {
        match half(reading) {
            Some(Half::Asks(question)) => self.asks(question, at),
            Some(Half::Answers(question, port, no)) => self.answers(question, port, no, at),
            None => {}
        }
    }

    fn asks(&mut self, question: AskedQuestion, at: Wall) {
        if self.waiting.contains_key(&question) {
            return;
        }
        if self.waiting.len() >= WAITING && at >= self.sweep {
            let recent = at.0.saturating_sub(GIVEN_UP.as_nanos() as u64);
            self.waiting.retain(|_, asked| asked.0 >= recent);
            self.sweep = Wall(at.0.saturating_add(SWEEP.as_nanos() as u64));
        }
        if self.waiting.len() >= WAITING {
            self.passed_over += 1;
            return;
        }
        self.waiting.insert(question, at);
        self.counts[question.0 as usize].asked += 1;
    }

    fn answers(&mut self, question: AskedQuestion, port: u16, no: bool, at: Wall) {
        let (kind, _, server, _) = question;
        if self.waiting.remove(&question).is_none() {
            return;
        }
        let count = &mut self.counts[kind as usize];
        count.answered += 1;
        count.refused += u64::from(no);
        let known = self.servers.contains_key(&(kind, server, port));
        if !no && (known || self.servers.len() < SERVERS) {
            self.servers.insert((kind, server, port), at);
        }
    }

    /// Questions that were not followed.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// A line for each kind that was asked; files end at `end`.
    pub(super) fn looked_at(&self, end: Wall) -> Vec<Looked> {
        let line = |kind: QuestionKind| {
            let on_the_way = end.0.saturating_sub(ON_THE_WAY.as_nanos() as u64);
            let waits = |(question, asked): &(&AskedQuestion, &Wall)| {
                question.0 == kind && asked.0 > on_the_way
            };
            let open = self.waiting.iter().filter(waits).count() as u64;
            self.counts[kind as usize].line(kind, open)
        };
        QuestionKind::ALL.into_iter().filter_map(line).collect()
    }

    /// Who answered, and when last.
    pub(super) fn last_answers(&self) -> impl Iterator<Item = (IpAddr, Wall)> {
        self.servers.iter().map(|((_, host, _), last)| (*host, *last))
    }

    /// Who still answered after `since`, the latest first.
    pub(super) fn answered_since(&self, since: Wall) -> Vec<String> {
        let mut servers: Vec<_> = self
            .servers
            .iter()
            .filter(|((kind, ..), last)| {
                **last > since
                    && matches!(kind, QuestionKind::Tcp | QuestionKind::Dns | QuestionKind::Ping)
            })
            .collect();
        servers.sort_by_key(|(server, last)| (std::cmp::Reverse(**last), **server));
        let named = servers.into_iter().take(NAMED).map(|((kind, host, port), _)| match kind {
            QuestionKind::Tcp => {
                format!("{} accepts connections", std::net::SocketAddr::new(*host, *port))
            }
            QuestionKind::Dns => format!("{host} answers DNS"),
            _ => format!("{host} answers pings"),
        });
        named.collect()
    }
}

impl Count {
    fn line(self, kind: QuestionKind, on_the_way: u64) -> Option<Looked> {
        let Self { asked, answered, refused } = self;
        let asked = asked.saturating_sub(on_the_way);
        if asked == 0 {
            return None;
        }
        let (what, noun, done) = kind.words();
        let (good, lost) = (answered - refused, asked.saturating_sub(answered));
        let mut sentence = format!("{what}: {}, ", words::counted(asked, noun));
        sentence += &match (good, refused, lost) {
            (_, 0, 0) if asked == 1 => done.to_owned(),
            (_, 0, 0) => format!("all {done}"),
            (0, 0, _) => format!("none {done}"),
            _ => format!("{} {done}", words::count(good)),
        };
        for (count, what) in [(refused, "refused"), (lost, "without an answer here")] {
            if count > 0 && (good + refused > 0) {
                sentence += &format!(", {} {what}", words::count(count));
            }
        }
        Some(Looked { what: what.to_owned(), sentence, in_order: refused == 0 && lost == 0 })
    }
}

fn half(reading: &Reading<'_>) -> Option<Half> {
    if let Message::Arp(arp) = &reading.message {
        let (sender, target) = (arp.sender.into(), arp.target.into());
        return match arp.is_reply {
            true => Some(Half::Answers((QuestionKind::Arp, target, sender, 0), 0, false)),
            false if arp.is_probe() || arp.is_gratuitous() => None,
            false => Some(Half::Asks((QuestionKind::Arp, sender, target, 0))),
        };
    }
    let packet = reading.packet?;
    let (from, to) = (packet.source, packet.destination);
    match &reading.message {
        Message::Tcp(tcp) => connection(tcp, from, to),
        Message::Dns(dns, udp) => Some(name(dns, udp, from, to)),
        Message::Nd(nd) if nd.is_advertisement => nd.solicited.then_some(Half::Answers(
            (QuestionKind::Nd, to, nd.target.into(), 0),
            0,
            false,
        )),
        // Whoever asks for an address of its own has none yet.
        Message::Nd(nd) if !from.is_unspecified() => {
            Some(Half::Asks((QuestionKind::Nd, from, nd.target.into(), 0)))
        }
        Message::Icmp(icmp) => {
            let token = u64::from(u32::from_be_bytes(*packet.content.get(4..)?.first_chunk()?));
            match (icmp.is_v6, icmp.kind) {
                (false, 8) | (true, 128) => Some(Half::Asks((QuestionKind::Ping, from, to, token))),
                (false, 0) | (true, 129) => {
                    Some(Half::Answers((QuestionKind::Ping, to, from, token), 0, false))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The first segment of a connection, and what answers it; told from others by ports and number.
fn connection(tcp: &Tcp<'_>, from: IpAddr, to: IpAddr) -> Option<Half> {
    let token = |client: u16, server: u16, first: u32| {
        u64::from(client) << 48 | u64::from(server) << 32 | u64::from(first)
    };
    let begins = tcp.has(Tcp::SYN);
    if begins && !tcp.has(Tcp::ACK) {
        let token = token(tcp.source, tcp.destination, tcp.sequence);
        return Some(Half::Asks((QuestionKind::Tcp, from, to, token)));
    }
    let refuses = tcp.has(Tcp::RST);
    let first = tcp.acknowledgement.wrapping_sub(1);
    let token = token(tcp.destination, tcp.source, first);
    (begins || refuses).then_some(Half::Answers(
        (QuestionKind::Tcp, to, from, token),
        tcp.source,
        refuses,
    ))
}

/// A message of the domain name system; told from others by the client's port and its identifier.
fn name(dns: &Dns<'_>, udp: &Udp<'_>, from: IpAddr, to: IpAddr) -> Half {
    let token = |port: u16| u64::from(port) << 16 | u64::from(dns.id);
    if dns.is_response {
        let no = matches!(dns.code, Dns::SERVFAIL | Dns::REFUSED);
        Half::Answers((QuestionKind::Dns, to, from, token(udp.destination)), udp.source, no)
    } else {
        Half::Asks((QuestionKind::Dns, from, to, token(udp.source)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Wall = Wall(1_000_000_000_000);

    /// Questions of one kind, of which so many get an answer, and so many a no.
    fn lines(kind: QuestionKind, asked: u64, answered: u64, refused: u64) -> Vec<Looked> {
        let (client, server) = (IpAddr::from([10, 6, 0, 10]), IpAddr::from([10, 8, 0, 20]));
        let mut questions = Questions::default();
        for n in 0..asked {
            questions.asks((kind, client, server, n), Wall(n));
            // Sent again, it is the same.
            questions.asks((kind, client, server, n), Wall(n));
        }
        for n in 0..answered + refused {
            questions.answers((kind, client, server, n), 80, n >= answered, Wall(n));
            questions.answers((kind, client, server, n), 80, n >= answered, Wall(n));
        }
        questions.looked_at(END)
    }

    #[test]
    fn each_question_counts_once_and_says_what_came_of_it() {
        for (kind, asked, answered, refused, sentence, in_order) in [
            (QuestionKind::Tcp, 812, 812, 0, "TCP: 812 connections, all accepted", true),
            (QuestionKind::Tcp, 5, 3, 2, "TCP: 5 connections, 3 accepted, 2 refused", false),
            (QuestionKind::Dns, 30, 0, 0, "DNS: 30 questions, none answered", false),
            (
                QuestionKind::Dns,
                7,
                5,
                1,
                "DNS: 7 questions, 5 answered, 1 refused, 1 without an answer here",
                false,
            ),
            (QuestionKind::Arp, 1, 1, 0, "ARP: 1 request, answered", true),
        ] {
            let lines = lines(kind, asked, answered, refused);
            assert_eq!(lines.len(), 1, "{sentence}");
            assert_eq!((&*lines[0].sentence, lines[0].in_order), (sentence, in_order));
        }
        assert_eq!(lines(QuestionKind::Ping, 0, 0, 0), []);
    }

    #[test]
    fn what_was_asked_at_the_very_end_is_on_its_way() {
        let host = IpAddr::from([10, 6, 0, 10]);
        let mut questions = Questions::default();
        questions.asks((QuestionKind::Ping, host, host, 1), Wall(0));
        questions.asks((QuestionKind::Ping, host, host, 2), Wall(END.0 - 1));
        // This one is sent again and again.
        questions.asks((QuestionKind::Dns, host, host, 3), Wall(0));
        questions.asks((QuestionKind::Dns, host, host, 3), Wall(END.0));
        questions.answers((QuestionKind::Ping, host, host, 1), 0, false, Wall(5));
        let said = questions.looked_at(END).into_iter().map(|looked| looked.sentence);
        assert_eq!(
            said.collect::<Vec<_>>(),
            ["DNS: 1 question, none answered", "ICMP: 1 ping, answered"]
        );
        assert_eq!(questions.answered_since(Wall(4)), ["10.6.0.10 answers pings"]);
        assert_eq!(questions.answered_since(Wall(5)), Vec::<String>::new());
    }

    #[test]
    fn questions_without_room_are_counted() {
        let host = IpAddr::from([10, 6, 0, 10]);
        let mut questions = Questions::default();
        (0..WAITING as u64 + 3)
            .for_each(|n| questions.asks((QuestionKind::Tcp, host, host, n), Wall(n)));
        assert_eq!(questions.passed_over(), 3);
        let late = Wall(GIVEN_UP.as_nanos() as u64 * 2);
        questions.asks((QuestionKind::Tcp, host, host, u64::MAX), late);
        assert_eq!((questions.passed_over(), questions.waiting.len()), (3, 1));
    }

    /// Regression: each frame of a flood looked at all that waited, a hundred times the work of all other judges.
    #[test]
    fn a_flood_of_questions_is_counted_and_makes_room_for_later_ones() {
        let host = IpAddr::from([10, 6, 0, 10]);
        let mut questions = Questions::default();
        let mut ask = |number: usize, at: Duration| {
            questions
                .asks((QuestionKind::Ping, host, host, number as u64), Wall(at.as_nanos() as u64));
            questions.passed_over
        };
        let beyond = 5;
        (0..WAITING).for_each(|number| assert_eq!(ask(number, Duration::ZERO), 0));
        for number in 0..beyond {
            assert_eq!(ask(WAITING + number, SWEEP / 2), number as u64 + 1);
        }
        assert_eq!(ask(2 * WAITING, GIVEN_UP + SWEEP), beyond as u64, "there is room again");
    }
}
