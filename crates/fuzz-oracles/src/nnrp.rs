//! Headers and packets of the NNRP wire.

use bytes::Bytes;
use nnrp_wire::inspect::packet_to_json;
use nnrp_wire::metadata::{ClientHelloMetadata, FrameSubmitMetadata, ResultPushMetadata};
use nnrp_wire::{
    DecodeOptions, Envelope, Header, Message, MessageType, Packet, PayloadKinds, Pieces, Rules,
    WireError,
};

/// Every rule, and every extension kept, so that what is read can be written as it came.
const STRICT: DecodeOptions<'_> = DecodeOptions {
    rules: Rules::STRICT,
    ..DecodeOptions::COMPATIBLE
};

/// A header becomes the same bytes again, whatever follows it.
pub fn nnrp_header(data: &[u8]) {
    match Header::decode(data) {
        Ok(header) => {
            assert_eq!(header.encode(), data[..Header::BYTES]);
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
        Err(error) => check_error(&error, data.len()),
    }
}

/// Whole packets, their lengths included.
pub fn nnrp_packets(data: &[u8]) {
    match Packet::decode(Bytes::copy_from_slice(data)) {
        Ok(packet) => {
            assert_eq!(packet.encode(), data);
            check_packet(&packet);
        }
        Err(error) => check_error(&error, data.len()),
    }
}

/// Submits and results of one tensor: the first byte says which, metadata and body follow.
pub fn nnrp_flat_bodies(data: &[u8]) {
    with_metadata(data, |message_type, metadata| {
        let at = FieldsOfShape::of(message_type);
        metadata[at.kinds] = PayloadKinds::TENSOR.bits().to_le_bytes()[0];
        metadata[at.kinds + 1..at.kinds + 4].fill(0);
        metadata[at.count..at.count + 2].fill(0);
        for (start, bytes) in at.zero {
            metadata[*start..*start + *bytes].fill(0);
        }
    });
}

/// Submits and results of six regions: the first byte says which, metadata and body follow.
pub fn nnrp_composed_bodies(data: &[u8]) {
    with_metadata(data, |message_type, metadata| {
        let at = FieldsOfShape::of(message_type);
        // A kind beside the tensor is what makes bodies composed.
        metadata[at.kinds] |= PayloadKinds::TOKEN_CHUNK.bits().to_le_bytes()[0];
    });
}

/// Hellos and their answers: the first byte says which, metadata and body follow; the lengths in the metadata are made
/// to fit as far as they can.
pub fn nnrp_hellos(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else {
        return;
    };
    let message_type = if which & 1 == 0 {
        MessageType::ClientHello
    } else {
        MessageType::ServerHelloAck
    };
    let Some((metadata, body)) = rest.split_at_checked(message_type.metadata_bytes()) else {
        return;
    };
    let mut metadata = metadata.to_vec();
    if message_type == MessageType::ClientHello {
        let tail = ClientHelloMetadata::BYTES - 8;
        let auth_bytes = usize::from(metadata[tail]).min(body.len());
        let block_bytes = body.len() - auth_bytes;
        write_u32(&mut metadata, tail, auth_bytes);
        write_u32(&mut metadata, tail + 4, block_bytes);
    }
    check(message_type, &metadata, body);
}

/// Where metadata says which shape a body has. spec: nnrp-wire 3.1, 3.2, 4
struct FieldsOfShape {
    kinds: usize,
    count: usize,
    /// What must be zero for a flat body too: offsets and lengths.
    zero: &'static [(usize, usize)],
}

impl FieldsOfShape {
    fn of(message_type: MessageType) -> Self {
        if message_type == MessageType::FrameSubmit {
            return Self {
                kinds: 64,
                count: 68,
                // The mode and the mask of references.
                zero: &[(52, 1), (56, 4)],
            };
        }
        Self {
            kinds: 56,
            count: 60,
            zero: &[],
        }
    }
}

fn with_metadata(data: &[u8], change: impl FnOnce(MessageType, &mut [u8])) {
    let Some((which, rest)) = data.split_first() else {
        return;
    };
    let (message_type, metadata_bytes) = if which & 1 == 0 {
        (MessageType::FrameSubmit, FrameSubmitMetadata::BYTES)
    } else {
        (MessageType::ResultPush, ResultPushMetadata::BYTES)
    };
    let Some((metadata, body)) = rest.split_at_checked(metadata_bytes) else {
        return;
    };
    let mut metadata = metadata.to_vec();
    change(message_type, &mut metadata);
    check(message_type, &metadata, body);
}

fn write_u32(out: &mut [u8], at: usize, value: usize) {
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn check(message_type: MessageType, metadata: &[u8], body: &[u8]) {
    let header = Header {
        session_id: 7,
        ..Header::new(message_type)
    };
    let (metadata, body) = (
        Bytes::copy_from_slice(metadata),
        Bytes::copy_from_slice(body),
    );
    if let Ok(packet) = Packet::new(header, metadata, body) {
        check_packet(&packet);
    }
}

/// What the strict rules take, the compatible ones take alike; what was read is written so that it is read again, and
/// under the strict rules becomes the same bytes.
pub(crate) fn check_packet(packet: &Packet) {
    let bytes = packet.encode();
    let envelope = Envelope::from(packet.header());
    let strict = decode(packet, &STRICT);
    for composed_tensor_results in [false, true] {
        let options = DecodeOptions {
            composed_tensor_results,
            ..DecodeOptions::COMPATIBLE
        };
        let compatible = decode(packet, &options);
        if let Ok(strict) = &strict {
            assert_eq!(compatible.as_ref(), Ok(strict));
        }
        assert_eq!(packet_to_json(packet, &options).is_ok(), compatible.is_ok());
        if let Ok(message) = compatible {
            check_rewritten(&message, &envelope, &options);
        }
    }
    if let Ok(message) = &strict {
        match encode(message, &envelope) {
            Ok(written) => check_same(&written, &bytes, message),
            Err(error) => panic!("{error} of {message:?}"),
        }
    }
    // Extensions that are not known are left out or refused.
    if let Ok(message) = decode(packet, &DecodeOptions::STRICT) {
        let known_only = DecodeOptions {
            rules: Rules::COMPATIBLE,
            ..DecodeOptions::STRICT
        };
        assert_eq!(decode(packet, &known_only), Ok(message));
    }
}

/// The same bytes; the padding behind a camera may have been missing if nothing followed it (Q16).
fn check_same(written: &[u8], bytes: &[u8], message: &Message) {
    if written == bytes {
        return;
    }
    let content = |packet: &[u8]| packet[Header::BYTES..].to_vec();
    let written = content(written);
    let padding = written.strip_prefix(content(bytes).as_slice());
    let is_padding = |padding: &[u8]| padding.len() < 8 && padding.iter().all(|byte| *byte == 0);
    assert!(padding.is_some_and(is_padding), "{message:?}");
    let Message::FrameSubmit(submit) = message else {
        panic!("no camera in {message:?}");
    };
    assert!(submit.metadata.camera_bytes > 0 && !submit.metadata.has_composed_body());
}

fn decode(packet: &Packet, options: &DecodeOptions<'_>) -> Result<Message, WireError> {
    let message = Message::decode(packet, options);
    if let Err(error) = &message {
        check_error(error, packet.encode().len());
    }
    message
}

/// Laxly read messages may be refused when they are written, but not become others.
fn check_rewritten(message: &Message, envelope: &Envelope, options: &DecodeOptions<'_>) {
    let Ok(written) = encode(message, envelope) else {
        return;
    };
    let again = Message::decode_bytes(written.clone().into(), options);
    let Ok((header, again)) = again else {
        panic!("{again:?} of {message:?}");
    };
    assert_eq!(Envelope::from(&header), *envelope);
    assert_eq!(encode(&again, envelope), Ok(written));
}

/// The same in pieces as in one.
fn encode(message: &Message, envelope: &Envelope) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::new();
    let mut pieces = Pieces::default();
    let written = message.encode(envelope, &mut out);
    assert_eq!(message.encode_pieces(envelope, &mut pieces), written);
    written?;
    assert_eq!(pieces.slices().collect::<Vec<_>>().concat(), out);
    assert_eq!(pieces.len(), out.len());
    Ok(out)
}

fn check_error(error: &WireError, bytes: usize) {
    assert!(!error.to_string().is_empty());
    assert!(
        error
            .offset
            .is_none_or(|offset| offset <= bytes.max(Header::BYTES)),
        "{error} in {bytes} bytes"
    );
}
