//! Answers control requests. spec: nats-micro 3

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_nats::Message;
use bytes::Bytes;
use futures_util::stream::{SelectAll, select_all};
use futures_util::{Stream, StreamExt};

use super::running::{Running, to_bytes};
use super::stop;
use crate::document::Verb;
use crate::service::lifecycle::StopReason;
use crate::service_error::ServiceError;
use crate::transport::{ConnectionClosed, Subscription};

/// The nine control subscriptions of a service.
pub(super) struct Control(SelectAll<ControlSubscription>);

struct ControlSubscription {
    verb: Verb,
    subscription: Subscription,
}

impl Stream for ControlSubscription {
    type Item = (Verb, Message);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.subscription.poll_next_unpin(cx);
        next.map(|message| message.map(|message| (self.verb, message)))
    }
}

impl Control {
    /// Subscribes, without a queue group: every instance answers.
    pub(super) async fn subscribe(running: &Running) -> Result<Self, ConnectionClosed> {
        let mut streams = Vec::new();
        for verb in Verb::ALL {
            let name = running.identity.name.as_str();
            let id = running.identity.id.as_str();
            for (name, id) in [(None, None), (Some(name), None), (Some(name), Some(id))] {
                let subject = verb.subject(&running.control_prefix, name, id);
                let subscription = running.transport.subscribe(subject, None).await?;
                streams.push(ControlSubscription { verb, subscription });
            }
        }
        Ok(Self(select_all(streams)))
    }

    /// Answers until the service ends. That all subscriptions end before means that the connection is closed.
    pub(super) async fn run(mut self, running: Arc<Running>) {
        let _runtime_gone = RuntimeGone(Arc::clone(&running));
        let ping = to_bytes(&running.ping());
        let connection_closed = self.answer_until_told(&running, &ping).await;
        if connection_closed {
            stop::begin(&running, StopReason::ConnectionClosed);
        } else {
            self.give_up(&running, &ping).await;
        }
    }

    /// Whether the connection closed before anybody said anything.
    async fn answer_until_told(&mut self, running: &Running, ping: &Bytes) -> bool {
        loop {
            let next = tokio::select! {
                biased;
                () = running.control_ends.cancelled() => return false,
                next = self.0.next() => next,
            };
            let Some((verb, message)) = next else {
                return true;
            };
            answer(running, ping, verb, message).await;
        }
    }

    /// Unsubscribes; what has arrived is answered. When this returns, the broker sends no more control requests here.
    async fn give_up(mut self, running: &Running, ping: &Bytes) {
        if !running.transport.is_connected() {
            return;
        }
        for control in self.0.iter_mut() {
            control.subscription.drain().await;
        }
        while let Some((verb, message)) = self.0.next().await {
            answer(running, ping, verb, message).await;
        }
        // A connection that closes meanwhile sends nothing either.
        let _ = running.transport.fence().await;
    }
}

/// However the task ends: nobody needs to wait for it, and if nobody has begun a stop, its runtime is gone and nobody will.
struct RuntimeGone(Arc<Running>);

impl Drop for RuntimeGone {
    fn drop(&mut self) {
        self.0.control_ended.cancel();
        if self.0.begin_stop() {
            drop(stop::Unfinished(Arc::clone(&self.0)));
        }
    }
}

/// Payload and headers of the request do not matter. A failed reply concerns only that reply.
async fn answer(running: &Running, ping: &Bytes, verb: Verb, message: Message) {
    let Some(reply) = message.reply else { return };
    let document = match verb {
        Verb::Ping => ping.clone(),
        Verb::Info => running.info_bytes(),
        Verb::Stats => to_bytes(&running.stats()),
    };
    let transport = &running.transport;
    let sent = if document.len() <= transport.max_payload_bytes() {
        transport.publish(reply, document, None).await
    } else {
        let (payload, headers) = ServiceError::new(500, "Response too large").into_parts();
        transport.publish(reply, payload, Some(headers)).await
    };
    if let Err(error) = sent {
        tracing::debug!(%error, verb = verb.as_str(), "a control request is not answered");
    }
}
