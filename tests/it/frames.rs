//! Frames out of the memory of a running dashcap: what was, what comes, and the seam in between.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::lab::{BINARY, BOUND, Dashcap, Lab, Pace, output, until};

/// A recording of eth0, and those who read its frames.
struct Reading {
    place: TempDir,
    dashcap: Dashcap,
}

impl Reading {
    fn start(lab: &Lab, options: &[&str]) -> Self {
        let place = tempfile::tempdir().expect("a directory can be made");
        let socket = place.path().join("control.sock");
        let own = ["-i", "eth0", "--control", socket.to_str().expect("text")];
        let dashcap = lab.record(&[&own[..], options].concat());
        Self { place, dashcap }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn frames(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("frames").args(words).arg("--control").arg(self.path("control.sock"));
        command
    }

    /// `frames -w FILE`, to its end.
    fn read(&self, words: &[&str]) -> PathBuf {
        let file = self.path("read.pcapng");
        let written = self.frames(words).arg("-w").arg(&file).output().expect("it runs");
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        file
    }
}

/// The numbers that the frames of talkers carry, in the order of the file.
fn numbers(file: &Path) -> Vec<u64> {
    let file = file.to_str().expect("text");
    let told =
        output("tshark", &["-r", file, "-Y", "eth.type == 0x88b5", "-T", "fields", "-e", "data"]);
    told.lines().map(|line| u64::from_str_radix(&line[..16], 16).expect("a number")).collect()
}

fn interrupt(mut reader: Child) {
    kill(Pid::from_raw(reader.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    reader.wait().expect("it ends");
}

#[test]
fn what_is_in_memory_is_there_at_once_and_nothing_is_frozen() {
    let Some(lab) = Lab::new() else { return };
    let reading = Reading::start(&lab, &[]);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(200);
    let sent = talker.stop();
    let file = until("all of them", || {
        let file = reading.read(&[]);
        (numbers(&file).len() >= sent.len()).then_some(file)
    });
    assert_eq!(numbers(&file), (0..sent.len() as u64).collect::<Vec<_>>());
    let few = numbers(&reading.read(&["--count", "7"]));
    assert_eq!(few, (0..7).collect::<Vec<_>>());
    assert!(numbers(&reading.read(&["--filter", "ip"])).is_empty());
    assert_eq!(
        numbers(&reading.read(&["--from", "-1h", "-f", "ether proto 0x88b5"])).len(),
        sent.len()
    );
    let text = reading.frames(&["--text", "-i", "eth0"]).output().expect("it runs");
    let text = String::from_utf8(text.stdout).expect("text");
    let lines: Vec<_> = text.lines().filter(|line| line.contains("EtherType 0x88b5")).collect();
    assert_eq!(lines.len(), sent.len(), "{text}");
    assert!(lines[0].contains(" eth0 in  "), "{}", lines[0]);
    let refused = reading.frames(&["-i", "eth9"]).output().expect("it runs");
    let refused = String::from_utf8(refused.stderr).expect("text");
    assert!(refused.contains("one that is recorded: eth0"), "{refused}");
    reading.dashcap.finish_well();
    assert!(lab.bundles().is_empty(), "no incident was made");
}

#[test]
fn nothing_is_missing_and_nothing_comes_twice_where_memory_ends_and_the_present_begins() {
    let Some(lab) = Lab::new() else { return };
    let reading = Reading::start(&lab, &[]);
    let talker =
        lab.far.talk("far0", Pace { burst: 20, pause: Duration::from_millis(2), ..Pace::GENTLE });
    talker.wait_for(2_000);
    let file = reading.path("seam.pcapng");
    let mut reader = reading.frames(&["--follow"]);
    let reader = reader.arg("-w").arg(&file).spawn().expect("it runs");
    talker.wait_for(6_000);
    let sent = talker.stop();
    // What stands in the file may still grow: tshark is asked until it has all.
    let found = until("all of them", || {
        let found = numbers(&file);
        (found.len() >= sent.len()).then_some(found)
    });
    interrupt(reader);
    assert_eq!(found, (0..sent.len() as u64).collect::<Vec<_>>());
    reading.dashcap.finish_well();
}

#[test]
fn what_the_host_saw_stands_between_the_frames() {
    let Some(lab) = Lab::new() else { return };
    let reading = Reading::start(&lab, &[]);
    let mut follower = reading.frames(&["--follow", "--text"]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(follower.stdout.take().expect("a pipe")).lines();
    lab.far.ip("link set far0 down");
    let seen =
        lines.by_ref().map(|line| line.expect("text")).find(|line| line.contains("eth0: DOWN"));
    assert!(seen.is_some_and(|line| line.contains(" -- ")), "a line between frames");
    interrupt(follower);
    lab.far.ip("link set far0 up");
    reading.dashcap.finish_well();
}

#[test]
fn a_stopped_reader_costs_capture_nothing_and_learns_what_it_missed() {
    let Some(lab) = Lab::new() else { return };
    let memory = ["--memory", "16MiB", "--pack", "off", "--fade", "off"];
    let reading = Reading::start(&lab, &memory);
    let ask = b"{\"v\":1,\"command\":\"frames\",\"follow\":true}\n";
    let mut stopped = UnixStream::connect(reading.path("control.sock")).expect("it listens");
    stopped.set_read_timeout(Some(BOUND)).expect("a socket");
    stopped.write_all(ask).expect("it takes it");
    let mut answer = String::new();
    let mut stream = BufReader::new(stopped);
    stream.read_line(&mut answer).expect("an answer");
    assert!(answer.contains("\"answer\":\"frames\""), "{answer}");
    // Far more than memory and the socket hold.
    let talker = lab
        .far
        .talk("far0", Pace { burst: 50, pause: Duration::from_millis(1), len: 1_500, from: 0 });
    talker.wait_for(60_000);
    let sent = talker.stop().len() as u64;
    let (mut bytes, mut told) = (Vec::new(), None);
    while told.is_none() {
        let mut chunk = [0; 65_536];
        let read = stream.read(&mut chunk).expect("more comes");
        assert!(read > 0, "it goes on");
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(2 * 65_536)..]);
        told = text.find(" frames of eth0 (data) are missing here").map(|end| {
            let digits: Vec<_> =
                text[..end].chars().rev().take_while(char::is_ascii_digit).collect();
            digits.into_iter().rev().collect::<String>().parse::<u64>().expect("a number")
        });
    }
    assert!(told.is_some_and(|missed| missed > 0 && missed < sent), "{told:?} of {sent}");
    drop(stream);
    let end = reading.dashcap.finish_well();
    let (received, accounted) = end.received("eth0");
    assert!(received >= sent && received == accounted, "{received} of {sent}, {accounted} known");
    assert!(
        end.log.contains("+ 0 dropped by the lane"),
        "capture lost nothing to its readers: {end:?}"
    );
}

#[test]
fn more_readers_than_there_are_places_are_told_so() {
    let Some(lab) = Lab::new() else { return };
    let reading = Reading::start(&lab, &[]);
    let mut readers: Vec<_> = (0..4)
        .map(|_| {
            let mut reader = reading.frames(&["--follow", "-w", "-"]);
            let mut reader = reader.stdout(Stdio::piped()).spawn().expect("it runs");
            let mut begin = [0; 4];
            reader
                .stdout
                .as_mut()
                .expect("a pipe")
                .read_exact(&mut begin)
                .expect("a section header");
            assert_eq!(begin, [0x0a, 0x0d, 0x0d, 0x0a]);
            reader
        })
        .collect();
    let fifth = reading.frames(&["--last", "1s"]).output().expect("it runs");
    let reason = String::from_utf8(fifth.stderr).expect("text");
    assert!(reason.contains("4 clients read frames already"), "{reason}");
    interrupt(readers.pop().expect("the fourth"));
    // Its place is free again once dashcap noticed, though no frame comes.
    until("a place", || {
        let again = reading.frames(&["--last", "1s", "-w", "-"]).output().expect("it runs");
        again.status.success().then_some(())
    });
    readers.into_iter().for_each(interrupt);
    reading.dashcap.finish_well();
}
