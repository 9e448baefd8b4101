//! Packets out of byte streams, under any cut. spec: nnrp-wire 1.4, nnrp-session 1.2

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use nnrp_wire::{
    Category, DecodeOptions, Envelope, Header, Message, MessageType, Packet, SplitLimits, Splitter,
    WireError,
};
use proptest::prelude::*;
use serde_json::Value;

const LIMITS: SplitLimits = SplitLimits::session(0);

fn hex(value: &Value) -> Vec<u8> {
    let hex = value["hex"].as_str().unwrap();
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// Every recorded byte stream: of each direction of each connection, or of each QUIC stream.
fn recorded_streams() -> Vec<(String, Vec<Value>)> {
    let mut streams: Vec<(String, Vec<Value>)> = Vec::new();
    for text in [
        include_str!("vectors/nnrp-tcp-traces.json"),
        include_str!("vectors/nnrp-quic-stream-traces.json"),
    ] {
        let traces: Value = serde_json::from_str(text).unwrap();
        for scenario in traces["scenarios"].as_array().unwrap() {
            for connection in scenario["connections"].as_array().unwrap() {
                for event in connection["events"].as_array().unwrap() {
                    if event["hex"].is_null() || event["msg"].is_null() {
                        continue;
                    }
                    let name = format!(
                        "{} {} {} {}",
                        scenario["name"],
                        connection["connection"],
                        event["dir"],
                        event["stream_id"]
                    );
                    match streams.iter_mut().find(|(other, _)| *other == name) {
                        Some((_, events)) => events.push(event.clone()),
                        None => streams.push((name, vec![event.clone()])),
                    }
                }
            }
        }
    }
    streams
}

/// All packets, and how it ended.
fn split(
    limits: SplitLimits,
    chunks: impl IntoIterator<Item = Bytes>,
) -> (Vec<Packet>, Result<(), WireError>) {
    let mut splitter = Splitter::new(limits);
    let mut packets = Vec::new();
    for mut chunk in chunks {
        loop {
            match splitter.split(&mut chunk) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(splitter.split(&mut chunk), Err(error), "it stays dead");
                    return (packets, Err(error));
                }
            }
        }
        assert!(chunk.is_empty(), "all of a chunk is taken");
    }
    let end = splitter.end();
    (packets, end)
}

fn cut(bytes: &[u8], sizes: &[usize]) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, left) = rest.split_at((*size).min(rest.len()));
        chunks.push(Bytes::copy_from_slice(chunk));
        rest = left;
    }
    chunks
}

const CUTS: [&[usize]; 7] = [
    &[usize::MAX],
    &[1],
    &[7],
    &[40],
    &[41],
    &[39, 2, 100],
    &[1000],
];

#[test]
fn recorded_streams_are_split_under_every_cut() {
    let mut packet_count = 0;
    for (name, events) in recorded_streams() {
        let bytes: Vec<u8> = events.iter().flat_map(hex).collect();
        let whole: Vec<_> = events
            .iter()
            .filter(|event| !event["header"].is_null())
            .collect();
        packet_count += whole.len();
        for sizes in CUTS {
            let (packets, end) = split(LIMITS, cut(&bytes, sizes));
            assert_eq!(packets.len(), whole.len(), "{name}");
            for (packet, event) in packets.iter().zip(&whole) {
                assert_eq!(packet.encode(), hex(event), "{name}");
            }
            let expected = match events.last().unwrap()["msg"].as_str().unwrap() {
                "UNDECODABLE" => Some(Category::BadMagic),
                "TRUNCATED" => Some(Category::PacketTruncated),
                _ => None,
            };
            assert_eq!(end.err().map(|error| error.category), expected, "{name}");
        }
    }
    assert_eq!(packet_count, 146 + 40);
}

/// The one recorded packet that only the compatible rules take: a stale result that names no reused frame (Q12).
const IRREGULAR: &str = "replay_export_submit_result";

#[test]
fn recorded_packets_say_something_and_become_the_same_bytes_again() {
    let mut irregular = 0;
    for (name, events) in recorded_streams() {
        for event in events.iter().filter(|event| !event["header"].is_null()) {
            let bytes = Bytes::from(hex(event));
            let strict = Message::decode_bytes(bytes.clone(), &DecodeOptions::STRICT);
            if let Err(error) = strict {
                assert!(name.contains(IRREGULAR), "{name}: {error}");
                assert_eq!(error.what, "reused_frame_id");
                irregular += 1;
            }
            let decoded = Message::decode_bytes(bytes.clone(), &DecodeOptions::COMPATIBLE);
            let (header, message) = decoded.expect(&name);
            assert_eq!(event["msg"], message.message_type().name(), "{name}");
            let mut again = Vec::new();
            let envelope = Envelope::from(&header);
            message.encode(&envelope, &mut again).unwrap();
            assert_eq!(again, bytes, "{name}");
        }
    }
    assert_eq!(irregular, 1);
}

fn close(bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let message = Message::Close(vec![b'x'; bytes].into());
    message.encode(&Envelope::session(7), &mut out).unwrap();
    out
}

#[test]
fn a_packet_in_one_chunk_is_a_slice_of_it() {
    let mut chunk = Bytes::from([close(10), close(20)].concat());
    let start = chunk.as_ptr();
    let mut splitter = Splitter::new(LIMITS);
    let first = splitter.split(&mut chunk).unwrap().unwrap();
    let second = splitter.split(&mut chunk).unwrap().unwrap();
    assert_eq!(first.body().as_ptr(), start.wrapping_add(40));
    assert_eq!(second.body().as_ptr(), start.wrapping_add(90));
    assert_eq!(
        (splitter.buffered_bytes(), splitter.buffer_capacity()),
        (0, 0)
    );
}

#[test]
fn the_buffer_grows_with_what_came_and_not_with_what_is_announced() {
    let bytes = close(1 << 20);
    let mut splitter = Splitter::new(LIMITS);
    let mut came = 0;
    for chunk in bytes[..bytes.len() - 1].chunks(1000) {
        came += chunk.len();
        assert_eq!(
            splitter.split(&mut Bytes::copy_from_slice(chunk)).unwrap(),
            None
        );
        assert_eq!(splitter.buffered_bytes(), came);
        assert!(splitter.buffer_capacity() <= (2 * came).min(bytes.len()));
    }
    assert_eq!(splitter.missing_bytes(), 1);
    assert_eq!(
        splitter.end().unwrap_err().category,
        Category::PacketTruncated
    );
    let packet = splitter.split(&mut Bytes::copy_from_slice(&bytes[bytes.len() - 1..]));
    assert_eq!(packet.unwrap().unwrap().body().len(), 1 << 20);
    assert_eq!(splitter.end(), Ok(()));
}

#[test]
fn single_bytes_are_not_copied_over_and_over() {
    let bytes = close(1 << 16);
    let mut splitter = Splitter::new(LIMITS);
    let (mut moves, mut capacity) = (0, 0);
    for byte in &bytes[..bytes.len() - 1] {
        splitter
            .split(&mut Bytes::copy_from_slice(&[*byte]))
            .unwrap();
        moves += u32::from(splitter.buffer_capacity() != capacity);
        capacity = splitter.buffer_capacity();
    }
    assert!(moves < 32, "the buffer moved {moves} times");
}

fn refused(limits: SplitLimits, header: &Header) -> Option<WireError> {
    let whole = Bytes::copy_from_slice(&header.encode());
    let (packets, end) = split(limits, [whole]);
    assert_eq!(packets, []);
    // The same if it comes byte by byte.
    let (_, again) = split(limits, cut(&header.encode(), &[1]));
    assert_eq!(end, again);
    end.err()
}

#[test]
fn limits_hold_before_anything_is_kept() {
    let header = |message_type, meta_len, body_len| Header {
        meta_len,
        body_len,
        ..Header::new(message_type)
    };
    let before = SplitLimits::BEFORE_HELLO;
    let huge = refused(before, &header(MessageType::Close, 0, u32::MAX)).unwrap();
    assert_eq!(huge.category, Category::LimitExceeded);
    assert_eq!(
        (huge.found, huge.limit),
        (Some(u64::from(u32::MAX)), Some(65536))
    );
    let error = refused(before, &header(MessageType::ClientHello, 63, 0)).unwrap();
    assert_eq!(error.category, Category::MetadataLengthMismatch);
    assert_eq!((error.offset, error.limit), (Some(12), Some(64)));
    let error = refused(before, &header(MessageType::Close, 0, 65536)).unwrap();
    assert_eq!(
        error.category,
        Category::PacketTruncated,
        "exactly the limit is waited for"
    );
    let error = refused(before, &header(MessageType::TransportProbe, 16, 1 << 20)).unwrap();
    assert_eq!(error.category, Category::PacketTruncated);
    let error = refused(
        before,
        &header(MessageType::TransportProbe, 16, (1 << 20) + 1),
    )
    .unwrap();
    assert_eq!(error.category, Category::LimitExceeded);
}

#[test]
fn metadata_of_any_length_is_taken_up_to_a_limit_where_that_is_asked_for() {
    let lax = SplitLimits {
        any_metadata_length: true,
        ..LIMITS
    };
    let ping = Packet::new(
        Header::new(MessageType::Ping),
        "surplus".into(),
        Bytes::new(),
    );
    let (packets, end) = split(lax, [ping.clone().unwrap().encode().into()]);
    assert_eq!((packets, end), (vec![ping.unwrap()], Ok(())));
    let long = Header {
        meta_len: 1025,
        ..Header::new(MessageType::Ping)
    };
    assert_eq!(
        refused(lax, &long).unwrap().category,
        Category::LimitExceeded
    );
}

#[test]
fn an_end_inside_a_header_is_told_from_one_inside_a_packet() {
    let bytes = close(5);
    for count in 1..bytes.len() {
        let (_, end) = split(LIMITS, [Bytes::copy_from_slice(&bytes[..count])]);
        let expected = if count < 40 {
            Category::HeaderTruncated
        } else {
            Category::PacketTruncated
        };
        assert_eq!(end.unwrap_err().category, expected);
    }
}

#[test]
fn limits_can_change_between_packets() {
    let mut splitter = Splitter::new(SplitLimits::BEFORE_HELLO);
    splitter.set_limits(SplitLimits::session(1 << 20));
    let packet = splitter.split(&mut close(100_000).into()).unwrap();
    assert_eq!(packet.unwrap().body().len(), 100_000);
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_packets(
        bodies in prop::collection::vec(0_usize..300, 0..8),
        sizes in prop::collection::vec(1_usize..200, 1..8),
        lost in 0_usize..60,
    ) {
        let packets: Vec<_> = bodies.iter().map(|bytes| close(*bytes)).collect();
        let mut bytes = packets.concat();
        bytes.truncate(bytes.len().saturating_sub(lost));
        let whole = split(LIMITS, [Bytes::from(bytes.clone())]);
        prop_assert_eq!(split(LIMITS, cut(&bytes, &sizes)), whole);
    }

    #[test]
    fn noise_never_panics_and_never_loops(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        magic in any::<bool>(),
        sizes in prop::collection::vec(1_usize..50, 1..4),
    ) {
        let mut bytes = noise;
        if magic {
            let head = [b'N', b'N', b'R', b'P', 1, 0, 5, 40];
            bytes.splice(0..bytes.len().min(8), head);
        }
        let (packets, _) = split(LIMITS, cut(&bytes, &sizes));
        prop_assert!(packets.len() * 40 <= bytes.len());
    }
}
