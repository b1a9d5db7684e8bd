//! What operators type, and what they are told.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::{
    BINARY, BOUND, Bundle, Dashcap, FAR_ADDRESS, Lab, Pace, Sender, bundles_in, frame, is_root,
    output,
};

#[test]
fn what_cannot_be_meant_is_refused_with_the_accepted_form() {
    let Some(lab) = Lab::new() else { return };
    let file = lab.output().join("dashcap.toml");
    std::fs::write(&file, "pre = \"1s\"\npots = \"1s\"\n").unwrap();
    let wrong_value = lab.output().join("value.toml");
    std::fs::write(&wrong_value, "pre = \"2 parsecs\"\n").unwrap();
    let (file, wrong_value) = (file.to_str().unwrap(), wrong_value.to_str().unwrap());
    for (typed, told) in [
        (vec!["-i", "eth7"], vec!["--interface", "eth7", "one of lo, eth0"]),
        (vec!["--filter", "vlan and and"], vec!["--filter", "vlan and and", "accepted"]),
        (vec!["--pre", "2 parsecs"], vec!["--pre", "2 parsecs", "such as 500ms, 90s"]),
        (vec!["--post", "90"], vec!["--post", "accepted", "such as 500ms, 90s"]),
        (vec!["--post", "48h"], vec!["--post", "at most a day", "up to 24h"]),
        (vec!["--post", "2s", "--limit", "1s"], vec!["--limit", "accepted"]),
        (vec!["--on", "linkdown"], vec!["--on", "linkdown", "link-down", "probe-lost"]),
        (vec!["--memory", "many"], vec!["--memory", "such as 256MiB"]),
        (vec!["--memory", "1MiB"], vec!["--memory", "accepted"]),
        (vec!["--kernel-memory", "64KiB"], vec!["--kernel-memory", "such as 64MiB"]),
        (vec!["--snaplen", "3"], vec!["--snaplen", "64 to 262144"]),
        (vec!["--source", "magic"], vec!["--source", "packet-ring", "pnet", "auto"]),
        (vec!["--interval", "1ms"], vec!["--interval", "10ms"]),
        (vec!["--compression", "99"], vec!["--compression", "1 (fastest) to 22"]),
        (vec!["-c", file], vec!["--config", "pots", "post", "probe_interval"]),
        (vec!["-c", wrong_value], vec!["--config", "2 parsecs", "such as 500ms, 90s"]),
        (vec!["--intreface", "eth0"], vec!["--intreface", "--interface"]),
    ] {
        let end = lab.dashcap("run", &typed).end();
        assert_eq!(end.code(), 2, "{typed:?}: {}", end.log);
        for told in told {
            assert!(end.log.contains(told), "{typed:?} must be told {told:?}: {}", end.log);
        }
    }
}

#[test]
fn without_privilege_the_error_names_the_capability() {
    let Some(lab) = Lab::new() else { return };
    let output = lab.output().to_str().unwrap();
    let dropped = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", BINARY];
    for command in [&["run"][..], &["exec"]] {
        let options =
            ["-i", "eth0", "--memory", "16MiB", "--control", "off", "-o", output, "--", "true"];
        let options = &options[..options.len() - if command == ["run"] { 2 } else { 0 }];
        let end = Dashcap::start(lab.on_near(&[&dropped[..], command, options].concat())).end();
        assert_eq!(end.code(), 1, "{end:?}");
        assert!(end.log.contains("cannot open capture on eth0"), "{end:?}");
        assert!(end.log.contains("CAP_NET_RAW"), "{end:?}");
    }
    assert!(lab.bundles().is_empty());
}

#[test]
fn a_configuration_file_means_what_the_typed_options_mean() {
    let Some(lab) = Lab::new() else { return };
    let typed = [
        ("interface", "eth0"),
        ("pre", "1s"),
        ("post", "300ms"),
        ("cool-down", "7s"),
        ("filter", "ether proto 0x88b5"),
        ("snaplen", "100"),
        ("probe", FAR_ADDRESS),
        ("on", "signal"),
        ("interval", "250ms"),
        ("compression", "3"),
        ("source", "packet-ring"),
    ];
    let options: Vec<String> =
        typed.iter().flat_map(|(key, value)| [format!("--{key}"), (*value).to_owned()]).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = |(key, value): &(&str, &str)| match *key {
        "snaplen" | "compression" => format!("{key} = {value}\n"),
        "interface" | "probe" | "on" => format!("{key} = [\"{value}\"]\n"),
        _ => format!("{} = \"{value}\"\n", key.replace('-', "_")),
    };
    std::fs::write(file.path(), typed.iter().map(line).collect::<String>()).unwrap();
    lab.address();
    for options in [&options[..], &["--config", file.path().to_str().unwrap()]] {
        let dashcap = lab.record(options);
        lab.far.inside(|| Sender::on("far0")).send(&frame(3, &[], 200));
        dashcap.snapshot();
        dashcap.wait_for("bundle /");
        dashcap.finish_well();
    }
    let bundles = lab.bundles();
    let [typed, filed] = &bundles[..] else { panic!("{bundles:?}") };
    assert_eq!(typed.manifest["settings"], filed.manifest["settings"]);
    for bundle in [typed, filed] {
        assert_eq!(
            bundle.jq(".settings|[.pre,.post,.cool_down,.interval]"),
            r#"["1s","300ms","7s","250ms"]"#
        );
        assert_eq!(bundle.length_after(0), Duration::from_millis(300));
        let told: Vec<_> = bundle.packets.iter().map(|p| (p.number, p.captured, p.len)).collect();
        assert_eq!(told, [(Some(3), 100, 200)]);
    }
}

#[test]
fn what_is_typed_wins_over_the_file() {
    let Some(lab) = Lab::new() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "pre = \"5s\"\npost = \"10m\"\ninterface = [\"eth9\"]\n").unwrap();
    let config = file.path().to_str().unwrap();
    let dashcap = lab.record(&["-c", config, "-i", "eth0", "--post", "100ms"]);
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    assert_eq!(lab.bundle().jq(".settings|[.interface[],.pre,.post]"), r#"["eth0","5s","100ms"]"#);
}

#[test]
fn a_command_that_succeeds_leaves_no_bundle() {
    let Some(lab) = Lab::new() else { return };
    let end = lab.dashcap("exec", &["-i", "eth0", "--", "true"]).end();
    assert_eq!(end.code(), 0, "{end:?}");
    assert!(lab.bundles().is_empty());
}

#[test]
fn a_command_that_fails_leaves_a_bundle_of_its_whole_run() {
    let Some(lab) = Lab::new() else { return };
    let talker = lab.far.talk("far0", Pace::GENTLE);
    // It fails when the story says so, by taking the file away.
    let alive = tempfile::NamedTempFile::new().unwrap();
    let script = format!("while test -e {}; do sleep 0.05; done; exit 3", alive.path().display());
    let options = ["-i", "eth0", "--post", "300ms", "--", "sh", "-c", &script];
    let dashcap = lab.dashcap("exec", &options);
    dashcap.wait_for("armed: ");
    talker.wait_for_more(200);
    drop(alive);
    let end = dashcap.end();
    let sent = talker.stop();
    assert_eq!(end.code(), 3, "{end:?}");

    let bundle = lab.bundle();
    assert_eq!(bundle.jq(".triggers[].kind"), "command-failed");
    assert_eq!(bundle.length_after(0), Duration::from_millis(300));
    let ended = bundle.events.iter().find(|event| event["what"]["fact"] == "command_ended");
    let ended = ended.expect("it is told");
    assert_eq!(ended["what"]["ending"], "exit status: 3");
    let ran = Duration::from_nanos(ended["what"]["ran_ns"].as_u64().expect("nanoseconds"));
    assert!(ran >= Duration::from_secs(1), "200 frames, 5 ms each: {ran:?}");
    assert_eq!(bundle.length_before(), ran, "back to the command's beginning");
    assert!(bundle.numbers("eth0").len() >= 200);
    bundle.holds_what_was_sent("eth0", &sent);
}

#[test]
fn the_exit_status_of_a_command_is_passed_on_as_a_shell_would() {
    let Some(lab) = Lab::new() else { return };
    let not_executable = lab.output().join("text");
    std::fs::write(&not_executable, "no program").unwrap();
    let not_executable = not_executable.to_str().unwrap();
    let options = ["-i", "eth0", "--post", "0s"];
    for (command, code, bundle) in [
        (&["dashcap-no-such-command"][..], 127, false),
        (&[not_executable], 126, false),
        (&["sh", "-c", "kill -9 $$"], 128 + 9, true),
        (&["sh", "-c", "kill -11 $$"], 128 + 11, true),
        (&["sh", "-c", "exit 255"], 255, true),
    ] {
        let bundles = tempfile::tempdir().unwrap();
        let output = ["--output", bundles.path().to_str().unwrap(), "--"];
        let end = lab.dashcap("exec", &[&options[..], &output, command].concat()).end();
        assert_eq!(end.code(), code, "{command:?}: {end:?}");
        let found = bundles_in(bundles.path()).len();
        assert_eq!(found, usize::from(bundle), "{command:?}: {end:?}");
    }
}

#[test]
fn sigterm_ends_the_command_too() {
    let Some(lab) = Lab::new() else { return };
    let script = "echo the command runs >&2; exec sleep 600";
    let options = ["-i", "eth0", "--post", "0s", "--", "sh", "-c", script];
    let dashcap = lab.dashcap("exec", &options);
    dashcap.wait_for("the command runs");
    let end = dashcap.finish();
    assert_eq!(end.code(), 128 + Signal::SIGTERM as i32, "{end:?}");
    let bundle = lab.bundle();
    assert_eq!(bundle.jq(".triggers[].kind"), "command-failed");
    assert!(bundle.jq(".triggers[].sentence").contains("signal: 15"));
}

#[test]
fn the_demo_shows_the_failure_as_tshark_reads_it() {
    if !is_root("the demo") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let bound = BOUND.as_secs().to_string();
    let text = output(
        "timeout",
        &[&bound, BINARY, "demo", "--output", directory.path().to_str().unwrap()],
    );
    for expected in ["── timeline.csv ──", "dash0,0,", ",lost", "192.0.2.1 → 192.0.2.2"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let journal = text.lines().find(|l| l.contains("systemd Journal") && l.contains("TRIGGER"));
    assert!(journal.is_some_and(|line| line.contains("link-down: dash0: DOWN")), "{text}");
    let bundles: Vec<_> = bundles_in(directory.path()).into_iter().map(Bundle::open).collect();
    assert_eq!(bundles.len(), 1);
    assert_eq!(bundles[0].triggers()[0], "link-down dash0");
}

#[test]
fn log_lines_are_json_when_asked() {
    let Some(lab) = Lab::new() else { return };
    let end = lab.record(&["-i", "eth0", "--log-format", "json"]).finish_well();
    let lines: Vec<serde_json::Value> =
        end.log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told = |line: &serde_json::Value| line["message"].as_str().unwrap().starts_with("armed: ");
    assert!(lines.iter().any(told), "{lines:?}");
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()));
}
