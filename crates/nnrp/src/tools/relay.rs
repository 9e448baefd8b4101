//! Between a client and a server: packets go on as they came, and are shown on the way.

use std::time::Duration;

use nnrp_wire::Packet;
use nnrp_wire::session::PathEnd;
use tokio::time::timeout;

use super::raw::{RawLink, RawReader, RawWriter};

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Whoever has connected.
    Client,
    /// Whoever was connected to.
    Server,
}

impl Side {
    /// The one that it speaks to.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// How a relay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayOptions {
    /// How long one side may go on when the other has ended. The reference keeps connections open whose other side has
    /// ended them; 5 s.
    pub linger: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(5),
        }
    }
}

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayEnd {
    /// Who ended first.
    pub first: Side,
    /// How.
    pub how: PathEnd,
}

/// Relays until both sides have ended, or one and the linger time. `see` is called with each packet, in the order in which
/// they came from that side, before it is written to the other; it should be quick, since the packet waits for it.
///
/// Each side is read no faster than the other takes it, so that both feel each other's backpressure. What is no packet
/// cannot go on: it ends the relay.
///
/// If it is dropped, both links are closed as they are, and packets that were seen last may not have been written.
pub async fn relay(
    client: RawLink,
    server: RawLink,
    options: RelayOptions,
    see: impl Fn(Side, &Packet) + Sync,
) -> RelayEnd {
    let (client_reader, client_writer) = client.into_halves();
    let (server_reader, server_writer) = server.into_halves();
    let up = pump(client_reader, server_writer, |packet| {
        see(Side::Client, packet)
    });
    let down = pump(server_reader, client_writer, |packet| {
        see(Side::Server, packet)
    });
    tokio::pin!(up, down);
    let (first, how) = tokio::select! {
        how = &mut up => (Side::Client, how),
        how = &mut down => (Side::Server, how),
    };
    let rest = async {
        match first {
            Side::Client => down.await,
            Side::Server => up.await,
        }
    };
    // Whoever does not end is cut.
    let _ = timeout(options.linger, rest).await;
    RelayEnd { first, how }
}

/// Until the reader's side has ended, or the writer's does not take any more.
async fn pump(mut reader: RawReader, mut writer: RawWriter, see: impl Fn(&Packet)) -> PathEnd {
    loop {
        let end = match reader.next().await {
            Ok(packet) => {
                see(&packet);
                writer.queue(&packet);
                queue_more(&mut reader, &mut writer, &see)
            }
            Err(end) => Some(end),
        };
        let written = writer.flush().await;
        if let Some(end) = end {
            // It may have ended as well.
            let _ = writer.finish().await;
            return end;
        }
        if written.is_err() {
            return PathEnd::Lost;
        }
    }
}

/// What is here already. Says so if it ends.
fn queue_more(
    reader: &mut RawReader,
    writer: &mut RawWriter,
    see: impl Fn(&Packet),
) -> Option<PathEnd> {
    while writer.has_room() {
        match reader.try_next() {
            Ok(Some(packet)) => {
                see(&packet);
                writer.queue(&packet);
            }
            Ok(None) => return None,
            Err(end) => return Some(end),
        }
    }
    None
}
