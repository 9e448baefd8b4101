//! A handler per frame, of many sessions at once.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::accept::Server;
use super::session::Session;
use super::submitted::Submitted;
use crate::listener::Listener;

/// Answers frames.
pub trait Handler: Send + Sync + 'static {
    /// Answers a frame, by its [`Responder`](super::Responder). Many run at the same time. What panics ends its frame with an
    /// error, and nothing else.
    fn handle(&self, frame: Submitted) -> impl Future<Output = ()> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Submitted) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    fn handle(&self, frame: Submitted) -> impl Future<Output = ()> + Send {
        self(frame)
    }
}

/// How many handlers run, and when they are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeOptions {
    /// Of one session at the same time, at least 1; 16. What comes beyond that waits.
    pub session_frames_max: usize,
    /// Of all sessions together at the same time, at least 1; 256. Each session may have taken one frame more by then.
    pub frames_max: usize,
    /// Whether the handler of a frame that ends by itself is dropped where it waits; yes. If not, it has to look at
    /// [`Responder::cancelled`](super::Responder::cancelled) by itself.
    pub drops_cancelled: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            session_frames_max: 16,
            frames_max: 256,
            drops_cancelled: true,
        }
    }
}

/// What handlers share.
#[derive(Debug)]
struct Serving<H> {
    handler: H,
    options: ServeOptions,
    places: Arc<Semaphore>,
}

impl<H: Handler> Serving<H> {
    fn new(handler: H, options: ServeOptions) -> Arc<Self> {
        Arc::new(Self {
            handler,
            options,
            places: places(options.frames_max),
        })
    }

    /// Until the session has ended, and its handlers have.
    async fn serve(self: Arc<Self>, session: Session) {
        let own_places = places(self.options.session_frames_max);
        let mut handlers = JoinSet::new();
        loop {
            let Ok(own_place) = Arc::clone(&own_places).acquire_owned().await else {
                break;
            };
            let Some(mut frame) = session.next_submit().await else {
                break;
            };
            let place = tokio::select! {
                place = Arc::clone(&self.places).acquire_owned() => place,
                () = frame.answer.cancelled() => continue,
            };
            while handlers.try_join_next().is_some() {}
            frame.answer.begin();
            let span = frame.span();
            let serving = Arc::clone(&self);
            let handling = async move {
                serving.handle(frame).await;
                drop((own_place, place));
            };
            handlers.spawn(handling.instrument(span));
        }
        while handlers.join_next().await.is_some() {}
    }

    async fn handle(&self, frame: Submitted) {
        if !self.options.drops_cancelled {
            return self.handler.handle(frame).await;
        }
        let over = frame.answer.over();
        tokio::select! {
            biased;
            () = self.handler.handle(frame) => {}
            () = over => tracing::debug!("the frame has ended: its handler is dropped"),
        }
    }
}

fn places(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)))
}

impl Session {
    /// Runs a handler for each frame, until the session has ended and all handlers have. If it is dropped, its handlers are
    /// too, and their frames are dropped.
    pub async fn serve(self, handler: impl Handler, options: ServeOptions) {
        Serving::new(handler, options).serve(self).await;
    }
}

impl Server {
    /// Takes over all connections of a listener, and runs a handler for each frame of each session, until the server has
    /// stopped and all handlers have. If it is dropped, the sessions that it has are closed, and their frames dropped.
    pub async fn serve(&self, listener: &Listener, handler: impl Handler, options: ServeOptions) {
        let listening = self.listen(listener);
        let serving = self.serve_sessions(handler, options);
        tokio::join!(listening, serving);
    }

    /// Runs a handler for each frame of each session, until the server has stopped and all handlers have. If it is dropped,
    /// the sessions that it has are closed, and their frames dropped.
    pub async fn serve_sessions(&self, handler: impl Handler, options: ServeOptions) {
        let serving = Serving::new(handler, options);
        let mut sessions = JoinSet::new();
        while let Some(session) = self.next_session().await {
            while sessions.try_join_next().is_some() {}
            let span = tracing::debug_span!("nnrp_session", session_id = session.id());
            let serving = Arc::clone(&serving);
            sessions.spawn(serving.serve(session).instrument(span));
        }
        while sessions.join_next().await.is_some() {}
    }
}
