//! A recorder takes no more memory than it said, whatever floods it: frames, triggers through every door, log
//! lines, syslog, new interfaces, all at once. And a real failure in the middle of that is kept.

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::lab::{Bundle, Dashcap, Lab, Pace, bundles_in};

/// How long the floods last, in seconds; `DASHCAP_MEMORY_SECONDS` says otherwise (`scripts/memory.sh`).
const SECONDS: u64 = 12;
/// Where syslog is listened.
const SYSLOG: &str = "127.0.0.1:5514";
/// A storm, and frames that no two are alike.
const LOAD: Pace = Pace { burst: 50, pause: Duration::from_millis(1), len: 1_000, from: 0 };

/// The bytes it said it takes at most.
fn promised(dashcap: &Dashcap) -> u64 {
    let line = dashcap.wait_for("memory: ");
    let (_, told) = line.split_once("memory: ").unwrap();
    told.split(' ').next().and_then(|mib| mib.parse::<u64>().ok()).expect("it says so") << 20
}

/// Does something over and over while the floods last.
fn flood<'a>(
    scope: &'a thread::Scope<'a, '_>,
    over: &'a AtomicBool,
    mut pour: impl FnMut(u64) + Send + 'a,
) {
    scope.spawn(move || {
        (0..).take_while(|_| !over.load(Ordering::Relaxed)).for_each(&mut pour);
    });
}

/// Lines that every matcher takes for its own, as long as a datagram may be.
fn lines(lab: &Lab) -> impl FnMut(u64) + Send + use<> {
    let socket = lab.near.inside(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    let says = [
        "Netlink reports eth7 down",
        "Entering FAULT STATE",
        "NSM Interface is Down",
        "link is down",
    ];
    move |n| {
        let line = format!("<30>{} {n} {}", says[n as usize % says.len()], "x".repeat(7_800));
        let _ = socket.send_to(line.as_bytes(), SYSLOG);
        thread::sleep(Duration::from_micros(500));
    }
}

/// Snapshots that are asked for through the control socket, with long reasons.
fn asks(socket: &Path) -> impl FnMut(u64) + Send + use<> {
    let socket = socket.to_owned();
    let request =
        format!("{{\"v\":1,\"command\":\"snapshot\",\"reason\":\"{}\"}}\n", "y".repeat(400));
    move |_| {
        if let Ok(mut stream) = UnixStream::connect(&socket) {
            let _ = stream.write_all(request.repeat(20).as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Files in the trigger directory.
fn files(directory: &Path) -> impl FnMut(u64) + Send + use<> {
    let directory = directory.to_owned();
    move |n| {
        let _ = fs::write(directory.join(format!("wish-{n}")), "z".repeat(2_000));
        thread::sleep(Duration::from_micros(300));
    }
}

#[test]
#[ignore = "takes minutes: scripts/memory.sh"]
fn f7_h1_every_flood_at_once_takes_no_more_memory_than_was_told_and_hides_no_failure() {
    let Some(lab) = Lab::new() else { return };
    let place = tempfile::tempdir().unwrap();
    let (socket, wishes) = (place.path().join("control.sock"), place.path().join("wishes"));
    let words = [socket.to_str().unwrap(), wishes.to_str().unwrap()];
    let log = format!("udp://{SYSLOG}");
    let options = ["--memory", "64MiB", "--kernel-memory", "4MiB", "--pre", "10s", "--post", "1s"];
    let doors = ["--control", words[0], "--trigger-directory", words[1], "--log", &log];
    lab.near.ip("link set lo up");
    lab.cable("eth1", "far1");
    let dashcap = lab.record_with_logs(&[&options[..], &doors].concat());
    let promised = promised(&dashcap);
    let talker = lab.far.talk("far0", LOAD);
    talker.wait_for(1_000);

    let (over, later) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        flood(scope, &over, lines(&lab));
        flood(scope, &over, asks(&socket));
        flood(scope, &over, files(&wishes));
        flood(scope, &over, |n| {
            later.store(n + 1, Ordering::Relaxed);
            lab.cable(&format!("new{n}"), &format!("wen{n}"));
            thread::sleep(Duration::from_millis(200));
            lab.near.ip(&format!("link del new{n}"));
        });
        let seconds = std::env::var("DASHCAP_MEMORY_SECONDS").ok().and_then(|s| s.parse().ok());
        let half = Duration::from_secs(seconds.unwrap_or(SECONDS)) / 2;
        thread::sleep(half);
        lab.far.ip("link set far1 down");
        thread::sleep(half);
        over.store(true, Ordering::Relaxed);
    });
    talker.stop();
    // One that is there and one that is about to go, and all that are gone, were told of.
    assert!(later.load(Ordering::Relaxed) > 10, "interfaces came and went");
    let promised = promised + ((2 * 7 + 48) << 20);
    // But the program's own text, of which a debug build has twice as much.
    let most = (dashcap.kib("VmHWM:") - dashcap.kib("RssFile:")) << 10;
    assert!(most <= promised, "{} MiB taken, {} MiB promised", most >> 20, promised >> 20);
    let end = dashcap.finish();
    let (received, sum) = end.received("eth0");
    assert_eq!(received, sum, "{end:?}");
    let failed = |bundle: &Bundle| {
        let tallies = bundle
            .jq("[.trigger_counts[]|select(.kind==\"link-down\" and .object==\"eth1\")]|length");
        tallies == "1" && !bundle.packets.is_empty()
    };
    // Some hundred are there, and tshark reads each that is opened.
    let tells = |path: &PathBuf| {
        fs::read_to_string(path.join("manifest.json")).is_ok_and(|text| text.contains("link-down"))
    };
    let mut bundles = bundles_in(lab.output()).into_iter().filter(tells).map(Bundle::open);
    assert!(bundles.any(|bundle| failed(&bundle)), "the failure is not kept: {end:?}");
}
