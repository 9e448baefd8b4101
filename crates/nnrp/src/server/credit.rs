//! How much a client may have in flight. spec: nnrp-session 4.1

use std::time::Duration;

use nnrp_wire::metadata::FlowUpdateMetadata;
use nnrp_wire::session::{HandleError, ServerSession};
use nnrp_wire::{BackpressureLevel, FlowFlags, FlowReason, FlowScope};

use super::session::Session;

/// What a session has said of credit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Credit {
    /// One for all scopes, so that it grows within each.
    epoch: u32,
    granted: Option<u16>,
}

impl Session {
    /// Tells the client how much may be in flight; the epoch is filled in, and grows. It waits while too much waits to be
    /// sent. If it is dropped, either all of it has happened or nothing.
    ///
    /// # Errors
    /// [`HandleError::Over`] after the end, [`HandleError::Invalid`] if a field is set that the scope does not have.
    pub async fn flow_update(&self, update: FlowUpdateMetadata) -> Result<(), HandleError> {
        let driver = &self.shared().driver;
        driver
            .with_room(|machine, app, _| until_room(send(machine, &mut app.credit, update)))
            .await
    }

    /// So many frames may be in flight from now on, in place of what was said before. It ends a pause, too. The server
    /// itself takes as many frames as [`frames_max`](nnrp_wire::session::ServerOptions::frames_max) says.
    ///
    /// # Errors
    /// As [`Self::flow_update`], which see for what happens when it is dropped.
    pub async fn grant(&self, credit: u16) -> Result<(), HandleError> {
        self.flow_update(update(FlowReason::Grant, Some(credit), None))
            .await
    }

    /// The client is to submit nothing until [`Self::resume`], or at least for this time. What it has submitted goes on.
    ///
    /// # Errors
    /// As [`Self::flow_update`], which see for what happens when it is dropped.
    pub async fn pause(&self, retry_after: Option<Duration>) -> Result<(), HandleError> {
        self.flow_update(update(FlowReason::Pause, None, retry_after))
            .await
    }

    /// The client may submit again, as much as before the pause.
    ///
    /// # Errors
    /// As [`Self::flow_update`], which see for what happens when it is dropped.
    pub async fn resume(&self) -> Result<(), HandleError> {
        let driver = &self.shared().driver;
        driver
            .with_room(|machine, app, _| {
                let at_first = machine.ack().max_concurrent_frames;
                let at_first = (at_first > 0).then_some(at_first);
                let credit = app.credit.granted.or(at_first);
                let update = update(FlowReason::Resume, credit, None);
                until_room(send(machine, &mut app.credit, update))
            })
            .await
    }
}

fn send(
    machine: &mut ServerSession,
    credit: &mut Credit,
    update: FlowUpdateMetadata,
) -> Result<(), HandleError> {
    let epoch = credit.epoch.wrapping_add(1);
    machine.flow_update(FlowUpdateMetadata {
        credit_epoch: epoch,
        ..update
    })?;
    credit.epoch = epoch;
    let is_granted = update.flags.contains(FlowFlags::CREDIT_VALID);
    if is_granted && update.scope_kind == FlowScope::Session {
        credit.granted = Some(update.session_credit);
    }
    Ok(())
}

/// `None` while there is no room.
pub(super) fn until_room(done: Result<(), HandleError>) -> Option<Result<(), HandleError>> {
    match done {
        Err(HandleError::Congested) => None,
        Ok(()) | Err(_) => Some(done),
    }
}

fn update(
    reason: FlowReason,
    credit: Option<u16>,
    retry_after: Option<Duration>,
) -> FlowUpdateMetadata {
    let mut update = FlowUpdateMetadata::session(reason);
    if let Some(credit) = credit {
        update = update.with_credit(credit, 0);
    }
    if let Some(time) = retry_after {
        update = update.with_retry_after_ms(super::millis(time));
    }
    if reason == FlowReason::Pause {
        update = update.with_backpressure(BackpressureLevel::Hard);
    }
    update
}
