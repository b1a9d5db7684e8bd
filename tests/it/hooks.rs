//! Hooks and collectors: what they change, what they leave in the bundle, and that none of them holds
//! anything up or outlives dashcap.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::lab::{Lab, output, until};

/// The operator's directory: a configuration, scripts, and what they write down.
struct Desk(TempDir);

impl Desk {
    fn new(configuration: &str) -> Self {
        let desk = Self(TempDir::new().expect("a directory can be made"));
        let text = configuration.replace("DESK", desk.path("").to_str().expect("text"));
        fs::write(desk.path("dashcap.toml"), text).expect("it can be written");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self) -> String {
        self.path("dashcap.toml").to_str().expect("text").to_owned()
    }

    fn script(&self, name: &str, lines: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("it can be written");
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
    }

    /// The process a script wrote down.
    fn process(&self, name: &str) -> u32 {
        until(name, || fs::read_to_string(self.path(name)).ok()?.trim().parse().ok())
    }
}

fn text(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn wait_until_gone(process: u32) {
    until("the end of a program", || {
        // A zombie has no command line any more; one that is gone has no file.
        let line = fs::read(format!("/proc/{process}/cmdline"));
        line.map_or(true, |line| line.is_empty()).then_some(())
    });
}

#[test]
fn a_link_that_was_set_down_is_put_up_again_by_a_hook() {
    let Some(lab) = Lab::new() else { return };
    let desk = Desk::new(
        "[[hook]]\nname = \"up-again\"\non = [\"link-down:eth0\"]\n\
         command = [\"/bin/sh\", \"-c\", \"ip link set dev $DASHCAP_OBJECT up && echo $DASHCAP_SENTENCE\"]\n\
         [[hook]]\nname = \"other\"\non = [\"link-down:eth1\"]\ncommand = \"touch DESK/other\"\n",
    );
    let options = ["-i", "eth0", "--pre", "5s", "--post", "2s", "-c", &desk.config()];
    let dashcap = lab.record(&options);
    lab.near.ip("link set eth0 down");
    dashcap.wait_for("hook up-again ended");
    dashcap.wait_for("bundle /");
    dashcap.finish_well();

    let shown = lab.near.inside(|| output("ip", &["-o", "link", "show", "eth0"]));
    assert!(shown.contains("UP"), "{shown}");
    let bundle = lab.bundle();
    assert_eq!(bundle.triggers()[0], "link-down eth0");
    let said = text(bundle.file("system/hook-up-again.txt"));
    assert!(said.starts_with("eth0: DOWN") && said.contains("exit status: 0]"), "{said}");
    let journal = bundle.journal();
    let place = |words: &str| journal.iter().position(|line| line.contains(words));
    let places = ["eth0: DOWN", "hook up-again began", "hook up-again ended"].map(place);
    assert!(places.is_sorted() && places[0].is_some(), "{places:?} {journal:#?}");
    assert!(!desk.path("other").exists(), "it is for another interface");
}

#[test]
fn programs_that_hang_fail_or_are_missing_hold_nothing_up_and_are_told() {
    let Some(lab) = Lab::new() else { return };
    let desk = Desk::new(
        "collect_directory = \"DESK/collect.d\"\n\
         [[hook]]\nname = \"hangs\"\ncommand = \"echo $$ > DESK/hangs; sleep 1000\"\ntimeout = \"10m\"\n\
         [[hook]]\nname = \"fails\"\ncommand = \"echo no such bond; exit 3\"\n\
         [[hook]]\nname = \"missing\"\ncommand = [\"/no/such\"]\n\
         [[hook]]\nname = \"floods\"\ncommand = \"head -c 1000000 /dev/zero | tr '\\\\000' x\"\n\
         [[hook]]\nname = \"forks\"\ncommand = \"sleep 1000 >/dev/null 2>&1 & echo $! > DESK/forks\"\n",
    );
    desk.script("collect.d/10-link", "ip -o link; cat");
    desk.script("collect.d/20-fails", "echo half; exit 5");
    let window = ["--pre", "1s", "--post", "1s", "--on", "signal"];
    let dashcap = lab.record(&[&["-i", "eth0", "-c", &desk.config()][..], &window].concat());
    dashcap.snapshot();
    // It is written while one of them hangs.
    dashcap.wait_for("bundle /");
    let hangs = desk.process("hangs");
    assert!(Path::new(&format!("/proc/{hangs}")).exists(), "it has ten minutes");
    dashcap.wait_for("hook missing did not run: /no/such: No such file");
    dashcap.wait_for("hook fails ended");
    wait_until_gone(desk.process("forks"));

    // The second snapshot of the minute: each runs once a minute.
    dashcap.snapshot();
    dashcap.wait_for("hook fails did not run: it runs once in 60s at most");
    dashcap.wait_for_nth(2, "bundle /");
    dashcap.signal(Signal::SIGKILL);
    dashcap.wait_until_killed();
    wait_until_gone(hangs);

    let bundles = lab.bundles();
    let system = |name: &str| text(bundles[0].file(&format!("system/{name}")));
    assert!(system("hook-hangs.txt").contains("still running when the incident was closed"));
    assert!(system("hook-fails.txt").starts_with("no such bond\n[ended after"));
    assert!(system("hook-missing.txt").starts_with("[did not run: /no/such"));
    assert!(system("hook-floods.txt").contains("\n[cut, 934464 bytes more]\n"));
    let link = system("10-link.txt");
    assert!(link.contains(": lo: ") && link.contains("\"trigger\":\"signal\""), "{link}");
    assert!(system("20-fails.txt").starts_with("half\n[ended after"));
    assert!(bundles[0].file("system/ip-link.txt").len() > 1);
    let second = text(bundles[1].file("system/hook-fails.txt"));
    assert!(second.starts_with("[did not run: it runs once"), "{second}");
    let told = |name: &str| {
        let of =
            |e: &&serde_json::Value| e["what"]["fact"] == "program" && e["what"]["name"] == name;
        bundles[0].events.iter().filter(of).count()
    };
    assert_eq!((told("fails"), told("missing"), told("20-fails")), (2, 1, 1));
}

#[test]
fn a_whole_bundle_is_handed_on_also_while_dashcap_ends() {
    let Some(lab) = Lab::new() else { return };
    let desk = Desk::new(
        "[[hook]]\nname = \"hand-on\"\nwhen = \"written\"\n\
         command = \"cat > DESK/told; test -s $DASHCAP_BUNDLE/manifest.json && sleep 0.5 && echo handed on\"\n",
    );
    let window = ["--pre", "1s", "--post", "10m", "--on", "signal"];
    let dashcap = lab.record(&[&["-i", "eth0", "-c", &desk.config()][..], &window].concat());
    dashcap.snapshot();
    let end = dashcap.finish_well();
    assert!(end.log.contains("hook hand-on ended after"), "{end:?}");

    let bundle = lab.bundle();
    let said = text(bundle.file("after/hook-hand-on.txt"));
    assert!(said.starts_with("handed on\n[ended after"), "{said}");
    let told: serde_json::Value = serde_json::from_str(&text(desk.path("told"))).expect("JSON");
    assert_eq!(told["incident"], bundle.name());
    assert_eq!(told["bundle"], bundle.file("manifest.json").replace("/manifest.json", ""));
    assert_eq!((&told["when"], &told["trigger"]), (&"written".into(), &"signal".into()));
}

#[test]
fn collectors_that_others_could_change_are_refused_at_the_start() {
    let Some(lab) = Lab::new() else { return };
    let desk = Desk::new("collect_directory = \"DESK/collect.d\"\n");
    fs::create_dir(desk.path("collect.d")).expect("it can be made");
    fs::set_permissions(desk.path("collect.d"), Permissions::from_mode(0o777)).expect("ours");
    let end = lab.dashcap("run", &["-i", "eth0", "-c", &desk.config()]).end();
    assert_eq!(end.code(), 1);
    assert!(end.log.contains("cannot trust /") && end.log.contains("chmod go-w"), "{end:?}");
}
