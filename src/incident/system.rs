//! What the system says at the moment of the trigger: the files of a bundle's `system/`.
//!
//! Asked on a thread of its own, at once, because it changes: what the kernel keeps in memory first
//! (bonding, counters, its log), then what programs print. Bounded in time and size, per item and in
//! all; an item that fails becomes a file with one line that says why, and never fails the bundle. It
//! changes nothing on the system and asks nobody on the network.
//!
//! Files are read through `/proc/thread-self` and programs inherit the thread's place, so that both
//! tell of the network namespace the collecting thread was made in.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, PipeReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use super::SystemFile;
use super::name::file_name;
use crate::sys::kernel_log;

/// Longest an item may take. `ethtool` on a slow driver takes some 100 ms; one that waits for hung
/// firmware takes forever.
const PER_ITEM: Duration = Duration::from_secs(2);
/// Longest all items together may take: below the default post-trigger window, so that the bundle
/// does not wait.
const IN_ALL: Duration = Duration::from_secs(8);
/// Largest content of an item in bytes: the routes of a small router, not of the whole Internet.
const LARGEST: usize = 256 * 1024;
/// Records of the kernel's log read at most: it may be written to faster than we read.
const RECORDS: usize = 200_000;
/// Longest record of `/dev/kmsg` in bytes (`PRINTK_MESSAGE_MAX` of kernel/printk, 2,048; the extended
/// form with its dictionary 8,192).
const RECORD: usize = 8_192;
/// A killed program is given this many pauses of [`REAP_PAUSE`] to be gone.
const REAP_ATTEMPTS: u32 = 20;
/// A program's output ends a moment before the program does.
const REAP_PAUSE: Duration = Duration::from_millis(5);
/// Where `ip` and `ethtool` live on systems whose users do not have it in their PATH.
const SYSTEM_PROGRAMS: &str = "/usr/sbin:/sbin:/usr/bin:/bin";
/// Programs that are asked, for whoever must let them run.
pub const PROGRAMS: [&str; 3] = ["ip", "ethtool", "uname"];

/// Where programs are looked for, as in PATH.
pub fn search_path() -> String {
    with_system_programs(&std::env::var("PATH").unwrap_or_default())
}

fn with_system_programs(path: &str) -> String {
    // An empty part would be the working directory.
    let parts = path.split(':').chain(SYSTEM_PROGRAMS.split(':'));
    parts.filter(|part| part.starts_with('/')).collect::<Vec<_>>().join(":")
}

/// One thing to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    file: String,
    question: HostQuestion,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostQuestion {
    Read(PathBuf),
    Run { program: &'static str, arguments: Vec<String> },
    KernelLog,
}

/// A collection under way.
#[derive(Debug)]
pub struct Collection {
    files: Receiver<SystemFile>,
    expected: Vec<String>,
}

impl Collection {
    /// Begins to ask, on a thread called `system`, about the host and these interfaces.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn begin(interfaces: &[String]) -> io::Result<Self> {
        Self::of(items(interfaces))
    }

    fn of(items: Vec<Item>) -> io::Result<Self> {
        let expected = items.iter().map(|item| item.file.clone()).collect();
        // Room for every answer: the thread never waits for whoever takes them.
        let (answers, files) = bounded(items.len().max(1));
        thread::Builder::new().name("system".to_owned()).spawn(move || ask(items, &answers))?;
        Ok(Self { files, expected })
    }

    /// True once every answer is there.
    pub fn is_complete(&self) -> bool {
        self.files.len() == self.expected.len()
    }

    /// The files, waiting for those that are not there yet at most `patience`; each that did not come
    /// says so.
    pub fn take(self, patience: Duration) -> Vec<SystemFile> {
        // What is there already is taken first, however short the patience.
        let mut files: Vec<SystemFile> = self.files.try_iter().collect();
        let over = after(patience);
        loop {
            select! {
                recv(self.files) -> file => match file {
                    Ok(file) => files.push(file),
                    Err(_) => break,
                },
                recv(over) -> _ => break,
            }
        }
        let missing = self.expected.into_iter().skip(files.len());
        files.extend(missing.map(|name| SystemFile {
            name,
            content: not_collected("the incident ended before the answer came"),
        }));
        files
    }
}

/// What is asked, what changes fastest first.
fn items(interfaces: &[String]) -> Vec<Item> {
    let net = PathBuf::from("/proc/thread-self/net");
    let read = |file: String, path: PathBuf| Item { file, question: HostQuestion::Read(path) };
    let run = |file: String, program: &'static str, arguments: &[&str]| {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Item { file, question: HostQuestion::Run { program, arguments } }
    };
    let bonds = fs::read_dir(net.join("bonding")).into_iter().flatten().flatten();
    let mut items: Vec<Item> = bonds
        .map(|bond| {
            let name = file_name(&bond.file_name().to_string_lossy());
            read(format!("bonding-{name}.txt"), bond.path())
        })
        .collect();
    items.push(read("net-dev.txt".to_owned(), net.join("dev")));
    items.push(read("softnet-stat.txt".to_owned(), net.join("softnet_stat")));
    items.push(Item { file: "kernel-log.txt".to_owned(), question: HostQuestion::KernelLog });
    items.push(run("ip-link.txt".to_owned(), "ip", &["-s", "-d", "link"]));
    items.push(run("ip-neigh.txt".to_owned(), "ip", &["neigh"]));
    items.push(run("ip-addr.txt".to_owned(), "ip", &["addr"]));
    items.push(run("ip-route.txt".to_owned(), "ip", &["route"]));
    items.push(run("ip-route-6.txt".to_owned(), "ip", &["-6", "route"]));
    for interface in interfaces {
        let name = file_name(interface);
        items.push(run(format!("ethtool-{name}.txt"), "ethtool", &[interface]));
        items.push(run(format!("ethtool-statistics-{name}.txt"), "ethtool", &["-S", interface]));
    }
    items.push(run("uname.txt".to_owned(), "uname", &["-a"]));
    items
}

fn ask(items: Vec<Item>, answers: &Sender<SystemFile>) {
    let mut over = after(IN_ALL);
    let mut late = false;
    for Item { file, question } in items {
        late = late || over.try_recv().is_ok();
        let content = match question {
            _ if late => not_collected("the items before it took too long"),
            HostQuestion::Read(path) => read(&path),
            HostQuestion::KernelLog => kernel_log(),
            HostQuestion::Run { program, arguments } => {
                let (content, ran_over) = run(program, &arguments, &over);
                if ran_over {
                    (late, over) = (true, never());
                }
                content
            }
        };
        if answers.send(SystemFile { name: file, content }).is_err() {
            return;
        }
    }
}

fn not_collected(reason: impl std::fmt::Display) -> Vec<u8> {
    format!("not collected: {reason}\n").into_bytes()
}

fn read(path: &PathBuf) -> Vec<u8> {
    let content = File::open(path).and_then(read_bounded);
    content.unwrap_or_else(|error| not_collected(format_args!("{}: {error}", path.display())))
}

/// At most [`LARGEST`] bytes, and a line that says so where there was more.
fn read_bounded(file: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(LARGEST as u64 + 1).read_to_end(&mut content)?;
    if content.len() > LARGEST {
        content.truncate(LARGEST);
        content.extend_from_slice(format!("\n[cut after {LARGEST} bytes]\n").as_bytes());
    }
    Ok(content)
}

/// What a program prints, its complaints included, and whether all time was over meanwhile.
fn run<T>(program: &'static str, arguments: &[String], over: &Receiver<T>) -> (Vec<u8>, bool) {
    let (mut child, output) = match start(program, arguments) {
        Ok(started) => started,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return (not_collected(format_args!("{program} is not installed")), false);
        }
        Err(error) => return (not_collected(format_args!("{program}: {error}")), false),
    };
    let (done, printed) = bounded(1);
    let reader = move || {
        let content = read_bounded(output);
        // Nobody listens any more if the program was too slow.
        let _ = done.send(content);
    };
    if let Err(error) = thread::Builder::new().name("system/read".to_owned()).spawn(reader) {
        end(child);
        return (not_collected(format_args!("{program}: {error}")), false);
    }
    let mut ran_over = false;
    let content = select! {
        recv(printed) -> content => content.ok(),
        recv(after(PER_ITEM)) -> _ => None,
        recv(over) -> _ => { ran_over = true; None }
    };
    let content = match content {
        Some(Ok(content)) => with_status(content, program, &mut child),
        Some(Err(error)) => not_collected(format_args!("{program}: {error}")),
        None => not_collected(format_args!("{program} was stopped, it took too long")),
    };
    end(child);
    (content, ran_over)
}

fn start(program: &str, arguments: &[String]) -> io::Result<(Child, PipeReader)> {
    let (output, input) = io::pipe()?;
    // The command holds our ends of the pipe; dropped here, only the child's are left, and reading
    // ends when it does.
    let child = Command::new(program)
        .args(arguments)
        .env("PATH", search_path())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input)
        .spawn()?;
    Ok((child, output))
}

fn with_status(mut content: Vec<u8>, program: &str, child: &mut Child) -> Vec<u8> {
    if let Some(status) = soon(child)
        && !status.success()
    {
        content.extend_from_slice(format!("[{program} ended with {status}]\n").as_bytes());
    }
    content
}

fn soon(child: &mut Child) -> Option<std::process::ExitStatus> {
    for _ in 0..REAP_ATTEMPTS {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(REAP_PAUSE);
    }
    None
}

/// Kills a child that is still there. One that hangs in the kernel (a driver waiting for its firmware,
/// exactly what happens when links fail) dies only when the kernel lets go of it: a thread waits.
fn end(mut child: Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    // Fails only if it has ended meanwhile.
    let _ = child.kill();
    if soon(&mut child).is_none() {
        let wait = thread::Builder::new().name("system/wait".to_owned());
        // Without a thread it stays a zombie until dashcap ends.
        let _ = wait.spawn(move || child.wait());
    }
}

/// The last [`LARGEST`] bytes of the kernel's log, as `dmesg --raw` prints it.
fn kernel_log() -> Vec<u8> {
    match kernel_log::open().and_then(log_tail) {
        Ok(tail) => tail,
        Err(error) => not_collected(format_args!("/dev/kmsg: {error}")),
    }
}

fn log_tail(mut log: impl Read) -> io::Result<Vec<u8>> {
    const OVERWRITTEN: io::ErrorKind = io::ErrorKind::BrokenPipe;
    let mut lines: VecDeque<String> = VecDeque::new();
    let mut size = 0;
    let mut record = [0; RECORD];
    for _ in 0..RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => {
                let line = readable(&String::from_utf8_lossy(&record[..length]));
                size += line.len();
                lines.push_back(line);
            }
            Err(error) if error.kind() == OVERWRITTEN => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
        while size > LARGEST {
            size -= lines.pop_front().map_or(size, |line| line.len());
        }
    }
    Ok(lines.into_iter().collect::<String>().into_bytes())
}

/// `6,339,5140900,-;text` and its dictionary become `<6>[    5.140900] text`.
fn readable(record: &str) -> String {
    let first = record.lines().next().unwrap_or_default();
    let (prefix, text) = first.split_once(';').unwrap_or(("", first));
    let mut fields = prefix.split(',');
    let priority = fields.next().unwrap_or_default();
    let micros: u64 = fields.nth(1).and_then(|field| field.parse().ok()).unwrap_or_default();
    format!("<{priority}>[{:5}.{:06}] {text}\n", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lab::is_root;

    fn shell(file: &str, script: &str) -> Item {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        Item { file: file.to_owned(), question: HostQuestion::Run { program: "sh", arguments } }
    }

    fn collected(items: Vec<Item>) -> Vec<(String, String)> {
        let files = Collection::of(items).unwrap().take(Duration::from_secs(30));
        files
            .into_iter()
            .map(|file| (file.name, String::from_utf8_lossy(&file.content).into_owned()))
            .collect()
    }

    /// Security review L13: without PATH, programs of the working directory were run.
    #[test]
    fn l13_programs_are_looked_for_in_whole_paths_only() {
        for (path, begins) in [("", "/usr/sbin:"), ("::.:bin:/opt/bin:", "/opt/bin:/usr/sbin:")] {
            assert!(with_system_programs(path).starts_with(begins), "{path}");
        }
    }

    #[test]
    fn the_host_answers_and_so_does_the_loopback() {
        let files = collected(items(&["lo".to_owned()]));
        let content = |name: &str| &files.iter().find(|(file, _)| file == name).unwrap().1;
        assert!(content("net-dev.txt").contains("lo:"));
        assert!(content("ip-link.txt").contains("lo:"), "{}", content("ip-link.txt"));
        assert!(content("ethtool-lo.txt").contains("Settings for lo"));
        assert!(content("uname.txt").starts_with("Linux"));
        assert!(!content("kernel-log.txt").is_empty());
        assert_eq!(content("softnet-stat.txt").lines().next().unwrap().split(' ').count(), 15);
    }

    /// A network namespace, removed when dropped.
    struct Namespace(String);

    impl Namespace {
        fn make() -> Self {
            let namespace = Self(format!("dashcap-system-{}", std::process::id()));
            ip(&["netns", "add", &namespace.0]);
            ip(&[
                "-n",
                &namespace.0,
                "link",
                "add",
                "wit0",
                "type",
                "veth",
                "peer",
                "name",
                "wit1",
            ]);
            namespace
        }
    }

    impl Drop for Namespace {
        fn drop(&mut self) {
            ip(&["netns", "del", &self.0]);
        }
    }

    fn ip(arguments: &[&str]) {
        assert!(Command::new("ip").args(arguments).status().unwrap().success(), "{arguments:?}");
    }

    #[test]
    fn the_thread_that_begins_chooses_the_network_namespace() {
        if !is_root("making a network namespace") {
            return;
        }
        let namespace = Namespace::make();
        let place = File::open(format!("/run/netns/{}", namespace.0)).unwrap();
        let inside = thread::spawn(move || {
            nix::sched::setns(place, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            collected(items(&["wit0".to_owned()]))
        });
        let inside = inside.join().unwrap();
        let content = |name: &str| &inside.iter().find(|(file, _)| file == name).unwrap().1;
        for file in ["net-dev.txt", "ip-link.txt", "ethtool-wit0.txt"] {
            assert!(content(file).contains("wit0"), "{file}: {}", content(file));
        }
        assert!(content("ethtool-statistics-wit0.txt").contains("peer_ifindex"));
    }

    #[test]
    fn what_fails_says_why_and_stops_nothing() {
        let missing = HostQuestion::Run { program: "dashcap-no-such-program", arguments: vec![] };
        let files = collected(vec![
            shell("fails", "echo out; echo err >&2; exit 3"),
            Item { file: "missing".to_owned(), question: missing },
            Item { file: "absent".to_owned(), question: HostQuestion::Read("/proc/none".into()) },
            shell("huge", "exec yes"),
            shell("hangs", "echo before; exec sleep 1000"),
            shell("after", "echo fine"),
        ]);
        let told: Vec<&str> = files.iter().map(|(_, content)| content.as_str()).collect();
        assert_eq!(told[0], "out\nerr\n[sh ended with exit status: 3]\n");
        assert_eq!(told[1], "not collected: dashcap-no-such-program is not installed\n");
        assert!(told[2].starts_with("not collected: /proc/none: No such file"), "{}", told[2]);
        assert!(told[3].starts_with("y\ny\n") && told[3].contains("[cut after 262144 bytes]"));
        assert_eq!(told[4], "not collected: sh was stopped, it took too long\n");
        assert_eq!(told[5], "fine\n");
    }

    #[test]
    fn an_impatient_taker_gets_what_there_is() {
        let collection =
            Collection::of(vec![shell("quick", "echo a"), shell("slow", "exec sleep 1000")]);
        let files = collection.unwrap().take(Duration::from_millis(500));
        assert_eq!(files.len(), 2);
        assert_eq!(files[1].name, "slow");
        assert!(files[1].content.starts_with(b"not collected: the incident ended"));
    }

    #[test]
    fn log_records_become_lines_and_only_the_last_are_kept() {
        let record = "6,339,5140900,-;eth0: link down\n SUBSYSTEM=net\n";
        assert_eq!(readable(record), "<6>[    5.140900] eth0: link down\n");
        assert_eq!(readable(""), "<>[    0.000000] \n");

        struct Log(u32);
        impl Read for Log {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    7 => Err(io::ErrorKind::BrokenPipe.into()),
                    20_001 => Err(io::ErrorKind::WouldBlock.into()),
                    n => (&mut *buffer).write(format!("6,{n},{n},-;record {n}").as_bytes()),
                }
            }
        }
        use io::Write;
        let tail = String::from_utf8(log_tail(Log(0)).unwrap()).unwrap();
        assert!(tail.len() <= LARGEST && tail.len() > LARGEST - 100);
        assert!(tail.ends_with("record 20000\n") && !tail.contains("record 8\n"));
    }
    proptest! {
        #[test]
        fn every_record_becomes_one_line(
            record in prop_oneof![any::<String>(), "[0-9]{1,25},[0-9]{0,25},[0-9]{0,25}[,;].{0,20}"],
        ) {
            let line = readable(&record);
            prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        }
    }
}
