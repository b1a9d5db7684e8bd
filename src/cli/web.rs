//! `dashcap web`: the way to the live page, here or through ssh.
//!
//! ```text
//!   dashcap web            asks the control socket: where is it? a ticket, please ─► prints an address, opens it
//!   dashcap web router     ssh router dashcap web --json, then ssh -L to that place ─► an address here
//! ```

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::control::{Control, print, unexpected};
use super::extcap::hosts;
use crate::api::protocol::{self, Answer};
use crate::error::{Error, Result};
use crate::visible;

/// Open the live page of a running dashcap in a browser: rates, how far memory reaches, what was seen, incidents.
///
/// The dashcap that is looked at is started with --web. Where there is no display, the address is printed. Of HOST
/// the page comes through ssh, until an interrupt.
#[derive(Debug, Args)]
pub(super) struct Web {
    /// Host whose dashcap is looked at, as after `ssh` [default: this machine].
    host: Option<String>,

    /// Print the address only.
    #[arg(long)]
    no_open: bool,

    #[command(flatten)]
    control: Control,
}

/// Where a page is, as one dashcap tells another.
#[derive(Debug, Serialize, Deserialize)]
struct Way {
    place: String,
    ticket: Option<String>,
}

/// So often it is tried whether the tunnel stands.
const TRY: Duration = Duration::from_millis(100);
/// So many times: half of the time a ticket is good for.
const TRIES: u32 = 300;

impl Web {
    pub(super) fn start(self) -> Result<ExitCode> {
        match &self.host {
            Some(host) => self.through_ssh(host),
            None => self.here(),
        }
    }

    fn here(&self) -> Result<ExitCode> {
        let answer = self.control.ask(&protocol::Command::Web {})?.answer()?;
        let Answer::Web { place, ticket } = answer else { return Err(unexpected(&answer)) };
        let way = Way { place, ticket };
        if self.control.json {
            self.control.show(&way, "")?;
        } else if way.is_socket() {
            let place = &way.place;
            print(&format!(
                "the page is at the socket {place}: from a desk `dashcap web HOST`, or `ssh -L 9182:{place} HOST` and \
                 http://localhost:9182/; for a browser on this machine start it with --web 9182"
            ))?;
        } else {
            self.show(&way.address(&way.place))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn through_ssh(&self, host: &str) -> Result<ExitCode> {
        if host.starts_with('-') {
            let accepted = "as after ssh, such as router1 or admin@192.0.2.1";
            return Err(Error::usage("HOST", host, "this is an option of ssh", accepted));
        }
        let way = asked(host)?;
        let port = free_port()?;
        let forward = format!("{}:{port}:{}", Ipv4Addr::LOCALHOST, way.place);
        // It ends with its standard input, and so with this program, however that ends.
        let options = ["-T", "-o", "ExitOnForwardFailure=yes", "-L", &forward, "--", host, "cat"];
        let failed = |e: &dyn std::fmt::Display| Error::operation("run", "ssh", e);
        let mut ssh = Command::new("ssh")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| failed(&e))?;
        stands(&mut ssh, port)?;
        self.show(&way.address(&format!("localhost:{port}")))?;
        let input = ssh.stdin.take();
        let ended = ssh.wait().map_err(|e| failed(&e))?;
        drop(input);
        if ended.success() { Ok(ExitCode::SUCCESS) } else { Err(failed(&ended)) }
    }

    /// Prints an address, and opens it where there is a display.
    fn show(&self, address: &str) -> Result<()> {
        print(address)?;
        let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        if self.no_open || !has_display {
            return Ok(());
        }
        // Not waited for: some browsers run until they are closed.
        let nothing = || Stdio::null();
        let mut opener = Command::new("xdg-open");
        let opener = opener.arg(address).stdin(nothing()).stdout(nothing()).stderr(nothing());
        opener.spawn().map(drop).map_err(|e| {
            Error::operation("run", "xdg-open", e)
                .hint("install xdg-utils, or open the address in a browser")
        })
    }
}

impl Way {
    fn is_socket(&self) -> bool {
        self.place.starts_with('/')
    }

    /// The address of a browser that reaches it at `host`.
    fn address(&self, host: &str) -> String {
        match &self.ticket {
            Some(ticket) => format!("http://{host}/enter?ticket={ticket}"),
            None => format!("http://{host}/"),
        }
    }
}

/// The way, as the dashcap of that host tells it.
fn asked(host: &str) -> Result<Way> {
    let failed = |reason: &dyn std::fmt::Display| {
        Error::operation("ask", host, reason).hint("is dashcap running there with --web?")
    };
    let command = hosts::command_at(host)?;
    let told = Command::new("ssh")
        .args(["-T", "--", host, &format!("{command} web --json")])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| failed(&e))?;
    if !told.status.success() {
        return Err(failed(&told.status));
    }
    let way: Way = serde_json::from_slice(&told.stdout).map_err(|e| failed(&e))?;
    // It becomes a word of ssh's, which reads colons in it.
    let is_place =
        way.is_socket() && !way.place.contains(':') || way.place.parse::<SocketAddr>().is_ok();
    let is_ticket = |ticket: &String| ticket.chars().all(|c| c.is_ascii_hexdigit());
    if !is_place || !way.ticket.iter().all(is_ticket) {
        return Err(failed(&format!("it tells no place: {}", visible::plain(&way.place))));
    }
    Ok(way)
}

/// A port on loopback that nobody has at this moment.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr());
    let address = listener.map_err(|e| Error::operation("find", "a free port on loopback", e))?;
    Ok(address.port())
}

/// Waits until the tunnel takes connections.
fn stands(ssh: &mut Child, port: u16) -> Result<()> {
    for _ in 0..TRIES {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(());
        }
        if let Ok(Some(ended)) = ssh.try_wait() {
            return Err(Error::operation("forward a port through", "ssh", ended));
        }
        thread::sleep(TRY);
    }
    let _ = ssh.kill();
    Err(Error::operation("forward a port through", "ssh", "it does not stand after 30 s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_ticket_where_there_is_one() {
        let way = |place: &str, ticket: Option<&str>| Way {
            place: place.into(),
            ticket: ticket.map(str::to_owned),
        };
        let socket = way("/run/dashcap/web.sock", None);
        assert!(socket.is_socket());
        assert_eq!(socket.address("localhost:4000"), "http://localhost:4000/");
        let port = way("127.0.0.1:9182", Some("ab"));
        assert!(!port.is_socket());
        assert_eq!(port.address(&port.place), "http://127.0.0.1:9182/enter?ticket=ab");
    }
}
