//! The live page: how this dashcap stands, for a browser. Off unless configured.
//!
//! ```text
//!   browser ─► ssh -L 9182:/run/dashcap/web.sock ─► socket: who asks is known from the kernel ─┐
//!   browser ─► 127.0.0.1:9182 ─────────────────────► a cookie, for a ticket, from `dashcap web` ┴► pages
//! ```
//!
//! What holds: nobody is served whose `Host` is another name than this machine's (DNS rebinding), or from another
//! page than its own; nothing but a snapshot and the mark *keep* changes anything; without a viewer nothing runs,
//! and however many there are the recorder is asked once a second. What strangers said (names, reasons, frames) is
//! text on it, and a bundle's report runs in a sandbox without origin.
//!
//! Here is what the operator says, and who may enter. The server is a feature of the build, and cut off here.

mod entrance;
#[cfg_attr(not(feature = "web"), path = "absent.rs")]
mod server;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(super) use self::entrance::Entrance;
pub(super) use self::server::Endpoint;

use super::{control, http};
use crate::error::{Error, Result};
use crate::feature::Feature;

/// Its name beside the control socket.
const NAME: &str = "web.sock";
/// Says the usual socket.
const ON: &str = "on";
/// Says none.
const OFF: &str = "off";

/// Where the page is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    /// A UNIX socket, for root, dashcap's user and the socket's group.
    Socket(PathBuf),
    /// A port on loopback, for who has a ticket.
    Loopback(SocketAddr),
}

impl Options {
    /// Understands what was typed; none for `off`.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is no place, or one that others on the network reach.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let accepted = "on, off, the path of a socket, or a port on loopback such as 9182";
        let refused = |reason: &str| Error::usage("--web", text, reason, accepted);
        match text {
            OFF => Ok(None),
            ON => Ok(Some(Self::Socket(control::in_runtime_directory(NAME)))),
            path if path.contains('/') => Ok(Some(Self::Socket(path.into()))),
            address => {
                let address =
                    http::Options::address(address).map_err(|_| refused("it is no place"))?;
                let loopback = address.ip().is_loopback();
                loopback.then_some(Some(Self::Loopback(address))).ok_or_else(|| {
                    refused("the page is for this machine alone; others come through ssh")
                })
            }
        }
    }

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] when the path is none a socket can have, or the page is not built in.
    pub fn check(&self) -> Result<()> {
        Feature::Web.needed_by("--web", &self.place())?;
        self.socket().map_or(Ok(()), |path| control::Options::at(path.to_owned()).check())
    }

    /// The socket's path.
    pub fn socket(&self) -> Option<&Path> {
        match self {
            Self::Socket(path) => Some(path),
            Self::Loopback(_) => None,
        }
    }

    /// As it is shown.
    pub fn place(&self) -> String {
        match self {
            Self::Socket(path) => path.display().to_string(),
            Self::Loopback(address) => address.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_on_a_socket_or_on_loopback_and_nowhere_else() {
        let parsed = |text: &str| Options::parse(text).unwrap();
        assert_eq!(parsed("off"), None);
        assert!(parsed("on").unwrap().socket().unwrap().ends_with("web.sock"));
        assert_eq!(parsed("/x/y"), Some(Options::Socket("/x/y".into())));
        assert_eq!(parsed("9182").unwrap().place(), "127.0.0.1:9182");
        assert_eq!(parsed("[::1]:9182").unwrap().place(), "[::1]:9182");
        for bad in ["0.0.0.0:80", "192.0.2.1:9182", "yes", ""] {
            let error = Options::parse(bad).unwrap_err();
            assert_eq!(error.exit_status(), 2, "{bad}: {error}");
        }
        let told = parsed("9182").unwrap().check();
        assert_eq!(told.is_ok(), Feature::Web.is_built_in(), "{told:?}");
    }
}
