//! `nodewire nnrp compare`: sizes of packets beside those of other encodings. spec: nnrp-session 7.3

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nnrp_wire::Packet;
use nnrp_wire::replay::{
    EnhanceResult, FrameFeatures, ReplayError, ResultOptions, SubmitOptions, WireSizeComparison,
    WireSummary,
};
use serde_json::{Value, json};

use super::output::{Output, finish};
use super::reading::{Digits, Format, detect, read_whole};
use crate::failure::{Failure, chain};
use crate::terminal;

const HELP: &str = "\
Examples:
  # A FRAME_SUBMIT or RESULT_PUSH, raw or in hex, beside a file of any content: only its length counts
  nodewire nnrp compare submit.bin submit.pb

  # What a host has, as JSON: the packet is made first
  nodewire nnrp compare features.json features.msgpack --as frame-features --label msgpack
  echo '{\"kind\": \"enhance_result\", \"options\": {\"session_id\": 7}, \"input\": {\"session_id\": \"s\", \"frame_id\": 1}}' |
    nodewire nnrp compare - result.pb --json

JSON is an object of the fields of the frame or result, with bytes as {\"hex\": \"..\"}; or an object with `kind`
(frame_features, enhance_result), `options` and `input`.

Exit status: 0 done; 1 the packet or object is not what it must be; 2 wrong usage, or a file cannot be read.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct CompareArgs {
    /// A packet, raw or in hex, or a JSON object; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The same thing in another encoding.
    #[arg(value_name = "REFERENCE")]
    reference: PathBuf,
    /// What the other encoding is called.
    #[arg(long, default_value = "protobuf")]
    label: String,
    /// What a JSON object is that does not say it.
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// Make the packet that the reference makes, where that marks missing tiles as covered or has references in a result.
    #[arg(long)]
    compatible: bool,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Input of a frame.
    FrameFeatures,
    /// Output of a frame.
    EnhanceResult,
}

/// Of the input; a packet of the reference's default size in hex fits.
const INPUT_BYTES_MAX: u64 = 256 << 20;

pub(super) fn compare(args: &CompareArgs) -> Result<(), Failure> {
    let bytes = read_whole(&args.file, INPUT_BYTES_MAX)?;
    let reference_bytes = length(&args.reference)?;
    let packet = packet(&bytes, args)?;
    let summary = WireSummary::of(&packet).map_err(|error| refused(&error))?;
    let comparison = summary.compared_with(reference_bytes, args.label.as_str());
    let mut output = Output::new();
    let written = if args.json {
        output.json(&to_json(&comparison))
    } else {
        output.line(&terminal::plain(&comparison.to_string()))
    };
    finish(written.and_then(|()| output.flush()))
}

/// Of a file, without reading it.
fn length(file: &Path) -> Result<u64, Failure> {
    let metadata = std::fs::metadata(file);
    let metadata = metadata.map_err(|error| super::reading::unreadable(file, &error))?;
    if !metadata.is_file() {
        let file = file.display();
        return Err(Failure::usage(format!("{file} is no file")));
    }
    Ok(metadata.len())
}

fn packet(bytes: &[u8], args: &CompareArgs) -> Result<Packet, Failure> {
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        let json = serde_json::from_slice(bytes);
        let json = json.map_err(|error| Failure::failed(format!("the JSON is broken: {error}")))?;
        return made(&json, args);
    }
    let bytes = match detect(bytes) {
        Format::Hex => {
            let mut digits = Digits::default();
            let decoded = digits.decode(bytes).ok();
            let whole = decoded.filter(|_| !digits.has_half());
            whole.ok_or_else(|| {
                Failure::failed("the input is neither a packet, hex digits nor JSON")
            })?
        }
        Format::Raw | Format::Auto => bytes.to_vec(),
    };
    Packet::decode(bytes.into()).map_err(|error| Failure::failed(error.to_string()))
}

/// The packet of what a host has.
fn made(json: &Value, args: &CompareArgs) -> Result<Packet, Failure> {
    let said = json.get("kind").and_then(Value::as_str);
    let kind = match (said, args.kind) {
        (Some("frame_features"), _) => Kind::FrameFeatures,
        (Some("enhance_result"), _) => Kind::EnhanceResult,
        (_, Some(kind)) => kind,
        (_, None) => {
            let text =
                "the JSON does not say what it is: --as frame-features or --as enhance-result";
            return Err(Failure::usage(text));
        }
    };
    let none = json!({});
    let (input, options) = match json.get("input") {
        Some(input) => (input, json.get("options").unwrap_or(&none)),
        None => (json, &none),
    };
    let packet = match kind {
        Kind::FrameFeatures => submit(input, options),
        Kind::EnhanceResult => result(input, options, args.compatible),
    };
    packet.map_err(|error| refused(&error))
}

fn submit(input: &Value, options: &Value) -> Result<Packet, ReplayError> {
    FrameFeatures::from_json(input)?.to_packet(&SubmitOptions::from_json(options)?)
}

fn result(input: &Value, options: &Value, compatible: bool) -> Result<Packet, ReplayError> {
    let others = if compatible {
        ResultOptions::COMPATIBLE
    } else {
        ResultOptions::default()
    };
    EnhanceResult::from_json(input)?.to_packet(&ResultOptions::from_json(options, others)?)
}

fn refused(error: &ReplayError) -> Failure {
    Failure::failed(chain(error))
}

fn to_json(comparison: &WireSizeComparison) -> Value {
    let current = &comparison.current;
    let delta = i64::try_from(comparison.delta_bytes()).unwrap_or(i64::MAX);
    json!({
        "reference_label": comparison.reference_label,
        "reference_bytes": comparison.reference_bytes,
        "current_bytes": current.wire_bytes,
        "delta_bytes": delta,
        "current_ratio": comparison.ratio_percent_x100().map(|_| comparison.ratio_text()),
        "subject": current.subject,
        "message_type": current.message_type.name(),
        "metadata_bytes": current.metadata_bytes,
        "body_bytes": current.body_bytes,
        "tile_count": current.tile_count,
        "section_count": current.section_count,
        "tile_index_bytes": current.tile_index_bytes,
        "camera_bytes": current.camera_bytes,
        "role_ids": current.role_ids,
        "result_flags": current.result_flag_names(),
        "text": comparison.to_string(),
    })
}
