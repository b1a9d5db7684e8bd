//! How a host stands in its fleet: for its own status, and for others.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::ClockReading;
use crate::words;

/// The way to the fleet, as `dashcap status` tells it. Counts are since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BusStatus {
    /// The fleet.
    pub fleet: String,
    /// What this host is called in it.
    pub host: String,
    /// True while there is a connection.
    pub connected: bool,
    /// Why there is none.
    pub trouble: Option<String>,
    /// Connections made.
    pub connections: u64,
    /// Notices of others that were taken in.
    pub heard: u64,
    /// Of those, found in the stream and not heard live.
    pub late: u64,
    /// Messages that were not understood, or said by somebody else than they say.
    pub refused: u64,
    /// Messages that found no room here.
    pub missed: u64,
    /// Answers given.
    pub answered: u64,
    /// Notices of this host, one for each addressee, that the server has.
    pub sent: u64,
    /// Notices of this host that wait.
    pub waiting: u64,
    /// Notices of this host that nobody may have heard.
    pub lost: u64,
    /// Bundles that others began to fetch.
    pub fetches: u64,
    /// Of those that they would have liked to fetch, refused.
    pub fetches_refused: u64,
    /// Bytes of bundles that went to others.
    pub fetched_bytes: u64,
    /// Bytes of messages that came, without what carries them.
    pub bytes_in: u64,
    /// Bytes of messages that went.
    pub bytes_out: u64,
    /// False if the server has no stream: then a notice that is missed is missed for good.
    pub stream: Option<bool>,
}

/// How a member of a fleet stands, as it tells others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// What it is called.
    pub host: String,
    /// Its boot.
    pub boot: String,
    /// Name and version of its program.
    pub program: String,
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// False while triggers are disarmed there.
    pub armed: bool,
    /// How far back its memory reaches on the interface where that is shortest, in seconds; none without traffic.
    pub depth_seconds: Option<f64>,
    /// Interfaces that it records.
    pub interfaces: usize,
    /// Bundles that it wrote since its start.
    pub bundles: u64,
    /// Its clock.
    pub clock: ClockReading,
}

/// A member of the fleet, as the server heard of it last.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberSeen {
    /// How it stood then.
    pub presence: Presence,
    /// When that was, by the server's clock.
    pub heard: Timestamp,
}

impl fmt::Display for BusStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fleet, host, heard, sent, waiting, lost, .. } = self;
        write!(f, "{host} in {fleet}: ")?;
        match &self.trouble {
            _ if self.connected => write!(f, "connected")?,
            Some(trouble) => write!(f, "NOT CONNECTED: {trouble}")?,
            None => write!(f, "not connected yet")?,
        }
        write!(f, "; notices: {heard} heard, {sent} sent, {waiting} waiting, {lost} lost")?;
        if self.fetches + self.fetches_refused > 0 {
            let Self { fetches, fetches_refused, fetched_bytes, .. } = self;
            let size = words::bytes(*fetched_bytes);
            write!(f, "; fetches: {fetches} begun, {size} sent, {fetches_refused} refused")?;
        }
        for (count, what) in [(self.refused, "refused"), (self.missed, "missed")] {
            if count > 0 {
                write!(f, "; {} {what}", words::counted(count, "message"))?;
            }
        }
        if self.connected && self.stream == Some(false) {
            write!(f, "; the server has no stream, see `dashcap fleet init`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_why_nobody_is_reached() {
        let status = BusStatus { fleet: "edge".into(), host: "a".into(), ..BusStatus::default() };
        let counts = "notices: 0 heard, 0 sent, 0 waiting, 0 lost";
        assert_eq!(status.to_string(), format!("a in edge: not connected yet; {counts}"));
        let refused = BusStatus { trouble: Some("wrong password".into()), ..status.clone() };
        assert_eq!(
            refused.to_string(),
            format!("a in edge: NOT CONNECTED: wrong password; {counts}")
        );
        let fetched = BusStatus { fetches: 2, fetched_bytes: 1_500, ..status.clone() };
        assert!(
            fetched.to_string().ends_with("fetches: 2 begun, 1.5 kB sent, 0 refused"),
            "{fetched}"
        );
        let missed = BusStatus { connected: true, missed: 3, stream: Some(false), ..status };
        let told = missed.to_string();
        assert!(told.contains("connected;") && told.contains("3 messages missed"), "{told}");
        assert!(told.ends_with("see `dashcap fleet init`"), "{told}");
    }
}
