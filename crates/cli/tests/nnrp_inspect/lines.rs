//! `--lines`: an answer for every line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};

use serde_json::{Value, json};

use crate::support::{CLOSE, PING, nnrp, objects, packet, printed, run, said, stdout, vectors};

/// The sets of known extensions that a vector names, as arguments.
fn known(vector: &Value) -> [String; 2] {
    ["known_control_extension_types", "known_extension_kinds"].map(|key| {
        let Some(numbers) = vector["context"][key].as_array() else {
            return "any".to_owned();
        };
        let numbers: Vec<_> = numbers.iter().map(Value::to_string).collect();
        if numbers.is_empty() {
            "none".to_owned()
        } else {
            numbers.join(",")
        }
    })
}

/// Answers to vectors, those with the same known extensions in one go.
fn answers<'v>(vectors: &[&'v Value], mode: &str) -> Vec<(&'v Value, Value)> {
    let mut groups: BTreeMap<[String; 2], Vec<&Value>> = BTreeMap::new();
    for vector in vectors {
        groups.entry(known(vector)).or_default().push(vector);
    }
    let mut answers = Vec::new();
    for ([control, frames], vectors) in groups {
        let arguments = ["inspect", "-", "--lines", "--mode", mode];
        let sets = [
            "--known-control-extensions",
            &control,
            "--known-extension-frames",
            &frames,
        ];
        let mut input = String::new();
        for vector in &vectors {
            writeln!(input, "{}", vector["hex"].as_str().unwrap()).unwrap();
        }
        let output = run(&[&arguments[..], &sets[..]].concat(), input.as_bytes());
        let objects = objects(printed(&output));
        assert_eq!(objects.len(), vectors.len());
        answers.extend(vectors.into_iter().zip(objects));
    }
    answers
}

#[test]
fn every_recorded_packet_is_answered_as_recorded() {
    let file = vectors("nnrp-packets.json");
    let all = ["vectors", "accepted_but_irregular"];
    let all = all.iter().flat_map(|key| file[key].as_array().unwrap());
    let all: Vec<_> = all.collect();
    assert_eq!(all.len(), 214 + 206 + 38);
    for (vector, answer) in answers(&all, "compatible") {
        let name = &vector["name"];
        if vector["decoded"].is_null() {
            assert_eq!(answer["ok"], false, "{name}");
            assert_eq!(answer["category"], vector["error"]["category"], "{name}");
            let message = answer["message"].as_str().unwrap();
            let category = answer["category"].as_str().unwrap();
            assert!(message.starts_with(category), "{name}: {message}");
            let keys: Vec<_> = answer.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["category", "message", "offset", "ok"]);
            continue;
        }
        let expected = json!({
            "ok": true,
            "type": vector["decoded"]["header"]["msg_type_name"],
            "decoded": vector["decoded"],
        });
        assert_eq!(answer, expected, "{name}");
    }
}

#[test]
fn strictly_irregular_packets_are_refused_for_the_recorded_reason() {
    let file = vectors("nnrp-packets.json");
    let irregular: Vec<_> = file["accepted_but_irregular"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    for (vector, answer) in answers(&irregular, "strict") {
        let category = answer["category"].as_str().unwrap_or("none");
        assert_eq!(category, vector["strict_category"], "{}", vector["name"]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn garbage_is_answered_and_does_not_end_it() {
    let ping = hex(&packet(PING, b""));
    let mut huge = packet(CLOSE, b"");
    huge[12..20].fill(0xff);
    let lines = [
        ("", "header_truncated", json!(0)),
        ("   ", "header_truncated", json!(0)),
        ("4e4", "invalid_hex", json!(1)),
        ("4e4\u{1b}[31m", "invalid_hex", json!(1)),
        ("hello", "invalid_hex", json!(0)),
        (&ping[..78], "header_truncated", json!(0)),
        (&"00".repeat(40), "bad_magic", json!(0)),
        (&hex(&huge), "packet_truncated", json!(12)),
        (&format!("{ping}00"), "packet_trailing_bytes", json!(12)),
    ];
    let mut input = String::new();
    for (line, ..) in &lines {
        // Line ends of either kind, digits of either case, spaces in between.
        write!(
            input,
            "{line}\n{}  {}\r\n",
            &ping[..5],
            ping[5..].to_uppercase()
        )
        .unwrap();
    }
    let output = run(&["inspect", "--lines", "-"], input.as_bytes());
    let answers = objects(printed(&output));
    assert_eq!(answers.len(), 2 * lines.len());
    for (pair, (line, category, offset)) in answers.chunks(2).zip(&lines) {
        assert_eq!(pair[0]["category"], *category, "{line:?}");
        assert_eq!(pair[0]["offset"], *offset, "{line:?}");
        assert_eq!(pair[1]["type"], "PING", "{line:?}");
    }
    assert!(!output.stdout.contains(&0x1b));
}

#[test]
fn what_is_too_long_is_answered_without_being_kept() {
    let mut input = vec![b'a'; 3 << 20];
    input.push(b'\n');
    input.extend(hex(&packet(CLOSE, b"ab")).bytes());
    input.push(b'\n');
    input.extend(hex(&packet(CLOSE, b"a")).bytes());
    let output = run(
        &["inspect", "--lines", "-", "--max-body-bytes", "1"],
        &input,
    );
    let answers = objects(printed(&output));
    assert_eq!(answers.len(), 3, "the last line needs no end");
    assert_eq!(answers[0]["category"], "limit_exceeded");
    assert_eq!(answers[1]["category"], "limit_exceeded");
    assert_eq!(answers[1]["offset"], 16);
    assert_eq!(answers[2]["type"], "CLOSE");
}

/// As the help shows them, so that a line says first how it went.
#[test]
fn keys_stand_in_the_order_of_the_help() {
    let ping = packet(PING, b"");
    let mut broken = ping.clone();
    broken[0] = 0;
    let lines = format!("{}\n{}\n", hex(&ping), hex(&broken));
    let lines = run(&["inspect", "--lines", "-"], lines.as_bytes());
    let stream = run(&["inspect", "--json", "-"], &[ping, broken].concat());
    said(&stream, 1);
    for (output, starts) in [
        (
            &lines,
            [
                "{\"ok\":true,\"type\":\"PING\",\"decoded\":{",
                "{\"ok\":false,\"category\":\"bad_magic\",\"offset\":0,\"message\":\"bad_magic",
            ],
        ),
        (
            &stream,
            [
                "{\"ok\":true,\"packet_offset\":0,\"type\":\"PING\",\"decoded\":{",
                "{\"ok\":false,\"packet_offset\":40,\"category\":\"bad_magic\",\"offset\":40,\"message\":\"bad_magic",
            ],
        ),
    ] {
        let lines: Vec<_> = stdout(output).lines().collect();
        assert_eq!(lines.len(), starts.len());
        for (line, start) in lines.into_iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
    }
}

#[test]
fn lines_are_answered_before_the_next_one_comes() {
    let mut child = nnrp(&["inspect", "--lines", "-"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for body in ["a", "bc", "def"] {
        writeln!(stdin, "{}", hex(&packet(CLOSE, body.as_bytes()))).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["decoded"]["body"]["payload"], hex(body.as_bytes()));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn nothing_in_is_nothing_out() {
    let output = run(&["inspect", "--lines", "-"], b"");
    assert_eq!(printed(&output), "");
}

#[test]
fn what_contradicts_itself_is_wrong_usage() {
    for arguments in [
        &["inspect", "-", "--lines", "--format", "raw"][..],
        &["inspect", "-", "--lines", "--full"],
        &["inspect", "-", "--known-extension-frames", "every"],
        &["inspect", "-", "--mode", "lax"],
        &["inspect", "/does/not/exist", "--lines"],
        &["inspect"],
    ] {
        said(&run(arguments, b""), 2);
    }
}
