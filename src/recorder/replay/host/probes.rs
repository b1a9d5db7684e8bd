//! What the answers and losses in the files amount to: probes that went down and came up again, judged by
//! the thresholds that hold now, as live ones are.
//!
//! The files tell how many were lost in a row, also of those before their beginning; when the first of
//! them was sent is known only if it is in the files.

use std::time::Duration;

use crate::observation::Fact;
use crate::observation::probe::{ProbeDown, ProbeUp};
use crate::time::{Wall, nanos};
use crate::watch::probe;

/// Every probe, by its name in the files.
#[derive(Debug)]
pub(super) struct Probes<'a> {
    configured: &'a [probe::Options],
    known: Vec<KnownProbe>,
}

#[derive(Debug)]
struct KnownProbe {
    name: String,
    fall: u32,
    rise: u32,
    /// When the first of the present row of losses was sent.
    lost_since: Option<Wall>,
    answered_at: Option<Wall>,
    /// How long the latest answer took that came too late in this row.
    late: Option<Duration>,
    answered: u32,
    down: bool,
}

impl<'a> Probes<'a> {
    /// `configured` have thresholds of their own; any other has the usual ones.
    pub(super) fn new(configured: &'a [probe::Options]) -> Self {
        Self { configured, known: Vec::new() }
    }

    /// What `fact` amounts to beside itself.
    pub(super) fn follow(&mut self, at: Wall, fact: &Fact) -> Option<Fact> {
        match fact {
            Fact::ProbeLost { probe, address, in_a_row, waited, reason } => {
                let known = self.known(probe);
                known.answered = 0;
                let sent = Wall(at.0.saturating_sub(nanos(*waited)));
                let since = *known.lost_since.get_or_insert(sent);
                if known.down || *in_a_row < known.fall {
                    return None;
                }
                known.down = true;
                Some(Fact::ProbeDown(ProbeDown {
                    probe: probe.clone(),
                    address: *address,
                    in_a_row: *in_a_row,
                    lasting: between(since, at),
                    first_lost: since,
                    last_answered: known.answered_at,
                    late: known.late,
                    reason: reason.clone(),
                }))
            }
            Fact::ProbeLate { probe, round_trip, .. } => {
                self.known(probe).late = Some(*round_trip);
                None
            }
            Fact::ProbeAnswered { probe, address, round_trip } => {
                let known = self.known(probe);
                known.answered_at = Some(Wall(at.0.saturating_sub(nanos(*round_trip))));
                known.late = None;
                known.answered = known.answered.saturating_add(1);
                if !known.down {
                    known.lost_since = None;
                }
                if !known.down || known.answered < known.rise {
                    return None;
                }
                known.down = false;
                let since = known.lost_since.take().unwrap_or(at);
                Some(Fact::ProbeUp(ProbeUp {
                    probe: probe.clone(),
                    address: *address,
                    in_a_row: known.answered,
                    after: between(since, at),
                }))
            }
            _ => None,
        }
    }

    fn known(&mut self, name: &str) -> &mut KnownProbe {
        let at = self.known.iter().position(|known| known.name == name);
        let at = at.unwrap_or_else(|| {
            let usual = probe::Options::new(name);
            let own = self.configured.iter().find(|options| options.host == name);
            let probe::Options { fall, rise, .. } = *own.unwrap_or(&usual);
            let name = name.to_owned();
            self.known.push(KnownProbe {
                name,
                fall,
                rise,
                lost_since: None,
                answered_at: None,
                late: None,
                answered: 0,
                down: false,
            });
            self.known.len() - 1
        });
        &mut self.known[at]
    }
}

fn between(from: Wall, to: Wall) -> Duration {
    Duration::from_nanos(to.0.saturating_sub(from.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_losses_and_answers_are_edges() {
        let own = probe::Options { fall: 2, rise: 1, ..probe::Options::new("own") };
        let configured = [own];
        let mut probes = Probes::new(&configured);
        let (address, waited) = ([192, 0, 2, 1].into(), Duration::from_millis(250));
        let mut told = Vec::new();
        // Second, probe, how many in a row are lost; 0 is an answer.
        for (second, probe, in_a_row) in [
            (1, "own", 1),
            (2, "own", 2),
            (3, "own", 3),
            (4, "own", 0),
            (5, "own", 0),
            (6, "other", 2),
            (7, "other", 3),
            (8, "other", 0),
            (9, "other", 1),
            (10, "other", 0),
            (11, "other", 0),
            // The file begins in the middle of a row.
            (12, "third", 40),
        ] {
            let probe = probe.to_owned();
            let fact = match in_a_row {
                0 => Fact::ProbeAnswered { probe, address, round_trip: Duration::ZERO },
                _ => Fact::ProbeLost { probe, address, in_a_row, waited, reason: "r".to_owned() },
            };
            let edge = probes.follow(Wall(second * 1_000_000_000), &fact);
            told.extend(edge.map(|edge| format!("{second} {edge}")));
        }
        assert_eq!(
            told,
            [
                "2 probe own is down: 2 lost in a row within 1.250 s, the last one: r; the first was sent at \
                 00:00:00.750",
                "4 probe own is up again after 3.250 s: 1 answered in a row",
                "7 probe other is down: 3 lost in a row within 1.250 s, the last one: r; the first was sent at \
                 00:00:05.750",
                "11 probe other is up again after 5.250 s: 2 answered in a row",
                "12 probe third is down: 40 lost in a row within 0.250 s, the last one: r; the first was sent at \
                 00:00:11.750",
            ]
        );
    }
}
