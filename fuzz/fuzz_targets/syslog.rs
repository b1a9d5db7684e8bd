//! A syslog connection in two pieces: a byte that says where it is cut, then what is sent.
#![no_main]

use dashcap::watch::logs::{Framing, parse_header, split_priority};
use dashcap::observation::log_line::LONGEST;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((cut, stream)) = input.split_first() else { return };
    let (head, tail) = stream.split_at(stream.len() * usize::from(*cut) / 256);
    let whole = messages(&[stream]);
    assert_eq!(messages(&[head, tail]), whole);
    for (message, _) in &whole {
        assert!(message.len() <= LONGEST);
        let text = String::from_utf8_lossy(message);
        let (_, rest) = split_priority(&text);
        assert!(text.ends_with(rest));
        let _ = parse_header(&text);
    }
});

fn messages(pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
    let (mut framing, mut seen) = (Framing::default(), Vec::new());
    let mut take = |message: &[u8], cut| seen.push((message.to_vec(), cut));
    pieces.iter().for_each(|piece| framing.push(piece, &mut take));
    framing.finish(&mut take);
    seen
}
