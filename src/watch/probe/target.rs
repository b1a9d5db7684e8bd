//! What a probe asks, as an operator types it in one string.
//!
//! ```text
//!   HOST  icmp:HOST      ICMP echo, as ping(8) does
//!   arp:HOST  nd:HOST    the neighbour itself, by ARP or, for IPv6, neighbour discovery
//!   tcp:HOST:PORT        a TCP connection
//!   http://HOST[:PORT]/PATH   an HTTP status
//!   dns:SERVER[:PORT]/NAME    a DNS answer
//!
//!   HOST: a name, 192.0.2.1, 2001:db8::1, [2001:db8::1] (brackets where a port may follow),
//!         each with %IF behind it to ask through that interface: fe80::1%eth0
//! ```
//!
//! Parsed once, here. It never panics and takes at most [`LONGEST`] bytes.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::error::{Error, Result};

/// Longest probe that is taken, in bytes: it names the probe in every observation and the bundle.
const LONGEST: usize = 512;
/// Longest host name in bytes (RFC 1123 §2.1), and longest name a DNS question holds as text (255
/// octets of RFC 1035 §2.3.4, less the first length and the root).
const NAME: usize = 253;
/// Longest label of a DNS name in bytes (RFC 1035 §2.3.4).
const LABEL: usize = 63;
/// Longest name of an interface in bytes: `IFNAMSIZ` less the zero (linux/if.h).
const INTERFACE: usize = 15;
/// RFC 9110 §4.2.1.
const HTTP_PORT: u16 = 80;
/// RFC 1035 §4.2.
const DNS_PORT: u16 = 53;

/// The accepted forms, for error messages.
const ACCEPTED: &str = "HOST, icmp:HOST, arp:HOST, tcp:HOST:PORT, http://HOST[:PORT]/PATH or \
    dns:SERVER[:PORT]/NAME, such as 192.0.2.1, arp:192.0.2.1%eth0, tcp:[2001:db8::1]:443 or \
    dns:192.0.2.53/example.org";

/// A question, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// ICMP echo.
    Icmp(Host),
    /// ARP or neighbour solicitation.
    Neighbor(Host),
    /// A TCP connection.
    Tcp(Host, u16),
    /// An HTTP GET.
    Http(Url),
    /// A DNS query to the server and port for the address of a name.
    Dns(Host, u16, String),
}

/// Somebody on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// A name or an address without brackets.
    pub(super) name: String,
    /// The interface to ask through.
    pub(super) interface: Option<String>,
}

/// What an HTTP request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) host: Host,
    pub(super) port: u16,
    /// Path and query, beginning with a slash.
    pub(super) path: String,
}

impl Target {
    /// To whom, and to which port; ICMP and neighbours have none.
    pub(super) fn host(&self) -> (&Host, u16) {
        match self {
            Self::Icmp(host) | Self::Neighbor(host) => (host, 0),
            Self::Tcp(host, port) | Self::Dns(host, port, _) => (host, *port),
            Self::Http(url) => (&url.host, url.port),
        }
    }

    /// The kind, for error messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Icmp(_) => "ICMP",
            Self::Neighbor(_) => "ARP",
            Self::Tcp(..) => "TCP",
            Self::Http(_) => "HTTP",
            Self::Dns(..) => "DNS",
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("longer than {LONGEST} bytes"));
        }
        if text.starts_with("https:") {
            return Err("dashcap speaks no TLS; tcp:HOST:443 asks whether somebody listens".into());
        }
        if let Some(rest) = text.strip_prefix("http://") {
            return Url::read(rest).map(Self::Http);
        }
        if host_part(text).parse::<Ipv6Addr>().is_ok() {
            return Host::read(text).map(Self::Icmp);
        }
        let Some((kind, rest)) = text.split_once(':').filter(|_| !text.starts_with('[')) else {
            return Host::read(text).map(Self::Icmp);
        };
        match kind {
            "icmp" => Host::read(rest).map(Self::Icmp),
            "arp" | "nd" => Host::read(rest).map(Self::Neighbor),
            "tcp" => {
                let (host, port) = with_port(rest)?;
                let port = port.ok_or("no port")?;
                Ok(Self::Tcp(host, port))
            }
            "dns" => {
                let (server, name) = rest.split_once('/').ok_or("no name to ask for")?;
                // A bare IPv6 address is full of colons, none of which is a port's.
                let (server, port) = if host_part(server).parse::<Ipv6Addr>().is_ok() {
                    (Host::read(server)?, None)
                } else {
                    with_port(server)?
                };
                Ok(Self::Dns(server, port.unwrap_or(DNS_PORT), domain(name)?))
            }
            other => Err(format!("there is no kind of probe {other:?}")),
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::read(text.trim()).map_err(|reason| Error::usage("--probe", text, reason, ACCEPTED))
    }
}

impl Host {
    fn read(text: &str) -> Result<Self, String> {
        let text = match text.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or("a bracket is not closed")?,
            None => text,
        };
        let (name, interface) = match text.split_once('%') {
            Some((name, interface)) => (name, Some(interface)),
            None => (text, None),
        };
        if name.is_empty() {
            return Err("no host".into());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.parse::<IpAddr>().is_err() && (name.len() > NAME || !name.chars().all(plain)) {
            return Err(format!("{name:?} is neither an address nor a host name"));
        }
        if interface.is_some_and(|name| !is_interface(name)) {
            return Err("no name of an interface stands behind the %".into());
        }
        Ok(Self { name: name.to_owned(), interface: interface.map(str::to_owned) })
    }
}

impl Url {
    fn read(text: &str) -> Result<Self, String> {
        let (authority, path) = match text.find(['/', '?']) {
            Some(end) => text.split_at(end),
            None => (text, "/"),
        };
        let (host, port) = with_port(authority)?;
        // RFC 9112 §3.2: what a request line cannot hold.
        if let Some(wrong) = path.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
            return Err(format!("{wrong:?} cannot stand in a path; write it as %XX"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host, port: port.unwrap_or(HTTP_PORT), path })
    }
}

/// As the Host field of RFC 9110 §7.2 wants it: without the interface, which concerns only us (RFC
/// 6874 §4).
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.name.parse::<Ipv6Addr>() {
            Ok(address) => write!(f, "[{address}]")?,
            Err(_) => f.write_str(&self.host.name)?,
        }
        if self.port == HTTP_PORT { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// True for what the kernel takes as a name (`dev_valid_name`, net/core/dev.c).
pub(super) fn is_interface(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= INTERFACE
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
}

fn host_part(text: &str) -> &str {
    text.split('%').next().unwrap_or_default()
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
fn with_port(text: &str) -> Result<(Host, Option<u16>), String> {
    let bracket = text.rfind(']').map_or(0, |at| at + 1);
    let (_, behind) = text.split_at(bracket);
    let Some(colon) = behind.find(':').map(|at| bracket + at) else {
        return Ok((Host::read(text)?, None));
    };
    let (host, port) = (&text[..colon], &text[colon + 1..]);
    if port.contains(':') {
        return Err("an IPv6 address before a port needs brackets".into());
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(format!("{port:?} is not a port")),
        Ok(port) => Ok((Host::read(host)?, Some(port))),
    }
}

/// A name that a DNS question can hold, without the dot at its end.
fn domain(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    let label = |l: &str| (1..=LABEL).contains(&l.len()) && l.bytes().all(plain);
    if name.len() > NAME || !name.split('.').all(label) {
        return Err(format!(
            "{text:?} is no domain name (letters, digits, - and _; others as punycode)"
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(name: &str, interface: Option<&str>) -> Host {
        Host { name: name.to_owned(), interface: interface.map(str::to_owned) }
    }

    fn http(host: Host, port: u16, path: &str) -> Target {
        Target::Http(Url { host, port, path: path.to_owned() })
    }

    #[test]
    fn every_form_is_understood() {
        for (typed, meant) in [
            ("192.0.2.1", Target::Icmp(host("192.0.2.1", None))),
            (" gw-1.example ", Target::Icmp(host("gw-1.example", None))),
            ("fe80::1%eth0", Target::Icmp(host("fe80::1", Some("eth0")))),
            ("[::1]", Target::Icmp(host("::1", None))),
            ("icmp:192.0.2.1%dp0bond0.956", Target::Icmp(host("192.0.2.1", Some("dp0bond0.956")))),
            ("icmp:2001:db8::1", Target::Icmp(host("2001:db8::1", None))),
            ("arp:192.0.2.1%eth0", Target::Neighbor(host("192.0.2.1", Some("eth0")))),
            ("arp:fe80::1%eth0", Target::Neighbor(host("fe80::1", Some("eth0")))),
            ("nd:fe80::1%eth0", Target::Neighbor(host("fe80::1", Some("eth0")))),
            ("tcp:gw:179", Target::Tcp(host("gw", None), 179)),
            ("tcp:[fe80::1%eth0]:22", Target::Tcp(host("fe80::1", Some("eth0")), 22)),
            ("tcp:192.0.2.1%eth0:22", Target::Tcp(host("192.0.2.1", Some("eth0")), 22)),
            ("http://gw", http(host("gw", None), 80, "/")),
            ("http://gw/", http(host("gw", None), 80, "/")),
            ("http://gw?q=1", http(host("gw", None), 80, "/?q=1")),
            ("http://[::1]:8080/a/b:c?d=[e]", http(host("::1", None), 8080, "/a/b:c?d=[e]")),
            (
                "dns:192.0.2.53/example.org",
                Target::Dns(host("192.0.2.53", None), 53, "example.org".into()),
            ),
            ("dns:ns%eth0:5353/a.b.", Target::Dns(host("ns", Some("eth0")), 5353, "a.b".into())),
            ("dns:::1/localhost", Target::Dns(host("::1", None), 53, "localhost".into())),
            ("dns:[::1]:54/_x._tcp", Target::Dns(host("::1", None), 54, "_x._tcp".into())),
        ] {
            assert_eq!(typed.parse::<Target>().unwrap(), meant, "{typed}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_the_forms_that_are() {
        let long = "a".repeat(LONGEST + 1);
        for (typed, named) in [
            (" ", "no host"),
            ("%eth0", "no host"),
            ("two words", "neither an address nor a host name"),
            ("arp:192.0.2.1%", "no name of an interface"),
            ("arp:192.0.2.1%a-name-far-too-long", "no name of an interface"),
            ("[::1", "not closed"),
            ("udp:192.0.2.1:5", "no kind of probe \"udp\""),
            ("192.0.2.1:80", "no kind of probe \"192.0.2.1\""),
            ("tcp:gw", "no port"),
            ("tcp:gw:0", "\"0\" is not a port"),
            ("tcp:gw:65536", "is not a port"),
            ("tcp:::1:80", "needs brackets"),
            ("https://gw/", "no TLS"),
            ("http:///x", "no host"),
            ("http://user@gw/", "neither an address nor a host name"),
            ("http://gw/a b", "' ' cannot stand in a path"),
            ("http://gw/#top", "cannot stand in a path"),
            ("dns:192.0.2.53", "no name to ask for"),
            ("dns:192.0.2.53/", "no domain name"),
            ("dns:192.0.2.53/a..b", "no domain name"),
            ("dns:192.0.2.53/bücher.example", "punycode"),
            (&*long, "longer than"),
        ] {
            let error = typed.parse::<Target>().unwrap_err();
            assert_eq!(error.exit_status(), 2);
            let shown = error.to_string();
            assert!(shown.starts_with("--probe ") && shown.contains(named), "{shown}");
            assert!(shown.contains("accepted: HOST, icmp:HOST, arp:HOST"), "{shown}");
        }
    }

    #[test]
    fn the_host_field_of_http_leaves_out_what_concerns_only_us() {
        for (typed, field) in [
            ("http://gw%eth0/x", "gw"),
            ("http://gw:8080/x", "gw:8080"),
            ("http://[fe80::1%eth0]:81", "[fe80::1]:81"),
        ] {
            let Target::Http(url) = typed.parse().unwrap() else { panic!("{typed}") };
            assert_eq!(url.to_string(), field);
        }
    }

    proptest! {
        #[test]
        fn nothing_typed_panics(kind in "|icmp:|arp:|tcp:|http://|dns:", rest in ".{0,40}") {
            let _ = format!("{kind}{rest}").parse::<Target>();
        }

        #[test]
        fn nor_does_punctuation(text in "[a-z0-9:%/\\[\\].?#@]{0,30}") {
            let _ = text.parse::<Target>();
        }
    }
}
