//! A packet on its way, or what is left of it.

use std::pin::pin;
use std::slice;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use quinn::{SendStream, WriteError};

/// Bytes to write to one stream. They are not copied.
#[derive(Debug)]
pub(super) struct Outgoing {
    rest: Bytes,
    bytes: usize,
}

impl Outgoing {
    pub(super) const fn new(packet: Bytes) -> Self {
        Self {
            bytes: packet.len(),
            rest: packet,
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
        while !self.rest.is_empty() {
            let rest = slice::from_mut(&mut self.rest);
            ready!(pin!(stream.write_chunks(rest)).poll(context))?;
        }
        Poll::Ready(Ok(()))
    }
}
