//! What a client asks of the server beside frames. spec: nnrp-session 4.1 to 4.4

use std::time::Duration;

use nnrp_wire::metadata::{CacheAckMetadata, CacheInvalidateMetadata, FlowUpdateMetadata};
use nnrp_wire::session::{ClientSession, HandleError, ProbeSample, PutRefusal, SessionSettings};
use nnrp_wire::{CachePut, SessionPatch, SessionPatchAck};
use tokio::sync::oneshot;

use super::error::RequestError;
use super::feed::Feed;
use super::session::Session;

impl Session {
    /// Asks the server whether it is there, and says how long the answer took. Those who ask at the same time share a PING.
    ///
    /// If this is dropped, nothing else happens.
    ///
    /// # Errors
    /// If there is no answer within [`ClientOptions::answer_timeout`](nnrp_wire::session::ClientOptions::answer_timeout);
    /// the reference never gives one, and none is read while the inbox is full.
    pub async fn ping(&self) -> Result<Duration, RequestError> {
        let (sender, answer) = oneshot::channel();
        let mut sender = Some(sender);
        let asked = self.ask(move |machine, feed, now| {
            if !feed.answers.is_pinging() {
                machine.ping(now)?;
            }
            if let Some(sender) = sender.take() {
                feed.answers.wait_for_pong(sender);
            }
            Ok(())
        });
        asked.await?;
        let timeout = self.answer_timeout();
        let answered = tokio::time::timeout(timeout, answer).await;
        let answered = answered.map_err(|_| RequestError::Unanswered { timeout })?;
        self.answer(answered)
    }

    /// Changes settings of the session, and brings what the server has made of that: all, some or none of it may hold now.
    /// One patch is sent at a time; others wait.
    ///
    /// If this is dropped before the patch is sent, it is not; after that, it may hold or not, as [`Self::settings`] shows
    /// once the answer has come.
    ///
    /// # Errors
    /// If there is no answer within [`ClientOptions::answer_timeout`](nnrp_wire::session::ClientOptions::answer_timeout).
    pub async fn patch(&self, patch: SessionPatch) -> Result<SessionPatchAck, RequestError> {
        let (sender, answer) = oneshot::channel();
        let mut sender = Some(sender);
        let asked = self.ask(move |machine, feed, now| {
            machine.patch(patch, now)?;
            if let Some(sender) = sender.take() {
                feed.answers.wait_for_patch(sender);
            }
            Ok(())
        });
        asked.await?;
        self.answer(answer.await)
    }

    /// What holds for the session: what the hello's answer says, and patches that were answered since.
    #[must_use]
    pub fn settings(&self) -> Option<SessionSettings> {
        self.core().agreed().settings
    }

    /// Gives the server an object to keep, and brings its answer, which may be that it does not. Once it is kept, frames can
    /// reference it.
    ///
    /// If this is dropped before the object is sent, it is not; after that, it may be kept or not.
    ///
    /// # Errors
    /// If it must not be put; or if there is no answer within
    /// [`ClientOptions::answer_timeout`](nnrp_wire::session::ClientOptions::answer_timeout).
    pub async fn put(&self, put: CachePut) -> Result<CacheAckMetadata, RequestError> {
        let (sender, answer) = oneshot::channel();
        let mut sender = Some(sender);
        let timeout = self.answer_timeout();
        let metadata = put.metadata;
        let key = (
            metadata.cache_namespace,
            metadata.cache_key_hi,
            metadata.cache_key_lo,
        );
        let asked = self.ask(move |machine, feed, now| {
            // Its object is shared, not copied.
            machine.put(put.clone(), now)?;
            if let Some(sender) = sender.take() {
                let deadline = now.saturating_add(timeout);
                feed.answers.wait_for_put(key, deadline, sender);
            }
            Ok(())
        });
        asked.await?;
        self.answer(answer.await)
    }

    /// Has the server forget objects. The protocol has no answer to that: it is done when this is ready, in so far as
    /// nothing that is submitted afterwards on TCP finds them.
    ///
    /// If this is dropped before it is sent, it is not.
    ///
    /// # Errors
    /// If the session has ended.
    pub async fn invalidate(&self, which: CacheInvalidateMetadata) -> Result<(), RequestError> {
        self.ask(move |machine, _, _| Ok(machine.invalidate(which)?))
            .await
    }

    /// Tells the server how many results that are not the last of their frame this side takes. Its epoch has to grow
    /// within a scope.
    ///
    /// If this is dropped before it is sent, it is not.
    ///
    /// # Errors
    /// If the session has ended; [`RequestError::Invalid`] if a field is set that its scope does not have.
    pub async fn flow_update(&self, update: FlowUpdateMetadata) -> Result<(), RequestError> {
        self.ask(move |machine, _, _| Ok(machine.flow_update(update)?))
            .await
    }

    /// Measures the session's connection with so many bytes, at most 1 MiB for most servers. One probe is sent at a time;
    /// others wait.
    ///
    /// If this is dropped, nothing else happens.
    ///
    /// # Errors
    /// If there is no answer within [`ClientOptions::answer_timeout`](nnrp_wire::session::ClientOptions::answer_timeout).
    pub async fn probe(&self, bytes: u32) -> Result<ProbeSample, RequestError> {
        let (sender, answer) = oneshot::channel();
        let mut sender = Some(sender);
        let probe_id = fastrand::u32(..);
        let asked = self.ask(move |machine, feed, now| {
            machine.probe(probe_id, bytes, now)?;
            if let Some(sender) = sender.take() {
                feed.answers.wait_for_probe(sender);
            }
            Ok(())
        });
        asked.await?;
        self.answer(answer.await)
    }

    /// Asks as soon as that is possible.
    async fn ask(
        &self,
        mut act: impl FnMut(&mut ClientSession, &mut Feed, Duration) -> Result<(), NotAsked>,
    ) -> Result<(), RequestError> {
        let core = self.core();
        loop {
            let driver = core.active().await.map_err(RequestError::Over)?;
            let asked = driver.with_room(|machine, feed, now| match act(machine, feed, now) {
                Err(NotAsked::Congested) => None,
                asked => Some(asked),
            });
            match asked.await {
                Ok(()) => return Ok(()),
                Err(NotAsked::Over) if core.may_reconnect() => core.left(&driver).await,
                Err(NotAsked::Over | NotAsked::Congested) => return Err(self.request_over()),
                Err(NotAsked::For(error)) => return Err(error),
            }
        }
    }

    fn answer<T>(
        &self,
        answer: Result<Option<T>, oneshot::error::RecvError>,
    ) -> Result<T, RequestError> {
        match answer {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(RequestError::Unanswered {
                timeout: self.answer_timeout(),
            }),
            Err(_) => Err(self.request_over()),
        }
    }

    fn request_over(&self) -> RequestError {
        let end = self.core().end();
        end.map_or(RequestError::Ending, RequestError::Over)
    }

    fn answer_timeout(&self) -> Duration {
        self.core().options.session.answer_timeout
    }
}

/// Why something was not asked.
enum NotAsked {
    /// It is worth another try later.
    Congested,
    Over,
    For(RequestError),
}

impl From<HandleError> for NotAsked {
    fn from(error: HandleError) -> Self {
        match error {
            HandleError::Congested | HandleError::Early => Self::Congested,
            HandleError::Invalid(error) => Self::For(RequestError::Invalid(error)),
            HandleError::Over | HandleError::UnknownPath | _ => Self::Over,
        }
    }
}

impl From<PutRefusal> for NotAsked {
    fn from(refusal: PutRefusal) -> Self {
        match refusal {
            PutRefusal::Congested => Self::Congested,
            PutRefusal::NotActive => Self::Over,
            PutRefusal::Unsupported { .. }
            | PutRefusal::TooLarge { .. }
            | PutRefusal::Unanswered
            | PutRefusal::Full { .. }
            | _ => Self::For(RequestError::Put(refusal)),
        }
    }
}
