//! What a connection without a session counts as, and how it leaves.

use std::time::Duration;

use nnrp_wire::session::ServerConnection;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::link::Link;
use crate::listener::handshakes::{Handshake, Phase};

/// How long a connection that gets no session may take to read why, and to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a connection counts as.
pub(super) enum Standing {
    /// One of those that may be there.
    Counted(Handshake),
    /// One more, which is only told so.
    Beyond(OwnedSemaphorePermit),
}

impl Standing {
    /// Says whether it has not given way.
    pub(super) fn enter(&mut self, phase: Phase) -> bool {
        match self {
            Self::Counted(room) => room.enter(phase),
            Self::Beyond(_) => true,
        }
    }

    /// Tells the other side what there is to tell, and closes the connection; at once if others need its room.
    pub(super) async fn leave(mut self, mut link: Link, mut connection: ServerConnection) {
        self.enter(Phase::Leaving);
        match self {
            Self::Counted(room) => tokio::select! {
                () = say(&mut link, &mut connection) => {}
                () = room.given_up() => {}
            },
            Self::Beyond(permit) => {
                say(&mut link, &mut connection).await;
                drop(permit);
            }
        }
    }
}

/// Sends what is left to say, and waits for the other side to have seen it.
async fn say(link: &mut Link, connection: &mut ServerConnection) {
    let said = timeout(FAREWELL, async {
        while connection.has_transmit() {
            send(link, connection).await?;
        }
        link.writer.finish().await
    });
    if matches!(said.await, Ok(Ok(()))) {
        let _ = timeout(FAREWELL, link.reader.discard()).await;
    }
}

/// Sends what is to be sent, as far as there is room. Nothing is lost when it is dropped.
pub(super) async fn send(
    link: &mut Link,
    connection: &mut ServerConnection,
) -> std::io::Result<()> {
    while link.writer.has_room() {
        let Some(transmit) = connection.poll_transmit() else {
            break;
        };
        if let Err(error) = link.writer.queue(&transmit) {
            tracing::error!(%error, "a message cannot be written");
        }
    }
    link.writer.flush().await
}
