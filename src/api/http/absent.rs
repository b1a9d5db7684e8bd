//! In place of the servers, where HTTP is not built in: whoever wants one is refused.

use std::convert::Infallible;
use std::io;

use super::{MetricsOptions, Options};
use crate::api::line::RecorderLine;
use crate::error::Result;

/// None can be made.
#[derive(Debug)]
pub(in crate::api) struct Endpoints(Infallible);

impl Endpoints {
    /// Refuses each.
    pub(in crate::api) fn open(
        trigger: Option<&Options>,
        metrics: Option<&MetricsOptions>,
    ) -> Result<Option<Self>> {
        trigger.map_or(Ok(()), Options::check)?;
        metrics.map_or(Ok(()), MetricsOptions::check)?;
        Ok(None)
    }

    pub(in crate::api) fn serve(self, _: &RecorderLine) -> io::Result<()> {
        match self.0 {}
    }
}
