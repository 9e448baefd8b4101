//! Probes and migration. spec: nnrp-wire 2.10, 2.11

use crate::error::{Category, WireError};
use crate::field::{Reserved, fixed};
use crate::numbers::TransportId;

fixed! {
    /// Measures a transport.
    TransportProbeMetadata[16] {
        /// Comes back in the answer.
        0 probe_id: u32,
        /// Bytes of the body.
        4 probe_payload_bytes: u32,
        /// When it was sent, by the client's monotonic clock, in µs.
        8 client_send_ts_us: u64,
    }
}

fixed! {
    /// Answers a probe.
    TransportProbeAckMetadata[16] {
        /// The probe's.
        0 probe_id: u32,
        /// Zero.
        4 reserved: Reserved<u32>,
        /// When it came, by the server's monotonic clock, in µs.
        8 server_recv_ts_us: u64,
    }
}

fixed! {
    /// Moves a session to another transport.
    SessionMigrateMetadata[24] {
        /// Where it was.
        0 old_transport_id: TransportId,
        /// Where it is to be.
        4 new_transport_id: TransportId,
        /// The last frame whose result has come; 64 bits here, 32 in headers (Q30).
        8 last_result_frame_id: u64,
        /// When it asked, by the client's monotonic clock, in µs.
        16 client_migrate_ts_us: u64,
    }
}

impl SessionMigrateMetadata {
    /// Both transports must be named.
    pub(crate) fn check(&self) -> Result<(), WireError> {
        for (what, at, transport) in [
            ("old_transport_id", 0, self.old_transport_id),
            ("new_transport_id", 4, self.new_transport_id),
        ] {
            if transport == TransportId::Unspecified {
                return Err(WireError::new(Category::RequiredValueMissing, what)
                    .at(at)
                    .found(0));
            }
        }
        Ok(())
    }
}

fixed! {
    /// Whether it has moved.
    SessionMigrateAckMetadata[24] {
        /// 0 if it has; other values are not defined.
        0 accept_code: u32,
        /// Results come from this frame on.
        4 resume_from_frame_id: u64,
        /// How long the old transport still works, in ms.
        12 grace_window_ms: u32,
        /// When it answered, by the server's monotonic clock, in µs.
        16 server_migrate_ts_us: u64,
    }
}
