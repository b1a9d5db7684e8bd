//! In place of the exporters, where they are not built in: whoever wants one is refused.

use std::convert::Infallible;

use super::{DestinationStatus, Feed, Options, webhook};
use crate::error::Result;
use crate::feature::Feature;
use crate::time::Clock;

/// None can be made.
#[derive(Debug)]
pub struct Exporter(Infallible);

/// Of no destination.
#[derive(Debug)]
pub struct Account(Infallible);

impl Exporter {
    /// Refuses each destination.
    ///
    /// # Errors
    /// When there is one.
    pub fn open(options: &Options, _: &str) -> Result<Vec<Self>> {
        options.check().map(|()| Vec::new())
    }

    /// Of no destination.
    pub fn account(&self) -> Account {
        match self.0 {}
    }

    /// Tells nobody.
    pub async fn run(self, _: Feed, _: Clock) {
        match self.0 {}
    }
}

impl Account {
    /// Of no destination.
    pub fn standing(&self) -> DestinationStatus {
        match self.0 {}
    }
}

impl webhook::Options {
    pub(super) fn check(&self) -> Result<()> {
        Feature::Export.needed_by("webhook", &self.shown())
    }
}
