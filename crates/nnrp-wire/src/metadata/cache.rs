//! CACHE_PUT, CACHE_ACK and CACHE_INVALIDATE. spec: nnrp-wire 2.12

use crate::field::fixed;
use crate::numbers::{CacheFlags, CacheStatus, InvalidateScope, WideObjectKind};

fixed! {
    /// An object to keep, the body.
    CachePutMetadata[32] {
        /// Of the key.
        0 cache_namespace: u32,
        /// The upper half of the key.
        4 cache_key_hi: u32,
        /// The lower half of the key.
        8 cache_key_lo: u32,
        /// What the object is.
        12 object_kind: WideObjectKind,
        /// How long to keep it, in ms.
        16 ttl_ms: u32,
        /// Bytes of the object.
        20 object_bytes: u32,
        /// How it is coded.
        24 codec_bitmap: u32,
        /// How to keep it.
        28 flags: CacheFlags,
    }
}

fixed! {
    /// Whether an object is kept.
    CacheAckMetadata[28] {
        /// Of the key.
        0 cache_namespace: u32,
        /// The upper half of the key.
        4 cache_key_hi: u32,
        /// The lower half of the key.
        8 cache_key_lo: u32,
        /// Whether it is.
        12 status: CacheStatus,
        /// How long, in ms.
        16 accepted_ttl_ms: u32,
        /// Bytes of an object at most.
        20 max_object_bytes: u32,
        /// Not defined.
        24 detail_code: u32,
    }
}

fixed! {
    /// Objects to forget.
    CacheInvalidateMetadata[20] {
        /// Which.
        0 invalidate_scope: InvalidateScope,
        /// Of the key, or all of it.
        4 cache_namespace: u32,
        /// The upper half of the key.
        8 cache_key_hi: u32,
        /// The lower half of the key.
        12 cache_key_lo: u32,
        /// Not defined.
        16 reason_code: u32,
    }
}
