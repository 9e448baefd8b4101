//! A machine that is driven on one link by whoever waits for its events.

use std::time::Duration;

use nnrp_wire::Packet;
use nnrp_wire::session::{HandleError, PathEnd, PathId};
use tokio::time::{Instant, sleep_until, timeout};

use crate::driver::{Clock, Machine};
use crate::link::{Link, Reader, Writer};

/// The only path.
pub(super) const PATH: PathId = PathId(1);

/// How long a link may take to end in the end.
const LINGER: Duration = Duration::from_secs(1);

/// Packets that have overtaken the one that begins the session.
const EARLY_MAX: usize = 16;

/// A session without tasks, for a few packets.
#[derive(Debug)]
pub(super) struct Single<M> {
    pub(super) machine: M,
    pub(super) link: Link,
    pub(super) clock: Clock,
    pub(super) early: Vec<Packet>,
}

impl<M: Machine> Single<M> {
    /// The next event; `None` when the session is over.
    pub(super) async fn next_event(&mut self) -> Option<M::Event> {
        loop {
            if let Some(event) = self.machine.poll_event() {
                return Some(event);
            }
            self.queue();
            if self.machine.is_over() {
                return None;
            }
            if let Some(packet) = self.early.pop() {
                self.handle(packet);
                continue;
            }
            let deadline = self.machine.next_timeout().map(|at| self.clock.at(at));
            let Link { reader, writer, .. } = &mut self.link;
            tokio::select! {
                packet = exchange(reader, writer) => match packet {
                    Ok(packet) => self.handle(packet),
                    Err(end) => self.ended(end),
                },
                () = wake(deadline) => self.machine.handle_timeout(self.clock.now()),
            }
        }
    }

    /// Sends what is left, and closes the link.
    pub(super) async fn finish(mut self) {
        self.queue();
        let closing = async {
            if self.link.writer.finish().await.is_ok() {
                self.link.reader.discard().await;
            }
        };
        // Whoever does not end is not waited for.
        let _ = timeout(LINGER, closing).await;
    }

    fn handle(&mut self, packet: Packet) {
        let now = self.clock.now();
        let handled = self.machine.handle_packet(PATH, &packet, now);
        if handled == Err(HandleError::Early) && self.early.len() < EARLY_MAX {
            self.early.push(packet);
        }
    }

    fn ended(&mut self, end: PathEnd) {
        // It may be over, and then there is nothing to tell.
        let _ = self.machine.handle_path_end(PATH, end, self.clock.now());
    }

    fn queue(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit(self.clock.now()) {
            if let Err(error) = self.link.writer.queue(&transmit) {
                tracing::error!(%error, "a message cannot be written");
            }
        }
    }
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The next packet, while what was queued is written.
pub(super) async fn exchange(reader: &mut Reader, writer: &mut Writer) -> Result<Packet, PathEnd> {
    let mut is_flushed = false;
    loop {
        tokio::select! {
            biased;
            packet = reader.next() => return packet,
            flushed = writer.flush(), if !is_flushed => {
                flushed.map_err(|_| PathEnd::Lost)?;
                is_flushed = true;
            }
        }
    }
}
