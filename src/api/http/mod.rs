//! HTTP: where triggers are taken and metrics are served. Both are off unless configured, and on loopback
//! unless told otherwise.
//!
//! Here is what the operator says. The servers are a feature of the build, and cut off here.

#[cfg_attr(not(feature = "http"), path = "absent.rs")]
mod server;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub(super) use self::server::Endpoints;
#[cfg(feature = "web")]
pub(super) use self::server::{Standings, connection, is_this_host};

use crate::error::{Error, Result};
use crate::feature::Feature;

/// Where triggers are taken, and from whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Address and port.
    pub listen: SocketAddr,
    /// File whose content, without blanks around it, is the token.
    pub token_file: PathBuf,
}

impl Options {
    /// Understands an address as typed: a port alone means loopback.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is neither a port nor an address with one.
    pub fn address(text: &str) -> Result<SocketAddr> {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let port = text.strip_prefix(':').unwrap_or(text).parse().map(loopback);
        port.or_else(|_| text.parse()).map_err(|_| {
            let accepted = "a port on loopback such as 9180, or an address such as 192.0.2.1:9180";
            Error::usage("--http", text, "a port is needed, with or without an address", accepted)
        })
    }

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] when no file is named, or HTTP is not built in.
    pub fn check(&self) -> Result<()> {
        Feature::Http.needed_by("--http", &self.listen)?;
        if self.token_file.as_os_str().is_empty() {
            let accepted = "--http together with --http-token-file FILE, such as one made by: \
                            openssl rand -hex 32 > FILE";
            let reason = "a token is needed, or everybody could trigger";
            return Err(Error::usage("--http", self.listen.to_string(), reason, accepted));
        }
        Ok(())
    }
}

/// Where metrics are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsOptions {
    /// Address and port.
    pub listen: SocketAddr,
}

impl MetricsOptions {
    /// Understands an address as typed: a port alone means loopback.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is neither a port nor an address with one.
    pub fn address(text: &str) -> Result<SocketAddr> {
        Options::address(text).map_err(|_| {
            let accepted = "a port on loopback such as 9181, or an address such as 192.0.2.1:9181";
            Error::usage(
                "--metrics",
                text,
                "a port is needed, with or without an address",
                accepted,
            )
        })
    }

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] when HTTP is not built in.
    pub fn check(&self) -> Result<()> {
        Feature::Http.needed_by("--metrics", &self.listen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_means_loopback() {
        for (text, address) in [
            ("9180", "127.0.0.1:9180"),
            (":9180", "127.0.0.1:9180"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:0", "[::1]:0"),
        ] {
            assert_eq!(Options::address(text).unwrap().to_string(), address);
        }
        for bad in ["", "localhost", "99999", "192.0.2.1", "http://x"] {
            assert_eq!(Options::address(bad).unwrap_err().exit_status(), 2, "{bad}");
        }
    }

    #[test]
    fn without_a_token_or_without_the_feature_it_is_refused() {
        let options = Options { listen: Options::address("9180").unwrap(), token_file: "x".into() };
        assert_eq!(options.check().is_ok(), Feature::Http.is_built_in());
        let error = Options { token_file: PathBuf::new(), ..options }.check().unwrap_err();
        let told =
            if Feature::Http.is_built_in() { "--http-token-file" } else { "--features http" };
        assert!(error.to_string().contains(told), "{error}");
        let metrics = MetricsOptions { listen: MetricsOptions::address("9181").unwrap() };
        assert_eq!(metrics.check().is_ok(), Feature::Http.is_built_in());
    }
}
