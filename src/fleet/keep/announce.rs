//! Which incidents other hosts are told of, and what they are told.
//!
//! The gate of triggers comes first: what opens no incident is not announced. A window that is frozen for another host
//! is never announced, so nothing goes in a circle. A host that has just heard of the same kind of failure does not
//! tell groups of it, too: they have heard the same.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::error::Result;
use crate::finding::Severity;
use crate::fleet::notice::{Mode, Notice, NoticeFields, Want};
use crate::fleet::token::token;
use crate::time::{Mono, Wall};
use crate::visible;

/// Incidents that are announced within an hour.
const PER_HOUR: usize = 10;
/// What that is counted over.
const HOUR: Duration = Duration::from_secs(3_600);
const NANOS_PER_MILLI: u64 = 1_000_000;
/// What was heard within that time is the same failure.
const SAME: Duration = Duration::from_secs(5);
/// Kinds that were heard lately; a storm repeats a few.
const HEARD: usize = 64;

/// What of an incident is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnIncident {
    /// The kind of its trigger.
    pub kind: String,
    /// What that is about.
    pub object: Option<String>,
    /// What happened, for a person.
    pub sentence: String,
    /// How bad it is.
    pub severity: Severity,
    /// When it happened.
    pub at: Wall,
    /// Time wanted from before.
    pub pre: Duration,
    /// Time wanted from after.
    pub post: Duration,
    /// Held for so long, and confirmed or released by another notice; none: kept.
    pub within: Option<Duration>,
}

/// What this host has announced, and what it heard.
#[derive(Debug)]
pub struct Announcer {
    host: String,
    boot: String,
    share: Want,
    /// The number of the last one: milliseconds since boot, which no restart of dashcap repeats, or one more.
    number: u64,
    announced: VecDeque<Mono>,
    heard: VecDeque<(Mono, String)>,
}

impl Announcer {
    /// Nothing yet, by `host` in its `boot`.
    pub fn new(host: &str, boot: &str, share: Want) -> Self {
        let (announced, heard) = (VecDeque::new(), VecDeque::new());
        Self { host: host.to_owned(), boot: boot.to_owned(), share, number: 0, announced, heard }
    }

    /// Another host told of a failure of this kind.
    pub fn heard(&mut self, kind: &str, now: Mono) {
        if self.heard.len() >= HEARD {
            self.heard.pop_front();
        }
        self.heard.push_back((now, kind.to_owned()));
    }

    /// True if groups have just heard of a failure of this kind.
    pub fn is_echo(&self, kind: &str, now: Mono) -> bool {
        self.heard.iter().any(|(at, heard)| heard == kind && now.since(*at) <= SAME)
    }

    /// The notice of an incident that opens at `now`; none if there were too many within an hour.
    ///
    /// # Errors
    /// When it cannot be said within the bounds of a notice.
    pub fn notice(&mut self, of: &OwnIncident, now: Mono) -> Option<Result<Notice>> {
        while self.announced.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.announced.pop_front();
        }
        if self.announced.len() >= PER_HOUR {
            return None;
        }
        self.announced.push_back(now);
        self.number = (self.number + 1).max(now.0 / NANOS_PER_MILLI);
        Some(self.said(of))
    }

    fn said(&self, of: &OwnIncident) -> Result<Notice> {
        /// Letters of a boot's identifier that tell it from others.
        const BOOT: usize = 8;
        let boot: String =
            self.boot.chars().filter(char::is_ascii_alphanumeric).take(BOOT).collect();
        let id = format!("{}-{boot}-{}", token(&self.host), self.number);
        let tells = self.share == Want::Report;
        let object = of.object.as_deref().filter(|object| tells || !is_address(object));
        let sentence = visible::plain(&of.sentence);
        // Escapes for JSON make it longer.
        let sentence = &sentence[..sentence.floor_char_boundary(Notice::LONGEST_SENTENCE / 2)];
        Notice::new(NoticeFields {
            root: id.clone(),
            id,
            hops: 0,
            from: self.host.clone(),
            boot: self.boot.clone(),
            kind: of.kind.clone(),
            object: object.map(str::to_owned),
            sentence: tells.then(|| sentence.to_owned()),
            severity: of.severity,
            at: of.at,
            error: Duration::ZERO,
            age: Duration::ZERO,
            pre: of.pre,
            post: of.post,
            mode: of.within.map_or(Mode::Keep, |_| Mode::Hold),
            within: of.within.unwrap_or_default(),
            want: Want::State,
            spread: Duration::ZERO,
        })
    }
}

/// True if an object names a place in the network: an address, with a port or a prefix, or a link address.
fn is_address(object: &str) -> bool {
    let bare = object.trim_start_matches('[').split([']', '/', '%']).next().unwrap_or(object);
    let is_ip = |text: &str| text.parse::<IpAddr>().is_ok();
    let before_port = bare.rsplit_once(':').map_or(bare, |(address, _)| address);
    let is_link = object.split(':').count() == 6;
    is_ip(bare) || is_ip(before_port) || is_link
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn incident() -> OwnIncident {
        OwnIncident {
            kind: "link-down".into(),
            object: Some("bond0".into()),
            sentence: "bond0: DOWN".into(),
            severity: Severity::Warning,
            at: Wall(7),
            pre: Duration::from_secs(120),
            post: Duration::from_secs(10),
            within: None,
        }
    }

    fn announcer(share: Want) -> Announcer {
        Announcer::new("r1.example.net", "3f2b99aa-1111-2222", share)
    }

    #[test]
    fn what_is_not_shared_is_not_said() {
        for (share, object, said, sentence) in [
            (Want::State, "bond0", true, false),
            (Want::Report, "bond0", true, true),
            (Want::State, "192.0.2.1", false, false),
            (Want::State, "192.0.2.1:53", false, false),
            (Want::State, "192.0.2.0/24", false, false),
            (Want::State, "2001:db8::1", false, false),
            (Want::State, "[2001:db8::1]:53", false, false),
            (Want::State, "fe80::1%eth0", false, false),
            (Want::State, "02:00:00:00:00:01", false, false),
            (Want::State, "eth0.956", true, false),
            (Want::State, "gateway", true, false),
            (Want::Report, "192.0.2.1", true, true),
        ] {
            let of = OwnIncident { object: Some(object.into()), ..incident() };
            let notice = announcer(share).notice(&of, Mono(0)).unwrap().unwrap();
            assert_eq!(notice.object.is_some(), said, "{object}");
            assert_eq!(notice.sentence.is_some(), sentence, "{object}");
        }
    }

    #[test]
    fn a_restart_of_dashcap_repeats_no_identifier() {
        let of = |seconds: [u64; 2]| {
            let mut announcer = announcer(Want::Report);
            seconds
                .map(|at| announcer.notice(&incident(), Mono(at * S)).unwrap().unwrap().id.clone())
        };
        let ids = [of([5, 5]), of([6, 7])].concat();
        let end = |id: &String| id.rsplit('-').next().unwrap().to_owned();
        assert_eq!(ids.iter().map(end).collect::<Vec<_>>(), ["5000", "5001", "6000", "7000"]);
    }

    #[test]
    fn a_notice_is_numbered_and_ten_an_hour_are_said() {
        let mut announcer = announcer(Want::Report);
        let first = announcer.notice(&incident(), Mono(0)).unwrap().unwrap();
        assert_eq!(first.id, "r1_2eexample_2enet-3f2b99aa-1");
        assert_eq!((&first.root, first.hops, first.mode), (&first.id, 0, Mode::Keep));
        let said = (1..30).filter(|n| announcer.notice(&incident(), Mono(n * S)).is_some()).count();
        assert_eq!(said, PER_HOUR - 1);
        assert!(announcer.notice(&incident(), Mono(3_599 * S)).is_none());
        let held = OwnIncident { within: Some(Duration::from_secs(90)), ..incident() };
        let held = announcer.notice(&held, Mono(3_601 * S)).unwrap().unwrap();
        assert_eq!((held.mode, held.within.as_secs()), (Mode::Hold, 90));
        let long = OwnIncident { sentence: "\u{1b}\"".repeat(2_000), ..incident() };
        let long = announcer.notice(&long, Mono(9_000 * S)).unwrap().unwrap();
        assert!(long.line().len() <= 4_096);
    }

    #[test]
    fn what_was_just_heard_is_an_echo() {
        let mut announcer = announcer(Want::State);
        announcer.heard("link-down", Mono(100 * S));
        assert!(announcer.is_echo("link-down", Mono(105 * S)));
        assert!(!announcer.is_echo("link-down", Mono(106 * S)));
        assert!(!announcer.is_echo("bfd-down", Mono(101 * S)));
        for _ in 0..2 * HEARD {
            announcer.heard("x", Mono(101 * S));
        }
        assert_eq!(announcer.heard.len(), HEARD);
    }
}
