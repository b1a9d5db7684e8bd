//! dashcap as an interface of tshark: installed as a user would, listed, captured from, here and through a real ssh.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::lab::{BINARY, Dashcap, Lab, NEAR_ADDRESS, Pace, frame, needs, skip, until};

/// A user with a home, whose Wireshark knows dashcap, and a recording of eth0.
pub(crate) struct Desk {
    home: TempDir,
    dashcap: Dashcap,
}

impl Desk {
    pub(crate) fn new(lab: &Lab) -> Self {
        Self::with(lab, &[])
    }

    /// With these options of the recording.
    pub(crate) fn with(lab: &Lab, options: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a directory can be made");
        let socket = home.path().join("control.sock");
        let own = ["-i", "eth0", "--control", socket.to_str().expect("text")];
        let dashcap = lab.record(&[&own[..], options].concat());
        let desk = Self { home, dashcap };
        let told = desk.succeeds(&mut desk.at(&[BINARY, "install", "--wireshark"]));
        assert!(told.contains("extcap/dashcap") && told.contains("dashcap.lua"), "{told}");
        desk
    }

    /// In its home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Where this user is at home.
    pub(crate) fn home(&self) -> String {
        self.home.path().display().to_string()
    }

    /// Ends the recording.
    pub(crate) fn finish(self) {
        self.dashcap.finish_well();
    }

    /// A command of this user's.
    fn at(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        self.of(command)
    }

    /// The same, run by this user.
    pub(crate) fn of(&self, mut command: Command) -> Command {
        let home = self.home.path();
        command.env("HOME", home).env_remove("XDG_CONFIG_HOME").env("RUNTIME_DIRECTORY", home);
        let path = format!("{}:{}", home.display(), std::env::var("PATH").expect("there is one"));
        command.env("PATH", path).env("TZ", "UTC");
        command
    }

    fn succeeds(&self, command: &mut Command) -> String {
        let told = command.stdin(Stdio::null()).output().expect("it runs");
        let complaint = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success(), "{command:?}: {complaint}");
        String::from_utf8(told.stdout).expect("text")
    }

    fn extcap(&self, words: &[&str]) -> String {
        self.succeeds(&mut self.at(&[&[BINARY, "extcap"][..], words].concat()))
    }
}

/// The numbers that the frames of talkers carry. What the host saw is a line without.
fn numbers(told: &str) -> Vec<u64> {
    let frames = told.lines().filter(|line| !line.is_empty());
    frames.map(|line| u64::from_str_radix(&line[..16], 16).expect("a number")).collect()
}

#[test]
fn tshark_lists_it_and_captures_what_was_and_what_comes() {
    let Some(lab) = Lab::new() else { return };
    let desk = Desk::new(&lab);
    fs::write(desk.path(".config/dashcap/hosts"), "router1\n-oBad\nadmin@leaf2 sudo dashcap\n")
        .expect("it can be written");
    let listed = desk.succeeds(&mut desk.at(&["tshark", "-D"]));
    for expected in [" dashcap (", " dashcap:router1 (", " dashcap:admin@leaf2 ("] {
        assert!(listed.contains(expected), "{expected}: {listed}");
    }
    assert!(!listed.contains("oBad"), "{listed}");

    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    let before = talker.count();
    // More than was sent before it began, so that the last ones came live.
    let count = (before + 100).to_string();
    let fields = ["-T", "fields", "-e", "data", "-f", "ether proto 0x88b5", "-c", &count];
    let tshark = [&["tshark", "-l", "-i", "dashcap", "-o", "extcap.dashcap.last:5m"][..], &fields];
    let seen = numbers(&desk.succeeds(&mut desk.at(&tshark.concat())));
    assert!(seen.len() as u64 > before, "{} of {before}", seen.len());
    assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>(), "nothing missing, nothing twice");

    // Memory alone: it ends by itself.
    talker.stop();
    let fields = ["-T", "fields", "-e", "data", "-f", "ether proto 0x88b5"];
    let options = ["-o", "extcap.dashcap.follow:false", "-o", "extcap.dashcap.interface:eth0"];
    let tshark = [&["tshark", "-i", "dashcap"][..], &options, &fields].concat();
    let memory = numbers(&desk.succeeds(&mut desk.at(&tshark)));
    assert!(memory.starts_with(&seen) && memory.len() >= seen.len(), "{} frames", memory.len());
    desk.dashcap.finish_well();
    assert!(lab.bundles().is_empty(), "no incident was made");
}

#[test]
fn it_answers_what_a_dialog_asks() {
    let Some(lab) = Lab::new() else { return };
    let desk = Desk::new(&lab);
    let of_local = ["--extcap-interface", "dashcap"];
    let ask = |words: &[&str]| desk.extcap(&[&of_local[..], words].concat());
    assert!(ask(&["--extcap-dlts"]).starts_with("dlt {number=1}"));
    assert!(ask(&["--extcap-config"]).contains("{call=--last}"));
    let reloaded = ask(&["--extcap-config", "--extcap-reload-option", "interface"]);
    assert!(reloaded.contains("value {arg=2}{value=eth0}{display=eth0}"), "{reloaded}");
    assert_eq!(ask(&["--extcap-capture-filter", "arp or port 53"]), "");
    let judged = ask(&["--extcap-capture-filter", "port port"]);
    assert!(judged.contains("syntax error") && judged.lines().count() == 1, "{judged}");
    let mut unknown =
        desk.at(&[BINARY, "extcap", "--extcap-interface", "dashcap:evil", "--extcap-dlts"]);
    let unknown = unknown.output().expect("it runs");
    let reason = String::from_utf8(unknown.stderr).expect("text");
    assert!(reason.contains("a host that stands in") && reason.contains("hosts"), "{reason}");
    desk.dashcap.finish_well();
}

#[test]
fn what_was_installed_is_taken_back_and_what_was_changed_stays() {
    let Some(lab) = Lab::new() else { return };
    let desk = Desk::new(&lab);
    let hosts = desk.path(".config/dashcap/hosts");
    fs::write(&hosts, "router1\n").expect("it can be written");
    let told = desk.succeeds(&mut desk.at(&[BINARY, "uninstall", "--wireshark"]));
    assert!(told.contains("kept ") && hosts.exists(), "{told}");
    let listed = desk.succeeds(&mut desk.at(&["tshark", "-D"]));
    assert!(!listed.contains("dashcap"), "{listed}");
    assert!(!desk.path(".config/wireshark/profiles/dashcap").exists(), "{told}");
    desk.dashcap.finish_well();
}

#[test]
fn the_plugin_counts_what_was_folded_and_the_profile_shows_it() {
    let Some(lab) = Lab::new() else { return };
    let desk = Desk::new(&lab);
    let copies = vec![frame(7, &[], 100)];
    let repeater = lab.far.repeat("far0", copies, |_| 0);
    repeater.wait_for_more(20_000);
    let sent = repeater.stop()[0];
    let file = desk.path("storm.pcapng");
    let name = file.to_str().expect("text");
    let tshark = |words: &[&str]| {
        desk.succeeds(&mut desk.at(&[&["tshark", "-r", name][..], words].concat()))
    };
    let stat = "io,stat,0,SUM(dashcap.frames)dashcap.frames,SUM(dashcap.bytes)dashcap.bytes";
    let wanted = ["frames", "-f", "ether proto 0x88b5", "-w", name];
    let told = until("all copies are counted", || {
        desk.succeeds(&mut desk.at(&[&[BINARY][..], &wanted].concat()));
        let told = tshark(&["-q", "-z", stat]);
        told.contains(&format!("| {sent} |")).then_some(told)
    });
    assert!(told.contains(&format!("| {} |", sent * 100)), "bytes of {sent} frames: {told}");
    let kept = tshark(&["-T", "fields", "-e", "frame.number"]).lines().count() as u64;
    assert!(kept < sent / 10, "{kept} of {sent} are kept");
    let folded = tshark(&["-Y", "dashcap.copies", "-T", "fields", "-e", "dashcap.copies"]);
    let folded: u64 = folded.lines().map(|line| line.parse::<u64>().expect("a number")).sum();
    let single = tshark(&["-Y", "eth && !dashcap.copies", "-T", "fields", "-e", "frame.number"]);
    assert_eq!(folded + single.lines().count() as u64, sent);
    // What the host saw was on no wire.
    let entries =
        tshark(&["-Y", "systemd_journal && dashcap.frames", "-T", "fields", "-e", "frame"]);
    assert_eq!(entries, "");
    let shown = tshark(&["-C", "dashcap", "-Y", "dashcap.copies", "-c", "1000000"]);
    assert!(shown.lines().all(|line| line.contains(" eth0 ")), "the interface: {shown}");
    desk.dashcap.finish_well();
}

/// What tshark shows of a session.
const PORTS: [&str; 4] = ["-T", "fields", "-e", "tcp.port"];

/// The ports of clients of ssh.
fn client_ports(told: &str) -> BTreeSet<u16> {
    let ports = told.split(['\n', ',']).filter_map(|port| port.parse().ok());
    ports.filter(|port| *port != 22).collect()
}

/// An ssh server on the near host that lets this user in, and this user's ssh that knows it.
pub(crate) struct SshServer(Child);

impl SshServer {
    pub(crate) fn start(lab: &Lab, desk: &Desk) -> Self {
        for key in ["host", "user"] {
            let file = desk.path(key);
            let file = file.to_str().expect("text");
            desk.succeeds(&mut desk.at(&[
                "ssh-keygen",
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-f",
                file,
            ]));
        }
        let path = |name: &str| desk.path(name).display().to_string();
        let server = format!(
            "Port 22\nListenAddress {NEAR_ADDRESS}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PidFile none\nPermitRootLogin yes\nSetEnv PATH={}:/usr/bin:/bin\n",
            path("host"),
            path("user.pub"),
            Path::new(BINARY).parent().expect("a directory").display()
        );
        fs::write(desk.path("sshd_config"), server).expect("it can be written");
        let client = format!(
            "Host near\n HostName {NEAR_ADDRESS}\n User root\n IdentityFile {}\n UserKnownHostsFile {}\n \
             StrictHostKeyChecking accept-new\n",
            path("user"),
            path("known")
        );
        fs::write(desk.path("ssh_config"), client).expect("it can be written");
        // ssh looks in the home that the system knows, which is not this user's.
        let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", path("ssh_config"));
        fs::write(desk.path("ssh"), script).expect("it can be written");
        fs::set_permissions(desk.path("ssh"), fs::Permissions::from_mode(0o755)).expect("ours");
        // Where it puts its unprivileged half (sshd(8), FILES).
        fs::create_dir_all("/run/sshd").expect("root");
        let mut server = lab.on_near(&["/usr/sbin/sshd", "-D", "-e", "-f", &path("sshd_config")]);
        Self(server.stderr(Stdio::null()).spawn().expect("it runs"))
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two hosts, and who sits at one of them and is let in by the other; none where sshd is not here, which is told.
pub(crate) fn ssh_lab() -> Option<(Lab, Desk, SshServer)> {
    let lab = Lab::new()?;
    if !Path::new("/usr/sbin/sshd").exists() {
        skip("sshd is not here");
        return None;
    }
    needs("ssh-keygen").then_some(())?;
    lab.address();
    let desk = Desk::new(&lab);
    let server = SshServer::start(&lab, &desk);
    Some((lab, desk, server))
}

#[test]
fn through_ssh_it_is_the_same_and_the_session_does_not_carry_itself() {
    let Some((lab, desk, _server)) = ssh_lab() else { return };
    let there = format!("near env RUNTIME_DIRECTORY={} {BINARY}\n", desk.home.path().display());
    fs::write(desk.path(".config/dashcap/hosts"), there).expect("it can be written");
    let on_far = |words: &[&str]| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", lab.far.name()]).args(words);
        desk.of(command)
    };
    let ask = [
        "--extcap-interface",
        "dashcap:near",
        "--extcap-config",
        "--extcap-reload-option",
        "interface",
    ];
    let reloaded = until("the server listens", || {
        let told = on_far(&[&[BINARY, "extcap"][..], &ask].concat()).output().expect("it runs");
        told.status.success().then(|| String::from_utf8(told.stdout).expect("text"))
    });
    assert!(reloaded.contains("{value=eth0}"), "{reloaded}");

    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    let count = (talker.count() + 100).to_string();
    let filter = ["-f", "ether proto 0x88b5 or tcp", "-c", &count];
    let tshark = [&["tshark", "-l", "-i", "dashcap:near"][..], &filter, &PORTS].concat();
    let seen = client_ports(&desk.succeeds(&mut on_far(&tshark)));
    talker.stop();
    // Who asked for the interfaces was another session, and is seen; memory has both.
    let file = desk.path("ssh.pcapng");
    let file = file.to_str().expect("text");
    desk.succeeds(&mut desk.at(&[BINARY, "frames", "-f", "tcp port 22", "-w", file]));
    let all =
        client_ports(&desk.succeeds(&mut desk.at(&[&["tshark", "-r", file][..], &PORTS].concat())));
    assert!(!seen.is_empty() && seen.is_subset(&all), "{seen:?} of {all:?}");
    assert_eq!(all.len(), seen.len() + 1, "the session that read is left out: {seen:?} of {all:?}");
    desk.dashcap.finish_well();
}
