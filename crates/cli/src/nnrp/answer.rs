//! What is said about a packet, as JSON. Keys stand in the order of the fields, which is the help's.

use nnrp_wire::Header;
use serde::Serialize;
use serde_json::Value;

use super::refusal::Refusal;

/// About one packet.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    ok: bool,
    /// In a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_offset: Option<u64>,
    #[serde(flatten)]
    said: Said,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Said {
    Shown {
        #[serde(rename = "type")]
        message_type: &'static str,
        decoded: Value,
    },
    Refused {
        category: &'static str,
        /// In the stream, or else in the packet.
        offset: Option<u64>,
        message: String,
    },
}

impl Answer {
    pub(super) const fn shown(header: &Header, decoded: Value) -> Self {
        Self {
            ok: true,
            packet_offset: None,
            said: Said::Shown {
                message_type: header.message_type.name(),
                decoded,
            },
        }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        Self {
            ok: false,
            packet_offset: None,
            said: Said::Refused {
                category: refusal.category,
                offset: refusal.offset.map(|offset| offset as u64),
                message: refusal.message,
            },
        }
    }

    /// The same of a packet that stands there in a stream; so do offsets in it.
    pub(super) fn in_stream(mut self, at: u64) -> Self {
        self.packet_offset = Some(at);
        if let Said::Refused {
            offset: Some(offset),
            ..
        } = &mut self.said
        {
            *offset += at;
        }
        self
    }
}
