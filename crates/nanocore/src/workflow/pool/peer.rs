//! A server of the pool, whichever wire it is reached by.

use std::future::ready;
use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt, once};
use nanograph::client::{Client, ConnectionState};
use nanograph::message::Handshake;
use tokio::sync::watch;

use super::link::Link;
use crate::nats::NatsServer;
use crate::workflow::invoker::{Call, Report};

#[derive(Debug, Clone)]
pub(super) enum Peer {
    Nanograph(Arc<Link>),
    Nats(NatsServer),
}

impl Peer {
    pub(super) fn is_connected(&self) -> bool {
        match self {
            Self::Nanograph(link) => link.is_connected(),
            Self::Nats(server) => server.state() == ConnectionState::Connected,
        }
    }

    pub(super) fn handshake(&self) -> Arc<Handshake> {
        match self {
            Self::Nanograph(link) => link.client.handshake(),
            Self::Nats(server) => server.handshake(),
        }
    }

    /// Its name in metrics and traces.
    pub(super) const fn wire(&self) -> &'static str {
        match self {
            Self::Nanograph(_) => "nanograph",
            Self::Nats(_) => "nats",
        }
    }

    /// Executions that have not ended.
    pub(super) fn load(&self) -> u64 {
        match self {
            Self::Nanograph(link) => link.client.counters().outstanding,
            Self::Nats(server) => u64::try_from(server.outstanding()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn watch(
        &self,
    ) -> (
        watch::Receiver<ConnectionState>,
        watch::Receiver<Arc<Handshake>>,
    ) {
        match self {
            Self::Nanograph(link) => (link.client.watch_state(), link.client.watch_handshake()),
            Self::Nats(server) => (server.watch_state(), server.watch_handshake()),
        }
    }

    pub(super) fn client(&self) -> Option<Client> {
        match self {
            Self::Nanograph(link) => Some(link.client.clone()),
            Self::Nats(_) => None,
        }
    }

    pub(super) fn link(&self) -> Option<&Arc<Link>> {
        match self {
            Self::Nanograph(link) => Some(link),
            Self::Nats(_) => None,
        }
    }

    pub(super) fn invoke(self, call: Call) -> BoxStream<'static, Report> {
        match self {
            Self::Nanograph(link) => {
                let stopped = link.hold(&call.request.instance_id);
                let reports = link.execute(call.request, stopped);
                once(reports).flatten().boxed()
            }
            Self::Nats(server) => server.execute(call),
        }
    }

    pub(super) fn stop(self, instance_id: &str) {
        match self {
            Self::Nanograph(link) => {
                link.stop_unsent(instance_id);
                let instance_id = instance_id.to_owned();
                tokio::spawn(async move { link.stop(&instance_id).await });
            }
            Self::Nats(server) => server.stop(instance_id),
        }
    }
}

/// One report, and no more.
pub(super) fn only(report: Report) -> BoxStream<'static, Report> {
    once(ready(report)).boxed()
}
