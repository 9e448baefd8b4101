//! `nodewire nnrp inspect --lines`: a packet in hex on each line, a JSON object for each.

use std::io::{BufRead, BufReader, Read};

use nnrp_wire::Packet;

use super::answer::Answer;
use super::inspect::{InspectArgs, METADATA_BYTES_MAX};
use super::output::{Output, Stop};
use super::reading::{Digits, open, unreadable};
use super::refusal::{self, Refusal};

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
            let answer = answer_line(&line, args);
            answer.unwrap_or_else(Answer::refused)
        } else {
            input
                .skip_until(b'\n')
                .map_err(|error| unreadable(&args.file, &error))?;
            let found = line.len() as u64;
            Answer::refused(Refusal::limit(
                "length of the line",
                found,
                line_bytes_max,
                None,
            ))
        };
        output.json(&answer)?;
    }
}

fn answer_line(line: &[u8], args: &InspectArgs) -> Result<Answer, Refusal> {
    let mut digits = Digits::default();
    let bytes = digits.decode(line).map_err(|(at, byte)| {
        let byte = char::from(byte).escape_default();
        let message = format!("'{byte}' is no hex digit (character {at})");
        invalid_hex(&digits, &message)
    })?;
    if digits.has_half() {
        return Err(invalid_hex(&digits, "the number of hex digits is odd"));
    }
    let packet = Packet::decode(bytes.into())?;
    let limit = u64::from(args.max_body_bytes);
    let found = packet.body().len() as u64;
    if found > limit {
        return Err(Refusal::limit("body_len", found, limit, Some(16)));
    }
    let (_, decoded) = refusal::read(&packet, &args.options())?;
    Ok(Answer::shown(packet.header(), decoded))
}

fn invalid_hex(digits: &Digits, message: &str) -> Refusal {
    let category = "invalid_hex";
    Refusal {
        category,
        offset: Some(digits.whole_bytes()),
        message: format!("{category}: {message}"),
    }
}
