//! Control messages whose fields depend on one another. spec: nnrp-wire 2.6 to 2.13, 7.2

use std::num::NonZeroU64;

use bytes::Bytes;

use crate::body::field_u32;
use crate::error::WireError;
use crate::field::Reserved;
use crate::message::{
    CachePut, ClientHello, ErrorReport, FrameSubmit, Message, ResultPush, ServerHelloAck,
    SessionMigrate, SessionMigrateAck, SessionPatch, SessionPatchAck, TransportProbe,
};
use crate::metadata::{
    CacheAckMetadata, CacheInvalidateMetadata, ErrorMetadata, FlowUpdateMetadata, Ignored,
    ResultHintMetadata, SessionMigrateAckMetadata, SessionMigrateMetadata,
    TransportProbeAckMetadata, TransportProbeMetadata,
};
use crate::numbers::{
    BackpressureLevel, ErrorCode, ErrorScope, FlowFlags, FlowReason, FlowScope, TransportId,
};

macro_rules! into_message {
    ($($variant:ident($content:ty))+) => {
        $(impl From<$content> for Message {
            fn from(content: $content) -> Self {
                Self::$variant(content)
            }
        })+
    };
}

into_message! {
    ClientHello(ClientHello)
    ServerHelloAck(ServerHelloAck)
    SessionPatch(SessionPatch)
    SessionPatchAck(SessionPatchAck)
    Error(ErrorReport)
    FrameSubmit(FrameSubmit)
    ResultPush(ResultPush)
    CachePut(CachePut)
    CacheAck(CacheAckMetadata)
    CacheInvalidate(CacheInvalidateMetadata)
    FlowUpdate(FlowUpdateMetadata)
    ResultHint(ResultHintMetadata)
    TransportProbe(TransportProbe)
    TransportProbeAck(TransportProbeAckMetadata)
    SessionMigrate(SessionMigrate)
    SessionMigrateAck(SessionMigrateAck)
}

impl FlowUpdateMetadata {
    /// Of a whole connection; its packet names no session.
    #[must_use]
    pub const fn connection(reason: FlowReason) -> Self {
        Self::of(FlowScope::Connection, reason, 0)
    }

    /// Of the session that its packet names.
    #[must_use]
    pub const fn session(reason: FlowReason) -> Self {
        Self::of(FlowScope::Session, reason, 0)
    }

    /// Of an operation of the session that its packet names.
    #[must_use]
    pub const fn operation(operation_id: NonZeroU64, reason: FlowReason) -> Self {
        Self::of(FlowScope::Operation, reason, operation_id.get())
    }

    const fn of(scope_kind: FlowScope, update_reason: FlowReason, operation_id: u64) -> Self {
        Self {
            scope_kind,
            update_reason,
            backpressure_level: BackpressureLevel::None,
            reserved0: Ignored(0),
            connection_credit: 0,
            session_credit: 0,
            operation_credit: 0,
            reserved1: Ignored(0),
            operation_id,
            retry_after_ms: 0,
            credit_epoch: 0,
            flags: FlowFlags::empty(),
        }
    }

    /// The same with a credit for its scope; epochs count up with each change.
    #[must_use]
    pub fn with_credit(mut self, credit: u16, credit_epoch: u32) -> Self {
        match self.scope_kind {
            FlowScope::Connection => self.connection_credit = credit,
            FlowScope::Session => self.session_credit = credit,
            FlowScope::Operation => self.operation_credit = credit,
        }
        self.credit_epoch = credit_epoch;
        self.with_flags(FlowFlags::CREDIT_VALID)
    }

    /// The same with a time to wait, in ms.
    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: u32) -> Self {
        self.retry_after_ms = retry_after_ms;
        self.with_flags(FlowFlags::RETRY_AFTER_VALID)
    }

    /// The same with how hard it presses.
    #[must_use]
    pub fn with_backpressure(mut self, level: BackpressureLevel) -> Self {
        self.backpressure_level = level;
        self
    }

    /// The same with these flags too.
    #[must_use]
    pub fn with_flags(mut self, flags: FlowFlags) -> Self {
        self.flags |= flags;
        self
    }
}

impl TransportProbe {
    /// A probe that was sent at this time of the client's monotonic clock, in µs.
    ///
    /// # Errors
    /// [`Category::ValueOutOfRange`](crate::Category::ValueOutOfRange) if the payload is longer than a body can be.
    pub fn new(
        probe_id: u32,
        client_send_ts_us: u64,
        payload: impl Into<Bytes>,
    ) -> Result<Self, WireError> {
        let payload = payload.into();
        Ok(Self {
            metadata: TransportProbeMetadata {
                probe_id,
                probe_payload_bytes: field_u32(payload.len() as u64, "probe_payload_bytes")?,
                client_send_ts_us,
            },
            payload,
        })
    }
}

impl TransportProbeAckMetadata {
    /// The answer to a probe that came at this time of the server's monotonic clock, in µs.
    #[must_use]
    pub const fn new(probe_id: u32, server_recv_ts_us: u64) -> Self {
        Self {
            probe_id,
            reserved: Reserved(0),
            server_recv_ts_us,
        }
    }
}

impl SessionMigrate {
    /// From one transport to another, asked for at this time of the client's monotonic clock, in µs.
    ///
    /// # Errors
    /// [`Category::RequiredValueMissing`](crate::Category::RequiredValueMissing) if a transport is not named.
    pub fn new(
        from: TransportId,
        to: TransportId,
        last_result_frame_id: u64,
        client_migrate_ts_us: u64,
    ) -> Result<Self, WireError> {
        let metadata = SessionMigrateMetadata {
            old_transport_id: from,
            new_transport_id: to,
            last_result_frame_id,
            client_migrate_ts_us,
        };
        metadata.check().map_err(WireError::unplaced)?;
        Ok(Self {
            metadata,
            body: Bytes::new(),
        })
    }

    /// The same with a body, a proof of ownership for instance.
    #[must_use]
    pub fn with_body(self, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }
}

impl SessionMigrateAck {
    /// The session has moved; results come from this frame on, and the old transport works so many ms more.
    #[must_use]
    pub const fn accepted(
        resume_from_frame_id: u64,
        grace_window_ms: u32,
        server_migrate_ts_us: u64,
    ) -> Self {
        Self {
            metadata: SessionMigrateAckMetadata {
                accept_code: 0,
                resume_from_frame_id,
                grace_window_ms,
                server_migrate_ts_us,
            },
            body: Bytes::new(),
        }
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(self, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }
}

impl ErrorReport {
    /// Something that went wrong, in words.
    ///
    /// # Errors
    /// [`Category::ValueOutOfRange`](crate::Category::ValueOutOfRange) if the words are longer than a body can be.
    pub fn new(
        code: ErrorCode,
        scope: ErrorScope,
        diagnostic: impl Into<Bytes>,
    ) -> Result<Self, WireError> {
        let diagnostic = diagnostic.into();
        Ok(Self {
            metadata: ErrorMetadata {
                error_code: code.number(),
                error_scope: scope,
                is_fatal: 0,
                retry_after_ms: 0,
                related_session_id: 0,
                related_frame_id: 0,
                related_view_id: 0,
                diagnostic_bytes: field_u32(diagnostic.len() as u64, "diagnostic_bytes")?,
            },
            diagnostic,
        })
    }

    /// What to tell a peer whose packet was refused; `None` where the fault is on this side. spec: nnrp-wire 8
    #[must_use]
    pub fn about(refused: &WireError, scope: ErrorScope) -> Option<Self> {
        let code = refused.category.error_code()?;
        Self::new(code, scope, refused.to_string()).ok()
    }

    /// The same, and the end of what it concerns.
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.metadata.is_fatal = 1;
        self
    }

    /// The same with a time to wait, in ms.
    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: u32) -> Self {
        self.metadata.retry_after_ms = retry_after_ms;
        self
    }

    /// The same about a frame of a session.
    #[must_use]
    pub fn with_frame(mut self, session_id: u32, frame_id: u32, view_id: u16) -> Self {
        self.metadata.related_session_id = session_id;
        self.metadata.related_frame_id = frame_id;
        self.metadata.related_view_id = view_id.into();
        self
    }
}
