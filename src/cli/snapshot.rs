//! `dashcap snapshot`: freeze the window around now.

use std::process::ExitCode;

use clap::Args;

use super::control::{Control, print, unexpected};
use super::values::TimeSpan;
use crate::api::protocol::{Answer, Command};
use crate::api::question::{Fate, Verdict};
use crate::error::{Error, Result};
use crate::visible;

/// Have a running dashcap freeze the window around now.
///
/// Exit status: 0 frozen (with --wait: and written), 1 dashcap is not reached or the bundle is lost, 2 what
/// was typed has no meaning, 3 nothing was frozen.
#[derive(Debug, Args)]
pub(super) struct Snapshot {
    /// Why, for the manifest: "users complain".
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,

    /// Time kept from before, up to 24h, as far as memory reaches [default: --pre of the running dashcap].
    #[arg(long, value_name = "DUR")]
    pre: Option<TimeSpan>,

    /// Time kept from after, up to 24h [default: --post of the running dashcap].
    #[arg(long, value_name = "DUR")]
    post: Option<TimeSpan>,

    /// Wait until the bundle is whole, and print its path on standard output.
    #[arg(short, long)]
    wait: bool,

    #[command(flatten)]
    control: Control,
}

/// Exit status when dashcap had a reason not to freeze anything.
const NOTHING_FROZEN: u8 = 3;

impl Snapshot {
    pub(super) fn start(self) -> Result<ExitCode> {
        let [pre, post] = [self.pre, self.post].map(|span| span.map(|span| span.0));
        let (reason, wait) = (self.reason.clone(), self.wait);
        let mut client = self.control.ask(&Command::Snapshot { reason, pre, post, wait })?;
        let answer = client.answer()?;
        let Answer::Verdict(verdict) = &answer else { return Err(unexpected(&answer)) };
        if self.wait && !self.control.json {
            // Standard output is for the path alone.
            eprintln!("{verdict}");
        } else {
            self.control.show(verdict, &verdict.to_string())?;
        }
        match verdict {
            Verdict::Ignored { .. } => return Ok(ExitCode::from(NOTHING_FROZEN)),
            _ if !self.wait => return Ok(ExitCode::SUCCESS),
            _ => {}
        }
        let answer = client.answer()?;
        let Answer::Fate(fate) = &answer else { return Err(unexpected(&answer)) };
        match fate {
            Fate::Written { path, .. } => {
                self.control.show(fate, path)?;
                Ok(ExitCode::SUCCESS)
            }
            Fate::Lost { name, reason } => {
                if self.control.json {
                    print(&visible::json(&serde_json::to_string(fate).unwrap_or_default()))?;
                }
                Err(Error::operation("write bundle", name, reason))
            }
        }
    }
}
