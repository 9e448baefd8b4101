//! Requests whose reply may have no nonce. spec: autotrainer 7.3, 7.4
//!
//! Each has a connection of its own, so that its reply is certain, and a service that dies of it takes no other request's
//! reply along.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::call::deadline;
use super::error::CallError;
use super::shared::Shared;
use crate::zmq::{ConnectionEvent, ConnectionEvents, RequestSocket};

/// The frames of the reply to these frames.
pub(super) async fn exchange(
    shared: &Shared,
    permits: &Semaphore,
    frames: &[Bytes],
    timeout: Duration,
) -> Result<Vec<Bytes>, CallError> {
    let deadline = deadline(timeout);
    let permit = timeout_at(deadline, permits.acquire()).await;
    let _permit = permit.map_err(|_| CallError::Busy)?;
    let socket = RequestSocket::new(&shared.options.for_sockets())?;
    let replied = exchange_on(&socket, shared, frames, deadline).await;
    socket.close().await;
    replied
}

async fn exchange_on(
    socket: &RequestSocket,
    shared: &Shared,
    frames: &[Bytes],
    deadline: Instant,
) -> Result<Vec<Bytes>, CallError> {
    let mut connections = socket.events();
    socket.connect(&shared.options.command_endpoint).await?;
    opened(&mut connections, shared, deadline).await?;
    socket.send_frames(frames).await?;
    shared.counters.requests.count();
    let lost = async {
        while let Some(event) = connections.next().await {
            if matches!(event, ConnectionEvent::Closed { .. }) {
                break;
            }
        }
    };
    tokio::select! {
        biased;
        reply = timeout_at(deadline, socket.receive()) => match reply {
            Ok(Ok(reply)) => {
                shared.counters.answers.count();
                Ok(reply)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                shared.counters.timeouts.count();
                Err(CallError::TimedOut)
            }
        },
        () = lost => {
            shared.counters.connection_lost.count();
            Err(CallError::ConnectionLost)
        }
    }
}

/// Waits until there is a connection: what is not sent in time is never sent.
async fn opened(
    connections: &mut ConnectionEvents,
    shared: &Shared,
    deadline: Instant,
) -> Result<(), CallError> {
    let mut reason = None;
    let opened = async {
        while let Some(event) = connections.next().await {
            match event {
                ConnectionEvent::Opened { .. } => return true,
                ConnectionEvent::HandshakeFailed { reason: why }
                | ConnectionEvent::Refused { reason: why } => reason = Some(why),
                ConnectionEvent::Closed { .. }
                | ConnectionEvent::Retrying { .. }
                | ConnectionEvent::Missed(_)
                | ConnectionEvent::Subscribed { .. }
                | ConnectionEvent::Unsubscribed { .. }
                | ConnectionEvent::SubscriptionRefused { .. } => {}
            }
        }
        false
    };
    if timeout_at(deadline, opened).await == Ok(true) {
        return Ok(());
    }
    shared.counters.unsent.count();
    Err(CallError::Unreachable { reason })
}
