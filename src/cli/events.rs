//! `dashcap events`: what a running dashcap saw lately, and sees.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::control::{Control, unexpected};
use crate::api::protocol::{Answer, Command};
use crate::error::Result;

/// Show what a running dashcap saw lately, and with --follow what it sees.
///
/// With --json, lines are those of a bundle's events.jsonl. A reader that is too slow loses events and is
/// told how many; dashcap does not wait for it.
#[derive(Debug, Args)]
pub(super) struct Events {
    /// Go on showing what is seen, until interrupted or until dashcap ends.
    #[arg(short, long)]
    follow: bool,

    #[command(flatten)]
    control: Control,
}

impl Events {
    pub(super) fn start(self) -> Result<ExitCode> {
        let mut client = self.control.ask(&Command::Events { follow: self.follow })?;
        loop {
            match client.answer()? {
                Answer::Event { event } => self.control.show(&event, &words(&event))?,
                Answer::Missed { count } => {
                    let missed = json!({ "kind": "missed", "count": count });
                    self.control.show(&missed, &format!("({count} events missed here)"))?;
                }
                Answer::End => return Ok(ExitCode::SUCCESS),
                other => return Err(unexpected(&other)),
            }
        }
    }
}

/// `2026-11-22T14:14:20.811Z link       dp0bond0: DOWN, ...`; a trigger stands out.
fn words(event: &Value) -> String {
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    let time = text("time");
    // Nine digits are for files; people read three.
    let time = time.get(..23).map_or(time.to_owned(), |cut| format!("{cut}Z"));
    match text("kind") {
        "trigger" => format!("{time} TRIGGER    {}: {}", text("trigger"), text("sentence")),
        _ => format!("{time} {:<10} {}", text("watcher"), text("sentence")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let seen = json!({
            "time": "2026-11-22T14:14:20.811089123Z", "kind": "observation", "watcher": "link",
            "sentence": "eth0: DOWN",
        });
        assert_eq!(words(&seen), "2026-11-22T14:14:20.811Z link       eth0: DOWN");
        let pulled = json!({
            "time": "2026-11-22T14:14:20.811089123Z", "kind": "trigger", "trigger": "link-down",
            "sentence": "eth0: DOWN",
        });
        assert_eq!(words(&pulled), "2026-11-22T14:14:20.811Z TRIGGER    link-down: eth0: DOWN");
        assert_eq!(words(&json!({ "time": "é" })), "é            ");
    }
}
