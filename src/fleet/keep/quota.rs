//! How often others may have a window kept here: each by itself, and all of them together, so that neither a host that
//! has lost its mind nor a storm of all of them fills the memory and the disk.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Mono;

/// Windows that one host may have kept at once: a failure, its echo, and another.
const BURST: u32 = 3;
/// Windows an hour that all hosts together may have kept.
const FLEET_PER_HOUR: u32 = 20;
/// Of those, at once.
const FLEET_BURST: u32 = 6;
/// Hosts whose rates are known. Beyond it the one that asked longest ago begins anew; the rate of all stays.
const HOSTS: usize = 256;
/// What rates are counted over.
const HOUR: Duration = Duration::from_secs(3_600);

/// Why a window is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// That host had so many an hour.
    Host(u32),
    /// All together had so many an hour.
    Fleet,
}

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host(per_hour) => {
                write!(f, "rate: {per_hour} windows an hour from one host, {BURST} at once")
            }
            Self::Fleet => {
                write!(
                    f,
                    "rate: {FLEET_PER_HOUR} windows an hour from all hosts, {FLEET_BURST} at once"
                )
            }
        }
    }
}

/// The rates.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    fleet: HourlyRate,
    /// By host, whoever asked last at the end.
    hosts: VecDeque<(String, HourlyRate)>,
}

impl Quotas {
    /// Takes one window for `host`, if both rates have one.
    pub(super) fn take(&mut self, host: &str, per_hour: u32, now: Mono) -> Result<(), Exceeded> {
        let known = self.hosts.iter().position(|(name, _)| name == host);
        let mut bucket = known.and_then(|at| self.hosts.remove(at)).unwrap_or_default().1;
        let outcome = if !bucket.has(per_hour, BURST, now) {
            Err(Exceeded::Host(per_hour))
        } else if !self.fleet.has(FLEET_PER_HOUR, FLEET_BURST, now) {
            Err(Exceeded::Fleet)
        } else {
            bucket.take(per_hour, now);
            self.fleet.take(FLEET_PER_HOUR, now);
            Ok(())
        };
        if self.hosts.len() >= HOSTS {
            self.hosts.pop_front();
        }
        self.hosts.push_back((host.to_owned(), bucket));
        outcome
    }
}

/// Windows that may be taken, which come back with time (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug, Clone, Copy, Default)]
struct HourlyRate {
    /// When it is full again.
    full: Mono,
}

impl HourlyRate {
    fn has(self, per_hour: u32, burst: u32, now: Mono) -> bool {
        per_hour > 0 && self.full.since(now) <= HOUR / per_hour * (burst - 1)
    }

    fn take(&mut self, per_hour: u32, now: Mono) {
        self.full = self.full.max(now).plus(HOUR / per_hour.max(1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn three_at_once_and_six_an_hour() {
        let mut quotas = Quotas::default();
        let mut taken = |host: &str, second: u64| quotas.take(host, 6, Mono(second * S));
        for second in [10_000, 10_001, 10_002] {
            assert_eq!(taken("a", second), Ok(()));
        }
        assert_eq!(taken("a", 10_003), Err(Exceeded::Host(6)));
        assert_eq!(taken("b", 10_003), Ok(()), "another host has its own");
        assert_eq!(taken("a", 10_599), Err(Exceeded::Host(6)));
        assert_eq!(taken("a", 10_601), Ok(()), "one came back after ten minutes");
        assert_eq!(taken("a", 10_602), Err(Exceeded::Host(6)));
        assert_eq!(quotas.take("a", 0, Mono(90_000 * S)), Err(Exceeded::Host(0)));
    }

    #[test]
    fn a_storm_of_all_hosts_is_bounded_together() {
        let mut quotas = Quotas::default();
        let outcomes: Vec<_> =
            (0..200).map(|n| quotas.take(&format!("host{n}"), 6, Mono(n * S / 200))).collect();
        let kept = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(kept, FLEET_BURST as usize);
        assert_eq!(outcomes[199], Err(Exceeded::Fleet));
        for n in 0..1_000 {
            let _ = quotas.take(&format!("many{n}"), 6, Mono(S));
        }
        assert_eq!(quotas.hosts.len(), HOSTS);
    }

    proptest! {
        #[test]
        fn no_hour_has_more_than_the_rate_and_a_burst(pauses in prop::collection::vec(0_u64..900, 1..200)) {
            let (mut quotas, mut now, mut taken) = (Quotas::default(), 0, Vec::new());
            for pause in pauses {
                now += pause;
                if quotas.take("a", 6, Mono(now * S)).is_ok() {
                    taken.push(now);
                }
            }
            for (n, first) in taken.iter().enumerate() {
                let within = taken[n..].iter().filter(|at| **at - first < 3_600).count();
                prop_assert!(within <= 6 + BURST as usize, "{:?}", taken);
            }
        }
    }
}
