//! `dashcap arm` and `dashcap disarm`: whether triggers count.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::control::{Control, unexpected};
use crate::api::protocol::{Answer, Command};
use crate::error::Result;

/// Make the triggers of a running dashcap count again.
#[derive(Debug, Args)]
pub(super) struct Arm {
    #[command(flatten)]
    control: Control,
}

/// Make the triggers of a running dashcap not count, as for planned work; it goes on recording.
///
/// Only `dashcap snapshot` and SIGUSR1 open incidents then. An open incident goes on. A dashcap that is
/// started again is armed.
#[derive(Debug, Args)]
pub(super) struct Disarm {
    #[command(flatten)]
    control: Control,
}

impl Arm {
    pub(super) fn start(self) -> Result<ExitCode> {
        tell(&self.control, &Command::Arm {})
    }
}

impl Disarm {
    pub(super) fn start(self) -> Result<ExitCode> {
        tell(&self.control, &Command::Disarm {})
    }
}

fn tell(control: &Control, command: &Command) -> Result<ExitCode> {
    let answer = control.ask(command)?.answer()?;
    let Answer::Arming { armed } = answer else { return Err(unexpected(&answer)) };
    let words = if armed { "armed" } else { "disarmed: triggers are ignored until `dashcap arm`" };
    control.show(&json!({ "armed": armed }), words)?;
    Ok(ExitCode::SUCCESS)
}
