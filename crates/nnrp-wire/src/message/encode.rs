//! From messages to bytes.

use bytes::Bytes;

use super::{
    ClientHello, Envelope, FrameSubmit, Message, ResultBody, ResultPush, ServerHelloAck, SubmitBody,
};
use crate::body::{ComposedBody, FlatBody, check_result, check_submit, field_u32};
use crate::encode::{Pieces, Sink};
use crate::error::{Category, WireError};
use crate::extension::ControlExtension;
use crate::field::Fixed;
use crate::header::Header;
use crate::metadata::{
    CachePutMetadata, ClientHelloMetadata, ErrorMetadata, ProfilePatch, ServerHelloAckMetadata,
    SessionPatchAckMetadata, SessionPatchMetadata, TransportProbeMetadata,
};
use crate::numbers::{MessageType, PayloadKinds};
use crate::rules::Rules;

impl Message {
    /// Appends the bytes on the wire. Nothing is appended if it fails.
    ///
    /// Lengths in metadata that follow from the body are written as they are, not as the message has them.
    ///
    /// # Errors
    /// If the message breaks a rule between its fields, or something is too long.
    pub fn encode(&self, envelope: &Envelope, out: &mut Vec<u8>) -> Result<(), WireError> {
        self.write(&mut Writer {
            envelope,
            sink: out,
        })
    }

    /// As [`Self::encode`], with large payloads left where they are. What `pieces` held before is gone.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_pieces(&self, envelope: &Envelope, pieces: &mut Pieces) -> Result<(), WireError> {
        pieces.clear();
        self.append_pieces(envelope, pieces)
    }

    /// As [`Self::encode_pieces`], behind the packets that `pieces` holds already.
    ///
    /// # Errors
    /// As [`Self::encode`]; `pieces` is as it was then.
    pub fn append_pieces(&self, envelope: &Envelope, pieces: &mut Pieces) -> Result<(), WireError> {
        let mark = pieces.mark();
        let written = self.write(&mut Writer {
            envelope,
            sink: pieces,
        });
        if written.is_err() {
            pieces.go_back(&mark);
        }
        written
    }

    #[inline]
    fn write(&self, to: &mut Writer<'_, impl Sink>) -> Result<(), WireError> {
        match self {
            Self::ClientHello(hello) => to.client_hello(hello),
            Self::ServerHelloAck(ack) => to.server_hello_ack(ack),
            Self::SessionPatch(patch) => {
                let metadata = SessionPatchMetadata {
                    profile_patch_bytes: profile_bytes(patch.profile.as_ref()),
                    ..patch.metadata
                };
                to.profile(MessageType::SessionPatch, &metadata, patch.profile.as_ref());
                Ok(())
            }
            Self::SessionPatchAck(ack) => {
                let metadata = SessionPatchAckMetadata {
                    profile_patch_ack_bytes: profile_bytes(ack.profile.as_ref()),
                    ..ack.metadata
                };
                to.profile(
                    MessageType::SessionPatchAck,
                    &metadata,
                    ack.profile.as_ref(),
                );
                Ok(())
            }
            Self::Close(reason) => to.payload(MessageType::Close, |_| (), reason),
            Self::Error(report) => {
                let metadata = |diagnostic_bytes| ErrorMetadata {
                    diagnostic_bytes,
                    ..report.metadata
                };
                to.payload(MessageType::Error, metadata, &report.diagnostic)
            }
            Self::FrameSubmit(submit) => to.frame_submit(submit),
            Self::ResultPush(result) => to.result_push(result),
            Self::CachePut(put) => {
                let metadata = |object_bytes| CachePutMetadata {
                    object_bytes,
                    ..put.metadata
                };
                to.payload(MessageType::CachePut, metadata, &put.object)
            }
            Self::TransportProbe(probe) => {
                let metadata = |probe_payload_bytes| TransportProbeMetadata {
                    probe_payload_bytes,
                    ..probe.metadata
                };
                to.payload(MessageType::TransportProbe, metadata, &probe.payload)
            }
            Self::SessionMigrate(migrate) => {
                migrate.metadata.check().map_err(WireError::unplaced)?;
                let metadata = |_| migrate.metadata;
                to.payload(MessageType::SessionMigrate, metadata, &migrate.body)
            }
            Self::SessionMigrateAck(ack) => {
                to.payload(MessageType::SessionMigrateAck, |_| ack.metadata, &ack.body)
            }
            Self::FlowUpdate(update) => {
                let session_id = to.envelope.session_id;
                let checked = update
                    .check()
                    .and_then(|()| update.check_session(session_id));
                checked.map_err(WireError::unplaced)?;
                to.head(MessageType::FlowUpdate, update, 0);
                Ok(())
            }
            Self::CacheAck(metadata) => {
                to.head(MessageType::CacheAck, metadata, 0);
                Ok(())
            }
            Self::CacheInvalidate(metadata) => {
                to.head(MessageType::CacheInvalidate, metadata, 0);
                Ok(())
            }
            Self::ResultHint(metadata) => {
                to.head(MessageType::ResultHint, metadata, 0);
                Ok(())
            }
            Self::TransportProbeAck(metadata) => {
                to.head(MessageType::TransportProbeAck, metadata, 0);
                Ok(())
            }
            Self::FrameCancel | Self::ResultDrop | Self::Ping | Self::Pong => {
                to.head(self.message_type(), &(), 0);
                Ok(())
            }
        }
    }
}

/// Writes one packet. Everything that can be wrong is known before its first byte is written.
///
/// Functions for messages with a body are not inlined: the others would have to save their registers.
struct Writer<'w, S> {
    envelope: &'w Envelope,
    sink: &'w mut S,
}

impl<S: Sink> Writer<'_, S> {
    /// Header and metadata.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "metadata has 72 bytes at most"
    )]
    fn head<M: Fixed>(&mut self, message_type: MessageType, metadata: &M, body_len: u32) {
        let envelope = self.envelope;
        let header = Header {
            version_major: envelope.version_major,
            flags: envelope.flags,
            meta_len: M::BYTES as u32,
            body_len,
            session_id: envelope.session_id,
            frame_id: envelope.frame_id,
            view_id: envelope.view_id,
            route_id: envelope.route_id,
            trace_id: envelope.trace_id,
            ..Header::new(message_type)
        };
        self.sink.head(&header, metadata);
    }

    /// A message whose body is a payload, and its metadata, which may say how long that is.
    #[inline(never)]
    fn payload<M: Fixed>(
        &mut self,
        message_type: MessageType,
        metadata: impl FnOnce(u32) -> M,
        payload: &Bytes,
    ) -> Result<(), WireError> {
        let body_len = body_len(payload.len() as u64)?;
        self.head(message_type, &metadata(body_len), body_len);
        self.sink.payload(payload);
        Ok(())
    }

    #[inline(never)]
    fn profile<M: Fixed>(
        &mut self,
        message_type: MessageType,
        metadata: &M,
        profile: Option<&ProfilePatch>,
    ) {
        self.head(message_type, metadata, profile_bytes(profile));
        if let Some(profile) = profile {
            self.sink.fixed(profile);
        }
    }

    #[inline(never)]
    fn client_hello(&mut self, hello: &ClientHello) -> Result<(), WireError> {
        check_extensions(&hello.extensions)?;
        let block_bytes = extension_bytes(&hello.extensions);
        let body_len = body_len(block_bytes + hello.auth.len() as u64)?;
        let auth_bytes = field_u32(hello.auth.len() as u64, "auth_bytes")?;
        let metadata = ClientHelloMetadata {
            auth_bytes,
            control_extension_bytes: body_len - auth_bytes,
            ..hello.metadata
        };
        self.head(MessageType::ClientHello, &metadata, body_len);
        self.extensions(&hello.extensions);
        self.sink.payload(&hello.auth);
        Ok(())
    }

    #[inline(never)]
    fn server_hello_ack(&mut self, ack: &ServerHelloAck) -> Result<(), WireError> {
        check_extensions(&ack.extensions)?;
        let block_bytes = extension_bytes(&ack.extensions);
        let body_len = body_len(block_bytes + ack.payload.len() as u64)?;
        let metadata = ServerHelloAckMetadata {
            control_extension_bytes: field_u32(block_bytes, "control_extension_bytes")?,
            ..ack.metadata
        };
        self.head(MessageType::ServerHelloAck, &metadata, body_len);
        self.extensions(&ack.extensions);
        self.sink.payload(&ack.payload);
        Ok(())
    }

    fn extensions(&mut self, extensions: &[ControlExtension]) {
        let extensions = extensions.iter();
        extensions.for_each(|extension| extension.write(self.sink));
    }

    #[inline(never)]
    fn frame_submit(&mut self, submit: &FrameSubmit) -> Result<(), WireError> {
        check_frame_submit(submit, &RULES).map_err(WireError::unplaced)?;
        let (message_type, metadata) = (MessageType::FrameSubmit, &submit.metadata);
        match &submit.body {
            SubmitBody::Flat(flat) => self.flat(message_type, metadata, flat),
            SubmitBody::Composed(composed) => {
                self.composed(message_type, metadata, composed.body())
            }
        }
    }

    #[inline(never)]
    fn result_push(&mut self, result: &ResultPush) -> Result<(), WireError> {
        check_result_push(result, &RULES).map_err(WireError::unplaced)?;
        let (message_type, metadata) = (MessageType::ResultPush, &result.metadata);
        match &result.body {
            ResultBody::Empty => {
                self.head(message_type, metadata, 0);
                Ok(())
            }
            ResultBody::Flat(flat) => self.flat(message_type, metadata, flat),
            ResultBody::Composed(composed) => {
                self.composed(message_type, metadata, composed.body())
            }
        }
    }

    fn flat<M: Fixed>(
        &mut self,
        message_type: MessageType,
        metadata: &M,
        flat: &FlatBody,
    ) -> Result<(), WireError> {
        let body_len = body_len(flat.wire_bytes())?;
        self.head(message_type, metadata, body_len);
        flat.write(self.sink);
        Ok(())
    }

    fn composed<M: Fixed>(
        &mut self,
        message_type: MessageType,
        metadata: &M,
        body: &ComposedBody,
    ) -> Result<(), WireError> {
        let prelude = body.prelude()?;
        let body_len = body_len(prelude.body_bytes())?;
        self.head(message_type, metadata, body_len);
        body.write(&prelude, self.sink);
        Ok(())
    }
}

fn body_len(bytes: u64) -> Result<u32, WireError> {
    field_u32(bytes, "body_len")
}

fn extension_bytes(extensions: &[ControlExtension]) -> u64 {
    extensions.iter().map(ControlExtension::wire_bytes).sum()
}

/// That known extensions say what they can.
fn check_extensions(extensions: &[ControlExtension]) -> Result<(), WireError> {
    let mut extensions = extensions.iter();
    let checked = extensions.try_for_each(|extension| extension.known().map(|_| ()));
    checked.map_err(WireError::unplaced)
}

fn profile_bytes(profile: Option<&ProfilePatch>) -> u32 {
    const BYTES: u32 = 16;
    const _: () = assert!(BYTES as usize == ProfilePatch::BYTES);
    profile.map_or(0, |_| BYTES)
}

/// What this crate writes follows the compatible rules, with what was read before being the only reason to need them.
const RULES: Rules = Rules::COMPATIBLE;

pub(crate) fn check_frame_submit(submit: &FrameSubmit, rules: &Rules) -> Result<(), WireError> {
    submit.metadata.check()?;
    match (&submit.body, submit.metadata.has_composed_body()) {
        (SubmitBody::Flat(flat), false) => flat.check_declared(&(&submit.metadata).into()),
        (SubmitBody::Composed(composed), true) => {
            let placed = composed.placed();
            placed.check_no_tensor()?;
            check_submit(&submit.metadata, &placed, rules).map(|_| ())
        }
        (SubmitBody::Flat(_), true) | (SubmitBody::Composed(_), false) => Err(wrong_shape()),
    }
}

pub(crate) fn check_result_push(result: &ResultPush, rules: &Rules) -> Result<(), WireError> {
    result.metadata.check()?;
    result.metadata.check_reuse(rules)?;
    let kinds = result.metadata.payload_kind_bitmap;
    match (&result.body, result.metadata.has_composed_body()) {
        (ResultBody::Flat(flat), false) if !kinds.is_empty() => {
            flat.check_declared(&(&result.metadata).into())?;
            result.metadata.check_coverage()
        }
        (ResultBody::Composed(composed), true) => {
            let placed = composed.placed();
            placed.check_no_tensor()?;
            check_result(&result.metadata, &placed, rules).map(|_| ())
        }
        (ResultBody::Empty, _)
            if result.metadata.payload_frame_count == 0
                && !kinds.contains(PayloadKinds::TENSOR) =>
        {
            Ok(())
        }
        _ => Err(wrong_shape()),
    }
}

/// No field names the shape of a body: it must be the one that follows from the metadata. spec: nnrp-wire 4
const fn wrong_shape() -> WireError {
    WireError::new(Category::WrongKind, "body")
}
