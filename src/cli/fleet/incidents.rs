//! `dashcap fleet incidents` and `show`: what the hosts kept of one failure.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::onsets::{self, OnsetSpan};
use super::place::Place;
use crate::cli::control::print;
use crate::error::{Error, Result};
use crate::fleet::answer::OnsetThere;
use crate::fleet::inquiry::{
    Arrived, Conclusion, ConclusionStep, FleetBundle, Inquiry, NoticeOutcome, OnsetSince, Told,
    all_of,
};
use crate::time::{Clock, Wall};
use crate::visible::{self, plain};
use crate::words;

/// List the failures that the fleet was told of and hosts kept: one line for each, the newest last.
///
/// Tells who kept it, who had nothing left, or no room for it (within the last hour), and whose onset was the first, as far
/// as that can be known. Who was heard of within a week and does not answer is named.
#[derive(Debug, Args)]
pub(super) struct Incidents;

/// Tell what each host has of a failure: its bundles, or why there is none, and where it began there.
///
/// Whose onset was the first is told by how long ago each host says that it was, whatever its wall clock shows; where
/// that does not tell one from another, all that may have been are named.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its identifier, as `dashcap fleet incidents` lists it.
    id: String,

    /// Print what the report of each bundle concludes, of hosts that are configured with share = "report".
    #[arg(long)]
    report: bool,
}

/// A bundle on another host.
struct SeenBundle {
    bundle: FleetBundle,
    /// When it began there, by the clock here; none where nobody knows.
    onset: Option<OnsetSpan>,
}

/// The bundles of one failure, by host.
type Bundles = BTreeMap<String, Vec<SeenBundle>>;

/// What was gathered.
struct Gathered {
    /// By the first notice of each failure.
    incidents: BTreeMap<String, Bundles>,
    /// Notices that a host has no bundle of.
    without: BTreeMap<String, Vec<NoticeOutcome>>,
    silent: Vec<String>,
}

/// Hosts of which one may have been the first that are named.
const NAMED: usize = 8;

impl Incidents {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        let gathered = Gathered::of(place, None)?;
        if place.json {
            return gathered.print_json();
        }
        let incidents = gathered.incidents.iter();
        let mut lines: Vec<_> =
            incidents.filter_map(|(id, hosts)| gathered.line(id, hosts)).collect();
        lines.sort();
        for (_, line) in lines {
            print(&plain(&line))?;
        }
        if gathered.incidents.is_empty() {
            eprintln!("no host has a bundle of a failure that the fleet was told of");
        }
        gathered.name_silent();
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        if self.report {
            return reports(place, &self.id);
        }
        let gathered = Gathered::of(place, Some(self.id.clone()))?;
        if place.json {
            return gathered.print_json();
        }
        for hosts in gathered.incidents.values() {
            for (host, bundles) in hosts {
                bundles.iter().try_for_each(|seen| print(&plain(&seen.line(host))))?;
            }
            if let Some(first) = first_of(hosts) {
                print(&plain(&first))?;
            }
        }
        // Who has a bundle of it may have had nothing left for another notice of the same failure.
        let has_none =
            |host: &String| gathered.incidents.values().all(|hosts| !hosts.contains_key(host));
        for (host, outcomes) in gathered.without.iter().filter(|(host, _)| has_none(host)) {
            for outcome in outcomes {
                print(&plain(&format!("{host}: {outcome}")))?;
            }
        }
        gathered.name_silent();
        let is_known = !gathered.incidents.is_empty() || !gathered.without.is_empty();
        if is_known { Ok(ExitCode::SUCCESS) } else { Err(unknown(&self.id)) }
    }
}

impl SeenBundle {
    fn line(&self, host: &str) -> String {
        let FleetBundle { name, frames, bytes, kept, onset, .. } = &self.bundle;
        let (frames, size) = (words::counted(*frames, "frame"), words::bytes(*bytes));
        let kept = if *kept { ", marked to be kept" } else { "" };
        let mut line = format!("{host}: {name}, {frames}, {size}{kept}");
        if let Some(OnsetSince { onset: OnsetThere { at, kind, sentence, .. }, .. }) = onset {
            line.push_str(&match self.onset.map(OnsetSpan::middle) {
                Some((at, half)) => {
                    format!("; began {} ± {}", at.time_of_day(), words::duration(half))
                }
                None => format!("; began {} by its own clock", at.time_of_day()),
            });
            let what = sentence.clone().unwrap_or_else(|| kind.replace('_', " "));
            line.push_str(&format!(": {what}"));
        }
        line
    }
}

impl Gathered {
    /// What all have, or have of one notice.
    fn of(place: &Place, id: Option<String>) -> Result<Self> {
        let options = place.options()?;
        let person = place.connect(&options)?;
        let known = person.members()?;
        let clock = Clock::system();
        let asked = clock.now();
        let arrived =
            person.ask(Inquiry::Incidents { id }, place.patience(), all_of(known.keys()))?;
        let was_set = onsets::was_set(asked, clock.now());
        let mut incidents: BTreeMap<String, Bundles> = BTreeMap::new();
        let mut all_without = BTreeMap::new();
        let mut silent: Vec<String> = known.into_keys().collect();
        for Arrived { reply, at } in arrived {
            silent.retain(|host| *host != reply.host);
            let Told::Incidents { bundles, without } = reply.told else { continue };
            for bundle in bundles {
                let Some(root) = bundle.ids.first().cloned() else { continue };
                let hosts = incidents.entry(root).or_default();
                let onset = bundle.onset.as_ref().filter(|_| !was_set);
                let onset = onset.and_then(|onset| OnsetSpan::of(onset, asked.wall, at));
                hosts.entry(reply.host.clone()).or_default().push(SeenBundle { bundle, onset });
            }
            if !without.is_empty() {
                all_without.insert(reply.host, without);
            }
        }
        Ok(Self { incidents, without: all_without, silent })
    }

    /// When a failure was, and its line.
    fn line(&self, id: &str, hosts: &Bundles) -> Option<(Wall, String)> {
        let all = || hosts.values().flatten().map(|seen| &seen.bundle);
        let at = all().map(|bundle| bundle.at).min()?;
        let size = words::bytes(all().map(|bundle| bundle.bytes).sum());
        // Others froze it because they were asked.
        let kind =
            all().map(|bundle| &*bundle.kind).find(|kind| *kind != "fleet").unwrap_or("fleet");
        let lacking = self.lacking(hosts);
        let asked = hosts.len() + lacking.values().map(Vec::len).sum::<usize>();
        let count = match lacking.is_empty() {
            true => words::counted(hosts.len() as u64, "host"),
            false => format!("{} of {asked} hosts", hosts.len()),
        };
        let names = listed(&hosts.keys().map(String::as_str).collect::<Vec<_>>());
        let mut line = format!("{}  {kind}  {id}  {count}: {names}", at.milliseconds());
        for (state, hosts) in lacking {
            line.push_str(&format!("; {state}: {}", listed(&hosts)));
        }
        if let Some(first) = first_of(hosts) {
            line.push_str(&format!("; {first}"));
        }
        line.push_str(&format!("; {size}"));
        Some((at, line))
    }

    /// Hosts that were asked for this failure and have nothing of it, by what they answered.
    fn lacking(&self, hosts: &Bundles) -> BTreeMap<String, Vec<&str>> {
        let ids: BTreeSet<&String> =
            hosts.values().flatten().flat_map(|seen| &seen.bundle.ids).collect();
        let mut lacking: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (host, outcomes) in self.without.iter().filter(|(host, _)| !hosts.contains_key(*host)) {
            if let Some(outcome) = outcomes.iter().find(|outcome| ids.contains(&outcome.id)) {
                lacking.entry(outcome.state.to_string()).or_default().push(host);
            }
        }
        lacking
    }

    fn print_json(&self) -> Result<ExitCode> {
        let incidents = self.incidents.iter().map(|(id, hosts)| {
            let bundles = |seen: &Vec<SeenBundle>| -> Vec<Value> {
                seen.iter().map(|seen| json!(seen.bundle)).collect()
            };
            let hosts: Map<String, Value> =
                hosts.iter().map(|(host, seen)| (host.clone(), bundles(seen).into())).collect();
            (id.clone(), hosts.into())
        });
        let first = self.incidents.iter().map(|(id, hosts)| (id.clone(), json!(first(hosts))));
        let told = json!({
            "incidents": incidents.collect::<Map<String, Value>>(),
            "first": first.collect::<Map<String, Value>>(),
            "without": self.without,
            "silent": self.silent,
        });
        print(&visible::json(&told.to_string())).map(|()| ExitCode::SUCCESS)
    }

    fn name_silent(&self) {
        for host in &self.silent {
            eprintln!("{}: SILENT", plain(host));
        }
    }
}

/// Hosts whose onset may have been the first.
fn first(hosts: &Bundles) -> Vec<&str> {
    let told = hosts.iter().filter_map(|(host, bundles)| {
        let with_onset = || bundles.iter().filter(|seen| seen.bundle.onset.is_some());
        let known: Option<Vec<OnsetSpan>> = with_onset().map(|seen| seen.onset).collect();
        let any = with_onset().next().is_some();
        any.then(|| (host.as_str(), known.as_deref().and_then(OnsetSpan::earliest)))
    });
    onsets::first(&told.collect::<Vec<_>>())
}

/// The same for a person; none where one host or none tells of an onset.
fn first_of(hosts: &Bundles) -> Option<String> {
    let with_onset = |seen: &Vec<SeenBundle>| seen.iter().any(|seen| seen.bundle.onset.is_some());
    if hosts.values().filter(|seen| with_onset(seen)).count() < 2 {
        return None;
    }
    match &first(hosts)[..] {
        [host] => Some(format!("first at {host}")),
        several => Some(format!("first at one of {}, clocks do not tell which", listed(several))),
    }
}

fn listed(hosts: &[&str]) -> String {
    let named = hosts.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match hosts.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Prints what the reports of a failure conclude.
fn reports(place: &Place, id: &str) -> Result<ExitCode> {
    let options = place.options()?;
    let person = place.connect(&options)?;
    let known = person.members()?;
    let asking = Inquiry::Reports { id: id.to_owned() };
    let mut is_known = false;
    for Arrived { reply, .. } in person.ask(asking, place.patience(), all_of(known.keys()))? {
        let host = &reply.host;
        match &reply.told {
            Told::Reports { reports, .. } if reports.is_empty() => continue,
            Told::Reports { .. } if place.json => print(&visible::json(&json!(reply).to_string()))?,
            Told::Reports { reports, more } => {
                reports.iter().try_for_each(|report| conclusion(host, report))?;
                if *more > 0 {
                    print(&plain(&format!("{host}: {more} more reports had no room")))?;
                }
            }
            Told::Refused { why } => eprintln!("{}: {}", plain(host), plain(why)),
            _ => continue,
        }
        is_known = true;
    }
    if is_known { Ok(ExitCode::SUCCESS) } else { Err(unknown(id)) }
}

fn conclusion(host: &str, report: &Conclusion) -> Result<()> {
    let Conclusion { name, headline, steps, more } = report;
    print(&plain(&format!("{host}: {name}")))?;
    print(&plain(&format!("  {headline}")))?;
    for ConclusionStep { time, about, sentence } in steps {
        let about = if *about { "~" } else { " " };
        print(&plain(&format!("  {about}{}  {sentence}", time.time_of_day())))?;
    }
    if *more > 0 {
        print(&format!("  and {more} more"))?;
    }
    Ok(())
}

fn unknown(id: &str) -> Error {
    let accepted = "an identifier that `dashcap fleet incidents` lists";
    Error::usage("ID", id, "nobody knows it", accepted)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fleet::answer::State;

    fn seen(kind: &str, at: u64, age: Option<u64>) -> SeenBundle {
        let second = 1_000_000_000;
        let onset = age.map(|age| OnsetSince {
            onset: OnsetThere {
                at: Wall(at * second),
                error: Duration::ZERO,
                kind: "link_down".into(),
                sentence: None,
            },
            age_ns: Some(age * second),
        });
        let now = Wall(1_000 * second);
        let span = onset.as_ref().and_then(|onset| OnsetSpan::of(onset, now, now));
        let bundle = FleetBundle {
            name: "x".into(),
            ids: vec!["a-1".into(), "b-7".into()],
            kind: kind.into(),
            at: Wall(at * second),
            frames: 1,
            bytes: 1_000,
            kept: false,
            onset,
        };
        SeenBundle { bundle, onset: span }
    }

    fn gathered() -> Gathered {
        Gathered { incidents: BTreeMap::new(), without: BTreeMap::new(), silent: Vec::new() }
    }

    #[test]
    fn a_failure_is_one_line_named_by_who_saw_it() {
        let hosts = BTreeMap::from([
            ("a".to_owned(), vec![seen("link-down", 9, None)]),
            ("b".to_owned(), vec![seen("fleet", 8, None)]),
        ]);
        let (at, line) = gathered().line("a-1", &hosts).unwrap();
        assert_eq!(at, Wall(8_000_000_000));
        assert!(line.contains("link-down  a-1  2 hosts: a, b; 2"), "{line}");
    }

    #[test]
    fn who_has_nothing_is_named_and_who_was_first_where_that_is_known() {
        let hosts = |a, b| {
            BTreeMap::from([
                ("a".to_owned(), vec![seen("fleet", 8, Some(a))]),
                ("b".to_owned(), vec![seen("link-down", 9, Some(b))]),
            ])
        };
        let outcome = |id: &str, state| NoticeOutcome { id: id.into(), state, why: None };
        let mut gathered = gathered();
        for (host, id, state) in [
            ("c", "b-7", State::Late),
            ("d", "a-1", State::Refused),
            ("e", "x-1", State::Late),
            ("a", "a-1", State::Refused),
        ] {
            gathered.without.insert(host.into(), vec![outcome(id, state)]);
        }
        let (_, line) = gathered.line("a-1", &hosts(100, 102)).unwrap();
        let told = "2 of 4 hosts: a, b; late: c; refused: d; first at b; 2";
        assert!(line.contains(told), "{line}");
        let (_, line) = gathered.line("a-1", &hosts(102, 102)).unwrap();
        assert!(line.contains("first at one of a, b, clocks do not tell which"), "{line}");
        let shown = seen("link-down", 9, Some(100)).line("b");
        assert!(shown.contains("began 00:15:00.000 ± 105"), "{shown}");
    }
}
