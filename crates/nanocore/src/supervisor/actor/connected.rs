//! A server that is connected: what it offers, and how the connection is.

use std::collections::BTreeSet;
use std::sync::Arc;

use nanograph::client::ConnectionState;
use nanograph::message::Handshake;
use serde_json::json;

use super::super::job::blocking;
use super::super::listening::listens_beyond_loopback;
use super::super::machine::Event;
use super::super::remote::Remote;
use super::{Actor, Connection, Input};
use crate::registry::AssetRefs;
use crate::workflow::{AssetStyle, ServerSettings};

impl Actor {
    pub(super) fn connected(&mut self, remote: Remote) {
        let asset_refs = self.sdk_refs.or(self.entry.asset_refs);
        let settings = ServerSettings {
            input_style: self.entry.input_style,
            max_in_flight: self.entry.max_concurrency,
            code_epoch: self.code_epoch.clone(),
            asset_style: asset_refs.map(|refs| match refs {
                AssetRefs::Uuid => AssetStyle::Uuid,
                AssetRefs::Hash => AssetStyle::Hash,
            }),
            assets: self.entry.asset_server.clone(),
            is_watched: self.running.is_some(),
        };
        self.connection = Some(Connection {
            state: remote.watch_state(),
            handshake: remote.watch_handshake(),
        });
        let pool = &self.shared.parts.pool;
        match remote.clone() {
            Remote::Nanograph(client) => pool.add(client, settings),
            Remote::Nats(server) => pool.add_nats(server, settings),
        }
        self.slot.link().client = Some(remote);
        self.definitions_changed();
    }

    pub(super) async fn connection_changed(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let state = connection.state.borrow_and_update().clone();
        match state {
            ConnectionState::Connected | ConnectionState::Unresponsive => {
                self.event(Event::Back).await;
                let is_told = self.slot.status.borrow().unresponsive;
                if self.slot.is_unresponsive() != is_told {
                    return self.publish(self.machine.state());
                }
                self.code_may_have_changed().await;
            }
            ConnectionState::Reconnecting { .. } => self.event(Event::Lost).await,
            ConnectionState::Closed { reason } => {
                self.connection = None;
                self.fail(format!("the connection is closed: {reason}"));
                self.event(Event::StartFailed).await;
            }
        }
    }

    /// Tells which nodes there are now, and what has come and gone. spec: nanograph N12
    pub(super) fn definitions_changed(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let handshake = connection.handshake.borrow_and_update().clone();
        let uids = |handshake: &Handshake| -> BTreeSet<String> {
            let definitions = handshake.node_definitions.iter();
            definitions
                .map(|definition| definition.uid.clone())
                .collect()
        };
        let now = uids(&handshake);
        let before = self.slot.link().handshake.replace(Arc::clone(&handshake));
        let before = before.as_deref().map(uids).unwrap_or_default();
        self.slot
            .status
            .send_modify(|status| status.nodes = now.iter().cloned().collect());
        let fields = json!({
            "serverUid": self.entry.server_uid,
            "serverPackageId": self.entry.server_package_id,
            "domain": handshake.domain,
            "nodes": now,
            "added": now.difference(&before).collect::<Vec<_>>(),
            "removed": before.difference(&now).collect::<Vec<_>>(),
        });
        self.shared
            .parts
            .events
            .publish("definitions_update", None, fields);
    }

    /// Results of other code are not to be used again. spec: nanograph 18
    pub(super) async fn code_may_have_changed(&mut self) {
        let Some(code) = self.code.clone() else {
            return;
        };
        if let Some(epoch) = blocking(move || code.epoch()).await {
            let pool = &self.shared.parts.pool;
            // False if it was removed just now.
            pool.set_code_epoch(&self.entry.server_uid, epoch.clone());
            self.code_epoch = Some(epoch);
        }
    }

    /// Python servers listen on all interfaces, without asking who calls. spec: nanograph N23
    pub(super) async fn note_listening(&mut self) {
        let Some(port) = self.running.as_ref().map(|running| running.process.port()) else {
            return;
        };
        if blocking(move || listens_beyond_loopback(port)).await == Some(true) {
            let note = format!(
                "it listens on all interfaces and lets everybody run its nodes; keep port {port} behind a firewall"
            );
            tracing::warn!(
                server_uid = self.entry.server_uid,
                port,
                "a node server {}",
                &note[3..]
            );
            self.slot
                .status
                .send_modify(|status| status.notes.push(note));
        }
    }
}

pub(super) async fn changed(connection: &mut Option<Connection>) -> Input {
    let Some(Connection { state, handshake }) = connection else {
        return std::future::pending().await;
    };
    // An error means that the client's task is gone, which its last state has told.
    tokio::select! {
        Ok(()) = state.changed() => Input::Connection,
        Ok(()) = handshake.changed() => Input::Definitions,
        else => std::future::pending().await,
    }
}
