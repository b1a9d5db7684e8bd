//! A person fetches: asks one host for pieces of a bundle, and hears them.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::chance;
use super::person::Person;
use crate::error::{Error, Result};
use crate::fleet::fetch::wire::{FetchAsking, FetchReply, FetchWanted, Sent};
use crate::fleet::fetch::{Come, PIECE, Piece};
use crate::fleet::inquiry::VERSION;
use crate::fleet::token::token;
use crate::incident::manifest::FileEntry;
use crate::observation::fetch::PacketShare;
use crate::visible::plain;

/// Who fetches hears after so long that nothing comes: pieces come within seconds.
const TOLD: Duration = Duration::from_secs(5);
/// A host that says nothing for so long is asked again.
const ANSWER: Duration = Duration::from_secs(10);
/// After so long it is given up: a host or a server that is started again is back by then.
const GIVEN_UP: Duration = Duration::from_secs(60);
/// Between two questions how far the cutting of frames is.
const PAUSE: Duration = Duration::from_millis(500);

/// A fetch of one bundle.
#[derive(Debug)]
pub struct Pull<'a> {
    person: &'a Person,
    host: String,
    fetch: String,
    told: Subscriber,
    /// Since something came.
    silent: Duration,
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
        Ok(Pull { person: self, host: host.to_owned(), fetch, told, silent: Duration::ZERO })
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
        loop {
            self.ask(FetchWanted::Files { bundle: bundle.to_owned(), packets })?;
            match self.hear()? {
                Some((Sent::Cutting { read, size }, _)) => {
                    waits(read, size);
                    self.pause(PAUSE);
                }
                Some((Sent::Refused { why }, _)) => return Err(self.cannot(why)),
                Some((Sent::Piece { .. }, _)) => {}
                Some((Sent::Files { packets, files, piece }, _)) => {
                    return Ok(Promised { packets, files, piece: piece.clamp(1, PIECE) });
                }
                None => {}
            }
        }
    }

    /// Asks for a piece.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn want(&self, piece: &Piece) -> Result<()> {
        self.ask(FetchWanted::Piece(piece.clone()))
    }

    /// What comes next.
    ///
    /// # Errors
    /// When the host has been silent for a minute.
    pub fn receive(&mut self) -> Result<Come> {
        Ok(match self.hear()? {
            Some((Sent::Piece { file, offset }, data)) => Come::Piece { file, offset, data },
            Some((Sent::Refused { why }, _)) => Come::Refused(why),
            Some(_) | None => Come::Nothing,
        })
    }

    /// Waits; the connection goes on meanwhile.
    pub fn pause(&self, time: Duration) {
        self.person.runtime.block_on(async { sleep(time).await });
    }

    /// Asks, unless no server hears it: what was not asked is asked again when nothing comes.
    fn ask(&self, wanted: FetchWanted) -> Result<()> {
        if !self.person.is_connected() {
            return Ok(());
        }
        let (from, fetch) = (self.person.name.clone(), self.fetch.clone());
        let asking = FetchAsking { v: VERSION, from, fetch, wanted };
        // Nothing here has keys that JSON cannot write.
        let line = serde_json::to_vec(&asking).unwrap_or_default();
        let subject = self.person.subjects.fetch(&self.person.name, &self.host);
        self.person.runtime.block_on(self.person.say(subject, line))
    }

    /// What the host says; none if it says nothing in time, which is told once.
    fn hear(&mut self) -> Result<Option<(Sent, Vec<u8>)>> {
        let mut message = self.wait(TOLD);
        if message.is_none() {
            self.tell_silence();
            if self.person.is_connected() {
                message = self.wait(ANSWER - TOLD);
            }
        }
        let Some(message) = message else {
            return if self.silent < GIVEN_UP { Ok(None) } else { Err(self.is_silent()) };
        };
        self.silent = Duration::ZERO;
        let message = message.ok_or_else(|| self.cannot("the connection broke"))?;
        let (reply, data) = FetchReply::read(&message.payload).map_err(|why| self.cannot(why))?;
        Ok(Some((reply.told, data.to_vec())))
    }

    /// The next message, or that there will be none; none if the time is up before.
    fn wait(&mut self, time: Duration) -> Option<Option<Message>> {
        let told = &mut self.told;
        let message = self.person.runtime.block_on(async { timeout(time, told.next()).await });
        if message.is_err() {
            self.silent += time;
        }
        message.ok()
    }

    fn tell_silence(&self) {
        let host = plain(&self.host);
        match self.person.is_connected() {
            _ if self.silent > TOLD => {}
            true => tracing::warn!("{host}: nothing came for {TOLD:?}, waiting"),
            false => tracing::warn!("{host}: the way to the server is broken, waiting"),
        }
    }

    fn is_silent(&self) -> Error {
        self.cannot(match self.person.is_connected() {
            true => "it says nothing for a minute",
            false => "no server was there for a minute",
        })
    }

    fn cannot(&self, why: impl std::fmt::Display) -> Error {
        Error::operation("fetch from", &*self.host, why)
    }
}
