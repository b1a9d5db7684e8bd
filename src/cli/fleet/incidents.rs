//! `dashcap fleet incidents` and `show`: what the hosts kept of one failure.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::place::Place;
use crate::cli::control::print;
use crate::error::{Error, Result};
use crate::fleet::inquiry::{Arrived, FleetBundle, Inquiry, Told};
use crate::time::Wall;
use crate::visible::{self, plain};
use crate::words;

/// List the incidents that several hosts kept: one line for each failure, the newest last.
#[derive(Debug, Args)]
pub(super) struct Incidents;

/// Tell what each host has of a failure.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its identifier, as `dashcap fleet incidents` lists it.
    id: String,
}

/// The bundles of one failure, by host.
type Bundles = BTreeMap<String, Vec<FleetBundle>>;

/// What was gathered.
struct Gathered {
    /// By the first notice of each failure.
    incidents: BTreeMap<String, Bundles>,
    silent: Vec<String>,
}

impl Incidents {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        let gathered = Gathered::of(place, None)?;
        if place.json {
            return gathered.print_json();
        }
        let incidents = gathered.incidents.iter();
        let mut lines: Vec<_> = incidents.filter_map(|(id, hosts)| line(id, hosts)).collect();
        lines.sort();
        for (_, line) in lines {
            print(&plain(&line))?;
        }
        gathered.name_silent();
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        let gathered = Gathered::of(place, Some(self.id.clone()))?;
        if place.json {
            return gathered.print_json();
        }
        for (host, bundles) in gathered.incidents.values().flatten() {
            for FleetBundle { name, frames, bytes, kept, .. } in bundles {
                let (frames, size) = (words::counted(*frames, "frame"), words::bytes(*bytes));
                let kept = if *kept { ", marked to be kept" } else { "" };
                print(&plain(&format!("{host}: {name}, {frames}, {size}{kept}")))?;
            }
        }
        gathered.name_silent();
        if gathered.incidents.is_empty() { Err(unknown(&self.id)) } else { Ok(ExitCode::SUCCESS) }
    }
}

impl Gathered {
    /// What all have, or have of one notice.
    fn of(place: &Place, id: Option<String>) -> Result<Self> {
        let options = place.options()?;
        let person = place.connect(&options)?;
        let known = person.members()?;
        let enough = |arrived: &[Arrived]| !known.is_empty() && arrived.len() >= known.len();
        let arrived = person.ask(Inquiry::Incidents { id }, place.patience(), enough)?;
        let mut incidents: BTreeMap<String, Bundles> = BTreeMap::new();
        let mut silent: Vec<String> = known.into_keys().collect();
        for Arrived { reply, .. } in arrived {
            silent.retain(|host| *host != reply.host);
            let Told::Incidents { bundles } = reply.told else { continue };
            for bundle in bundles {
                let Some(root) = bundle.ids.first().cloned() else { continue };
                let hosts = incidents.entry(root).or_default();
                hosts.entry(reply.host.clone()).or_default().push(bundle);
            }
        }
        Ok(Self { incidents, silent })
    }

    fn print_json(&self) -> Result<ExitCode> {
        let told = json!({ "incidents": self.incidents, "silent": self.silent }).to_string();
        print(&visible::json(&told)).map(|()| ExitCode::SUCCESS)
    }

    fn name_silent(&self) {
        for host in &self.silent {
            eprintln!("{}: SILENT", plain(host));
        }
    }
}

fn unknown(id: &str) -> Error {
    let accepted = "an identifier that `dashcap fleet incidents` lists";
    Error::usage("ID", id, "nobody has a bundle of it", accepted)
}

/// When a failure was, and its line.
fn line(id: &str, hosts: &Bundles) -> Option<(Wall, String)> {
    let all = || hosts.values().flatten();
    let at = all().map(|bundle| bundle.at).min()?;
    let names: Vec<_> = hosts.keys().map(String::as_str).collect();
    let size = words::bytes(all().map(|bundle| bundle.bytes).sum());
    // Others froze it because they were asked.
    let kind = all().map(|bundle| &*bundle.kind).find(|kind| *kind != "fleet").unwrap_or("fleet");
    let count = words::counted(names.len() as u64, "host");
    let when = at.milliseconds();
    Some((at, format!("{when}  {kind}  {id}  {count}: {}; {size}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_named_by_who_saw_it() {
        let bundle = |kind: &str, at| FleetBundle {
            name: "x".into(),
            ids: vec!["a-1".into()],
            kind: kind.into(),
            at: Wall(at),
            frames: 1,
            bytes: 1_000,
            kept: false,
        };
        let second = 1_000_000_000;
        let hosts = BTreeMap::from([
            ("a".to_owned(), vec![bundle("link-down", 9 * second)]),
            ("b".to_owned(), vec![bundle("fleet", 8 * second)]),
        ]);
        let (at, line) = line("a-1", &hosts).unwrap();
        assert_eq!(at, Wall(8 * second));
        assert!(line.contains("link-down  a-1  2 hosts: a, b; 2"), "{line}");
    }
}
