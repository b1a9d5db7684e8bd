//! What is typed, what the file says, and what becomes of both.

use std::fs;

use clap::{CommandFactory, Parser};

use super::*;
use crate::cli::run::DEFAULTS;
use crate::error::Result;
use crate::feature::Feature;
use crate::recorder::{self, Logs, WatcherOptions, WindowOptions};
use crate::trigger::Rule;

#[derive(Debug, Parser)]
struct Typed {
    #[command(flatten)]
    settings: Settings,
}

fn options(typed: &[&str]) -> Result<recorder::Options> {
    let typed = Typed::try_parse_from(["dashcap"].iter().chain(typed)).unwrap();
    typed.settings.options(DEFAULTS, Settings::usual_rules)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn without_anything_typed_the_defaults_hold() {
    let options = options(&[]).unwrap();
    assert_eq!(options.pool.memory, 256 << 20);
    assert_eq!(options.window, WindowOptions::default());
    assert_eq!(options.rules, Rule::defaults(false));
    let on: Vec<_> =
        options.rules.iter().filter(|rule| rule.is_short()).map(Rule::called).collect();
    assert_eq!(options.settings["on"], serde_json::json!(on));
    let storm = serde_json::json!({"kind": "duplicate-storm", "severity": "warning"});
    assert_eq!(options.settings["trigger"][0], storm);
    assert_eq!(options.settings["pre"], "2m");
    assert_eq!(options.settings["kernel_memory"], "64.0 MiB");
}

#[test]
fn typing_a_default_that_the_help_tells_changes_nothing() {
    let settings = |typed: &[&str]| options(typed).unwrap().settings;
    let usual = settings(&[]);
    let mut told = 0;
    for argument in Typed::command().get_arguments() {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let default = help.split_once("[default: ").map(|(_, default)| default);
        let value = default.and_then(|default| default.split([']', ',', ';']).next());
        let (Some(value), Some(name)) = (value, argument.get_long()) else { continue };
        // Told in words where it is worked out, or there is none.
        if !value.contains(char::is_whitespace) && !["none", "all"].contains(&value) {
            told += 1;
            assert_eq!(settings(&[&format!("--{name}"), value]), usual, "--{name} {value}");
        }
    }
    assert!(told >= 15, "{told}");
}

#[test]
fn what_is_typed_wins_over_the_file() {
    let file = file("pre = \"30s\"\npost = \"5s\"\nprobe = [\"192.0.2.1\"]\npromiscuous = true\n");
    let path = file.path().to_str().unwrap();
    let options = options(&["-c", path, "--post", "3s", "--on", "link-up:eth*"]).unwrap();
    assert_eq!(options.window.pre, Duration::from_secs(30));
    assert_eq!(options.window.post, Duration::from_secs(3));
    assert_eq!(options.probes[0].host, "192.0.2.1");
    assert!(options.capture.ring.promiscuous);
    assert_eq!(options.settings["on"], serde_json::json!(["link-up:eth*"]));
}

#[test]
fn the_settings_of_a_manifest_are_a_configuration_again() {
    let typed = ["-i", "eth0", "--filter", "vlan 956", "--probe", "192.0.2.1", "--limit", "7m"];
    let before = options(&typed).unwrap();
    let text = toml_of(&before.settings);
    let file = file(&text);
    let after = options(&["-c", file.path().to_str().unwrap()]).unwrap();
    assert_eq!(before.settings, after.settings, "{text}");
}

/// The same as TOML: only tables are written otherwise.
fn toml_of(settings: &serde_json::Value) -> String {
    fn value(of: &serde_json::Value) -> String {
        let list = |parts: Vec<String>| parts.join(", ");
        match of {
            serde_json::Value::Object(keys) => {
                let keys = keys.iter().map(|(key, of)| format!("{key} = {}", value(of)));
                format!("{{{}}}", list(keys.collect()))
            }
            serde_json::Value::Array(parts) => {
                format!("[{}]", list(parts.iter().map(value).collect()))
            }
            plain => plain.to_string(),
        }
    }
    let keys = settings.as_object().unwrap();
    keys.iter().map(|(key, of)| format!("{key} = {}\n", value(of))).collect()
}

#[test]
fn triggers_come_from_both_lists_of_the_file_and_typed_ones_replace_them_all() {
    let file = file(
        "on = [\"signal\"]\n[[trigger]]\nname = \"early\"\nkind = \"drops\"\n\
         hold = {confirm = \"link-down\", within = \"90s\"}\n[[trigger]]\nkind = \"link-down\"\n",
    );
    let path = file.path().to_str().unwrap();
    let rules = |typed: &[&str]| {
        let rules = options(typed).unwrap().rules;
        rules.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let held = "drops \"early\" (kept if link-down follows within 90s)";
    assert_eq!(rules(&["-c", path]), ["signal", held, "link-down"]);
    assert_eq!(rules(&["-c", path, "--on", "link-up"]), ["link-up"]);
    let before = options(&["-c", path]).unwrap();
    let again = self::file(&toml_of(&before.settings));
    let after = options(&["-c", again.path().to_str().unwrap()]).unwrap();
    let mut rules = after.rules.clone();
    rules.sort_by_key(|rule| before.rules.iter().position(|other| other == rule));
    assert_eq!(rules, before.rules, "a manifest's settings mean the same");
}

#[test]
fn watchers_come_from_the_file_and_are_armed() {
    let text = "probe = [\"192.0.2.1\", {host = \"tcp:192.0.2.1:22\", fall = 9, slow = {above = \"9ms\", \
                in_a_row = 2}}]\nneighbour = [\"192.0.2.9\"]\ncounter_at_least = 5.0\n\
                [[log]]\nfile = \"/var/log/x\"\n[[log.match]]\nname = \"mine\"\npattern = \"x\"\n\
                [[log.match]]\nname = \"stall\"\npattern = \"y\"\n\
                [[log]]\nsyslog = \"tcp://127.0.0.1:5514\"\n\
                [[attribute]]\npath = \"/sys/class/net/*/mtu\"\n[[attribute]]\npath = \"/sys/x\"\nbelow = 3\n\
                [[filter_match]]\nname = \"telnet\"\nfilter = \"port 23\"\n\
                [[rate_limit]]\nname = \"up\"\nabove = 5\ninterface = \"eth*\"\ndirection = \"inbound\"\n\
                unit = \"bit/s\"\nfor = \"2s\"\n[[silence]]\nclass = \"control\"\nafter = \"20s\"\n";
    let file = file(text);
    let options = options(&["-c", file.path().to_str().unwrap(), "-i", "eth7"]).unwrap();
    let WatcherOptions { logs, attributes, ip, counters } = &options.watchers;
    let Logs::Asked(logs) = logs else { panic!("they were asked for") };
    assert_eq!(logs[1].place.to_string(), "syslog tcp 127.0.0.1:5514");
    let stalls = logs[0].matchers.iter().filter(|matcher| matcher.name == "stall");
    assert_eq!(stalls.map(|matcher| &*matcher.pattern).collect::<Vec<_>>(), ["y"]);
    assert_eq!(logs[0].matchers[0].name, "mine");
    assert_eq!(attributes.watched.len(), 3, "the bonds are watched, too");
    assert_eq!((ip.neighbours.len(), counters.at_least), (1, 5.0));
    assert_eq!(counters.interfaces, ["eth7"]);
    assert_eq!((options.probes[0].fall, options.probes[1].fall), (3, 9));
    assert_eq!(options.wanted.len(), 1);
    let armed: Vec<_> = options.rules.iter().map(Rule::called).collect();
    for expected in [
        "probe-lost",
        "probe-slow",
        "log:mine",
        "attribute:/sys/class/net/*/mtu",
        "filter-match",
        "rate-limit",
        "silence",
    ] {
        assert!(armed.iter().any(|rule| rule == expected), "{expected}: {armed:?}");
    }
    let again = self::file(&toml_of(&options.settings));
    let after = self::options(&["-c", again.path().to_str().unwrap()]).unwrap();
    assert_eq!(after.settings, options.settings);
    for (typed, places) in [(vec!["--log", "off"], 0), (vec!["--log", "kernel", "--log", "/x"], 2)]
    {
        let Logs::Asked(logs) = self::options(&typed).unwrap().watchers.logs else { panic!() };
        assert_eq!(logs.len(), places, "{typed:?}");
    }
}

#[test]
fn a_hold_must_name_a_rule_there_is() {
    let text = "[[trigger]]\nkind = \"drops\"\nhold = {confirm = \"lnk\", within = \"9s\"}\n\
                [[trigger]]\nkind = \"link-down\"\n";
    let file = file(text);
    let error = options(&["-c", file.path().to_str().unwrap()]).unwrap_err().to_string();
    assert!(error.contains("one of link-down"), "{error}");
}

#[test]
fn classes_come_from_the_file() {
    let file = file(
        "[[class]]\nname = \"dns\"\nfilter = \"port 53\"\nmemory = \"10%\"\n\
         [[class]]\nname = \"web\"\nfilter = \"port 80\"\nmemory = \"8MiB\"\n",
    );
    let options = options(&["-c", file.path().to_str().unwrap()]).unwrap();
    let names: Vec<_> = options.capture.classes.names();
    assert_eq!(names.iter().map(|n| &**n).collect::<Vec<_>>(), ["control", "dns", "web", "data"]);
    assert_eq!(options.settings["class"][0]["filter"], "port 53");
}

#[test]
fn doors_are_open_as_told() {
    let none = options(&["--control", "off"]).unwrap();
    assert!(none.api.control.is_none() && none.api.http.is_none());
    assert_eq!(none.settings["control"], "off");
    let some = options(&["--control", "/x/y"]).unwrap();
    assert!(some.api.control.unwrap().required);
    match options(&["--http", "9180", "--http-token-file", "t"]) {
        Ok(some) => assert!(some.api.http.unwrap().listen.ip().is_loopback()),
        Err(error) => assert!(!Feature::Http.is_built_in(), "{error}"),
    }
    assert!(!options(&[]).unwrap().api.control.unwrap().required);
}

#[test]
fn what_is_not_built_in_is_refused_by_the_name_of_its_feature() {
    let told = |typed: &[&str]| options(typed).err().map(|e| e.to_string()).unwrap_or_default();
    let file = file("[[export]]\nkind = \"json\"\nto = \"udp://x:1\"\n");
    let other = self::file("[[webhook]]\nurl = \"http://x/?key=secret\"\n");
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    for (typed, feature) in [
        (["--http", "9180"], Feature::Http),
        (["--metrics", "9181"], Feature::Http),
        (["--interface=eth0", "--web=9182"], Feature::Web),
        (["-c", &path(&file)], Feature::Export),
        (["-c", &path(&other)], Feature::Export),
    ] {
        let told = told(&typed);
        let is_named = told.contains(&format!("--features {}", feature.name()));
        assert_eq!(is_named, !feature.is_built_in(), "{typed:?}: {told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

#[test]
fn a_bad_file_names_the_key_and_the_line() {
    for (text, named) in [
        ("pro = 1\n", "unknown field `pro`"),
        ("pre = \"2 parsecs\"\n", "not a duration"),
        ("on = [\"linkdown\"]\n", "there is no trigger \"linkdown\""),
        ("memory = 5\n", "expected a string"),
        ("[[class]]\nname = \"a\"\nfilter = \"tcp\"\n", "missing field `memory`"),
    ] {
        let file = file(text);
        let error = options(&["-c", file.path().to_str().unwrap()]).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        let shown = error.to_string();
        assert!(shown.contains(named) && shown.contains("line 1"), "{shown}");
    }
    let missing = options(&["-c", "/does/not/exist"]).unwrap_err();
    assert_eq!(missing.exit_status(), 1);
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    for typed in [
        &["--memory", "1KiB"][..],
        &["--pre", "48h"],
        &["--snaplen", "1"],
        &["--filter", "host host host"],
        &["--interval", "0s"],
        &["--compression", "99"],
        &["--kernel-memory", "1MiB"],
        &["--post", "10s", "--limit", "1s"],
        &["--on", "probe-lost"],
        &["--on", "probe-slow"],
        &["--log", "off", "--log", "kernel"],
        &["--neighbour", "224.0.0.1"],
        &["--fold-keep", "1"],
        &["--control", "/"],
        &["--http", "9180"],
        &["--http", "somewhere", "--http-token-file", "x"],
        &["--full", "48h"],
        &["--fade", "headers", "--pack", "off"],
        &["--control-memory", "100%"],
    ] {
        let error = options(typed).unwrap_err();
        assert_eq!(error.exit_status(), 2, "{typed:?}: {error}");
    }
}

#[test]
fn triggers_are_added_to_the_default_and_taken_away() {
    let file = file("on = [\"default\", \"-neighbour-failed\"]\n[[trigger]]\nkind = \"link-up\"\n");
    let path = file.path().to_str().unwrap();
    let armed = |typed: &[&str]| -> Vec<_> {
        options(typed).unwrap().rules.iter().map(Rule::called).collect()
    };
    let usual = armed(&[]);
    let less = armed(&["-c", path]);
    assert_eq!(less.len(), usual.len());
    assert!(less.contains(&"link-up".to_owned()) && !less.contains(&"neighbour-failed".to_owned()));
    let more = armed(&["--on", "default,link-up", "--on", "link-up:eth*"]);
    assert_eq!(more[usual.len()..], ["link-up", "link-up:eth*"]);
    assert!(options(&["--on", "default,-link-up"]).is_err());
}

/// Regression: a named FRR log told of a neighbour that went down, and nothing was kept.
#[test]
fn a_named_log_arms_every_line_that_says_down() {
    let armed = |typed: &[&str], name: &str| {
        let names = |rule: &Rule| rule.object.as_ref().is_some_and(|names| names.include(name));
        options(typed).unwrap().rules.iter().any(names)
    };
    for (typed, name, expected) in [
        (&[][..], "routing-neighbor-down", true),
        (&[], "nic-link-down", false),
        (&["--log", "off"], "nic-link-down", false),
        (&["--log", "/var/log/frr/*.log"], "nic-link-down", true),
        (&["--log", "udp://127.0.0.1:5514"], "switch-interface-down", true),
    ] {
        assert_eq!(armed(typed, name), expected, "{typed:?} {name}");
    }
}

/// Fault F13: the name of an interface was read as a pattern, and refused.
#[test]
fn f13_a_name_with_a_bracket_is_a_name_and_no_pattern() {
    let options = options(&["-i", "b[0", "-i", "e*"]).unwrap();
    assert_eq!(options.interfaces, ["b[0", "e*"]);
    assert_eq!(options.watchers.counters.interfaces, ["b[[]0", "e[*]"]);
}
