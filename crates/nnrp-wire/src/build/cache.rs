//! CACHE_PUT, CACHE_ACK and CACHE_INVALIDATE. spec: nnrp-wire 2.12

use bytes::Bytes;

use crate::body::{ObjectReference, field_u32};
use crate::error::WireError;
use crate::message::CachePut;
use crate::metadata::{CacheAckMetadata, CacheInvalidateMetadata, CachePutMetadata};
use crate::numbers::{CacheFlags, CacheStatus, InvalidateScope, WideObjectKind};

impl CachePut {
    /// An object under this kind and key, to be kept for so many ms.
    ///
    /// # Errors
    /// [`Category::ValueOutOfRange`](crate::Category::ValueOutOfRange) if the object is longer than a body can be.
    pub fn new(
        reference: &ObjectReference,
        ttl_ms: u32,
        object: impl Into<Bytes>,
    ) -> Result<Self, WireError> {
        let (object, block) = (object.into(), reference.block());
        Ok(Self {
            metadata: CachePutMetadata {
                cache_namespace: block.cache_namespace,
                cache_key_hi: block.cache_key_hi,
                cache_key_lo: block.cache_key_lo,
                object_kind: WideObjectKind(block.object_kind),
                ttl_ms,
                object_bytes: field_u32(object.len() as u64, "object_bytes")?,
                codec_bitmap: 0,
                flags: CacheFlags::empty(),
            },
            object,
        })
    }

    /// What refers to the object.
    #[must_use]
    pub fn reference(&self) -> ObjectReference {
        let CachePutMetadata {
            cache_namespace: namespace,
            cache_key_hi,
            cache_key_lo,
            object_kind,
            ..
        } = self.metadata;
        let key = u64::from(cache_key_hi) << 32 | u64::from(cache_key_lo);
        ObjectReference::new(object_kind.0, namespace, key)
    }
}

impl CacheAckMetadata {
    /// The answer to a CACHE_PUT.
    #[must_use]
    pub const fn to(put: &CachePutMetadata, status: CacheStatus) -> Self {
        let accepted_ttl_ms = match status {
            CacheStatus::Accepted | CacheStatus::Replaced => put.ttl_ms,
            CacheStatus::Rejected => 0,
        };
        Self {
            cache_namespace: put.cache_namespace,
            cache_key_hi: put.cache_key_hi,
            cache_key_lo: put.cache_key_lo,
            status,
            accepted_ttl_ms,
            max_object_bytes: 0,
            detail_code: 0,
        }
    }
}

/// There is none for the scope OBJECT_KIND: no field says which kind (Q11).
impl CacheInvalidateMetadata {
    /// Everything of the session.
    #[must_use]
    pub const fn session(reason_code: u32) -> Self {
        Self {
            invalidate_scope: InvalidateScope::WholeSession,
            cache_namespace: 0,
            cache_key_hi: 0,
            cache_key_lo: 0,
            reason_code,
        }
    }

    /// Everything of a namespace.
    #[must_use]
    pub const fn namespace(cache_namespace: u32, reason_code: u32) -> Self {
        Self {
            invalidate_scope: InvalidateScope::Namespace,
            cache_namespace,
            ..Self::session(reason_code)
        }
    }

    /// One object.
    #[must_use]
    pub fn object(reference: &ObjectReference, reason_code: u32) -> Self {
        let block = reference.block();
        Self {
            invalidate_scope: InvalidateScope::ObjectKey,
            cache_namespace: block.cache_namespace,
            cache_key_hi: block.cache_key_hi,
            cache_key_lo: block.cache_key_lo,
            reason_code,
        }
    }
}
