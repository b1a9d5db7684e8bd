//! What the commands that ask a running dashcap have in common: where it is, and how answers are shown.

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::api::client::Client;
use crate::api::control;
use crate::api::protocol::{Answer, Command};
use crate::error::{Error, Result};
use crate::visible;

/// Which dashcap is asked.
#[derive(Debug, Args)]
pub(super) struct SocketOption {
    /// Control socket of the dashcap that is asked [default: $RUNTIME_DIRECTORY/control.sock or
    /// /run/dashcap/control.sock].
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

/// Which dashcap is asked, and how its answer is shown.
#[derive(Debug, Args)]
pub(super) struct Control {
    #[command(flatten)]
    socket: SocketOption,

    /// Print JSON, for scripts.
    #[arg(long)]
    pub(super) json: bool,
}

impl SocketOption {
    /// True if there is a socket that this user can see.
    pub(super) fn is_there(&self) -> bool {
        self.path().exists()
    }

    fn path(&self) -> PathBuf {
        self.control.clone().unwrap_or_else(control::default_path)
    }

    /// Asks; answers follow.
    pub(super) fn ask(&self, command: &Command) -> Result<Client> {
        let mut client = Client::connect(&self.path())?;
        client.ask(command)?;
        Ok(client)
    }
}

impl Control {
    /// Asks; answers follow.
    pub(super) fn ask(&self, command: &Command) -> Result<Client> {
        self.socket.ask(command)
    }

    /// Prints an answer: as one line of JSON, or in words.
    pub(super) fn show(&self, answer: &impl Serialize, words: &str) -> Result<()> {
        // Nothing here has keys that JSON cannot write.
        let json = || serde_json::to_string(answer).unwrap_or_default();
        if self.json { print(&visible::json(&json())) } else { print(words) }
    }
}

/// Prints a line, or several, of which nothing controls the terminal. A reader that has seen enough, as `head` has, ends the program in peace.
pub(super) fn print(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", visible::page(line)).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.map_err(|e| Error::operation("write to", "standard output", e)),
    }
}

/// An answer that this command does not expect.
pub(super) fn unexpected(answer: &Answer) -> Error {
    Error::operation("understand", "dashcap's answer", format!("{answer:?}"))
        .hint("are both of the same version?")
}
