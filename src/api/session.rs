//! One client at the control socket: requests one after the other, until it leaves or is silent.
//!
//! A client may close its writing side and still hear the answer, as `echo … | socat - UNIX:…` does. So
//! while there is nothing to tell it is told that, every [`ALIVE`]: a client that is gone is noticed by
//! the failing write.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::frames::FrameSender;
use super::line::{PendingFate, RecorderLine};
use super::peer::Peer;
use super::protocol::{self, Answer, Command, LONGEST, SnapshotWanted, Trouble};
use super::question::{Audience, Fate};
use crate::export::event::Event;
use crate::observation::Fact;
use crate::observation::request::{Ask, Door};

/// A client that asks nothing for this long is sent away.
const SILENCE: Duration = Duration::from_secs(30);
/// A client that takes nothing for this long is sent away. Meanwhile it loses events, and nobody waits.
const STUCK: Duration = Duration::from_secs(60);
/// While there is nothing to tell, a client hears of us this often.
pub(super) const ALIVE: Duration = Duration::from_secs(15);

/// The client is gone, or has to go.
struct Gone;

/// Tells the client that it may not ask.
pub(super) async fn refuse(stream: UnixStream, reason: &str) {
    let (_, out) = stream.into_split();
    let _ = Client { out }.tell(&Answer::error(Trouble::Refused, reason)).await;
}

/// Serves one client until it leaves.
pub(super) async fn serve(stream: UnixStream, peer: &Peer, line: &RecorderLine) {
    let (inward, out) = stream.into_split();
    let (mut requests, mut client) = (BufReader::new(inward), Client { out });
    loop {
        let done: Result<Option<FrameSender>, Gone> = match next(&mut requests).await {
            Next::Request(bytes) => match protocol::request(&bytes) {
                Ok(command) => client.handle(command, peer, line).await,
                Err(wrong) => {
                    client.tell(&Answer::error(Trouble::BadRequest, wrong)).await.map(|()| None)
                }
            },
            Next::TooLong => {
                let wrong = format!("a request has at most {LONGEST} bytes");
                let _ = client.tell(&Answer::error(Trouble::BadRequest, wrong)).await;
                return;
            }
            Next::End => return,
        };
        match done {
            Ok(None) => {}
            Ok(Some(reading)) => {
                let Ok(stream) = requests.into_inner().reunite(client.out) else { return };
                return line.in_earnest(reading.send(stream, line.clone())).await;
            }
            Err(Gone) => return,
        }
    }
}

enum Next {
    Request(Vec<u8>),
    TooLong,
    End,
}

async fn next(requests: &mut BufReader<OwnedReadHalf>) -> Next {
    let mut bytes = Vec::new();
    let mut bounded = requests.take(LONGEST as u64);
    match timeout(SILENCE, bounded.read_until(b'\n', &mut bytes)).await {
        Ok(Ok(1..)) if bytes.ends_with(b"\n") || bytes.len() < LONGEST => Next::Request(bytes),
        Ok(Ok(1..)) => Next::TooLong,
        _ => Next::End,
    }
}

struct Client {
    out: OwnedWriteHalf,
}

/// Where the live page is; on loopback with a ticket, since an address tells nothing of who comes.
fn way_to_page(line: &RecorderLine) -> Answer {
    let Some(entrance) = line.entrance() else {
        let none = "it serves no live page: start it with --web";
        return Answer::error(Trouble::BadRequest, none);
    };
    let place = entrance.place();
    let ticket = match place.socket() {
        Some(_) => Ok(None),
        None => entrance.ticket(line.clock().now().mono).map(Some),
    };
    match ticket {
        Ok(ticket) => Answer::Web { place: place.place(), ticket },
        Err(error) => Answer::error(Trouble::Busy, format!("no ticket can be made: {error}")),
    }
}

impl Client {
    /// Does what is asked; frames are for the caller to send, who has the whole connection.
    async fn handle(
        &mut self,
        command: Command,
        peer: &Peer,
        line: &RecorderLine,
    ) -> Result<Option<FrameSender>, Gone> {
        let done = match command {
            Command::Snapshot(wanted) => {
                let SnapshotWanted { reason, pre, post, at, ago, again, wait } = wanted;
                let ask = Ask::new(Door::Control, &peer.to_string(), &reason);
                self.snapshot(Ask { pre, post, at, ago, again, ..ask }, wait, line).await
            }
            Command::Status {} => match line.standing().await {
                Ok(standing) => self.tell(&Answer::Status(standing)).await,
                Err(why) => self.tell(&why.into()).await,
            },
            Command::Events { follow } => match line.listen().await {
                // The end is part of what was asked for.
                Ok(audience) => line.in_earnest(self.events(audience, follow)).await,
                Err(why) => self.tell(&why.into()).await,
            },
            Command::Frames(wanted) => match FrameSender::prepare(&wanted, line).await {
                Ok(reading) => {
                    self.tell(&reading.answer()).await?;
                    return Ok(Some(reading));
                }
                Err(answer) => self.tell(&answer).await,
            },
            Command::Web {} => self.tell(&way_to_page(line)).await,
            Command::Arm {} => self.arm(true, peer, line).await,
            Command::Disarm {} => self.arm(false, peer, line).await,
        };
        done.map(|()| None)
    }

    async fn snapshot(&mut self, ask: Ask, wait: bool, line: &RecorderLine) -> Result<(), Gone> {
        if let Err(wrong) = ask.check(line.clock().now().wall) {
            return self.tell(&Answer::error(Trouble::BadRequest, wrong.to_string())).await;
        }
        let talk = async {
            let PendingFate { verdict, mut fate } =
                match line.tell(Fact::Asked(ask.into()), wait).await {
                    Ok(told) => told,
                    Err(why) => return self.tell(&why.into()).await,
                };
            let nothing = verdict.incident().is_none();
            self.tell(&Answer::Verdict(verdict)).await?;
            if nothing || !wait {
                return Ok(());
            }
            loop {
                match timeout(ALIVE, &mut fate).await {
                    Err(_) => self.tell(&Answer::Alive).await?,
                    Ok(Ok(fate)) => return self.tell(&Answer::Fate(fate)).await,
                    Ok(Err(_)) => return self.tell(&Answer::Fate(Fate::forgotten())).await,
                }
            }
        };
        line.in_earnest(talk).await
    }

    async fn arm(&mut self, armed: bool, peer: &Peer, line: &RecorderLine) -> Result<(), Gone> {
        let fact = Fact::Arming { armed, who: peer.to_string() };
        match line.tell(fact, false).await {
            Ok(_) => self.tell(&Answer::Arming { armed }).await,
            Err(why) => self.tell(&why.into()).await,
        }
    }

    async fn events(&mut self, audience: Audience, follow: bool) -> Result<(), Gone> {
        let Audience { recent, mut live } = audience;
        for event in recent {
            self.write(&protocol::event(&event.fields)).await?;
        }
        if follow {
            self.follow(&mut live).await?;
        }
        self.tell(&Answer::End).await
    }

    /// Until there is nothing more to hear.
    async fn follow(&mut self, live: &mut Receiver<Arc<Event>>) -> Result<(), Gone> {
        loop {
            match timeout(ALIVE, live.recv()).await {
                Err(_) => self.tell(&Answer::Alive).await?,
                Ok(Ok(event)) => self.write(&protocol::event(&event.fields)).await?,
                Ok(Err(RecvError::Lagged(count))) => self.tell(&Answer::Missed { count }).await?,
                Ok(Err(RecvError::Closed)) => return Ok(()),
            }
        }
    }

    async fn tell(&mut self, answer: &Answer) -> Result<(), Gone> {
        self.write(&protocol::answer(answer)).await
    }

    async fn write(&mut self, line: &str) -> Result<(), Gone> {
        match timeout(STUCK, self.out.write_all(line.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}
