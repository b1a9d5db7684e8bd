//! `dashcap status`: how a running dashcap stands.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::control::{Control, unexpected};
use crate::api::protocol::{Answer, Command};
use crate::api::status::{Depth, RecorderStatus};
use crate::error::Result;
use crate::stats::CaptureStats;
use crate::words;

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

/// A table of one screen; names are cut to its columns, and only the first interfaces are listed.
impl fmt::Display for RecorderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uptime = words(self.uptime_seconds);
        writeln!(f, "{} on {}, process {}, for {uptime}", self.program, self.host, self.process)?;
        row(f, "triggers", &self.arming())?;
        for line in &self.rules_in_lines {
            row(f, "", line)?;
        }
        if !self.unarmed.is_empty() {
            row(f, "unarmed", &self.unarmed.join(", "))?;
        }
        if let Some(open) = &self.incident {
            row(f, "incident", &open.to_string())?;
        }
        for waiting in self.waiting.iter().take(WAITING) {
            row(f, "waiting", &waiting.to_string())?;
        }
        row(f, "bundles", &self.bundles.to_string())?;
        row(f, "traffic", &format!("{:.0} frames/s", self.frames_per_second))?;
        row(f, "memory", &self.reach())?;
        row(f, "watchers", &self.watchers())?;
        for export in &self.exports {
            row(f, "export", &export.to_string())?;
        }
        if let Some(fleet) = &self.fleet {
            row(f, "fleet", &fleet.to_string())?;
        }
        for limitation in &self.limitations {
            row(f, "", limitation)?;
        }
        writeln!(f)?;
        self.table(f)
    }
}

/// Interfaces listed at most: with the lines above and below, one screen of 24 lines, if the usual triggers
/// are armed.
const LISTED: usize = 8;
/// Waiting triggers that are listed at most.
const WAITING: usize = 3;

impl RecorderStatus {
    fn arming(&self) -> String {
        match &self.disarmed_by {
            _ if self.armed => "armed:".to_owned(),
            by => format!(
                "DISARMED by {}, {} ignored; armed again they are:",
                by.as_deref().unwrap_or("somebody"),
                self.ignored_triggers
            ),
        }
    }

    fn reach(&self) -> String {
        let of = |depth: &Depth| format!("{} {}", depth.class, depth.words());
        let depths: Vec<_> = self.depths.iter().map(of).collect();
        let mib = self.memory_bytes as f64 / f64::from(1 << 20);
        let reach = if depths.is_empty() { "nothing yet".to_owned() } else { depths.join(", ") };
        format!(
            "{mib:.0} MiB hold {reach}; {} before a trigger are wanted",
            words(self.pre_seconds)
        )
    }

    fn watchers(&self) -> String {
        let names: Vec<_> = self
            .watchers
            .iter()
            .map(|watcher| match watcher.missed {
                0 => watcher.name.clone(),
                missed => format!("{} (missed {missed})", watcher.name),
            })
            .collect();
        let missed: u64 = self.watchers.iter().map(|watcher| watcher.missed).sum();
        format!(
            "{}; {missed} observations missed, {} forgotten",
            names.join(", "),
            self.forgotten_observations
        )
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<15} {:<4} {:>10} {:>11} {:>9} {:>11} {:>9} {:>4}",
            "interface", "is", "received", "stored", "folded", "kernel drop", "lane drop", "gaps"
        )?;
        for interface in self.interfaces.iter().take(LISTED) {
            let CaptureStats { stored, folded, lane_dropped, gaps, .. } = interface.counts;
            let known = |count: Option<u64>| count.map_or("unknown".to_owned(), |n| n.to_string());
            let name: String = interface.name.chars().take(15).collect();
            let state = interface.up.map_or("?", |up| if up { "up" } else { "down" });
            let received = known(interface.counts.kernel_received);
            let kernel = known(interface.counts.kernel_dropped);
            writeln!(
                f,
                "{name:<15} {state:<4} {received:>10} {stored:>11} {folded:>9} {kernel:>11} \
                 {lane_dropped:>9} {gaps:>4}"
            )?;
        }
        match self.interfaces.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more, see --json"),
        }
    }
}

/// Columns of a line, where a word ends before them.
const COLUMNS: usize = 100;
/// Columns of a row's head, and of what stands below it.
const HEAD: usize = 10;

fn row(f: &mut fmt::Formatter<'_>, head: &str, text: &str) -> fmt::Result {
    write!(f, "{head:<width$}", width = HEAD - 1)?;
    let mut column = HEAD - 1;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > HEAD && column + 1 + width > COLUMNS {
            write!(f, "\n{:width$}", "", width = HEAD - 1)?;
            column = HEAD - 1;
        }
        write!(f, " {word}")?;
        column += 1 + width;
    }
    writeln!(f)
}

/// `41 s`, `2 h`: in the largest unit of which there are at least two.
fn words(seconds: f64) -> String {
    words::rough(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::{Bundles, Interface, OpenIncident, Watcher};

    fn standing() -> RecorderStatus {
        let counts = CaptureStats {
            kernel_received: Some(1_234_567),
            kernel_dropped: Some(0),
            stored: 1_000_000,
            folded: 234_567,
            ..CaptureStats::default()
        };
        let interface = |name: &str| Interface {
            name: name.into(),
            up: Some(true),
            source: "packet ring".into(),
            counts,
            classes: Vec::new(),
        };
        RecorderStatus {
            program: "dashcap 0.1.0".into(),
            host: "router".into(),
            process: 4_711,
            uptime_seconds: 7_300.0,
            armed: true,
            rules: vec!["link-down".into(), "signal".into()],
            rules_in_lines: vec!["link-down, signal".into()],
            unarmed: vec!["link-up".into()],
            frames_per_second: 1_234.5,
            memory_bytes: 256 << 20,
            pre_seconds: 120.0,
            depths: vec![
                Depth {
                    class: "control".into(),
                    full_seconds: 4e4,
                    seconds: 4e4,
                    held_seconds: 7_300.0,
                    is_everything: true,
                    ..Depth::default()
                },
                Depth {
                    class: "data".into(),
                    full_seconds: 41.0,
                    seconds: 41.0,
                    held_seconds: 41.0,
                    is_known: true,
                    is_everything: false,
                },
            ],
            interfaces: vec![interface("eth0"), interface("dp0bond0.956")],
            bundles: Bundles { directory: "/var/lib/dashcap".into(), ..Bundles::default() },
            watchers: vec![
                Watcher { name: "link".into(), missed: 0, running: true },
                Watcher { name: "probe".into(), missed: 3, running: true },
            ],
            ..RecorderStatus::default()
        }
    }

    #[test]
    fn a_table_fits_one_screen() {
        let mut standing = standing();
        assert_eq!(
            standing.to_string(),
            "dashcap 0.1.0 on router, process 4711, for 2 h\n\
             triggers  armed:\n          link-down, signal\n\
             unarmed   link-up\n\
             bundles   0 written, 0 pending, 0 lost, 0 removed; in /var/lib/dashcap\n\
             traffic   1234 frames/s\n\
             memory    256 MiB hold control everything so far (2 h), data 41 s; 2 min before a trigger are wanted\n\
             watchers  link, probe (missed 3); 3 observations missed, 0 forgotten\n\
             \n\
             interface       is     received      stored    folded kernel drop lane drop gaps\n\
             eth0            up      1234567     1000000    234567           0         0    0\n\
             dp0bond0.956    up      1234567     1000000    234567           0         0    0\n"
        );
        let one = standing.interfaces[0].clone();
        standing.interfaces = vec![one; 30];
        standing.incident = Some(OpenIncident::default());
        let shown = standing.to_string();
        assert!(shown.contains("and 22 more") && shown.lines().count() <= 24, "{shown}");
    }

    #[test]
    fn disarmed_cannot_be_overlooked() {
        let standing = RecorderStatus {
            armed: false,
            disarmed_by: Some("uid 0, process 7".into()),
            ignored_triggers: 2,
            ..standing()
        };
        let shown = standing.to_string();
        assert!(shown.contains("DISARMED by uid 0, process 7, 2 ignored"), "{shown}");
    }
}
