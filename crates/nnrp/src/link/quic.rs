//! QUIC: a control stream, and a stream for each submit and each result. spec: nnrp-session 1.4

use nnrp_wire::session::{PathEnd, Transmit};
use nnrp_wire::{Packet, SplitLimits, WireError};

#[derive(Debug)]
pub(crate) struct QuicReader;

impl QuicReader {
    pub(crate) async fn next(&mut self) -> Result<Packet, PathEnd> {
        std::future::pending().await
    }

    pub(crate) fn try_next(&mut self) -> Result<Option<Packet>, PathEnd> {
        Ok(None)
    }

    pub(crate) fn set_limits(&mut self, _limits: SplitLimits) {}

    pub(crate) async fn discard(&mut self) {
        std::future::ready(()).await;
    }
}

#[derive(Debug)]
pub(crate) struct QuicWriter;

impl QuicWriter {
    pub(crate) const fn has_room(&self) -> bool {
        true
    }

    pub(crate) fn queue(&mut self, _transmit: &Transmit) -> Result<(), WireError> {
        Ok(())
    }

    pub(crate) async fn flush(&mut self) -> std::io::Result<()> {
        std::future::ready(Ok(())).await
    }

    pub(crate) async fn finish(&mut self) -> std::io::Result<()> {
        std::future::ready(Ok(())).await
    }
}
