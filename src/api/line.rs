//! The line to the recorder: asks, waits for the answer, gives up in time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use super::question::{Audience, Fate, Question, Reply, Verdict};
use super::status::RecorderStatus;
use super::web::Entrance;
use crate::capture::Follower;
use crate::fleet::exchange::HeardNotice;
use crate::fleet::inquiry::NoticeOutcome;
use crate::frames::{self, FrameFeed, Pins};
use crate::observation::{Fact, Observation};
use crate::time::{Clock, Mono};

/// The recorder answers between two observations; a capture that does not answer it costs it 200 ms.
/// One that takes longer than this has died.
const ANSWER: Duration = Duration::from_secs(5);
/// How soon a question is tried again that found no room.
const RETRY: Duration = Duration::from_millis(5);
/// How often.
const RETRIES: u32 = 400;
/// Answers under way at most; as many connections there can be, and more than there ever are.
const UNDER_WAY: u32 = 1_024;

/// One end of it for every connection.
#[derive(Debug, Clone)]
pub(super) struct RecorderLine {
    clock: Clock,
    questions: Sender<Question>,
    /// A permit is held while a client waits for what it asked.
    under_way: Arc<Semaphore>,
    /// A permit is held while somebody reads frames.
    readers: Arc<Semaphore>,
    pins: Pins,
    /// Of the live page, if there is one.
    entrance: Option<Arc<Entrance>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The recorder has no room for a question.
    Busy,
    /// It took the question and did not answer.
    Silent,
    /// It ends.
    Ending,
}

/// What came of it, and where its incident's fate will be told.
pub(super) struct PendingFate {
    pub(super) verdict: Verdict,
    pub(super) fate: oneshot::Receiver<Fate>,
}

impl RecorderLine {
    pub(super) fn new(clock: Clock, questions: Sender<Question>) -> Self {
        let under_way = Arc::new(Semaphore::new(UNDER_WAY as usize));
        let readers = Arc::new(Semaphore::new(frames::READERS));
        let pins = Pins::default();
        Self { clock, questions, under_way, readers, pins, entrance: None }
    }

    /// The same, where who asks can be told the way to the live page.
    pub(super) fn with_page(self, entrance: Option<Arc<Entrance>>) -> Self {
        Self { entrance, ..self }
    }

    /// The entrance of the live page; none where it is not served.
    pub(super) fn entrance(&self) -> Option<&Entrance> {
        self.entrance.as_deref()
    }

    /// The clock of the recording.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Tells the recorder; `follow` also asks for the incident's fate. The moment it is told as is now.
    pub(super) async fn tell(&self, fact: Fact, follow: bool) -> Result<PendingFate, Unanswered> {
        let seen = Box::new(Observation { at: self.clock.now(), fact });
        let (told, fate) = oneshot::channel();
        let told = follow.then_some(told);
        let verdict = self.ask(|verdict| Question::Tell { seen, verdict, fate: told }).await?;
        Ok(PendingFate { verdict, fate })
    }

    /// How it stands.
    pub(super) async fn standing(&self) -> Result<Box<RecorderStatus>, Unanswered> {
        self.ask(Question::Standing).await
    }

    /// A place among those who hear events.
    pub(super) async fn listen(&self) -> Result<Audience, Unanswered> {
        self.ask(Question::Listen).await
    }

    /// A place among those who read frames, as long as it is kept; none where all are taken.
    pub(super) fn reader(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.readers).try_acquire_owned().ok()
    }

    /// What those who read frames keep in memory.
    pub(super) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Where frames can be read, and what was seen since `from`.
    pub(super) async fn frames(&self, from: Mono) -> Result<FrameFeed, Unanswered> {
        self.ask(|reply| Question::Frames { from, reply }).await
    }

    /// Which interfaces are recorded now; none if the recorder does not say. Waits, for threads that may.
    pub(super) fn captures(&self) -> Option<Vec<Follower>> {
        let (reply, answer) = oneshot::channel();
        self.questions.send_timeout(Question::Captures(reply), ANSWER).ok()?;
        answer.blocking_recv().ok()
    }

    /// Another host asks for the seconds around a moment; what becomes of it is told where the notice says.
    pub(super) async fn hear(&self, heard: HeardNotice) -> Result<(), Unanswered> {
        self.send(Question::Notice(heard.into())).await
    }

    /// What became of notices of other hosts that no bundle belongs to, of `id` or of any.
    pub(super) async fn without_bundle(
        &self,
        id: Option<String>,
    ) -> Result<Vec<NoticeOutcome>, Unanswered> {
        self.ask(|reply| Question::WithoutBundle { id, reply }).await
    }

    /// Runs `talk` as something that should not be cut off when dashcap ends.
    pub(super) async fn in_earnest<T>(&self, talk: impl Future<Output = T>) -> T {
        let permit = self.under_way.acquire().await;
        let said = talk.await;
        drop(permit);
        said
    }

    /// Until nothing is under way.
    pub(super) async fn quiet(&self) {
        // Never closed, so never refused.
        let _ = self.under_way.acquire_many(UNDER_WAY).await;
    }

    async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.send(question(reply)).await?;
        match timeout(ANSWER, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unanswered::Ending),
            Err(_) => Err(Unanswered::Silent),
        }
    }

    async fn send(&self, mut question: Question) -> Result<(), Unanswered> {
        for _ in 0..RETRIES {
            match self.questions.try_send(question) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => question = back,
                Err(TrySendError::Disconnected(_)) => return Err(Unanswered::Ending),
            }
            sleep(RETRY).await;
        }
        Err(Unanswered::Busy)
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the recorder is busy; try again",
            Self::Silent => "the recorder did not answer in time",
            Self::Ending => "dashcap is ending",
        })
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;
    use tokio::runtime::Builder;

    use super::*;

    fn wait<T>(talk: impl Future<Output = T>) -> T {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(talk)
    }

    #[test]
    fn a_question_is_answered_or_the_end_is_told() {
        let (questions, asked) = bounded(1);
        let line = RecorderLine::new(Clock::system(), questions);
        let recorder = std::thread::spawn(move || match asked.recv() {
            Ok(Question::Tell { seen, verdict, fate }) => {
                assert!(fate.is_none(), "nobody wants to know");
                verdict.send(Verdict::Noted).unwrap();
                seen.fact
            }
            other => panic!("{other:?}"),
        });
        let told = wait(line.tell(Fact::SnapshotSignal, false));
        assert_eq!(told.map(|told| told.verdict).ok(), Some(Verdict::Noted));
        assert_eq!(recorder.join().unwrap(), Fact::SnapshotSignal);
        assert_eq!(wait(line.standing()).err(), Some(Unanswered::Ending));
    }

    #[test]
    fn a_recorder_without_room_is_busy() {
        let (questions, _asked) = bounded(0);
        let line = RecorderLine::new(Clock::system(), questions);
        assert_eq!(wait(line.listen()).err(), Some(Unanswered::Busy));
    }
}
