//! Rows for people: findings that say the same, but for a port, a counter or a figure, are one row with a
//! count. A link that flaps, the same question on five ports of a switch: nobody reads that five times.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::model::{Entry, seconds_between};
use crate::finding::{Party, Severity};
use crate::time::Wall;
use crate::words;

/// Most interfaces that a row names beside its own.
const NAMED: usize = 4;

/// One or several findings.
#[derive(Debug)]
pub(super) struct FindingRow<'a> {
    /// The first of them.
    pub(super) entry: &'a Entry,
    /// Its place among those that were given.
    pub(super) at: usize,
    /// How many.
    pub(super) times: u64,
    /// The end of the last one; none for a moment.
    pub(super) until: Option<Wall>,
    /// One of them has not ended.
    pub(super) lasts: bool,
    /// Frames that belong to them.
    pub(super) count: u64,
    /// Other interfaces on which it was found.
    elsewhere: Vec<&'a str>,
}

/// What makes findings the same to a reader: kind and severity; place, and what is said without its numbers; or what
/// is said without place, and the very frame.
type Likeness<'a> = (&'a str, Severity, Option<&'a str>, String);

/// The rows of `entries`, in their order.
pub(super) fn rows<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<FindingRow<'a>> {
    let mut rows: Vec<FindingRow<'a>> = Vec::new();
    let mut known: HashMap<Likeness<'a>, usize> = HashMap::new();
    for (at, entry) in entries.enumerate() {
        let likenesses = likenesses(entry);
        let row = likenesses.iter().find_map(|likeness| known.get(likeness)).copied();
        let row = match row {
            Some(row) => {
                rows[row].add(entry);
                row
            }
            None => {
                rows.push(FindingRow::of(at, entry));
                rows.len() - 1
            }
        };
        known.extend(likenesses.into_iter().map(|likeness| (likeness, row)));
    }
    rows
}

/// Said in the same place; and, of frames, the same frame elsewhere: seen on several interfaces, it is one happening.
fn likenesses(entry: &Entry) -> Vec<Likeness<'_>> {
    let place = entry.interface.as_deref();
    let (kind, severity) = (&*entry.kind, entry.severity);
    let mut all = vec![(kind, severity, Some(place.unwrap_or_default()), shape(&entry.sentence))];
    if entry.from == "frames" && !entry.what.is_empty() {
        let unplaced = entry.sentence.replace(place.unwrap_or("\0"), "");
        all.push((kind, severity, None, shape(&unplaced) + &entry.what));
    }
    all
}

impl<'a> FindingRow<'a> {
    fn of(at: usize, entry: &'a Entry) -> Self {
        let until = (entry.last > entry.first).then_some(entry.last);
        let (lasts, count) = (!entry.over, entry.count);
        Self { entry, at, times: 1, until, lasts, count, elsewhere: Vec::new() }
    }

    fn add(&mut self, entry: &'a Entry) {
        self.times += 1;
        self.until = self.until.max(Some(entry.last.max(entry.first)));
        self.lasts |= !entry.over;
        self.count += entry.count;
        let place = entry.interface.as_deref();
        if let Some(place) = place.filter(|place| Some(*place) != self.entry.interface.as_deref())
            && !self.elsewhere.contains(&place)
        {
            self.elsewhere.push(place);
        }
    }

    /// What it says, where else that was found, and how often.
    pub(super) fn sentence(&self) -> String {
        let mut sentence = self.entry.sentence.clone();
        if !self.elsewhere.is_empty() {
            sentence += "; also on ";
            sentence += &self.elsewhere[..self.elsewhere.len().min(NAMED)].join(", ");
            if let more @ 1.. = self.elsewhere.len().saturating_sub(NAMED) {
                sentence += &format!(" and {more} more");
            }
        }
        if self.times > 1 {
            let span = lasted(self.entry.first, self.until);
            let span = if span.is_empty() { span } else { format!(" in {span}") };
            let end = if self.lasts { ", until the end" } else { "" };
            sentence += &format!(" ({} times{span}{end})", words::count(self.times));
        }
        sentence
    }
}

/// How one finding went on, where the row is one: how long, with how many frames, and whether it ended; what the
/// sentence says is not said again.
pub(super) fn course(
    sentence: &str,
    (first, until): (Wall, Option<Wall>),
    lasts: bool,
    times: u64,
    count: u64,
) -> String {
    let unsaid = |text: &String| !text.is_empty() && !sentence.contains(&**text);
    let span = Some(lasted(first, until)).filter(unsaid);
    let frames = (count > 1).then(|| words::count(count)).filter(unsaid);
    let frames = frames.map(|frames| format!("{frames} frames"));
    let end = match (lasts, &span) {
        _ if times > 1 => return String::new(),
        (false, None) => return String::new(),
        (true, None) => "until the end".to_owned(),
        (true, Some(span)) => format!("until the end, {span}"),
        (false, Some(span)) => format!("over after {span}"),
    };
    format!(" ({})", [Some(end), frames].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn lasted(first: Wall, until: Option<Wall>) -> String {
    let seconds = until.map_or(0.0, |until| seconds_between(first, until));
    if seconds > 0.0 { words::lasting(seconds) } else { String::new() }
}

/// A sentence with a mark for each number. Addresses and names stay, also those that are numbers: by them it
/// differs.
fn shape(sentence: &str) -> String {
    const NAMED_BY_NUMBER: [&str; 5] = ["VLAN", "group", "AS", "area", "MTU"];
    let words: Vec<&str> = sentence.split(' ').collect();
    let before = std::iter::once("").chain(words.iter().copied());
    let shaped = words.iter().zip(before).map(|(this, before)| {
        if NAMED_BY_NUMBER.contains(&before) { (*this).to_owned() } else { word(this) }
    });
    shaped.collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| ",.:;()".contains(c));
    let host = bare.split('/').next().unwrap_or(bare);
    let is_address = host.parse::<Party>().is_ok() || bare.parse::<SocketAddr>().is_ok();
    if is_address || !bare.starts_with(|c: char| c.is_ascii_digit()) {
        return word.to_owned();
    }
    let mut shape = String::new();
    for c in word.chars() {
        match c {
            // However many digits, and thousands.
            '0'..='9' | ',' if shape.ends_with('#') => {}
            '0'..='9' => shape.push('#'),
            c => shape.push(c),
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    #[test]
    fn numbers_are_one_shape_and_addresses_are_not() {
        for (one, other, same) in [
            (
                "eth1: tx_dropped 3 -> 4, 1.0 a second",
                "eth1: tx_dropped 4 -> 5, 2.0 a second",
                true,
            ),
            ("TCP 61730 → 1434", "TCP 22 → 5", true),
            ("144,792 identical frames", "95 identical frames", true),
            ("10.6.0.1 does not answer", "10.6.0.2 does not answer", false),
            ("10.6.0.1:80 refuses", "10.6.0.1:81 refuses", false),
            ("02:00:00:00:00:01 moved", "02:00:00:00:00:02 moved", false),
            ("VLAN 956: silent", "VLAN 957: silent", false),
            ("loop between t1 and t2", "loop between t1 and t3", false),
        ] {
            assert_eq!(shape(one) == shape(other), same, "{one} / {other}");
        }
    }

    #[test]
    fn what_flaps_is_one_row_with_a_count_and_an_end() {
        let downs = [10, 16, 22].map(|at| Entry {
            sentence: format!("eth0: DOWN, carrier changes {at} -> {}", at + 1),
            interface: Some("eth0".to_owned()),
            from: "host",
            ..found("link_down", at, at)
        });
        let all = rows(downs.iter());
        assert_eq!((all.len(), all[0].times), (1, 3));
        assert_eq!((all[0].until, all[0].lasts), (Some(downs[2].first), false));
        assert!(all[0].sentence().ends_with(" -> 11 (3 times in 12.0 s)"), "{}", all[0].sentence());
    }

    #[test]
    fn the_same_frame_on_five_ports_is_one_row() {
        let asked: Vec<_> = (1..=6)
            .map(|port| Entry {
                what: "ARP Who has 10.6.0.1? Tell 10.6.0.10".to_owned(),
                sentence: format!("10.6.0.1 does not answer: {port} ARP requests"),
                interface: Some(format!("p{port}")),
                ..found("arp_unanswered", 10, 12)
            })
            .collect();
        let all = rows(asked.iter());
        assert_eq!(all.len(), 1);
        let said = "10.6.0.1 does not answer: 1 ARP requests; also on p2, p3, p4, p5 and 1 more \
                    (6 times in 2.0 s)";
        assert_eq!(all[0].sentence(), said);
    }
}
