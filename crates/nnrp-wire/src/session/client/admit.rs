//! Which packets of the server are taken in at all. spec: nnrp-session 1.4, 12.3

use std::time::Duration;

use super::path::Migrating;
use super::{ClientSession, ClientState};
use crate::numbers::{MessageType, TransportId};
use crate::session::fault::HandleError;
use crate::session::migration::MigrationFailure;
use crate::session::queue::Limits;
use crate::session::transmit::{Carrier, PathId};

impl ClientSession {
    /// Results come on streams of their own, and may be ahead of the answer to the migration. spec: nnrp-session 1.4
    pub(super) fn check_early(
        &self,
        path: PathId,
        message_type: MessageType,
    ) -> Result<(), HandleError> {
        let is_result = message_type.carrier() == Carrier::Result;
        let is_quic = |to: &Migrating| to.path == path && to.transport == TransportId::Quic;
        if is_result && self.migrating.as_ref().is_some_and(is_quic) {
            return Err(HandleError::Early);
        }
        Ok(())
    }

    /// Hellos are large, and mean nothing but once: no work is done for others.
    pub(super) const fn is_hello_amiss(&self, message_type: MessageType) -> bool {
        let is_hello = matches!(
            message_type,
            MessageType::ClientHello | MessageType::ServerHelloAck
        );
        is_hello && !matches!(self.state, ClientState::HelloSent)
    }

    pub(super) fn hello_amiss(&mut self, path: PathId, found: MessageType, now: Duration) {
        if self.is_migrating_to(path) {
            return self.migration_failed(MigrationFailure::Unexpected { found }, now);
        }
        self.counters.unexpected += 1;
    }

    pub(super) fn check_path(&self, path: PathId) -> Result<(), HandleError> {
        if self.is_over() {
            return Err(HandleError::Over);
        }
        let old = self.old.as_ref().map(|old| old.path);
        let migrating = self.migrating.as_ref().map(|to| to.path);
        if ![self.primary_path(), old, migrating].contains(&Some(path)) {
            return Err(HandleError::UnknownPath);
        }
        // Submits that wait must not keep results from being read: the server may wait for that before it reads submits.
        let answers = self.outbox.urgent_len();
        let events = Limits {
            items_max: self.options.events_max,
            bytes_max: self.options.events_bytes_max,
        };
        if self.events.is_full(events) || answers >= self.options.transmits_max {
            return Err(HandleError::Congested);
        }
        Ok(())
    }

    pub(super) fn is_migrating_to(&self, path: PathId) -> bool {
        self.migrating.as_ref().is_some_and(|to| to.path == path)
    }
}
