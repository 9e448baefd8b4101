//! What goes out: the control stream, and streams of one packet each.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use nnrp_wire::session::{Carrier, Transmit};
use nnrp_wire::{Packet, WireError};
use quinn::{Connection, ConnectionError, SendStream, WriteError};

use super::CLOSE_CODE;
use super::backlog::{Backlog, Waiting};
use super::control::ControlSlot;
use super::outgoing::Outgoing;

/// Packets that are queued before they are written, and their bytes.
const QUEUED_MAX: usize = 64;
const QUEUED_BYTES_MAX: usize = 256 << 10;

/// Streams that are written and whose acknowledgement the end waits for; older ones are not waited for.
const SENT_MAX: usize = 1024;

/// Among so many are some that have been acknowledged, mostly.
const SENT_CHECKED: usize = 64;

/// Control packets go ahead of others that wait in the connection.
const CONTROL_PRIORITY: i32 = 1;

/// Writes each packet as soon as its stream takes it, whatever the other streams do.
pub(crate) struct QuicWriter {
    connection: Connection,
    slot: Arc<ControlSlot>,
    control: Option<SendStream>,
    /// Packets for the control stream.
    control_bytes: Vec<u8>,
    queued: VecDeque<Outgoing>,
    queued_bytes: usize,
    backlog: Backlog,
    /// Streams that are written to their end, and may not have been acknowledged.
    sent: VecDeque<SendStream>,
}

impl QuicWriter {
    pub(super) fn new(connection: Connection, slot: Arc<ControlSlot>) -> Self {
        Self {
            backlog: Backlog::new(connection.clone()),
            connection,
            slot,
            control: None,
            control_bytes: Vec::new(),
            queued: VecDeque::new(),
            queued_bytes: 0,
            sent: VecDeque::new(),
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        let bytes = self.queued_bytes + self.control_bytes.len();
        self.queued.len() < QUEUED_MAX && bytes < QUEUED_BYTES_MAX && self.backlog.has_room()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.control_bytes.len() + self.queued_bytes
    }

    /// What waits for the other side to make room, too.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.queued_bytes() + self.backlog.waiting_bytes()
    }

    pub(crate) fn queue(&mut self, transmit: &Transmit) -> Result<(), WireError> {
        match transmit.carrier() {
            Carrier::Control => transmit
                .message
                .encode(&transmit.envelope, &mut self.control_bytes),
            Carrier::Submit | Carrier::Result => {
                let mut packet = Vec::new();
                transmit.message.encode(&transmit.envelope, &mut packet)?;
                self.queue_bytes(packet);
                Ok(())
            }
        }
    }

    pub(crate) fn queue_packet(&mut self, packet: &Packet) {
        match packet.header().message_type.carrier() {
            Carrier::Control => packet.encode_into(&mut self.control_bytes),
            Carrier::Submit | Carrier::Result => self.queue_bytes(packet.encode()),
        }
    }

    /// For a stream of its own.
    fn queue_bytes(&mut self, packet: Vec<u8>) {
        self.queued_bytes += packet.len();
        self.queued.push_back(Outgoing::new(packet.into()));
    }

    /// Nothing is lost if it is dropped.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.write_control()?;
        self.write_queued()?;
        self.forget_acknowledged();
        self.backlog.room().await;
        self.backlog.check()
    }

    /// Changes as the other side makes room, and gets what is sent. It may do so without getting anything new.
    pub(crate) fn progress(&self) -> u64 {
        let received = self.connection.stats().frame_rx;
        let room = received.max_data + received.max_stream_data + received.max_streams_uni;
        room + received.acks
    }

    /// If it is dropped, another call goes on with it.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.backlog.emptied().await;
        self.backlog.check()?;
        self.sent.extend(self.backlog.take_finished());
        self.control = self.backlog.take_control().or_else(|| self.control.take());
        if let Some(control) = &mut self.control {
            // It was finished already if this is not the first call.
            let _ = control.finish();
        }
        for stream in self.sent.iter().chain(&self.control) {
            match stream.stopped().await {
                Ok(_) => {}
                Err(quinn::StoppedError::ConnectionLost(ConnectionError::ApplicationClosed(
                    close,
                ))) if close.error_code == CLOSE_CODE => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.connection.close(CLOSE_CODE, b"");
        Ok(())
    }

    fn write_control(&mut self) -> io::Result<()> {
        if self.control_bytes.is_empty() {
            return Ok(());
        }
        let outgoing = Outgoing::new(std::mem::take(&mut self.control_bytes).into());
        let Err(mut outgoing) = self.backlog.push_behind_control(outgoing) else {
            return Ok(());
        };
        let mut stream = self.control_stream()?;
        match write_now(&mut outgoing, &mut stream) {
            Poll::Ready(written) => {
                written?;
                self.control = Some(stream);
            }
            Poll::Pending => self.backlog.push(Waiting::Control(stream, outgoing)),
        }
        Ok(())
    }

    fn control_stream(&mut self) -> io::Result<SendStream> {
        let known = self.control.take();
        let known = known.or_else(|| self.backlog.take_control());
        if let Some(stream) = known {
            return Ok(stream);
        }
        if let Some(send) = self.slot.take_send() {
            // It fails if the other side has stopped it, which writing tells.
            let _ = send.set_priority(CONTROL_PRIORITY);
            return Ok(send);
        }
        let Poll::Ready(opened) = now(self.connection.open_bi()) else {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the other side allows no control stream",
            ));
        };
        let (send, recv) = opened?;
        // It cannot fail: the stream is open.
        let _ = send.set_priority(CONTROL_PRIORITY);
        self.slot.opened_here(recv);
        Ok(send)
    }

    fn write_queued(&mut self) -> io::Result<()> {
        while let Some(mut outgoing) = self.queued.pop_front() {
            self.queued_bytes -= outgoing.bytes();
            if self.backlog.waits_for_streams() {
                self.backlog.push(Waiting::Opened(outgoing));
                continue;
            }
            let Poll::Ready(opened) = now(self.connection.open_uni()) else {
                self.backlog.push(Waiting::Opened(outgoing));
                continue;
            };
            let mut stream = opened?;
            match write_now(&mut outgoing, &mut stream) {
                Poll::Ready(Ok(())) => {
                    // It fails if the other side has stopped it, and then there is no more to do.
                    let _ = stream.finish();
                    self.sent.push_back(stream);
                }
                // The other side does not want this packet.
                Poll::Ready(Err(WriteError::Stopped(_))) => {}
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => self.backlog.push(Waiting::Written(stream, outgoing)),
            }
        }
        Ok(())
    }

    fn forget_acknowledged(&mut self) {
        self.sent.extend(self.backlog.take_finished());
        if self.sent.len() < SENT_CHECKED {
            return;
        }
        // A stream that is acknowledged is gone, and so has no priority.
        while self
            .sent
            .front()
            .is_some_and(|stream| stream.priority().is_err())
        {
            self.sent.pop_front();
        }
        let surplus = self.sent.len().saturating_sub(SENT_MAX);
        self.sent.drain(..surplus);
    }
}

/// What a future says without being waited for.
fn now<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn write_now(outgoing: &mut Outgoing, stream: &mut SendStream) -> Poll<Result<(), WriteError>> {
    outgoing.poll_write(stream, &mut Context::from_waker(Waker::noop()))
}

impl std::fmt::Debug for QuicWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicWriter")
            .field("queued_bytes", &self.queued_bytes)
            .field("backlog", &self.backlog)
            .finish_non_exhaustive()
    }
}
