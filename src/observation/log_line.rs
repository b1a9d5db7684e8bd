//! A line that somebody logged and that matched, as triggers and bundles see it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::visible;

/// The longest line that is matched, in bytes; what is longer is cut there. RFC 5424 §6.1
/// asks receivers for 2,048, RFC 5425 §4.3.1 for 8,192, and the kernel prints at most 1,024 at once
/// (kernel/printk/printk.c).
pub const LONGEST: usize = 8_192;

/// So much of a line that matched is kept, in bytes: whoever can log must not fill memory and disk with what
/// nobody reads. The kernel prints no more at once, and what daemons say of a failure is shorter.
pub const KEPT: usize = 1_024;
/// So much of each word that is known of a line is kept, in bytes: the name of an interface has 15, that of a
/// host 253 (RFC 1035 §3.1).
pub const KEPT_FIELD: usize = 256;

/// A line that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Where it was read.
    pub source: LogSource,
    /// The name of the matcher that it matched.
    pub matcher: String,
    /// The line as it was matched, without its end; at most [`KEPT`] bytes, and what was no UTF-8
    /// is replaced.
    pub text: String,
    /// What the matcher's named groups caught, at most [`KEPT_FIELD`] bytes each; a group that took no part is
    /// not here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// What else is known of it.
    #[serde(flatten)]
    pub header: Header,
    /// Why it is not about this host, though this host's kernel wrote it: it is about another network
    /// namespace. Then it opens no incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
}

impl LogLine {
    /// The interface it is about: what the group `interface` caught.
    pub fn interface(&self) -> Option<&str> {
        self.fields.get("interface").map(String::as_str)
    }
}

/// `/var/log/messages: … Entering FAULT STATE (vrrp-fault)`. Whoever can log can write control
/// characters, and sentences are shown on terminals: they are shown as escapes.
impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        if let Some(program) = &self.header.program
            && !self.text.contains(program.as_str())
        {
            write!(f, "{}: ", Plain(program))?;
        }
        write!(f, "{} ({})", Plain(&self.text), self.matcher)?;
        match &self.elsewhere {
            Some(why) => write!(f, "; of another network namespace, here {}", Plain(why)),
            None => Ok(()),
        }
    }
}

/// A text without characters that control.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible::plain(self.0))
    }
}

/// Where a line was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// The kernel's log.
    Kernel,
    /// systemd's journal.
    Journal,
    /// A file, by its path.
    File(String),
    /// A syslog message, by its sender.
    Syslog(IpAddr),
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("kernel log"),
            Self::Journal => f.write_str("journal"),
            Self::File(path) => f.write_str(path),
            Self::Syslog(sender) => write!(f, "syslog from {sender}"),
        }
    }
}

/// What a line says of itself, where its source has words for that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    /// How bad its writer thinks it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The host that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The program that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Its own time as it spells it: RFC 3339 from syslog, microseconds since 1970 from the journal,
    /// microseconds since boot from the kernel. For people; nothing is decided by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// True if it was longer than what is kept of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Severities of RFC 5424 §6.2.1, the worst first, spelled as journalctl(1) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// System is unusable.
    Emerg,
    /// Action must be taken immediately.
    Alert,
    /// Critical conditions.
    Crit,
    /// Error conditions.
    Err,
    /// Warning conditions.
    Warning,
    /// Normal but significant.
    Notice,
    /// Informational.
    Info,
    /// Debug messages.
    Debug,
}

impl Header {
    /// With no word longer than [`KEPT_FIELD`].
    #[must_use]
    pub fn bounded(self) -> Self {
        let short = |word: Option<String>| word.map(|word| shortened(word, KEPT_FIELD));
        let Self { host, program, stamp, .. } = self;
        Self { host: short(host), program: short(program), stamp: short(stamp), ..self }
    }
}

/// The beginning of a text, at most so many bytes.
pub fn shortened(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

impl Priority {
    const ALL: [Self; 8] = [
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Err,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// Of a number with or without the facility in front of it (RFC 5424 §6.2.1: 8 × facility + it).
    pub fn of(number: u64) -> Self {
        Self::ALL[(number % 8) as usize]
    }
}

#[cfg(test)]
mod tests {
    use crate::observation::log_line::*;

    fn line() -> LogLine {
        LogLine {
            source: LogSource::Journal,
            matcher: "vrrp-fault".to_owned(),
            text: "(VI_1) Entering FAULT STATE".to_owned(),
            fields: BTreeMap::from([("instance".to_owned(), "VI_1".to_owned())]),
            header: Header {
                priority: Some(Priority::of(30)),
                program: Some("Keepalived_vrrp".to_owned()),
                ..Header::default()
            },
            elsewhere: None,
        }
    }

    #[test]
    fn a_line_reads_as_a_sentence_and_says_only_what_is_known() {
        assert_eq!(
            line().to_string(),
            "journal: Keepalived_vrrp: (VI_1) Entering FAULT STATE (vrrp-fault)"
        );
        assert_eq!(
            serde_json::to_string(&line()).unwrap(),
            "{\"source\":\"journal\",\"matcher\":\"vrrp-fault\",\
             \"text\":\"(VI_1) Entering FAULT STATE\",\"fields\":{\"instance\":\"VI_1\"},\
             \"priority\":\"info\",\"program\":\"Keepalived_vrrp\"}"
        );
        let forged = LogLine { text: "a\u{1b}[2J\nb".to_owned(), ..line() };
        assert_eq!(forged.to_string(), r"journal: Keepalived_vrrp: a\u{1b}[2J\nb (vrrp-fault)");
        let elsewhere = Some("there is no br7".to_owned());
        let other = LogLine { source: LogSource::Kernel, elsewhere, ..line() };
        let told = "(vrrp-fault); of another network namespace, here there is no br7";
        assert!(other.to_string().ends_with(told), "{other}");
        let far = LogSource::Syslog([192, 0, 2, 1].into());
        assert_eq!(serde_json::to_string(&far).unwrap(), r#"{"syslog":"192.0.2.1"}"#);
        assert_eq!(far.to_string(), "syslog from 192.0.2.1");
    }

    #[test]
    fn priorities_are_the_lowest_three_bits() {
        for (number, priority) in
            [(0, Priority::Emerg), (3, Priority::Err), (30, Priority::Info), (191, Priority::Debug)]
        {
            assert_eq!(Priority::of(number), priority, "{number}");
        }
    }
}
