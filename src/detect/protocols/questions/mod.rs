//! Questions that one host asks another and waits for, and whether they are answered: what DNS and pings
//! have in common.
//!
//! A question is missing when it waited for its patience, a second or four times what the latest answers
//! took, or when the network says that it cannot be delivered. What that amounts to:
//!
//! | who asks whom | missing | finding |
//! |---|---|---|
//! | a host that answered ten before | three in a row, of DNS about what was found before or about three names, the first two seconds ago | warning; of pings that this host only routes, a notice |
//! | clients of name servers of which none ever answered | four, two of them asked anew, in five seconds | warning |
//! | a host that never answered | five, in five seconds | notice |
//!
//! An answer in between, however late, ends a row. A host that answers nobody is one finding.
//!
//! It must never speak where answers go another way. So all interfaces are judged together: an answer may
//! come in by another member of the bond, or another port of the bridge, than the question left by. And of
//! those that were never answered only hosts are judged that something else came by for.

mod dialogue;
mod outage;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) use dialogue::{Answered, Complaint, Question};
use dialogue::{Dialogue, SeenAt, Streak};
pub(super) use outage::Outages;

use super::bounded::Bounded;
use super::heard::{Heard, place};
use super::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::{Mono, Stamp};

/// Pairs of hosts at a time, a KiB or two each.
const PAIRS: usize = 1_024;
/// Hosts that get no answer at all, told at a time.
const LONELY: usize = 64;
/// Notices told at a time: scans ask many that are not there.
const NOTICES: usize = 16;
/// Answers before the missing ones that make a host one that answers.
const ANSWERED: u64 = 10;
/// Missing in a row that are more than bad luck.
const MISSING: u64 = 3;
/// How long a question waits at least. Resolvers and ping(8) ask again after a second or more.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the first of a row is missing: restarts of a service take less, and clients bear it (resolv.conf(5):
/// they wait five seconds).
const RESTART: Duration = Duration::from_secs(2);
/// Of hosts that never answered: missing ones, those that were asked anew, and since when.
const NEVER: u64 = 4;
const AGAIN: u32 = 2;
const NEVER_NOTICE: u64 = 5;
const NEVER_FOR: Duration = Duration::from_secs(5);
/// Pairs without a question for so long are given up; those that were never answered at once then.
const GIVEN_UP: Duration = Duration::from_secs(300);

/// How the questions of one protocol are called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) kind: FindingKind,
    /// Before the address of who is asked: "DNS server ".
    pub(super) host: &'static str,
    /// "DNS queries".
    pub(super) questions: &'static str,
    /// Between addresses: "DNS".
    pub(super) protocol: &'static str,
    /// About so many things questions must be, unless one was answered before.
    pub(super) topics: u64,
    /// Any server will do: who is answered by another is not left alone.
    pub(super) any_server: bool,
    /// Of questions that this host passes on as a router: whoever may be asked by whomever.
    pub(super) routed: Severity,
}

/// Hosts that frames came by for, and when last.
pub(super) type Reached = Bounded<IpAddr, Mono>;

/// Follows the questions of one protocol on all interfaces.
#[derive(Debug)]
pub(super) struct Questions {
    words: Words,
    /// By who asks and who is asked.
    pairs: Bounded<(IpAddr, IpAddr), Dialogue>,
    outages: Outages,
    lonely: Bounded<IpAddr, Lasting>,
    notices: Bounded<(IpAddr, IpAddr), Lasting>,
}

impl Questions {
    pub(super) fn new(words: Words) -> Self {
        Self {
            words,
            pairs: Bounded::new(PAIRS),
            outages: Outages::new(),
            lonely: Bounded::new(LONELY),
            notices: Bounded::new(NOTICES),
        }
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        let lonely = self.lonely.iter().map(|(_, lonely)| lonely);
        let notices = self.notices.iter().map(|(_, notice)| notice);
        lonely.chain(notices).chain(self.outages.lasting())
    }

    /// The sender of the frame asks its receiver; the answer, if that was heard before.
    pub(super) fn asked(
        &mut self,
        heard: &Heard<'_>,
        interface: &Arc<str>,
        question: Question,
    ) -> Option<Answered> {
        let packet = heard.reading.packet?;
        let (pair, at) = ((packet.source, packet.destination), heard.at());
        let make = || Dialogue::new(SeenAt::of(heard, interface), at);
        let dialogue = self.pairs.entry(pair, make)?;
        // A router shows a packet on two interfaces; those of the first are counted, until they cease there.
        if !Arc::ptr_eq(&dialogue.place.interface, interface) {
            if at.mono.since(dialogue.last_asked.mono) < GIVEN_UP {
                dialogue.routed = dialogue.hop_limit != packet.hop_limit;
                return None;
            }
            dialogue.place = SeenAt::of(heard, interface);
        }
        dialogue.hop_limit = packet.hop_limit;
        let (new, answered) = dialogue.ask(question, at);
        if new && dialogue.told {
            self.outages.more(pair.1, at);
        }
        if new && let Some(notice) = self.notices.get_mut(&pair) {
            notice.more(at);
        }
        if new && let Some(lonely) = self.lonely.get_mut(&pair.0) {
            lonely.more(at);
        }
        answered
    }

    /// The sender of the frame answers its receiver; what it answers, unless nobody asked.
    pub(super) fn answered(
        &mut self,
        heard: &Heard<'_>,
        key: u32,
        findings: &mut Vec<Finding>,
    ) -> Option<Answered> {
        let packet = heard.reading.packet?;
        let (host, client) = (packet.source, packet.destination);
        let (at, words) = (heard.at(), self.words);
        let dialogue = self.pairs.get_mut(&(client, host))?;
        let silent = dialogue.last_answer.map(|last| at.mono.since(last.mono).as_secs_f64());
        let answered = dialogue.answer(key, at);
        if std::mem::take(&mut dialogue.told) {
            let silent = silent.unwrap_or_default();
            let again =
                || format!("{}{host} answers {client} again after {silent:.1} s", words.host);
            self.outages.leave(host, at, again, findings);
        }
        let sentence = || format!("{}{host} answers {client} now", words.host);
        if let Some(mut notice) = self.notices.remove(&(client, host)) {
            notice.end(at, sentence, findings);
        }
        if let Some(mut lonely) = self.lonely.remove(&client) {
            lonely.end(at, sentence, findings);
        }
        answered
    }

    /// `by` says that what `client` asked `host` cannot be delivered.
    pub(super) fn refused_by(
        &mut self,
        (client, host): (IpAddr, IpAddr),
        is_it: impl Fn(u32) -> bool,
        complaint: Complaint,
    ) {
        if let Some(dialogue) = self.pairs.get_mut(&(client, host)) {
            dialogue.refuse(is_it, complaint);
        }
    }

    /// Frames were not seen: nothing is concluded from answers that are missing so far.
    pub(super) fn missed(&mut self) {
        self.pairs.iter_mut().for_each(|(_, dialogue)| dialogue.forgive());
    }

    /// All frames until `now` were heard, and some for those that are `reached`.
    pub(super) fn tick(&mut self, now: Stamp, reached: &Reached, findings: &mut Vec<Finding>) {
        self.tell_outages(now, findings);
        if self.words.any_server {
            self.tell_lonely(now, reached, findings);
        }
        self.tell_notices(now, reached, findings);
        self.give_up(now, findings);
    }

    pub(super) fn refused(&self) -> u64 {
        self.pairs.refused() + self.outages.refused() + self.lonely.refused()
    }

    fn tell_outages(&mut self, now: Stamp, findings: &mut Vec<Finding>) {
        for (&(client, host), dialogue) in self.pairs.iter_mut() {
            if dialogue.told || dialogue.answered < ANSWERED {
                continue;
            }
            let Some(row) = dialogue.row(now.mono, PATIENCE) else { continue };
            let restart = RESTART.max(dialogue.patience(PATIENCE));
            let telling = row.count >= MISSING && (row.known || row.topics >= self.words.topics);
            if telling && now.mono.since(row.first.mono) >= restart {
                let sentence = self.words.silent((client, host), dialogue, row, now);
                let routed = dialogue.routed.then_some(self.words.routed);
                let severity = routed.unwrap_or(Severity::Warning);
                let finding = self.words.finding((client, host), dialogue, row, severity, sentence);
                dialogue.told = self.outages.join(host, finding, findings);
            }
        }
    }

    /// Clients that get no answer from anybody.
    fn tell_lonely(&mut self, now: Stamp, reached: &Reached, findings: &mut Vec<Finding>) {
        let mut clients: Vec<(IpAddr, Vec<IpAddr>, Streak, u32)> = Vec::new();
        let mut answered = BTreeSet::new();
        for (&(client, host), dialogue) in self.pairs.iter() {
            if dialogue.last_answer.is_some() {
                answered.insert(client);
            }
            let Some(row) = dialogue.row(now.mono, PATIENCE) else { continue };
            match clients.last_mut() {
                Some((same, hosts, whole, again)) if *same == client => {
                    hosts.push(host);
                    *whole = whole.and(row);
                    *again += dialogue.again;
                }
                _ => clients.push((client, vec![host], row, dialogue.again)),
            }
        }
        for (client, hosts, row, again) in clients {
            let enough = row.count >= NEVER
                && again >= AGAIN
                && now.mono.since(row.first.mono) >= NEVER_FOR
                && !answered.contains(&client)
                && reached.get(&client).is_some();
            let Some(&host) = hosts.first().filter(|_| enough) else { continue };
            let Some(dialogue) = self.pairs.get(&(client, host)) else { continue };
            let Some(lonely) = self.lonely.entry(client, Lasting::default) else { continue };
            if !lonely.is_open() {
                let sentence = self.words.lonely((client, &hosts), dialogue, row);
                let severity = Severity::Warning;
                let finding = self.words.finding((client, host), dialogue, row, severity, sentence);
                let about = |finding: Finding, host: &IpAddr| finding.about(Party::Host(*host));
                lonely.begin(hosts.iter().fold(finding, about), findings);
            }
        }
    }

    /// Hosts that never answered.
    fn tell_notices(&mut self, now: Stamp, reached: &Reached, findings: &mut Vec<Finding>) {
        for (&(client, host), dialogue) in self.pairs.iter() {
            let Some(row) = dialogue.row(now.mono, PATIENCE) else { continue };
            let enough = dialogue.last_answer.is_none()
                && row.count >= NEVER_NOTICE
                && now.mono.since(row.first.mono) >= NEVER_FOR
                && reached.get(&client).is_some()
                && self.lonely.get(&client).is_none();
            if !enough {
                continue;
            }
            let Some(notice) = self.notices.entry((client, host), Lasting::default) else {
                continue;
            };
            if !notice.is_open() {
                let sentence = self.words.never((client, host), dialogue, row);
                let severity = Severity::Notice;
                let finding = self.words.finding((client, host), dialogue, row, severity, sentence);
                notice.begin(finding, findings);
            }
        }
    }

    /// Forgets who does not ask any longer.
    fn give_up(&mut self, now: Stamp, findings: &mut Vec<Finding>) {
        let Self { words, pairs, outages, lonely, notices } = self;
        pairs.retain(|&(client, host), dialogue| {
            let idle = now.mono.since(dialogue.last_asked.mono);
            let sentence = || format!("{client} does not ask {}{host} any longer", words.host);
            if idle > GIVEN_UP && std::mem::take(&mut dialogue.told) {
                outages.leave(host, now, sentence, findings);
                dialogue.forgive();
            }
            let gone = idle > FORGET || (idle > GIVEN_UP && dialogue.answered == 0);
            if gone && let Some(mut notice) = notices.remove(&(client, host)) {
                notice.end(now, sentence, findings);
            }
            !gone
        });
        lonely.retain(|client, finding| {
            let asks = pairs.iter().any(|((asker, _), _)| asker == client);
            if !asks {
                finding.end(now, || format!("{client} does not ask any longer"), findings);
            }
            asks
        });
    }
}

impl Streak {
    /// Both rows as one.
    fn and(self, other: Self) -> Self {
        Self {
            first: if other.first.mono < self.first.mono { other.first } else { self.first },
            last: if other.last.mono > self.last.mono { other.last } else { self.last },
            count: self.count + other.count,
            topics: self.topics + other.topics,
            known: self.known || other.known,
        }
    }

    fn seconds(self) -> f64 {
        self.last.mono.since(self.first.mono).as_secs_f64()
    }
}

impl Words {
    fn finding(
        self,
        (client, host): (IpAddr, IpAddr),
        dialogue: &Dialogue,
        row: Streak,
        severity: Severity,
        sentence: String,
    ) -> Finding {
        let SeenAt { interface, direction, parties, .. } = &dialogue.place;
        Finding {
            kind: self.kind,
            severity,
            first: row.first,
            last: row.last,
            interface: Some(interface.to_string()),
            direction: *direction,
            count: row.count,
            rate: None,
            what: format!("{client} → {host} {}", self.protocol),
            sentence,
            parties: parties.clone(),
            over: false,
        }
    }

    fn silent(
        self,
        (client, host): (IpAddr, IpAddr),
        dialogue: &Dialogue,
        row: Streak,
        now: Stamp,
    ) -> String {
        let place = place(dialogue.place.vlans);
        let waited = now.mono.since(row.first.mono).as_secs_f64();
        let before =
            dialogue.last_answer.map_or(0.0, |last| row.first.mono.since(last.mono).as_secs_f64());
        format!(
            "{}{host}{place} does not answer {client}: {} {} unanswered for {waited:.1} s{}; it had \
             answered {}, the last one {before:.1} s before",
            self.host,
            row.count,
            self.questions,
            said(dialogue),
            dialogue.answered
        )
    }

    fn lonely(
        self,
        (client, hosts): (IpAddr, &[IpAddr]),
        dialogue: &Dialogue,
        row: Streak,
    ) -> String {
        let hosts = hosts.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" and ");
        format!(
            "{client}{} gets no answer to its {}: {} in {:.1} s to {hosts}, of which none ever \
             answered{}",
            place(dialogue.place.vlans),
            self.questions,
            row.count,
            row.seconds(),
            said(dialogue)
        )
    }

    fn never(self, (client, host): (IpAddr, IpAddr), dialogue: &Dialogue, row: Streak) -> String {
        format!(
            "{}{host}{} never answered {client}: {} {} in {:.1} s{}",
            self.host,
            place(dialogue.place.vlans),
            row.count,
            self.questions,
            row.seconds(),
            said(dialogue)
        )
    }
}

/// What the network said of it.
fn said(dialogue: &Dialogue) -> String {
    match dialogue.complaint {
        Some(Complaint { by, said }) => format!(", and {by} says: {said}"),
        None => String::new(),
    }
}
