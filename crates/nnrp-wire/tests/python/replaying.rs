//! Frames and results exported here and there. spec: nnrp-session 7

use nnrp_wire::inspect::{from_hex, to_hex};
use nnrp_wire::metadata::ResultPushMetadata;
use nnrp_wire::replay::{
    EnhanceResult, FrameFeatures, ReplayError, ResultOptions, SubmitOptions, WireSummary,
};
use nnrp_wire::{Category, DecodeOptions, Message, Packet};
use serde_json::{Map, Value, json};

use crate::peer;
use crate::random::Random;

/// Of frames, and of results.
const CASES: usize = 1000;

fn export(case: &Value) -> Result<Packet, ReplayError> {
    let (input, options) = (&case["input"], &case["options"]);
    if case["kind"] == "frame_features" {
        return FrameFeatures::from_json(input)?.to_packet(&SubmitOptions::from_json(options)?);
    }
    let options = ResultOptions::from_json(options, ResultOptions::COMPATIBLE)?;
    EnhanceResult::from_json(input)?.to_packet(&options)
}

/// That no reader takes it, since its counts do not add up.
fn assert_coverage_is_wrong(exported: &Value) {
    let bytes = from_hex(exported["hex"].as_str().unwrap()).unwrap();
    let packet = Packet::decode(bytes.into()).unwrap();
    let metadata = ResultPushMetadata::decode(packet.metadata()).unwrap();
    let error = metadata.check_coverage().unwrap_err();
    assert_eq!(error.category, Category::CoverageMismatch, "{exported}");
    let options = DecodeOptions {
        composed_tensor_results: true,
        ..DecodeOptions::COMPATIBLE
    };
    assert!(Message::decode(&packet, &options).is_err(), "{exported}");
}

#[test]
fn exports_are_the_same_byte_for_byte_or_refused_with_the_same_text() {
    let mut random = Random::new(7);
    let mut cases: Vec<Value> = (0..CASES).map(|_| frame(&mut random)).collect();
    cases.extend((0..CASES).map(|_| result(&mut random)));
    let mut refused = 0;
    for (case, there) in cases.iter().zip(peer::replay(&cases)) {
        match export(case) {
            Ok(packet) => {
                assert_eq!(to_hex(&packet.encode()), there["hex"], "{case} {there}");
                let summary = WireSummary::of(&packet).unwrap().to_string();
                assert_eq!(summary, there["summary"], "{case}");
            }
            // The reference does not count where there are references, and writes what no reader takes.
            Err(ReplayError::Coverage { .. } | ReplayError::TooManyDropped { .. })
                if there["ok"] == true =>
            {
                assert_coverage_is_wrong(&there);
            }
            Err(error) => {
                assert_eq!(error.to_string(), there["message"], "{case} {there}");
                refused += 1;
            }
        }
    }
    assert!(refused > CASES / 20 && refused < CASES, "{refused}");
}

fn bytes(random: &mut Random) -> Value {
    json!({"hex": to_hex(&random.bytes(12))})
}

/// A field that is there sometimes.
fn sometimes(
    object: &mut Value,
    field: &str,
    random: &mut Random,
    value: impl FnOnce(&mut Random) -> Value,
) {
    if random.coin() {
        object[field] = value(random);
    }
}

fn codec(random: &mut Random) -> Value {
    random.pick(&["none", "lz4", "LZ4", "", " None "]).into()
}

fn key(random: &mut Random) -> Value {
    json!({
        "cache_namespace": random.u32(),
        "cache_key_hi": random.u32(),
        "cache_key_lo": random.u32(),
    })
}

fn floats(random: &mut Random) -> Value {
    let numbers = (0..random.below(5)).map(|_| f64::from(random.u16()) / 7.0 - 99.0);
    numbers.collect::<Vec<_>>().into()
}

fn references(object: &mut Value, random: &mut Random, fields: &[&str]) {
    for field in fields {
        if random.below(4) == 0 {
            object[*field] = key(random);
        }
    }
}

fn options(random: &mut Random) -> Map<String, Value> {
    let mut options = Map::new();
    if random.coin() {
        options.insert("session_id".into(), random.u32().into());
        options.insert("view_id".into(), random.u16().into());
    }
    if random.coin() {
        options.insert("trace_id".into(), random.u64().into());
    }
    options
}

fn frame(random: &mut Random) -> Value {
    let mut tiles = Vec::new();
    for _ in 0..random.below(6) {
        let (x, y) = (random.below(5), random.below(4));
        let mut tile = match random.coin() {
            true => json!({"coord": {"x": x, "y": y}}),
            false => json!({"tile_x": x, "tile_y": y}),
        };
        for field in [
            "depth_fp16",
            "normal_oct",
            "motion_i16",
            "rough_metal",
            "luma_hint",
        ] {
            sometimes(&mut tile, field, random, bytes);
        }
        sometimes(&mut tile, "compression_algorithm", random, codec);
        tiles.push(tile);
    }
    let mut input = json!({
        "session_id": format!("session-{}", random.below(100)),
        "frame_id": random.u32(),
        "src_width": random.u16(),
        "src_height": random.u16(),
        // Large enough for ids of 16 bits, or none.
        "tile_size": random.pick(&[0, 16, 32, 1000]),
        "tiles": tiles,
    });
    sometimes(&mut input, "latency_budget_ms", random, |random| {
        random.u16().into()
    });
    sometimes(&mut input, "input_profile", random, |random| {
        random
            .pick(&["dense_luma_frame", " CHANGED_tiles_luma", "other", ""])
            .into()
    });
    sometimes(&mut input, "client_trace_id", random, |random| {
        random.pick(&["", "trace", "spur \u{e9}"]).into()
    });
    sometimes(&mut input, "allow_stale_reuse", random, |random| {
        random.coin().into()
    });
    sometimes(&mut input, "camera", random, |random| {
        json!({
            "view": floats(random),
            "proj": floats(random),
            "prev_view_proj": floats(random),
            "jitter_x": f64::from(random.u16()) / 3.0,
            "jitter_y": -0.25,
        })
    });
    let fields = [
        "camera_reference",
        "tile_index_reference",
        "tensor_section_table_reference",
    ];
    references(&mut input, random, &fields);
    let mut options = options(random);
    if random.coin() {
        options.insert("frame_class".into(), random.u8().into());
    }
    json!({"kind": "frame_features", "input": input, "options": options})
}

fn result(random: &mut Random) -> Value {
    let mut tiles = Vec::new();
    for _ in 0..random.below(4) {
        let mut tile = json!({"tile_x": random.below(6), "tile_y": random.below(2)});
        for field in ["sr_residual", "detail_residual"] {
            sometimes(&mut tile, field, random, bytes);
            sometimes(&mut tile, &format!("{field}_compression"), random, codec);
        }
        tiles.push(tile);
    }
    let mut input = json!({
        "session_id": random.below(100),
        "frame_id": random.u32(),
        "tiles": tiles,
    });
    sometimes(&mut input, "request_id", random, |random| {
        random.pick(&["", "request"]).into()
    });
    sometimes(&mut input, "client_trace_id", random, |_| "trace".into());
    sometimes(&mut input, "src_width", random, |random| {
        random.pick(&[64, 96, 200]).into()
    });
    sometimes(&mut input, "tile_size", random, |random| {
        random.pick(&[16, 32]).into()
    });
    for field in ["stale", "degraded"] {
        sometimes(&mut input, field, random, |random| random.coin().into());
    }
    for field in ["inference_ms", "queue_ms", "round_trip_ms"] {
        sometimes(&mut input, field, random, |random| random.u16().into());
    }
    sometimes(&mut input, "reused_frame_id", random, |random| {
        random.u32().into()
    });
    if random.below(3) == 0 {
        input["requested_tile_ids"] = (0..random.below(14)).rev().collect::<Vec<_>>().into();
    }
    for field in ["covered_tile_count", "dropped_tile_count"] {
        if random.below(6) == 0 {
            input[field] = random.below(4).into();
        }
    }
    references(
        &mut input,
        random,
        &["tile_index_reference", "tensor_section_table_reference"],
    );
    let mut options = options(random);
    if random.coin() {
        options.insert("active_profile_id".into(), random.u16().into());
    }
    json!({"kind": "enhance_result", "input": input, "options": options})
}
