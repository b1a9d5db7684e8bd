//! What was found out a moment ago, for those who ask without being known: they cost the recorder one question a
//! second, however many they are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::time::Mono;

/// So long it is told again: nobody scrapes more often, and no person reads faster.
const FRESH: Duration = Duration::from_secs(1);

/// One answer, kept for a second.
#[derive(Debug)]
pub(super) struct Recent<T>(Arc<Mutex<Option<(Mono, T)>>>);

impl<T> Clone for Recent<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Recent<T> {
    /// The answer of at most a second ago, else a new one; who comes while one is looked for waits for it.
    pub(super) async fn at<E>(
        &self,
        now: Mono,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut kept = self.0.lock().await;
        if let Some((_, answer)) = kept.as_ref().filter(|(at, _)| now.since(*at) < FRESH) {
            return Ok(answer.clone());
        }
        let answer = ask.await?;
        *kept = Some((now, answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    /// Security review L6: each request without a token cost the recorder a question.
    #[test]
    fn an_answer_is_told_again_for_a_second() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let recent = Recent::default();
        let ask = |ms: u64, answer: Result<u32, &'static str>| {
            runtime.block_on(recent.at(Mono(ms * 1_000_000), async move { answer }))
        };
        assert_eq!(ask(0, Err("busy")), Err("busy"));
        assert_eq!(ask(1, Ok(1)), Ok(1), "no refusal is kept");
        assert_eq!(ask(1_000, Ok(2)), Ok(1));
        assert_eq!(ask(1_001, Ok(3)), Ok(3));
    }
}
