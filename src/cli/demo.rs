//! `dashcap demo`: the main job on a real kernel, without touching an interface of this machine.
//!
//! ```text
//!   dashcap demo                      asks for new namespaces (a user namespace where it is not root)
//!    └─ the near host: dash0 192.0.2.1   records, talks, shows the bundle
//!        └─ the far host: far0 192.0.2.2   answers, and pulls the link when told
//! ```
//!
//! The namespaces have no names and end with their processes, so nothing is left behind, whatever
//! happens. The addresses are for documentation (RFC 5737) and exist only in there.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use super::run;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::recorder::Recorder;
use crate::time::Clock;
use crate::watch::{Wake, Watcher, WatcherContext};

/// Show it working: two network namespaces, traffic between them, a pulled link, the bundle.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Directory in which the bundle appears; made if it is missing.
    #[arg(short, long, value_name = "DIR", default_value = "dashcap-demo")]
    output: PathBuf,

    /// The part this process plays.
    #[arg(long, hide = true, default_value = "audience")]
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Audience,
    Near,
    Far,
}

const NEAR: &str = "dash0";
const NEAR_ADDRESS: &str = "192.0.2.1/24";
const FAR: &str = "far0";
const FAR_ADDRESS: &str = "192.0.2.2/24";
const FAR_HOST: &str = "192.0.2.2";
/// The echo service (RFC 862).
const PORT: u16 = 7;
/// Traffic before the link is pulled.
const BEFORE: Duration = Duration::from_secs(6);
/// Between two messages of the conversation.
const PACE: Duration = Duration::from_millis(50);
/// The conversation goes on after the link is pulled, so that the bundle shows it fail.
const AFTER: Duration = Duration::from_secs(5);
/// How far around the failure the packets are shown.
const SHOWN: Duration = Duration::from_millis(300);

impl Demo {
    pub(super) fn start(self) -> Result<ExitCode> {
        match self.part {
            Part::Audience => self.unshare(),
            Part::Near => self.near(),
            Part::Far => far(),
        }
    }

    /// Becomes the near host in namespaces of its own; returns only if that fails.
    fn unshare(&self) -> Result<ExitCode> {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount"]);
        if !is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        // Asked beforehand, since unshare's own words would not tell what to do.
        let mut probe = Command::new("unshare");
        probe.args(unshare.get_args()).arg("true").stderr(Stdio::null());
        if !probe.status().is_ok_and(|status| status.success()) {
            let refused = "the system does not allow it";
            return Err(Error::operation("make", "a network namespace", refused).hint(
                "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
                 kernel.apparmor_restrict_unprivileged_userns=0)",
            ));
        }
        let error = unshare
            .arg(myself()?)
            .args(["demo", "--part", "near", "--output"])
            .arg(&self.output)
            .exec();
        Err(Error::operation("run", "unshare(1)", error).hint("install util-linux"))
    }

    fn near(self) -> Result<ExitCode> {
        // Where this is refused, /sys shows the outer namespace and dashcap asks rtnetlink instead.
        let _ = Command::new("mount").args(["-t", "sysfs", "sysfs", "/sys"]).status();
        let mut far = FarHost::start()?;
        ip(&["link", "set", "lo", "up"])?;
        let far_id = far.child.id().to_string();
        ip(&["link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", &far_id])?;
        ip(&["addr", "add", NEAR_ADDRESS, "dev", NEAR])?;
        ip(&["link", "set", NEAR, "up"])?;
        far.tell("connect")?;
        far.wait_for("connected")?;

        let mut options = self.settings().options(run::DEFAULTS, Settings::usual_rules)?;
        options.window.pre = BEFORE;
        let mut recorder = Recorder::start(options, Clock::system())?;
        recorder.add_watcher(Demonstration { far })?;
        let summary = recorder.run(|_| {});
        let Some(bundle) = summary.bundles.first() else {
            return Err(Error::operation("show", "the bundle", "none was written"));
        };
        show(bundle)?;
        Ok(ExitCode::SUCCESS)
    }

    /// What an operator would type.
    fn settings(&self) -> Settings {
        #[derive(Parser)]
        struct Typed {
            #[command(flatten)]
            settings: Settings,
        }
        let typed = ["dashcap", "--interface", NEAR, "--memory", "32MiB", "--probe", FAR_HOST];
        let windows = [
            "--control",
            "off",
            "--post",
            "4s",
            "--interval",
            "500ms",
            "--probe-interval",
            "500ms",
            "--output",
        ];
        Typed::parse_from(
            typed
                .into_iter()
                .chain(windows)
                .map(Into::into)
                .chain([self.output.clone().into_os_string()]),
        )
        .settings
    }
}

/// The other end of the cable: a process in a namespace of its own that does what it is told.
struct FarHost {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<std::process::ChildStdout>,
}

impl FarHost {
    fn start() -> Result<Self> {
        let failed = |e| Error::operation("start", "the far host", e);
        let mut child = Command::new("unshare")
            .arg("--net")
            .arg(myself()?)
            .args(["demo", "--part", "far"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(ErrorKind::BrokenPipe.into()));
        };
        let mut far = Self { child, orders, answers: BufReader::new(answers) };
        far.wait_for("ready")?;
        Ok(far)
    }

    fn tell(&mut self, order: &str) -> Result<()> {
        writeln!(self.orders, "{order}").map_err(|e| Error::operation("tell", "the far host", e))
    }

    fn wait_for(&mut self, expected: &str) -> Result<()> {
        let mut answer = String::new();
        let heard = self.answers.read_line(&mut answer);
        if heard.is_ok() && answer.trim() == expected {
            return Ok(());
        }
        Err(Error::operation("prepare", "the far host", format!("it said {answer:?}")))
    }
}

impl Drop for FarHost {
    fn drop(&mut self) {
        // It ends when its orders end; should it not, it is ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The far host itself: orders on standard input, answers on standard output.
fn far() -> Result<ExitCode> {
    println!("ready");
    for order in std::io::stdin().lines().map_while(std::result::Result::ok) {
        match order.as_str() {
            "connect" => {
                ip(&["addr", "add", FAR_ADDRESS, "dev", FAR])?;
                ip(&["link", "set", FAR, "up"])?;
                let listener = TcpListener::bind((FAR_HOST, PORT))
                    .map_err(|e| Error::operation("listen on", FAR_HOST, e))?;
                thread::spawn(move || listener.incoming().flatten().for_each(echo));
                println!("connected");
            }
            "pull" => ip(&["link", "set", FAR, "down"])?,
            _ => break,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..length]).is_err() {
            return;
        }
    }
}

/// What happens while dashcap records: a conversation, the pulled link, a conversation that fails.
struct Demonstration {
    far: FarHost,
}

impl Watcher for Demonstration {
    const NAME: &'static str = "demo";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let failed = |e| Error::operation("talk to", FAR_HOST, e);
        let mut stream = TcpStream::connect((FAR_HOST, PORT)).map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        let begun = context.now().mono;
        let pull = begun.plus(BEFORE);
        let mut pulled = false;
        let mut answer = [0; 1024];
        for number in 0_u64.. {
            let now = context.now();
            if now.mono >= pull && !pulled {
                self.far.tell("pull")?;
                pulled = true;
            }
            if now.mono >= pull.plus(AFTER) {
                return context.send_until_taken(now, &Fact::StopSignal);
            }
            // A full buffer or a missing answer is what a dead link looks like.
            let _ = stream.write(format!("message {number} from dash0 to far0\n").as_bytes());
            let _ = stream.read(&mut answer);
            if context.wait(&[], Some(now.mono.plus(PACE)))? == Wake::Stop {
                break;
            }
        }
        Ok(())
    }
}

/// The bundle, as its reader would look at it.
fn show(bundle: &Path) -> Result<()> {
    let read = |name: &str| {
        let path = bundle.join(name);
        std::fs::read_to_string(&path)
            .map_err(|e| Error::operation("read", path.display().to_string(), e))
    };
    println!("\n── {} ──", bundle.display());
    for entry in list(bundle)? {
        println!("{entry}");
    }
    println!("\n── timeline.csv ──");
    print!("{}", read("timeline.csv")?);
    println!("\n── events.jsonl, without the answered pings ──");
    let events: Vec<serde_json::Value> =
        read("events.jsonl")?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for event in events.iter().filter(|event| event["what"]["fact"] != "probe_answered") {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        println!("{}  {:11}  {}", text("time"), text("kind"), text("sentence"));
    }
    println!("\n── capture.pcapng.zst: the packets around the failure, as tshark reads them ──");
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")?)
        .map_err(|e| Error::operation("read", "manifest.json", e))?;
    let trigger = manifest["triggers"][0]["time"].as_str().unwrap_or_default().to_owned();
    packets(&bundle.join("capture.pcapng.zst"), &trigger);
    Ok(())
}

fn list(bundle: &Path) -> Result<Vec<String>> {
    let failed = |e| Error::operation("list", bundle.display().to_string(), e);
    let mut lines = Vec::new();
    for directory in [bundle.to_owned(), bundle.join("system")] {
        let mut entries: Vec<_> =
            std::fs::read_dir(&directory).map_err(failed)?.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries.into_iter().filter(|e| e.path().is_file()) {
            let path = entry.path();
            let name = path.strip_prefix(bundle).unwrap_or(&path).display().to_string();
            lines.push(format!("{:9}  {name}", entry.metadata().map_err(failed)?.len()));
        }
    }
    Ok(lines)
}

fn packets(capture: &Path, trigger: &str) {
    let Ok(trigger) = trigger.parse::<jiff::Timestamp>() else { return };
    let edge = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
    let (Ok(from), Ok(to)) = (trigger.checked_sub(SHOWN), trigger.checked_add(SHOWN)) else {
        return;
    };
    let around = format!("frame.time >= \"{}\" && frame.time <= \"{}\"", edge(from), edge(to));
    let shown = Command::new("tshark")
        .env("TZ", "UTC")
        .args(["-n", "-t", "ud", "-r"])
        .arg(capture)
        .args(["-Y", &around])
        .stderr(Stdio::null())
        .status();
    if !shown.is_ok_and(|status| status.success()) {
        println!("tshark is not installed; open {} in Wireshark", capture.display());
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let failed =
        |reason: String| Error::operation("run", format!("ip {}", arguments.join(" ")), reason);
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|e| failed(e.to_string()).hint("install iproute2"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// This program's file.
fn myself() -> Result<PathBuf> {
    std::env::current_exe().map_err(|e| Error::operation("find", "this program", e))
}
