//! [`NatsServer`]: a service whose nodes can be executed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::ready;
use futures_util::stream::{BoxStream, StreamExt, once};
use nanograph::client::ConnectionState;
use nanograph::message::Handshake;
use nats_micro::{ConnectionEvent, Context};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::calls::Calls;
use super::cancelling::{Canceller, send};
use super::discovery::{Discovery, Seen};
use super::execution::{Execution, failed};
use super::offer::Offers;
use super::{NatsAddress, NatsConnectError, NatsOptions};
use crate::workflow::{Call, NodeErrorCode, Report};

/// Between tries to find a server.
const TRY_PERIOD: Duration = Duration::from_millis(500);

/// A service on a NATS whose nodes can be executed. Cloning shares it; the last one gone ends it.
#[derive(Debug, Clone)]
pub struct NatsServer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) service: String,
    pub(super) context: Context,
    pub(super) calls: Arc<Calls>,
    pub(super) seen: Arc<Seen>,
    places: Arc<Semaphore>,
    in_flight_max: usize,
    // A std mutex: held for look-ups, never over an await. At most what is in flight.
    stops: Mutex<Vec<Stop>>,
    pub(super) sent_again: AtomicU64,
    /// Ends the tasks.
    _tasks: DropGuard,
}

/// How an execution is stopped.
#[derive(Debug)]
struct Stop {
    instance_id: String,
    /// Gone once it has ended.
    told: Weak<watch::Sender<u32>>,
}

/// What was counted on one server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NatsCounts {
    /// Executions lost with an instance or the connection.
    pub lost: u64,
    /// Requests sent again since an instance was full or leaving.
    pub sent_again: u64,
    /// Replies to executions that had ended here.
    pub late_replies: u64,
    /// Progress and previews dropped since they were not taken in time.
    pub dropped_replies: u64,
    /// Cancellations that could not be sent.
    pub dropped_cancels: u64,
}

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsServerError {
    /// Its NATS cannot be used.
    #[error(transparent)]
    Connect(#[from] NatsConnectError),
    /// Nobody serves it.
    #[error(
        "no instance of the service \"{service}\" answers on {url}; start one, or correct \"service\" or \"url\""
    )]
    NoInstance {
        /// The service.
        service: String,
        /// The address, without credentials.
        url: String,
    },
    /// The connection broke while it was set up.
    #[error("the connection to {url} broke")]
    Broken {
        /// The address, without credentials.
        url: String,
    },
}

impl NatsServer {
    /// Connects, and waits until the service has an instance, for `wait` at most. `identity` says who the server is to
    /// others; its definitions are replaced by those that the instances have.
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// See [`NatsServerError`].
    pub async fn connect(
        service: &str,
        address: &NatsAddress,
        identity: Handshake,
        options: &NatsOptions,
        wait: Duration,
    ) -> Result<Self, NatsServerError> {
        let end = tokio::time::Instant::now() + wait;
        loop {
            let error = match Self::try_connect(service, address, &identity, options, end).await {
                Ok(server) => return Ok(server),
                Err(error) => error,
            };
            if tokio::time::Instant::now() + TRY_PERIOD >= end {
                return Err(error);
            }
            tokio::time::sleep(TRY_PERIOD).await;
        }
    }

    async fn try_connect(
        service: &str,
        address: &NatsAddress,
        identity: &Handshake,
        options: &NatsOptions,
        end: tokio::time::Instant,
    ) -> Result<Self, NatsServerError> {
        let (canceller, cancelled) = Canceller::new();
        let inbox = format!("_INBOX.{}", Uuid::new_v4().simple());
        let calls = Arc::new(Calls::new(inbox.clone(), options, canceller));
        let seen = Arc::new(Seen {
            state: watch::Sender::new(ConnectionState::Reconnecting {
                attempts: 0,
                reason: "it was not looked for yet".into(),
            }),
            handshake: watch::Sender::new(Arc::new(identity.clone())),
            offers: Mutex::default(),
            instances: watch::Sender::new(0),
        });
        let (connection, is_connected) = watch::channel(true);
        let on_event = heard(Arc::clone(&calls), Arc::clone(&seen), connection);
        let context = address.connect(on_event).await?;
        let client = context.client().clone();
        let broken = |_| NatsServerError::Broken {
            url: address.shown(),
        };
        let mut replies = client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(broken)?;
        let asking = nats_micro::client::Client::new(client.clone());
        let mut discovery = Discovery::new(
            asking,
            service.to_owned(),
            options.clone(),
            Arc::clone(&calls),
            Arc::clone(&seen),
        );
        while !discovery.look().await {
            if tokio::time::Instant::now() + TRY_PERIOD >= end {
                context.close().await;
                return Err(NatsServerError::NoInstance {
                    service: service.to_owned(),
                    url: address.shown(),
                });
            }
            tokio::time::sleep(TRY_PERIOD).await;
        }
        let ended = CancellationToken::new();
        let routed = Arc::clone(&calls);
        let reading = async move {
            while let Some(message) = replies.next().await {
                routed.route(message);
            }
        };
        tokio::spawn(ended.clone().run_until_cancelled_owned(reading));
        tokio::spawn(
            ended
                .clone()
                .run_until_cancelled_owned(discovery.run(is_connected)),
        );
        let cancelling = send(client, cancelled, format!("{inbox}.none"));
        tokio::spawn(ended.clone().run_until_cancelled_owned(cancelling));
        Ok(Self {
            inner: Arc::new(Inner {
                service: service.to_owned(),
                context,
                calls,
                seen,
                places: Arc::new(Semaphore::new(options.in_flight_max)),
                in_flight_max: options.in_flight_max,
                stops: Mutex::default(),
                sent_again: AtomicU64::new(0),
                _tasks: ended.drop_guard(),
            }),
        })
    }

    /// Whether it can be used; `Connected` while the connection stands and there is an instance.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.inner.seen.state.borrow().clone()
    }

    /// The same, followed.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<ConnectionState> {
        self.inner.seen.state.subscribe()
    }

    /// Who it is and what it offers. Another one whenever an instance came, as its code may be another.
    #[must_use]
    pub fn handshake(&self) -> Arc<Handshake> {
        Arc::clone(&self.inner.seen.handshake.borrow())
    }

    /// The same, followed.
    #[must_use]
    pub fn watch_handshake(&self) -> watch::Receiver<Arc<Handshake>> {
        self.inner.seen.handshake.subscribe()
    }

    /// How many instances share its load.
    #[must_use]
    pub fn instances(&self) -> usize {
        *self.inner.seen.instances.borrow()
    }

    /// What an operator should know of what instances tell.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.inner.offers().notes.clone()
    }

    /// Executions that have not ended.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.inner.in_flight_max - self.inner.places.available_permits()
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> NatsCounts {
        let calls = &self.inner.calls;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NatsCounts {
            lost: read(&calls.lost),
            sent_again: read(&self.inner.sent_again),
            late_replies: read(&calls.late_replies),
            dropped_replies: read(&calls.dropped_replies),
            dropped_cancels: calls.canceller.dropped(),
        }
    }

    /// Executes a node; nothing is sent before the stream is polled. Dropping it before its end cancels the execution.
    pub(crate) fn execute(&self, call: Call) -> BoxStream<'static, Report> {
        let Ok(place) = Arc::clone(&self.inner.places).try_acquire_owned() else {
            let message = format!(
                "{} executions are outstanding on service \"{}\", and more are not sent",
                self.inner.in_flight_max, self.inner.service
            );
            return once(ready(failed(NodeErrorCode::Refused, message))).boxed();
        };
        let stop = Arc::new(watch::Sender::new(0));
        let mut stops = self.inner.stops();
        stops.retain(|stop| stop.told.strong_count() > 0);
        stops.push(Stop {
            instance_id: call.request.instance_id.to_string(),
            told: Arc::downgrade(&stop),
        });
        drop(stops);
        Execution::new(Arc::clone(&self.inner), call, stop, place).reports()
    }

    /// Stops what was executed under this id; how it ends is told in the streams of the executions.
    pub(crate) fn stop(&self, instance_id: &str) {
        let stops = self.inner.stops();
        let meant = stops.iter().filter(|stop| stop.instance_id == instance_id);
        for told in meant.filter_map(|stop| stop.told.upgrade()) {
            told.send_modify(|stops| *stops = stops.wrapping_add(1));
        }
    }

    /// Ends it; what is outstanding is lost.
    ///
    /// Cancel safety: if dropped, the connection is closed when the last clone is gone.
    pub async fn close(&self) {
        self.inner
            .calls
            .lose_all(&"the connection was closed".into());
        self.inner.seen.state.send_replace(closed());
        self.inner.context.close().await;
    }
}

impl Inner {
    pub(super) fn offers(&self) -> Arc<Offers> {
        let offers = self.seen.offers.lock();
        Arc::clone(&offers.unwrap_or_else(PoisonError::into_inner))
    }

    /// Why it cannot be used now.
    pub(super) fn away(&self) -> String {
        match &*self.seen.state.borrow() {
            ConnectionState::Reconnecting { reason, .. } | ConnectionState::Closed { reason } => {
                reason.to_string()
            }
            ConnectionState::Connected | ConnectionState::Unresponsive => String::new(),
        }
    }

    fn stops(&self) -> MutexGuard<'_, Vec<Stop>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What events of the connection mean: replies may be lost with it, and with a queue that was full.
fn heard(
    calls: Arc<Calls>,
    seen: Arc<Seen>,
    connection: watch::Sender<bool>,
) -> impl Fn(&ConnectionEvent) + Send + Sync + 'static {
    move |event| match event {
        ConnectionEvent::Disconnected => {
            connection.send_replace(false);
            calls.lose_all(&"the connection to NATS was lost".into());
        }
        ConnectionEvent::Reconnected => drop(connection.send_replace(true)),
        ConnectionEvent::SlowConsumer => {
            calls.lose_all(&"replies were lost: more came than could be taken".into());
        }
        ConnectionEvent::Closed => {
            calls.lose_all(&"the connection to NATS has ended".into());
            seen.state.send_replace(closed());
        }
        ConnectionEvent::Connected
        | ConnectionEvent::LameDuck
        | ConnectionEvent::ServerError(_)
        | ConnectionEvent::Missed { .. }
        | _ => {}
    }
}

fn closed() -> ConnectionState {
    ConnectionState::Closed {
        reason: "the connection to NATS has ended".into(),
    }
}
