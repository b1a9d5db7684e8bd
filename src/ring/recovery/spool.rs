//! Segments that a spool file holds. Each is looked at once and left on the disk: there can be more of them than
//! memory has room for.

use std::sync::Arc;

use super::super::chunk::{ChunkHeader, Codec, Described, State};
use super::super::file::RingFile;
use super::super::segment::{Part, Segment};
use super::super::spool::place::SpoolPlace;
use super::{Candidate, ChunkKind, LARGEST, Origins, bytes};
use crate::ring::summary::LaneId;
use crate::sys::locked_file::LockedFile;

/// What a spool file of `length` bytes holds, and lane and number of a segment at its end that is in pieces.
pub(super) fn segments(
    file: &Arc<LockedFile>,
    length: u64,
    origins: &mut Origins,
) -> (Vec<Candidate>, Option<(LaneId, u64)>) {
    let (mut found, mut at) = (Vec::new(), RingFile::HEAD);
    while at < length {
        let header = bytes(&***file, at, ChunkHeader::SIZE);
        // Behind something else nobody knows where the next one begins.
        let Some(begun) = Described::of_image(&header) else { break };
        let broken = Some((begun.summary.lane, begun.summary.sequence));
        let Some(candidate) = segment(file, at, &begun, origins) else { return (found, broken) };
        found.push(candidate);
        at += (ChunkHeader::SIZE + begun.length) as u64;
    }
    (found, None)
}

fn segment(
    file: &Arc<LockedFile>,
    at: u64,
    begun: &Described,
    origins: &mut Origins,
) -> Option<Candidate> {
    let Described { summary, length, .. } = *begun;
    if length as u64 > LARGEST || begun.state != State::Last {
        return None;
    }
    let place = SpoolPlace::new(Arc::clone(file), at, length);
    let content = place.read().ok()?;
    let (parts, kind) = match begun.codec {
        Codec::Plain => {
            let origin = origins.shared(begun.origin.clone());
            (vec![Part { origin, summary, length, before: 0 }], ChunkKind::Sealed)
        }
        Codec::Zstd => (origins.parts(summary.lane, &[content])?, ChunkKind::Packed),
    };
    let sequences = parts.iter().map(|part| part.summary.sequence).collect();
    let segment = Segment::spooled(parts.into(), begun.codec, place);
    Some(Candidate::new(summary.lane, segment, sequences, kind))
}
