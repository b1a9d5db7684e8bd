//! The story as a pcapng file, and as the table that an operator's script would have written.
//!
//! Written by hand, because a benchmark's input must come faster than it is read; tshark and our own
//! reader judge it. Little-endian, nanoseconds (draft-ietf-opsawg-pcapng 4.1 to 4.3).

use std::io::{self, Write};
use std::time::Duration;

use dashcap::frame::Direction;
use dashcap::time::Wall;

use super::{BOND, Counts, DOWN, END, FAULT, INTERFACES, Passing, Plan, Story, nanos};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

/// Writes the whole story; returns what it had.
pub(crate) fn write(plan: Plan, out: &mut impl Write) -> io::Result<Counts> {
    let mut section = BYTE_ORDER.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend([0xff; 8]);
    let mut bytes = Vec::new();
    block(&mut bytes, SECTION, &section);
    for name in INTERFACES {
        // Ethernet, 256 KiB.
        let mut interface = vec![1, 0, 0, 0, 0, 0, 4, 0];
        option(&mut interface, IF_NAME, name.as_bytes());
        option(&mut interface, IF_TSRESOL, &[9]);
        option(&mut interface, 0, &[]);
        block(&mut bytes, INTERFACE, &interface);
    }
    out.write_all(&bytes)?;
    let (mut story, mut counts, mut body) = (Story::new(plan), Counts::default(), Vec::new());
    while let Some(frame) = story.next() {
        counts.add(frame.kind);
        body.clear();
        packet(&mut body, &frame);
        bytes.clear();
        block(&mut bytes, PACKET, &body);
        out.write_all(&bytes)?;
    }
    out.flush()?;
    Ok(counts)
}

fn packet(body: &mut Vec<u8>, frame: &Passing<'_>) {
    let length = (frame.bytes.len() as u32).to_le_bytes();
    body.extend((frame.interface as u32).to_le_bytes());
    body.extend(((frame.wall >> 32) as u32).to_le_bytes());
    body.extend((frame.wall as u32).to_le_bytes());
    body.extend(length);
    body.extend(length);
    body.extend(frame.bytes);
    pad(body);
    let way: u32 = match frame.direction {
        Direction::Inbound => 1,
        Direction::Outbound => 2,
        Direction::Unknown => 0,
    };
    option(body, EPB_FLAGS, &way.to_le_bytes());
    option(body, 0, &[]);
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() as u32 + 12).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(length);
    out.extend(body);
    out.extend(length);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend(value);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// A row a minute, and one when the bond goes down.
pub(crate) fn table(plan: Plan) -> String {
    let name = INTERFACES[BOND];
    let mut table = "date,if,carr,state,age,chngs\n".to_owned();
    let (begin, down) = (plan.begin(), FAULT + nanos(DOWN));
    for at in (begin..down).step_by(nanos(Duration::from_secs(60)) as usize) {
        let age = (at - begin) as f64 / 1e9 + 3_600.0;
        table += &format!("{},{name},1,up,{age:.3},2\n", Wall(at));
    }
    table += &format!("{},{name},0,down,0.000,3\n", Wall(down));
    let (end, age) = (FAULT + nanos(END), nanos(END - DOWN) as f64 / 1e9);
    table + &format!("{},{name},0,down,{age:.3},3\n", Wall(end))
}
