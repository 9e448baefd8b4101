//! Each fixed structure by itself. spec: nnrp-wire 7.1

use crate::body::{
    BodyPrelude, ExtensionFrameDescriptor, InlineObjectHeader, ObjectReferenceBlock,
    SectionDescriptor, TypedPayloadDescriptor,
};
use crate::error::{Category, WireError};
use crate::extension::{
    ClientTransportPolicy, ControlExtensionHeader, PayloadCapabilities, ServerTransportPolicy,
};
use crate::field::Fixed;
use crate::metadata::{
    CacheAckMetadata, CacheInvalidateMetadata, CachePutMetadata, ClientHelloMetadata,
    ErrorMetadata, FlowUpdateMetadata, FrameSubmitMetadata, ProfilePatch, ResultHintMetadata,
    ResultPushMetadata, ServerHelloAckMetadata, SessionMigrateAckMetadata, SessionMigrateMetadata,
    SessionPatchAckMetadata, SessionPatchMetadata, TransportProbeAckMetadata,
    TransportProbeMetadata,
};

/// Structures whose fields can be anything together.
macro_rules! free {
    ($category:ident: $($name:ident)+) => {
        $(impl $name {
            /// Reads one that is all of `bytes`; reserved fields may be set.
            ///
            /// # Errors
            #[doc = concat!("[`Category::", stringify!($category), "`], then the rules of its fields.")]
            #[inline]
            pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
                Self::read_whole(bytes, Category::$category, stringify!($name))
            }

            /// The bytes on the wire.
            #[must_use]
            #[inline]
            pub fn encode(&self) -> [u8; Self::BYTES] {
                let mut out = [0; Self::BYTES];
                self.write(&mut out, 0);
                out
            }
        })+
    };
}

/// Structures with rules between their fields.
macro_rules! ruled {
    ($($name:ident)+) => {
        $(impl $name {
            /// Reads one that is all of `bytes`; reserved fields may be set.
            ///
            /// # Errors
            /// [`Category::MetadataLengthMismatch`], then the rules of its fields.
            #[inline]
            pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
                let category = Category::MetadataLengthMismatch;
                let metadata = Self::read_whole(bytes, category, stringify!($name))?;
                metadata.check().map(|()| metadata)
            }

            /// The bytes on the wire.
            ///
            /// # Errors
            /// The rules of its fields.
            #[inline]
            pub fn encode(&self) -> Result<[u8; Self::BYTES], WireError> {
                self.check().map_err(WireError::unplaced)?;
                let mut out = [0; Self::BYTES];
                self.write(&mut out, 0);
                Ok(out)
            }
        })+
    };
}

free! {
    MetadataLengthMismatch:
    ClientHelloMetadata ServerHelloAckMetadata SessionPatchMetadata SessionPatchAckMetadata ErrorMetadata
    ResultHintMetadata TransportProbeMetadata TransportProbeAckMetadata SessionMigrateAckMetadata
    CachePutMetadata CacheAckMetadata CacheInvalidateMetadata
}

free! {
    FixedLengthMismatch:
    ProfilePatch BodyPrelude InlineObjectHeader ObjectReferenceBlock TypedPayloadDescriptor
    ExtensionFrameDescriptor SectionDescriptor ControlExtensionHeader ClientTransportPolicy
    ServerTransportPolicy PayloadCapabilities
}

ruled! { FlowUpdateMetadata SessionMigrateMetadata FrameSubmitMetadata ResultPushMetadata }
