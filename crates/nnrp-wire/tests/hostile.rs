//! Damaged packets and noise: refused with a place, or a message that can be written again; never more than a small multiple
//! of the input in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bytes::Bytes;
use common::{bytes, packets, vectors};
use nnrp_wire::{
    Category, DecodeOptions, Envelope, Header, Message, MessageType, Rules, SubmitBody, WireError,
};
use proptest::prelude::*;

const ALL_EXTENSIONS: [DecodeOptions<'_>; 2] = [
    DecodeOptions::COMPATIBLE,
    DecodeOptions {
        rules: Rules::STRICT,
        ..DecodeOptions::COMPATIBLE
    },
];

/// What must hold for any bytes.
fn check(packet: &Bytes) {
    for options in &ALL_EXTENSIONS {
        match decode_frugally(packet, options) {
            Err(error) => check_place(&error, packet),
            Ok((header, message)) => check_written_again(&header, &message, options),
        }
    }
}

/// Memory for what a message consists of is bounded by the bytes that are there, whatever they announce.
fn decode_frugally(
    packet: &Bytes,
    options: &DecodeOptions<'_>,
) -> Result<(Header, Message), WireError> {
    // Cloning the handle must not count, whichever kind of handle it is.
    let packet = packet.clone();
    let bytes_max = 6 * packet.len() as u64 + 256;
    let mut decoded = None;
    let used = allocation_counter::measure(|| {
        decoded = Some(Message::decode_bytes(packet, options));
    });
    assert!(
        used.bytes_max <= bytes_max,
        "{} bytes for at most {bytes_max}",
        used.bytes_max
    );
    decoded.unwrap()
}

/// What is missing stands where the bytes end; a field that is named stands where its structure has it, and says what was
/// found.
fn check_place(error: &WireError, packet: &Bytes) {
    let offset = error.offset.unwrap_or_else(|| panic!("no place: {error}"));
    assert!(offset <= packet.len(), "{error} of {}", packet.len());
    let message_type = packet.get(6).copied().unwrap_or_default();
    let Some(metadata) = METADATA.get(&message_type) else {
        return;
    };
    let body_at = Header::BYTES + metadata.bytes;
    // A name may be a structure's of the body too; several of its structures have the same names.
    let widths: &[usize] = if offset >= body_at && BODY_FIELDS.contains(error.what) {
        &[1, 2, 4, 8]
    } else if let Some(field) = metadata.fields.get(error.what) {
        assert_eq!(offset, Header::BYTES + field.at, "{error}");
        &[field.bytes]
    } else {
        return;
    };
    // Two are about what follows from a field.
    let is_computed = matches!(
        error.category,
        Category::SectionTileCountMismatch | Category::DescriptorOutOfRange
    );
    let is = |found: u64, bytes: &usize| {
        let mut field = [0; 8];
        let room = packet.len().min(offset + bytes) - offset;
        field[..room].copy_from_slice(&packet[offset..offset + room]);
        u64::from_le_bytes(field) == found
    };
    if let Some(found) = error.found.filter(|_| !is_computed) {
        assert!(widths.iter().any(|bytes| is(found, bytes)), "{error}");
    }
}

/// A structure as its source declares it.
#[derive(Default)]
struct Structure {
    name: &'static str,
    bytes: usize,
    fields: BTreeMap<&'static str, Place>,
}

#[derive(Clone, Copy)]
struct Place {
    at: usize,
    bytes: usize,
}

/// By type of message.
static METADATA: LazyLock<BTreeMap<u8, Structure>> = LazyLock::new(|| {
    let sources = [
        include_str!("../src/metadata/hello.rs"),
        include_str!("../src/metadata/patch.rs"),
        include_str!("../src/metadata/fault.rs"),
        include_str!("../src/metadata/frame_submit.rs"),
        include_str!("../src/metadata/result_push.rs"),
        include_str!("../src/metadata/cache.rs"),
        include_str!("../src/metadata/flow.rs"),
        include_str!("../src/metadata/transport.rs"),
    ];
    let mut structures: Vec<_> = sources.into_iter().flat_map(structures).collect();
    let mut by_type = BTreeMap::new();
    for message_type in (0..=u8::MAX).filter_map(|n| MessageType::from_number(n.into())) {
        let name = format!("{message_type:?}Metadata");
        if let Some(place) = structures.iter().position(|found| found.name == name) {
            let structure = structures.swap_remove(place);
            assert_eq!(structure.bytes, message_type.metadata_bytes(), "{name}");
            by_type.insert(message_type as u8, structure);
        }
    }
    by_type
});

static BODY_FIELDS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let sources = [
        include_str!("../src/extension.rs"),
        include_str!("../src/body/composed.rs"),
        include_str!("../src/body/section.rs"),
        include_str!("../src/body/reference.rs"),
        include_str!("../src/body/inline_object.rs"),
        include_str!("../src/body/extension.rs"),
    ];
    let structures = sources.into_iter().flat_map(structures);
    structures
        .flat_map(|structure| structure.fields.into_keys())
        .collect()
});

/// The structures of a source: `Name[bytes] {`, then `offset field: type,` in order.
fn structures(source: &'static str) -> Vec<Structure> {
    let mut structures: Vec<Structure> = Vec::new();
    for block in source.split("fixed! {").skip(1) {
        let block = block.split("\n}").next().unwrap();
        let lines = block.lines().map(str::trim);
        let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with("///"));
        let (name, bytes) = lines.next().unwrap().split_once('[').unwrap();
        let bytes = bytes.split(']').next().unwrap().parse().unwrap();
        let fields = lines.filter_map(|line| line.split_once(':')?.0.split_once(' '));
        let fields: Vec<(usize, &str)> = fields
            .map(|(at, field)| (at.parse().unwrap(), field))
            .collect();
        let ends = fields.iter().skip(1).map(|(at, _)| *at).chain([bytes]);
        let places = fields.iter().zip(ends).map(|((at, field), end)| {
            let bytes = end - at;
            (*field, Place { at: *at, bytes })
        });
        let fields = places.collect();
        structures.push(Structure {
            name,
            bytes,
            fields,
        });
    }
    structures
}

#[test]
fn the_places_of_fields_are_known() {
    assert_eq!(METADATA.len(), 16);
    let submit = &METADATA[&0x10];
    let Place { at, bytes } = submit.fields["object_ref_mask"];
    assert_eq!((at, bytes, submit.fields.len()), (56, 4, 27));
    assert!(BODY_FIELDS.contains("payload_bytes"));
}

fn check_written_again(header: &Header, message: &Message, options: &DecodeOptions<'_>) {
    let mut first = Vec::new();
    let envelope = Envelope::from(header);
    if let Err(error) = message.encode(&envelope, &mut first) {
        let is_tolerated = options.rules == Rules::COMPATIBLE && is_unwritable(message, &error);
        assert!(is_tolerated, "{message:?}: {error}");
        assert!(first.is_empty());
        return;
    }
    let (_, again) = Message::decode_bytes(first.clone().into(), options).unwrap();
    let mut second = Vec::new();
    again.encode(&envelope, &mut second).unwrap();
    assert_eq!(first, second);
    if options.rules == Rules::STRICT {
        assert_eq!(again, *message);
    }
}

/// Two quirks that are read and never written: a FLOW_UPDATE of a session that does not fit (Q10), and a camera block that
/// was cut (Q16).
fn is_unwritable(message: &Message, error: &WireError) -> bool {
    if matches!(message, Message::FlowUpdate(_)) {
        return error.category == Category::SessionIdScopeConflict;
    }
    let Message::FrameSubmit(submit) = message else {
        return false;
    };
    let SubmitBody::Flat(flat) = &submit.body else {
        return false;
    };
    let is_cut = flat.camera.len() < submit.metadata.camera_bytes as usize;
    is_cut && error.category == Category::DeclaredLengthMismatch
}

#[test]
fn packets_that_end_anywhere() {
    let vectors = vectors();
    for vector in packets(&vectors) {
        let packet = bytes(&vector["hex"]);
        (0..packet.len()).for_each(|end| check(&packet.slice(..end)));
    }
}

/// The header's lengths are made to fit, so that what is behind the header is looked at.
#[test]
fn packets_whose_body_ends_anywhere() {
    let vectors = vectors();
    for vector in packets(&vectors) {
        let packet = bytes(&vector["hex"]);
        let Ok(header) = Header::decode(&packet) else {
            continue;
        };
        let body_at = Header::BYTES + header.meta_len as usize;
        for end in body_at..packet.len() {
            let mut cut = packet[..end].to_vec();
            let body_len = u32::try_from(end - body_at).unwrap();
            cut[16..20].copy_from_slice(&body_len.to_le_bytes());
            check(&cut.into());
        }
    }
}

#[test]
fn packets_with_a_bit_flipped() {
    let vectors = vectors();
    for vector in packets(&vectors) {
        let packet = bytes(&vector["hex"]);
        for bit in 0..packet.len() * 8 {
            let mut flipped = packet.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(&flipped.into());
        }
    }
}

/// The largest lengths and counts, wherever they might stand.
#[test]
fn packets_that_announce_too_much() {
    let vectors = vectors();
    for vector in packets(&vectors) {
        let packet = bytes(&vector["hex"]);
        for at in Header::BYTES..packet.len().saturating_sub(3) {
            let mut large = packet.to_vec();
            large[at..at + 4].fill(0xff);
            check(&large.into());
        }
    }
}

/// The smallest parts, as many as fit: each becomes a value that is larger than its bytes. Far too many to compare each with
/// all before it.
#[test]
fn packets_of_many_small_parts() {
    for count in [1_u16, 2, 3, 1_000, u16::MAX - 1, u16::MAX] {
        let entry = |number: u16| [number.to_le_bytes(), [0; 2], [0; 2], [0; 2]].concat();
        let block: Vec<_> = (0..count).map(|place| place ^ 0x5555).map(entry).collect();
        let block = block.concat();
        let block_bytes = u32::try_from(block.len()).unwrap();
        let mut metadata = [0; 64];
        metadata[60..].copy_from_slice(&block_bytes.to_le_bytes());
        // Types 0x0101 to 0x0106 must be eight bytes long; with all numbers some are among them.
        check(&packet(1, &metadata, &block));

        let header = |kind: u16| [&kind.to_le_bytes()[..], &[0; 14]].concat();
        let objects = header(4).repeat(usize::from(count) + 2);
        let mut metadata = [0; 72];
        metadata[64] = 2;
        check(&packet(0x10, &metadata, &composed(&objects, &[])));
    }
}

#[test]
fn of_very_many_extensions_the_first_that_comes_again_is_named() {
    let count = 60_000_u16;
    let numbers = (0..count).map(|place| 0xffff - place);
    let numbers = numbers.chain([0xffff - 7, 0xffff - 5, 0xffff - 7]);
    let block: Vec<_> = numbers
        .flat_map(|number| [number.to_le_bytes(), [0; 2], [0; 2], [0; 2]])
        .collect();
    let block = block.concat();
    let mut metadata = [0; 64];
    metadata[60..].copy_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
    let [compatible, strict] = &ALL_EXTENSIONS;
    let packet = packet(1, &metadata, &block);
    let error = decode_frugally(&packet, strict).unwrap_err();
    let place = Header::BYTES + 64 + usize::from(count) * 8;
    assert_eq!(error.category, Category::DuplicateObject);
    assert_eq!((error.offset, error.found), (Some(place), Some(0xffff - 7)));
    assert!(decode_frugally(&packet, compatible).is_ok());
}

fn packet(message_type: u8, metadata: &[u8], body: &[u8]) -> Bytes {
    let mut packet = b"NNRP\x01\x00\x00\x28".to_vec();
    packet[6] = message_type;
    packet.resize(Header::BYTES, 0);
    for (at, part) in [(12, metadata), (16, body)] {
        let bytes = u32::try_from(part.len()).unwrap();
        packet[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
    }
    [&packet, metadata, body].concat().into()
}

/// A body of inline objects and references.
fn composed(objects: &[u8], references: &[u8]) -> Vec<u8> {
    let mut prelude = [0; 32];
    for (at, region) in [(0, objects), (4, references)] {
        let bytes = u32::try_from(region.len()).unwrap();
        prelude[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
    }
    [&prelude, objects, references].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn noise(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&noise.into());
    }

    /// A header that fits, so that the noise is looked at.
    #[test]
    fn noise_behind_a_header(
        message_type in 0_u8..0x22,
        metadata_bytes in 0_usize..90,
        noise in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 90..400),
    ) {
        let metadata_bytes = MessageType::from_number(message_type.into())
            .map_or(metadata_bytes, MessageType::metadata_bytes);
        let (metadata, body) = noise.split_at(metadata_bytes);
        check(&packet(message_type, metadata, body));
    }
}
