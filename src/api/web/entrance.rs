//! Who may see the page where an address is all that is known of him: on loopback, every user of the machine.
//!
//! ```text
//!   control socket ─► ticket (once, a minute) ─► in the first address ─► cookie (twelve hours, HttpOnly)
//! ```
//!
//! Only digests are kept, so nothing that is read out of memory or a log opens anything. Bounded: beyond the bound
//! the oldest is no longer good.
#![cfg_attr(not(feature = "web"), allow(dead_code, reason = "without the page nobody enters"))]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Options;
use crate::time::Mono;

/// Random bytes of a ticket, and of a cookie: out of reach of guessing.
const SECRET: usize = 32;
/// So long a ticket is good: between printing an address and opening it.
const TICKET: Duration = Duration::from_secs(60);
/// So long a cookie is: a day's work.
const SESSION: Duration = Duration::from_secs(12 * 3_600);
/// Tickets and cookies at a time, each.
const MOST: usize = 64;
/// Random bytes of the kernel (random(4)).
const RANDOM: &str = "/dev/urandom";

/// The entrance of one page.
#[derive(Debug)]
pub(in crate::api) struct Entrance {
    place: Options,
    tickets: Mutex<Passes>,
    sessions: Mutex<Passes>,
}

/// What is good for a while.
#[derive(Debug, Default)]
struct Passes(VecDeque<([u8; 32], Mono)>);

impl Entrance {
    /// Of the page at `place`.
    pub(in crate::api) fn new(place: Options) -> Self {
        Self { place, tickets: Mutex::default(), sessions: Mutex::default() }
    }

    /// Where the page is.
    pub(in crate::api) fn place(&self) -> &Options {
        &self.place
    }

    /// A ticket, good once.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub(in crate::api) fn ticket(&self, now: Mono) -> io::Result<String> {
        let secret = secret()?;
        passes(&self.tickets).add(&secret, now.plus(TICKET), now);
        Ok(secret)
    }

    /// A cookie for a ticket; none if it is not good, or not any more.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub(super) fn enter(&self, ticket: &str, now: Mono) -> io::Result<Option<String>> {
        if !passes(&self.tickets).take(ticket, now) {
            return Ok(None);
        }
        let secret = secret()?;
        passes(&self.sessions).add(&secret, now.plus(SESSION), now);
        Ok(Some(secret))
    }

    /// True if `cookie` is good.
    pub(super) fn knows(&self, cookie: &str, now: Mono) -> bool {
        passes(&self.sessions).has(cookie, now)
    }
}

/// A panic while a list was held leaves it whole.
fn passes(of: &Mutex<Passes>) -> std::sync::MutexGuard<'_, Passes> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Passes {
    fn add(&mut self, secret: &str, until: Mono, now: Mono) {
        self.0.retain(|(_, until)| *until > now);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((digest(secret), until));
    }

    fn has(&self, secret: &str, now: Mono) -> bool {
        let digest = digest(secret);
        self.0.iter().any(|(known, until)| *known == digest && *until > now)
    }

    fn take(&mut self, secret: &str, now: Mono) -> bool {
        let is_good = self.has(secret, now);
        let digest = digest(secret);
        self.0.retain(|(known, _)| *known != digest);
        is_good
    }
}

/// Comparing digests tells nothing of the secret by its time.
fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn secret() -> io::Result<String> {
    let mut bytes = [0; SECRET];
    File::open(RANDOM)?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a String never fails.
        let _ = write!(digits, "{byte:02x}");
        digits
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_for_a_minute_and_a_cookie_for_the_day() {
        let at = |seconds| Mono(0).plus(Duration::from_secs(seconds));
        let entrance = Entrance::new(Options::Socket("/x".into()));
        let (first, late) = (entrance.ticket(at(0)).unwrap(), entrance.ticket(at(0)).unwrap());
        assert!(first != late && first.len() == 2 * SECRET);
        assert!(!entrance.knows(&first, at(1)), "a ticket is no cookie");
        let cookie = entrance.enter(&first, at(59)).unwrap().unwrap();
        assert_eq!(entrance.enter(&first, at(59)).unwrap(), None, "once");
        assert_eq!(entrance.enter(&late, at(60)).unwrap(), None, "too late");
        assert_eq!(entrance.enter("", at(1)).unwrap(), None);
        assert!(entrance.knows(&cookie, at(12 * 3_600)));
        assert!(!entrance.knows(&cookie, at(13 * 3_600)) && !entrance.knows("", at(60)));
    }

    #[test]
    fn tickets_beyond_the_bound_push_out_the_oldest() {
        let entrance = Entrance::new(Options::Socket("/x".into()));
        let oldest = entrance.ticket(Mono(0)).unwrap();
        let next = entrance.ticket(Mono(0)).unwrap();
        for _ in 1..MOST {
            entrance.ticket(Mono(0)).unwrap();
        }
        assert_eq!(entrance.enter(&oldest, Mono(1)).unwrap(), None);
        assert!(entrance.enter(&next, Mono(1)).unwrap().is_some());
    }
}
