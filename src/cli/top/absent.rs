//! In place of the screen, where it is not built in: whoever wants it is refused.

use std::path::Path;

use crate::error::Result;
use crate::feature::Feature;
use crate::finding::Severity;

pub(super) fn run(_: &Path, _: Option<Severity>) -> Result<()> {
    Err(Feature::Top.missing("dashcap", &"top"))
}
