//! What we send, beside what was recorded.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nnrp_wire::inspect::packet_to_json;
use nnrp_wire::{DecodeOptions, Message, Packet};
use serde_json::Value;

use crate::raw::message;

/// The extension of a hello's answer with the token that moves the session: every answer of our server has it. It is
/// taken out before anything is compared.
pub(crate) const TOKEN_EXTENSION: u16 = 0xF0A6;

/// What an exchange and a message differ in: names of fields.
type Differing = BTreeMap<(String, &'static str), BTreeSet<String>>;

#[derive(Debug, Default)]
pub(crate) struct Comparison {
    same: usize,
    different: Differing,
}

impl Comparison {
    /// Type and frame must be the same.
    pub(crate) fn compare(&mut self, exchange: &str, sent: &Packet, recorded: &[u8]) {
        let recorded = Packet::decode(Bytes::copy_from_slice(recorded)).unwrap();
        let message_type = recorded.header().message_type;
        assert_eq!(sent.header().message_type, message_type, "{exchange}");
        assert_eq!(
            sent.header().frame_id,
            recorded.header().frame_id,
            "{exchange}: {}",
            message_type.name()
        );
        let sent = comparable(sent, &recorded);
        if sent == recorded {
            self.same += 1;
            return;
        }
        let options = DecodeOptions::COMPATIBLE;
        let sent = packet_to_json(&sent, &options).unwrap();
        let recorded = packet_to_json(&recorded, &options).unwrap();
        let place = (exchange.to_owned(), message_type.name());
        let fields = self.different.entry(place).or_default();
        list_differences("", &sent, &recorded, fields);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.same += other.same;
        for (place, fields) in other.different {
            self.different.entry(place).or_default().extend(fields);
        }
    }

    /// As many packets were the same, byte for byte, as this; others differ in exactly these fields.
    pub(crate) fn expect(&self, same: usize, expected: &[(&str, &'static str, &[&str])]) {
        let expected: Differing = expected
            .iter()
            .map(|(exchange, message, fields)| {
                let fields = fields.iter().map(|field| (*field).to_owned()).collect();
                (((*exchange).to_owned(), *message), fields)
            })
            .collect();
        assert_eq!(self.different, expected, "{:#?}", self.different);
        assert_eq!(self.same, same);
    }
}

/// Without the token, and with the times of the recording where that says none: ours fills them in.
fn comparable(sent: &Packet, recorded: &Packet) -> Packet {
    let (envelope, mut ours) = message(sent);
    match (&mut ours, message(recorded).1) {
        (Message::ServerHelloAck(ack), _) => {
            let extensions = &mut ack.extensions;
            extensions.retain(|extension| extension.ext_type != TOKEN_EXTENSION);
        }
        (Message::ResultPush(result), Message::ResultPush(recorded)) => {
            let (ours, theirs) = (&mut result.metadata, &recorded.metadata);
            for (ours, theirs) in [
                (&mut ours.inference_ms, theirs.inference_ms),
                (&mut ours.queue_ms, theirs.queue_ms),
                (&mut ours.server_total_ms, theirs.server_total_ms),
            ] {
                if theirs == 0 {
                    *ours = 0;
                }
            }
        }
        _ => return sent.clone(),
    }
    let mut bytes = Vec::new();
    ours.encode(&envelope, &mut bytes).unwrap();
    Packet::decode(bytes.into()).unwrap()
}

fn list_differences(path: &str, ours: &Value, theirs: &Value, fields: &mut BTreeSet<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for name in ours.keys().chain(theirs.keys()) {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let get = |object: &serde_json::Map<String, Value>| {
                    object.get(name).cloned().unwrap_or(Value::Null)
                };
                list_differences(&path, &get(ours), &get(theirs), fields);
            }
        }
        _ if ours == theirs => {}
        _ => drop(fields.insert(path.to_owned())),
    }
}
