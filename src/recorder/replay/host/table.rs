//! `timeline.csv`, as [`crate::incident::timeline`] writes it, or a table that an operator's own script
//! wrote: a date, an interface and a state are needed, the rest may be missing.
//!
//! A table says how things were at each row. That something changed in between shows in the next row,
//! and `age` tells when: a row of 14:14:30 with *down* for 9.2 s is a change at 14:14:20.8, never before
//! the interface's row before it. Changes are told by `chngs` also where the state is the same again.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use csv::StringRecord;

use super::{HostEvents, moment, refused};
use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::observation::link::{LinkSample, LinkState, OperState};
use crate::time::Wall;
use crate::visible;
use crate::watch::table::GONE;

const ACCEPTED: &str = "a header such as date,if,carr,state,age,chngs,ping HOST, then rows such as \
                        2026-11-22T14:14:20.811Z,eth0,0,down,0.000,4,lost";
/// A column's name here, and what else it may be called.
const DATE: &[&str] = &["date", "time"];
const INTERFACE: &[&str] = &["if", "interface"];
const CARRIER: &[&str] = &["carr", "carrier"];
const STATE: &[&str] = &["state", "operstate"];
const AGE: &[&str] = &["age", "opstate_age"];
const CHANGES: &[&str] = &["chngs", "changes", "opstate_changes"];
/// Begins the name of a probe's column.
const PING: &str = "ping ";
/// Stands in it for a lost one.
const LOST: &str = "lost";

/// Where what stands.
struct Columns {
    date: usize,
    interface: usize,
    carrier: Option<usize>,
    state: usize,
    age: Option<usize>,
    changes: Option<usize>,
    pings: Vec<(String, usize)>,
}

/// A row.
#[derive(Debug, Clone)]
struct TableRow {
    date: Wall,
    carrier: Option<bool>,
    state: String,
    age: Option<Duration>,
    changes: Option<u64>,
}

/// What was told so far.
struct LastRows {
    /// The latest row of each interface, and its number among them.
    rows: BTreeMap<String, (u32, TableRow)>,
    /// Whose rows tell of probes: of one interface, since each probe stands in all rows.
    speaker: Option<String>,
    /// Losses in a row, by probe.
    lost: Vec<u32>,
}

/// Adds a sample for each row, and if `with_changes` what happened between them.
pub(super) fn read(
    path: &Path,
    file: impl Read,
    with_changes: bool,
    events: &mut HostEvents,
) -> Result<()> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(file);
    let header = reader.headers().map_err(|e| failed(path, &e))?;
    let columns = Columns::of(header).map_err(|reason| refused(path, 1, reason, ACCEPTED))?;
    let mut told =
        LastRows { rows: BTreeMap::new(), speaker: None, lost: vec![0; columns.pings.len()] };
    for record in reader.records() {
        let record = record.map_err(|e| failed(path, &e))?;
        let number = record.position().map_or(0, csv::Position::line);
        let row = columns.row(&record).map_err(|reason| refused(path, number, reason, ACCEPTED))?;
        let interface = record.get(columns.interface).unwrap_or_default();
        let interface = visible::of_field(interface).to_owned();
        if with_changes {
            events.watched.insert(interface.clone());
            if let Some((at, fact)) = told.changes(&interface, &row) {
                events.add(path, at, fact)?;
            }
            if *told.speaker.get_or_insert_with(|| interface.clone()) == interface {
                for fact in told.probes(&columns, &record) {
                    events.add(path, row.date, fact)?;
                }
            }
        }
        let index = u32::try_from(told.rows.len()).unwrap_or(u32::MAX).saturating_add(1);
        let index = told.rows.get(&interface).map_or(index, |(index, _)| *index);
        events.add(path, row.date, Fact::Sample(row.sample(&interface)))?;
        told.rows.insert(interface, (index, row));
    }
    events.has_rows = true;
    Ok(())
}

fn failed(path: &Path, error: &csv::Error) -> Error {
    Error::operation("read", path.display().to_string(), error)
        .hint(format!("accepted: {ACCEPTED}"))
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, String> {
        let find = |names: &[&str]| header.iter().position(|column| names.contains(&column));
        let need = |names: &[&str]| find(names).ok_or(format!("there is no column {:?}", names[0]));
        let ping = |(at, name): (usize, &str)| Some((name.strip_prefix(PING)?.to_owned(), at));
        Ok(Self {
            date: need(DATE)?,
            interface: need(INTERFACE)?,
            carrier: find(CARRIER),
            state: need(STATE)?,
            age: find(AGE),
            changes: find(CHANGES),
            pings: header.iter().enumerate().filter_map(ping).collect(),
        })
    }

    fn row(&self, record: &StringRecord) -> Result<TableRow, String> {
        let field = |at: usize| record.get(at).unwrap_or_default();
        let date = field(self.date);
        let state = field(self.state);
        if field(self.interface).is_empty() || state.is_empty() {
            return Err("an interface or a state is missing".to_owned());
        }
        let seconds = |at| field(at).parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
        Ok(TableRow {
            date: moment(date).ok_or(format!("{date:?} is no date"))?,
            carrier: match self.carrier.map(field) {
                Some("1") => Some(true),
                Some("0") => Some(false),
                _ => None,
            },
            state: state.to_owned(),
            age: self.age.and_then(seconds),
            changes: self.changes.and_then(|at| field(at).parse().ok()),
        })
    }
}

impl TableRow {
    fn sample(&self, interface: &str) -> LinkSample {
        LinkSample {
            interface: interface.to_owned(),
            carrier: self.carrier,
            operstate: self.state.clone(),
            age: self.age.unwrap_or_default(),
            changes: self.changes.unwrap_or_default(),
        }
    }

    fn is_gone(&self) -> bool {
        self.state == GONE
    }

    /// When the state began, not before `earliest`.
    fn since(&self, earliest: Wall) -> Wall {
        let age = self.age.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        Wall(self.date.0.saturating_sub(age).max(earliest.0))
    }

    /// As rtnetlink would have told it, with `falls` of all changes told as falls of the carrier.
    fn link(&self, name: &str, index: u32, falls: Option<u64>) -> LinkState {
        let operstate = operstate(&self.state);
        let counted = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        // The kernel does not tell the carrier of an interface that is administratively down.
        let down = self.carrier.is_none() && operstate == OperState::Down;
        LinkState {
            index,
            name: name.to_owned(),
            carrier: self.carrier,
            operstate,
            flags: if down { 0 } else { LinkState::IFF_UP },
            carrier_up_count: falls
                .zip(self.changes)
                .map(|(f, all)| counted(all.saturating_sub(f))),
            carrier_down_count: falls.map(counted),
            ..LinkState::default()
        }
    }
}

impl LastRows {
    /// What happened to an interface since its row before `row`.
    fn changes(&self, interface: &str, row: &TableRow) -> Option<(Wall, Fact)> {
        let (index, before) = self.rows.get(interface)?;
        let more =
            row.changes.zip(before.changes).map_or(0, |(now, then)| now.saturating_sub(then));
        let differs = row.state != before.state || row.carrier != before.carrier;
        if !differs && more == 0 {
            return None;
        }
        // Of two changes, one was a fall; of one, what the states tell.
        let falls = before.changes.map(|changes| changes / 2);
        let now = row.link(interface, *index, falls.map(|falls| falls + more / 2));
        let then = before.link(interface, *index, falls);
        let fact = match (before.is_gone(), row.is_gone()) {
            (false, true) => Fact::LinkGone { last: then },
            (true, false) => Fact::Link { before: None, now },
            _ => Fact::Link { before: Some(then), now },
        };
        Some((row.since(before.date), fact))
    }

    fn probes(&mut self, columns: &Columns, record: &StringRecord) -> Vec<Fact> {
        let tell = |((probe, at), lost): (&(String, usize), &mut u32)| {
            let probe = probe.clone();
            let address: IpAddr = probe.parse().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            let field = record.get(*at).filter(|field| !field.is_empty())?;
            if field == LOST {
                *lost += 1;
                let reason = "no answer, says the table".to_owned();
                // Nobody tells when it was sent.
                let (in_a_row, waited) = (*lost, Duration::ZERO);
                return Some(Fact::ProbeLost { probe, address, in_a_row, waited, reason });
            }
            let milliseconds: f64 = field.parse().ok()?;
            let round_trip = Duration::try_from_secs_f64(milliseconds / 1e3).ok()?;
            *lost = 0;
            Some(Fact::ProbeAnswered { probe, address, round_trip })
        };
        columns.pings.iter().zip(&mut self.lost).filter_map(tell).collect()
    }
}

/// As sysfs words it.
fn operstate(text: &str) -> OperState {
    match text {
        "notpresent" => OperState::NotPresent,
        "down" => OperState::Down,
        "lowerlayerdown" => OperState::LowerLayerDown,
        "testing" => OperState::Testing,
        "dormant" => OperState::Dormant,
        "up" => OperState::Up,
        _ => OperState::Unknown,
    }
}
