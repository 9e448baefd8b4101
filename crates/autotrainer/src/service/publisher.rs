//! The handle that publishes. spec: autotrainer 5, 15.2

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use nodewire_json::{Json, Kind};
use serde::Serialize;
use thiserror::Error;

use super::queue::{Outgoing, Queue};
use crate::casing::camelize_keys;
use crate::command::CommandResult;
use crate::event::{Event, EventKind};
use crate::json::{EncodeError, Fields, UnixTime, encode};
use crate::level::ProtocolLevel;
use crate::property_change::PropertyChange;
use crate::topic::Topic;

/// Publishes for a service, from any thread or task; cheap to clone.
///
/// A message is written before it is queued, so that it is what it was when it was sent. If a future is dropped before it
/// is ready, nothing is published.
#[derive(Debug, Clone)]
pub struct EventPublisher {
    queue: Arc<Queue>,
    level: ProtocolLevel,
}

/// Why nothing was published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The service has not started.
    #[error("the service has not started; start it before publishing")]
    NotStarted,
    /// The service has stopped.
    #[error("the service has stopped; make a new one")]
    Stopped,
    /// The queue is full, and the policy is not to wait, or there is nothing that may be dropped.
    #[error(
        "the queue of publications is full; publish less, or choose a longer queue or another policy"
    )]
    QueueFull,
    /// The payload is longer than the limit.
    #[error("the payload has {bytes} bytes, more than the limit of {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The value has no JSON form.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// An event is a mapping with a `kind`.
    #[error("an event is a mapping with a \"kind\"")]
    NoEvent,
    /// The service's protocol level does not have this kind of event.
    #[error("services of level {level} have no event {kind}")]
    UnknownKind {
        /// The kind.
        kind: EventKind,
        /// The level.
        level: ProtocolLevel,
    },
}

impl EventPublisher {
    pub(super) fn new(queue: Arc<Queue>, level: ProtocolLevel) -> Self {
        Self { queue, level }
    }

    /// An event of this kind that happens now.
    ///
    /// # Errors
    /// If the service's protocol level does not have the kind.
    pub fn event(&self, kind: EventKind) -> Result<Event, PublishError> {
        let unknown = PublishError::UnknownKind {
            kind,
            level: self.level,
        };
        Event::new(kind, self.level, Timestamp::now().into(), monotonic_index()).ok_or(unknown)
    }

    /// Publishes an event; an emergency on `EMERGENCY` first, with nothing between. spec: autotrainer 5.3
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn send_event(&self, event: &Event) -> Result<(), PublishError> {
        self.queue.put(outgoing_event(event)).await
    }

    /// As [`Self::send_event`], but never waits: a full queue is an error, or its oldest are dropped.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn try_send_event(&self, event: &Event) -> Result<(), PublishError> {
        self.queue.try_put(outgoing_event(event))
    }

    /// Publishes a mapping as an event, its keys in camelCase and else as it is. Emergencies as in [`Self::send_event`].
    ///
    /// # Errors
    /// See [`PublishError`]; [`PublishError::NoEvent`] for what is no mapping with a `kind`.
    pub async fn send_event_dict(&self, mapping: &impl Serialize) -> Result<(), PublishError> {
        let json = camelize_keys(&encode(mapping)?);
        let topics = Topic::of_event(kind_of(&json)?);
        self.queue
            .put(outgoing(topics, json.as_str().to_owned().into()))
            .await
    }

    /// Publishes an event on a topic of one's choice, once; `EMERGENCY` and `PROPERTY_CHANGE` for instance.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_event(&self, topic: Topic, event: &Event) -> Result<(), PublishError> {
        self.publish(topic, event.to_payload()).await
    }

    /// Publishes that a property changed, on `PROPERTY_CHANGE`, in an envelope of kind `propertyChanged`.
    /// spec: autotrainer 5.4
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn send_property_change(&self, change: &PropertyChange) -> Result<(), PublishError> {
        let event = self.event(EventKind::PropertyChanged)?;
        let event = event.with_verbatim_context(encode(change)?);
        self.publish_event(Topic::PROPERTY_CHANGE, &event).await
    }

    /// Publishes the late result of a command. [`Pending`](super::Pending) does it with less to forget.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn command_result(&self, result: &CommandResult) -> Result<(), PublishError> {
        self.publish(Topic::COMMAND_RESULT, result.to_payload())
            .await
    }

    /// Publishes bytes on any topic, once.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, topic: Topic, payload: Bytes) -> Result<(), PublishError> {
        self.queue.put(outgoing(&[topic], payload)).await
    }

    /// As [`Self::publish`], but never waits: a full queue is an error, or its oldest are dropped.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn try_publish(&self, topic: Topic, payload: Bytes) -> Result<(), PublishError> {
        self.queue.try_put(outgoing(&[topic], payload))
    }

    /// Waits for room whatever the policy: a client waits for the result.
    pub(super) async fn put_result(&self, result: &CommandResult) -> Result<(), PublishError> {
        let outgoing = outgoing(&[Topic::COMMAND_RESULT], result.to_payload());
        self.queue.put_waiting(outgoing).await
    }

    pub(super) fn try_put_result(&self, result: &CommandResult) -> Result<(), PublishError> {
        self.queue
            .try_put(outgoing(&[Topic::COMMAND_RESULT], result.to_payload()))
    }
}

fn outgoing_event(event: &Event) -> Outgoing {
    outgoing(event.topics(), event.to_payload())
}

fn outgoing(topics: &[Topic], payload: Bytes) -> Outgoing {
    Outgoing {
        topic: topics.first().copied().unwrap_or(Topic::EVENT),
        then: topics.get(1).copied(),
        payload,
    }
}

/// A kind that is no integer is no emergency.
fn kind_of(json: &Json) -> Result<i64, PublishError> {
    let fields = Fields::find(json, &["kind"], |_, _| {}).ok_or(PublishError::NoEvent)?;
    let kind = fields.value(0).ok_or(PublishError::NoEvent)?;
    let number = (kind.kind() == Kind::Number).then(|| fields.integer(0));
    Ok(number.flatten().unwrap_or(-1))
}

/// Nanoseconds of a monotonic clock, comparable within this process.
fn monotonic_index() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl UnixTime {
    /// Now, by the system's clock.
    #[must_use]
    pub fn now() -> Self {
        Timestamp::now().into()
    }
}
