//! `dashcap check`: what a configuration means, and what is wrong with it, before it is used.

use std::process::ExitCode;

use clap::Args;

use super::run;
use super::settings::Settings;
use super::values::{Size, TimeSpan};
use crate::detect::traffic::Bound;
use crate::error::Result;
use crate::hook::When;
use crate::observation::attribute::Condition;
use crate::recorder::{Links, Options, Selection, WatcherOptions};
use crate::trigger::Rule;
use crate::watch::link::{self, LinkWatcher};

/// Say what a configuration means, or what is wrong with it; records nothing.
///
/// Takes the options of `run`. Names, filters, wildcards, expressions and times are all looked at;
/// interfaces and hosts are those of the machine it will run on, so they need not exist here. Exit
/// status: 0 it can be used, 1 the file cannot be read, 2 something has no meaning.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    settings: Settings,
}

impl Check {
    pub(super) fn start(self) -> Result<ExitCode> {
        let options = self.settings.options(run::DEFAULTS, Settings::usual_rules)?;
        for line in meaning(&options) {
            println!("{line}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is recorded, armed and kept, a line each.
fn meaning(options: &Options) -> Vec<String> {
    let window = options.window;
    let span = |duration| TimeSpan(duration).to_string();
    let mut lines = vec![
        format!("records   {}", recorded(&options.interfaces)),
        format!(
            "frames    {}",
            options
                .capture
                .filter()
                .map_or("all".to_owned(), |filter| format!("that match {filter}"))
        ),
        format!("memory    {}", Size(options.pool.memory)),
        format!(
            "window    {} before, {} after, {} at most; {} until the same opens another",
            span(window.pre),
            span(window.post),
            span(window.limit),
            span(options.cool_down)
        ),
    ];
    let classes = options.capture.classes.names();
    lines.push(format!("classes   {}", classes.join(", ")));
    for probe in &options.probes {
        lines.push(format!(
            "probe     {} every {}, lost after {} in a row without an answer within {}",
            probe.host,
            span(probe.interval),
            probe.fall,
            span(probe.timeout)
        ));
    }
    lines.extend(watchers(options));
    lines.extend(options.rules.iter().map(|rule| format!("armed     {rule}")));
    lines.extend(Rule::unarmed(&options.rules).iter().map(|kind| format!("not armed {kind}")));
    lines.extend(programs(options));
    lines.push(format!("bundles   in {}", options.output.display()));
    lines.push(format!("kept      {}", options.writer.retention));
    let privilege = &options.privilege;
    lines.extend(privilege.user.iter().map(|user| format!("user      {user}")));
    lines.push(format!("sandbox   {}", if privilege.sandbox { "on" } else { "off" }));
    lines
}

/// What else is watched, a line each.
fn watchers(options: &Options) -> Vec<String> {
    let WatcherOptions { logs, attributes, ip, counters } = &options.watchers;
    let traffic = &options.detect.traffic;
    let mut lines: Vec<String> =
        logs.each().iter().map(|log| format!("log       {}", log.place)).collect();
    lines.extend(attributes.watched.iter().map(|watched| {
        let condition = match watched.condition {
            Condition::Changes => String::new(),
            Condition::Above(limit) => format!(" above {limit}"),
            Condition::Below(limit) => format!(" below {limit}"),
        };
        format!("attribute {}{condition}", watched.pattern)
    }));
    lines.extend(ip.neighbours.iter().map(|neighbour| format!("neighbour {neighbour}")));
    let whose = match &counters.interfaces[..] {
        [] => "every interface but loopback".to_owned(),
        names => names.join(", "),
    };
    lines.push(format!("counters  of {whose}"));
    let wanted = options.wanted.iter();
    lines.extend(wanted.map(|wanted| format!("filter    {}: {}", wanted.name, wanted.filter)));
    lines.extend(traffic.limits.iter().map(|limit| {
        let (beyond, bound) = match limit.bound {
            Bound::Above(bound) => ("above", bound),
            Bound::Below(bound) => ("below", bound),
        };
        format!("rate      {} {beyond} {bound} {}", limit.name, limit.unit)
    }));
    lines.extend(
        traffic.silent_classes.iter().map(|silence| {
            format!("silence   of {} for {}", silence.class, TimeSpan(silence.after))
        }),
    );
    lines
}

/// The operator's own programs, a line each.
fn programs(options: &Options) -> Vec<String> {
    let hooks = options.programs.hooks.iter().map(|hook| {
        let when = match hook.when {
            When::Frozen => "frozen",
            When::Written => "written",
        };
        let on: Vec<String> = hook.on.iter().map(ToString::to_string).collect();
        let on = if on.is_empty() { "every trigger".to_owned() } else { on.join(", ") };
        let words = hook.command.words().join(" ");
        format!("hook      {} when {when}, for {on}: {words}", hook.name)
    });
    let collect = options.programs.collect.iter();
    hooks.chain(collect.map(|place| format!("collects  by {}", place.display()))).collect()
}

/// The interfaces as named, and which of them are here; or those that would be taken here.
fn recorded(named: &[String]) -> String {
    let links = LinkWatcher::open(&link::Options::default()).map(|watcher| watcher.links());
    let here = links.unwrap_or_default();
    if !named.is_empty() {
        let each = named.iter().map(|name| {
            let is_here = here.iter().any(|link| link.name == *name);
            if is_here { name.clone() } else { format!("{name} (not here)") }
        });
        return each.collect::<Vec<_>>().join(", ");
    }
    let Ok(selection) = Selection::new(&[], &here) else { return String::new() };
    let all = Links::of(&here);
    let taken = here.iter().filter(|link| selection.wants(link, &all));
    let names: Vec<_> = taken.map(|link| link.name.as_str()).collect();
    let now =
        if names.is_empty() { "none now".to_owned() } else { format!("now {}", names.join(", ")) };
    format!("{}: {now}", selection.in_words())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        check: Check,
    }

    #[test]
    fn everything_that_holds_is_told() {
        let typed = ["dashcap", "-i", "no-such-if", "--filter", "tcp", "--probe", "192.0.2.1"];
        let typed = Typed::parse_from(typed.into_iter().chain(["--pre", "90s", "-o", "/tmp/x"]));
        let options = typed.check.settings;
        let options = options.options(run::DEFAULTS, Settings::usual_rules).unwrap();
        let told = meaning(&options);
        for expected in [
            "records   no-such-if (not here)",
            "frames    that match tcp",
            "memory    256.0 MiB",
            "window    1m 30s before, 10s after, 1m at most; 30s until the same opens another",
            "classes   control, data",
            "probe     192.0.2.1 every 1s, lost after 3 in a row without an answer within 1s",
            "armed     link-down",
            "armed     lacp-expired (warning or worse)",
            "not armed tcp-reset-burst",
            "not armed link-up",
            "bundles   in /tmp/x",
            "kept      all of them",
        ] {
            assert!(told.iter().any(|line| line == expected), "{expected}: {told:#?}");
        }
    }
}
