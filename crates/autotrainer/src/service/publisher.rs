//! The handle that publishes. spec: autotrainer 5, 15.2

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use nodewire_json::{Json, Kind};
use serde::Serialize;
use thiserror::Error;

use super::queue::{Draft, Payload, Queue};
use crate::casing::camelize_keys;
use crate::command::CommandResult;
use crate::event::{Event, EventKind};
use crate::json::{EncodeError, Fields, ObjectWriter, UnixTime, encode};
use crate::level::ProtocolLevel;
use crate::property_change::PropertyChange;
use crate::sequence;
use crate::topic::Topic;

/// Publishes for a service, from any thread or task; cheap to clone.
///
/// A message is written before it is queued, so that it is what it was when it was sent. If a future is dropped before it
/// is ready, nothing is published.
///
/// Events, changes of properties and results get a last field `sequence`, which counts by one
/// ([`ServiceBuilder::sequence`](super::ServiceBuilder::sequence)); what [`Self::publish`] publishes stays as it is.
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
        self.queue.put(self.event_draft(event)).await
    }

    /// As [`Self::send_event`], but never waits: a full queue is an error, or its oldest are dropped.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn try_send_event(&self, event: &Event) -> Result<(), PublishError> {
        self.queue.try_put(self.event_draft(event))
    }

    /// Publishes a mapping as an event, its keys in camelCase and else as it is. Emergencies as in [`Self::send_event`].
    ///
    /// # Errors
    /// See [`PublishError`]; [`PublishError::NoEvent`] for what is no mapping with a `kind`.
    pub async fn send_event_dict(&self, mapping: &impl Serialize) -> Result<(), PublishError> {
        let json = camelize_keys(&encode(mapping)?);
        let topics = Topic::of_event(kind_of(&json)?);
        let text = if self.queue.numbers(Topic::EVENT) {
            without_sequence(&json)
        } else {
            json.as_str().to_owned()
        };
        self.queue.put(draft(topics, Payload::Object(text))).await
    }

    /// Publishes an event on a topic of one's choice, once; `EMERGENCY` and `PROPERTY_CHANGE` for instance.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_event(&self, topic: Topic, event: &Event) -> Result<(), PublishError> {
        let text = self.event_text(event, topic);
        self.queue.put(draft(&[topic], Payload::Object(text))).await
    }

    /// Publishes that a property changed, on `PROPERTY_CHANGE`, in an envelope of kind `propertyChanged`.
    /// spec: autotrainer 5.4
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn send_property_change(&self, change: &PropertyChange) -> Result<(), PublishError> {
        self.queue.put(self.change_draft(change)?).await
    }

    /// As [`Self::send_property_change`], but never waits: a full queue is an error, or its oldest are dropped.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn try_send_property_change(&self, change: &PropertyChange) -> Result<(), PublishError> {
        self.queue.try_put(self.change_draft(change)?)
    }

    /// Whether at most half of the queue is used: a producer that asks before it sends leaves room for what must not be
    /// lost. Always, once the service has stopped.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queue.has_spare_room()
    }

    /// Waits for [`Self::has_room`]. Dropping the future has no effect.
    pub async fn room(&self) {
        self.queue.spare_room().await;
    }

    /// Publishes the late result of a command. [`Pending`](super::Pending) does it with less to forget.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn command_result(&self, result: &CommandResult) -> Result<(), PublishError> {
        self.queue.put(result_draft(result)).await
    }

    /// Publishes bytes on any topic, once.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, topic: Topic, payload: Bytes) -> Result<(), PublishError> {
        let payload = Payload::Verbatim(payload);
        self.queue.put(draft(&[topic], payload)).await
    }

    /// As [`Self::publish`], but never waits: a full queue is an error, or its oldest are dropped.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn try_publish(&self, topic: Topic, payload: Bytes) -> Result<(), PublishError> {
        let payload = Payload::Verbatim(payload);
        self.queue.try_put(draft(&[topic], payload))
    }

    /// Waits for room whatever the policy: a client waits for the result.
    pub(super) async fn put_result(&self, result: &CommandResult) -> Result<(), PublishError> {
        self.queue.put_waiting(result_draft(result)).await
    }

    pub(super) fn try_put_result(&self, result: &CommandResult) -> Result<(), PublishError> {
        self.queue.try_put(result_draft(result))
    }

    fn change_draft(&self, change: &PropertyChange) -> Result<Draft, PublishError> {
        let event = self.event(EventKind::PropertyChanged)?;
        let event = event.with_verbatim_context(encode(change)?);
        let text = self.event_text(&event, Topic::PROPERTY_CHANGE);
        Ok(draft(&[Topic::PROPERTY_CHANGE], Payload::Object(text)))
    }

    fn event_draft(&self, event: &Event) -> Draft {
        let text = self.event_text(event, Topic::EVENT);
        draft(event.topics(), Payload::Object(text))
    }

    /// An event that came from elsewhere gets a number of its own here.
    fn event_text(&self, event: &Event, topic: Topic) -> String {
        let is_sequence = |(key, _): &(String, Json)| key == sequence::FIELD;
        if !self.queue.numbers(topic) || !event.extra.iter().any(is_sequence) {
            return event.to_text();
        }
        let mut event = event.clone();
        event.extra.retain(|field| !is_sequence(field));
        event.to_text()
    }
}

fn result_draft(result: &CommandResult) -> Draft {
    draft(&[Topic::COMMAND_RESULT], Payload::Object(result.to_text()))
}

fn draft(topics: &[Topic], payload: Payload) -> Draft {
    Draft {
        topic: topics.first().copied().unwrap_or(Topic::EVENT),
        then: topics.get(1).copied(),
        payload,
    }
}

fn without_sequence(json: &Json) -> String {
    let is_there = Fields::find(json, &[sequence::FIELD], |_, _| {});
    if !is_there.is_some_and(|fields| fields.has(0)) {
        let mut text = String::with_capacity(json.as_str().len() + sequence::FIELD_BYTES_MAX);
        text.push_str(json.as_str());
        return text;
    }
    let mut text = String::with_capacity(json.as_str().len() + sequence::FIELD_BYTES_MAX);
    let mut object = ObjectWriter::new(&mut text);
    Fields::find(json, &[sequence::FIELD], |key, value| {
        object.extra(key, &json.part(value));
    });
    object.end();
    text
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
