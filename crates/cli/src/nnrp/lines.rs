//! `nodewire nnrp inspect --lines`: a packet in hex on each line, a JSON object for each.

use std::io::{BufRead, BufReader, Read};

use bytes::Bytes;
use nnrp_wire::Packet;
use nnrp_wire::inspect::packet_to_json;
use serde_json::{Value, json};

use super::inspect::{InspectArgs, METADATA_BYTES_MAX, decoded_json, refused_json};
use super::output::{Output, Stop};
use super::reading::{Digits, open, unreadable};

/// Answers every line, empty ones too, so that answers can be counted off against lines.
pub(super) fn answer(args: &InspectArgs, output: &mut Output) -> Result<(), Stop> {
    let mut input = BufReader::with_capacity(64 << 10, open(&args.file)?);
    let packet_bytes_max = 40 + u64::from(METADATA_BYTES_MAX) + u64::from(args.max_body_bytes);
    let line_bytes_max = 2 * packet_bytes_max;
    let mut line = Vec::new();
    loop {
        // Whoever sends a packet and waits for the answer gets it.
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
        line.clear();
        let read = (&mut input)
            .take(line_bytes_max + 1)
            .read_until(b'\n', &mut line)
            .map_err(|error| unreadable(&args.file, &error))?;
        if read == 0 {
            return Ok(());
        }
        let is_whole = line.last() == Some(&b'\n') || line.len() as u64 <= line_bytes_max;
        let answer = if is_whole {
            answer_line(&line, args)
        } else {
            input
                .skip_until(b'\n')
                .map_err(|error| unreadable(&args.file, &error))?;
            let message = format!("limit_exceeded: the line is longer than {line_bytes_max} bytes");
            refused("limit_exceeded", None, &message)
        };
        output.json(&answer)?;
    }
}

fn answer_line(line: &[u8], args: &InspectArgs) -> Value {
    let mut digits = Digits::default();
    let bytes = match digits.decode(line) {
        Ok(bytes) => Bytes::from(bytes),
        Err((at, byte)) => {
            let byte = char::from(byte).escape_default();
            let message = format!("invalid_hex: '{byte}' is no hex digit (character {at})");
            return refused("invalid_hex", Some(digits.whole_bytes()), &message);
        }
    };
    if digits.has_half() {
        let message = "invalid_hex: the number of hex digits is odd";
        return refused("invalid_hex", Some(digits.whole_bytes()), message);
    }
    let packet = match Packet::decode(bytes) {
        Ok(packet) => packet,
        Err(error) => return refused_json(&error),
    };
    let (body_len, body_bytes_max) = (packet.header().body_len, args.max_body_bytes);
    if body_len > body_bytes_max {
        let message = format!(
            "limit_exceeded: body_len is {body_len}, the limit is {body_bytes_max} (byte 16)"
        );
        return refused("limit_exceeded", Some(16), &message);
    }
    match packet_to_json(&packet, &args.options()) {
        Ok(decoded) => decoded_json(packet.header(), decoded),
        Err(error) => refused_json(&error),
    }
}

fn refused(category: &str, offset: Option<usize>, message: &str) -> Value {
    json!({"ok": false, "category": category, "offset": offset, "message": message})
}
