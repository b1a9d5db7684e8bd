//! Frames as lines, for who has no Wireshark there: time, interface, way, what it is.
//!
//! ```text
//!   14:14:20.811089 dp0s0 out VLAN 956: 10.0.0.91 → 224.0.0.18 VRRP Announcement (v3), group 44, ...
//!   14:14:20.812003 -- dp0bond0: DOWN, carrier off
//! ```

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::capture_file::{FileFrame, FileSource, Item, block};
use crate::error::{Error, Result};
use crate::frame::{Direction, Origin};
use crate::time::Wall;
use crate::visible;
use crate::wire::Reading;

/// Hands each frame and each line between frames to `print`, in words; times are those of `zone`.
///
/// # Errors
/// When the stream is damaged or breaks off, or `print` fails.
pub fn lines(
    file: &mut FileSource,
    zone: &TimeZone,
    mut print: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    loop {
        let step = file.step();
        let item = step.map_err(|damage| Error::operation("read", "the frames", damage))?;
        let line = match item {
            None => return Ok(()),
            Some(Item::Frame) => file.frame().map(|frame| {
                let origin = &file.origins()[frame.origin];
                of_frame(&frame, origin, zone)
            }),
            Some(Item::Block) => file.block().and_then(|found| {
                let (at, message) = block::entry_of(&found)?;
                Some(format!("{} -- {}", clock(Wall(at), zone), visible::plain(message)))
            }),
        };
        if let Some(line) = line {
            print(&line)?;
        }
    }
}

fn of_frame(frame: &FileFrame<'_>, origin: &Origin, zone: &TimeZone) -> String {
    let way = match frame.direction {
        Direction::Inbound => "in ",
        Direction::Outbound => "out",
        Direction::Unknown => "-  ",
    };
    let what = match Reading::of(origin.link_type, frame.bytes) {
        Some(reading) => reading.to_string(),
        None => format!("{} bytes", frame.original_len),
    };
    let at = frame.wall.map_or_else(|| "-".to_owned(), |wall| clock(wall, zone));
    let mut line =
        format!("{at} {} {way} {}", visible::plain(&origin.interface), visible::plain(&what));
    if (frame.bytes.len() as u64) < u64::from(frame.original_len) {
        line += &format!(" ({} of {} bytes)", frame.bytes.len(), frame.original_len);
    }
    if let Some(copies) = frame.copies {
        line +=
            &format!(" (stands for {} copies until {})", copies.count, clock(copies.last, zone));
    }
    line
}

/// `14:14:20.811089`, as tcpdump has it.
fn clock(wall: Wall, zone: &TimeZone) -> String {
    let at = Timestamp::from_nanosecond(wall.0.into()).unwrap_or_default();
    at.to_zoned(zone.clone()).strftime("%H:%M:%S.%6f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Host;
    use crate::incident::fixture;
    use crate::incident::journal::Entry;
    use crate::incident::pcapng::CaptureFile;
    use std::sync::Arc;

    #[test]
    fn a_frame_is_a_line_and_so_is_what_was_seen() {
        let origin = Arc::new(fixture::origin("eth\u{1b}0", 3));
        let arp = [
            &[0xff; 6][..],
            &[2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1],
            &[192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 9],
        ]
        .concat();
        let mut stream = Vec::new();
        let mut file = CaptureFile::plain(&mut stream, &Host::read(), "test").unwrap();
        let frame = fixture::frame(&origin, fixture::at(0).mono, &arp);
        file.frame(&frame).unwrap();
        file.entry(&Entry::of_stream(fixture::at(2), "12 frames are missing here")).unwrap();
        file.flush().unwrap();
        drop(file);
        let mut file = FileSource::from_reader("test", std::io::Cursor::new(stream)).unwrap();
        let mut found = Vec::new();
        lines(&mut file, &TimeZone::UTC, |line| {
            found.push(line.to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains(r"eth\u{1b}0") && found[0].contains("192.0.2.9"), "{found:?}");
        assert!(found[1].ends_with(" -- 12 frames are missing here"), "{found:?}");
    }
}
