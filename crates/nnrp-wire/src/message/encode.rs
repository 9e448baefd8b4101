//! From messages to bytes.

use super::{Envelope, FrameSubmit, Message, ResultBody, ResultPush, SubmitBody};
use crate::body::{check_result, check_submit, field_u32};
use crate::encode::{Pieces, Sink};
use crate::error::{Category, WireError};
use crate::extension::ControlExtension;
use crate::header::Header;
use crate::metadata::{
    CachePutMetadata, ClientHelloMetadata, ErrorMetadata, ProfilePatch, ServerHelloAckMetadata,
    SessionPatchAckMetadata, SessionPatchMetadata, TransportProbeMetadata,
};
use crate::numbers::PayloadKinds;
use crate::rules::Rules;

impl Message {
    /// Appends the bytes on the wire. Nothing is appended if it fails.
    ///
    /// Lengths in metadata that follow from the body are written as they are, not as the message has them.
    ///
    /// # Errors
    /// If the message breaks a rule between its fields, or something is too long.
    pub fn encode(&self, envelope: &Envelope, out: &mut Vec<u8>) -> Result<(), WireError> {
        let plan = self.plan(envelope)?;
        let bytes = usize::try_from(plan.header.packet_bytes()).unwrap_or(usize::MAX);
        out.reserve(bytes);
        self.write(&plan, out)
    }

    /// As [`Self::encode`], with large payloads left where they are. What `pieces` held before is gone.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_pieces(&self, envelope: &Envelope, pieces: &mut Pieces) -> Result<(), WireError> {
        pieces.clear();
        let plan = self.plan(envelope)?;
        self.write(&plan, pieces)
    }

    /// Checks it, and works out how long it is.
    fn plan(&self, envelope: &Envelope) -> Result<Plan, WireError> {
        let (meta_len, body_len) = (self.metadata_bytes(), self.body_bytes()?);
        self.check(envelope).map_err(WireError::unplaced)?;
        let header = Header {
            version_major: envelope.version_major,
            flags: envelope.flags,
            meta_len: field_u32(meta_len as u64, "meta_len")?,
            body_len: field_u32(body_len, "body_len")?,
            session_id: envelope.session_id,
            frame_id: envelope.frame_id,
            view_id: envelope.view_id,
            route_id: envelope.route_id,
            trace_id: envelope.trace_id,
            ..Header::new(self.message_type())
        };
        Ok(Plan { header })
    }

    const fn metadata_bytes(&self) -> usize {
        self.message_type().metadata_bytes()
    }

    fn body_bytes(&self) -> Result<u64, WireError> {
        Ok(match self {
            Self::ClientHello(hello) => {
                extension_bytes(&hello.extensions) + hello.auth.len() as u64
            }
            Self::ServerHelloAck(ack) => {
                extension_bytes(&ack.extensions) + ack.payload.len() as u64
            }
            Self::SessionPatch(patch) => profile_bytes(patch.profile.as_ref()),
            Self::SessionPatchAck(ack) => profile_bytes(ack.profile.as_ref()),
            Self::Close(reason) => reason.len() as u64,
            Self::Error(report) => report.diagnostic.len() as u64,
            Self::FrameSubmit(submit) => match &submit.body {
                SubmitBody::Flat(flat) => flat.wire_bytes(),
                SubmitBody::Composed(composed) => composed.body.prelude()?.body_bytes(),
            },
            Self::ResultPush(result) => match &result.body {
                ResultBody::Empty => 0,
                ResultBody::Flat(flat) => flat.wire_bytes(),
                ResultBody::Composed(composed) => composed.body.prelude()?.body_bytes(),
            },
            Self::CachePut(put) => put.object.len() as u64,
            Self::TransportProbe(probe) => probe.payload.len() as u64,
            Self::SessionMigrate(migrate) => migrate.body.len() as u64,
            Self::SessionMigrateAck(ack) => ack.body.len() as u64,
            Self::FrameCancel
            | Self::ResultDrop
            | Self::CacheAck(_)
            | Self::CacheInvalidate(_)
            | Self::FlowUpdate(_)
            | Self::ResultHint(_)
            | Self::TransportProbeAck(_)
            | Self::Ping
            | Self::Pong => 0,
        })
    }

    /// The rules between its fields.
    fn check(&self, envelope: &Envelope) -> Result<(), WireError> {
        match self {
            Self::FlowUpdate(update) => {
                update.check()?;
                update.check_session(envelope.session_id)
            }
            Self::SessionMigrate(migrate) => migrate.metadata.check(),
            Self::FrameSubmit(submit) => check_frame_submit(submit, &RULES),
            Self::ResultPush(result) => check_result_push(result, &RULES),
            Self::ClientHello(hello) => check_extensions(&hello.extensions),
            Self::ServerHelloAck(ack) => check_extensions(&ack.extensions),
            Self::SessionPatch(_)
            | Self::SessionPatchAck(_)
            | Self::Close(_)
            | Self::Error(_)
            | Self::FrameCancel
            | Self::ResultDrop
            | Self::CachePut(_)
            | Self::CacheAck(_)
            | Self::CacheInvalidate(_)
            | Self::ResultHint(_)
            | Self::TransportProbe(_)
            | Self::TransportProbeAck(_)
            | Self::SessionMigrateAck(_)
            | Self::Ping
            | Self::Pong => Ok(()),
        }
    }

    /// Every length is known to fit by now.
    fn write(&self, plan: &Plan, sink: &mut impl Sink) -> Result<(), WireError> {
        sink.bytes(&plan.header.encode());
        let body_len = plan.header.body_len;
        match self {
            Self::ClientHello(hello) => {
                let auth_bytes = field_u32(hello.auth.len() as u64, "auth_bytes")?;
                sink.fixed(&ClientHelloMetadata {
                    auth_bytes,
                    control_extension_bytes: body_len - auth_bytes,
                    ..hello.metadata
                });
                hello
                    .extensions
                    .iter()
                    .for_each(|extension| extension.write(sink));
                sink.payload(&hello.auth);
            }
            Self::ServerHelloAck(ack) => {
                let block_bytes = extension_bytes(&ack.extensions);
                sink.fixed(&ServerHelloAckMetadata {
                    control_extension_bytes: field_u32(block_bytes, "control_extension_bytes")?,
                    ..ack.metadata
                });
                ack.extensions
                    .iter()
                    .for_each(|extension| extension.write(sink));
                sink.payload(&ack.payload);
            }
            Self::SessionPatch(patch) => {
                sink.fixed(&SessionPatchMetadata {
                    profile_patch_bytes: body_len,
                    ..patch.metadata
                });
                patch.profile.iter().for_each(|profile| sink.fixed(profile));
            }
            Self::SessionPatchAck(ack) => {
                sink.fixed(&SessionPatchAckMetadata {
                    profile_patch_ack_bytes: body_len,
                    ..ack.metadata
                });
                ack.profile.iter().for_each(|profile| sink.fixed(profile));
            }
            Self::Close(reason) => sink.payload(reason),
            Self::Error(report) => {
                sink.fixed(&ErrorMetadata {
                    diagnostic_bytes: body_len,
                    ..report.metadata
                });
                sink.payload(&report.diagnostic);
            }
            Self::FrameSubmit(submit) => {
                sink.fixed(&submit.metadata);
                match &submit.body {
                    SubmitBody::Flat(flat) => flat.write(sink),
                    SubmitBody::Composed(composed) => composed.body.write(sink)?,
                }
            }
            Self::ResultPush(result) => {
                sink.fixed(&result.metadata);
                match &result.body {
                    ResultBody::Empty => {}
                    ResultBody::Flat(flat) => flat.write(sink),
                    ResultBody::Composed(composed) => composed.body.write(sink)?,
                }
            }
            Self::CachePut(put) => {
                sink.fixed(&CachePutMetadata {
                    object_bytes: body_len,
                    ..put.metadata
                });
                sink.payload(&put.object);
            }
            Self::TransportProbe(probe) => {
                sink.fixed(&TransportProbeMetadata {
                    probe_payload_bytes: body_len,
                    ..probe.metadata
                });
                sink.payload(&probe.payload);
            }
            Self::SessionMigrate(migrate) => {
                sink.fixed(&migrate.metadata);
                sink.payload(&migrate.body);
            }
            Self::SessionMigrateAck(ack) => {
                sink.fixed(&ack.metadata);
                sink.payload(&ack.body);
            }
            Self::CacheAck(metadata) => sink.fixed(metadata),
            Self::CacheInvalidate(metadata) => sink.fixed(metadata),
            Self::FlowUpdate(metadata) => sink.fixed(metadata),
            Self::ResultHint(metadata) => sink.fixed(metadata),
            Self::TransportProbeAck(metadata) => sink.fixed(metadata),
            Self::FrameCancel | Self::ResultDrop | Self::Ping | Self::Pong => {}
        }
        Ok(())
    }
}

struct Plan {
    header: Header,
}

fn extension_bytes(extensions: &[ControlExtension]) -> u64 {
    extensions.iter().map(ControlExtension::wire_bytes).sum()
}

/// That known extensions say what they can.
fn check_extensions(extensions: &[ControlExtension]) -> Result<(), WireError> {
    let mut extensions = extensions.iter();
    extensions.try_for_each(|extension| extension.known().map(|_| ()))
}

fn profile_bytes(profile: Option<&ProfilePatch>) -> u64 {
    profile.map_or(0, |_| ProfilePatch::BYTES as u64)
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
