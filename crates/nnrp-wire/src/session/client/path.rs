//! The connections of a client's session, and moving from one to another. spec: nnrp-session 4.6, 5.4

use std::time::Duration;

use bytes::Bytes;

use super::submit::{ClientFrame, place};
use super::{ClientEvent, ClientSession, ClientState};
use crate::message::{Envelope, Message, SessionMigrate, SessionMigrateAck};
use crate::metadata::SessionMigrateMetadata;
use crate::numbers::{ErrorCode, TransportId};
use crate::session::fault::{Failure, Fault, HandleError, PathEnd};
use crate::session::frame::{FrameKey, FrameOutcome, FrameState};
use crate::session::migration::{MigrateMisuse, MigrationFailure, micros};
use crate::session::transmit::PathId;

/// Where submits go.
#[derive(Debug)]
pub(super) struct Primary {
    pub(super) path: PathId,
    transport: TransportId,
    /// How it ended, while a migration may still save the session.
    ended: Option<PathEnd>,
}

impl Primary {
    pub(super) const fn new(path: PathId, transport: TransportId) -> Self {
        Self {
            path,
            transport,
            ended: None,
        }
    }
}

/// Where the session was, and results may still come from.
#[derive(Debug)]
pub(super) struct OldPath {
    pub(super) path: PathId,
    pub(super) until: Duration,
}

/// Where the session is to go.
#[derive(Debug)]
pub(super) struct Migrating {
    pub(super) path: PathId,
    pub(super) transport: TransportId,
    began: Duration,
    pub(super) deadline: Duration,
}

impl ClientSession {
    /// Moves the session to another transport, whose connection was made: asks the server there. No hello goes there.
    ///
    /// [`ClientEvent::Migrated`] or [`ClientEvent::MigrationFailed`] follows. Until then everything goes on where it is, even
    /// if that breaks meanwhile. Afterwards frame ids must grow and cannot wrap around; see
    /// [`SubmitRefusal::NotResumable`](super::SubmitRefusal::NotResumable). `proof` shows that the session is this client's, in a way that client and server agree on.
    ///
    /// # Errors
    /// If it cannot begin; nothing is sent then.
    pub fn migrate(
        &mut self,
        path: PathId,
        transport: TransportId,
        proof: Bytes,
        now: Duration,
    ) -> Result<(), MigrateMisuse> {
        let primary = self.primary.as_ref().ok_or(MigrateMisuse::NotActive)?;
        if self.state != ClientState::Active {
            return Err(MigrateMisuse::NotActive);
        }
        if self.migrating.is_some() || self.old.is_some() {
            return Err(MigrateMisuse::UnderWay);
        }
        if primary.path == path {
            return Err(MigrateMisuse::PathInUse);
        }
        MigrateMisuse::check_transports(primary.transport, transport)?;
        let metadata = SessionMigrateMetadata {
            old_transport_id: primary.transport,
            new_transport_id: transport,
            last_result_frame_id: u64::from(self.last_result_frame_id),
            client_migrate_ts_us: micros(now),
        };
        self.migrating = Some(Migrating {
            path,
            transport,
            began: now,
            deadline: now.saturating_add(self.options.migration_timeout),
        });
        let body = proof;
        let message = Message::SessionMigrate(SessionMigrate { metadata, body });
        self.outbox.push(path, self.envelope(), message);
        Ok(())
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
        if self.migrating.as_ref().is_some_and(|to| to.path == path) {
            self.migration_failed(MigrationFailure::Path(end), now);
        } else if self.old.as_ref().is_some_and(|old| old.path == path) {
            self.old = None;
            self.outbox.forget_path(path);
            self.strand(now);
        } else if self.state == ClientState::Connecting {
            self.fail(Failure::Path(end), now);
        } else if self.primary_path() == Some(path) {
            self.primary_ended(end, now);
        } else {
            return Err(HandleError::UnknownPath);
        }
        Ok(())
    }

    fn primary_ended(&mut self, end: PathEnd, now: Duration) {
        if self.state == ClientState::Active
            && let (Some(_), Some(primary)) = (&self.migrating, &mut self.primary)
        {
            primary.ended = Some(end);
            return;
        }
        if let PathEnd::Framing(_) = end {
            self.tell_malformed();
        } else if let Some(path) = self.primary_path() {
            self.outbox.forget_path(path);
        }
        match (self.state, end) {
            (ClientState::Draining, PathEnd::Finished | PathEnd::Lost) => self.closed(now),
            // spec: nnrp-session 4.7: abnormal only if frames are in flight.
            (ClientState::Active, PathEnd::Finished) if self.frames.is_idle() => self.closed(now),
            _ => self.fail(Failure::Path(end), now),
        }
    }

    /// Framing is lost, but the way to the server is not.
    fn tell_malformed(&mut self) {
        if let Some(path) = self.primary_path() {
            let message = Fault::connection(ErrorCode::MalformedHeader).message("not a packet");
            self.outbox.clear();
            self.outbox.push_last(path, Envelope::default(), message);
        }
    }

    pub(super) fn migration_failed(&mut self, failure: MigrationFailure, now: Duration) {
        let Some(migrating) = self.migrating.take() else {
            return;
        };
        let path = migrating.path;
        self.outbox.forget_path(path);
        self.events
            .push_back(ClientEvent::MigrationFailed { path, failure });
        self.events.push_back(ClientEvent::ClosePath(path));
        let ended = self.primary.as_ref().and_then(|primary| primary.ended);
        if let Some(end) = ended {
            self.primary_ended(end, now);
        }
    }

    /// The first packet on the new connection.
    pub(super) fn receive_while_migrating(
        &mut self,
        envelope: &Envelope,
        message: Message,
        now: Duration,
    ) {
        let Message::SessionMigrateAck(ack) = message else {
            let found = message.message_type();
            return self.migration_failed(MigrationFailure::Unexpected { found }, now);
        };
        let accept_code = ack.metadata.accept_code;
        if envelope.session_id != self.session_id() {
            let session_id = envelope.session_id;
            self.migration_failed(MigrationFailure::OtherSession { session_id }, now);
        } else if accept_code != 0 {
            self.migration_failed(MigrationFailure::Refused { accept_code }, now);
        } else {
            self.migrated(&ack, now);
        }
    }

    fn migrated(&mut self, ack: &SessionMigrateAck, now: Duration) {
        let (Some(to), Some(from)) = (self.migrating.take(), self.primary.take()) else {
            return;
        };
        let resume_from = ack.metadata.resume_from_frame_id;
        self.primary = Some(Primary::new(to.path, to.transport));
        self.resume_from = resume_from;
        self.resume_at = (resume_from > 0).then_some((resume_from, 0));
        if from.ended.is_none() {
            let grace = Duration::from_millis(u64::from(ack.metadata.grace_window_ms));
            self.old = Some(OldPath {
                path: from.path,
                until: now.saturating_add(grace),
            });
        }
        let resubmitted = self.resubmit(to.path, now);
        self.outbox.reroute(from.path, to.path);
        self.leave_behind();
        if from.ended.is_some() {
            self.outbox.forget_path(from.path);
            self.strand(now);
        }
        self.events.push_back(ClientEvent::Migrated {
            path: to.path,
            resume_from_frame_id: resume_from,
            resubmitted,
            took: now.saturating_sub(to.began),
        });
        self.pump(now);
    }

    /// Frames that the server has not got, by what it says, are sent again. Those that were given up are forgotten: it will
    /// not answer them.
    fn resubmit(&mut self, path: PathId, now: Duration) -> usize {
        if self.resume_from == 0 {
            return 0;
        }
        let (mut count, mut after) = (0, None);
        while let Some(key) = self.frames.next_after(after) {
            after = Some(key);
            if u64::from(key.frame_id) < self.resume_from {
                continue;
            }
            match self.frames.state(key) {
                Some(FrameState::InFlight) if self.resend(key, path) => {
                    count += 1;
                    self.resume_at = Some(behind(key));
                }
                Some(FrameState::InFlight | FrameState::Cancelling) => {
                    self.finish(key, FrameOutcome::ConnectionLost, None, now);
                }
                Some(FrameState::Pending | FrameState::Partial) | None => {}
            }
        }
        count
    }
}

impl ClientSession {
    /// Frames that the server has, by what it says: their results come by the old connection as long as there is one.
    fn leave_behind(&mut self) {
        let unsent = self.outbox.submits();
        self.for_each_sent(|frame, key| frame.is_left_behind = !unsent.contains(&key));
    }

    /// The old connection has ended. What was under way there is lost, and the server sends it no second time; the rest
    /// comes by the new one. Nothing tells which is which, so that there is some time for a sign of life.
    pub(super) fn strand(&mut self, now: Duration) {
        let until = now.saturating_add(self.options.stranded_timeout);
        let mut stranded = Vec::new();
        self.for_each_sent(|frame, key| {
            if std::mem::take(&mut frame.is_left_behind) {
                frame.stranded_until = Some(until);
                let deadline = frame.deadline.map_or(until, |own| own.min(until));
                stranded.push((key, deadline));
            }
        });
        for (key, deadline) in stranded {
            self.frames.set_deadline(key, Some(deadline));
        }
    }

    /// Something of a frame has come; if by the new connection, so does the rest.
    pub(super) fn reached(&mut self, path: PathId, key: FrameKey) {
        let is_new = self.primary_path() == Some(path);
        let Some(frame) = self.frames.get_mut(key).filter(|_| is_new) else {
            return;
        };
        frame.is_left_behind = false;
        if frame.stranded_until.take().is_some() {
            let deadline = frame.deadline;
            self.frames.set_deadline(key, deadline);
        }
    }

    fn for_each_sent(&mut self, mut act: impl FnMut(&mut ClientFrame, FrameKey)) {
        let mut after = None;
        while let Some(key) = self.frames.next_after(after) {
            after = Some(key);
            let state = self.frames.state(key);
            let is_sent = matches!(state, Some(FrameState::InFlight | FrameState::Partial));
            if let Some(frame) = self.frames.get_mut(key).filter(|_| is_sent) {
                act(frame, key);
            }
        }
    }
}

/// The least place behind a frame's.
pub(super) fn behind(key: FrameKey) -> (u64, u16) {
    let (frame_id, view_id) = place(key);
    view_id
        .checked_add(1)
        .map_or((frame_id + 1, 0), |view_id| (frame_id, view_id))
}
