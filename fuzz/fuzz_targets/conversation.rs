//! A capture file's frames, through the tap and all detectors, on whatever clock the file has: stamps
//! that stand still, go back and jump by years are part of it.
#![no_main]

use std::io::Cursor;
use std::sync::OnceLock;

use dashcap::capture_file::FileSource;
use dashcap::detect::protocols::{self, Protocols, Together};
use dashcap::detect::tap::{CONTROL, Health};
use dashcap::detect::{Detector, Detectors, Seen, Subject, traffic};
use dashcap::finding::Finding;
use dashcap::sys::wakeup::Wakeup;
use dashcap::time::{Mono, Offset, Stamp, Wall};
use dashcap::wire::control;
use libfuzzer_sys::fuzz_target;

/// Who hears each frame twice would fill the channel: more than these are not shown.
const MOST: usize = 1_000;

fuzz_target!(|input: &[u8]| {
    static BELL: OnceLock<Wakeup> = OnceLock::new();
    let Ok(mut file) = FileSource::from_reader("fuzz.pcap", Cursor::new(input.to_vec())) else {
        return;
    };
    let bell = BELL.get_or_init(|| Wakeup::new().expect("a descriptor")).clone();
    let subject = Subject {
        interface: "eth0".into(),
        classes: vec!["control".into(), "data".into()],
        filters: vec!["any".into()],
    };
    let protocols = || Protocols::new("eth0", &protocols::Options::default(), &Together::default());
    let (mut tap, mut detectors) =
        Detectors::new(subject, &traffic::Options::default(), vec![Box::new(protocols())], bell)
            .expect("options that hold");
    // The same once more with the whole frame, and ticks between: what is shown through the tap is cut.
    let mut alone = protocols();
    let mut findings = Vec::new();
    let mut latest = Wall(0);
    for _ in 0..MOST {
        let Ok(true) = file.advance() else { break };
        let Some(frame) = file.frame() else { break };
        latest = frame.wall.unwrap_or(latest);
        let Some(link_type) = file.origins().get(frame.origin).map(|origin| origin.link_type)
        else {
            break;
        };
        let at = Stamp { mono: Mono(latest.0), wall: latest };
        let stamped = frame.stamped(latest, 1_500);
        let is_control = control::is_control(link_type, &stamped);
        tap.begin(link_type);
        tap.frame(&stamped, if is_control { CONTROL } else { 1 }, false, Offset(0));
        tap.matched(0, &stamped, Offset(0));
        tap.summary(at, Health { recording: true, ..Health::default() }, Vec::new());
        detectors.hear(&mut findings);
        let bytes = stamped.parts[0];
        let seen = Seen { interface: "eth0", link_type, header: stamped.header, at, bytes, noticed: None };
        alone.frame(&seen, &mut findings);
        alone.tick(at, &mut findings);
        findings.drain(..).for_each(worded);
    }
});

/// Findings reach people and files as text.
fn worded(finding: Finding) {
    assert!(!finding.to_string().is_empty());
}
