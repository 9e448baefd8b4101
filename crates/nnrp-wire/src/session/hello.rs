//! What client and server agree on. spec: nnrp-session 2

use bytes::Bytes;
use thiserror::Error;

use super::cache_store::CacheLimits;
use crate::extension::{ControlExtension, KnownExtension, ServerTransportPolicy};
use crate::field::Reserved;
use crate::header::VERSION_MAJOR;
use crate::message::{ClientHello, Envelope, ServerHelloAck};
use crate::metadata::{ClientHelloMetadata, ServerHelloAckMetadata};
use crate::numbers::{ErrorCode, LossTolerance, PayloadKinds, WireFormat};

/// Why a hello's answer cannot be used. spec: nnrp-session 2.4
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AckFault {
    /// The client is not accepted.
    #[error("authentication status {status}: check the token")]
    Auth {
        /// Not 0.
        status: u8,
    },
    /// Not a version that was offered.
    #[error("version {version} was not offered")]
    Version {
        /// What it says.
        version: u8,
    },
    /// Not a wire format that was offered.
    #[error("wire format {wire_format} was not offered")]
    WireFormat {
        /// What it says.
        wire_format: u8,
    },
    /// There is no session without an id.
    #[error("the session has no id")]
    NoSession,
    /// The header names another session; none is allowed.
    #[error("the header names session {header_session_id}, the metadata session {session_id}")]
    OtherSession {
        /// Of the header.
        header_session_id: u32,
        /// Of the metadata.
        session_id: u32,
    },
}

/// What holds for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// The session; of the metadata, as the header may leave it open.
    pub session_id: u32,
    /// All that the server has said.
    pub ack: ServerHelloAckMetadata,
    /// Payload kinds that hold; what the extension says goes before the bitmap.
    pub payload_kinds: PayloadKinds,
    /// What the server says of transports, if it does.
    pub transport: Option<ServerTransportPolicy>,
    /// How much may be lost.
    pub loss_tolerance: LossTolerance,
    /// Extensions, known or not.
    pub extensions: Vec<ControlExtension>,
    /// Anything; by custom the name of the active model.
    pub payload: Bytes,
}

impl Established {
    /// Takes a hello's answer.
    ///
    /// # Errors
    /// If it breaks a rule.
    pub fn from_ack(
        hello: &ClientHelloMetadata,
        envelope: &Envelope,
        ack: ServerHelloAck,
    ) -> Result<Self, AckFault> {
        check_ack(hello, envelope, &ack.metadata)?;
        let mut established = Self {
            session_id: ack.metadata.session_id,
            ack: ack.metadata,
            payload_kinds: PayloadKinds::from_bits_truncate(
                ack.metadata.accepted_payload_kind_bitmap,
            ),
            transport: None,
            loss_tolerance: LossTolerance::BestEffort,
            extensions: ack.extensions,
            payload: ack.payload,
        };
        // An extension that cannot be read is not known; it stays among the extensions.
        let known = |extension: &ControlExtension| extension.known().ok().flatten();
        for known in established.extensions.iter().filter_map(known) {
            match known {
                KnownExtension::ServerTransportPolicy(policy) => {
                    established.transport = Some(policy);
                }
                KnownExtension::LossTolerance(tolerance) => established.loss_tolerance = tolerance,
                KnownExtension::PayloadCapabilities(capabilities) => {
                    established.payload_kinds = capabilities.payload_kind_bitmap;
                }
                KnownExtension::ClientTransportPolicy(_) => {}
            }
        }
        Ok(established)
    }
}

fn check_ack(
    hello: &ClientHelloMetadata,
    envelope: &Envelope,
    ack: &ServerHelloAckMetadata,
) -> Result<(), AckFault> {
    if ack.auth_status != 0 {
        return Err(AckFault::Auth {
            status: ack.auth_status,
        });
    }
    let version = ack.selected_version_major;
    if !(hello.min_version_major..=hello.max_version_major).contains(&version) {
        return Err(AckFault::Version { version });
    }
    let wire_format = ack.selected_wire_format;
    let bit = 1_u16.checked_shl(u32::from(wire_format)).unwrap_or(0);
    if hello.supported_wire_format_bitmap & bit == 0 {
        return Err(AckFault::WireFormat { wire_format });
    }
    let session_id = ack.session_id;
    if session_id == 0 {
        return Err(AckFault::NoSession);
    }
    if envelope.session_id != 0 && envelope.session_id != session_id {
        return Err(AckFault::OtherSession {
            header_session_id: envelope.session_id,
            session_id,
        });
    }
    Ok(())
}

/// The hello of the reference: what it can, and what it asks for. spec: nnrp-session 2.2
pub const REFERENCE_HELLO: ClientHelloMetadata = ClientHelloMetadata {
    min_version_major: VERSION_MAJOR,
    max_version_major: VERSION_MAJOR,
    supported_wire_format_bitmap: 1 << WireFormat::Current.number(),
    supported_profile_bitmap: 1,
    supported_payload_kind_bitmap: PayloadKinds::TENSOR.bits(),
    supported_codec_bitmap: 0b11,
    supported_compression_bitmap: 0b11,
    supported_dtype_bitmap: 0b1_1111,
    supported_layout_bitmap: 0b11,
    cache_digest_bitmap: 1,
    cache_object_bitmap: 0b111,
    cache_namespace_count: 1,
    max_lane_count: 1,
    max_cache_entries: 256,
    max_cache_bytes: 8 << 20,
    target_cadence_x100: 6000,
    latency_budget_ms: 50,
    quality_tier: 2,
    degrade_policy: 0,
    requested_session_id: 1,
    auth_bytes: 0,
    control_extension_bytes: 0,
};

/// What a server can, and what it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerCapabilities {
    /// Profiles it knows.
    pub profile_bitmap: u32,
    /// Payload kinds it takes and makes.
    pub payload_kinds: PayloadKinds,
    /// Codecs it knows.
    pub codec_bitmap: u32,
    /// Compressions it knows.
    pub compression_bitmap: u32,
    /// Bit n is [`DType`](crate::DType) n.
    pub dtype_bitmap: u32,
    /// Bit n is [`Layout`](crate::Layout) n.
    pub layout_bitmap: u32,
    /// Lanes at most.
    pub max_lane_count: u16,
    /// Frames in flight that a client is allowed; 0 is any number.
    pub max_concurrent_frames: u16,
    /// Bytes of a body at most.
    pub max_body_bytes: u32,
    /// What it keeps of a client's objects.
    pub cache: CacheLimits,
}

impl Default for ServerCapabilities {
    /// All that this crate knows, 16 frames in flight, 32 MiB, the default cache.
    fn default() -> Self {
        Self {
            profile_bitmap: 1,
            payload_kinds: PayloadKinds::all(),
            codec_bitmap: 0b11,
            compression_bitmap: 0b11,
            dtype_bitmap: 0xff,
            layout_bitmap: 0b11,
            max_lane_count: 1,
            max_concurrent_frames: 16,
            max_body_bytes: 32 << 20,
            cache: CacheLimits::default(),
        }
    }
}

/// Why there is no session for a hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct HelloRefusal {
    /// What the client is told.
    pub code: ErrorCode,
    /// Why.
    pub reason: &'static str,
}

impl ServerCapabilities {
    /// The answer to a hello: what both sides can. Its session is the one that was asked for, which the caller replaces if
    /// that is 0 or taken.
    ///
    /// Payload kinds are those of the server, as clients of the reference announce tensors and send others too; unless the
    /// client says what it can in an extension.
    ///
    /// # Errors
    /// If there is no version or wire format that both know.
    pub fn negotiate(&self, hello: &ClientHello) -> Result<ServerHelloAckMetadata, HelloRefusal> {
        let offer = &hello.metadata;
        let refused = |reason| {
            let code = ErrorCode::UnsupportedVersion;
            Err(HelloRefusal { code, reason })
        };
        let versions = offer.min_version_major..=offer.max_version_major;
        if !versions.contains(&VERSION_MAJOR) {
            return refused("version 1 is not offered");
        }
        if offer.supported_wire_format_bitmap & 1 << WireFormat::Current.number() == 0 {
            return refused("wire format 0 is not offered");
        }
        let cache_kinds = self.cache.kinds.bits() & u32::from(offer.cache_object_bitmap);
        let has_cache = cache_kinds != 0;
        Ok(ServerHelloAckMetadata {
            selected_version_major: VERSION_MAJOR,
            selected_wire_format: WireFormat::Current.number(),
            auth_status: 0,
            reserved0: Reserved::default(),
            session_id: offer.requested_session_id,
            accepted_profile_bitmap: self.profile_bitmap & offer.supported_profile_bitmap,
            accepted_payload_kind_bitmap: self.accepted_kinds(hello).bits(),
            accepted_codec_bitmap: self.codec_bitmap & offer.supported_codec_bitmap,
            accepted_compression_bitmap: self.compression_bitmap
                & offer.supported_compression_bitmap,
            accepted_dtype_bitmap: self.dtype_bitmap & offer.supported_dtype_bitmap,
            accepted_layout_bitmap: self.layout_bitmap & offer.supported_layout_bitmap,
            cache_digest_bitmap: 0,
            cache_object_bitmap: cache_kinds,
            max_cache_entries: if has_cache { self.cache.entries_max } else { 0 },
            max_cache_bytes: if has_cache { self.cache.bytes_max } else { 0 },
            max_lane_count: self.max_lane_count,
            max_concurrent_frames: self.max_concurrent_frames,
            target_cadence_x100: offer.target_cadence_x100,
            latency_budget_ms: offer.latency_budget_ms,
            quality_tier: offer.quality_tier,
            degrade_policy: offer.degrade_policy,
            max_body_bytes: self.max_body_bytes,
            token_ttl_ms: 0,
            retry_after_ms: 0,
            control_extension_bytes: 0,
            server_flags: 0,
        })
    }

    fn accepted_kinds(&self, hello: &ClientHello) -> PayloadKinds {
        let known = |extension: &ControlExtension| extension.known().ok().flatten();
        let announced = hello
            .extensions
            .iter()
            .filter_map(known)
            .find_map(|known| match known {
                KnownExtension::PayloadCapabilities(capabilities) => {
                    Some(capabilities.payload_kind_bitmap)
                }
                KnownExtension::ClientTransportPolicy(_)
                | KnownExtension::ServerTransportPolicy(_)
                | KnownExtension::LossTolerance(_) => None,
            });
        announced.map_or(self.payload_kinds, |kinds| kinds & self.payload_kinds)
    }
}
