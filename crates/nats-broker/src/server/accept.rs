//! New connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::client::Client;
use super::reader::Reader;
use super::shared::Shared;
use crate::protocol::server_op::err;
use crate::stats::CloseReason;

/// How long nothing is accepted after that failed, so that a lack of file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn accept_until_stopped(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = shared.stopped.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, address)) => open(&shared, socket, address),
            Err(error) => {
                shared.counters.accept_errors.add(1);
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn open(shared: &Arc<Shared>, socket: TcpStream, address: SocketAddr) {
    // Only about latency: a socket that refuses this works all the same.
    let _ = socket.set_nodelay(true);
    let (read, write) = socket.into_split();
    let id = shared.last_client_id.fetch_add(1, Relaxed) + 1;
    let limits = &shared.limits;
    let tasks = shared.tasks.clone();
    let total = Arc::clone(&shared.pending_total);
    let client = Client::new(
        id,
        address.ip(),
        write,
        limits.pending_bytes_max,
        total,
        tasks,
    );
    let client = Arc::new(client);
    shared.counters.connections_total.add(1);
    shared.counters.connections_open.add(1);
    client.push(&shared.info(id, address.ip(), false).line());
    if !shared.clients.insert(&client, limits.connections_max) {
        let farewell = err("maximum connections exceeded");
        client.close(CloseReason::TooManyConnections, Some(&farewell));
    }
    // Whoever ends the broker may have gone through its clients already.
    if shared.stopped.is_cancelled() {
        client.close(CloseReason::Shutdown, None);
    }
    let reader = Reader::new(Arc::clone(shared), client, read);
    shared.tasks.spawn(reader.run());
}
