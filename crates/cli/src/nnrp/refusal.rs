//! Why a packet is not shown.

use nnrp_wire::inspect::message_to_json;
use nnrp_wire::{DecodeOptions, Message, Packet, ResultBody, SubmitBody, WireError};
use serde_json::{Value, json};

/// What the answer to a packet says that is not shown.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) category: &'static str,
    /// In the packet.
    pub(super) offset: Option<usize>,
    pub(super) message: String,
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self {
            category: error.category.name(),
            offset: error.offset,
            message: error.to_string(),
        }
    }
}

impl Refusal {
    pub(super) fn limit(what: &str, found: usize, limit: usize, offset: Option<usize>) -> Self {
        let category = "limit_exceeded";
        let message = format!("{category}: {what} is {found}, the limit is {limit}");
        Self {
            category,
            offset,
            message,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "ok": false,
            "category": self.category,
            "offset": self.offset,
            "message": self.message,
        })
    }
}

/// Extensions, objects, references and payloads of a packet at most: each may be few bytes on the wire, but takes two
/// hundred times of that as JSON.
const PARTS_MAX: usize = 1 << 16;

/// What a packet says, also as JSON.
pub(super) fn read(
    packet: &Packet,
    options: &DecodeOptions<'_>,
) -> Result<(Message, Value), Refusal> {
    let message = Message::decode(packet, options)?;
    let parts = parts(&message);
    if parts > PARTS_MAX {
        return Err(Refusal::limit("number of parts", parts, PARTS_MAX, None));
    }
    let decoded = message_to_json(packet, &message, options);
    Ok((message, decoded))
}

fn parts(message: &Message) -> usize {
    if let Message::ClientHello(hello) = message {
        return hello.extensions.len();
    }
    if let Message::ServerHelloAck(ack) = message {
        return ack.extensions.len();
    }
    let composed = if let Message::FrameSubmit(submit) = message
        && let SubmitBody::Composed(composed) = &submit.body
    {
        composed
    } else if let Message::ResultPush(result) = message
        && let ResultBody::Composed(composed) = &result.body
    {
        composed
    } else {
        return 0;
    };
    let body = composed.body();
    let payloads = body.typed.len() + body.extensions.descriptors().len();
    body.inline_objects.len() + body.references.len() + payloads
}
