//! What a bundle has of the story, frame by frame.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use serde_json::Value;

use super::{Counts, INTERFACES, Plan, Story, storm};

/// Frames of a capture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    /// By kind; of the storm, those that stand for themselves.
    pub(crate) counts: Counts,
    /// Frames that stand for copies.
    pub(crate) stand_ins: u64,
    /// Frames that were cut to their headers.
    pub(crate) thinned: u64,
}

/// Reads a capture file beside the story: each frame that is no copy must be there, in order, to the
/// nanosecond, from the right interface and as long as it was; its bytes may be cut, not changed.
pub(crate) fn judge(capture: &Path, plan: Plan) -> Result<Held, String> {
    let failed = |what: &str| format!("{}: {what}", capture.display());
    let file = File::open(capture).map_err(|e| failed(&e.to_string()))?;
    let file = zstd::Decoder::new(BufReader::new(file)).map_err(|e| failed(&e.to_string()))?;
    let mut reader = PcapNgReader::new(file).map_err(|e| failed(&e.to_string()))?;
    let (storm, mut held) = (storm(), Held::default());
    let (mut story, mut names) = (Story::new(plan.without_storm()), Vec::new());
    while let Some(block) = reader.next_block() {
        let packet = match block.map_err(|e| failed(&e.to_string()))? {
            Block::EnhancedPacket(packet) => packet,
            Block::InterfaceDescription(described) => {
                let name = described.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                names.push(name.unwrap_or_default());
                continue;
            }
            _ => continue,
        };
        if let Some(which) = storm.iter().position(|copy| copy[..] == *packet.data) {
            let stands_for_others = packet
                .options
                .iter()
                .any(|option| matches!(option, EnhancedPacketOption::Comment(_)));
            match stands_for_others {
                true => held.stand_ins += 1,
                false => held.counts.storm[which] += 1,
            }
            continue;
        }
        let expected = story.next().ok_or_else(|| failed("more frames than there were"))?;
        let whole = expected.bytes;
        let there = packet.data.len();
        let same = packet.timestamp.as_nanos() == u128::from(expected.wall)
            && names.get(packet.interface_id as usize).map(String::as_str)
                == Some(INTERFACES[expected.interface])
            && packet.original_len as usize == whole.len()
            && whole.get(..there) == Some(&packet.data);
        if !same {
            let differs = format!("where {expected:?} should be is {packet:?}");
            return Err(failed(&differs));
        }
        held.counts.add(expected.kind);
        held.thinned += u64::from(there < whole.len());
    }
    match story.next() {
        None => Ok(held),
        Some(missing) => Err(failed(&format!("ends before {missing:?}"))),
    }
}

/// Copies that were counted, of each of the three, as `events.jsonl` tells: in all, and in its bins.
pub(crate) fn runs(events: &str) -> Result<[u64; 3], String> {
    let begins: HashMap<String, usize> =
        storm().iter().enumerate().map(|(which, copy)| (hex(&copy[..SHOWN]), which)).collect();
    let mut counted = [0; 3];
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        if event["kind"] != "run" {
            continue;
        }
        let which = event["begins_with"].as_str().and_then(|begin| begins.get(begin));
        let which = *which.ok_or_else(|| format!("a run of something else: {line}"))?;
        let count = event["count"].as_u64().unwrap_or_default();
        let bins = event["per_100ms"].as_array().ok_or("no bins")?;
        let sum: u64 = bins.iter().filter_map(Value::as_u64).sum();
        if sum != count {
            return Err(format!("{sum} in its bins: {line}"));
        }
        counted[which] += count;
    }
    Ok(counted)
}

/// Bytes of a frame that `events.jsonl` shows.
const SHOWN: usize = 54;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
