//! Disks that cannot take a bundle: refused at the start, patient later, and never in silence.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::{Bundle, Lab, Pace, SmallDisk, bundles_in, until};

const MIB: u64 = 1 << 20;

#[test]
fn an_output_directory_that_takes_nothing_is_refused_at_the_start() {
    let Some(lab) = Lab::new() else { return };
    let (full, locked) = (SmallDisk::mount(MIB), SmallDisk::mount(MIB));
    full.fill();
    locked.forbid_writing();
    let below_a_file = full.path().join("filler/bundles");
    for (output, reason) in [
        (full.text(), "No space left on device"),
        (locked.text(), "Read-only file system"),
        (below_a_file.to_str().unwrap(), "Not a directory"),
    ] {
        let end = lab.dashcap("run", &["-i", "eth0", "--output", output]).end();
        assert_eq!(end.code(), 1, "{end:?}");
        assert!(end.log.contains("output directory"), "{end:?}");
        assert!(end.log.contains(reason) && end.log.contains(output), "{end:?}");
    }
}

#[test]
fn an_incident_waits_for_space_while_capture_goes_on() {
    let Some(lab) = Lab::new() else { return };
    let disk = SmallDisk::mount(4 * MIB);
    let window = ["--pre", "1s", "--post", "200ms", "--output", disk.text()];
    let dashcap = lab.record(&[&["-i", "eth0"][..], &window].concat());
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(50);
    disk.fill();
    dashcap.snapshot();
    let told = dashcap.wait_for("stays in memory after attempt 1");
    assert!(told.contains("No space left on device"), "{told}");
    talker.wait_for_more(50);
    disk.make_room();
    dashcap.wait_for("bundle /");
    let end = dashcap.finish_well();
    let sent = talker.stop();
    let (received, accounted) = end.received("eth0");
    assert_eq!(received, accounted);
    assert!(received >= 100, "capture went on: {end:?}");

    let bundles = bundles_in(disk.path());
    assert_eq!(bundles.len(), 1, "{bundles:?}");
    Bundle::open(bundles[0].clone()).holds_what_was_sent("eth0", &sent);
}

#[test]
fn an_incident_that_still_has_no_space_at_the_end_is_told_lost() {
    let Some(lab) = Lab::new() else { return };
    let disk = SmallDisk::mount(4 * MIB);
    let options = ["-i", "eth0", "--post", "100ms", "--output", disk.text()];
    let dashcap = lab.record(&options);
    disk.fill();
    dashcap.snapshot();
    dashcap.wait_for("stays in memory after attempt 1");
    let end = dashcap.finish();
    assert_eq!(end.code(), 1, "{end:?}");
    let lost = end.log.lines().find(|line| line.contains("lost 2")).expect("it is told");
    assert!(lost.contains("_signal after 2 attempts"), "{lost}");
    assert!(lost.contains("No space left on device"), "{lost}");
    disk.make_room();
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0, "nothing half-written");
}

#[test]
fn an_incident_is_given_up_and_counted_when_new_frames_need_its_memory() {
    let Some(lab) = Lab::new() else { return };
    let disk = SmallDisk::mount(4 * MIB);
    let small = ["--memory", "4MiB", "--output", disk.text(), "--pre", "10s", "--post", "200ms"];
    let dashcap = lab.record(&[&["-i", "eth0"][..], &small].concat());
    disk.fill();
    let pace = Pace { burst: 10, pause: Duration::from_millis(1), len: 1_500, from: 0 };
    let talker = lab.far.talk("far0", pace);
    talker.wait_for(3_000);
    until("an incident was given up", || {
        dashcap.signal(Signal::SIGUSR1);
        dashcap.has_said("lost 2").then_some(())
    });
    talker.wait_for_more(100);
    let sent = talker.stop().len() as u64;
    let end = dashcap.finish();
    assert_eq!(end.code(), 1, "something was lost");
    let (received, accounted) = end.received("eth0");
    assert_eq!((received, accounted), (sent, sent));
    assert!(end.log.contains("No space left on device"), "{end:?}");
    disk.make_room();
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0, "nothing half-written");
}
