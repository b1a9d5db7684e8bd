//! The tables that the capture thread keeps.

use super::question::{Passing, Question, is_flooded};
use super::{Hearing, Station, StationCounts, Vlan};
use crate::detect::tap::ends::{EVERYBODY, Ends, MAC_BITS};
use crate::detect::tap::packet::TappedPacket;
use crate::frame::{Direction, Reception};
use crate::time::Mono;
use crate::wire::Mac;

/// Who is heard, and what was ever a source.
#[derive(Debug)]
pub(in crate::detect::tap) struct Stations {
    places: Box<[Slot; 1 << Stations::PLACES_SHIFT]>,
    vlans: Box<[Slot; Stations::VLANS]>,
    sources: Sources,
    counts: StationCounts,
}

/// A station, or a VLAN.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Slot {
    /// The address, and above it the VLAN; of a VLAN its identifier.
    key: u64,
    hearing: Hearing,
    flooded: u32,
    strays: u32,
}

/// Remembers link addresses, a bit for each: of those that it does not know it is sure.
#[derive(Debug)]
struct Sources {
    words: Box<[u64; Sources::WORDS]>,
    set: u32,
}

/// 2^64 divided by the golden ratio: spreads what is near.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The place of each VLAN: the first belongs to untagged frames, the others are shared. A look instead of a
/// division.
static VLAN_PLACES: [u8; 1 << 12] = {
    let mut places = [0; 1 << 12];
    let mut id = 1;
    while id < places.len() {
        // Less than 64.
        places[id] = (1 + id % (Stations::VLANS - 1)) as u8;
        id += 1;
    }
    places
};

impl Stations {
    /// Places for stations, a power of two: 32 KiB, for a segment of a few hundred.
    const PLACES_SHIFT: u32 = 9;
    /// Places for VLANs, 4 KiB; the first belongs to untagged frames.
    const VLANS: usize = 64;
    /// Who did nothing for so long gives its place away, in nanoseconds: as long as a switch remembers a
    /// station (IEEE 802.1Q 8.8.3).
    const AGED: u64 = 300_000_000_000;

    pub(in crate::detect::tap) fn new() -> Self {
        Self {
            places: Box::new([Slot::default(); 1 << Self::PLACES_SHIFT]),
            vlans: Box::new([Slot::default(); Self::VLANS]),
            sources: Sources::new(),
            counts: StationCounts::default(),
        }
    }

    /// What was counted.
    pub(in crate::detect::tap) fn counts(&self) -> StationCounts {
        let used = |place: &&Slot| place.hearing != Hearing::default();
        let station = |place: &Slot| Station {
            mac: mac_of(place.key),
            vlan: (place.key >> MAC_BITS) as u16,
            hearing: place.hearing,
            flooded: place.flooded,
            strays: place.strays,
        };
        let vlan = |place: &Slot| Vlan { id: place.key as u16, hearing: place.hearing };
        StationCounts {
            stations: self.places.iter().filter(used).map(station).collect(),
            vlans: self.vlans.iter().filter(used).map(vlan).collect(),
            ..self.counts.clone()
        }
    }

    /// Looks at a frame.
    #[inline(always)]
    pub(in crate::detect::tap) fn frame(
        &mut self,
        passing: Passing<'_>,
        packet: Option<&TappedPacket<'_>>,
    ) {
        let direction = passing.frame.header.direction;
        let ends = passing.ends;
        let vlan = ends.map_or(0, |ends| ends.vlan);
        if direction != Direction::Outbound {
            if let Some(place) = self.vlan(vlan, passing.at) {
                place.hearing.hear(passing.at);
            }
            if let Some(ends) = ends {
                self.received(ends, passing, packet);
            }
        }
        if direction != Direction::Inbound {
            let question = Question::of(passing, packet);
            if let Some(place) = self.vlan(vlan, passing.at) {
                place.hearing.send(question, passing.at);
            }
            if let Some(ends) = ends {
                self.sent(ends, question, passing, packet);
            }
        }
    }

    /// Copies of a frame that was looked at, the first and the last of which came then: they say only that their
    /// sender is there.
    pub(in crate::detect::tap) fn copies(
        &mut self,
        ends: Option<Ends>,
        direction: Direction,
        count: u64,
        span: (Mono, Mono),
    ) {
        if direction == Direction::Outbound {
            return;
        }
        if let Some(place) = self.vlan(ends.map_or(0, |ends| ends.vlan), span.0) {
            place.hearing.hear_all(count, span);
        }
        let Some(source) = ends.map(Ends::source) else { return };
        let place = &mut self.places[slot(source)];
        if place.key == source {
            place.hearing.hear_all(count, span);
        }
    }

    #[inline(always)]
    fn received(&mut self, ends: Ends, passing: Passing<'_>, packet: Option<&TappedPacket<'_>>) {
        let header = &passing.frame.header;
        let at = slot(ends.source());
        if self.places[at].key != ends.source() {
            self.meet(ends, passing.at);
        }
        let place = &mut self.places[at];
        let is_placed = place.key == ends.source();
        if is_placed {
            place.hearing.hear(passing.at);
        }
        self.counts.missed += u64::from(!is_placed);
        if ends.is_to_one() {
            self.counts.addressed[header.direction as usize] = passing.at;
            if header.reception != Reception::Unicast && !self.sources.know(ends.to) {
                self.counts.strays += 1;
                place.strays = place.strays.wrapping_add(u32::from(is_placed));
            }
        } else if is_flooded(ends.to, passing, packet) {
            self.counts.flooded[header.direction as usize] += 1;
            place.flooded = place.flooded.wrapping_add(u32::from(is_placed));
        }
    }

    #[inline(always)]
    fn sent(
        &mut self,
        ends: Ends,
        question: Question,
        passing: Passing<'_>,
        packet: Option<&TappedPacket<'_>>,
    ) {
        let direction = passing.frame.header.direction;
        if !self.sources.know(ends.from) {
            self.remember(ends.from);
        }
        if ends.is_to_one() {
            self.counts.addressed[direction as usize] = passing.at;
            let place = &mut self.places[slot(ends.destination())];
            if place.key == ends.destination() {
                place.hearing.send(question, passing.at);
            }
        } else if direction == Direction::Outbound && is_flooded(ends.to, passing, packet) {
            // Without a direction it was counted as received.
            self.counts.flooded[direction as usize] += 1;
        }
    }

    /// A source that has no place takes that of somebody who is gone.
    #[cold]
    fn meet(&mut self, ends: Ends, now: Mono) {
        self.counts.sources += u64::from(self.remember(ends.from));
        let place = &mut self.places[slot(ends.source())];
        if place.key == 0 || place.is_aged(now) {
            *place = Slot { key: ends.source(), ..Slot::default() };
        }
    }

    /// The place of a VLAN; none where another one has it.
    #[inline(always)]
    fn vlan(&mut self, id: u16, now: Mono) -> Option<&mut Slot> {
        let at = usize::from(VLAN_PLACES[usize::from(id) % VLAN_PLACES.len()]);
        let place = &mut self.vlans[at % Self::VLANS];
        if place.key != u64::from(id) {
            if place.key != 0 && !place.is_aged(now) {
                return None;
            }
            *place = Slot { key: u64::from(id), ..Slot::default() };
        }
        Some(place)
    }

    /// Remembers a source; true if it surely is new.
    #[cold]
    #[inline(never)]
    fn remember(&mut self, mac: u64) -> bool {
        let is_new = self.sources.add(mac);
        if is_new && self.sources.is_full() {
            self.sources.clear();
            self.counts.forgotten += 1;
            for place in self.places.iter() {
                self.sources.add(place.key & EVERYBODY);
            }
        }
        is_new
    }
}

impl Slot {
    fn is_aged(&self, now: Mono) -> bool {
        now.0.saturating_sub(self.hearing.moved().0) > Stations::AGED
    }
}

impl Sources {
    /// Bits, a power of two: 8 KiB. Ten thousand stations fill a seventh.
    const SHIFT: u32 = 16;
    const WORDS: usize = 1 << (Self::SHIFT - u64::BITS.trailing_zeros());
    /// With more of them set, too many newcomers would pass for known ones.
    const FULL: u32 = 1 << (Self::SHIFT - 1);

    fn new() -> Self {
        Self { words: Box::new([0; Self::WORDS]), set: 0 }
    }

    fn is_full(&self) -> bool {
        self.set >= Self::FULL
    }

    fn clear(&mut self) {
        self.words.fill(0);
        self.set = 0;
    }

    #[inline(always)]
    fn know(&self, mac: u64) -> bool {
        let (word, bit) = Self::place(mac);
        self.words[word] & bit != 0
    }

    /// True if it surely is new.
    #[inline(always)]
    fn add(&mut self, mac: u64) -> bool {
        let (word, bit) = Self::place(mac);
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.set += u32::from(is_new);
        is_new
    }

    #[inline(always)]
    fn place(mac: u64) -> (usize, u64) {
        let hash = mac.wrapping_mul(SPREAD) >> (u64::BITS - Self::SHIFT);
        ((hash / u64::from(u64::BITS)) as usize, 1 << (hash % u64::from(u64::BITS)))
    }
}

fn mac_of(key: u64) -> Mac {
    let [a, b, c, d, e, f, ..] = key.to_le_bytes();
    Mac([a, b, c, d, e, f])
}

#[inline(always)]
fn slot(key: u64) -> usize {
    (key.wrapping_mul(SPREAD) >> (u64::BITS - Stations::PLACES_SHIFT)) as usize
}

#[cfg(test)]
mod tests {
    use super::super::Open;
    use super::*;
    use crate::detect::tap::ends;
    use crate::detect::tap::packet::tests::tcp;
    use crate::frame::{Frame, FrameHeader, LinkType};

    const MS: u64 = 1 << 20;

    /// A table, and frames as they come.
    struct Lab {
        stations: Stations,
    }

    impl Lab {
        fn new() -> Self {
            Self { stations: Stations::new() }
        }

        fn show(&mut self, bytes: &[u8], direction: Direction, ms: u64) {
            self.show_as(bytes, direction, Reception::Unspecified, ms);
        }

        fn show_as(&mut self, bytes: &[u8], direction: Direction, reception: Reception, ms: u64) {
            let header = FrameHeader { direction, reception, ..FrameHeader::default() };
            let frame = Frame::whole(header, bytes);
            let (ends, network) = ends::read(LinkType::ETHERNET, &frame);
            let packet = network.and_then(|network| TappedPacket::any(network, direction));
            let is_control = crate::wire::control::is_control(LinkType::ETHERNET, &frame);
            let at = Mono(1_000 * MS + ms * MS);
            let passing = Passing { frame: &frame, ends, is_control, at };
            self.stations.frame(passing, packet.as_ref());
        }
    }

    fn with_ends(mut bytes: Vec<u8>, to: u8, from: u8) -> Vec<u8> {
        bytes[..12].copy_from_slice(&[2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from]);
        bytes
    }

    fn tagged(bytes: &[u8], id: u16) -> Vec<u8> {
        [&bytes[..12], &[0x81, 0], &(0x6000 | id).to_be_bytes(), &bytes[12..]].concat()
    }

    fn arp(operation: u8) -> Vec<u8> {
        let mut bytes = vec![2; 12];
        bytes.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
        bytes.resize(60, 0);
        bytes
    }

    #[test]
    fn a_station_is_heard_and_then_asked_in_vain() {
        let (mut lab, peer, us) = (Lab::new(), 7, 1);
        let data = with_ends(tcp(64, 1, 0x18, 9, b"abc"), us, peer);
        let ask = |flags, payload: &[u8]| with_ends(tcp(64, 1, flags, 9, payload), peer, us);
        lab.show(&data, Direction::Inbound, 0);
        lab.show(&ask(0x18, b"abc"), Direction::Outbound, 5);
        lab.show(&data, Direction::Inbound, 10);
        for (ms, flags, payload) in [(20, 0x10, &b""[..]), (30, 0x18, b"abc"), (530, 0x02, b"")] {
            lab.show(&ask(flags, payload), Direction::Outbound, ms);
        }
        lab.show(&with_ends(arp(1), peer, us), Direction::Outbound, 830);
        lab.show(&with_ends(arp(2), peer, us), Direction::Outbound, 840);
        let counts = lab.stations.counts();
        let [station] = counts.stations[..] else { panic!("{counts:?}") };
        assert_eq!((station.mac, station.vlan), (Mac([2, 0, 0, 0, 0, 7]), 0));
        let Hearing { first, last, heard, .. } = station.hearing;
        assert_eq!((first, last, heard), (Mono(1_000 * MS), Mono(1_010 * MS), 2));
        let open = station.hearing.open();
        assert_eq!((open.sent, open.asked, open.openers), (5, 3, 2));
        assert_eq!((open.first, open.last()), (Mono(1_030 * MS), Mono(1_840 * MS)));
        assert_eq!(counts.vlans[0].hearing.open(), open, "one station is all of its VLAN");
        lab.show(&data, Direction::Inbound, 900);
        assert_eq!(lab.stations.counts().stations[0].hearing.open(), Open::default());
    }

    #[test]
    fn a_station_in_two_vlans_is_heard_in_each() {
        let mut lab = Lab::new();
        let frame = with_ends(tcp(64, 1, 0x18, 9, b"abc"), 1, 7);
        for (bytes, ms) in [(frame.clone(), 0), (tagged(&frame, 10), 5), (tagged(&frame, 73), 6)] {
            lab.show(&bytes, Direction::Inbound, ms);
        }
        let counts = lab.stations.counts();
        let mut stations: Vec<_> = counts.stations.iter().map(|s| (s.vlan, s.mac.0[5])).collect();
        stations.sort_unstable();
        assert_eq!(stations, [(0, 7), (10, 7), (73, 7)]);
        let vlans: Vec<_> = counts.vlans.iter().map(|vlan| vlan.id).collect();
        assert_eq!(vlans, [0, 10], "73 shares the place of 10, which is in use");
    }

    #[test]
    fn what_floods_is_told_from_what_is_wanted() {
        let group = |to: [u8; 6], address: [u8; 4]| {
            let mut bytes = tcp(64, 1, 0x10, 9, b"abc");
            bytes[..6].copy_from_slice(&to);
            bytes[14 + 9] = 17;
            bytes[30..34].copy_from_slice(&address);
            bytes
        };
        let mut asked = arp(1);
        asked[..6].fill(0xff);
        // name, frame, flooded
        for (name, bytes, flooded) in [
            ("ARP", asked, 1),
            ("broadcast", group([0xff; 6], [10, 0, 0, 255]), 1),
            ("mDNS", group([1, 0, 0x5e, 0, 0, 0xfb], [224, 0, 0, 251]), 1),
            ("video that looks like it", group([1, 0, 0x5e, 0, 0, 1], [239, 128, 0, 1]), 0),
            ("to one station", with_ends(tcp(64, 1, 0x10, 9, b""), 3, 7), 0),
        ] {
            for direction in [Direction::Unknown, Direction::Inbound, Direction::Outbound] {
                let mut lab = Lab::new();
                lab.show(&bytes, direction, 0);
                let counts = lab.stations.counts();
                assert_eq!(counts.flooded[direction as usize], flooded, "{name}, {direction:?}");
                let of_it = counts.stations.first().map_or(0, |station| station.flooded);
                let known = direction != Direction::Outbound;
                assert_eq!(of_it, u32::from(known) * flooded as u32, "{name}, {direction:?}");
            }
        }
    }

    #[test]
    fn only_who_never_spoke_is_a_stray() {
        let mut lab = Lab::new();
        let frame = |to, from| with_ends(tcp(64, 1, 0x10, 9, b"abc"), to, from);
        lab.show(&frame(9, 1), Direction::Outbound, 0);
        for (to, reception) in [
            (1, Reception::Unspecified),
            (7, Reception::Promiscuous),
            (4, Reception::Unicast),
            (99, Reception::Promiscuous),
            (98, Reception::Unspecified),
        ] {
            lab.show_as(&frame(to, 8), Direction::Inbound, reception, 1);
            lab.show(&frame(8, 7), Direction::Inbound, 2);
        }
        let counts = lab.stations.counts();
        assert_eq!((counts.strays, counts.sources), (2, 2));
    }

    #[test]
    fn newcomers_are_counted_and_hide_nobody() {
        let mut lab = Lab::new();
        let mut frame = with_ends(tcp(64, 1, 0x10, 9, b"abc"), 1, 7);
        lab.show(&frame, Direction::Inbound, 0);
        for n in 0..100_000_u32 {
            frame[8..12].copy_from_slice(&n.to_be_bytes());
            frame[7] = 1;
            lab.show(&frame, Direction::Inbound, 1);
        }
        lab.show(&with_ends(frame, 1, 7), Direction::Inbound, 2);
        let counts = lab.stations.counts();
        assert!(counts.sources > 60_000 && counts.sources <= 100_001, "{}", counts.sources);
        assert!(counts.stations.len() <= 512 && counts.missed > 90_000);
        let known = counts.stations.iter().find(|station| station.mac.0 == [2, 0, 0, 0, 0, 7]);
        assert_eq!(known.map(|station| station.hearing.heard), Some(2));
        assert!(counts.forgotten >= 2);
    }
}
