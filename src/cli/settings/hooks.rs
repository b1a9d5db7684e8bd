//! `[[hook]]` and the collectors' directory: the operator's own programs, as the file has them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{OFF, Settings};
use crate::cli::values::TimeSpan;
use crate::error::Result;
use crate::hook::{self, CommandLine, Pattern, When};

/// Where collectors are looked for unless the operator says otherwise.
const COLLECT: &str = "/etc/dashcap/collect.d";

/// The keys of `[[hook]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hook {
    name: String,
    command: CommandLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<When>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    on: Vec<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<TimeSpan>,
}

impl Hook {
    fn hook(&self) -> hook::Hook {
        let mut hook = hook::Hook::new(&self.name, self.command.clone());
        hook.when = self.when.unwrap_or(hook.when);
        hook.on.clone_from(&self.on);
        hook.timeout = self.timeout.map_or(hook.timeout, |span| span.0);
        hook.at_most = self.at_most.unwrap_or(hook.at_most);
        hook.per = self.per.map_or(hook.per, |span| span.0);
        hook
    }

    /// As the operator would write it, defaults included.
    pub(super) fn of(hook: &hook::Hook) -> Self {
        Self {
            name: hook.name.clone(),
            command: hook.command.clone(),
            when: Some(hook.when),
            on: hook.on.clone(),
            timeout: Some(TimeSpan(hook.timeout)),
            at_most: Some(hook.at_most),
            per: Some(TimeSpan(hook.per)),
        }
    }
}

impl Settings {
    /// The programs that are run.
    pub(super) fn programs(&self) -> Result<hook::Options> {
        let usual = hook::Options::default();
        let there = || Some(PathBuf::from(COLLECT)).filter(|directory| directory.is_dir());
        let collect = match &self.collect_directory {
            Some(path) if path.as_os_str() == OFF => None,
            Some(path) => Some(path.clone()),
            None => there(),
        };
        let output = self.output.clone().unwrap_or(usual.output);
        let hooks = self.hook.iter().map(Hook::hook).collect();
        let options = hook::Options { hooks, collect, output, program: usual.program };
        options.check().map(|()| options)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::settings::file::parse;

    fn programs(text: &str) -> Result<hook::Options, String> {
        parse(text)?.programs().map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_becomes_a_part_of_the_hook() {
        let text = "collect_directory = '/x'\n\
                    [[hook]]\nname = 'a'\ncommand = 'ip link'\n\
                    [[hook]]\nname = 'b'\ncommand = ['/bin/b', '-x']\nwhen = 'written'\n\
                    on = ['link-down:dp0*', 'lacp-*']\ntimeout = '2m'\nat_most = 3\nper = '1h'\n";
        let options = programs(text).unwrap();
        assert_eq!(options.collect, Some(PathBuf::from("/x")));
        let [a, b] = &options.hooks[..] else { panic!("{options:?}") };
        assert_eq!(a.command.words(), ["/bin/sh", "-c", "ip link"]);
        assert_eq!((a.when, a.timeout, a.at_most), (When::Frozen, Duration::from_secs(30), 1));
        assert_eq!((b.when, b.timeout, b.at_most), (When::Written, Duration::from_secs(120), 3));
        assert_eq!(
            b.on.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["link-down:dp0*", "lacp-*"]
        );
        assert_eq!(Hook::of(b).hook(), *b, "and back");
        assert_eq!(programs("collect_directory = 'off'").unwrap().collect, None);
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for (keys, told) in [
            ("command = 'x'", "missing field `name`"),
            ("name = 'x'", "missing field `command`"),
            ("name = 'x'\ncommand = 5", "CommandLine"),
            ("name = 'x'\ncommand = 'x'\non = ['linkdown']", "the nearest is link-down"),
            ("name = 'x'\ncommand = 'x'\nwhen = 'frozn'", "unknown variant"),
            ("name = 'x'\ncommand = 'x'\ntimeuot = '1s'", "did you mean timeout?"),
            ("name = 'x y'\ncommand = 'x'", "file name"),
            ("name = 'x'\ncommand = 'x'\ntimeout = '0s'", "at most an hour"),
        ] {
            let refused = programs(&format!("[[hook]]\n{keys}\n")).unwrap_err();
            assert!(refused.contains(told), "{keys}: {refused}");
        }
    }
}
