//! The configuration: looked at before it is used, and read again while frames are recorded.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::lab::{BINARY, Dashcap, FAR_ADDRESS, Lab, Pace};

/// A file in a directory of its own, rewritten as editors do.
struct Config {
    file: PathBuf,
    _directory: TempDir,
}

impl Config {
    fn new(text: &str) -> Self {
        let directory = TempDir::new().expect("a directory can be made");
        let file = directory.path().join("dashcap.toml");
        fs::write(&file, text).expect("it can be written");
        Self { file, _directory: directory }
    }

    fn path(&self) -> &str {
        self.file.to_str().expect("text")
    }

    fn write(&self, text: &str) {
        fs::write(&self.file, text).expect("it can be written");
    }

    /// Written aside, renamed over.
    fn replace(&self, text: &str) {
        let aside = self.file.with_extension("new");
        fs::write(&aside, text).expect("it can be written");
        fs::rename(aside, &self.file).expect("it can be renamed");
    }
}

#[test]
fn a_reload_under_load_loses_no_frame() {
    let Some(lab) = Lab::new() else { return };
    lab.address();
    let config = Config::new("post = \"10m\"\n");
    // Pings are frames, too, and not numbered.
    let numbered = ["--filter", "ether proto 0x88b5", "--memory", "64MiB"];
    let dashcap = lab.record(&[&["-i", "eth0", "-c", config.path()][..], &numbered].concat());
    let pace = Pace { burst: 50, pause: Duration::from_millis(1), len: 64, from: 0 };
    let talker = lab.far.talk("far0", pace);
    for round in 1..=5 {
        talker.wait_for_more(5_000);
        // Rules, probes and windows change, each round.
        let text = format!(
            "pre = \"{round}s\"\npost = \"400ms\"\nprobe = [\"{FAR_ADDRESS}\"]\n\
             probe_interval = \"{round}00ms\"\n[[trigger]]\nkind = \"signal\"\nname = \"{round}\"\n"
        );
        let rewrite = if round % 2 == 0 { Config::write } else { Config::replace };
        rewrite(&config, &text);
        dashcap.wait_for_nth(round, "read again, changed: ");
        dashcap.wait_for(&format!("armed: signal \"{round}\""));
    }
    dashcap.signal(Signal::SIGHUP);
    dashcap.wait_for("read again, changed: nothing");
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    let sent = talker.stop();
    let end = dashcap.finish_well();
    assert_eq!(end.received("eth0"), (sent.len() as u64, sent.len() as u64), "{end:?}");
    assert!(end.log.contains("+ 0 dropped by the lane + 0 dropped by the kernel"), "{end:?}");

    let bundle = lab.bundle();
    bundle.holds_what_was_sent("eth0", &sent);
    assert_eq!(bundle.length_before(), Duration::from_secs(5), "the last file holds");
    assert_eq!(bundle.length_after(0), Duration::from_millis(400));
    assert_eq!(bundle.jq(".settings|[.pre,.post,.probe_interval]"), r#"["5s","400ms","500ms"]"#);
    let told = |event: &&serde_json::Value| event["what"]["fact"] == "reloaded";
    assert!(bundle.events.iter().filter(told).count() >= 1, "the bundle tells");
}

#[test]
fn other_rules_hold_from_now_on() {
    let Some(lab) = Lab::new() else { return };
    let config = Config::new("on = [\"signal\"]\n");
    let dashcap = lab.record(&["-i", "eth0", "-c", config.path(), "--post", "200ms"]);
    lab.far.ip("link set far0 down");
    dashcap.wait_for("eth0: DOWN");
    lab.far.ip("link set far0 up");
    dashcap.wait_for("eth0: UP");
    config.replace("on = [\"signal\", \"link-down:eth*\"]\n");
    dashcap.wait_for("armed: signal, link-down:eth*");
    lab.far.ip("link set far0 down");
    dashcap.wait_for("link-down: eth0: DOWN");
    dashcap.wait_for("bundle /");
    config.write("on = [\"link-up\"]\n");
    dashcap.wait_for("INFO armed: link-up");
    dashcap.signal(Signal::SIGUSR1);
    dashcap.wait_for("snapshot asked for by SIGUSR1");
    dashcap.finish_well();
    assert_eq!(lab.bundle().triggers(), ["link-down eth0"], "a signal is no longer armed");
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let Some(lab) = Lab::new() else { return };
    let config = Config::new("pre = \"3s\"\npost = \"200ms\"\n");
    let dashcap = lab.record(&["-i", "eth0", "-c", config.path()]);
    for (nth, text, told) in [
        (1, "pre = \"4s\"\npots = \"1s\"\n", "did you mean post?"),
        (2, "pre = \"4s\"\n[[trigger]]\nkind = \"linkdown\"\n", "the nearest is link-down"),
        (3, "pre = \"4s\"\nfilter = \"vlan and and\"\n", "--filter"),
    ] {
        config.write(text);
        dashcap.wait_for_nth(nth, "read again and refused, nothing changes");
        assert!(dashcap.has_said(told), "{told}");
    }
    fs::remove_file(&config.file).unwrap();
    dashcap.wait_for("nothing changes: cannot read");
    config.write("pre = \"5s\"\npost = \"200ms\"\nsnaplen = 96\ninterface = [\"eth9\"]\n");
    let line = dashcap.wait_for("read again, changed: pre; needs a restart to hold: snaplen");
    assert!(!line.contains("interface"), "what is typed wins: {line}");
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    let bundle = lab.bundle();
    assert_eq!(bundle.length_before(), Duration::from_secs(5));
    assert_eq!(bundle.jq(".settings|[.pre,.snaplen]"), r#"["5s",262144]"#, "what is in force");
    let refused = |event: &&serde_json::Value| event["what"]["fact"] == "reload_refused";
    assert_eq!(bundle.events.iter().filter(refused).count(), 4, "{:?}", bundle.events);
}

#[test]
fn a_hang_up_without_a_configuration_ends_the_recording() {
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0"]);
    dashcap.signal(Signal::SIGHUP);
    let end = dashcap.end();
    assert_eq!(end.code(), 0, "{end:?}");
    assert!(end.log.contains("stop asked for by signal"), "{end:?}");
}

#[test]
fn a_file_that_is_a_pipe_is_read_once_and_a_hang_up_ends_the_recording() {
    let Some(lab) = Lab::new() else { return };
    let output = lab.output().to_str().expect("text");
    let script = format!(
        "exec {BINARY} run -i eth0 -m 16MiB -o {output} -c <(echo 'post = \"100ms\"'; \
         echo 'on = [\"signal\"]')"
    );
    let dashcap = Dashcap::start(lab.on_near(&["bash", "-c", &script]));
    dashcap.wait_for("INFO armed: signal");
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    dashcap.signal(Signal::SIGHUP);
    assert_eq!(dashcap.end().code(), 0);
    assert_eq!(lab.bundle().length_after(0), Duration::from_millis(100));
}

#[test]
fn check_says_what_a_file_means_or_what_is_wrong_with_it() {
    let check = |file: &Path| {
        let mut command = std::process::Command::new(BINARY);
        command.arg("check").arg("-c").arg(file);
        let done = command.output().expect("it runs");
        let text = [done.stdout, done.stderr].map(|out| String::from_utf8(out).expect("text"));
        (done.status.code(), text.concat())
    };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dashcap.toml");
    let (code, told) = check(&example);
    assert_eq!(code, Some(0), "{told}");
    for expected in ["armed     link-down\n", "armed     drops (warning or worse)\n", "2m before"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    for (text, expected) in [
        ("[[class]]\nname = \"dns\"\nfilter = \"prot 53\"\nmemory = \"10%\"\n", "prot 53"),
        ("[[trigger]]\nkind = \"drops\"\nsevrity = \"info\"\n", "did you mean severity?"),
        ("filter = \"host host\"\n", "--filter"),
        ("on = [\"probe-lost\"]\n", "this trigger needs a probe, and there is none"),
        ("limit = \"1s\"\n", "--limit"),
    ] {
        let config = Config::new(text);
        let (code, told) = check(&config.file);
        assert_eq!(code, Some(2), "{text}: {told}");
        assert!(told.contains(expected), "{text}: {told}");
    }
    assert_eq!(check(Path::new("/does/not/exist")).0, Some(1));
}
