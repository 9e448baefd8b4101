//! What messages hold: whether it can be sent, and how much it is.

use crate::body::field_u32;
use crate::error::WireError;
use crate::message::{
    Envelope, FrameSubmit, Message, ResultBody, ResultPush, SubmitBody, check_frame_submit,
    check_result_push,
};
use crate::numbers::{FrameClass, HeaderFlags};
use crate::rules::Rules;

/// As encoding does. When that is done, nobody is there any more who could be told.
const RULES: Rules = Rules::COMPATIBLE;

/// Whether a submit can be sent, and the bytes of its body.
pub(super) fn check_submit(submit: &FrameSubmit) -> Result<u64, WireError> {
    check_frame_submit(submit, &RULES).map_err(WireError::unplaced)?;
    let bytes = submit_bytes(submit)?;
    field_u32(bytes, "body_len")?;
    Ok(bytes)
}

/// Whether a result can be sent.
pub(super) fn check_result(result: &ResultPush) -> Result<(), WireError> {
    check_result_push(result, &RULES).map_err(WireError::unplaced)?;
    field_u32(result_bytes(result)?, "body_len")?;
    Ok(())
}

/// Whether a message can be sent that is small, or seldom.
pub(super) fn check_message(message: &Message, envelope: &Envelope) -> Result<(), WireError> {
    message.encode(envelope, &mut Vec::new())
}

/// Whether it may be sent while the other side takes only background work. spec: nnrp-session 4.1
pub(super) fn may_drop(submit: &FrameSubmit, flags: HeaderFlags) -> bool {
    let class = submit.metadata.frame_class.known();
    flags.contains(HeaderFlags::CAN_DROP) || class == Some(FrameClass::Discardable)
}

/// The bytes of a submit's body, which is what it holds of the memory.
pub(super) fn held_by_submit(submit: &FrameSubmit) -> u64 {
    submit_bytes(submit).unwrap_or(u64::MAX)
}

fn submit_bytes(submit: &FrameSubmit) -> Result<u64, WireError> {
    Ok(match &submit.body {
        SubmitBody::Flat(flat) => flat.wire_bytes(),
        SubmitBody::Composed(composed) => composed.body().prelude()?.body_bytes(),
    })
}

fn result_bytes(result: &ResultPush) -> Result<u64, WireError> {
    Ok(match &result.body {
        ResultBody::Empty => 0,
        ResultBody::Flat(flat) => flat.wire_bytes(),
        ResultBody::Composed(composed) => composed.body().prelude()?.body_bytes(),
    })
}

impl ResultPush {
    /// Bytes of its body as it is sent: what it holds of the memory, for the most part.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        result_bytes(self).unwrap_or(u64::MAX)
    }
}

/// The bytes of a message's body, roughly: what it holds of the memory.
pub(super) fn held_bytes(message: &Message) -> u64 {
    let bytes = |bytes: &bytes::Bytes| bytes.len() as u64;
    match message {
        Message::FrameSubmit(submit) => held_by_submit(submit),
        Message::ResultPush(result) => result.body_bytes(),
        Message::CachePut(put) => bytes(&put.object),
        Message::TransportProbe(probe) => bytes(&probe.payload),
        Message::SessionMigrate(migrate) => bytes(&migrate.body),
        Message::SessionMigrateAck(ack) => bytes(&ack.body),
        Message::Close(reason) => bytes(reason),
        Message::Error(report) => bytes(&report.diagnostic),
        Message::ClientHello(hello) => bytes(&hello.auth),
        Message::ServerHelloAck(ack) => bytes(&ack.payload),
        Message::SessionPatch(_)
        | Message::SessionPatchAck(_)
        | Message::FrameCancel
        | Message::ResultDrop
        | Message::CacheAck(_)
        | Message::CacheInvalidate(_)
        | Message::FlowUpdate(_)
        | Message::ResultHint(_)
        | Message::TransportProbeAck(_)
        | Message::Ping
        | Message::Pong => 0,
    }
}
