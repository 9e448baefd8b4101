//! One execution: sent, perhaps again, followed to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, unfold};
use nanograph::client::ConnectionState;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;

use super::calls::{Outstanding, Told};
use super::reply::{Ended, accepted_report, interim, last};
use super::request::{Terms, body, headers, headers_bytes};
use super::server::Inner;
use crate::workflow::{Call, NodeError, NodeErrorCode, Report};

/// How often a request that was refused for lack of room is sent again, and how long to wait before the first time; the
/// wait doubles.
const TRIES_AGAIN: u32 = 6;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How long an execution waits for a server that is away.
const RECONNECT_WAIT: Duration = Duration::from_secs(30);

/// An execution under way.
pub(super) struct Execution {
    server: Arc<Inner>,
    call: Call,
    /// Changes with each stop.
    stops: watch::Receiver<u32>,
    /// What stops are told through; alive as long as this is.
    _stop: Arc<watch::Sender<u32>>,
    _place: OwnedSemaphorePermit,
    phase: Phase,
    tries: u32,
}

enum Phase {
    Unsent { wait: Duration },
    Sent(Outstanding),
    Over,
}

impl Execution {
    pub(super) fn new(
        server: Arc<Inner>,
        call: Call,
        stop: Arc<watch::Sender<u32>>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            server,
            call,
            stops: stop.subscribe(),
            _stop: stop,
            _place: place,
            phase: Phase::Unsent {
                wait: Duration::ZERO,
            },
            tries: 0,
        }
    }

    /// What is told of it. Dropping the stream before its end cancels the execution.
    pub(super) fn reports(self) -> BoxStream<'static, Report> {
        unfold(self, async |mut execution| {
            let report = execution.next().await?;
            Some((report, execution))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Report> {
        loop {
            match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Over => return None,
                Phase::Unsent { wait } => match self.send(wait).await {
                    Ok(sent) => self.phase = Phase::Sent(sent),
                    Err(error) => return Some(Report::Failed(error)),
                },
                Phase::Sent(sent) => {
                    if let Some(report) = self.follow(sent).await {
                        return Some(report);
                    }
                }
            }
        }
    }

    /// Waits, and sends it, unless it is stopped before.
    async fn send(&mut self, wait: Duration) -> Result<Outstanding, NodeError> {
        let ready = async {
            sleep(wait).await;
            let mut state = self.server.seen.state.subscribe();
            let connected = state.wait_for(|state| *state == ConnectionState::Connected);
            // Else it is sent all the same, and told how that went.
            let _ = tokio::time::timeout(RECONNECT_WAIT, connected).await;
        };
        tokio::select! {
            biased;
            _ = self.stops.changed() => {
                let message = "it was stopped before it was sent";
                return Err(NodeError::new(NodeErrorCode::Refused, message));
            }
            () = ready => {}
        }
        self.publish().await
    }

    async fn publish(&self) -> Result<Outstanding, NodeError> {
        let lost = |message: String| NodeError::new(NodeErrorCode::ServerLost, message);
        if *self.server.seen.state.borrow() != ConnectionState::Connected {
            return Err(lost(self.server.away()));
        }
        let request = &self.call.request;
        let offers = self.server.offers();
        let Some(offer) = offers.nodes.get(&*request.node_uid) else {
            let message = format!("no instance offers node \"{}\"", request.node_uid);
            return Err(NodeError::new(NodeErrorCode::NodeNotFound, message));
        };
        let sent = self.server.calls.begin(offer.cancel_prefix.as_deref());
        let terms = Terms {
            timeout: self.call.timeout,
            priority: self.call.priority,
        };
        let (headers, body) = (
            headers(&sent.id, request, terms),
            body(request, &offer.definition),
        );
        let client = self.server.context.client();
        let (bytes, bytes_max) = (body.len() + headers_bytes(&headers), client.max_payload());
        if bytes > bytes_max {
            let message = format!(
                "the request has {bytes} bytes, and the NATS server takes messages of at most {bytes_max}; pass large values as assets"
            );
            return Err(NodeError::new(NodeErrorCode::InputTooLarge, message));
        }
        let (subject, reply) = (offer.subject.clone(), sent.reply_subject());
        let published = client.publish_with_reply_and_headers(subject, reply, headers, body);
        published.await.map_err(|error| lost(error.to_string()))?;
        Ok(sent)
    }

    /// The next report; `None` if there is nothing to report, or it is to be sent again.
    async fn follow(&mut self, sent: Outstanding) -> Option<Report> {
        let told = tokio::select! {
            biased;
            Ok(()) = self.stops.changed() => {
                sent.cancel();
                self.phase = Phase::Sent(sent);
                return None;
            }
            told = sent.next() => told,
        };
        let report = match told {
            Told::Accepted(accepted) => Some(accepted_report(&accepted)),
            Told::Interim(payload) => interim(&payload),
            Told::Last(message, was_accepted) => {
                let ended = last(&message, was_accepted);
                return self.ended(ended);
            }
            Told::NoResponders => {
                let (service, node) = (&self.server.service, &self.call.request.node_uid);
                let message =
                    format!("no instance of the service \"{service}\" serves node \"{node}\"");
                return Some(failed(NodeErrorCode::ServerLost, message));
            }
            Told::Lost(reason) => return Some(failed(NodeErrorCode::ServerLost, &*reason)),
        };
        self.phase = Phase::Sent(sent);
        report
    }

    fn ended(&mut self, ended: Ended) -> Option<Report> {
        let reason = match ended {
            Ended::Report(report) => return Some(report),
            Ended::TryAgain(reason) => reason,
        };
        if self.tries == TRIES_AGAIN {
            let message = format!("refused {} times, at last: {reason}", self.tries + 1);
            return Some(failed(NodeErrorCode::Refused, message));
        }
        self.server.sent_again.fetch_add(1, Ordering::Relaxed);
        self.phase = Phase::Unsent {
            wait: TRY_AGAIN_AFTER * (1 << self.tries),
        };
        self.tries += 1;
        None
    }
}

pub(super) fn failed(code: NodeErrorCode, message: impl Into<String>) -> Report {
    Report::Failed(NodeError::new(code, message))
}
