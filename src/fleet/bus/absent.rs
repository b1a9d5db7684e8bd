//! In place of the client of the bus, where it is not built in: whoever wants a fleet is refused.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::error::Result;
use crate::feature::Feature;
use crate::fleet::Options;
use crate::fleet::answer::HostAnswer;
use crate::fleet::exchange::{Announcement, Keeper};
use crate::fleet::fetch::{Come, Piece};
use crate::fleet::inquiry::{Arrived, Inquiry};
use crate::fleet::notice::Notice;
use crate::fleet::status::{BusStatus, MemberSeen};
use crate::fleet::subject::Addressee;
use crate::incident::manifest::FileEntry;
use crate::observation::fetch::PacketShare;
use crate::time::{Clock, Mono};

/// None can be made.
#[derive(Debug)]
pub struct Bus(Infallible);

/// Of no member.
#[derive(Debug)]
pub struct BusAccount(Infallible);

/// Nobody.
#[derive(Debug)]
pub struct Person(Infallible);

/// Of nobody.
#[derive(Debug)]
pub struct Pull<'a>(Infallible, PhantomData<&'a Person>);

/// What nobody promises.
#[derive(Debug)]
pub struct Promised {
    /// What of the frames goes.
    pub packets: PacketShare,
    /// The files.
    pub files: Vec<FileEntry>,
    /// Bytes of a piece at most.
    pub piece: u32,
}

impl Bus {
    /// Refuses a fleet.
    ///
    /// # Errors
    /// Always.
    pub fn open(options: &Options, _: &str) -> Result<Self> {
        Err(Feature::Fleet.missing("fleet", &options.name))
    }

    /// Of no member.
    pub fn account(&self) -> BusAccount {
        match self.0 {}
    }

    /// Tells nobody.
    pub async fn run(self, _: mpsc::Receiver<Announcement>, _: impl Keeper) {
        match self.0 {}
    }
}

impl BusAccount {
    /// Of no member.
    pub fn standing(&self) -> BusStatus {
        match self.0 {}
    }
}

impl Person {
    /// Refuses a fleet.
    ///
    /// # Errors
    /// Always.
    pub fn connect(options: &Options, _: &str, _: Clock) -> Result<Self> {
        Err(Feature::Fleet.missing("fleet", &options.name))
    }

    /// Of no fleet.
    pub fn new_id(&self) -> String {
        match self.0 {}
    }

    /// Of no fleet.
    pub fn make_streams(&self, _: Duration) -> Result<()> {
        match self.0 {}
    }

    /// Of no fleet.
    pub fn members(&self) -> Result<BTreeMap<String, MemberSeen>> {
        match self.0 {}
    }

    /// Asks nobody.
    pub fn ask(
        &self,
        _: Inquiry,
        _: Duration,
        _: impl FnMut(&[Arrived]) -> bool,
    ) -> Result<Vec<Arrived>> {
        match self.0 {}
    }

    /// Of no fleet.
    pub fn pull(&self, _: &str) -> Result<Pull<'_>> {
        match self.0 {}
    }

    /// Tells nobody.
    pub fn freeze(
        &self,
        _: &Notice,
        _: Mono,
        _: &[Addressee],
        _: Duration,
        _: impl FnMut(&HostAnswer) -> bool,
    ) -> Result<()> {
        match self.0 {}
    }
}

impl Pull<'_> {
    /// Of nobody.
    pub fn begin(&mut self, _: &str, _: PacketShare, _: impl FnMut(u64, u64)) -> Result<Promised> {
        match self.0 {}
    }

    /// Of nobody.
    pub fn want(&self, _: &Piece) -> Result<()> {
        match self.0 {}
    }

    /// Of nobody.
    pub fn receive(&mut self) -> Result<Come> {
        match self.0 {}
    }

    /// Of nobody.
    pub fn pause(&self, _: Duration) {
        match self.0 {}
    }
}
