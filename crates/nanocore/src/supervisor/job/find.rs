//! Finding a service on NATS.

use std::sync::Arc;
use std::time::Duration;

use nanograph::message::Handshake;

use super::super::Shared;
use super::StartFailure;
use crate::nats::NatsServer;
use crate::registry::{Entry, NatsService};

/// How long a server without instances is waited for, once that was told.
const FURTHER_WAIT: Duration = Duration::from_secs(60);

/// Connects and waits for an instance. `is_first`: nobody was told yet that there is none.
pub(in crate::supervisor) async fn find(
    shared: Arc<Shared>,
    entry: Entry,
    nats: NatsService,
    is_first: bool,
) -> Result<NatsServer, StartFailure> {
    let options = &shared.parts.options.nats;
    let Some(address) = nats.address.as_ref().or(options.broker.as_ref()) else {
        let message = "its entry names no \"url\", and the daemon has no NATS of its own; add the url, or start the daemon with another --nats";
        return Err(StartFailure::Foreign(message.to_owned()));
    };
    let identity = Handshake {
        server_uid: entry.server_uid,
        server_package_id: Some(entry.server_package_id),
        server_display_name: Some(entry.server_display_name),
        domain: entry.domain,
        ..Handshake::default()
    };
    let wait = if is_first {
        options.first_wait
    } else {
        FURTHER_WAIT
    };
    NatsServer::connect(&nats.service, address, identity, options, wait)
        .await
        .map_err(|error| StartFailure::Failed(crate::supervisor::with_cause(&error)))
}
