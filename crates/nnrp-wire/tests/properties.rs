//! What holds for every message.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::arbitrary;
use nnrp_wire::{DecodeOptions, Envelope, Header, Message, Pieces, Rules};
use proptest::prelude::*;

/// Every extension is kept, so that nothing of a message can be lost.
const STRICT: DecodeOptions<'_> = DecodeOptions {
    rules: Rules::STRICT,
    ..DecodeOptions::COMPATIBLE
};

fn encode(envelope: &Envelope, message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(envelope, &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn messages_come_back_under_both_rules((envelope, message) in arbitrary::message()) {
        let packet = encode(&envelope, &message);
        for options in [STRICT, DecodeOptions::COMPATIBLE] {
            let (header, decoded) = Message::decode_bytes(packet.clone().into(), &options).unwrap();
            prop_assert_eq!(&decoded, &message);
            prop_assert_eq!(Envelope::from(&header), envelope);
            prop_assert_eq!(header.message_type, message.message_type());
            prop_assert_eq!(header.packet_bytes(), packet.len() as u64);
            prop_assert_eq!(encode(&envelope, &decoded), packet.clone());
        }
    }

    #[test]
    fn pieces_are_the_packet((envelope, message) in arbitrary::message()) {
        let packet = encode(&envelope, &message);
        let mut pieces = Pieces::default();
        message.encode_pieces(&envelope, &mut pieces).unwrap();
        prop_assert_eq!(pieces.len(), packet.len());
        prop_assert_eq!(pieces.slices().collect::<Vec<_>>().concat(), packet);
    }

    /// What is there already stays, also if nothing can be added.
    #[test]
    fn packets_are_appended((envelope, message) in arbitrary::message()) {
        let mut out = b"before".to_vec();
        message.encode(&envelope, &mut out).unwrap();
        prop_assert_eq!(&out[..6], b"before");
        prop_assert_eq!(&out[6..], encode(&envelope, &message));
    }

    /// Strict readers take no packet that compatible ones refuse or take for another.
    #[test]
    fn strict_is_within_compatible(
        (envelope, message) in arbitrary::message(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut packet = encode(&envelope, &message);
        for (at, byte) in changes {
            let at = Header::BYTES.min(packet.len() - 1).max(at.index(packet.len()));
            packet[at] = byte;
        }
        let strict = Message::decode_bytes(packet.clone().into(), &STRICT);
        if let Ok(strict) = strict {
            let compatible = Message::decode_bytes(packet.into(), &DecodeOptions::COMPATIBLE);
            prop_assert_eq!(compatible, Ok(strict));
        }
    }
}

/// Payloads are neither copied when a message is built nor when it is written in pieces.
#[test]
fn payloads_stay_where_they_are() {
    use bytes::Bytes;
    use nnrp_wire::body::{TensorSection, TypedPayload};
    use nnrp_wire::build::{TensorInput, Tiles};
    use nnrp_wire::{DType, FrameSubmit};

    let tiles: Vec<Bytes> = (0..4_u8).map(|tile| vec![tile; 10_000].into()).collect();
    let strided = TensorSection {
        stride_bytes: 10_100,
        ..TensorSection::new(2, DType::UInt8, &tiles)
    };
    let sections = [TensorSection::new(1, DType::UInt8, &tiles), strided];
    let input = TensorInput {
        camera: vec![7; 5_000].into(),
        tiles: Tiles::range(&[0, 1, 2, 3]),
        sections: &sections,
        ..TensorInput::default()
    };
    let typed = TypedPayload::opaque_bytes(vec![8; 20_000]);
    let flat = FrameSubmit::builder().tensor(input.clone());
    let mixed = flat.clone().payload(typed.clone());
    let (flat, mixed) = (flat.build().unwrap(), mixed.build().unwrap());
    for (submit, others) in [(flat, 0), (mixed, 1)] {
        let mut pieces = Pieces::default();
        let message = Message::from(submit);
        message
            .encode_pieces(&Envelope::default(), &mut pieces)
            .unwrap();
        let payloads = [&input.camera, &typed.payload];
        let payloads = payloads
            .into_iter()
            .take(1 + others)
            .chain(&tiles)
            .chain(&tiles);
        for payload in payloads {
            let is_it = |slice: &[u8]| slice.as_ptr() == payload.as_ptr();
            assert!(pieces.slices().any(is_it), "a payload was copied");
        }
    }
}
