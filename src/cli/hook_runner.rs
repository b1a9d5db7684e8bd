//! `dashcap hook-runner`: what dashcap becomes to run hooks and collectors; nobody types it.

use std::io::{self, BufReader};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};
use crate::hook::runner;
use crate::time::Clock;

/// Run hooks and collectors for the dashcap at the other end of standard input.
#[derive(Debug, Args)]
pub(super) struct HookRunner {}

impl HookRunner {
    pub(super) fn start(&self) -> Result<ExitCode> {
        // A service manager asks every process of a service to end. The runner ends when dashcap has:
        // its last incident may still need hooks. Caught and not ignored, because what is ignored stays
        // ignored in the programs it runs (execve(2)).
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            flag::register(signal, Arc::new(AtomicBool::new(false)))
                .map_err(|e| Error::operation("listen to signals as", "the runner of hooks", e))?;
        }
        let (input, output) = (BufReader::new(io::stdin()), io::stdout());
        runner::serve(input, output, &Clock::system()).map(|()| ExitCode::SUCCESS)
    }
}
