//! `dashcap fleet init`: what the server needs.

use std::process::ExitCode;

use clap::Args;

use super::place::Place;
use crate::cli::control::print;
use crate::error::{Error, Result};
use crate::fleet::inquiry::Inquiry;
use crate::fleet::token::{is_token, token};
use crate::fleet::{check_name, permissions};
use crate::time::Clock;

/// Print what each member may say and hear, for nats-server.conf; make the fleet's streams.
///
/// With --host and --person the part of the configuration is printed and nothing else is done: put it into
/// nats-server.conf, with each one's own password, and start the server. Without them the streams are made on it, as
/// one of those persons: the notices of the last minutes (`late`), for those who missed them, and the last presence of
/// each host.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// A recorder of the fleet; repeat for several.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// A person who may ask them; repeat for several.
    #[arg(long = "person", value_name = "NAME")]
    persons: Vec<String>,
}

impl Init {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        let fleet = place.fleet()?;
        let named = || self.hosts.iter().chain(&self.persons);
        if let Some(wrong) = named().find(|name| !is_token(&token(name))) {
            let accepted = "a name of up to 80 characters";
            return Err(Error::usage("NAME", wrong, "it is empty or too long", accepted));
        }
        if named().next().is_some() {
            check_name(fleet.name())?;
            let snippet = permissions::snippet(fleet.name(), &self.hosts, &self.persons);
            print(snippet.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        let options = place.options()?;
        let person = place.connect(&options)?;
        person.make_streams(options.late)?;
        // Those who are there already say so once more, since now there is something that keeps it.
        let sent = Clock::system().now().wall;
        person.ask(Inquiry::Who { sent }, place.patience(), |_| false)?;
        let members = person.members()?.len();
        print(&format!("the streams of {} are made; {members} hosts were heard of", options.name))?;
        Ok(ExitCode::SUCCESS)
    }
}
