//! What passes between the bus and the recorder of its host. Neither waits for the other: both ends are channels
//! with a bound.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use super::answer::HostAnswer;
use super::inquiry::{Inquiry, NoticeOutcome, Told};
use super::notice::Notice;
use super::status::Presence;
use super::subject::Addressee;
use crate::observation::Fact;
use crate::time::{Clock, Mono, Stamp};

/// States that a notice may go through: none is told twice.
pub const ANSWERS: usize = 8;

/// A notice that came over the bus.
#[derive(Debug)]
pub struct HeardNotice {
    /// What it says.
    pub notice: Notice,
    /// When it was heard.
    pub at: Stamp,
    /// How long it had lain in the server's stream then, by the server's clock; none if it came live.
    pub waited: Option<Duration>,
    /// How much longer ago than its age and `waited` say it may have happened.
    pub error: Duration,
    /// Where what becomes of it is told.
    pub answers: mpsc::Sender<HostAnswer>,
}

/// A notice that other hosts are to have.
#[derive(Debug)]
pub struct Announcement {
    /// What it says; its age is made anew whenever it is sent.
    pub notice: Notice,
    /// When it happened.
    pub event: Mono,
    /// Whom it is for.
    pub to: Vec<Addressee>,
}

/// What the bus asks the recorder of its host.
pub trait Keeper: Clone + Send + Sync + 'static {
    /// The clock of the recording.
    fn clock(&self) -> &Clock;

    /// Takes a notice in; what becomes of it is told where the notice says.
    ///
    /// # Errors
    /// When the recorder does not take it, in words.
    fn hear(&self, heard: HeardNotice) -> impl Future<Output = Result<(), String>> + Send;

    /// How this host stands; none if the recorder does not say.
    fn presence(&self) -> impl Future<Output = Option<Presence>> + Send;

    /// What became of notices that no bundle belongs to: of `id`, or of any.
    fn without_bundle(
        &self,
        _id: Option<String>,
    ) -> impl Future<Output = Vec<NoticeOutcome>> + Send {
        async { Vec::new() }
    }

    /// What neighbours see of this host. May wait for the kernel.
    fn identities(&self) -> Vec<String>;

    /// What is answered to a person's question about bundles. May wait for the disk.
    fn tell(&self, inquiry: &Inquiry) -> Told;

    /// Where the bundles lie that others may fetch; none where there are none.
    fn store(&self) -> Option<PathBuf>;

    /// Tells the recorder what it cannot see itself.
    fn note(&self, fact: Fact) -> impl Future<Output = ()> + Send;
}
