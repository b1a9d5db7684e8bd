//! DNS: servers that do not answer, answer late, or say that they cannot; and clients that ask for names
//! that do not exist as fast as they can.
//!
//! Only questions that want recursion are judged: their clients depend on that server. A resolver on its
//! way through the servers of the world asks many that are dead, and asks the next. A truncated answer is
//! an answer, and what goes over TCP is a connection like any other.
//!
//! | what | finding |
//! |---|---|
//! | unanswered, or nobody listens | as [`super::questions`] says |
//! | SERVFAIL, REFUSED: half of the latest ten, of a name that was found before or of three zones; few before | warning |
//! | the same of ten out of ten, and nothing is known of before | notice |
//! | more than half of the latest ten take 200 ms and ten times what is usual; few before | warning |
//! | NXDOMAIN: fifty a second and four of five answers for two seconds, and not before | warning |

mod quality;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use quality::{AnswerQuality, Aspect, Begin, Quality, Turn};

use super::bounded::Bounded;
use super::heard::{Heard, place};
use super::lasting::{FORGET, Lasting};
use super::questions::{Answered, Complaint, Outages, Question, Questions, Reached, Words};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::{Mono, Stamp};
use crate::wire::dns::{self, Dns, PORT};
use crate::wire::icmp_message::Quoted;
use crate::wire::udp::Udp;

/// Clients and servers whose answers are compared, one or two KiB each.
const PAIRS: usize = 1_024;
/// After so long a client that was not heard before is a new one.
const SETTLED: Duration = Duration::from_secs(10);
const WORDS: Words = Words {
    kind: FindingKind::DnsUnanswered,
    host: "DNS server ",
    questions: "DNS queries",
    protocol: "DNS",
    topics: 3,
    any_server: true,
    routed: Severity::Warning,
};

/// Judges the DNS of all interfaces.
#[derive(Debug)]
pub(super) struct Watch {
    questions: Questions,
    /// By client and server.
    quality: Bounded<(IpAddr, IpAddr), Quality>,
    failing: Outages,
    slow: Outages,
    floods: Outages,
    /// The first message: what is there from the beginning is no news.
    since: Option<Mono>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            questions: Questions::new(WORDS),
            quality: Bounded::new(PAIRS),
            failing: Outages::new(),
            slow: Outages::new(),
            floods: Outages::new(),
            since: None,
        }
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        let outages = [&self.failing, &self.slow, &self.floods];
        self.questions.lasting().chain(outages.into_iter().flat_map(Outages::lasting))
    }

    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        interface: &Arc<str>,
        (dns, udp): (&Dns<'_>, &Udp<'_>),
        findings: &mut Vec<Finding>,
    ) {
        if dns.opcode != Dns::QUERY || !dns.wants_recursion {
            return;
        }
        self.since.get_or_insert(heard.at().mono);
        let topic = dns.question.map_or(0, |question| topic(&question));
        if dns.is_response && udp.source == PORT {
            let key = key(udp.destination, dns.id);
            if let Some(answered) = self.questions.answered(heard, key, findings) {
                self.judge(heard, dns, answered, findings);
            }
        } else if !dns.is_response && udp.destination == PORT {
            let question = Question { key: key(udp.source, dns.id), topic };
            // How an answer went that was heard before its question is not known any longer.
            let _ = self.questions.asked(heard, interface, question);
        }
    }

    /// An error of `by` quotes a query, or an answer that came to nobody.
    pub(super) fn undelivered(&mut self, complaint: Complaint, quoted: &Quoted) {
        // A client that has its answer closes its port and refuses the next one: not the server does.
        let Some((from, PORT)) = quoted.ports else { return };
        let of_port = |key: u32| key >> 16 == u32::from(from);
        self.questions.refused_by((quoted.source, quoted.destination), of_port, complaint);
    }

    /// Frames were not seen.
    pub(super) fn missed(&mut self) {
        self.questions.missed();
    }

    pub(super) fn tick(&mut self, now: Stamp, reached: &Reached, findings: &mut Vec<Finding>) {
        self.questions.tick(now, reached, findings);
        let Self { quality, failing, slow, floods, .. } = self;
        quality.retain(|&(client, server), quality| {
            for aspect in quality.tick(now.mono) {
                let sentence = || format!("{client} does not ask DNS server {server} any longer");
                match aspect {
                    Aspect::Failing => failing.leave(server, now, sentence, findings),
                    Aspect::Slow => slow.leave(server, now, sentence, findings),
                    Aspect::Flood => floods.leave(client, now, sentence, findings),
                }
            }
            now.mono.since(quality.last) <= FORGET
        });
    }

    pub(super) fn refused(&self) -> u64 {
        let outages = [&self.failing, &self.slow, &self.floods];
        self.questions.refused()
            + self.quality.refused()
            + outages.into_iter().map(Outages::refused).sum::<u64>()
    }

    /// What the answer says of its server.
    fn judge(
        &mut self,
        heard: &Heard<'_>,
        dns: &Dns<'_>,
        Answered { topic, asked, took }: Answered,
        findings: &mut Vec<Finding>,
    ) {
        let Some(packet) = heard.reading.packet else { return };
        let (client, server, at) = (packet.destination, packet.source, heard.at());
        let settled = self.since.is_some_and(|since| at.mono.since(since) > SETTLED);
        let make = || Quality::new(at, settled);
        let Some(quality) = self.quality.entry((client, server), make) else { return };
        let zone = dns.question.map_or(0, |question| zone(&question));
        let outcome = AnswerQuality { asked, at: at.mono, took, code: dns.code, name: topic, zone };
        for (aspect, turn) in quality.add(outcome) {
            let (outages, host) = match aspect {
                Aspect::Failing => (&mut self.failing, server),
                Aspect::Slow => (&mut self.slow, server),
                Aspect::Flood => (&mut self.floods, client),
            };
            match turn {
                Some(Turn::Begins(begin)) => {
                    let begun = finding(heard, (client, server), aspect, begin);
                    let joined = outages.join(host, begun, findings);
                    if !joined {
                        quality.untold(aspect);
                    }
                }
                Some(Turn::Lasts) => outages.more(host, at),
                Some(Turn::Ends) => {
                    let sentence = || over((client, server), aspect);
                    outages.leave(host, at, sentence, findings);
                }
                None => {}
            }
        }
    }
}

fn finding(
    heard: &Heard<'_>,
    (client, server): (IpAddr, IpAddr),
    aspect: Aspect,
    Begin { severity, first, count, said }: Begin,
) -> Finding {
    let place = place(heard.vlans());
    let (kind, sentence) = match aspect {
        Aspect::Failing => {
            (FindingKind::DnsFailing, format!("DNS server {server}{place} answers {client} {said}"))
        }
        Aspect::Slow => {
            (FindingKind::DnsSlow, format!("DNS server {server}{place} answers {client} {said}"))
        }
        Aspect::Flood => {
            let sentence = format!("{client}{place} asks DNS server {server} {said}");
            (FindingKind::DnsNxdomainFlood, sentence)
        }
    };
    let finding = heard.finding(kind, severity, sentence);
    Finding { first, count, ..finding }.about(Party::Host(server)).about(Party::Host(client))
}

fn over((client, server): (IpAddr, IpAddr), aspect: Aspect) -> String {
    match aspect {
        Aspect::Failing => format!("DNS server {server} finds what {client} asks for again"),
        Aspect::Slow => format!("DNS server {server} answers {client} as fast as usual again"),
        Aspect::Flood => format!("{client} asks DNS server {server} for few such names again"),
    }
}

/// What an answer must bear: the client's port and the identifier (RFC 5452 §9.1).
fn key(port: u16, id: u16) -> u32 {
    u32::from(port) << 16 | u32::from(id)
}

/// A name, whichever records of it are wanted.
fn topic(question: &dns::DnsQuestion<'_>) -> u64 {
    hash(question.labels())
}

/// The last two labels: what fails as a whole, mostly.
fn zone(question: &dns::DnsQuestion<'_>) -> u64 {
    const LABELS: usize = 2;
    let length = question.labels().count();
    hash(question.labels().skip(length.saturating_sub(LABELS)))
}

/// Without regard to case (RFC 4343), which some clients choose at random.
fn hash<'a>(labels: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    labels.for_each(|label| label.to_ascii_lowercase().hash(&mut hasher));
    hasher.finish()
}
