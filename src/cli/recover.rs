//! `dashcap recover`: a bundle of what a ring file holds.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::rights::{confine, made};
use crate::error::{Error, Result};
use crate::incident::pcapng::Level;
use crate::incident::store::Store;
use crate::incident::writer;
use crate::incident::{bundle, recovered};
use crate::privilege::Files;
use crate::ring::{LeftRing, WantedFrames, Whose};

/// Make a bundle of what a ring file (`run --ring-file`) holds: after a crash, or of a recording that
/// stopped. The file stays as it is.
///
/// The next `run` with the same ring file does this by itself after a crash. Exit status 1 also if
/// anything of it is torn, damaged or missing; what is whole is in the bundle.
#[derive(Debug, Args)]
pub(super) struct Recover {
    /// The ring file, such as /run/dashcap/ring or /run/dashcap/ring.old.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Directory in which the bundle appears; made if it is missing.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// Compression of capture.pcapng.zst, 1 (fast) to 22 (small) [default: 1].
    #[arg(long, value_name = "LEVEL")]
    compression: Option<i32>,
}

impl Recover {
    pub(super) fn start(self) -> Result<ExitCode> {
        let mut options = writer::Options::default();
        options.level = self.compression.map_or(options.level, Level);
        options.check()?;
        let refused = |why| Error::operation("recover", self.file.display().to_string(), why);
        let files = Files::default().reading([self.file.clone()]);
        confine(&files.writing_in(made(&self.output)?))?;
        let left = LeftRing::open(&self.file, Whose::Anybodys)?;
        let left = left.ok_or_else(|| refused("there is no such file"))?;
        let recovery = left.recover(WantedFrames::ALL)?;
        let damaged = recovery.counts.is_damaged();
        let incident = recovered::incident(&self.file, recovery)
            .ok_or_else(|| refused("it holds no frame"))?;
        let store = Store::open(&self.output, left.size())?;
        let bundle = bundle::write(&store, &incident, options.level)?;
        eprintln!("{}", incident.opened_by.sentence);
        println!("{}", bundle.path.display());
        Ok(ExitCode::from(u8::from(damaged)))
    }
}
