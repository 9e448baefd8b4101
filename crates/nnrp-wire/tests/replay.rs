//! Frames and results as packets, and their summaries, as recorded. spec: nnrp-session 7

#![cfg(feature = "inspect")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use nnrp_wire::inspect::{from_hex, to_hex};
use nnrp_wire::replay::{
    CacheKey, CameraBlock, CameraError, EnhanceResult, EnhanceTile, FeatureTile, FrameFeatures,
    ReplayCodec, ReplayError, ResultOptions, SubmitOptions, WireSummary,
};
use nnrp_wire::{Category, DecodeOptions, Message, Packet, ResultClass, ResultFlags};
use serde_json::{Value, json};

fn vectors() -> Vec<Value> {
    let text = include_str!("vectors/nnrp-replay-vectors.json");
    let file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn export(vector: &Value) -> Result<Packet, ReplayError> {
    let (input, options) = (&vector["input"], &vector["options"]);
    match vector["kind"].as_str().unwrap() {
        "frame_features" => {
            FrameFeatures::from_json(input)?.to_packet(&SubmitOptions::from_json(options)?)
        }
        "enhance_result" => {
            let options = ResultOptions::from_json(options, ResultOptions::COMPATIBLE)?;
            EnhanceResult::from_json(input)?.to_packet(&options)
        }
        other => panic!("unknown kind {other}"),
    }
}

#[test]
fn exports_are_as_recorded_byte_for_byte() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 27);
    let with_packet = vectors
        .iter()
        .filter(|vector| vector["wire_hex"].is_string());
    let mut compared = 0;
    for vector in with_packet {
        let name = &vector["name"];
        let packet = export(vector).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(to_hex(&packet.encode()), vector["wire_hex"], "{name}");
        for (field, value) in vector["header"].as_object().unwrap() {
            let header = nnrp_wire::inspect::header_to_json(packet.header());
            assert_eq!(&header[field], value, "{name}: {field}");
        }
        let summary = WireSummary::of(&packet).unwrap();
        assert_eq!(summary.to_string(), vector["summary_text"], "{name}");
        if let Some(bytes) = vector["reference_bytes"].as_u64() {
            let label = vector["reference_label"].as_str().unwrap();
            let comparison = summary.compared_with(bytes, label);
            assert_eq!(comparison.to_string(), vector["comparison_text"], "{name}");
            compared += 1;
        }
    }
    assert!(compared > 8, "{compared}");
}

#[test]
fn refusals_have_the_recorded_text() {
    let vectors = vectors();
    let refused: Vec<_> = vectors
        .iter()
        .filter(|it| it["error"].is_string())
        .collect();
    assert_eq!(refused.len(), 7);
    for vector in refused {
        let text = export(vector).unwrap_err().to_string();
        // The name of the host's own type, which the recording made of anonymous objects.
        let text = text.replace("FrameFeatures", "SimpleNamespace");
        assert_eq!(text, vector["error"], "{}", vector["name"]);
    }
}

fn tile(x: u32) -> EnhanceTile {
    EnhanceTile {
        x,
        sr_residual: "ab".into(),
        ..EnhanceTile::default()
    }
}

fn result() -> EnhanceResult {
    EnhanceResult {
        session: "s".into(),
        frame_id: 9,
        tiles: vec![tile(0), tile(1)],
        ..EnhanceResult::default()
    }
}

fn metadata(packet: &Packet) -> nnrp_wire::metadata::ResultPushMetadata {
    let message = Message::decode(packet, &DecodeOptions::STRICT).unwrap();
    let Message::ResultPush(result) = message else {
        panic!("{message:?}");
    };
    result.metadata
}

/// Q-19 of nnrp-session.
#[test]
fn missing_tiles_are_dropped_unless_the_reference_is_to_be_followed() {
    let result = EnhanceResult {
        requested_tile_ids: Some(vec![2, 1, 0]),
        ..result()
    };
    let honest = metadata(&result.to_packet(&ResultOptions::default()).unwrap());
    assert_eq!(
        (honest.covered_tile_count, honest.dropped_tile_count),
        (2, 1)
    );
    assert_eq!(honest.result_class, ResultClass::Partial);
    assert_eq!(honest.result_flags, ResultFlags::PARTIAL);

    let same = metadata(&result.to_packet(&ResultOptions::COMPATIBLE).unwrap());
    assert_eq!((same.covered_tile_count, same.dropped_tile_count), (3, 0));
    assert_eq!(same.result_class, ResultClass::Complete);
}

/// Q15 of nnrp-wire, Q-18 of nnrp-session.
#[test]
fn results_with_references_are_made_only_where_allowed() {
    let result = EnhanceResult {
        tile_index_reference: Some(CacheKey {
            namespace: 4,
            key: 5 << 32 | 6,
        }),
        ..result()
    };
    let refused = result.to_packet(&ResultOptions::default());
    assert_eq!(refused, Err(ReplayError::ReferencesInResult));

    let packet = result.to_packet(&ResultOptions::COMPATIBLE).unwrap();
    let summary = WireSummary::of(&packet).unwrap();
    assert_eq!((summary.tile_index_bytes, summary.role_ids), (0, vec![100]));
    // What the reference's client does.
    assert!(Message::decode(&packet, &DecodeOptions::COMPATIBLE).is_err());
}

/// A composed body of a mere tensor without a reference is a broken flat one.
#[test]
fn summaries_do_not_guess_a_composed_body_without_a_reference() {
    let packet = result().to_packet(&ResultOptions::default()).unwrap();
    let metadata = packet.metadata().clone();
    let sections = packet.body().slice(4 + 4..);
    let mut body = Vec::new();
    let objects = [(2_u16, packet.body().slice(..4)), (3, sections)];
    for (kind, payload) in &objects {
        body.extend_from_slice(&kind.to_le_bytes());
        body.extend_from_slice(&[0; 6]);
        body.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(payload);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let mut whole = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    whole.resize(32, 0);
    whole.extend_from_slice(&body);
    let composed = Packet::new(*packet.header(), metadata, whole.into()).unwrap();
    let options = DecodeOptions {
        composed_tensor_results: true,
        ..DecodeOptions::COMPATIBLE
    };
    assert!(Message::decode(&composed, &options).is_ok());
    let error = WireSummary::of(&composed).unwrap_err();
    assert!(
        matches!(&error, ReplayError::Wire(error) if error.category == Category::ReferenceMissing),
        "{error}"
    );
}

#[test]
fn only_frames_and_results_have_a_summary() {
    let ping = Packet::new(
        nnrp_wire::Header::new(nnrp_wire::MessageType::Ping),
        "".into(),
        "".into(),
    );
    let error = WireSummary::of(&ping.unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "only FRAME_SUBMIT and RESULT_PUSH have a summary, not PING"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let far = FeatureTile {
        y: 30_000,
        ..FeatureTile::default()
    };
    let mut features = FrameFeatures {
        src_width: 96,
        tiles: vec![far],
        ..FrameFeatures::default()
    };
    let options = SubmitOptions::default();
    assert_eq!(features.to_packet(&options), Err(ReplayError::NoTileSize));
    features.tile_size = 32;
    assert_eq!(
        features.to_packet(&options),
        Err(ReplayError::TileIdTooLarge(90_000))
    );
    features.tiles = vec![FeatureTile::default(); 65_536];
    let error = features.to_packet(&options).unwrap_err();
    assert!(
        matches!(&error, ReplayError::Wire(error) if error.category == Category::ValueOutOfRange),
        "{error}"
    );
    features.tiles.clear();
    features.camera.view = vec![0.0; 65_536];
    assert_eq!(
        features.to_packet(&options),
        Err(CameraError::ListTooLong(65_536).into())
    );
    // A sum that goes beyond 64 bits would wrap.
    let farthest = EnhanceTile {
        x: u32::MAX,
        y: u32::MAX,
        ..EnhanceTile::default()
    };
    let result = EnhanceResult {
        tiles: vec![farthest],
        ..EnhanceResult::default()
    };
    let error = result.to_packet(&ResultOptions::default()).unwrap_err();
    assert!(matches!(error, ReplayError::TileIdTooLarge(_)), "{error}");
}

#[test]
fn counts_that_do_not_add_up_are_refused() {
    let counts = |covered, dropped, requested: Option<Vec<u16>>, options| {
        let result = EnhanceResult {
            covered_tile_count: covered,
            dropped_tile_count: dropped,
            requested_tile_ids: requested,
            ..result()
        };
        let packet = result.to_packet(options);
        packet.map(|_| ()).map_err(|error| error.to_string())
    };
    let (honest, same) = (ResultOptions::default(), ResultOptions::COMPATIBLE);
    for options in [&honest, &same] {
        let unknown = "partial replay export requires requested_tile_ids to describe dropped tiles: expected at least 3 tile ids, got 2";
        assert_eq!(counts(Some(3), None, None, options).unwrap_err(), unknown);
        assert_eq!(
            counts(Some(2), Some(1), None, options).unwrap_err(),
            unknown
        );
        let sum = |text: &str| {
            format!("covered_tile_count + dropped_tile_count must equal tile_count: {text}")
        };
        let all = Some(vec![0, 1, 2]);
        assert_eq!(counts(Some(1), None, None, options), Err(sum("1 + 0 != 2")));
        assert_eq!(
            counts(Some(2), None, all.clone(), options),
            Err(sum("2 + 0 != 3"))
        );
        assert_eq!(counts(Some(2), Some(1), all, options), Ok(()));
    }
    // Only who counts what was delivered can tell.
    let all = Some(vec![0, 1, 2]);
    assert_eq!(counts(None, Some(1), all.clone(), &honest), Ok(()));
    assert!(
        counts(None, Some(1), all, &same)
            .unwrap_err()
            .ends_with("3 + 1 != 3")
    );
}

#[test]
fn cameras_are_read_as_they_were_written() {
    let camera = CameraBlock {
        view: vec![1.0, 2.5],
        projection: Vec::new(),
        previous_view_projection: vec![-3.0],
        jitter: [0.125, -0.25],
    };
    let bytes = camera.encode().unwrap();
    assert_eq!(bytes.len(), 22 + 3 * 4);
    assert_eq!(CameraBlock::decode(&bytes), Ok(camera));
    let empty = CameraBlock::default().encode().unwrap();
    assert_eq!(to_hex(&empty), format!("4e52434d01{}", "00".repeat(17)));

    let changed = |at: usize, byte: u8| {
        let mut changed = bytes.to_vec();
        changed[at] = byte;
        CameraBlock::decode(&changed)
    };
    assert_eq!(changed(0, 0), Err(CameraError::BadMagic));
    assert_eq!(changed(4, 2), Err(CameraError::UnknownVersion(2)));
    assert!(changed(12, 1).is_ok(), "the reserved field may be anything");
    assert_eq!(changed(6, 1), Err(CameraError::TrailingBytes(4)));
    let too_short = |found, needed| Err(CameraError::Truncated { found, needed });
    assert_eq!(changed(7, 255), too_short(34, 34 + 255 * 256 * 4));
    for end in 0..bytes.len() {
        let needed = if end < 22 { 22 } else { 34 };
        assert_eq!(CameraBlock::decode(&bytes[..end]), too_short(end, needed));
    }
}

#[test]
fn json_that_says_something_else_is_refused_by_the_name_of_the_field() {
    let good = json!({
        "session_id": 5, "frame_id": 1, "src_width": 96, "src_height": 64, "tile_size": 32,
    });
    assert_eq!(FrameFeatures::from_json(&good).unwrap().session, "5");
    let wrong = |field: &str, value: Value| {
        let mut input = good.clone();
        input[field] = value;
        FrameFeatures::from_json(&input).unwrap_err().to_string()
    };
    assert_eq!(
        wrong("frame_id", Value::Null),
        "object FrameFeatures is missing required field 'frame_id'"
    );
    assert_eq!(
        wrong("src_width", json!(65_536)),
        "field 'src_width' must be a number from 0 to 65535"
    );
    assert_eq!(
        wrong("tiles", json!([{}])),
        "object tiles is missing required field 'tile_x'"
    );
    assert_eq!(
        wrong(
            "tiles",
            json!([{"tile_x": 0, "tile_y": 0, "luma_hint": "ab"}])
        ),
        "field 'luma_hint' must be bytes as {\"hex\": \"..\"}"
    );
    assert_eq!(
        wrong("camera", json!({"jitter_x": 1e300})),
        "a number of a camera does not fit 32 bits"
    );
    assert_eq!(
        wrong("camera_reference", json!({"cache_namespace": 4})),
        "object camera_reference is missing required field 'cache_key_hi'"
    );
    assert_eq!(
        FrameFeatures::from_json(&json!(7)).unwrap_err().to_string(),
        "field 'FrameFeatures' must be an object"
    );
    let result = |field: &str, value: Value| {
        let input = json!({"session_id": "s", "frame_id": 1, field: value});
        EnhanceResult::from_json(&input).map_err(|error| error.to_string())
    };
    assert_eq!(result("inference_ms", json!(1.7)).unwrap().inference_ms, 1);
    assert!(result("inference_ms", json!(-1)).is_err());
    assert!(result("result_flags", json!(8)).is_err());
    assert!(result("result_class", json!(9)).is_err());
    assert!(result("requested_tile_ids", json!([70_000])).is_err());
}

#[test]
fn hex_is_read_in_either_case_and_nothing_else_is() {
    assert_eq!(from_hex("00fFAb"), Some(vec![0, 255, 0xab]));
    assert_eq!(from_hex(""), Some(Vec::new()));
    for wrong in ["0", "0g", "0 1", "é0"] {
        assert_eq!(from_hex(wrong), None, "{wrong}");
    }
}

#[test]
fn codecs_have_names_in_any_case() {
    assert_eq!(ReplayCodec::from_name(" LZ4 "), Ok(ReplayCodec::Lz4));
    assert_eq!(ReplayCodec::from_name("None"), Ok(ReplayCodec::None));
    assert!(ReplayCodec::from_name("zstd").is_err());
}
