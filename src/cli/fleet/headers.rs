//! `dashcap fleet headers`: a capture cut on the host where it is, for whoever fetches it through ssh.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::control::print;
use crate::cli::rights::confine;
use crate::error::{Error, Result};
use crate::fleet::fetch::copy::hex;
use crate::fleet::fetch::headers;
use crate::incident::layout::CAPTURE;
use crate::incident::manifest::FileEntry;
use crate::privilege::Files;

/// Takes what is summed and not written.
const NOWHERE: &str = "/dev/null";

/// Write a capture to standard output, its frames cut to their headers: what `dashcap fleet fetch --ssh HOST --headers`
/// runs on that host.
///
/// The same capture makes the same bytes each time, so a fetch that was cut off goes on.
#[derive(Debug, Args)]
pub(super) struct Headers {
    /// The capture of a bundle.
    file: PathBuf,

    /// Print the size and the sum of what would be written instead, as JSON.
    #[arg(long)]
    sum: bool,
}

impl Headers {
    pub(super) fn start(self) -> Result<ExitCode> {
        let name = self.file.display().to_string();
        let failed = |error: &dyn std::fmt::Display| {
            Error::operation("cut to headers", name.as_str(), error)
        };
        let into = if self.sum {
            File::options().write(true).open(NOWHERE)
        } else {
            io::stdout().as_fd().try_clone_to_owned().map(File::from)
        };
        let into = into.map_err(|error| failed(&error))?;
        confine(&Files::default().reading([self.file.clone()]))?;
        let whole = File::open(&self.file).map_err(|error| failed(&error))?;
        let size = whole.metadata().map_err(|error| failed(&error))?.len();
        let (_, size, sum) =
            headers::cut(whole, into, size, |_| true).map_err(|why| failed(&why))?;
        if self.sum {
            let entry = FileEntry { name: CAPTURE.to_owned(), size, sha256: hex(sum) };
            print(&json!(entry).to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
