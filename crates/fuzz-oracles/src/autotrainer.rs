//! The messages of the Autotrainer wire.

use std::num::NonZeroU64;

use autotrainer_api::casing::{camelize, decamelize};
use autotrainer_api::json::escape_for_text_mode;
use autotrainer_api::{
    CommandAnswer, CommandRequest, CommandResponse, CommandResult, Event, EventPayload, Heartbeat,
    Limits, OutgoingRequest, ProtocolLevel, Received,
};
use bytes::Bytes;

/// Of each table.
const LEVELS: [ProtocolLevel; 2] = [ProtocolLevel::V0_9_11, ProtocolLevel::V0_12_0];

/// Anything that either side may get: it is read or refused, and what is read is written so that it is read again as
/// the same.
pub fn autotrainer_messages(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (camelize(text), decamelize(text));
    }
    let frame = Bytes::copy_from_slice(data);
    let limits = Limits::default();
    for level in LEVELS {
        let request = CommandRequest::from_frames(std::slice::from_ref(&frame), level, &limits);
        if let Ok(request) = &request {
            is_answered(request, level);
        }
        let _ = CommandAnswer::from_frames(std::slice::from_ref(&frame), level, &limits);
    }
    published(&frame);
    let frames: Vec<Bytes> = data
        .split(|byte| *byte == b'|')
        .map(Bytes::copy_from_slice)
        .collect();
    if let Ok(received) = Received::from_frames(&frames, &limits) {
        assert_eq!(Some(&received.payload), frames.last());
    }
}

/// With escapes, text grows.
fn roomy() -> Limits {
    Limits {
        frame_bytes_max: usize::MAX,
        ..Limits::default()
    }
}

fn is_answered(request: &CommandRequest, level: ProtocolLevel) {
    let response = CommandResponse::success().with_verbatim_data(request.data());
    let answer = CommandAnswer::from_frames(&[response.to_frame(request, level)], level, &roomy());
    let same = answer.is_ok_and(|answer| {
        answer.nonce == request.nonce.to_strict()
            && answer.command_number == Some(request.answered_number(level))
            && answer.verbatim_data == request.data().to_strict()
            && answer.odd_fields.is_empty()
    });
    assert!(same, "{request:?}");
    let sent = OutgoingRequest::numbered(1, NonZeroU64::MIN)
        .with_verbatim_data(request.verbatim_data.clone());
    let sent = sent.to_frame();
    let text = String::from_utf8_lossy(&sent);
    assert_eq!(decamelize(&text), text, "a service would rewrite this");
    let arrived = CommandRequest::from_frames(std::slice::from_ref(&sent), level, &roomy());
    let written = escape_for_text_mode(&request.verbatim_data);
    assert!(arrived.is_ok_and(|arrived| arrived.verbatim_data.as_str() == written));
}

fn published(payload: &Bytes) {
    let limits = Limits::default();
    if let Ok(event) = Event::parse(payload, &limits) {
        let written = event.to_payload();
        let again = Event::parse(&written, &roomy()).map(|event| event.to_payload());
        assert_eq!(again.as_ref(), Ok(&written));
        for level in LEVELS {
            if let Ok(payload) = event.payload(level) {
                is_decoded_again(&payload);
            }
        }
    }
    if let Ok(heartbeat) = Heartbeat::parse(payload, &limits) {
        assert_eq!(
            Heartbeat::parse(&heartbeat.to_payload(), &roomy()),
            Ok(heartbeat)
        );
    }
    if let Ok(result) = CommandResult::parse(payload, &limits) {
        let written = result.to_payload();
        let again = CommandResult::parse(&written, &roomy()).map(|result| result.to_payload());
        assert_eq!(again, Ok(written));
    }
}

/// Not compared by value: floats that are not finite differ from themselves, and others lose their last digit.
fn is_decoded_again(payload: &EventPayload) {
    let context = payload.to_context().ok();
    let again = context.map(|context| EventPayload::decode(payload.shape(), &context));
    assert!(
        matches!(&again, Some(Ok(again)) if again.shape() == payload.shape()),
        "{payload:?}"
    );
}
