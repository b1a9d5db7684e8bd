//! `dashcap fleet`: the hosts that freeze the same seconds, asked by one person.
//!
//! What other hosts say was on networks and in logs, so nothing of it reaches the terminal but letters.

mod emulate;
mod fetch;
mod freeze;
mod headers;
mod incidents;
mod init;
mod onsets;
mod place;
mod report;
mod settle;
mod who;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::place::Place;
use super::log::StatusLine;
use crate::error::Result;

/// See who is in the fleet, have all freeze the same seconds, read what they kept.
///
/// Without a subcommand: who is there, how far back its memory reaches, how its clock differs from the one here; who
/// was there within a week and is silent.
#[derive(Debug, Args)]
pub(super) struct Fleet {
    #[command(subcommand)]
    what: Option<Do>,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum Do {
    Init(init::Init),
    Freeze(freeze::Freeze),
    Incidents(incidents::Incidents),
    Show(incidents::Show),
    Fetch(fetch::Fetch),
    Keep(settle::Keep),
    Release(settle::Release),
    Report(report::FleetReport),
    Headers(headers::Headers),
    Emulate(emulate::Emulate),
}

impl Fleet {
    pub(super) fn start(self, line: &StatusLine) -> Result<ExitCode> {
        let place = self.place;
        match self.what {
            None => who::run(&place),
            Some(Do::Init(init)) => init.start(&place),
            Some(Do::Freeze(freeze)) => freeze.start(&place),
            Some(Do::Incidents(incidents)) => incidents.start(&place),
            Some(Do::Show(show)) => show.start(&place),
            Some(Do::Keep(keep)) => keep.start(&place),
            Some(Do::Fetch(fetch)) => fetch.start(&place, line),
            Some(Do::Release(release)) => release.start(&place),
            Some(Do::Report(report)) => report.start(&place, line),
            Some(Do::Headers(headers)) => headers.start(),
            Some(Do::Emulate(emulate)) => emulate.start(&place),
        }
    }
}
