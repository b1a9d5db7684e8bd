//! `dashcap extcap`: a running dashcap as an interface of Wireshark and tshark, here or behind ssh. They run this
//! program for each question and for each capture (extcap(4)); `dashcap install --wireshark` puts it where they look.
//!
//! ```text
//!   Wireshark ── which interfaces? which options? ──► extcap ◄── ~/.config/dashcap/hosts
//!             ── capture into this pipe ────────────► extcap ── control socket, or ssh HOST dashcap frames ...
//!             ◄═ memory, then live, as pcapng ═══════════╯
//! ```
//!
//! Questions are answered from the file alone: they come at every start of tshark. Of ssh it is the user's own, with
//! its configuration, keys and known hosts; nothing of it is asked or kept here.

mod answers;
pub(super) mod hosts;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::hosts::{FramesOptions, RemoteHost};
use super::control::{SocketOption, print, unexpected};
use super::frames::{FramesReader, copy};
use crate::api::protocol::{Answer, Command};
use crate::capture::filter::Filter;
use crate::error::{Error, Result};

/// Be an interface of Wireshark and tshark: they run this, after `dashcap install --wireshark`.
///
/// `tshark -i dashcap` captures from the memory of the dashcap on this machine, two minutes back, and goes on live;
/// `tshark -i dashcap:router1` does so through ssh for a host that stands in ~/.config/dashcap/hosts.
#[derive(Debug, Args)]
pub(super) struct Extcap {
    /// Tell the interfaces.
    #[arg(long)]
    extcap_interfaces: bool,

    /// Who asks.
    #[arg(long, value_name = "VERSION")]
    extcap_version: Option<String>,

    /// Which interface this is about.
    #[arg(long, value_name = "IF")]
    extcap_interface: Option<String>,

    /// Tell the link types of an interface.
    #[arg(long)]
    extcap_dlts: bool,

    /// Tell the options of an interface.
    #[arg(long)]
    extcap_config: bool,

    /// Tell the values of this option, as the host has them now.
    #[arg(long, value_name = "OPTION")]
    extcap_reload_option: Option<String>,

    /// Only frames that match, in libpcap's syntax. Without --capture: say what is wrong with it.
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    extcap_capture_filter: Option<String>,

    /// Capture into --fifo.
    #[arg(long, requires = "fifo")]
    capture: bool,

    /// Where frames go.
    #[arg(long, value_name = "PATH")]
    fifo: Option<PathBuf>,

    /// From so long ago on; '' for as far as memory reaches.
    #[arg(long, value_name = "DUR", default_value = answers::LAST)]
    last: String,

    /// Go on with what comes.
    #[arg(long)]
    follow: bool,

    /// Only frames of these interfaces of the host, with commas between them; '' for all.
    #[arg(long, value_name = "IFS", default_value = "")]
    interface: String,

    /// Without frames of which memory has only the headers.
    #[arg(long)]
    no_fade: bool,

    /// Without frames that stand for copies that were counted.
    #[arg(long)]
    no_fold: bool,

    #[command(flatten)]
    socket: SocketOption,
}

impl Extcap {
    pub(super) fn start(self) -> Result<ExitCode> {
        if self.extcap_interfaces {
            return self.tell(&answers::interfaces(self.socket.is_there(), &hosts::read()?));
        }
        let host = self.host()?;
        if self.extcap_dlts {
            return self.tell(answers::LINK_TYPES);
        }
        if self.extcap_config {
            return match &self.extcap_reload_option {
                Some(_) => self.tell(&answers::values(&self.recorded(host.as_ref())?)),
                None => self.tell(&answers::OPTIONS.join("\n")),
            };
        }
        match (&self.fifo, &self.extcap_capture_filter) {
            (Some(pipe), _) if self.capture => self.capture(host.as_ref(), pipe),
            (_, Some(filter)) => self.tell(&answers::judged(Filter::parse(filter))),
            _ => Err(Error::usage(
                "extcap",
                "",
                "Wireshark and tshark run this, and say what they want to know",
                "`dashcap install --wireshark`, then `tshark -i dashcap`",
            )),
        }
    }

    /// Prints an answer; an empty one is none.
    fn tell(&self, answer: &str) -> Result<ExitCode> {
        if !answer.is_empty() {
            print(answer)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The host of the interface; none for this machine.
    fn host(&self) -> Result<Option<RemoteHost>> {
        let name = self.extcap_interface.as_deref().unwrap_or(answers::LOCAL);
        let Some(wanted) = answers::host_of(name) else { return Ok(None) };
        let known = hosts::read()?;
        known.into_iter().find(|host| host.name == wanted).map(Some).ok_or_else(|| {
            let accepted = format!("a host that stands in {}", hosts::file().display());
            Error::usage("--extcap-interface", name, "this host is not known", accepted)
        })
    }

    /// Names of the interfaces that are recorded there, at this moment.
    fn recorded(&self, host: Option<&RemoteHost>) -> Result<Vec<String>> {
        if let Some(host) = host {
            return host.recorded();
        }
        let answer = self.socket.ask(&Command::Status {})?.answer()?;
        let Answer::Status(status) = answer else { return Err(unexpected(&answer)) };
        Ok(status.interfaces.into_iter().map(|interface| interface.name).collect())
    }

    /// Frames into the pipe, until nobody reads it.
    fn capture(&self, host: Option<&RemoteHost>, path: &Path) -> Result<ExitCode> {
        let wanted = self.wanted()?;
        let name = path.display().to_string();
        let pipe = OpenOptions::new().write(true).open(path);
        let pipe = pipe.map_err(|e| Error::operation("write", &*name, e))?;
        match host {
            // Becomes ssh, so that it is ssh that Wireshark ends.
            Some(host) => Err(host.frames(&wanted, pipe)),
            None => {
                copy(FramesReader::ask(&self.socket, wanted.into(), &pipe)?, &pipe, &name)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    fn wanted(&self) -> Result<FramesOptions> {
        let filter = self.extcap_capture_filter.as_deref().filter(|text| !text.is_empty());
        let refused = |reason: String| Error::usage("--last", &self.last, reason, "such as 2m");
        let names = self.interface.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(FramesOptions {
            last: match self.last.trim() {
                "" => None,
                text => Some(text.parse().map_err(refused)?),
            },
            follow: self.follow,
            interfaces: names.map(str::to_owned).collect(),
            filter: filter.map(Filter::parse).transpose()?,
            no_fade: self.no_fade,
            no_fold: self.no_fold,
        })
    }
}
