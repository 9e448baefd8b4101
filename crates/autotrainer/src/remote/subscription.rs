//! What is published, as streams. spec: autotrainer 2, 5

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use super::hub::{Hub, Ring, Taken};
use super::resume::{ReplayPosition, Resume, Resumer};
use crate::command::CommandResult;
use crate::event::Event;
use crate::heartbeat::Heartbeat;
use crate::level::ProtocolLevel;
use crate::topic::Topic;

/// What comes out of a [`Subscription`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Delivery {
    /// A message.
    Message(Message),
    /// Something is missing here, or may be.
    Gap(Gap),
}

/// A published message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// On `EVENT`, `EMERGENCY` or `PROPERTY_CHANGE`.
    Event {
        /// Which of them.
        topic: Topic,
        /// The event.
        event: Event,
        /// What the service speaks, for [`Event::kind`] and [`Event::payload`].
        level: ProtocolLevel,
    },
    /// On `HEARTBEAT`.
    Heartbeat(Heartbeat),
    /// On `COMMAND_RESULT`, of anybody's command.
    Result(CommandResult),
    /// On a topic of the application's own, or of a [verbatim](SubscribeOptions::verbatim) subscription, as it came.
    Other {
        /// The topic.
        topic: Topic,
        /// The payload.
        payload: Bytes,
    },
}

impl Message {
    /// The topic.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        match self {
            Self::Event { topic, .. } | Self::Other { topic, .. } => *topic,
            Self::Heartbeat(_) => Topic::HEARTBEAT,
            Self::Result(_) => Topic::COMMAND_RESULT,
        }
    }
}

/// Something is missing, or may be.
///
/// The protocol has no sequence numbers, so what a service drops for a subscriber beyond its high-water mark cannot be
/// seen, unless its events carry a `sequence`, as those of this crate's services do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// So many of the oldest messages were dropped here, because this subscription was not read fast enough.
    SlowReader(u64),
    /// The connection was lost; what was published until it is back is missing.
    Interrupted,
    /// An event's `index` is lower than the one before: the service was started anew, or its application does not
    /// count monotonically. Only told of where there is one event endpoint.
    IndexWentBack {
        /// The index before.
        last: u64,
        /// The index now.
        index: u64,
    },
    /// So many messages are missing here, by the `sequence` that a service counts with. Told of where there is one event
    /// endpoint, to subscriptions of all of `EVENT`, `EMERGENCY` and `PROPERTY_CHANGE`, which one series counts together
    /// with results; other subscriptions do not see all numbers.
    Sequence {
        /// How many.
        missing: u64,
    },
    /// The `sequence` went back: the service was started anew, and what is missing is not known. Told of as
    /// [`Self::Sequence`].
    SequenceWentBack {
        /// The number before.
        last: u64,
        /// The number now.
        sequence: u64,
    },
    /// The service keeps its events in another log than before. What the old one had and was not delivered is missing.
    /// Told of to subscriptions that resume.
    LogReplaced,
}

/// What is subscribed to, and how much is kept for its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Prefixes of topic frames; an empty one is everything.
    pub prefixes: Vec<Vec<u8>>,
    /// Messages that wait for the reader; 4096. Beyond them the oldest are dropped, which is told ([`Gap::SlowReader`]).
    pub messages_max: usize,
    /// Bytes of payloads that wait for the reader; 64 MiB.
    pub bytes_max: usize,
    /// Whether an emergency that comes on `EMERGENCY` and on `EVENT` is delivered once. spec: autotrainer 5.3
    pub merge_emergencies: bool,
    /// Whether all messages are delivered as they came, as [`Message::Other`], those too whose payload cannot be read: for
    /// whoever passes them on. Emergencies are not merged then.
    pub verbatim: bool,
    /// From where on nothing is missed, if the service has an event log; `None`: gaps are told and left.
    ///
    /// A replay is asked for at the start and wherever something is missing, and what it brings is delivered in its
    /// place, each message once and in order. What the log does not have (any more) is told as [`Gap::Sequence`]. What is
    /// not kept at all is missing where the connection was lost ([`Gap::Interrupted`]); the beginning is no such place,
    /// unless the service has no log to begin with.
    /// All that is numbered is received for it, and what was not asked for is skipped; an emergency is delivered once,
    /// on the first of its topics that comes and was asked for. Only for a remote with one event endpoint, that of the
    /// service whose commands it has.
    pub resume: Option<Resume>,
}

impl SubscribeOptions {
    /// These topics; [`Topic::ANY`] is everything.
    #[must_use]
    pub fn topics(topics: &[Topic]) -> Self {
        Self {
            prefixes: topics
                .iter()
                .map(|topic| topic.subscription_prefix())
                .collect(),
            messages_max: 4096,
            bytes_max: 64 << 20,
            merge_emergencies: false,
            verbatim: false,
            resume: None,
        }
    }

    /// All events, each emergency once.
    #[must_use]
    pub fn events() -> Self {
        Self {
            merge_emergencies: true,
            ..Self::topics(&[Topic::EVENT, Topic::EMERGENCY, Topic::PROPERTY_CHANGE])
        }
    }

    /// Without gaps, from there on, as [`Self::resume`] says.
    #[must_use]
    pub fn resuming(mut self, from: Resume) -> Self {
        self.resume = Some(from);
        self
    }

    pub(super) fn admits(&self, topic: Topic) -> bool {
        let frame = topic.to_frame();
        self.prefixes.iter().any(|prefix| frame.starts_with(prefix))
    }
}

/// A stream of what is published; made by [`Remote::subscribe`](super::Remote::subscribe).
///
/// It survives restarts of the service. A reader that is too slow loses the oldest messages, is told how many, and
/// disturbs nobody else. It ends when the remote is closed; dropping it cancels it. One that resumes
/// ([`SubscribeOptions::resume`]) is a clone of its remote, too.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Ring>,
    hub: Arc<Hub>,
    resumer: Option<Box<Resumer>>,
}

impl Subscription {
    pub(super) const fn new(ring: Arc<Ring>, hub: Arc<Hub>) -> Self {
        Self {
            ring,
            hub,
            resumer: None,
        }
    }

    pub(super) fn resumed_by(mut self, resumer: Resumer) -> Self {
        self.resumer = Some(Box::new(resumer));
        self
    }

    /// The next message or gap; `None` once the remote is closed and everything was read. Nothing is lost when the
    /// future is dropped.
    pub async fn next(&mut self) -> Option<Delivery> {
        match &mut self.resumer {
            Some(resumer) => resumer.next(&self.ring).await,
            None => self.ring.next().await.map(|entry| entry.delivery),
        }
    }

    /// The next event; everything else is skipped, gaps too.
    pub async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Delivery::Message(Message::Event { event, .. }) = self.next().await? {
                return Some(event);
            }
        }
    }

    /// The next message or gap, if there is one already. It asks for no replay: a subscription that resumes has nothing
    /// where one is due.
    pub fn try_next(&mut self) -> Option<Delivery> {
        if let Some(resumer) = &mut self.resumer {
            return resumer.try_next(&self.ring);
        }
        match self.ring.take() {
            Taken::Entry(entry) => Some(entry.delivery),
            Taken::Ended | Taken::Empty => None,
        }
    }

    /// Up to where everything was delivered, for another subscription to go on from, in another process perhaps. `None`
    /// if it does not resume, or does not know yet of a log.
    #[must_use]
    pub fn position(&self) -> Option<ReplayPosition> {
        self.resumer.as_ref()?.position()
    }

    /// As a stream.
    pub fn into_stream(self) -> impl Stream<Item = Delivery> + Send {
        futures_util::stream::unfold(self, |mut subscription| async move {
            let delivery = subscription.next().await?;
            Some((delivery, subscription))
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.ring.cancel();
        self.hub.changed.notify_one();
    }
}
