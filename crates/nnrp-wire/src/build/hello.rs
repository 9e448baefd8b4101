//! CLIENT_HELLO and SERVER_HELLO_ACK. spec: nnrp-wire 2.1, 2.2

use bytes::Bytes;

use crate::extension::ControlExtension;
use crate::field::Reserved;
use crate::header::VERSION_MAJOR;
use crate::message::{ClientHello, ServerHelloAck};
use crate::metadata::{ClientHelloMetadata, ServerHelloAckMetadata};
use crate::numbers::WireFormat;

impl Default for ClientHelloMetadata {
    /// Version 1 in the current wire format, and zeros.
    fn default() -> Self {
        Self {
            min_version_major: VERSION_MAJOR,
            max_version_major: VERSION_MAJOR,
            supported_wire_format_bitmap: 1 << WireFormat::Current.number(),
            supported_profile_bitmap: 0,
            supported_payload_kind_bitmap: 0,
            supported_codec_bitmap: 0,
            supported_compression_bitmap: 0,
            supported_dtype_bitmap: 0,
            supported_layout_bitmap: 0,
            cache_digest_bitmap: 0,
            cache_object_bitmap: 0,
            cache_namespace_count: 0,
            max_lane_count: 0,
            max_cache_entries: 0,
            max_cache_bytes: 0,
            target_cadence_x100: 0,
            latency_budget_ms: 0,
            quality_tier: 0,
            degrade_policy: 0,
            requested_session_id: 0,
            auth_bytes: 0,
            control_extension_bytes: 0,
        }
    }
}

impl Default for ServerHelloAckMetadata {
    /// Version 1 in the current wire format, accepted, and zeros.
    fn default() -> Self {
        Self {
            selected_version_major: VERSION_MAJOR,
            selected_wire_format: WireFormat::Current.number(),
            auth_status: 0,
            reserved0: Reserved(0),
            session_id: 0,
            accepted_profile_bitmap: 0,
            accepted_payload_kind_bitmap: 0,
            accepted_codec_bitmap: 0,
            accepted_compression_bitmap: 0,
            accepted_dtype_bitmap: 0,
            accepted_layout_bitmap: 0,
            cache_digest_bitmap: 0,
            cache_object_bitmap: 0,
            max_cache_entries: 0,
            max_cache_bytes: 0,
            max_lane_count: 0,
            max_concurrent_frames: 0,
            target_cadence_x100: 0,
            latency_budget_ms: 0,
            quality_tier: 0,
            degrade_policy: 0,
            max_body_bytes: 0,
            token_ttl_ms: 0,
            retry_after_ms: 0,
            control_extension_bytes: 0,
            server_flags: 0,
        }
    }
}

impl ClientHello {
    /// A hello without extensions and auth block.
    ///
    /// ```
    /// use nnrp_wire::metadata::ClientHelloMetadata;
    /// use nnrp_wire::{ClientHello, ControlExtension, LossTolerance, PayloadKinds};
    ///
    /// let hello = ClientHello::new(ClientHelloMetadata {
    ///     supported_payload_kind_bitmap: PayloadKinds::all().bits(),
    ///     target_cadence_x100: 6000,
    ///     ..ClientHelloMetadata::default()
    /// })
    /// .with_extension(ControlExtension::client_loss_tolerance(LossTolerance::LowLatency))
    /// .with_auth("secret");
    /// assert_eq!(hello.extensions.len(), 1);
    /// ```
    #[must_use]
    pub const fn new(metadata: ClientHelloMetadata) -> Self {
        Self {
            metadata,
            extensions: Vec::new(),
            auth: Bytes::new(),
        }
    }

    /// The same with one more extension.
    #[must_use]
    pub fn with_extension(mut self, extension: ControlExtension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The same with this auth block.
    #[must_use]
    pub fn with_auth(self, auth: impl Into<Bytes>) -> Self {
        Self {
            auth: auth.into(),
            ..self
        }
    }
}

impl ServerHelloAck {
    /// An answer without extensions and payload.
    #[must_use]
    pub const fn new(metadata: ServerHelloAckMetadata) -> Self {
        Self {
            metadata,
            extensions: Vec::new(),
            payload: Bytes::new(),
        }
    }

    /// The same with one more extension.
    #[must_use]
    pub fn with_extension(mut self, extension: ControlExtension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The same with this payload: by the reference's custom, the name of the active model.
    #[must_use]
    pub fn with_payload(self, payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            ..self
        }
    }
}
