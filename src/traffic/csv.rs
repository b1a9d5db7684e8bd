//! `traffic.csv`: the long memory as a table, first a row for each minute, then one for each second.
//!
//! ```text
//! date,seconds,if,class,frames,bytes,dropped,kernel_dropped,folded,services
//! 2026-11-22T14:13:20.811Z,60.002,dp0s0,control,122,9028,0,0,0,ospf=4896 0x88cc=3120 arp=1012
//! 2026-11-22T14:13:20.811Z,60.002,dp0s0,data,181204,171220480,0,,0,tcp/443=150994944 udp/53=1048576
//! ```
//!
//! * `date` the end of the span, UTC with milliseconds; `seconds` its length. Rows of a kind are in order of
//!   happening, so after a backward step of the wall clock the dates go back. Where there is a gap there is no row.
//! * `frames` and their length `bytes`, copies that were folded and frames that were dropped by the lane included.
//! * `dropped` by the lane; `kernel_dropped` by the kernel, of whatever class, in the rows of the first class, and
//!   empty where it is not known; `folded` copies.
//! * `services` up to five, with their bytes, which are estimated from samples.

use std::io::{self, Read, Write};

use super::memory::TrafficMemory;
use super::row::TrafficRow;
use super::rows::Grain;
use crate::time::{Mono, Stamp, Wall};
use crate::visible;

const HEAD: &str = "date,seconds,if,class,frames,bytes,dropped,kernel_dropped,folded,services";

/// A line that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficLine {
    /// The end of its span.
    pub date: Wall,
    /// Its length in seconds.
    pub seconds: f64,
    /// Name of the interface.
    pub interface: String,
    /// Name of the class.
    pub class: String,
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes what the memory had then, as RFC 4180 has it, but with lines ending as on Unix.
///
/// # Errors
/// When `out` fails.
pub fn write(memory: &TrafficMemory, until: Mono, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{HEAD}")?;
    for grain in [Grain::Minute, Grain::Second] {
        memory
            .rows(grain, until, |interface, class, at, row| line(interface, class, at, row, out))?;
    }
    Ok(())
}

fn line(
    interface: &str,
    class: &str,
    at: Stamp,
    row: &TrafficRow,
    out: &mut impl Write,
) -> io::Result<()> {
    let TrafficRow { span, frames, bytes, folded, dropped, kernel_dropped, services } = row;
    let (date, seconds) = (at.wall.milliseconds(), span.as_secs_f64());
    let kernel_dropped = kernel_dropped.map(|count| count.to_string()).unwrap_or_default();
    let services: Vec<_> =
        services.iter().map(|(service, bytes)| format!("{service}={bytes}")).collect();
    let (interface, class, services) =
        (visible::field(interface), visible::field(class), services.join(" "));
    writeln!(
        out,
        "{date},{seconds:.3},{interface},{class},{frames},{bytes},{dropped},{kernel_dropped},{folded},{services}"
    )
}

/// Reads such a table; a line that has no meaning is none.
pub fn read(table: impl Read) -> impl Iterator<Item = Option<TrafficLine>> {
    let reader = csv::ReaderBuilder::new().flexible(true).from_reader(table);
    reader.into_records().map(|record| {
        let record = record.ok()?;
        let field = |n: usize| record.get(n);
        Some(TrafficLine {
            date: field(0)?.parse().ok()?,
            seconds: field(1)?.parse().ok().filter(|seconds| *seconds > 0.0)?,
            interface: visible::of_field(field(2)?).to_owned(),
            class: visible::of_field(field(3)?).to_owned(),
            frames: field(4)?.parse().ok()?,
            bytes: field(5)?.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::ServiceName;

    #[test]
    fn a_line_is_written_and_read_back() {
        let row = TrafficRow {
            span: Duration::from_millis(60_002),
            frames: 12,
            bytes: 3_400,
            folded: 2,
            dropped: 1,
            kernel_dropped: None,
            services: vec![(ServiceName::from_bytes([6, 187, 1]), 3_000)],
        };
        let at = Stamp { mono: Mono(5), wall: Wall(1_795_356_860_811_089_123) };
        let mut written = format!("{HEAD}\n").into_bytes();
        line("a\"b,c", "data", at, &row, &mut written).unwrap();
        line("eth0", "control", at, &TrafficRow { kernel_dropped: Some(7), ..row }, &mut written)
            .unwrap();
        let text = String::from_utf8(written).unwrap();
        let told = "2026-11-22T14:14:20.811Z,60.002,\"a\"\"b,c\",data,12,3400,1,,2,tcp/443=3000\n\
                    2026-11-22T14:14:20.811Z,60.002,eth0,control,12,3400,1,7,2,tcp/443=3000\n";
        assert_eq!(text, format!("{HEAD}\n{told}"));
        let lines: Vec<_> = read(text.as_bytes()).map(Option::unwrap).collect();
        let expected = ("a\"b,c", "data", 60.002, 12, 3_400);
        let TrafficLine { interface, class, seconds, frames, bytes, .. } = &lines[0];
        assert_eq!((&**interface, &**class, *seconds, *frames, *bytes), expected);
        assert_eq!(lines[1].date.milliseconds(), "2026-11-22T14:14:20.811Z");
        let senseless = format!("{HEAD}\nnonsense\n2026-11-22T14:14:20Z,0,x,y,1,1,0,0,0,\n");
        assert_eq!(read(senseless.as_bytes()).flatten().count(), 0);
    }
}
