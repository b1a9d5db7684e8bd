//! `dashcap status`: how a running dashcap stands.

use std::process::ExitCode;

use clap::Args;

use super::control::{Control, unexpected};
use crate::api::protocol::{Answer, Command};
use crate::error::Result;

/// Show how a running dashcap stands: what is recorded and lost, how far back memory reaches, what is
/// armed, the open incident, bundles.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    control: Control,
}

impl Status {
    pub(super) fn start(self) -> Result<ExitCode> {
        let answer = self.control.ask(&Command::Status {})?.answer()?;
        let Answer::Status(standing) = &answer else { return Err(unexpected(&answer)) };
        self.control.show(standing, standing.to_string().trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}
