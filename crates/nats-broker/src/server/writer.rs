//! The task that writes what a socket did not take at once. It ends when all is written.

use std::sync::Arc;

use super::client::Client;
use super::segments::Segments;
use crate::stats::CloseReason;

pub(super) async fn write_rest(client: Arc<Client>, mut batch: Segments) {
    loop {
        tokio::select! {
            () = client.gone.cancelled() => return,
            writable = client.socket.writable() => if writable.is_err() {
                client.close(CloseReason::Client, None);
                return;
            },
        }
        if !write_some(&client, &mut batch) {
            continue;
        }
        let next = client.outbox().next(batch);
        wake_publishers(&client);
        match next {
            Some(next) => batch = next,
            None => return,
        }
    }
}

/// Whether all was written.
fn write_some(client: &Client, batch: &mut Segments) -> bool {
    let written = client.write(batch);
    if !written {
        client.outbox().blocked(batch);
        wake_publishers(client);
    }
    written
}

fn wake_publishers(client: &Client) {
    if !client.is_behind(client.outbox().pending_bytes()) {
        client.room.notify_waiters();
    }
}
