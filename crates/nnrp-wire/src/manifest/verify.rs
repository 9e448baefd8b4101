//! Whether bytes of a manifest are what they are said to be.

use bytes::Bytes;
use thiserror::Error;

use super::{GoldenVector, VectorKind};
use crate::body::{BodyPrelude, ObjectReference, TypedPayloadDescriptor, TypedPayloads, View};
use crate::encode::Sink;
use crate::error::{Category, WireError};
use crate::field::Fixed;
use crate::header::Header;
use crate::message::{Envelope, Message};
use crate::metadata::{
    CacheAckMetadata, CacheInvalidateMetadata, CachePutMetadata, ClientHelloMetadata,
    ErrorMetadata, FlowUpdateMetadata, FrameSubmitMetadata, ResultHintMetadata, ResultPushMetadata,
    ServerHelloAckMetadata, SessionMigrateAckMetadata, SessionMigrateMetadata,
    SessionPatchAckMetadata, SessionPatchMetadata, TransportProbeAckMetadata,
    TransportProbeMetadata,
};
use crate::numbers::MessageType;
use crate::packet::Packet;
use crate::rules::DecodeOptions;

/// A vector that is not what it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name:?}")]
pub struct NotVerified {
    /// Which.
    pub name: String,
    /// Why not.
    #[source]
    pub reason: Reason,
}

/// Why a vector is not what it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// It cannot be read.
    #[error("cannot be read")]
    Read(#[from] WireError),
    /// It can, but would be written in another way.
    #[error("is written differently: {}", crate::inspect::to_hex(.0))]
    Differs(Bytes),
    /// The name of metadata does not end in that of a message which has some.
    #[error("its name does not say of which message it is the metadata")]
    UnknownMessage,
    /// No descriptors of the manifest fit these payloads.
    #[error("no descriptor region of the manifest fits it")]
    NoDescriptors,
}

/// Reads each vector, writes it again, and compares. Payload regions are read by the descriptor regions of the same
/// manifest. What a structure must be beyond itself, beside a body for instance, is not looked at.
///
/// # Errors
/// The first that is not what it is said to be.
pub fn verify(vectors: &[GoldenVector]) -> Result<(), NotVerified> {
    for vector in vectors {
        verify_one(vector, vectors).map_err(|reason| NotVerified {
            name: vector.name.clone(),
            reason,
        })?;
    }
    Ok(())
}

fn verify_one(vector: &GoldenVector, all: &[GoldenVector]) -> Result<(), Reason> {
    let bytes = &vector.bytes;
    let again = match vector.kind {
        VectorKind::Header => header(bytes)?,
        VectorKind::Metadata => metadata(&vector.name, bytes)?,
        VectorKind::Packet => packet(bytes)?,
        VectorKind::BodyRegion => fixed::<BodyPrelude>(bytes)?,
        VectorKind::ObjectReference => ObjectReference::decode(bytes)?.encode().to_vec(),
        VectorKind::TypedPayloadDescriptor => fixed::<TypedPayloadDescriptor>(bytes)?,
        VectorKind::TypedPayloadDescriptorRegion => descriptors(bytes)?,
        VectorKind::TypedPayloadFrameRegion => return payloads(bytes, all),
    };
    if again == *bytes {
        Ok(())
    } else {
        Err(Reason::Differs(again.into()))
    }
}

fn fixed<T: Fixed>(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    let structure = T::read_whole(bytes, Category::FixedLengthMismatch, "structure")?;
    let mut again = Vec::with_capacity(T::BYTES);
    again.fixed(&structure);
    Ok(again)
}

fn header(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    if bytes.len() > Header::BYTES {
        let error = WireError::new(Category::HeaderTruncated, "header");
        return Err(error.found(bytes.len() as u64).limit(Header::BYTES as u64));
    }
    Ok(Header::decode(bytes)?.encode().to_vec())
}

fn packet(bytes: &Bytes) -> Result<Vec<u8>, WireError> {
    let packet = Packet::decode(bytes.clone())?;
    let message = Message::decode(&packet, &DecodeOptions::COMPATIBLE)?;
    let mut again = Vec::new();
    message.encode(&Envelope::from(packet.header()), &mut again)?;
    Ok(again)
}

fn metadata(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Reason> {
    let suffix = name.rsplit('.').next().unwrap_or(name);
    let is_named = |of: &&MessageType| of.name().eq_ignore_ascii_case(suffix);
    let of = MessageType::ALL.iter().find(is_named);
    let again = match of.ok_or(Reason::UnknownMessage)? {
        MessageType::ClientHello => fixed::<ClientHelloMetadata>(bytes),
        MessageType::ServerHelloAck => fixed::<ServerHelloAckMetadata>(bytes),
        MessageType::SessionPatch => fixed::<SessionPatchMetadata>(bytes),
        MessageType::SessionPatchAck => fixed::<SessionPatchAckMetadata>(bytes),
        MessageType::Error => fixed::<ErrorMetadata>(bytes),
        MessageType::FrameSubmit => fixed::<FrameSubmitMetadata>(bytes),
        MessageType::ResultPush => fixed::<ResultPushMetadata>(bytes),
        MessageType::CachePut => fixed::<CachePutMetadata>(bytes),
        MessageType::CacheAck => fixed::<CacheAckMetadata>(bytes),
        MessageType::CacheInvalidate => fixed::<CacheInvalidateMetadata>(bytes),
        MessageType::FlowUpdate => fixed::<FlowUpdateMetadata>(bytes),
        MessageType::ResultHint => fixed::<ResultHintMetadata>(bytes),
        MessageType::TransportProbe => fixed::<TransportProbeMetadata>(bytes),
        MessageType::TransportProbeAck => fixed::<TransportProbeAckMetadata>(bytes),
        MessageType::SessionMigrate => fixed::<SessionMigrateMetadata>(bytes),
        MessageType::SessionMigrateAck => fixed::<SessionMigrateAckMetadata>(bytes),
        MessageType::Close
        | MessageType::FrameCancel
        | MessageType::ResultDrop
        | MessageType::Ping
        | MessageType::Pong => return Err(Reason::UnknownMessage),
    };
    Ok(again?)
}

fn descriptors(bytes: &Bytes) -> Result<Vec<u8>, WireError> {
    const ENTRY: usize = TypedPayloadDescriptor::BYTES;
    if !bytes.len().is_multiple_of(ENTRY) {
        let error = WireError::new(Category::RegionSizeNotMultiple, "descriptors");
        return Err(error.found(bytes.len() as u64).limit(ENTRY as u64));
    }
    let again = bytes.chunks(ENTRY).map(fixed::<TypedPayloadDescriptor>);
    Ok(again.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Some descriptors must lay them out one behind the other, to the last byte.
fn payloads(bytes: &Bytes, all: &[GoldenVector]) -> Result<(), Reason> {
    let fits = |table: &GoldenVector| {
        let (table, region) = (View::new(&table.bytes, 0), View::new(bytes, 0));
        TypedPayloads::decode(&table, region).is_ok_and(|payloads| {
            let last = payloads.descriptors().last();
            let end = last.map_or(0, |last| {
                u64::from(last.payload_offset) + u64::from(last.payload_length)
            });
            end == bytes.len() as u64
        })
    };
    let tables = all
        .iter()
        .filter(|vector| vector.kind == VectorKind::TypedPayloadDescriptorRegion);
    if tables.into_iter().any(fits) {
        Ok(())
    } else {
        Err(Reason::NoDescriptors)
    }
}
