//! Where what happens goes: into the inbox, to whoever asked, to whoever watches.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::session::{
    ClientEvent, ClientSession, Established, Failure, FrameError, FrameKey, FrameOutcome, PathId,
    SessionSettings,
};
use nnrp_wire::{SessionPatchAck, TransportId};
use tokio::sync::oneshot;

use super::answers::Answers;
use super::core::Core;
use super::error::{ConnectError, MigrateError, SessionEnd};
use super::event::{Migrated, SessionEvent};
use super::frame::{FrameEnd, FrameItem, FrameResult};
use crate::driver::{App, Step};

pub(super) type Began = Result<Box<Established>, ConnectError>;

#[derive(Debug)]
pub(super) struct Feed {
    /// Until the end: the core holds what drives this.
    core: Option<Arc<Core>>,
    /// Who waits for the session to begin.
    began: Option<oneshot::Sender<Began>>,
    paths: Vec<(PathId, TransportId)>,
    path_ids: u32,
    transport: TransportId,
    server_reason: Option<Bytes>,
    /// How it ends, once it does.
    end: Option<SessionEnd>,
    pub(super) answers: Answers,
}

impl Feed {
    pub(super) fn new(core: Arc<Core>, began: oneshot::Sender<Began>) -> Self {
        Self {
            core: Some(core),
            began: Some(began),
            paths: Vec::new(),
            path_ids: 0,
            transport: TransportId::Unspecified,
            server_reason: None,
            end: None,
            answers: Answers::default(),
        }
    }

    /// A number that no connection of the session has had.
    pub(super) const fn next_path_id(&mut self) -> PathId {
        self.path_ids += 1;
        PathId(self.path_ids)
    }

    /// A connection is the session's, or may be.
    pub(super) fn add_path(&mut self, path: PathId, transport: TransportId) {
        if self.paths.is_empty() {
            self.transport = transport;
        }
        self.paths.push((path, transport));
    }

    /// Which transport submits go by.
    pub(super) const fn transport(&self) -> TransportId {
        self.transport
    }

    pub(super) const fn is_over(&self) -> bool {
        self.core.is_none()
    }

    fn active(&mut self, established: Box<Established>) {
        if let Some(began) = self.began.take() {
            // Whoever wanted it may have gone; then it is closed by that.
            let _ = began.send(Ok(established));
        }
    }

    fn done(
        &mut self,
        core: &Core,
        machine: &ClientSession,
        (key, outcome, error): (FrameKey, FrameOutcome, Option<FrameError>),
    ) {
        let is_lost = outcome == FrameOutcome::ConnectionLost;
        let session = is_lost.then(|| self.end_of(core, machine)).flatten();
        core.inbox.push(
            key,
            FrameItem::End(FrameEnd {
                outcome,
                error,
                session,
            }),
        );
    }

    /// How the session ends, if it does.
    fn end_of(&mut self, core: &Core, machine: &ClientSession) -> Option<SessionEnd> {
        if self.end.is_none() {
            self.end = if let Some(failure) = machine.failure() {
                Some(SessionEnd::Failed(Arc::new(failure.clone())))
            } else if core.is_closing() {
                Some(SessionEnd::Closed)
            } else if crate::driver::Machine::is_over(machine) || self.server_reason.is_some() {
                Some(SessionEnd::ClosedByServer {
                    reason: self.server_reason.clone(),
                })
            } else {
                None
            };
        }
        self.end.clone()
    }

    fn migrated(&mut self, core: &Core, path: PathId, migrated: Migrated) {
        let known = self.paths.iter().find(|(known, _)| *known == path);
        let transport = known.map_or(TransportId::Unspecified, |(_, transport)| *transport);
        self.transport = transport;
        let migrated = Migrated {
            transport,
            ..migrated
        };
        core.stats.migrated();
        self.answers.migrated(Ok(migrated));
        core.tell(SessionEvent::Migrated(migrated));
    }

    /// The session is over; whoever waits for anything of it is told.
    fn over(&mut self, core: &Core, machine: &ClientSession) -> Step {
        core.stats.add(machine);
        let end = self.end_of(core, machine).unwrap_or(SessionEnd::Closed);
        self.answers.end();
        if let Some(began) = self.began.take() {
            let _ = began.send(Err(connect_error(core, &end)));
        } else if core.may_reconnect() {
            core.lost(end);
        } else {
            core.ended(end);
        }
        Step::End
    }
}

fn connect_error(core: &Core, end: &SessionEnd) -> ConnectError {
    match end {
        SessionEnd::Failed(failure) if matches!(**failure, Failure::ConnectTimeout { .. }) => {
            let timeout = core.options.session.connect_timeout;
            ConnectError::Timeout { timeout }
        }
        SessionEnd::Failed(failure) => ConnectError::Failed(Arc::clone(failure)),
        SessionEnd::Closed
        | SessionEnd::ClosedByServer { .. }
        | SessionEnd::NotReconnected { .. } => ConnectError::Closed,
    }
}

/// All that holds is in the answer, whatever was asked for. spec: nnrp-session 4.3
const fn settings(ack: &SessionPatchAck) -> SessionSettings {
    let SessionPatchAck { metadata, profile } = ack;
    SessionSettings {
        profile_id: metadata.effective_profile_id,
        target_cadence_x100: metadata.effective_target_cadence_x100,
        quality_tier: metadata.effective_quality_tier,
        degrade_policy: metadata.effective_degrade_policy,
        lane_mask: metadata.effective_lane_mask,
        codec_bitmap: metadata.effective_codec_bitmap,
        compression_bitmap: metadata.effective_compression_bitmap,
        profile: *profile,
    }
}

impl App for Feed {
    type Machine = ClientSession;

    fn handle(&mut self, event: ClientEvent, machine: &mut ClientSession, now: Duration) -> Step {
        let Some(core) = self.core.clone() else {
            return Step::Go;
        };
        match event {
            ClientEvent::FrameResult {
                key,
                envelope,
                result,
            } => {
                let result = FrameResult { envelope, result };
                core.inbox.push(key, FrameItem::Result(result));
            }
            ClientEvent::FrameHint { key, hint } => core.inbox.push(key, FrameItem::Hint(hint)),
            ClientEvent::FrameDone {
                key,
                outcome,
                error,
            } => self.done(&core, machine, (key, outcome, error)),
            ClientEvent::Active(established) => self.active(established),
            ClientEvent::Patched(ack) => {
                core.agreed().settings = Some(settings(&ack));
                self.answers.patched(*ack);
            }
            ClientEvent::CacheAnswer(ack) => self.answers.put(&ack),
            ClientEvent::Probed(sample) => self.answers.probed(sample),
            ClientEvent::RoundTrip(round_trip) => {
                core.stats.round_trip(round_trip);
                self.answers.ponged(round_trip);
            }
            ClientEvent::Unanswered { to } => self.answers.unanswered(to, now),
            ClientEvent::Flow(update) => core.tell(SessionEvent::Flow(update)),
            ClientEvent::CacheInvalidated(which) => {
                core.tell(SessionEvent::CacheInvalidated(which));
            }
            ClientEvent::Reported(error) => core.tell(SessionEvent::Reported(error)),
            ClientEvent::Undecodable {
                message_type,
                error,
            } => core.tell(SessionEvent::Undecodable {
                message_type,
                error,
            }),
            ClientEvent::Migrated {
                path,
                resume_from_frame_id,
                resubmitted,
                took,
            } => {
                let migrated = Migrated {
                    transport: TransportId::Unspecified,
                    resume_from_frame_id,
                    resubmitted,
                    took,
                };
                self.migrated(&core, path, migrated);
            }
            ClientEvent::MigrationFailed { failure, .. } => {
                self.answers.migrated(Err(failure));
                core.tell(SessionEvent::MigrationFailed(MigrateError::Failed(failure)));
            }
            ClientEvent::ClosePath(path) => {
                self.paths.retain(|(known, _)| *known != path);
                return Step::ClosePath(path);
            }
            ClientEvent::CloseReceived(reason) => {
                self.server_reason = Some(reason.clone());
                core.tell(SessionEvent::CloseReceived(reason));
            }
            ClientEvent::Closed | ClientEvent::Failed(_) => {
                self.core = None;
                return self.over(&core, machine);
            }
            ClientEvent::FrameStarted(_) | ClientEvent::CreditAvailable | _ => {}
        }
        Step::Go
    }

    fn is_full(&self) -> bool {
        self.core.as_ref().is_some_and(|core| core.inbox.is_full())
    }

    fn wants_rest(&self) -> bool {
        true
    }
}
