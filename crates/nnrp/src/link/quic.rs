//! QUIC: a control stream, and a stream for each submit and each result. spec: nnrp-session 1.4
//!
//! A stream is never reset, and nothing is dropped half-written: the reference loses the whole connection by it.

mod backlog;
mod control;
mod options;
mod outgoing;
mod reader;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use nnrp_wire::session::PathEnd;
use quinn::{Connection, ConnectionError, VarInt};
use rustls::pki_types::CertificateDer;

use self::control::ControlSlot;
pub use self::options::QuicOptions;
pub(crate) use self::reader::QuicReader;
pub(crate) use self::writer::QuicWriter;

/// What the reference closes a connection with, and what any end without a fault has.
pub(crate) const CLOSE_CODE: VarInt = VarInt::from_u32(0);

/// Both halves of a connection whose handshake is done; of packets that have begun, so many bytes are held.
pub(crate) fn halves(connection: &Connection, begun_bytes_max: u64) -> (QuicReader, QuicWriter) {
    let control = Arc::new(ControlSlot::default());
    let reader = QuicReader::new(connection.clone(), Arc::clone(&control), begun_bytes_max);
    (reader, QuicWriter::new(connection.clone(), control))
}

/// What the other side has shown, in DER.
pub(crate) fn peer_certificates(connection: &Connection) -> Vec<Bytes> {
    let identity = connection.peer_identity();
    let shown = identity.and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let shown = shown.map(|shown| *shown).unwrap_or_default();
    shown
        .iter()
        .map(|certificate| Bytes::copy_from_slice(certificate))
        .collect()
}

/// What the end of a connection means for the session.
fn path_end(error: &ConnectionError) -> PathEnd {
    match error {
        ConnectionError::ApplicationClosed(close) if close.error_code == CLOSE_CODE => {
            PathEnd::Finished
        }
        ConnectionError::LocallyClosed => PathEnd::Finished,
        ConnectionError::ApplicationClosed(_)
        | ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::CidsExhausted => PathEnd::Lost,
    }
}

#[cfg(test)]
mod tests;
