//! Streams, as trees and as JSON.

use std::io::{BufRead, BufReader, Write};

use crate::support::{
    CLOSE, PING, bytes, nnrp, objects, packet, printed, run, said, stdout, vectors,
};

/// Every recorded packet that is valid, one behind the other.
fn recorded() -> (usize, Vec<u8>) {
    let file = vectors("nnrp-packets.json");
    let valid = file["vectors"].as_array().unwrap().iter();
    let valid: Vec<_> = valid.filter(|vector| vector["kind"] == "valid").collect();
    let stream = valid
        .iter()
        .flat_map(|vector| bytes(vector["hex"].as_str().unwrap()));
    (valid.len(), stream.collect())
}

fn three() -> Vec<u8> {
    [
        packet(PING, b""),
        packet(CLOSE, "fin\u{e9}".as_bytes()),
        packet(PING, b""),
    ]
    .concat()
}

#[test]
fn a_stream_is_the_same_raw_and_in_hex_with_spaces_anywhere() {
    let (count, stream) = recorded();
    let raw = run(&["inspect", "-"], &stream);
    let tree = printed(&raw);
    let heads = tree
        .lines()
        .filter(|line| line.starts_with("packet at byte "));
    assert_eq!(heads.count(), count);

    // Line ends and spaces in between, in the middle of bytes too.
    let mut hex = String::from("\r\n ");
    for (place, byte) in stream.iter().enumerate() {
        let digits = format!("{byte:02x}");
        let (first, second) = digits.split_at(1);
        hex.push_str(first);
        hex.push_str(if place % 7 == 0 { "\n" } else { "" });
        hex.push_str(second);
        hex.push_str(if place % 11 == 0 { " \t" } else { "" });
    }
    assert_eq!(run(&["inspect", "-"], hex.as_bytes()).stdout, raw.stdout);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &stream).unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(run(&["inspect", path], b"").stdout, raw.stdout);
}

#[test]
fn packets_are_objects_with_their_place() {
    let output = run(&["inspect", "--json", "-"], &three());
    let objects = objects(printed(&output));
    let places: Vec<_> = objects
        .iter()
        .map(|it| it["packet_offset"].as_u64())
        .collect();
    assert_eq!(places, [Some(0), Some(40), Some(85)]);
    assert_eq!(objects[1]["type"], "CLOSE");
    assert_eq!(objects[1]["decoded"]["body"]["payload"], "66696ec3a9");
}

#[test]
fn trees_have_text_and_names_for_people() {
    let output = run(&["inspect", "-"], &three());
    let tree = printed(&output);
    assert!(tree.contains("packet at byte 40: CLOSE, 45 bytes: 40 header, 0 metadata, 5 body"));
    assert!(
        tree.contains("    payload: 5 bytes \"fin\u{e9}\"\n"),
        "{tree}"
    );
    assert!(tree.contains("session 7,"));

    let (_, stream) = recorded();
    let output = run(&["inspect", "-"], &stream);
    let tree = printed(&output);
    for expected in [
        "result_class: 1 (PARTIAL)",
        "payload_kind=2 (TOKEN_CHUNK)",
        "object_kind=1 (CAMERA_BLOCK)",
        "dtype_id=5 (UINT8)",
        "transport_policy=",
    ] {
        assert!(tree.contains(expected), "{expected}");
    }
}

#[test]
fn nothing_in_a_packet_steers_the_terminal() {
    let evil = "\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\r\n";
    let stream = [packet(CLOSE, evil.as_bytes()), packet(CLOSE, b"\x1b[2J")].concat();
    for arguments in [
        &["inspect", "-"][..],
        &["inspect", "-", "--full"],
        &["inspect", "-", "--json"],
    ] {
        let output = run(arguments, &stream);
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!printed(&output).contains(steers), "{arguments:?}");
    }
    // Nor does input that is refused.
    let output = run(&["inspect", "-"], b"4e\x1b[2J");
    let message = said(&output, 1);
    assert!(
        message.contains("'\\u{1b}' at byte 2 of the input"),
        "{message}"
    );
    assert!(!message.contains('\u{1b}'));
}

#[test]
fn long_payloads_are_cut_unless_all_is_wanted() {
    let stream = packet(CLOSE, "x".repeat(5000).as_bytes());
    let short = run(&["inspect", "-"], &stream);
    assert!(printed(&short).contains("5000 bytes \"xxx"));
    assert!(short.stdout.len() < 400);
    assert!(run(&["inspect", "-", "--full"], &stream).stdout.len() > 5000);
}

#[test]
fn what_the_strict_rules_refuse_is_noted_or_refused() {
    let mut ping = packet(PING, b"");
    ping[4] = 9;
    let output = run(&["inspect", "-"], &ping);
    let note = "strict rules refuse it: unsupported_version: version_major is 9";
    assert!(printed(&output).contains(note));
    let stream = [packet(PING, b""), ping].concat();
    let output = run(&["inspect", "-", "--mode", "strict"], &stream);
    assert_eq!(
        said(&output, 1),
        "error: the packet at byte 40 is broken at byte 44 of the stream: unsupported_version: version_major is 9, the limit is 1\n"
    );
    assert!(stdout(&output).contains("packet at byte 0: PING"));
}

#[test]
fn a_broken_packet_ends_a_stream_and_says_where() {
    let mut stream = three();
    stream[40] = b'X';
    let output = run(&["inspect", "-"], &stream);
    let message = said(&output, 1);
    assert!(
        message.starts_with(
            "error: the packet at byte 40 is broken at byte 40 of the stream: bad_magic"
        ),
        "{message}"
    );
    assert_eq!(stdout(&output).matches("packet at byte").count(), 1);

    let output = run(&["inspect", "-", "--json"], &stream);
    said(&output, 1);
    let objects = objects(stdout(&output));
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[1]["ok"], false);
    assert_eq!(objects[1]["category"], "bad_magic");
    assert_eq!(objects[1]["packet_offset"], 40);
    assert_eq!(objects[1]["offset"], 40);
}

#[test]
fn a_stream_that_ends_inside_a_packet_is_broken() {
    let stream = three();
    for (end, category) in [
        (1, "header_truncated"),
        (39, "header_truncated"),
        (41, "header_truncated"),
        (80, "packet_truncated"),
        (84, "packet_truncated"),
        (124, "header_truncated"),
    ] {
        let output = run(&["inspect", "-"], &stream[..end]);
        let message = said(&output, 1);
        assert!(message.contains(category), "{end}: {message}");
        let start = if end < 40 {
            0
        } else if end < 85 {
            40
        } else {
            85
        };
        assert!(
            message.contains(&format!("the packet at byte {start} is broken")),
            "{message}"
        );
    }
    for end in [0, 40, 85, 125] {
        printed(&run(&["inspect", "-"], &stream[..end]));
    }
    let output = run(&["inspect", "-"], b"4e4e5");
    assert!(said(&output, 1).contains("half a byte"));
}

#[test]
fn packets_that_announce_too_much_are_refused_by_their_header() {
    let mut huge = packet(CLOSE, b"");
    huge[16..20].fill(0xff);
    let mut child = nnrp(&["inspect", "-"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&huge).unwrap();
    // It does not wait for more, although more may come.
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    drop(stdin);

    let long = packet(CLOSE, &[b'x'; 101]);
    let output = run(&["inspect", "-", "--max-body-bytes", "100"], &long);
    assert!(said(&output, 1).contains("limit_exceeded: body_len is 101, the limit is 100"));
    printed(&run(&["inspect", "-", "--max-body-bytes", "101"], &long));
}

#[test]
fn a_reader_that_goes_away_ends_it_well() {
    let mut child = nnrp(&["inspect", "-", "--json"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let ping = packet(PING, b"");
    // Without an end: only its reader's ends it.
    let writer = std::thread::spawn(move || while stdin.write_all(&ping).is_ok() {});
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("PING"));
    drop(stdout);
    assert!(child.wait().unwrap().success());
    writer.join().unwrap();
}

#[test]
fn packets_are_shown_as_they_come() {
    let mut child = nnrp(&["inspect", "-", "--json"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for session in [1, 2] {
        let mut ping = packet(PING, b"");
        ping[20] = session;
        stdin.write_all(&ping).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(shown["decoded"]["header"]["session_id"], session);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn packets_of_too_many_parts_are_not_shown() {
    let hello = |extensions: usize| {
        let block = [0, 3, 0, 0, 0, 0, 0, 0].repeat(extensions);
        let mut hello = packet(0x01, &[&[0; 64][..], &block].concat());
        let block_bytes = u32::try_from(block.len()).unwrap().to_le_bytes();
        hello[12] = 64;
        hello[16..20].copy_from_slice(&block_bytes);
        hello[100..104].copy_from_slice(&block_bytes);
        hello
    };
    printed(&run(&["inspect", "-"], &hello(1000)));
    let output = run(&["inspect", "-", "--json"], &hello(65_537));
    let message = said(&output, 1);
    assert!(
        message.contains("number of parts is 65537, the limit is 65536"),
        "{message}"
    );
    assert_eq!(objects(stdout(&output))[0]["category"], "limit_exceeded");
}

/// A submit of so many sections of so many empty tiles, with a flat body or a composed one.
fn submit(sections: u16, tiles: u16, is_composed: bool) -> Vec<u8> {
    let mut table = Vec::new();
    for role in 0..sections {
        let mut descriptor = [0; 32];
        descriptor[0..2].copy_from_slice(&role.to_le_bytes());
        descriptor[3] = 5;
        descriptor[16..20].copy_from_slice(&(4 * u32::from(tiles)).to_le_bytes());
        table.resize(table.len().next_multiple_of(8), 0);
        table.extend(descriptor);
        table.resize(table.len() + 4 * usize::from(tiles), 0);
    }
    let mut metadata = [0; 72];
    metadata[8..10].copy_from_slice(&tiles.to_le_bytes());
    metadata[10..12].copy_from_slice(&sections.to_le_bytes());
    metadata[64] = if is_composed { 3 } else { 1 };
    if is_composed {
        let object = |kind: u8, bytes: u32| {
            let mut header = [0; 16];
            header[0] = kind;
            header[8..12].copy_from_slice(&bytes.to_le_bytes());
            header
        };
        let table_bytes = u32::try_from(table.len()).unwrap();
        table.resize(table.len().next_multiple_of(8), 0);
        let mut prelude = [0; 32];
        let objects_bytes = 32 + table_bytes.next_multiple_of(8);
        prelude[0..4].copy_from_slice(&objects_bytes.to_le_bytes());
        let objects = [object(2, 0), object(3, table_bytes)].concat();
        table = [&prelude, &objects[..], &table].concat();
    }
    let mut submit = packet(0x10, &[&metadata[..], &table].concat());
    submit[12] = 72;
    submit[16..20].copy_from_slice(&u32::try_from(table.len()).unwrap().to_le_bytes());
    submit
}

#[test]
fn packets_of_too_many_sections_or_tiles_are_not_shown() {
    for is_composed in [false, true] {
        for (sections, tiles, refused) in [
            (4096, 0, None),
            (
                4097,
                0,
                Some("number of sections is 4097, the limit is 4096"),
            ),
            (7, 65_535, None),
            // With the index itself.
            (
                8,
                65_535,
                Some("number of tiles is 589815, the limit is 524288"),
            ),
        ] {
            let submit = submit(sections, tiles, is_composed);
            let output = run(&["inspect", "-"], &submit);
            match refused {
                None => assert!(printed(&output).contains("FRAME_SUBMIT")),
                Some(refused) => {
                    let message = said(&output, 1);
                    assert!(message.contains(refused), "{message}");
                }
            }
        }
    }
}
