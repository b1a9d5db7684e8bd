//! Least privilege: the real `dashcap run`, started as root and by a user, looked at through /proc, and
//! doing its work all the same.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::lab::{BINARY, Dashcap, FAR_ADDRESS, Lab, Sender, frame, until};

/// The user that every Linux has and that owns nothing.
const NOBODY: u32 = 65_534;
/// As /proc shows a set with CAP_NET_RAW alone, bit 13 (linux/capability.h), and one with nothing.
const RAW: &str = "0000000000002000";
const NONE: &str = "0000000000000000";

/// What every thread of a recording must look like, whoever it began as.
fn assert_confined(process: u32, user: u32) {
    let ids = [user; 4].map(|id| id.to_string()).join(" ");
    let expected = [
        ("Uid", &*ids),
        ("CapPrm", RAW),
        ("CapEff", RAW),
        ("CapInh", NONE),
        ("CapAmb", NONE),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ];
    let threads = until("its threads", || {
        let threads = threads(process);
        (threads.len() > 5).then_some(threads)
    });
    for (name, status) in threads {
        for (key, value) in expected {
            assert_eq!(status[key], value, "{key} of thread {name}");
        }
        // Those that read frames have a list of what is allowed as well.
        let reads = name.starts_with("cap/") && !name.starts_with("cap/waiting");
        let filters = if reads { "4" } else { "3" };
        assert_eq!(status["Seccomp_filters"], filters, "thread {name}");
    }
}

/// Every thread by name and number, with the lines of its `status`.
fn threads(process: u32) -> BTreeMap<String, BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let tasks = tasks.map(|task| task.expect("it can be listed").path());
    let status = |task: &Path| -> Option<_> {
        // A thread may have ended meanwhile.
        let text = fs::read_to_string(task.join("status")).ok()?;
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: BTreeMap<_, _> = lines.map(|(key, of)| (key.to_owned(), words(of))).collect();
        Some((format!("{} {}", lines["Name"], lines["Pid"]), lines))
    };
    tasks.filter_map(|task| status(&task)).collect()
}

/// A directory that everybody may enter, as configuration and logs are.
fn public() -> TempDir {
    let directory = TempDir::new().expect("a directory can be made");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("ours");
    directory
}

fn append(path: &Path, line: &str) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    writeln!(file.expect("it can be opened"), "{line}").expect("it can be written");
}

/// Gives the directory for bundles to nobody.
fn give_output(lab: &Lab) {
    chown(lab.output(), Some(NOBODY), Some(NOBODY)).expect("root may");
}

/// A recording that sees every kind of thing, and is asked to see more later.
#[test]
fn as_another_user_everything_still_works() {
    let Some(lab) = Lab::new() else { return };
    lab.address();
    give_output(&lab);
    let place = public();
    let file = |name: &str| place.path().join(name).to_str().expect("text").to_owned();
    let (config, log, control) = (file("dashcap.toml"), file("app.log"), file("control/socket"));
    let settings = |more: &str| {
        format!(
            "user = \"nobody\"\npre = \"30s\"\npost = \"500ms\"\ncool_down = \"0s\"\nprobe_interval = \"50ms\"\n\
             on = [\"signal\", \"log:mine\"]\n[[log]]\nfile = \"{}\"\n[[log.match]]\nname = \"mine\"\n\
             pattern = \"xyzzy\"\n{more}",
            file("app*.log")
        )
    };
    fs::write(&config, format!("probe = [\"arp:{FAR_ADDRESS}\"]\n{}", settings(""))).unwrap();
    fs::write(&log, "").unwrap();
    let triggers = file("triggers");
    let options = ["-c", &config, "--control", &control, "--trigger-directory", &triggers];
    let dashcap = lab.record_with_logs(&[&options[..], &["--promiscuous"]].concat());
    dashcap.wait_for("user nobody, capabilities: cap_net_raw; confined by Landlock, seccomp");
    assert_confined(dashcap.process(), NOBODY);

    // Interfaces that appear later are recorded, promiscuously.
    lab.cable("eth1", "far1");
    dashcap.wait_for("capture on eth1: started");
    assert_confined(dashcap.process(), NOBODY);
    lab.far.inside(|| Sender::on("far1")).send(&frame(7, &[], 64));

    // Logs are followed over a rotation.
    append(Path::new(&log), "xyzzy one");
    dashcap.wait_for("xyzzy one");
    fs::rename(&log, file("app.log.1")).unwrap();
    append(Path::new(&log), "xyzzy two");
    dashcap.wait_for("xyzzy two");

    // The configuration is read again, with a probe of another kind and a log that only root may open.
    let more = "[[log]]\nkernel = true\n[[log.match]]\nname = \"kernel\"\npattern = \"plugh\"\n\
                [[log]]\nfile = \"/root/*.log\"\n";
    let probes = format!("probe = [\"arp:{FAR_ADDRESS}\", \"{FAR_ADDRESS}\"]\n");
    fs::write(&config, format!("{probes}{}", settings(more))).unwrap();
    dashcap.wait_for("read again, changed: log, probe");
    dashcap.wait_for("/root may not be listed");
    fs::write("/dev/kmsg", "dashcap privilege test: plugh\n").expect("root may");
    dashcap.wait_for("plugh");

    // Whoever asks for a snapshot gets it.
    fs::write(place.path().join("triggers/please"), "the disk is full").unwrap();
    dashcap.wait_for("the disk is full");
    until("the file is removed", || (!place.path().join("triggers/please").exists()).then_some(()));
    let asked = Command::new(BINARY).args(["snapshot", "--control", &control]).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    dashcap.wait_for("INFO bundle ");
    let standing = Command::new(BINARY).args(["status", "--control", &control]).output().unwrap();
    assert!(standing.status.success());
    let end = dashcap.finish_well();
    assert!(!Path::new(&control).exists(), "its own socket can be removed: {end:?}");

    let bundles = lab.bundles();
    let facts = |kind: &str| {
        let events = bundles.iter().flat_map(|bundle| &bundle.events);
        events.filter(|event| event["what"]["fact"] == kind).collect::<Vec<_>>()
    };
    let answered = facts("probe_answered");
    for probe in [format!("arp:{FAR_ADDRESS}"), FAR_ADDRESS.to_owned()] {
        let is_it = |event: &&&serde_json::Value| event["what"]["probe"] == *probe;
        assert!(answered.iter().any(|e| is_it(&e)), "{probe} never answered: {end:?}");
    }
    let last = bundles.last().expect("there are some");
    assert!(bundles.iter().any(|bundle| bundle.numbers("eth1").contains(&7)));
    let system = |name: &str| fs::read_to_string(last.path().join("system").join(name)).unwrap();
    assert!(system("ip-link.txt").contains("eth1"), "{}", system("ip-link.txt"));
    assert!(system("ethtool-eth0.txt").contains("Settings for eth0"));
    assert!(system("kernel-log.txt").contains(">["), "{}", system("kernel-log.txt"));
    for bundle in &bundles {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(fs::metadata(bundle.path()).unwrap().uid(), NOBODY);
        assert_eq!(mode(bundle.path()), 0o750);
        assert_eq!(mode(&bundle.path().join("capture.pcapng.zst")), 0o640);
    }
}

#[test]
fn root_that_stays_root_keeps_no_more_than_it_needs() {
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0", "--post", "100ms"]);
    dashcap.wait_for("still user root, without its capabilities; --user NAME");
    assert_confined(dashcap.process(), 0);
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    lab.bundle();
}

#[test]
fn a_service_that_never_was_root_gives_up_the_rest() {
    let Some(lab) = Lab::new() else { return };
    give_output(&lab);
    let place = public();
    let program = place.path().join("dashcap");
    // Where it was built, nobody may look.
    fs::copy(BINARY, &program).expect("it can be copied");
    let (program, output) = (program.to_str().expect("text"), lab.output().to_str().expect("text"));
    let (user, caps) = (NOBODY.to_string(), "-all,+net_raw,+net_admin,+syslog");
    let ids = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
    let own = ["--inh-caps", caps, "--ambient-caps", caps, program, "run", "--user", "nobody"];
    let options = ["-i", "eth0", "-m", "16MiB", "--output", output, "--post", "100ms"];
    let control = ["--control", "off", "--log", "kernel"];
    let words = [&ids[..], &own, &options, &control].concat();
    let dashcap = Dashcap::start(lab.on_near(&words));
    dashcap.wait_for("armed: ");
    assert_confined(dashcap.process(), NOBODY);
    lab.cable("eth1", "far1");
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    let end = dashcap.finish_well();
    assert!(end.log.contains("logs: kernel log"), "{end:?}");
    let path = lab.bundle().path().join("system/kernel-log.txt");
    assert!(fs::read_to_string(path).unwrap().contains(">["), "lines of the kernel");
}

#[test]
fn what_cannot_be_is_refused_with_the_command_that_puts_it_right() {
    let Some(lab) = Lab::new() else { return };
    fs::set_permissions(lab.output(), Permissions::from_mode(0o755)).unwrap();
    for (user, code, expected) in [
        ("nobody", 1, format!("chown nobody '{}'", lab.output().display())),
        ("no-such-user", 2, "useradd --system".to_owned()),
    ] {
        let end = lab.dashcap("run", &["-i", "eth0", "--user", user]).end();
        assert_eq!(end.code(), code, "{end:?}");
        assert!(end.log.contains(&expected), "{end:?}");
    }
}

#[test]
fn what_is_not_confined_says_so() {
    let Some(lab) = Lab::new() else { return };
    let place = public();
    let control = place.path().join("socket");
    let control = control.to_str().expect("text");
    let options = ["-i", "eth0", "--sandbox", "off", "--control", control, "--post", "100ms"];
    let dashcap = lab.record(&options);
    dashcap.wait_for("WARN no sandbox, because it was switched off");
    let asked = Command::new(BINARY).args(["status", "--control", control]).output().unwrap();
    let told = String::from_utf8(asked.stdout).expect("text");
    assert!(told.contains("no sandbox, because it was switched off"), "{told}");
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    assert!(lab.bundle().jq(".. | .limitations? // empty").contains("no sandbox"));
}

#[test]
fn a_command_under_exec_is_not_confined() {
    let Some(lab) = Lab::new() else { return };
    let look = "grep -q '^Seccomp:.*0$' /proc/self/status && \
                grep -q '^CapEff:.*ffff' /proc/self/status";
    let end = lab.dashcap("exec", &["-i", "eth0", "--", "sh", "-c", look]).end();
    assert_eq!(end.code(), 0, "{end:?}");
}

/// Security review M5: the recorder of `exec` parsed frames with all rights of root.
#[test]
fn the_recorder_beside_a_command_gives_up_what_it_does_not_need() {
    let Some(lab) = Lab::new() else { return };
    give_output(&lab);
    let script = "grep -q '^Seccomp:.*0$' /proc/self/status && echo the command runs >&2; \
                  while test -e $0; do sleep 0.05; done; exit 3";
    let alive = tempfile::NamedTempFile::new().expect("a file can be made");
    let path = alive.path().to_str().expect("text");
    let options =
        ["-i", "eth0", "--post", "0s", "--user", "nobody", "--", "sh", "-c", script, path];
    let dashcap = lab.dashcap("exec", &options);
    dashcap.wait_for("the command runs");
    let recorder = children(dashcap.process()).into_iter().find(|child| {
        let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("--beside-command")
    });
    assert_confined(recorder.expect("it records"), NOBODY);
    drop(alive);
    let end = dashcap.end();
    assert_eq!(end.code(), 3, "{end:?}");
    assert_eq!(lab.bundle().jq(".triggers[].kind"), "command-failed");
}

fn children(of: u32) -> Vec<u32> {
    let line = format!("PPid:\t{of}\n");
    let processes = fs::read_dir("/proc").expect("it is mounted").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |process: &u32| {
        fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|text| text.contains(&line))
    };
    numbers.filter(is_child).collect()
}

/// Security review L8 and L10: a core file or debugger sees what was captured; descriptors of the starter.
#[test]
fn nothing_of_the_starter_stays_and_nobody_looks_inside() {
    let Some(lab) = Lab::new() else { return };
    let output = lab.output().to_str().expect("text");
    let script = format!(
        "exec 251</etc/hosts 252</etc/hosts; ulimit -c unlimited; exec setpriv --regid {NOBODY} \
         --clear-groups {BINARY} run -i eth0 -m 16MiB --control off --log off -o {output} \
         -c <(echo 'on = [\"signal\"]')"
    );
    give_output(&lab);
    let dashcap = Dashcap::start(lab.on_near(&["bash", "-c", &script]));
    dashcap.wait_for("INFO armed: signal");
    let place = Path::new("/proc").join(dashcap.process().to_string());
    for inherited in ["251", "252"] {
        assert!(fs::read_link(place.join("fd").join(inherited)).is_err(), "{inherited}");
    }
    let group = fs::metadata(place.join("environ")).unwrap().gid();
    assert_eq!(group, 0, "root's, whatever group it has: not dumpable (proc(5))");
    let limits = fs::read_to_string(place.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    dashcap.finish_well();
}

/// Security review M7: root ran hooks that a configuration named which others could write.
#[test]
fn hooks_of_a_configuration_that_others_could_write_are_refused_to_root() {
    let Some(lab) = Lab::new() else { return };
    let place = public();
    let config = place.path().join("dashcap.toml");
    let program = place.path().join("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let hook = format!("[[hook]]\nname = \"x\"\ncommand = [\"{}\"]\n", program.display());
    fs::write(&config, hook).unwrap();
    let options = ["-i", "eth0", "-c", config.to_str().expect("text")];
    for open in [&config, &program] {
        fs::set_permissions(open, Permissions::from_mode(0o777)).unwrap();
        let end = lab.dashcap("run", &options).end();
        assert_eq!(end.code(), 1, "{end:?}");
        let told = format!("cannot trust {}: others than root may write it", open.display());
        assert!(end.log.contains(&told), "{end:?}");
        fs::set_permissions(open, Permissions::from_mode(0o755)).unwrap();
    }
    let dashcap = lab.record(&options);
    dashcap.finish_well();
}
