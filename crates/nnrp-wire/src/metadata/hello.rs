//! CLIENT_HELLO and SERVER_HELLO_ACK. spec: nnrp-wire 2.1, 2.2

use crate::field::{Reserved, fixed};

fixed! {
    /// What a client can, and what it asks for. The values are not checked against each other.
    ClientHelloMetadata[64] {
        /// The lowest version it speaks.
        0 min_version_major: u8,
        /// The highest version it speaks.
        1 max_version_major: u8,
        /// Bit n is wire format n.
        2 supported_wire_format_bitmap: u16,
        /// Profiles it knows.
        4 supported_profile_bitmap: u32,
        /// Payload kinds; bits that are not known may be set (Q33).
        8 supported_payload_kind_bitmap: u32,
        /// Codecs it knows.
        12 supported_codec_bitmap: u32,
        /// Compressions it knows.
        16 supported_compression_bitmap: u32,
        /// Bit n is [`DType`](crate::DType) n.
        20 supported_dtype_bitmap: u32,
        /// Bit n is [`Layout`](crate::Layout) n.
        24 supported_layout_bitmap: u32,
        /// Digests it knows.
        28 cache_digest_bitmap: u16,
        /// [`ObjectKinds`](crate::ObjectKinds) that it caches; 16 bits here, 32 in the answer (Q30).
        30 cache_object_bitmap: u16,
        /// Cache namespaces it uses.
        32 cache_namespace_count: u16,
        /// Lanes it uses.
        34 max_lane_count: u16,
        /// Objects it keeps.
        36 max_cache_entries: u32,
        /// Bytes of objects it keeps.
        40 max_cache_bytes: u32,
        /// Frames per second, times 100.
        44 target_cadence_x100: u16,
        /// How long a frame may take, in ms.
        46 latency_budget_ms: u16,
        /// Which quality it wants.
        48 quality_tier: u16,
        /// How to degrade.
        50 degrade_policy: u16,
        /// The session it wants; 0 is any.
        52 requested_session_id: u32,
        /// Bytes of the auth block, the last of the body.
        56 auth_bytes: u32,
        /// Bytes of the control extensions, the first of the body.
        60 control_extension_bytes: u32,
    }
}

fixed! {
    /// What a server makes of it.
    ServerHelloAckMetadata[80] {
        /// The version from now on.
        0 selected_version_major: u8,
        /// The wire format from now on.
        1 selected_wire_format: u8,
        /// 0 if the client is accepted.
        2 auth_status: u8,
        /// Zero.
        3 reserved0: Reserved<u8>,
        /// The session that the client must use from now on.
        4 session_id: u32,
        /// Profiles that hold.
        8 accepted_profile_bitmap: u32,
        /// Payload kinds that hold.
        12 accepted_payload_kind_bitmap: u32,
        /// Codecs that hold.
        16 accepted_codec_bitmap: u32,
        /// Compressions that hold.
        20 accepted_compression_bitmap: u32,
        /// Element types that hold.
        24 accepted_dtype_bitmap: u32,
        /// Layouts that hold.
        28 accepted_layout_bitmap: u32,
        /// Digests that hold.
        32 cache_digest_bitmap: u32,
        /// [`ObjectKinds`](crate::ObjectKinds) that hold.
        36 cache_object_bitmap: u32,
        /// Objects that the server keeps.
        40 max_cache_entries: u32,
        /// Bytes of objects that the server keeps.
        44 max_cache_bytes: u32,
        /// Lanes at most.
        48 max_lane_count: u16,
        /// Frames in flight at most.
        50 max_concurrent_frames: u16,
        /// Frames per second, times 100.
        52 target_cadence_x100: u16,
        /// How long a frame may take, in ms.
        54 latency_budget_ms: u16,
        /// Which quality it gives.
        56 quality_tier: u16,
        /// How it degrades.
        58 degrade_policy: u16,
        /// Bytes of a body at most.
        60 max_body_bytes: u32,
        /// How long the session may be resumed, in ms.
        64 token_ttl_ms: u32,
        /// When to try again, in ms.
        68 retry_after_ms: u32,
        /// Bytes of the control extensions, the first of the body.
        72 control_extension_bytes: u32,
        /// Not defined.
        76 server_flags: u32,
    }
}
