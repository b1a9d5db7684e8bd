//! `dashcap snapshot`: freeze the window around now, or around a moment that is over.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::control::{Control, print, unexpected};
use super::frames::moment;
use super::values::TimeSpan;
use crate::api::protocol::{Answer, Command, SnapshotWanted};
use crate::api::question::{Fate, Verdict};
use crate::error::{Error, Result};
use crate::observation::request::AHEAD;
use crate::time::Clock;
use crate::visible;

/// Have a running dashcap freeze the window around now, or around a moment that is over.
///
/// Of a moment that is over the window is kept as far as memory still reaches; the answer says what of it is there.
/// Where a bundle has at least 90 % of the window already, it is named, and no second one is made.
///
/// Exit status: 0 frozen, or a bundle has it (with --wait: and written), 1 dashcap is not reached or the bundle is
/// lost, 2 what was typed has no meaning, 3 nothing was frozen, 4 too late: nothing of the window is left.
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

    /// Around this moment instead of now: RFC 3339, the local clock such as 14:14:20, or seconds since 1970.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "ago")]
    at: Option<String>,

    /// Around the moment that was so long ago, up to 24h.
    #[arg(long, value_name = "DUR")]
    ago: Option<TimeSpan>,

    /// With --at or --ago: a second bundle, though one has the window already.
    #[arg(long)]
    again: bool,

    /// Wait until the bundle is whole, and print its path on standard output.
    #[arg(short, long)]
    wait: bool,

    #[command(flatten)]
    control: Control,
}

/// Exit status when dashcap had a reason not to freeze anything.
const NOTHING_FROZEN: u8 = 3;
/// Exit status when memory no longer has anything of the window.
const LATE: u8 = 4;

impl Snapshot {
    pub(super) fn start(self) -> Result<ExitCode> {
        let mut client = self.control.ask(&Command::Snapshot(self.wanted()?))?;
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
            Verdict::Late { .. } => return Ok(ExitCode::from(LATE)),
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

    fn wanted(&self) -> Result<SnapshotWanted> {
        let now = Clock::system().now().wall;
        let [pre, post, ago] = [self.pre, self.post, self.ago].map(|span| span.map(|span| span.0));
        let at = self.at.as_deref().map(|text| moment("--at", text, now)).transpose()?;
        if let (Some(at), Some(text)) = (at.filter(|at| *at > now.plus(AHEAD)), &self.at) {
            let ahead = Duration::from_nanos(at.0 - now.0).as_secs_f64();
            let accepted = "a moment that is over; for what comes: --post";
            return Err(Error::usage("--at", text, format!("that is in {ahead:.1} s"), accepted));
        }
        let (reason, again, wait) = (self.reason.clone(), self.again, self.wait);
        Ok(SnapshotWanted { reason, pre, post, at, ago, again, wait })
    }
}
