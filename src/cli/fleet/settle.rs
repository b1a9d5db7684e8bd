//! `dashcap fleet keep` and `release`: what becomes of a window that hosts hold, and of their bundles.
//!
//! Only whoever had a window held may settle it: the server says who asks, and a recorder knows who asked.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::place::Place;
use crate::cli::control::print;
use crate::error::{Error, Result};
use crate::fleet::answer::State;
use crate::fleet::bus::Person;
use crate::fleet::inquiry::{Arrived, Inquiry, Reply, Told, all_of};
use crate::fleet::notice::{Mode, Notice};
use crate::fleet::subject::Addressee;
use crate::time::Clock;
use crate::visible::{self, plain};
use crate::words;

/// Have what is held written; mark the bundles of a failure to be kept on every host.
///
/// A window that `dashcap fleet freeze --hold` had held, as the same person, is written as a bundle. Of any other
/// failure the bundles are marked: the limits on their host remove none of them. Hosts that are silent are told through
/// the server's stream to write what they hold, within `late`.
#[derive(Debug, Args)]
pub(super) struct Keep {
    /// Its identifier, as `dashcap fleet freeze` or `incidents` tells it.
    id: String,
}

/// Give up what is held; take the marks of a failure's bundles away on every host.
///
/// A window that `dashcap fleet freeze --hold` had held, as the same person, is given up, and nothing of it is written.
/// Of any other failure the bundles lose the mark that `dashcap fleet keep` or anybody else gave them: the limits on their
/// host may remove them. Hosts that are silent are told through the server's stream to give up what they hold, within
/// `late`.
#[derive(Debug, Args)]
pub(super) struct Release {
    /// Its identifier, as `dashcap fleet freeze` or `incidents` tells it.
    id: String,
}

impl Keep {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        let asking = Inquiry::Keep { id: self.id.clone() };
        settle(place, &self.id, asking, Mode::Confirm)
    }
}

impl Release {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        let asking = Inquiry::Release { id: self.id.clone() };
        settle(place, &self.id, asking, Mode::Release)
    }
}

fn settle(place: &Place, id: &str, asking: Inquiry, mode: Mode) -> Result<ExitCode> {
    let options = place.options()?;
    let person = place.connect(&options)?;
    let mut silent: Vec<String> = person.members()?.into_keys().collect();
    let arrived = person.ask(asking, place.patience(), all_of(&silent))?;
    silent.retain(|host| !arrived.iter().any(|one| one.reply.host == *host));
    let is_held = |one: &Arrived| matches!(one.reply.told, Told::Settled { .. });
    let held = arrived.iter().any(is_held);
    let mut somebody = false;
    for Arrived { reply, .. } in arrived {
        if let Some(told) = told(&reply) {
            somebody = true;
            print(&if place.json {
                visible::json(&json!(reply).to_string()).into_owned()
            } else {
                plain(&told).into_owned()
            })?;
        } else if let Told::Refused { why } = &reply.told {
            eprintln!("{}: {}", plain(&reply.host), plain(why));
        }
    }
    for host in &silent {
        eprintln!("{}: SILENT", plain(host));
    }
    if (held || !somebody) && !silent.is_empty() {
        let name = options.user.as_deref().unwrap_or_default();
        tell_later(&person, &silent, name, id, mode)?;
    }
    if somebody { Ok(ExitCode::SUCCESS) } else { Err(unknown(id)) }
}

/// What a host holds that is silent now is settled once it has read the stream.
fn tell_later(person: &Person, silent: &[String], name: &str, id: &str, mode: Mode) -> Result<()> {
    let now = Clock::system().now();
    let notice = Notice::settling(name, id, mode, now.wall)?;
    let to: Vec<_> = silent.iter().cloned().map(Addressee::Host).collect();
    person.freeze(&notice, now.mono, &to, Duration::ZERO, |_| true)
}

/// What a host did; none if it has nothing of it.
fn told(Reply { host, told, .. }: &Reply) -> Option<String> {
    let bundles = |count: usize| words::counted(count as u64, "bundle");
    match told {
        Told::Settled { state: State::Released, .. } => Some(format!("{host}: released")),
        Told::Settled { state, incident, why } => {
            let more: String = incident.iter().chain(why).map(|more| format!("; {more}")).collect();
            Some(format!("{host}: {state}{more}"))
        }
        Told::Kept { count: count @ 1.. } => Some(format!("{host}: {}", bundles(*count))),
        Told::Released { count: count @ 1.. } => {
            Some(format!("{host}: no mark on {}", bundles(*count)))
        }
        _ => None,
    }
}

fn unknown(id: &str) -> Error {
    let reason = "nobody has a bundle of it, or holds it for whoever asks";
    let accepted = "an identifier that `dashcap fleet freeze` or `incidents` tells";
    Error::usage("ID", id, reason, accepted)
}
