//! What goes out, and in which order. spec: nnrp-session 1.5, 12

use std::collections::BTreeSet;

use super::content::held_bytes;
use super::frame::FrameKey;
use super::output::{OutputBudget, OutputShare};
use super::queue::{Limits, Queue};
use crate::message::{Envelope, Message};
use crate::numbers::MessageType;

/// A transport connection of a session, by the number that the caller gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u32);

/// What carries a message on QUIC. On TCP there is one stream for all. spec: nnrp-session 1.4
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// The control stream, the client's first bidirectional one.
    Control,
    /// A unidirectional stream of the client, of its own.
    Submit,
    /// A unidirectional stream of the server, of its own.
    Result,
}

impl MessageType {
    /// What carries messages of this type on QUIC.
    #[must_use]
    pub const fn carrier(self) -> Carrier {
        match self {
            Self::FrameSubmit => Carrier::Submit,
            Self::ResultPush | Self::ResultDrop => Carrier::Result,
            Self::ClientHello
            | Self::ServerHelloAck
            | Self::SessionPatch
            | Self::SessionPatchAck
            | Self::Close
            | Self::Error
            | Self::FrameCancel
            | Self::CachePut
            | Self::CacheAck
            | Self::CacheInvalidate
            | Self::FlowUpdate
            | Self::ResultHint
            | Self::TransportProbe
            | Self::TransportProbeAck
            | Self::SessionMigrate
            | Self::SessionMigrateAck
            | Self::Ping
            | Self::Pong => Carrier::Control,
        }
    }

    /// Whether it goes out ahead of what waits. What depends on the order among frames, cache and settings does not.
    const fn is_urgent(self) -> bool {
        match self {
            Self::ClientHello
            | Self::ServerHelloAck
            | Self::SessionPatchAck
            | Self::FrameCancel
            | Self::CacheAck
            | Self::FlowUpdate
            | Self::ResultHint
            | Self::TransportProbe
            | Self::TransportProbeAck
            | Self::SessionMigrate
            | Self::SessionMigrateAck
            | Self::Ping
            | Self::Pong => true,
            Self::SessionPatch
            | Self::Close
            | Self::Error
            | Self::FrameSubmit
            | Self::ResultPush
            | Self::ResultDrop
            | Self::CachePut
            | Self::CacheInvalidate => false,
        }
    }
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where.
    pub path: PathId,
    /// What its header says.
    pub envelope: Envelope,
    /// What it says.
    pub message: Message,
}

impl Transmit {
    /// What carries it on QUIC.
    #[must_use]
    pub const fn carrier(&self) -> Carrier {
        self.message.message_type().carrier()
    }

    fn submits(&self) -> Option<FrameKey> {
        let is_submit = self.message.message_type() == MessageType::FrameSubmit;
        is_submit.then(|| FrameKey::from(&self.envelope))
    }
}

/// Messages that wait to be sent: urgent ones first, then the others in order, and farewells when nothing else is left.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    urgent: Queue<Transmit>,
    ordered: Queue<Transmit>,
    last: Queue<Transmit>,
    /// If there is a limit in common with other sessions.
    share: Option<OutputShare>,
}

impl Outbox {
    /// What waits here counts there, too, from now on.
    pub(super) fn share(&mut self, budget: &OutputBudget) {
        self.share = Some(OutputShare::new(budget.clone()));
        self.account();
    }

    /// Bytes of the bodies that wait.
    fn bytes(&self) -> u64 {
        let queues = [&self.urgent, &self.ordered, &self.last];
        let bytes = queues.iter().map(|queue| queue.bytes());
        bytes.fold(0, u64::saturating_add)
    }

    /// Something has come, or gone.
    fn account(&mut self) {
        let bytes = self.bytes();
        if let Some(share) = &mut self.share {
            share.set(bytes);
        }
    }

    pub(super) fn push(&mut self, path: PathId, envelope: Envelope, message: Message) {
        let queue = if message.message_type().is_urgent() {
            &mut self.urgent
        } else {
            &mut self.ordered
        };
        let bytes = held_bytes(&message);
        let transmit = Transmit {
            path,
            envelope,
            message,
        };
        queue.push(transmit, bytes);
        self.account();
    }

    pub(super) fn push_last(&mut self, path: PathId, envelope: Envelope, message: Message) {
        let bytes = held_bytes(&message);
        let transmit = Transmit {
            path,
            envelope,
            message,
        };
        self.last.push(transmit, bytes);
        self.account();
    }

    pub(super) fn pop(&mut self) -> Option<Transmit> {
        let urgent = self.urgent.pop();
        let ordered = || self.ordered.pop();
        let first = urgent.or_else(ordered).or_else(|| self.last.pop());
        self.account();
        first
    }

    pub(super) fn is_full(&self, limits: Limits) -> bool {
        let queues = [&self.urgent, &self.ordered, &self.last];
        let items = queues.iter().map(|queue| queue.len()).sum::<usize>();
        items >= limits.items_max
            || self.bytes() >= limits.bytes_max
            || self.share.as_ref().is_some_and(OutputShare::is_full)
    }

    pub(super) fn is_empty(&self) -> bool {
        let queues = [&self.urgent, &self.ordered, &self.last];
        queues.iter().all(|queue| queue.len() == 0)
    }

    /// Those among them that packets which came have caused, for the most part.
    pub(super) fn urgent_len(&self) -> usize {
        self.urgent.len()
    }

    /// Takes a frame's submit back, if it has not been sent.
    pub(super) fn retract(&mut self, key: FrameKey) -> Option<Transmit> {
        let is_it = |transmit: &Transmit| transmit.submits() == Some(key);
        let taken = self.ordered.take_if(is_it);
        self.account();
        taken
    }

    /// Frames whose submits have not been sent.
    pub(super) fn submits(&self) -> BTreeSet<FrameKey> {
        self.ordered.iter().filter_map(Transmit::submits).collect()
    }

    /// What was to go a way that is gone.
    pub(super) fn forget_path(&mut self, path: PathId) {
        for queue in [&mut self.urgent, &mut self.ordered, &mut self.last] {
            queue.retain(|transmit| transmit.path != path);
        }
        self.account();
    }

    /// Results and errors of frames that were to go a way that is gone go another.
    pub(super) fn reroute(&mut self, from: PathId, to: PathId) {
        for transmit in self.ordered.iter_mut() {
            if transmit.path == from {
                transmit.path = to;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        for queue in [&mut self.urgent, &mut self.ordered, &mut self.last] {
            *queue = Queue::default();
        }
        self.account();
    }
}
