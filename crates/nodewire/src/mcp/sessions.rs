//! Sessions over HTTP, bounded in number and in how long they may be unused. What goes on in one is the SDK's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::Stream;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{
    ServerSseMessage, SessionId, SessionManager,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::counts::add;
use super::tools::Shared;

/// How often unused sessions are looked for, at most and at least.
const SWEEP_MIN: Duration = Duration::from_millis(10);
const SWEEP_MAX: Duration = Duration::from_secs(30);

/// The sessions there are.
#[derive(Debug)]
pub(super) struct Sessions {
    shared: Arc<Shared>,
    local: LocalSessionManager,
    places: Arc<Semaphore>,
    // A std mutex: held for a look-up, or a look at all of them; never across an await.
    known: Mutex<HashMap<SessionId, Known>>,
}

#[derive(Debug)]
struct Known {
    _place: OwnedSemaphorePermit,
    /// Requests and streams at present.
    uses: usize,
    /// When the last of them ended.
    unused_since: Instant,
}

/// A request or stream of a session, which is in use until this is dropped.
#[derive(Debug)]
pub(super) struct Use {
    sessions: Arc<Sessions>,
    id: SessionId,
}

tokio::task_local! {
    /// Set by the request that finds no room for its session. To the SDK this is an internal error like any other.
    static WAS_REFUSED: AtomicBool;
}

/// Answers a request, and tells whether there was no room for the session that it wanted.
pub(super) async fn noting_refusal<T>(answering: impl Future<Output = T>) -> (T, bool) {
    let noting = async {
        let answer = answering.await;
        (answer, WAS_REFUSED.with(|it| it.load(Ordering::Relaxed)))
    };
    WAS_REFUSED.scope(AtomicBool::new(false), noting).await
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// All are in use.
    #[error("all sessions are in use")]
    Full,
    /// The SDK's reason.
    #[error(transparent)]
    Local(#[from] LocalSessionManagerError),
}

impl Sessions {
    pub(super) fn new(shared: &Arc<Shared>, sessions_max: usize) -> Arc<Self> {
        let mut local = LocalSessionManager::default();
        // Executions may be silent for longer; `sweep` does it by use.
        local.session_config.keep_alive = None;
        // Nothing is kept to be fetched later.
        local.session_config.sse_retry = None;
        local.session_config.completed_cache_ttl = Duration::ZERO;
        Arc::new(Self {
            shared: Arc::clone(shared),
            local,
            places: Arc::new(Semaphore::new(sessions_max.min(Semaphore::MAX_PERMITS))),
            known: Mutex::default(),
        })
    }

    /// Says that a session is used, if there is one with this id.
    pub(super) fn begin_use(self: &Arc<Self>, id: &str) -> Option<Use> {
        let mut known = self.lock();
        let (id, _) = known.get_key_value(id)?;
        let id = Arc::clone(id);
        known.get_mut(&id)?.uses += 1;
        Some(Use {
            sessions: Arc::clone(self),
            id,
        })
    }

    /// Closes sessions that nobody has used for so long. Goes on for ever.
    pub(super) async fn sweep(self: Arc<Self>, idle_timeout: Duration) {
        loop {
            tokio::time::sleep((idle_timeout / 2).clamp(SWEEP_MIN, SWEEP_MAX)).await;
            for id in self.unused_for(idle_timeout) {
                add(&self.shared.counts.sessions_expired);
                self.close(&id).await;
            }
        }
    }

    fn unused_for(&self, time: Duration) -> Vec<SessionId> {
        let known = self.lock();
        let unused = known
            .iter()
            .filter(|(_, it)| it.uses == 0 && it.unused_since.elapsed() >= time);
        unused.map(|(id, _)| Arc::clone(id)).collect()
    }

    /// A place for a new session, if need be that of the one longest unused.
    async fn place(&self) -> Result<OwnedSemaphorePermit, SessionError> {
        let place = || Arc::clone(&self.places).try_acquire_owned();
        if let Ok(place) = place() {
            return Ok(place);
        }
        if let Some(id) = self.longest_unused() {
            add(&self.shared.counts.sessions_evicted);
            self.close(&id).await;
        }
        place().map_err(|_| SessionError::Full)
    }

    fn longest_unused(&self) -> Option<SessionId> {
        let known = self.lock();
        let unused = known.iter().filter(|(_, it)| it.uses == 0);
        let longest = unused.min_by_key(|(_, it)| it.unused_since);
        longest.map(|(id, _)| Arc::clone(id))
    }

    async fn close(&self, id: &SessionId) {
        self.lock().remove(id);
        if let Err(error) = self.local.close_session(id).await {
            tracing::debug!(%error, "an MCP session cannot be closed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Some(known) = self.sessions.lock().get_mut(&self.id) {
            known.uses -= 1;
            known.unused_since = Instant::now();
        }
    }
}

impl SessionManager for Sessions {
    type Error = SessionError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), SessionError> {
        let place = self.place().await.inspect_err(|_| {
            add(&self.shared.counts.sessions_refused);
            let _ = WAS_REFUSED.try_with(|it| it.store(true, Ordering::Relaxed));
        })?;
        let (id, transport) = self.local.create_session().await?;
        let known = Known {
            _place: place,
            uses: 0,
            unused_since: Instant::now(),
        };
        self.lock().insert(Arc::clone(&id), known);
        add(&self.shared.counts.sessions);
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionError> {
        Ok(self.local.initialize_session(id, message).await?)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(self.local.has_session(id).await?)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), SessionError> {
        self.lock().remove(id);
        Ok(self.local.close_session(id).await?)
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        Ok(self.local.create_stream(id, message).await?)
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), SessionError> {
        Ok(self.local.accept_message(id, message).await?)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        Ok(self.local.create_standalone_stream(id).await?)
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        Ok(self.local.resume(id, last_event_id).await?)
    }
}
