//! A person fetches: asks one host for pieces of a bundle, and hears them.

use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::chance;
use super::person::Person;
use crate::error::{Error, Result};
use crate::fleet::fetch::wire::{FetchAsking, FetchReply, FetchWanted, Sent};
use crate::fleet::fetch::{PIECE, Piece};
use crate::fleet::inquiry::VERSION;
use crate::fleet::token::token;
use crate::incident::manifest::FileEntry;
use crate::observation::fetch::PacketShare;

/// A host that says nothing for so long is asked again: its pieces come within seconds.
const ANSWER: Duration = Duration::from_secs(10);
/// So often, and then it is given up.
const TRIES: usize = 6;
/// Between two questions how far the cutting of frames is.
const PAUSE: Duration = Duration::from_millis(500);

/// A fetch of one bundle.
#[derive(Debug)]
pub struct Pull<'a> {
    person: &'a Person,
    host: String,
    fetch: String,
    told: Subscriber,
}

/// What a host promises.
#[derive(Debug)]
pub struct Promised {
    /// What of the frames goes.
    pub packets: PacketShare,
    /// The files.
    pub files: Vec<FileEntry>,
    /// Bytes of a piece at most.
    pub piece: u32,
}

impl Person {
    /// A fetch from `host`.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn pull(&self, host: &str) -> Result<Pull<'_>> {
        let fetch = chance::word();
        let subject = self.subjects.data(host, &token(&self.name), &fetch);
        let told = self.runtime.block_on(self.listen(subject))?;
        Ok(Pull { person: self, host: host.to_owned(), fetch, told })
    }
}

impl Pull<'_> {
    /// Begins it: what goes of the bundle, calling `waits` with how far it is while its frames are cut.
    ///
    /// # Errors
    /// When the host refuses or is silent.
    pub fn begin(
        &mut self,
        bundle: &str,
        packets: PacketShare,
        mut waits: impl FnMut(u64, u64),
    ) -> Result<Promised> {
        let mut silent = 0;
        while silent < TRIES {
            self.ask(FetchWanted::Files { bundle: bundle.to_owned(), packets })?;
            match self.hear()? {
                Some((Sent::Cutting { read, size }, _)) => {
                    waits(read, size);
                    self.pause(PAUSE);
                    silent = 0;
                }
                Some((Sent::Refused { why }, _)) => return Err(self.cannot(why)),
                Some((Sent::Piece { .. }, _)) => {}
                Some((Sent::Files { packets, files, piece }, _)) => {
                    return Ok(Promised { packets, files, piece: piece.clamp(1, PIECE) });
                }
                None => silent += 1,
            }
        }
        Err(self.is_silent())
    }

    /// Asks for a piece.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn want(&self, piece: &Piece) -> Result<()> {
        self.ask(FetchWanted::Piece(piece.clone()))
    }

    /// The next piece that comes: its file, where in it, its bytes; none if nothing came, and what was asked is to be
    /// asked again.
    ///
    /// # Errors
    /// When the host refuses, or has been silent for a minute.
    pub fn next(&mut self, silent: &mut usize) -> Result<Option<(String, u64, Vec<u8>)>> {
        match self.hear()? {
            Some((Sent::Piece { file, offset }, data)) => {
                *silent = 0;
                Ok(Some((file, offset, data)))
            }
            Some((Sent::Refused { why }, _)) => Err(self.cannot(why)),
            Some(_) => Ok(None),
            None => {
                *silent += 1;
                if *silent < TRIES { Ok(None) } else { Err(self.is_silent()) }
            }
        }
    }

    /// Waits; the connection goes on meanwhile.
    pub fn pause(&self, time: Duration) {
        self.person.runtime.block_on(async { sleep(time).await });
    }

    fn ask(&self, wanted: FetchWanted) -> Result<()> {
        let (from, fetch) = (self.person.name.clone(), self.fetch.clone());
        let asking = FetchAsking { v: VERSION, from, fetch, wanted };
        // Nothing here has keys that JSON cannot write.
        let line = serde_json::to_vec(&asking).unwrap_or_default();
        let subject = self.person.subjects.fetch(&self.person.name, &self.host);
        self.person.runtime.block_on(self.person.say(subject, line))
    }

    /// What the host says, if it says something in time.
    fn hear(&mut self) -> Result<Option<(Sent, Vec<u8>)>> {
        let told = &mut self.told;
        let told = self.person.runtime.block_on(async { timeout(ANSWER, told.next()).await });
        let Ok(message) = told else { return Ok(None) };
        let message = message.ok_or_else(|| self.cannot("the connection broke"))?;
        let (reply, data) = FetchReply::read(&message.payload).map_err(|why| self.cannot(why))?;
        Ok(Some((reply.told, data.to_vec())))
    }

    fn is_silent(&self) -> Error {
        self.cannot("it says nothing, or is no host of the fleet")
    }

    fn cannot(&self, why: impl std::fmt::Display) -> Error {
        Error::operation("fetch from", &*self.host, why)
    }
}
