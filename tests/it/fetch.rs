//! Bundles fetched through a real ssh: cut off, gone on with, checked.

use std::fs;
use std::process::{Command, Stdio};

use crate::bus::fetch::{incident, written};
use crate::lab::{BINARY, output, until};
use crate::wireshark::ssh_lab;

#[test]
fn a_bundle_comes_through_ssh_and_a_fetch_that_was_cut_off_goes_on() {
    let Some((lab, desk, _server)) = ssh_lab() else { return };
    let (store, here) = (desk.path("it's a store"), desk.path("here"));
    let bundle = written(&store, &incident(50));
    let name = bundle.file_name().expect("a name").to_str().expect("text");
    let fetch = |id: &str, arguments: &[&str]| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", lab.far.name(), BINARY, "fleet", "fetch", id]);
        command.args(["--ssh", "near", "--store"]).arg(&store).args(arguments);
        if !arguments.contains(&"-o") {
            command.arg("-o").arg(&here);
        }
        command.stdin(Stdio::null());
        desk.of(command)
    };
    let partial = here.join("near").join(format!("{name}.partial"));
    let some = || {
        let files = fs::read_dir(&partial).ok()?.flatten();
        let lengths = files.map(|file| file.metadata().map_or(0, |about| about.len()));
        // Beside what was promised.
        Some(lengths.sum::<u64>()).filter(|_| {
            partial.join("timeline.csv").exists() || partial.join("capture.pcapng.zst").exists()
        })
    };
    // Killed with some of it here; a byte or two a second would take all day.
    let mut asker = until("the server lets us in, and something came", || {
        let mut slow =
            fetch(name, &["--rate", "1KiB"]).stderr(Stdio::null()).spawn().expect("it runs");
        loop {
            if some().is_some() {
                return Some(slow);
            }
            if slow.try_wait().expect("it is ours").is_some() {
                return None;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    asker.kill().expect("it is ours");
    asker.wait().expect("it ends");

    let fetched = fetch(name, &[]).output().expect("it runs");
    let told = String::from_utf8_lossy(&fetched.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&fetched.stderr);
    assert!(fetched.status.success(), "{complaint}");
    let copy = here.join("near").join(name);
    assert_eq!(
        told.lines().last(),
        Some(&*format!("next: dashcap fleet report {}", copy.display()))
    );
    for file in ["manifest.json", "capture.pcapng.zst", "events.jsonl", "system/uname.txt"] {
        let [there, here] = [&bundle, &copy].map(|place| fs::read(place.join(file)));
        assert_eq!(there.expect("it is read"), here.expect("it is read"), "{file}");
    }
    let verified =
        output(BINARY, &["incidents", "-o", here.join("near").to_str().expect("text"), "verify"]);
    assert!(verified.contains("in order"), "{verified}");
    // Cut on that host; the same bytes each time, so the sum is the one that was told.
    let cut = desk.path("cut");
    let fetched = fetch(name, &["--headers", "-o", cut.to_str().expect("text")]).output();
    let fetched = fetched.expect("it runs");
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    let capture = cut.join("near").join(name).join("capture.pcapng.zst");
    let fields = ["-T", "fields", "-e", "frame.cap_len", "-Y", "udp"];
    let lengths =
        output("tshark", &[&["-r", capture.to_str().expect("text")][..], &fields].concat());
    assert!(lengths.lines().count() == 50 && lengths.lines().all(|l| l == "96"), "{lengths}");
    // Nothing is called that there, and an option of ssh is no host.
    let unknown = fetch("a-story-1", &[]).output().expect("it runs");
    let told = String::from_utf8_lossy(&unknown.stderr);
    assert!(unknown.status.code() == Some(1) && told.contains("no bundle of a-story-1"), "{told}");
    let evil =
        Command::new(BINARY).args(["fleet", "fetch", name, "--ssh=-oProxyCommand=x"]).output();
    assert_eq!(evil.expect("it runs").status.code(), Some(2));
    desk.finish();
}
