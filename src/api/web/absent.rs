//! In place of the server, where the page is not built in: whoever wants it is refused.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use super::{Entrance, Options};
use crate::api::line::RecorderLine;
use crate::error::Result;

/// None can be made.
#[derive(Debug)]
pub(in crate::api) struct Endpoint(Infallible);

impl Endpoint {
    /// Refuses it.
    pub(in crate::api) fn open(options: &Options) -> Result<Self> {
        options.check()?;
        Err(crate::feature::Feature::Web.missing("--web", &options.place()))
    }

    pub(in crate::api) fn entrance(&self) -> Arc<Entrance> {
        match self.0 {}
    }

    pub(in crate::api) fn serve(self, _: &RecorderLine) -> io::Result<()> {
        match self.0 {}
    }
}
