//! The way to the service manager: datagrams to the socket that `NOTIFY_SOCKET` names (sd_notify(3)). And what
//! it gave us on the way: a watchdog to feed, descriptors that it opened (sd_listen_fds(3)).
//!
//! Our own few lines rather than crate `sd-notify`, which opens the socket anew for each message: this
//! one is opened once, before privileges are dropped and paths are out of reach. It never blocks: what a
//! busy service manager has no room for is refused, and whoever said it says it again later.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::RawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::time::Mono;

/// What a service manager put into the environment, before any of it is understood.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    pub socket: Option<OsString>,
    /// `WATCHDOG_USEC`: microseconds.
    pub watchdog: Option<OsString>,
    /// `WATCHDOG_PID`: whom the watchdog is about.
    pub watchdog_process: Option<OsString>,
    /// `LISTEN_FDS`: how many descriptors were opened for us.
    pub descriptors: Option<OsString>,
    /// `LISTEN_FDNAMES`: what each of them is called, between colons.
    pub descriptor_names: Option<OsString>,
    /// `LISTEN_PID`: for whom.
    pub descriptors_process: Option<OsString>,
}

impl Environment {
    /// This process's.
    pub fn read() -> Self {
        let of = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            socket: of("NOTIFY_SOCKET"),
            watchdog: of("WATCHDOG_USEC"),
            watchdog_process: of("WATCHDOG_PID"),
            descriptors: of("LISTEN_FDS"),
            descriptor_names: of("LISTEN_FDNAMES"),
            descriptors_process: of("LISTEN_PID"),
        }
    }

    /// Within how long `process` must feed the watchdog; none if there is no watchdog, or it is another
    /// process's (sd_watchdog_enabled(3)).
    ///
    /// # Errors
    /// When it is there and no number.
    pub fn watchdog(&self, process: u32) -> Result<Option<Duration>> {
        let number = |name: &str, value: &OsString| {
            let text = value.to_str().and_then(|text| text.parse::<u64>().ok());
            let given = value.to_string_lossy();
            text.ok_or_else(|| Error::usage(name, given, "not a number", "as systemd sets it"))
        };
        let Some(within) = &self.watchdog else { return Ok(None) };
        let within = number("WATCHDOG_USEC", within)?;
        if let Some(other) = &self.watchdog_process
            && number("WATCHDOG_PID", other)? != u64::from(process)
        {
            return Ok(None);
        }
        Ok((within > 0).then(|| Duration::from_micros(within)))
    }

    /// The descriptors called `name` that were opened for `process`. What is not as systemd sets it is passed over:
    /// a name whose number is beyond those that were opened means nothing.
    pub fn descriptors(&self, process: u32, name: &str) -> Vec<RawFd> {
        let text = |value: &Option<OsString>| value.as_ref()?.to_str().map(str::to_owned);
        let number = |value| text(value).and_then(|text| text.parse::<u32>().ok());
        if number(&self.descriptors_process) != Some(process) {
            return Vec::new();
        }
        let count = number(&self.descriptors).unwrap_or(0);
        let names = text(&self.descriptor_names).unwrap_or_default();
        let named = (HANDED_OVER..).zip(names.split(':')).take(count as usize);
        named.filter(|(_, called)| *called == name).map(|(number, _)| number).collect()
    }
}

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word<'a> {
    /// It does what it is there for.
    Ready,
    /// The configuration is read again, since then; [`Word::Ready`] follows.
    Reloading(Mono),
    /// It ends.
    Stopping,
    /// It lives.
    Watchdog,
    /// How it stands, for people: one line.
    Status(&'a str),
    /// Starting or stopping takes so much longer from now on.
    Extend(Duration),
}

impl Word<'_> {
    /// As the protocol has it, without the line's end.
    fn text(self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading(since) => {
                format!("RELOADING=1\nMONOTONIC_USEC={}", since.0 / NANOS_PER_MICRO)
            }
            Self::Stopping => "STOPPING=1".to_owned(),
            Self::Watchdog => "WATCHDOG=1".to_owned(),
            // A line's end would begin the next word.
            Self::Status(line) => format!("STATUS={}", line.replace(['\n', '\r'], " ")),
            Self::Extend(by) => format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()),
        }
    }
}

const NANOS_PER_MICRO: u64 = 1_000;
/// The first descriptor that is handed over (`SD_LISTEN_FDS_START`, systemd/sd-daemon.h).
const HANDED_OVER: RawFd = 3;

/// A connected socket. Cloning gives a second hand on the same one.
#[derive(Debug, Clone)]
pub struct Notifier(Arc<UnixDatagram>);

impl Notifier {
    /// Connects to the socket called `name`: a path, or `@` and an abstract name.
    ///
    /// # Errors
    /// When the name is of no kind we know, or nobody is there.
    pub fn connect(name: &OsStr) -> Result<Self> {
        let failed = |reason: io::Error| {
            let name = name.to_string_lossy();
            Error::operation("connect to the service manager at", name, reason)
        };
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(name),
            _ => {
                let accepted = "a path that begins with /, or @ and a name";
                let given = name.to_string_lossy();
                return Err(Error::usage(
                    "NOTIFY_SOCKET",
                    given,
                    "not the address of a UNIX socket",
                    accepted,
                ));
            }
        };
        let socket = UnixDatagram::unbound().map_err(failed)?;
        socket.connect_addr(&address.map_err(failed)?).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self(Arc::new(socket)))
    }

    /// Says all `words` in one datagram; false if it was not taken.
    pub fn say(&self, words: &[Word<'_>]) -> bool {
        let text: Vec<_> = words.iter().map(|word| word.text()).collect();
        self.0.send(text.join("\n").as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn environment(watchdog: &str, process: Option<&str>) -> Environment {
        Environment {
            watchdog: Some(watchdog.into()),
            watchdog_process: process.map(Into::into),
            ..Environment::default()
        }
    }

    #[test]
    fn only_what_was_opened_for_us_under_that_name_is_ours() {
        let of = |process: &str, count: &str, names: &str| {
            let environment = Environment {
                descriptors: Some(count.into()),
                descriptor_names: Some(names.into()),
                descriptors_process: Some(process.into()),
                ..Environment::default()
            };
            environment.descriptors(7, "log")
        };
        assert_eq!(of("7", "3", "log:other:log"), [3, 5]);
        assert_eq!(of("7", "1", "log:other:log"), [3]);
        for (process, count, names) in [
            ("8", "1", "log"),
            ("7", "0", "log"),
            ("7", "-1", "log"),
            ("7", "x", "log"),
            ("", "1", "log"),
            ("7", "1", ""),
        ] {
            assert_eq!(of(process, count, names), [0; 0], "{process} {count} {names}");
        }
        assert_eq!(Environment::default().descriptors(7, "log"), [0; 0]);
    }

    #[test]
    fn a_watchdog_is_ours_or_nobodys() {
        for (watchdog, process, expected) in [
            ("30000000", None, Some(Duration::from_secs(30))),
            ("30000000", Some("7"), Some(Duration::from_secs(30))),
            ("30000000", Some("8"), None),
            ("0", None, None),
        ] {
            let found = environment(watchdog, process).watchdog(7).unwrap();
            assert_eq!(found, expected, "{watchdog} {process:?}");
        }
        assert_eq!(Environment::default().watchdog(7).unwrap(), None);
        for (watchdog, process) in [("often", None), ("-1", None), ("1", Some("me"))] {
            let refused = environment(watchdog, process).watchdog(7).unwrap_err();
            assert_eq!(refused.exit_status(), 2, "{refused}");
        }
    }

    #[test]
    fn words_are_the_protocols() {
        for (word, text) in [
            (Word::Ready, "READY=1"),
            (Word::Reloading(Mono(12_345_999)), "RELOADING=1\nMONOTONIC_USEC=12345"),
            (Word::Stopping, "STOPPING=1"),
            (Word::Watchdog, "WATCHDOG=1"),
            (Word::Status("a · b\nREADY=1"), "STATUS=a · b READY=1"),
            (Word::Extend(Duration::from_secs(30)), "EXTEND_TIMEOUT_USEC=30000000"),
        ] {
            assert_eq!(word.text(), text);
        }
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn it_is_heard_at_a_path_and_at_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        assert!(Notifier::connect(path.as_os_str()).unwrap().say(&[Word::Ready, Word::Watchdog]));
        assert_eq!(heard(&listener), "READY=1\nWATCHDOG=1");

        let name = format!("dashcap-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        assert!(Notifier::connect(format!("@{name}").as_ref()).unwrap().say(&[Word::Stopping]));
        assert_eq!(heard(&listener), "STOPPING=1");
    }

    #[test]
    fn a_manager_that_does_not_listen_is_never_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::connect(path.as_os_str()).unwrap();
        // net.unix.max_dgram_qlen, 10 by default; a machine may have thousands.
        let refused_at = (0..100_000).find(|_| !notifier.say(&[Word::Watchdog]));
        assert!(refused_at.is_some(), "it would have blocked, or has room for everything");
        assert_eq!(heard(&listener), "WATCHDOG=1");
        assert!(notifier.say(&[Word::Ready]), "there is room again");
        drop(listener);
        assert!(!notifier.say(&[Word::Ready]), "and nobody there is no trouble");
    }

    #[test]
    fn what_is_no_socket_is_refused() {
        for name in ["vsock:2:1234", "run/notify", ""] {
            assert_eq!(Notifier::connect(name.as_ref()).unwrap_err().exit_status(), 2, "{name}");
        }
        let missing = Path::new("/does/not/exist");
        let told = Notifier::connect(missing.as_os_str()).unwrap_err().to_string();
        assert!(told.contains("connect to the service manager at /does/not/exist"), "{told}");
    }

    proptest! {
        #[test]
        fn any_environment_is_understood_or_refused(
            socket in proptest::collection::vec(any::<u8>(), 0..200),
            watchdog in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let _ = Notifier::connect(OsStr::from_bytes(&socket));
            let watchdog = OsStr::from_bytes(&watchdog).to_owned();
            let environment = Environment { watchdog: Some(watchdog), ..Environment::default() };
            let _ = environment.watchdog(1);
        }

        #[test]
        fn a_status_is_one_line(line in ".{0,100}") {
            prop_assert!(!Word::Status(&line).text().contains('\n'));
        }
    }
}
