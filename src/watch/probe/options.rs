//! How a probe is tuned, and which of that has a meaning.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::target::{Target, is_interface};
use crate::error::{Error, Result};
use crate::watch::ticks::check_interval;

/// Most probes at once: each has a thread and a socket of its own, and a column in the timeline that
/// nobody reads any more beyond that.
pub const MOST: usize = 256;

/// What can be tuned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What is asked: `192.0.2.1`, `icmp:HOST`, `arp:192.0.2.1%eth0`, `tcp:HOST:PORT`,
    /// `http://HOST[:PORT]/PATH`, `dns:SERVER[:PORT]/NAME`; as typed, it names the probe everywhere.
    pub host: String,
    /// Time between two requests.
    pub interval: Duration,
    /// Time after which a request is lost.
    pub timeout: Duration,
    /// Requests lost in a row that make the probe down.
    pub fall: u32,
    /// Requests answered in a row that make it up again.
    pub rise: u32,
    /// Interface to ask through, where none stands behind the host as `%IF`.
    pub interface: Option<String>,
    /// Address to ask from.
    pub source: Option<IpAddr>,
    /// Which round trips are slow; none: any is fine.
    pub slow: Option<Slow>,
    /// How much loss is too much; none: only [`Options::fall`] counts.
    pub loss: Option<Loss>,
    /// HTTP statuses that count as answers.
    pub status: RangeInclusive<u16>,
}

/// Which round trips are slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slow {
    /// A round trip longer than this is slow.
    pub above: Duration,
    /// So many in a row begin slowness, and so many in a row that are not end it.
    pub in_a_row: u32,
}

/// How much loss is too much. It is over when at most half of that is lost, so that it does not come and
/// go with every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Part of the requests in percent, 1 to 100.
    pub percent: u8,
    /// Of so many latest requests, 2 to [`Loss::WINDOW`].
    pub of: u32,
}

impl Loss {
    /// Longest window in requests: an hour of the default interval, and one byte each.
    pub const WINDOW: u32 = 3_600;
}

impl Options {
    /// Asks every second and gives each request a second, as ping(8) does; down after three losses (two may
    /// be lost to a busy router) and up after two answers, as HAProxy's checks have it.
    pub fn new(host: impl Into<String>) -> Self {
        let second = Duration::from_secs(1);
        Self {
            host: host.into(),
            interval: second,
            timeout: second,
            fall: 3,
            rise: 2,
            interface: None,
            source: None,
            slow: None,
            loss: None,
            // RFC 9110 §15: success and redirection; the server is there and not in trouble.
            status: 200..=399,
        }
    }

    /// The final statuses of RFC 9110 §15.
    const STATUS: RangeInclusive<u16> = 200..=599;

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] if the host is none of the accepted forms, the interval is not within 10 ms to
    /// 1 h, the timeout is zero or longer than the interval (one request at a time may still be
    /// answered), or a count or threshold can never be reached.
    pub fn check(&self) -> Result<()> {
        let target: Target = self.host.parse()?;
        check_interval("--probe-interval", self.interval)?;
        if self.timeout.is_zero() || self.timeout > self.interval {
            let given = format!("{:?}", self.timeout);
            let accepted =
                format!("a duration up to the probe interval, which is {:?}", self.interval);
            return Err(Error::usage(
                "--probe-timeout",
                given,
                "an answer is waited for until the next request at most",
                accepted,
            ));
        }
        for (what, count) in [("--probe-fall", self.fall), ("probe rise", self.rise)] {
            if count == 0 {
                return Err(Error::usage(
                    what,
                    "0",
                    "the count is at least 1",
                    "1 or more, such as 3",
                ));
            }
        }
        self.check_thresholds()?;
        self.check_source(&target)
    }

    fn check_thresholds(&self) -> Result<()> {
        if let Some(Slow { above, in_a_row }) = self.slow
            && (above.is_zero() || above >= self.timeout || in_a_row == 0)
        {
            let given = format!("above {above:?}, {in_a_row} in a row");
            let accepted = format!(
                "a duration below the probe timeout, which is {:?}, and 1 or more in a row",
                self.timeout
            );
            return Err(Error::usage(
                "probe slow",
                given,
                "slow is between 0 and the timeout, 1 or more times in a row",
                accepted,
            ));
        }
        if let Some(Loss { percent, of }) = self.loss
            && (!(1..=100).contains(&percent) || !(2..=Loss::WINDOW).contains(&of))
        {
            let given = format!("{percent} % of {of} requests");
            let accepted = format!(
                "1 to 100 % of 2 to {} requests, such as 20 % of 60 requests",
                Loss::WINDOW
            );
            return Err(Error::usage(
                "probe loss",
                given,
                "loss is counted in percent of a number of requests",
                accepted,
            ));
        }
        let (first, last) = (self.status.start(), self.status.end());
        if !(Self::STATUS.contains(first) && Self::STATUS.contains(last) && first <= last) {
            let given = format!("{first} to {last}");
            let accepted = "statuses from 200 to 599, such as 200 to 399";
            return Err(Error::usage(
                "probe status",
                given,
                "an answer has a status from 200 to 599",
                accepted,
            ));
        }
        Ok(())
    }

    fn check_source(&self, target: &Target) -> Result<()> {
        if let Some(name) = self.interface.as_ref().filter(|name| !is_interface(name)) {
            let accepted = "the name of an interface, such as eth0";
            return Err(Error::usage(
                "probe interface",
                name,
                "interface names have 1 to 15 characters, without / and blanks",
                accepted,
            ));
        }
        let host: Option<IpAddr> = target.host().0.name.parse().ok();
        if let (Some(source), Some(host)) = (self.source, host)
            && source.is_ipv4() != host.is_ipv4()
        {
            let accepted = format!("an address of the same family as {host}");
            return Err(Error::usage(
                "probe source",
                source.to_string(),
                "source and host are of one address family",
                accepted,
            ));
        }
        Ok(())
    }

    /// Whom it asks, if that is an address and no name.
    pub fn address(&self) -> Option<IpAddr> {
        let target: Target = self.host.parse().ok()?;
        target.host().0.name.parse().ok()
    }

    /// The interface to ask through, if the operator chose one.
    pub(super) fn through(&self, target: &Target) -> Option<String> {
        target.host().0.interface.clone().or_else(|| self.interface.clone())
    }
}

/// Refuses probes that make no sense together, after each alone.
///
/// # Errors
/// [`Error::Usage`] if one of them has no meaning, two have the same name, which is how rules and the
/// timeline tell them apart, or there are more than [`MOST`].
pub fn check_all(probes: &[Options]) -> Result<()> {
    probes.iter().try_for_each(Options::check)?;
    for (place, probe) in probes.iter().enumerate() {
        if probes.iter().take(place).any(|other| other.host == probe.host) {
            let accepted = "each probe once; spell another kind of it out, such as icmp:HOST";
            return Err(Error::usage(
                "--probe",
                &probe.host,
                "each probe is named once, this one twice",
                accepted,
            ));
        }
    }
    if probes.len() > MOST {
        let given = format!("{} probes", probes.len());
        return Err(Error::usage("--probe", given, "too many", format!("up to {MOST} probes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_must_have_a_meaning() {
        let (ms, good) = (Duration::from_millis, Options::new("192.0.2.1"));
        assert!(good.check().is_ok());
        let slow = |above, in_a_row| Some(Slow { above, in_a_row });
        for (what, bad) in [
            ("--probe \" \"", Options::new(" ")),
            ("--probe \"https://x\"", Options::new("https://x")),
            ("--probe-interval", Options { interval: ms(9), ..good.clone() }),
            ("--probe-timeout", Options { timeout: ms(0), ..good.clone() }),
            ("--probe-timeout", Options { timeout: ms(1_001), ..good.clone() }),
            ("--probe-fall", Options { fall: 0, ..good.clone() }),
            ("probe rise", Options { rise: 0, ..good.clone() }),
            ("probe slow", Options { slow: slow(ms(1_000), 3), ..good.clone() }),
            ("probe slow", Options { slow: slow(ms(0), 3), ..good.clone() }),
            ("probe slow", Options { slow: slow(ms(10), 0), ..good.clone() }),
            ("probe loss", Options { loss: Some(Loss { percent: 0, of: 60 }), ..good.clone() }),
            ("probe loss", Options { loss: Some(Loss { percent: 101, of: 60 }), ..good.clone() }),
            ("probe loss", Options { loss: Some(Loss { percent: 20, of: 1 }), ..good.clone() }),
            ("probe status", Options { status: 100..=399, ..good.clone() }),
            ("probe interface", Options { interface: Some("a/b".into()), ..good.clone() }),
            ("probe source", Options { source: Some([0; 16].into()), ..good }),
        ] {
            let message = bad.check().unwrap_err().to_string();
            assert!(message.starts_with(what), "{message}");
        }
    }

    #[test]
    fn probes_have_names_of_their_own_and_are_not_too_many() {
        let named = |name: &str| Options::new(name);
        assert!(check_all(&[named("192.0.2.1"), named("icmp:192.0.2.1")]).is_ok());
        let twice = check_all(&[named("a"), named("b"), named("a")]).unwrap_err().to_string();
        assert!(
            twice.starts_with("--probe \"a\": each probe is named once, this one twice"),
            "{twice}"
        );
        let many: Vec<_> = (0..=MOST).map(|n| named(&format!("h{n}"))).collect();
        let many = check_all(&many).unwrap_err().to_string();
        assert!(many.starts_with("--probe \"257 probes\": too many"), "{many}");
    }
}
