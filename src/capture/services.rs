//! Which services have most bytes, on the capture thread: estimated from samples, in a table of fixed size.
//!
//! ```text
//!   frame ─► one of 256 (every one while they are few) ─► service ─► a set of four places ─► bytes × 256
//! ```
//!
//! Chance chooses the samples, by the frame's stamp: a fixed distance might meet one of several hosts that take
//! turns, and a counter would be written for each frame.
//!
//! Who has no place takes credit from the weakest of its set, and its place once that is used up (Misra and
//! Gries, 1982): a service with much traffic stays, however many others pass. A frame that is not sampled costs
//! a multiplication, all of it about a nanosecond a frame on average (measured apart, with 4,096 services in
//! turn); nothing here allocates, locks or calls the kernel.

use foldhash::fast::FixedState;

use crate::frame::{Frame, LinkType};
use crate::wire::ServiceName;

/// Estimated bytes of a service since it was given a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceCount {
    /// Number of the class.
    pub class: u16,
    /// Which.
    pub service: ServiceName,
    /// Bytes on the link.
    pub bytes: u64,
    /// Number of the place's lease: with another one, counting began anew.
    pub lease: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Contender {
    count: ServiceCount,
    /// Bytes that others must bring before they take the place.
    credit: u64,
}

/// The table of one interface.
#[derive(Debug)]
pub(super) struct Services {
    link_type: LinkType,
    /// Frames for which a sample stands, a power of two.
    stride: u32,
    /// Samples since the last tick.
    samples: u32,
    leases: u32,
    places: Box<[[Contender; Services::WAYS]; Services::SETS]>,
}

impl Services {
    /// Places of a set: who hashes to it competes with three others.
    const WAYS: usize = 4;
    /// Sets. All places together take 6 KiB, and 128 services of all classes are told apart.
    const SETS: usize = 32;
    /// Frames for which a sample stands where they come fast: a sample takes some 50 ns, so a frame 0.2 ns.
    const STRIDE: u32 = 256;
    /// Samples between two ticks, a tenth of a second, beyond which only one of [`Self::STRIDE`] is taken: 10,000
    /// frames a second are counted one by one, which takes half a millisecond of them.
    const MANY: u32 = 1_000;
    /// An odd number without a pattern: 2^64 divided by the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    /// Bytes of a frame that are looked at: link header with tags, IPv6 with an extension header, ports.
    const LOOKED_AT: usize = 128;

    pub(super) fn new() -> Self {
        Self {
            link_type: LinkType::ETHERNET,
            stride: 1,
            samples: 0,
            leases: 0,
            places: Box::new([[Contender::default(); Self::WAYS]; Self::SETS]),
        }
    }

    /// Frames begin with `link_type` from now on.
    pub(super) fn begin(&mut self, link_type: LinkType) {
        self.link_type = link_type;
    }

    /// A frame passes.
    #[inline]
    pub(super) fn frame(&mut self, frame: &Frame<'_>, class: usize) {
        let chance = (frame.header.wall.0.wrapping_mul(Self::SPREAD) >> 32) as u32;
        if chance & (self.stride - 1) == 0 {
            self.sample(frame, class);
        }
    }

    /// To be called ten times a second: how many frames a sample stands for follows how fast they come.
    pub(super) fn tick(&mut self) {
        let frames = u64::from(self.samples) * u64::from(self.stride);
        self.stride = if frames > u64::from(Self::MANY) { Self::STRIDE } else { 1 };
        self.samples = 0;
    }

    /// All that are known.
    pub(super) fn counts(&self) -> Vec<ServiceCount> {
        let places = self.places.iter().flatten();
        places.map(|place| place.count).filter(|count| count.bytes > 0).collect()
    }

    #[inline(never)]
    fn sample(&mut self, frame: &Frame<'_>, class: usize) {
        let mut head = [0; Self::LOOKED_AT];
        let mut length = 0;
        for part in frame.parts {
            let taken = part.len().min(Self::LOOKED_AT - length);
            head[length..length + taken].copy_from_slice(&part[..taken]);
            length += taken;
        }
        let service = ServiceName::of(self.link_type, &head[..length]);
        let bytes = u64::from(frame.header.original_len) * u64::from(self.stride);
        // There are fewer classes than a u16 counts.
        self.add(class as u16, service, bytes);
        self.samples += 1;
        if self.samples > Self::MANY {
            self.stride = Self::STRIDE;
        }
    }

    fn add(&mut self, class: u16, service: ServiceName, bytes: u64) {
        use std::hash::BuildHasher;
        let hash = FixedState::default().hash_one((class, service));
        let set = &mut self.places[hash as usize % Self::SETS];
        let is_meant =
            |place: &&mut Contender| (place.count.class, place.count.service) == (class, service);
        if let Some(place) = set.iter_mut().filter(|place| place.count.bytes > 0).find(is_meant) {
            place.count.bytes += bytes;
            place.credit += bytes;
            return;
        }
        let Some(weakest) = set.iter_mut().min_by_key(|place| place.credit) else { return };
        if weakest.credit > bytes {
            weakest.credit -= bytes;
            return;
        }
        self.leases = self.leases.wrapping_add(1);
        let count = ServiceCount { class, service, bytes, lease: self.leases };
        *weakest = Contender { count, credit: bytes };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameHeader;
    use crate::time::Wall;

    /// A frame of 1,000 bytes on the link to this port of UDP.
    fn to_port(port: u16) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend([192, 0, 2, 1, 192, 0, 2, 2, 0xff, 0xff]);
        frame.extend(port.to_be_bytes());
        frame.extend([0, 8, 0, 0]);
        frame
    }

    /// A frame, a microsecond after the one before: some stamps are no finer.
    fn pass(services: &mut Services, number: u64, port: u16, class: usize) {
        let wall = Wall(1_795_356_860_000_000_000 + number * 1_000);
        let header = FrameHeader { wall, original_len: 1_000, ..FrameHeader::default() };
        services.frame(&Frame::whole(header, &to_port(port)), class);
    }

    fn bytes(services: &Services, name: &str) -> u64 {
        let counts = services.counts();
        counts.iter().filter(|count| count.service.to_string() == name).map(|c| c.bytes).sum()
    }

    #[test]
    fn few_frames_are_counted_one_by_one_for_each_class() {
        let mut services = Services::new();
        for round in 0..300 {
            pass(&mut services, round, 53, 1);
            pass(&mut services, round, 123, round as usize % 2);
            services.tick();
        }
        assert_eq!(bytes(&services, "udp/53"), 300_000);
        assert_eq!(bytes(&services, "udp/123"), 300_000);
        assert_eq!(services.counts().len(), 3, "one of udp/53, two of udp/123");
    }

    #[test]
    fn of_many_frames_samples_tell_the_share_of_each() {
        let mut services = Services::new();
        for number in 0..1_000_000 {
            // Two that take turns, and a third of which there is a tenth.
            let port = if number % 10 == 0 { 99 } else { 53 + (number % 2) as u16 };
            pass(&mut services, number, port, 1);
            if number % 50_000 == 0 {
                services.tick();
            }
        }
        for (name, expected) in [("udp/53", 400e6), ("udp/54", 500e6), ("udp/99", 100e6)] {
            let told = bytes(&services, name) as f64;
            assert!((told / expected - 1.0).abs() < 0.15, "{name}: {told} instead of {expected}");
        }
    }

    #[test]
    fn a_heavy_service_stays_however_many_others_pass() {
        let mut services = Services::new();
        for round in 0..200_u16 {
            for port in 0..100 {
                pass(&mut services, 0, 1_000 + round * 100 + port, 1);
                pass(&mut services, 0, 443, 1);
            }
            services.tick();
        }
        let told = bytes(&services, "udp/443");
        assert_eq!(told, 20_000_000, "it never lost its place");
        assert!(services.counts().len() <= Services::SETS * Services::WAYS);
    }
}
