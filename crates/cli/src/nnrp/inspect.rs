//! `nodewire nnrp inspect`: what packets say.

use std::path::PathBuf;

use bytes::Bytes;
use clap::ValueEnum;
use nnrp_wire::{DecodeOptions, Message, Packet, SplitLimits, Splitter};

use super::answer::Answer;
use super::lines;
use super::numbers::KnownSet;
use super::output::{Output, Stop, finish};
use super::reading::{Chunks, Format};
use super::refusal::{self, Refusal};
use super::tree::{self, Shown};
use crate::failure::Failure;

const HELP: &str = "\
Examples:
  # A stream as it was on the wire, or as hex digits with spaces and line ends anywhere
  nodewire nnrp inspect capture.bin
  echo '4e4e5250 01002028 00000000 00000000 00000000 07000000 00000000 00000000 2900000000000000' | nodewire nnrp inspect -

  # An object for each packet: {\"ok\":true,\"packet_offset\":0,\"type\":\"PING\",\"decoded\":{..}}
  nodewire nnrp inspect capture.bin --json

  # A packet in hex on each line, an object for each line; what is refused does not end it
  nodewire nnrp inspect packets.hex --lines --mode strict

  # Refuse critical extensions but these
  nodewire nnrp inspect capture.bin --known-control-extensions 0x0101,0x0103 --known-extension-frames none

Modes: `compatible` accepts what the reference accepts, and notes what the strict rules would say; `strict` follows every rule of
the design. Sets of known extensions: in compatible mode `any`, which keeps all; in strict mode the registered control extensions
and no extension frames.

A stream ends at its first broken packet: where it stands is told, counted from the start of the stream. Memory does not grow with
the stream; a packet whose header announces more than --max-body-bytes is refused before it is read, and one of more than 65536
extensions, objects, references and payloads, 4096 sections or 524288 tiles before it is shown.

Exit status: 0 done, with --lines also if packets were refused; 1 a packet of the stream is broken, or the output cannot be written;
2 wrong usage, or the input cannot be read.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct InspectArgs {
    /// The file; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Print a JSON object for each packet.
    #[arg(long)]
    json: bool,
    /// Every line is one packet in hex, and is answered with one JSON object.
    #[arg(long, conflicts_with = "format")]
    lines: bool,
    /// How strictly packets are read.
    #[arg(long, value_enum, default_value_t = Mode::Compatible)]
    mode: Mode,
    /// How the stream is written.
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    /// Types of control extensions that count as known: numbers with commas, `none` or `any`.
    #[arg(long, value_name = "LIST")]
    known_control_extensions: Option<KnownSet>,
    /// Kinds of extension frames that count as known: numbers with commas, `none` or `any`.
    #[arg(long, value_name = "LIST")]
    known_extension_frames: Option<KnownSet>,
    /// Read a result that declares only a tensor as a composed body where it is no flat one.
    #[arg(long)]
    composed_tensor_results: bool,
    /// Refuse longer bodies, in bytes.
    #[arg(long, value_name = "N", default_value_t = 32 << 20)]
    pub(super) max_body_bytes: u32,
    /// Show payloads and lists in full.
    #[arg(long, conflicts_with_all = ["json", "lines"])]
    full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Every rule.
    Strict,
    /// What the reference accepts.
    Compatible,
}

impl InspectArgs {
    pub(super) fn options(&self) -> DecodeOptions<'_> {
        let mut options = match self.mode {
            Mode::Strict => DecodeOptions::STRICT,
            Mode::Compatible => DecodeOptions::COMPATIBLE,
        };
        if let Some(known) = &self.known_control_extensions {
            options.known_control_extensions = known.as_deref();
        }
        if let Some(known) = &self.known_extension_frames {
            options.known_extension_frames = known.as_deref();
        }
        options.composed_tensor_results = self.composed_tensor_results;
        options
    }

    pub(super) const fn limits(&self) -> SplitLimits {
        SplitLimits {
            body_bytes_max: self.max_body_bytes,
            probe_bytes_max: self.max_body_bytes,
            metadata_bytes_max: METADATA_BYTES_MAX,
            // Which length is right is for the decoder to say, in either mode.
            any_metadata_length: true,
        }
    }
}

/// More than a thousand times what a message has.
pub(super) const METADATA_BYTES_MAX: u32 = 1 << 20;

pub(super) fn inspect(args: &InspectArgs) -> Result<(), Failure> {
    let mut output = Output::new();
    let done = if args.lines {
        lines::answer(args, &mut output)
    } else {
        stream(args, &mut output)
    };
    // What was written before a failure is shown.
    let flushed = output.flush();
    finish(done.and(flushed))
}

fn stream(args: &InspectArgs, output: &mut Output) -> Result<(), Stop> {
    let mut chunks = Chunks::open(&args.file, args.format)?;
    let mut splitter = Splitter::new(args.limits());
    let mut at = 0;
    loop {
        output.flush()?;
        let Some(mut chunk) = chunks.next()? else {
            break;
        };
        while let Some(packet) = next_packet(&mut splitter, &mut chunk, at, args, output)? {
            show(&packet, at, args, output)?;
            at += packet.bytes();
        }
    }
    match splitter.end() {
        Ok(()) => Ok(()),
        Err(error) => Err(broken(error.into(), at, args, output)),
    }
}

fn next_packet(
    splitter: &mut Splitter,
    chunk: &mut Bytes,
    at: u64,
    args: &InspectArgs,
    output: &mut Output,
) -> Result<Option<Packet>, Stop> {
    if chunk.is_empty() {
        return Ok(None);
    }
    let packet = splitter.split(chunk);
    packet.map_err(|error| broken(error.into(), at, args, output))
}

fn show(packet: &Packet, at: u64, args: &InspectArgs, output: &mut Output) -> Result<(), Stop> {
    let options = args.options();
    let read = refusal::read(packet, &options);
    let (message, decoded) = read.map_err(|refusal| broken(refusal, at, args, output))?;
    if args.json {
        return output.json(&Answer::shown(packet.header(), decoded).in_stream(at));
    }
    let strict = DecodeOptions {
        rules: DecodeOptions::STRICT.rules,
        ..options
    };
    let strictly = Message::decode(packet, &strict).err();
    let shown = Shown {
        packet,
        message: &message,
        body: &decoded["body"],
        at,
        strictly,
        full: args.full,
    };
    tree::print(&shown, output)
}

/// Tells where a stream is broken; it ends there.
fn broken(refusal: Refusal, at: u64, args: &InspectArgs, output: &mut Output) -> Stop {
    let offset = refusal.offset.map(|offset| at + offset as u64);
    if args.json {
        let answer = Answer::refused(refusal.clone()).in_stream(at);
        if let Err(stop) = output.json(&answer) {
            return stop;
        }
    }
    let place = offset.map_or_else(String::new, |offset| {
        format!(" at byte {offset} of the stream")
    });
    let message = refusal.message;
    // Which counts from the packet.
    let own_place = refusal.offset.map(|offset| format!(" (byte {offset})"));
    let message = own_place
        .and_then(|own| message.strip_suffix(&own))
        .unwrap_or(&message);
    Failure::failed(format!(
        "the packet at byte {at} is broken{place}: {message}"
    ))
    .into()
}
