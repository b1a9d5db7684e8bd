//! `dashcap top` in a real terminal: tmux shows what an operator would see, and types.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::lab::{BINARY, Lab, Pace, output, until};

/// A terminal of 80 columns and 24 lines, in a tmux of its own.
struct Terminal(String);

impl Terminal {
    fn start(command: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let terminal = Self(format!("dashcap-it-{}-{count}", std::process::id()));
        let size = ["-x", "80", "-y", "24"];
        terminal.tmux(&[&["-f", "/dev/null", "new-session", "-d"][..], &size, &[command]].concat());
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        output("tmux", &[&["-u", "-L", &self.0][..], words].concat())
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn wait_for(&self, text: &str) -> String {
        let mut last = String::new();
        until(text, || {
            last = self.screen();
            last.contains(text).then(|| last.clone())
        })
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"][..], keys].concat());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the screen:\n{}", self.screen());
        }
        let _ = Command::new("tmux").args(["-L", &self.0, "kill-server"]).output();
    }
}

#[test]
fn an_operator_looks_asks_and_leaves() {
    let Some(lab) = Lab::new() else { return };
    let place = tempfile::tempdir().expect("a directory can be made");
    let socket = place.path().join("control.sock");
    let socket = socket.to_str().expect("text");
    let start = || lab.record(&["-i", "eth0", "--control", socket, "--post", "200ms"]);
    let dashcap = start();
    let talker = lab.far.talk("far0", Pace::GENTLE);
    let terminal = Terminal::start(&format!(
        "{BINARY} top --control {socket}; echo \"left with $?\"; stty -a | grep -ow '.\\?icanon'; \
         sleep 60"
    ));
    terminal.wait_for("armed");
    terminal.wait_for("> eth0            up");
    let screen = terminal.wait_for("█");
    for expected in ["of eth0", "  data  ", "watchers  link", "s snapshot", "0 dropped"] {
        assert!(screen.contains(expected), "{expected}\n{screen}");
    }
    terminal.press(&["?"]);
    terminal.wait_for("freeze a snapshot");
    terminal.press(&["?"]);
    terminal.press(&["s"]);
    terminal.wait_for("why? ");
    terminal.press(&["-l", "users complain"]);
    terminal.press(&["Enter"]);
    terminal.wait_for("snapshot: window frozen after");
    terminal.wait_for("INCIDENT  incident written");
    let screen = terminal.wait_for("bundles   1 written");
    assert!(screen.contains("TRIGGER   snapshot: for the line"), "{screen}");
    if let Some(file) = std::env::var_os("DASHCAP_KEEP_SCREEN") {
        std::fs::write(Path::new(&file), &screen).expect("it can be written");
    }
    talker.stop();
    dashcap.finish_well();
    assert!(lab.bundle().jq(".triggers[0].sentence").ends_with("users complain"));
    terminal.wait_for("GONE, trying again");
    let dashcap = start();
    terminal.wait_for("armed");
    terminal.press(&["q"]);
    let screen = terminal.wait_for("left with 0");
    assert!(!screen.contains("dashcap 0."), "the screen from before is back\n{screen}");
    let screen = terminal.wait_for("icanon");
    assert!(!screen.contains("-icanon"), "the terminal is as it was\n{screen}");
    dashcap.finish_well();
}

#[test]
fn without_a_terminal_it_says_so() {
    let told = Command::new(BINARY).arg("top").output().expect("it runs");
    assert_eq!(told.status.code(), Some(1));
    let why = String::from_utf8(told.stderr).expect("text");
    assert!(why.contains("not a terminal") && why.contains("dashcap status --json"), "{why}");
}

#[test]
fn a_view_ends_with_its_terminal() {
    let Some(lab) = Lab::new() else { return };
    let place = tempfile::tempdir().expect("a directory can be made");
    let socket = place.path().join("control.sock");
    let socket = socket.to_str().expect("text");
    let dashcap = lab.record(&["-i", "eth0", "--control", socket]);
    let terminal = Terminal::start(&format!("exec {BINARY} top --control {socket}"));
    terminal.wait_for("armed");
    let process = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let commandline = format!("/proc/{}/cmdline", process.trim());
    let runs = || std::fs::read_to_string(&commandline).is_ok_and(|line| line.contains("top"));
    assert!(runs(), "{commandline}");
    terminal.tmux(&["kill-server"]);
    until("it ends", || (!runs()).then_some(()));
    dashcap.finish_well();
}
