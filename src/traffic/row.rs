//! One row: what passed one class of one interface in a span of time, in 71 bytes.

use std::time::Duration;

use crate::wire::ServiceName;

/// Services of a row, those with most bytes.
pub(super) const TOP: usize = 5;

/// What passed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrafficRow {
    /// In how much time, to a millisecond.
    pub span: Duration,
    /// Frames, those folded and dropped by the lane included.
    pub frames: u64,
    /// Their original length in bytes.
    pub bytes: u64,
    /// Copies counted in runs.
    pub folded: u64,
    /// Dropped by the lane.
    pub dropped: u64,
    /// Dropped by the kernel, of whatever class; only in the first class of an interface, and where known.
    pub kernel_dropped: Option<u64>,
    /// Services with most bytes, estimated, the largest first.
    pub services: Vec<(ServiceName, u64)>,
}

impl TrafficRow {
    /// Span 4, frames 8, bytes 8, folded 8, dropped 4, kernel dropped 4, five services of 7.
    pub(super) const BYTES: usize = 36 + TOP * Self::SERVICE;
    /// Name 3, bytes 4, as a floating point number: they are estimated anyway.
    const SERVICE: usize = ServiceName::BYTES + 4;
    /// Stands for a count that is not known, or stands in another class.
    const NONE: u32 = u32::MAX;
    /// Services of which a minute keeps account; when there are more, the smallest goes.
    const ACCOUNT: usize = 32;

    /// As it is stored. A span of zero is no row.
    pub(super) fn encode(row: Option<&Self>, into: &mut [u8]) {
        into.fill(0);
        let Some(row) = row else { return };
        let small = |number: u64| {
            u32::try_from(number).unwrap_or(u32::MAX).min(Self::NONE - 1).to_le_bytes()
        };
        let millis = u64::try_from(row.span.as_millis()).unwrap_or(u64::MAX).max(1);
        into[..4].copy_from_slice(&small(millis));
        into[4..12].copy_from_slice(&row.frames.to_le_bytes());
        into[12..20].copy_from_slice(&row.bytes.to_le_bytes());
        into[20..28].copy_from_slice(&row.folded.to_le_bytes());
        into[28..32].copy_from_slice(&small(row.dropped));
        let kernel_dropped = row.kernel_dropped.map_or(Self::NONE.to_le_bytes(), small);
        into[32..36].copy_from_slice(&kernel_dropped);
        let places = into[36..].chunks_exact_mut(Self::SERVICE);
        for (place, (service, bytes)) in places.zip(&row.services) {
            place[..ServiceName::BYTES].copy_from_slice(&service.to_bytes());
            place[ServiceName::BYTES..].copy_from_slice(&(*bytes as f32).to_le_bytes());
        }
    }

    /// As it was stored; none where there was no row.
    pub(super) fn decode(stored: &[u8]) -> Option<Self> {
        let small = |at: usize| Some(u32::from_le_bytes(*stored.get(at..)?.first_chunk()?));
        let large = |at: usize| Some(u64::from_le_bytes(*stored.get(at..)?.first_chunk()?));
        let millis = small(0).filter(|millis| *millis > 0)?;
        let service = |place: &[u8]| {
            let (name, bytes) = place.split_first_chunk()?;
            let bytes = f32::from_le_bytes(*bytes.first_chunk()?);
            (bytes > 0.0).then_some((ServiceName::from_bytes(*name), bytes as u64))
        };
        Some(Self {
            span: Duration::from_millis(millis.into()),
            frames: large(4)?,
            bytes: large(12)?,
            folded: large(20)?,
            dropped: small(28)?.into(),
            kernel_dropped: small(32).filter(|count| *count != Self::NONE).map(u64::from),
            services: stored.get(36..)?.chunks_exact(Self::SERVICE).filter_map(service).collect(),
        })
    }

    /// Adds what passed after it.
    pub(super) fn add(&mut self, next: &Self) {
        self.span += next.span;
        self.frames += next.frames;
        self.bytes += next.bytes;
        self.folded += next.folded;
        self.dropped += next.dropped;
        self.kernel_dropped = self.kernel_dropped.zip(next.kernel_dropped).map(|(a, b)| a + b);
        for (service, bytes) in &next.services {
            match self.services.iter_mut().find(|(known, _)| known == service) {
                Some((_, sum)) => *sum += bytes,
                None => self.services.push((*service, *bytes)),
            }
        }
        self.keep_largest(Self::ACCOUNT);
    }

    /// Only so many services, the largest first.
    pub(super) fn keep_largest(&mut self, count: usize) {
        self.services.sort_by_key(|(service, bytes)| (u64::MAX - bytes, *service));
        self.services.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a service; any three bytes are one.
    fn service(number: u8) -> ServiceName {
        ServiceName::from_bytes([6, number, 0])
    }

    #[test]
    fn a_row_reads_back_and_no_row_is_not_zero() {
        let row = TrafficRow {
            span: Duration::from_millis(1_003),
            frames: 10_000_000_000,
            bytes: 1 << 50,
            folded: 9_000_000_000,
            dropped: 4_000_000_000,
            kernel_dropped: Some(7),
            services: vec![(service(80), 1 << 20), (service(53), 1_500)],
        };
        let mut stored = [0xff; TrafficRow::BYTES];
        TrafficRow::encode(Some(&row), &mut stored);
        assert_eq!(TrafficRow::decode(&stored), Some(row));
        let zero = TrafficRow { span: Duration::from_secs(1), ..TrafficRow::default() };
        TrafficRow::encode(Some(&zero), &mut stored);
        assert_eq!(TrafficRow::decode(&stored), Some(zero));
        TrafficRow::encode(None, &mut stored);
        assert_eq!(TrafficRow::decode(&stored), None);
        assert_eq!(TrafficRow::decode(&stored[..20]), None, "cut short");
    }

    #[test]
    fn rows_add_up_and_the_largest_services_stay() {
        let mut sum = TrafficRow { kernel_dropped: Some(0), ..TrafficRow::default() };
        for number in 0..100 {
            let services = vec![(service(number), 10), (service(200), 1)];
            let (span, kernel_dropped) = (Duration::from_secs(1), Some(3));
            sum.add(&TrafficRow {
                span,
                frames: 2,
                kernel_dropped,
                services,
                ..TrafficRow::default()
            });
        }
        assert_eq!((sum.span, sum.frames), (Duration::from_secs(100), 200));
        assert_eq!(sum.kernel_dropped, Some(300));
        assert_eq!(sum.services[0], (service(200), 100));
        sum.keep_largest(TOP);
        assert_eq!(sum.services.len(), TOP);
    }
}
