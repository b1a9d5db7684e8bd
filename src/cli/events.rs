//! `dashcap events`: what a running dashcap saw lately, and sees.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::control::{Control, print, unexpected};
use super::values::severity;
use crate::api::digest::{Digest, DigestLine};
use crate::api::protocol::{Answer, Command};
use crate::error::Result;
use crate::finding::Severity;
use crate::visible;

/// Show what a running dashcap saw lately, and with --follow what it sees.
///
/// Answers of probes that come one after the other are told together. With --json, lines are those of a
/// bundle's events.jsonl, each of them. A reader that is too slow loses events and is
/// told how many; dashcap does not wait for it.
#[derive(Debug, Args)]
pub(super) struct Events {
    /// Go on showing what is seen, until interrupted or until dashcap ends.
    #[arg(short, long)]
    follow: bool,

    /// Only what is at least as bad: info, notice, warning or critical [default: info, everything].
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    severity: Option<Severity>,

    #[command(flatten)]
    control: Control,
}

impl Events {
    pub(super) fn start(self) -> Result<ExitCode> {
        let mut client = self.control.ask(&Command::Events { follow: self.follow })?;
        let mut digest = Digest::new(self.severity);
        loop {
            match client.answer()? {
                Answer::Event { event } if self.control.json => {
                    if digest.admits(&event) {
                        print(&visible::json(&event.to_string()))?;
                    }
                }
                Answer::Event { event } => show(&digest.lines(&event))?,
                Answer::Missed { count } => {
                    show(&digest.rest())?;
                    let missed = json!({ "kind": "missed", "count": count });
                    self.control.show(&missed, &format!("({count} events missed here)"))?;
                }
                Answer::End => {
                    show(&digest.rest())?;
                    return Ok(ExitCode::SUCCESS);
                }
                other => return Err(unexpected(&other)),
            }
        }
    }
}

fn show(lines: &[DigestLine]) -> Result<()> {
    lines.iter().try_for_each(|line| print(&words(line)))
}

/// `2026-11-22T14:14:20.811Z link       dp0bond0: DOWN, ...`; a trigger stands out.
fn words(DigestLine { time, who, sentence }: &DigestLine) -> String {
    // Nine digits are for files; people read three.
    let time = time.get(..23).map_or(time.clone(), |cut| format!("{cut}Z"));
    format!("{time} {who:<10} {sentence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let line = |time: &str| DigestLine {
            time: time.to_owned(),
            who: "link".to_owned(),
            sentence: "eth0: DOWN".to_owned(),
        };
        let told = words(&line("2026-11-22T14:14:20.811089123Z"));
        assert_eq!(told, "2026-11-22T14:14:20.811Z link       eth0: DOWN");
        assert_eq!(words(&line("é")), "é link       eth0: DOWN");
    }
}
