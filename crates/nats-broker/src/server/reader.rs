//! The reading task of one connection.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::OwnedReadHalf;

use super::client::Client;
use super::delivery::Delivery;
use super::shared::Shared;
use crate::protocol::{ConnectOptions, Decoder};
use crate::stats::CloseReason;

/// Reads begin this large and grow with what arrives.
const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES_MAX: usize = 64 << 10;

/// How long a connection that is closed may take to get what waits for it, the reason included.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Arc<Client>,
    pub(super) decoder: Decoder,
    pub(super) options: ConnectOptions,
    pub(super) delivery: Delivery,
    pub(super) messages_in: u64,
    socket: OwnedReadHalf,
    read_bytes: usize,
}

/// Why the connection ends, and what the client is told.
pub(super) struct Close {
    pub(super) reason: CloseReason,
    /// The text of `-ERR`; some errors end a connection without one. [obs 2.9.10]
    pub(super) error: Option<&'static str>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, client: Arc<Client>, socket: OwnedReadHalf) -> Self {
        let options = ConnectOptions::default();
        let mut decoder = Decoder::new(shared.limits.decode());
        decoder.accept_headers(options.headers);
        Self {
            decoder,
            options,
            delivery: Delivery::new(shared.limits.pending_bytes_max),
            messages_in: 0,
            socket,
            read_bytes: READ_BYTES_MIN,
            shared,
            client,
        }
    }

    pub(super) async fn run(mut self) {
        self.client.flush();
        self.read_until_closed().await;
        let pending = self.client.flush();
        if pending > 0 {
            self.say_farewell().await;
        }
        self.finish();
    }

    async fn read_until_closed(&mut self) {
        let client = Arc::clone(&self.client);
        let closed = client.closed.cancelled();
        tokio::pin!(closed);
        loop {
            let room = self.decoder.buffer_mut(self.read_bytes);
            let room_bytes = room.capacity() - room.len();
            let read = tokio::select! {
                biased;
                () = &mut closed => return,
                read = self.socket.read_buf(room) => read,
            };
            let bytes = match read {
                Ok(bytes) if bytes > 0 => bytes,
                Ok(_) | Err(_) => {
                    client.close(CloseReason::Client, None);
                    return;
                }
            };
            self.shared.counters.bytes_in.add(bytes as u64);
            let processed = self.process().await;
            let slowest = self.finish_turn();
            if let Err(close) = processed {
                let farewell = close.error.map(crate::protocol::server_op::err);
                client.close(close.reason, Some(&farewell.unwrap_or_default()));
                return;
            }
            if let Some(slow) = slowest {
                self.wait_for(&slow).await;
            }
            if bytes == room_bytes {
                self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
                // There is more: let others have their turn first.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Lets others go on, in the middle of what was read.
    pub(super) async fn pause(&mut self) {
        if let Some(slow) = self.finish_turn() {
            self.wait_for(&slow).await;
        }
        tokio::task::yield_now().await;
    }

    /// Sends what the turn led to; who is behind with reading it.
    fn finish_turn(&mut self) -> Option<Arc<Client>> {
        self.remove_ended();
        let counters = &self.shared.counters;
        counters
            .messages_in
            .add(std::mem::take(&mut self.messages_in));
        counters
            .messages_out
            .add(std::mem::take(&mut self.delivery.messages_out));
        self.delivery.flush()
    }

    /// Ends the subscriptions that reached their maximum; their sids are free then. [obs 2.9.10]
    pub(super) fn remove_ended(&mut self) {
        self.shared.unsubscribe(&self.delivery.ended);
        for subscription in self.delivery.ended.drain(..) {
            let mut of_client = subscription.client.subscriptions();
            if of_client
                .get(&subscription.sid)
                .is_some_and(|one| Arc::ptr_eq(one, &subscription))
            {
                of_client.remove(&subscription.sid);
            }
        }
    }

    /// Slows this publisher down to a client that is behind, for a moment.
    async fn wait_for(&self, slow: &Client) {
        let limits = &self.shared.limits;
        let room = slow.room.notified();
        tokio::pin!(room);
        room.as_mut().enable();
        if slow.is_worth_waiting_for(limits.stuck_after) {
            self.shared.counters.publisher_stalls.add(1);
            tokio::select! {
                () = self.client.closed.cancelled() => {}
                _ = tokio::time::timeout(limits.publisher_stall_max, room) => {}
            }
        }
    }

    async fn say_farewell(&self) {
        let written = async {
            while self.client.outbox().pending_bytes() > 0 {
                let room = self.client.room.notified();
                tokio::pin!(room);
                room.as_mut().enable();
                if self.client.outbox().pending_bytes() > 0 {
                    room.await;
                }
            }
        };
        tokio::select! {
            () = self.client.gone.cancelled() => {}
            _ = tokio::time::timeout(FAREWELL_MAX, written) => {}
        }
    }

    /// Nothing of the connection is left after this.
    fn finish(self) {
        self.client.gone.cancel();
        let subscriptions = std::mem::take(&mut *self.client.subscriptions());
        let subscriptions: Vec<_> = subscriptions.into_values().collect();
        self.shared.unsubscribe(&subscriptions);
        self.shared.clients.remove(&self.client);
        let reason = self.client.close_reason();
        let counters = &self.shared.counters;
        counters
            .bytes_undelivered
            .add(self.client.outbox().discard() as u64);
        // Whoever sees that it is gone finds the reason, too.
        counters.count_closed(reason);
        counters.connections_open.subtract(1);
        tracing::debug!(
            client = self.client.id,
            name = ?self.options.name,
            ?reason,
            headers = self.client.headers.load(Relaxed),
            "connection closed"
        );
    }
}
