//! `dashcap top`: look at a running dashcap.
//!
//! The screen is a feature of the build, and cut off here.

#[cfg_attr(not(feature = "top"), path = "absent.rs")]
mod screen;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::values::severity;
use crate::api::control;
use crate::error::Result;
use crate::finding::Severity;

/// Look at a running dashcap: interfaces with their rates, how far back memory reaches by class, drops,
/// watchers, events and incidents; press ? there for the keys.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Control socket of the dashcap that is shown [default: $RUNTIME_DIRECTORY/control.sock or
    /// /run/dashcap/control.sock].
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// Show only events that are at least as bad: info, notice, warning or critical [default: info, all].
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    severity: Option<Severity>,
}

impl Watch {
    pub(super) fn start(self) -> Result<ExitCode> {
        let path = self.control.unwrap_or_else(control::default_path);
        screen::run(&path, self.severity).map(|()| ExitCode::SUCCESS)
    }
}
