//! A packet on its way, or what is left of it.

use std::pin::pin;
use std::slice;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use quinn::{SendStream, WriteError};

/// Bytes to write to one stream. They are not copied.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Mostly, there is no more than this.
    first: Bytes,
    more: Vec<Bytes>,
    more_written: usize,
    bytes: usize,
}

impl Outgoing {
    pub(super) const fn new(packet: Bytes) -> Self {
        Self {
            bytes: packet.len(),
            first: packet,
            more: Vec::new(),
            more_written: 0,
        }
    }

    /// What it had at first: that is held until all of it is written.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Goes on where it was if it is called again.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut SendStream,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        while !self.first.is_empty() {
            let first = slice::from_mut(&mut self.first);
            ready!(pin!(stream.write_chunks(first)).poll(context))?;
        }
        while let Some(more @ [_, ..]) = self.more.get_mut(self.more_written..) {
            let written = ready!(pin!(stream.write_chunks(more)).poll(context))?;
            self.more_written += written.chunks;
        }
        Poll::Ready(Ok(()))
    }
}
