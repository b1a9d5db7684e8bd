//! SYN floods: many connections are asked for, and nearly none goes on. What fills a listener's queue is
//! not how many there are but that they stay half open (RFC 4987 §2), so a busy service, a test of load, or
//! clients that all come back at once are no flood: they send requests.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::heard::Now;
use super::super::lasting::Lasting;
use super::{in_vlan, named};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::{Mono, Stamp};
use crate::wire::link::Vlans;
use crate::words::figure;

/// Of one service. Time is divided into slots.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// When the slot began.
    begun: Mono,
    /// SYNs since the last summary, and of the slot with those that were not shown.
    new: u32,
    asked: f64,
    /// Of those shown, how many are followed, and how many connections went on in the slot.
    followed: u32,
    went_on: u32,
    /// The first SYN of the slot, and one address of those who ask.
    first: Option<(Stamp, IpAddr)>,
    sources: Sources,
    /// SYNs of a usual slot.
    usual: f64,
    /// Slots in a row that are a flood, or that are calm while one is told.
    beyond: u32,
    calm: u32,
    begin: Option<Begin>,
    told: Lasting,
}

/// How a flood began.
#[derive(Debug, Clone, Copy)]
struct Begin {
    first: Stamp,
    from: IpAddr,
    usual: f64,
    asked: f64,
    sources: u32,
}

impl Flood {
    const SLOT: Duration = Duration::from_millis(500);
    /// SYNs a second that fill the queue of a common listener (128 to 4,096, listen(2), somaxconn) before its
    /// entries time out.
    const MOST: f64 = 500.0;
    /// And so many times the usual.
    const TIMES: f64 = 10.0;
    /// Of connections that are followed, at most this part goes on in a flood.
    const GOES_ON: f64 = 0.2;
    /// Slots in a row: one may be a burst whose requests are still on the way.
    const SLOTS: u32 = 2;
    /// Slots after which it is over.
    const CALM: u32 = 6;
    /// A slot moves the usual by this part.
    const LEARNS: f64 = 0.05;

    /// A SYN, of one whose next segments are followed or not.
    pub(super) fn asked(&mut self, at: Stamp, from: IpAddr, followed: bool) {
        self.first.get_or_insert((at, from));
        self.new += 1;
        self.followed += u32::from(followed);
        self.sources.add(from);
    }

    /// A connection went on: a request, or an end in order.
    pub(super) fn went_on(&mut self) {
        self.went_on += 1;
    }

    pub(super) fn is_on(&self) -> bool {
        self.beyond > 0 || self.told.is_open()
    }

    /// Time passed; each SYN that was shown stands for so many.
    pub(super) fn turn(&mut self, now: Stamp, times: f64) {
        self.asked += f64::from(std::mem::take(&mut self.new)) * times;
        if now.mono.since(self.begun) < Self::SLOT {
            return;
        }
        let seconds = now.mono.since(self.begun).min(2 * Self::SLOT).as_secs_f64();
        let rate = self.asked / seconds;
        let many = rate > Self::MOST && rate > self.usual * Self::TIMES;
        let stays = f64::from(self.went_on) <= f64::from(self.followed) * Self::GOES_ON;
        if many && stays && self.followed > 0 {
            self.beyond += 1;
            self.calm = 0;
            if let (None, Some((first, from))) = (self.begin, self.first) {
                let (usual, sources) = (self.usual, 0);
                self.begin = Some(Begin { first, from, usual, asked: rate, sources });
            }
            if let Some(begin) = &mut self.begin {
                (begin.asked, begin.sources) = (rate, self.sources.count());
            }
        } else if self.told.is_open() && rate > Self::MOST / 2.0 {
            self.calm = 0;
        } else {
            self.beyond = 0;
            self.calm += 1;
            self.usual += (rate - self.usual) * Self::LEARNS;
            if !self.told.is_open() {
                self.begin = None;
            }
        }
        self.begun = now.mono;
        (self.asked, self.followed, self.went_on, self.first) = (0.0, 0, 0, None);
        self.sources = Sources::default();
    }

    pub(super) fn tell(
        &mut self,
        now: &Now<'_>,
        name: (Vlans, SocketAddr),
        findings: &mut Vec<Finding>,
    ) {
        if self.told.is_open() && self.calm >= Self::CALM {
            self.begin = None;
            self.told.end(now.at, || format!("the SYN flood on {} is over", named(name)), findings);
        }
        let Some(begin) = self.begin.filter(|_| self.beyond >= Self::SLOTS) else { return };
        if self.told.is_open() {
            return;
        }
        let from = match begin.sources {
            0 | 1 => format!("from {}", begin.from),
            sources => format!("from about {} sources", figure(sources.into())),
        };
        let sentence = format!(
            "SYN flood on {}: {} connections a second are asked for {from}, {} before, and \
             nearly none goes on",
            named(name),
            figure(begin.asked),
            figure(begin.usual)
        );
        let what = format!("TCP SYN → {}", named(name));
        let kind = FindingKind::SynFlood;
        let finding = in_vlan(now, name.0, kind, Severity::Warning, what, sentence);
        let (first, rate) = (begin.first, Some(begin.asked));
        let count = (begin.asked * now.at.mono.since(first.mono).as_secs_f64()) as u64;
        let finding = Finding { first, count, rate, ..finding }.about(Party::Host(name.1.ip()));
        let single = begin.sources <= 1;
        let finding = if single { finding.about(Party::Host(begin.from)) } else { finding };
        self.told.begin(finding, findings);
    }
}

/// How many different addresses, about: linear counting (Whang, Vander-Zanden, Taylor 1990).
#[derive(Debug, Default)]
struct Sources([u64; Sources::WORDS]);

impl Sources {
    /// Counts 4,000 to a few percent, 128 bytes.
    const WORDS: usize = 16;
    const BITS: u32 = Self::WORDS as u32 * u64::BITS;

    fn add(&mut self, address: IpAddr) {
        /// 2^64 divided by the golden ratio: an odd number without a pattern.
        const K: u64 = 0x9e37_79b9_7f4a_7c15;
        let number = match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                bits as u64 ^ ((bits >> u64::BITS) as u64).wrapping_mul(K)
            }
        };
        let mixed = number.wrapping_mul(K);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(K);
        let bit = (mixed >> 40) as u32 % Self::BITS;
        self.0[(bit / u64::BITS) as usize] |= 1 << (bit % u64::BITS);
    }

    fn count(&self) -> u32 {
        let set: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        let empty = f64::from((Self::BITS - set).max(1));
        let bits = f64::from(Self::BITS);
        (bits * (bits / empty).ln()).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_counted_about() {
        for many in [0_u32, 1, 2, 30, 1_000, 3_000] {
            let mut sources = Sources::default();
            for n in 0..many * 2 {
                let host = (n % many.max(1)).wrapping_mul(0x0101_4321);
                sources.add(IpAddr::V4(host.into()));
            }
            let (count, least) = (sources.count(), many - many / 10);
            assert!((least..=many + many / 10 + 1).contains(&count), "{many}: {count}");
        }
    }
}
