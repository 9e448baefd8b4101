//! The two tasks of a link.

use std::sync::Arc;
use std::time::Duration;

use nnrp_wire::Packet;
use nnrp_wire::session::{HandleError, PathEnd, PathId};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::early::Early;
use super::machine::{App, Machine as _};
use super::{Shared, State, WAITING_MAX};
use crate::link::{Link, Patience, Reader, Writer};

/// Packets that are handled before the lock is let go.
const PACKETS_MAX: usize = 64;

/// How long the other side may take to end a link that is closed, and what has come over a lost one to be read.
const LINGER: Duration = Duration::from_secs(1);

/// How the tasks of a link begin.
#[derive(Debug, Default)]
pub(crate) struct PathTasks {
    /// Packets that have come and belong to the session.
    pub(crate) early: Vec<Packet>,
}

impl PathTasks {
    pub(super) fn spawn<A: App>(
        self,
        shared: &Arc<Shared<A>>,
        id: PathId,
        link: Link,
        wake: Arc<Notify>,
        closing: CancellationToken,
    ) {
        let Link { reader, writer, .. } = link;
        let read = CancellationToken::new();
        let written = CancellationToken::new();
        let reading = ReadTask {
            shared: Arc::clone(shared),
            id,
            reader,
            early: Early::new(self.early),
            closing: closing.clone(),
            wake: Arc::clone(&wake),
            is_read: read.clone(),
            is_written: written.clone(),
        };
        let writing = WriteTask {
            shared: Arc::clone(shared),
            id,
            wake,
            closing,
            is_read: read,
            is_written: written,
        };
        shared.tasks.spawn(reading.run());
        shared.tasks.spawn(writing.run(writer));
    }
}

struct ReadTask<A: App> {
    shared: Arc<Shared<A>>,
    id: PathId,
    reader: Reader,
    early: Early,
    closing: CancellationToken,
    wake: Arc<Notify>,
    /// All that came was taken in.
    is_read: CancellationToken,
    /// Nothing more is written.
    is_written: CancellationToken,
}

impl<A: App> ReadTask<A> {
    async fn run(mut self) {
        let closing = self.closing.clone();
        let end = tokio::select! {
            biased;
            end = self.read() => end,
            () = closing.cancelled() => None,
        };
        self.drop_early();
        if let Some(end) = end {
            let id = self.id;
            self.shared
                .with_state(|state, now| state.path_ended(id, end, now));
        }
        self.is_read.cancel();
        // The other side has to see the end of what is sent. After a framing error, too.
        let is_open = !matches!(end, Some(PathEnd::Finished | PathEnd::Lost));
        if is_open {
            self.discard().await;
        } else {
            // The other side has closed its half; nothing is sent on this one any more than what waits.
            self.closing.cancel();
            self.wake.notify_one();
        }
    }

    /// Until the other side ends it, or has had the time to after it got the rest.
    async fn discard(&mut self) {
        let discarding = self.reader.discard();
        tokio::pin!(discarding);
        tokio::select! {
            () = &mut discarding => return,
            () = self.is_written.cancelled() => {}
        }
        let _ = timeout(LINGER, discarding).await;
    }

    /// Until the link ends, or the session does not want it any more.
    async fn read(&mut self) -> Option<PathEnd> {
        if let Some(packet) = self.early.next()
            && !self.handle(packet).await
        {
            return None;
        }
        loop {
            match self.reader.next().await {
                Ok(packet) => {
                    if !self.handle(packet).await {
                        return None;
                    }
                }
                Err(end) => return Some(end),
            }
        }
    }

    /// Hands a packet over, and others that are here already. Says whether to go on.
    async fn handle(&mut self, packet: Packet) -> bool {
        let mut next = Some(packet);
        while let Some(packet) = next.take() {
            let room = Arc::clone(&self.shared);
            let room = room.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.take_in(packet) {
                Taken::All => next = self.early.next(),
                Taken::Full(packet) => {
                    next = Some(packet);
                    room.await;
                }
                Taken::Over => return false,
            }
        }
        true
    }

    fn take_in(&mut self, packet: Packet) -> Taken {
        let shared = Arc::clone(&self.shared);
        shared.with_state(|state, now| {
            let mut next = Some(packet);
            for _ in 0..PACKETS_MAX {
                let Some(packet) = next.take().or_else(|| self.following()) else {
                    return Taken::All;
                };
                match self.offer(state, &packet, now) {
                    // A cancelled frame that is answered makes room, and nothing tells of it.
                    Ok(()) => {
                        state.has_moved = true;
                        self.early.offer();
                    }
                    Err(HandleError::Early) => {
                        let is_kept = self.early.keep(packet);
                        state.traffic.lost_early += u64::from(!is_kept);
                    }
                    Err(HandleError::Congested) => {
                        state.is_room_wanted |= !state.is_app_awaited;
                        return Taken::Full(packet);
                    }
                    Err(HandleError::Over | HandleError::UnknownPath | _) => return Taken::Over,
                }
            }
            Taken::All
        })
    }

    /// What is here already. A stream that cannot be split any more says so again to the next read.
    fn following(&mut self) -> Option<Packet> {
        let early = self.early.next();
        early.or_else(|| self.reader.try_next().ok().flatten())
    }

    fn offer(
        &mut self,
        state: &mut State<A>,
        packet: &Packet,
        now: Duration,
    ) -> Result<(), HandleError> {
        let is_full = state.app.is_full();
        if is_full {
            state.is_app_awaited = true;
        } else {
            state.machine.handle_packet(self.id, packet, now)?;
            state.traffic.received_bytes += packet.bytes();
        }
        if let Some(path) = state.path_mut(self.id) {
            path.is_stopped = is_full;
            path.received_bytes += if is_full { 0 } else { packet.bytes() };
        }
        if is_full {
            return Err(HandleError::Congested);
        }
        Ok(())
    }

    /// Nothing puts the session here any more.
    fn drop_early(&mut self) {
        let count = std::mem::take(&mut self.early).count();
        if count > 0 {
            tracing::debug!(
                path = self.id.0,
                count,
                "packets ahead of the session are dropped"
            );
            self.shared.lock().traffic.lost_early += count;
        }
    }
}

enum Taken {
    /// And there is no more for now.
    All,
    /// This one has to be offered again.
    Full(Packet),
    /// Nobody wants packets any more.
    Over,
}

struct Reading {
    wants_rest: bool,
    is_stopped: bool,
    /// Of this link.
    received_bytes: u64,
}

struct WriteTask<A: App> {
    shared: Arc<Shared<A>>,
    id: PathId,
    wake: Arc<Notify>,
    closing: CancellationToken,
    is_read: CancellationToken,
    is_written: CancellationToken,
}

impl<A: App> WriteTask<A> {
    async fn run(mut self, writer: Writer) {
        let mut writer = Some(writer);
        let written = self.write(&mut writer).await;
        let is_finished = match (written, &mut writer) {
            (Ok(patience), Some(writer)) => patience.finish(writer).await.is_ok(),
            (Ok(_), None) | (Err(_), _) => false,
        };
        self.is_written.cancel();
        let cut = writer.as_ref().filter(|_| !is_finished);
        let cut_bytes = cut.map_or(0, Writer::unsent_bytes);
        if !is_finished {
            self.wait_for_reader().await;
        }
        let id = self.id;
        self.shared.with_state(|state, now| {
            state.traffic.cut_bytes += cut_bytes as u64;
            if !is_finished {
                state.path_ended(id, PathEnd::Lost, now);
            }
            state.remove_path(id);
        });
        self.closing.cancel();
    }

    /// What has come before the connection broke counts. The reader will get to its end, but for an application that
    /// does not take what comes: that is waited for if it wants the rest.
    async fn wait_for_reader(&self) {
        let mut before = None;
        while let Some(reading) = self.reading() {
            let is_moving = before.is_none_or(|before| before != reading.received_bytes);
            let is_worth = if reading.is_stopped {
                reading.wants_rest
            } else {
                // The last that was sent comes soon: why the other side went, for instance.
                before.is_none() || (reading.wants_rest && is_moving)
            };
            if !is_worth || timeout(LINGER, self.is_read.cancelled()).await.is_ok() {
                return;
            }
            before = Some(reading.received_bytes);
        }
    }

    /// How far reading has come, where writing has failed.
    fn reading(&self) -> Option<Reading> {
        let mut state = self.shared.lock();
        let wants_rest = state.app.wants_rest();
        let path = state.path_mut(self.id)?;
        path.has_failed = true;
        Some(Reading {
            wants_rest,
            is_stopped: path.is_stopped,
            received_bytes: path.received_bytes,
        })
    }

    /// Until the link is to be closed and nothing waits, or it breaks.
    async fn write(&mut self, writer: &mut Option<Writer>) -> std::io::Result<Patience> {
        let mut patience = None;
        loop {
            let Some(mut own) = writer.take() else {
                *writer = Some(self.wait().await);
                continue;
            };
            let is_closing = self.closing.is_cancelled();
            let has_something = self.fill(&mut own);
            if !has_something && !is_closing {
                self.leave(own);
                continue;
            }
            let own = writer.insert(own);
            if !has_something {
                return Ok(patience.unwrap_or_else(Patience::begin));
            }
            if is_closing {
                // Whoever does not read any more is not waited for.
                let patience = patience.get_or_insert_with(Patience::begin);
                patience.flush(own).await?;
            } else {
                tokio::select! {
                    flushed = own.flush() => flushed?,
                    // It goes on where it was.
                    () = self.closing.cancelled() => {}
                }
            }
        }
    }

    /// Says whether there is something to write.
    fn fill(&self, writer: &mut Writer) -> bool {
        let mut state = self.shared.lock();
        let now = self.shared.clock.now();
        let is_some = state.fill(self.id, writer, now);
        if is_some {
            self.shared.tell_room(&mut state);
        }
        let path = state.path_mut(self.id);
        let is_dirty = path.is_some_and(|path| std::mem::take(&mut path.is_dirty));
        is_some || is_dirty || !writer.has_room()
    }

    /// For whoever has something to send.
    fn leave(&self, writer: Writer) {
        let mut state = self.shared.lock();
        let has_transmit = state.machine.has_transmit() && state.waiting_count() < WAITING_MAX;
        if let Some(path) = state.path_mut(self.id) {
            // It may have come since the last look.
            if has_transmit || !path.waiting.is_empty() || path.closing.is_cancelled() {
                path.wake.notify_one();
            }
            path.idle = Some(writer);
        }
    }

    /// Until there is something to write that nobody else writes.
    async fn wait(&self) -> Writer {
        loop {
            self.wake.notified().await;
            let mut state = self.shared.lock();
            let idle = state.path_mut(self.id).and_then(|path| path.idle.take());
            if let Some(writer) = idle {
                return writer;
            }
        }
    }
}

#[cfg(test)]
mod tests;
