//! Judged by tshark: real captures with the frames it calls control, and what it calls our samples.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

use super::frames::{Sample, samples};
use super::*;
use crate::lab::needs;

/// Captures and `expected.tsv`; where they come from is in its `ORIGIN.md`.
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/control");

#[test]
fn real_captures_divide_as_tshark_says() {
    let expected = fs::read_to_string(Path::new(DATA).join("expected.tsv")).unwrap();
    let mut read = Vec::new();
    for line in expected.lines() {
        let [file, frames, control] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("three columns: {line}");
        };
        let verdicts = verdicts(&Path::new(DATA).join(file));
        assert_eq!(verdicts.len().to_string(), frames, "{file}");
        let ours: Vec<_> =
            (1..).zip(&verdicts).filter(|(_, v)| **v).map(|(n, _)| n.to_string()).collect();
        assert_eq!(ours.join(","), control, "{file}: numbers of the control frames");
        read.push(file.to_owned());
    }
    let mut present: Vec<_> = fs::read_dir(DATA)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".pcap"))
        .collect();
    present.sort();
    read.sort();
    assert_eq!(read, present, "every capture has its line");
}

/// Control or not, frame by frame.
fn verdicts(capture: &Path) -> Vec<bool> {
    let mut reader = PcapReader::new(File::open(capture).unwrap()).unwrap();
    let link_type = LinkType(u32::from(reader.header().datalink) as u16);
    let mut verdicts = Vec::new();
    while let Some(packet) = reader.next_packet() {
        verdicts.push(whole(link_type, &packet.unwrap().data));
    }
    verdicts
}

#[test]
fn tshark_calls_the_samples_by_their_names() {
    if !needs("tshark") {
        return;
    }
    let samples = samples();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("samples.pcap");
    let mut writer = PcapWriter::new(File::create(&path).unwrap()).unwrap();
    for Sample { bytes, .. } in &samples {
        let length = bytes.len() as u32;
        writer.write_packet(&PcapPacket::new(std::time::Duration::ZERO, length, bytes)).unwrap();
    }
    drop(writer);
    let output = Command::new("tshark")
        .args(["-n", "-T", "fields", "-e", "frame.protocols", "-r"])
        .arg(&path)
        .output()
        .expect("it is here");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {complaint}");
    let protocols = String::from_utf8(output.stdout).unwrap();
    let mut wrong = Vec::new();
    for (Sample { name, word, .. }, protocols) in samples.iter().zip(protocols.lines()) {
        if !protocols.split(':').any(|protocol| protocol == *word) {
            wrong.push(format!("{name}: {protocols}, without {word}"));
        }
    }
    assert_eq!(protocols.lines().count(), samples.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
