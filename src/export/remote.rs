//! A host that is told, as the operator names it: where, in which form, and what of all that is seen.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::choice::Choice;
use crate::error::{Error, Result};
use crate::feature::Feature;

/// The highest facility number (RFC 5424, table 1).
const FACILITIES: u8 = 23;
/// System daemons (RFC 5424, table 1).
pub const DAEMON: u8 = 3;

/// One destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What messages look like.
    pub form: Form,
    /// Where to.
    pub to: Target,
    /// Which events.
    pub choice: Choice,
    /// Time between two tellings of traffic.
    pub interval: Duration,
}

/// What messages look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JSON object a line; a datagram holds one, with its line end.
    Json,
    /// RFC 5424, of this facility.
    Syslog {
        /// Number of the facility (RFC 5424, table 1).
        facility: u8,
    },
}

/// Where to: `udp://HOST:PORT` or `tcp://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) tcp: bool,
    /// Host and port, as the resolver takes them.
    pub(super) address: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let wrong = |reason: &str| {
            format!(
                "{typed:?}: {reason}; accepted: udp://HOST:PORT or tcp://HOST:PORT, such as udp://192.0.2.9:514"
            )
        };
        let (scheme, address) = typed.split_once("://").ok_or_else(|| wrong("no scheme"))?;
        let tcp = match scheme {
            "tcp" => true,
            "udp" => false,
            _ => return Err(wrong("an unknown scheme")),
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong("no port"))?;
        let port: u16 = port.parse().map_err(|_| wrong("no port"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if port == 0 || bare.is_empty() || bare.contains(char::is_whitespace) {
            return Err(wrong("no host or no port"));
        }
        if bare.contains(':') != bracketed || bare.contains('/') {
            return Err(wrong("not a host; IPv6 addresses stand in brackets"));
        }
        Ok(Self { tcp, address: address.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tcp { "tcp" } else { "udp" }, self.address)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Syslog { .. } => "syslog",
        })
    }
}

impl Options {
    /// Traffic is told as often as sysstat does at most (sadc(8)), and once a day at least.
    const INTERVAL: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(86_400);
    /// Sysstat's usual time between two rows of a screen is shorter, that of its archive longer.
    pub const USUAL_INTERVAL: Duration = Duration::from_secs(60);

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] when nothing is wanted, the interval or facility is out of range, or exporting is not
    /// built in.
    pub fn check(&self) -> Result<()> {
        Feature::Export.needed_by("export", &self.to)?;
        let key = format!("export to {}", self.to);
        if self.choice.what.is_empty() {
            let accepted = "what = [\"findings\", \"incidents\"], or more";
            return Err(Error::usage(
                key,
                "",
                "a destination names what it wants; `what` is empty",
                accepted,
            ));
        }
        if !Self::INTERVAL.contains(&self.interval) {
            let given = format!("{:?}", self.interval);
            return Err(Error::usage(
                key,
                given,
                "traffic is told every second to once a day",
                "interval = \"1s\" to \"24h\"",
            ));
        }
        match self.form {
            Form::Syslog { facility } if facility > FACILITIES => {
                let accepted = format!("facility = 0 to {FACILITIES}");
                Err(Error::usage(key, facility.to_string(), "no such facility", accepted))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_back_or_say_what_is_wrong() {
        for good in [
            "udp://192.0.2.9:514",
            "tcp://log.example.net:601",
            "tcp://[2001:db8::1]:601",
            "udp://localhost:1",
        ] {
            assert_eq!(good.parse::<Target>().unwrap().to_string(), good);
        }
        for (bad, reason) in [
            ("192.0.2.9:514", "no scheme"),
            ("http://x:1", "an unknown scheme"),
            ("udp://192.0.2.9", "no port"),
            ("udp://:514", "no host"),
            ("udp://x:0", "no port"),
            ("udp://2001:db8::1:514", "in brackets"),
            ("tcp://x/y:1", "not a host"),
            ("udp://x:99999", "no port"),
        ] {
            let told = bad.parse::<Target>().unwrap_err();
            assert!(told.contains(reason) && told.contains("accepted: udp://"), "{told}");
        }
    }

    #[test]
    fn options_without_meaning_are_refused() {
        let options = Options {
            form: Form::Json,
            to: "udp://x:1".parse().unwrap(),
            choice: Choice::default(),
            interval: Options::USUAL_INTERVAL,
        };
        assert_eq!(options.check().is_ok(), Feature::Export.is_built_in());
        let nothing = Choice { what: Vec::new(), ..Choice::default() };
        for bad in [
            Options { interval: Duration::ZERO, ..options.clone() },
            Options { choice: nothing, ..options.clone() },
            Options { form: Form::Syslog { facility: 24 }, ..options.clone() },
        ] {
            assert_eq!(bad.check().unwrap_err().exit_status(), 2, "{bad:?}");
        }
    }
}
