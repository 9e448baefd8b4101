//! A session moves to another connection. spec: nnrp-session 4.6

use std::time::Duration;

use super::connection::{ServerConnection, migrate_ack};
use super::options::{MigrateOffer, ServerEvent, ServerState};
use super::session::ServerSession;
use crate::numbers::ErrorCode;
use crate::session::fault::{Failure, HandleError, PathEnd};
use crate::session::migration::MigrateRefusal;
use crate::session::transmit::PathId;

/// Where the session was, and results of older frames still go.
#[derive(Debug)]
pub(super) struct OldPath {
    pub(super) path: PathId,
    pub(super) until: Duration,
}

impl ServerSession {
    /// Moves the session to a connection whose client has asked for that. The client goes on behind the greatest frame that
    /// has come; behind `u32::MAX` there is none, so that such a session does not move. Whether the client is the session's owner is the
    /// caller's to find out: by who it is, or by a token in the message's body.
    ///
    /// # Errors
    /// If the session stays where it is; then tell the client by [`ServerConnection::refuse_migration`].
    pub fn adopt(
        &mut self,
        connection: &mut ServerConnection,
        offer: &MigrateOffer,
        is_owner: bool,
        now: Duration,
    ) -> Result<(), MigrateRefusal> {
        self.check_migration(connection, offer, is_owner)?;
        let grace = self.options.migration_grace;
        let from = std::mem::replace(&mut self.path, connection.path());
        self.old = Some(OldPath {
            path: from,
            until: now.saturating_add(grace),
        });
        self.transport = connection.transport();
        self.resume_from = self.frame_id_max.map_or(1, |last| u64::from(last) + 1);
        let mut waiting = connection.take();
        while let Some(transmit) = waiting.pop() {
            self.outbox
                .push(transmit.path, transmit.envelope, transmit.message);
        }
        let ack = migrate_ack(0, self.resume_from, grace, now);
        self.outbox.push(self.path, self.envelope(), ack);
        self.liveness.received(now);
        self.events.push_back(ServerEvent::Migrated {
            path: self.path,
            resume_from_frame_id: self.resume_from,
        });
        Ok(())
    }

    fn check_migration(
        &self,
        connection: &ServerConnection,
        offer: &MigrateOffer,
        is_owner: bool,
    ) -> Result<(), MigrateRefusal> {
        let metadata = &offer.migrate.metadata;
        if offer.envelope.session_id != self.session_id() {
            return Err(MigrateRefusal::UnknownSession);
        }
        if !is_owner {
            return Err(MigrateRefusal::NotAllowed);
        }
        let is_right = metadata.old_transport_id == self.transport
            && metadata.new_transport_id == connection.transport()
            && metadata.old_transport_id != metadata.new_transport_id
            && connection.path() != self.path;
        if !is_right {
            return Err(MigrateRefusal::WrongTransport);
        }
        if self.frame_id_max == Some(u32::MAX) {
            return Err(MigrateRefusal::NoFrameIds);
        }
        let is_free = self.state == ServerState::Active
            && self.old.is_none()
            && connection.is_migration_asked();
        if is_free {
            Ok(())
        } else {
            Err(MigrateRefusal::Busy)
        }
    }

    /// A connection has ended.
    ///
    /// # Errors
    /// [`HandleError::Over`] after the end, [`HandleError::UnknownPath`] if it is none of the session's.
    pub fn handle_path_end(
        &mut self,
        path: PathId,
        end: PathEnd,
        now: Duration,
    ) -> Result<(), HandleError> {
        if self.is_over() {
            return Err(HandleError::Over);
        }
        if self.old.as_ref().is_some_and(|old| old.path == path) {
            self.old = None;
            self.outbox.reroute(path, self.path);
            self.outbox.forget_path(path);
            return Ok(());
        }
        if path != self.path {
            return Err(HandleError::UnknownPath);
        }
        match (self.state, end) {
            (_, PathEnd::Framing(_)) => {
                self.tell_end(ErrorCode::MalformedHeader, "not a packet");
                self.fail(Failure::Path(end), now);
            }
            (ServerState::Draining, _) => self.path_ended(now),
            // spec: nnrp-session 4.7: abnormal only if frames are in flight.
            (_, PathEnd::Finished) if self.frames.is_idle() => self.path_ended(now),
            (_, PathEnd::Finished | PathEnd::Lost) => {
                self.outbox.clear();
                self.fail(Failure::Path(end), now);
            }
        }
        Ok(())
    }

    fn path_ended(&mut self, now: Duration) {
        self.outbox.clear();
        self.closed(now);
    }

    /// The grace of the old connection is over: what it still had to deliver goes by the new one.
    pub(super) fn close_old(&mut self) {
        if let Some(old) = self.old.take() {
            self.outbox.reroute(old.path, self.path);
            self.outbox.forget_path(old.path);
            self.events.push_back(ServerEvent::ClosePath(old.path));
        }
    }
}
