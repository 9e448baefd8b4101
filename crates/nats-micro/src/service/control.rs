//! Answers control requests. spec: nats-micro 3

use std::sync::Arc;

use async_nats::Message;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{SelectAll, select_all};

use super::running::{Running, to_bytes};
use super::stop;
use crate::document::Verb;
use crate::service::lifecycle::StopReason;
use crate::service_error::ServiceError;
use crate::transport::{ConnectionClosed, Subscription};

type ControlStream = std::pin::Pin<Box<dyn futures_util::Stream<Item = (Verb, Message)> + Send>>;

/// The nine control subscriptions of a service.
pub(super) struct Control(SelectAll<ControlStream>);

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
                streams.push(with_verb(verb, subscription));
            }
        }
        Ok(Self(select_all(streams)))
    }

    /// Answers until the service ends. That all subscriptions end before means that the connection is closed.
    pub(super) async fn run(mut self, running: Arc<Running>) {
        let ping = to_bytes(&running.ping());
        loop {
            let next = tokio::select! {
                biased;
                () = running.control_ends.cancelled() => return,
                next = self.0.next() => next,
            };
            match next {
                Some((verb, message)) => answer(&running, &ping, verb, message).await,
                None => {
                    stop::begin(&running, StopReason::ConnectionClosed);
                    return;
                }
            }
        }
    }
}

fn with_verb(verb: Verb, subscription: Subscription) -> ControlStream {
    Box::pin(subscription.map(move |message| (verb, message)))
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
