//! Memory that readers keep from being overwritten, all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How much all readers may pin now, in bytes.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<AtomicU64>);

/// A reader's part, until it is dropped.
#[derive(Debug)]
pub struct Pin {
    of: Pins,
    bytes: u64,
}

impl Pins {
    /// In bytes.
    pub(super) fn taken(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// So much for one more reader; none if all together had more than `most` then.
    pub(super) fn take(&self, bytes: u64, most: u64) -> Option<Pin> {
        let fits = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= most);
        self.0.fetch_update(Relaxed, Relaxed, fits).ok()?;
        Some(Pin { of: self.clone(), bytes })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_have_no_more_together_than_they_may_and_give_it_back() {
        let pins = Pins::default();
        let first = pins.take(60, 100);
        assert!(first.is_some() && pins.take(41, 100).is_none());
        let second = pins.take(40, 100);
        assert!(second.is_some() && pins.taken() == 100 && pins.take(1, 100).is_none());
        drop(first);
        assert!(pins.taken() == 40 && pins.take(60, 100).is_some());
    }
}
