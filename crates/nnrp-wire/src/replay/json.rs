//! Frames and results from JSON, with the reference's names. Byte strings are `{"hex": ".."}`.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    CacheKey, CameraBlock, CameraError, EnhanceResult, EnhanceTile, FeatureTile, FrameFeatures,
    ReplayCodec, ReplayError, ResultOptions, SubmitOptions,
};
use crate::inspect::from_hex;
use crate::numbers::{BudgetPolicy, InputProfile, ResultClass, ResultFlags};

impl FrameFeatures {
    /// Reads the fields of spec nnrp-session 7.1; others are ignored, and `null` is as if it were not there.
    ///
    /// # Errors
    /// [`ReplayError::MissingField`], [`ReplayError::WrongField`], [`ReplayError::UnknownCodec`], and
    /// [`ReplayError::Camera`] for a number that has more than 32 bits.
    pub fn from_json(json: &Value) -> Result<Self, ReplayError> {
        let fields = Fields::of(json, "FrameFeatures")?;
        let profile = fields.text("input_profile")?.unwrap_or_default();
        Ok(Self {
            session: fields.required("session_id", Fields::name)?,
            frame_id: fields.required("frame_id", Fields::u32)?,
            src_width: fields.required("src_width", Fields::u16)?,
            src_height: fields.required("src_height", Fields::u16)?,
            tile_size: fields.required("tile_size", Fields::u16)?,
            tiles: fields.list("tiles", feature_tile)?,
            camera: fields.object("camera", camera)?.unwrap_or_default(),
            latency_budget_ms: fields.u16("latency_budget_ms")?.unwrap_or(0),
            input_profile: match profile.trim().to_ascii_lowercase().as_str() {
                "changed_tiles_luma" => InputProfile::ChangedTilesLuma,
                "dense_luma_frame" => InputProfile::DenseLumaFrame,
                _ => InputProfile::Unspecified,
            },
            client_trace: fields.name("client_trace_id")?.unwrap_or_default(),
            allow_stale_reuse: fields.bool("allow_stale_reuse")?,
            camera_reference: fields.object("camera_reference", cache_key)?,
            tile_index_reference: fields.object("tile_index_reference", cache_key)?,
            section_table_reference: fields.object("tensor_section_table_reference", cache_key)?,
        })
    }
}

impl EnhanceResult {
    /// Reads the fields of spec nnrp-session 7.2; others are ignored, and `null` is as if it were not there. Times may have
    /// fractions, which are cut off.
    ///
    /// # Errors
    /// [`ReplayError::MissingField`], [`ReplayError::WrongField`], [`ReplayError::UnknownCodec`].
    pub fn from_json(json: &Value) -> Result<Self, ReplayError> {
        let fields = Fields::of(json, "EnhanceResult")?;
        let request = fields.name("request_id")?.filter(|name| !name.is_empty());
        Ok(Self {
            session: fields.required("session_id", Fields::name)?,
            frame_id: fields.required("frame_id", Fields::u32)?,
            trace: match request {
                Some(request) => request,
                None => fields.name("client_trace_id")?.unwrap_or_default(),
            },
            tiles: fields.list("tiles", enhance_tile)?,
            src_width: fields.u16("src_width")?,
            tile_size: fields.u16("tile_size")?,
            stale: fields.bool("stale")?,
            degraded: fields.bool("degraded")?,
            covered_tile_count: fields.u16("covered_tile_count")?,
            dropped_tile_count: fields.u16("dropped_tile_count")?,
            requested_tile_ids: fields.numbers("requested_tile_ids")?,
            reused_frame_id: fields.u32("reused_frame_id")?.unwrap_or(0),
            inference_ms: fields.ms("inference_ms")?,
            queue_ms: fields.ms("queue_ms")?,
            round_trip_ms: fields.ms("round_trip_ms")?,
            result_flags: fields.known("result_flags", |number| {
                ResultFlags::from_bits(u16::try_from(number).ok()?)
            })?,
            result_class: fields.known("result_class", ResultClass::from_number)?,
            applied_budget_policy: fields.known("applied_budget_policy", |number| {
                BudgetPolicy::from_bits(u8::try_from(number).ok()?)
            })?,
            tile_index_reference: fields.object("tile_index_reference", cache_key)?,
            section_table_reference: fields.object("tensor_section_table_reference", cache_key)?,
        })
    }
}

impl SubmitOptions {
    /// Reads `session_id`, `frame_class`, `view_id` and `trace_id`.
    ///
    /// # Errors
    /// [`ReplayError::WrongField`].
    pub fn from_json(json: &Value) -> Result<Self, ReplayError> {
        let fields = Fields::of(json, "options")?;
        Ok(Self {
            session_id: fields.u32("session_id")?,
            frame_class: fields
                .integer("frame_class", "a number from 0 to 255")?
                .unwrap_or(0),
            view_id: fields.u16("view_id")?.unwrap_or(0),
            trace_id: fields.integer("trace_id", "a number of 64 bits")?,
        })
    }
}

impl ResultOptions {
    /// Reads `session_id`, `view_id`, `trace_id` and `active_profile_id`; the rest is as in `others`.
    ///
    /// # Errors
    /// [`ReplayError::WrongField`].
    pub fn from_json(json: &Value, others: Self) -> Result<Self, ReplayError> {
        let fields = Fields::of(json, "options")?;
        Ok(Self {
            session_id: fields.u32("session_id")?,
            view_id: fields.u16("view_id")?.unwrap_or(0),
            trace_id: fields.integer("trace_id", "a number of 64 bits")?,
            active_profile_id: fields.u16("active_profile_id")?.unwrap_or(0),
            ..others
        })
    }
}

/// The fields of an object; `null` counts as absent.
struct Fields<'v> {
    object: &'static str,
    map: &'v Map<String, Value>,
}

type Read<'v, T> = fn(&Fields<'v>) -> Result<T, ReplayError>;

impl<'v> Fields<'v> {
    fn of(json: &'v Value, object: &'static str) -> Result<Self, ReplayError> {
        let map = json.as_object().ok_or(ReplayError::WrongField {
            field: object,
            expected: "an object",
        })?;
        Ok(Self { object, map })
    }

    fn get(&self, field: &'static str) -> Option<&'v Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// What `read` makes of a field that may be absent.
    fn read<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> Result<Option<T>, ReplayError> {
        let wrong = || ReplayError::WrongField { field, expected };
        self.get(field)
            .map(|value| read(value).ok_or_else(wrong))
            .transpose()
    }

    fn required<T>(
        &self,
        field: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<Option<T>, ReplayError>,
    ) -> Result<T, ReplayError> {
        let object = self.object;
        read(self, field)?.ok_or(ReplayError::MissingField { object, field })
    }

    fn integer<T: TryFrom<u64>>(
        &self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, ReplayError> {
        self.read(field, expected, |value| T::try_from(value.as_u64()?).ok())
    }

    fn u16(&self, field: &'static str) -> Result<Option<u16>, ReplayError> {
        self.integer(field, "a number from 0 to 65535")
    }

    fn u32(&self, field: &'static str) -> Result<Option<u32>, ReplayError> {
        self.integer(field, "a number from 0 to 4294967295")
    }

    /// A time; whole milliseconds of it.
    fn ms(&self, field: &'static str) -> Result<u16, ReplayError> {
        let read = |value: &Value| {
            let ms = value.as_f64()?;
            let fits = (0.0..=f64::from(u16::MAX)).contains(&ms.trunc());
            #[expect(clippy::cast_possible_truncation, reason = "its range was checked")]
            fits.then_some(ms as u16)
        };
        let ms = self.read(field, "a number of milliseconds from 0 to 65535", read)?;
        Ok(ms.unwrap_or(0))
    }

    fn bool(&self, field: &'static str) -> Result<bool, ReplayError> {
        let read = self.read(field, "true or false", Value::as_bool)?;
        Ok(read.unwrap_or(false))
    }

    fn text(&self, field: &'static str) -> Result<Option<String>, ReplayError> {
        self.read(field, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// A text, or a number as a text.
    fn name(&self, field: &'static str) -> Result<Option<String>, ReplayError> {
        self.read(field, "a text or a number", |value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        })
    }

    fn known<T>(
        &self,
        field: &'static str,
        known: impl FnOnce(u64) -> Option<T>,
    ) -> Result<Option<T>, ReplayError> {
        self.read(field, "a number that the wire knows", |value| {
            known(value.as_u64()?)
        })
    }

    fn bytes(&self, field: &'static str) -> Result<Bytes, ReplayError> {
        let read = self.read(field, "bytes as {\"hex\": \"..\"}", |value| {
            from_hex(value.get("hex")?.as_str()?)
        })?;
        Ok(read.unwrap_or_default().into())
    }

    fn codec(&self, field: &'static str) -> Result<ReplayCodec, ReplayError> {
        ReplayCodec::from_name(&self.text(field)?.unwrap_or_default())
    }

    fn object<T>(&self, field: &'static str, read: Read<'v, T>) -> Result<Option<T>, ReplayError> {
        let object = |value| read(&Self::of(value, field)?);
        self.get(field).map(object).transpose()
    }

    fn list<T>(&self, field: &'static str, read: Read<'v, T>) -> Result<Vec<T>, ReplayError> {
        let items = self.read(field, "a list", Value::as_array)?;
        let items = items.map(Vec::as_slice).unwrap_or_default().iter();
        items.map(|item| read(&Self::of(item, field)?)).collect()
    }

    fn numbers(&self, field: &'static str) -> Result<Option<Vec<u16>>, ReplayError> {
        let number = |value: &Value| u16::try_from(value.as_u64()?).ok();
        self.read(field, "a list of numbers from 0 to 65535", |value| {
            value.as_array()?.iter().map(number).collect()
        })
    }

    fn floats(&self, field: &'static str) -> Result<Vec<f32>, ReplayError> {
        let list = self.read(field, "a list of numbers", |value| {
            let numbers = value.as_array()?.iter().map(Value::as_f64);
            numbers.collect::<Option<Vec<f64>>>()
        })?;
        let list = list.unwrap_or_default().into_iter();
        list.map(|number| to_f32(number).map_err(Into::into))
            .collect()
    }

    fn float(&self, field: &'static str) -> Result<f32, ReplayError> {
        let number = self.read(field, "a number", Value::as_f64)?;
        Ok(to_f32(number.unwrap_or(0.0))?)
    }

    /// Column and row, in `coord` or by themselves.
    fn place(&self) -> Result<(u32, u32), ReplayError> {
        if let Some(coord) = self.get("coord") {
            let coord = Self::of(coord, "coord")?;
            return Ok((
                coord.required("x", Self::u32)?,
                coord.required("y", Self::u32)?,
            ));
        }
        let x = self.required("tile_x", Self::u32)?;
        Ok((x, self.required("tile_y", Self::u32)?))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "what does not fit becomes infinite, and is refused"
)]
fn to_f32(number: f64) -> Result<f32, CameraError> {
    let narrow = number as f32;
    if narrow.is_finite() {
        Ok(narrow)
    } else {
        Err(CameraError::NumberTooLarge)
    }
}

fn feature_tile(fields: &Fields<'_>) -> Result<FeatureTile, ReplayError> {
    let (x, y) = fields.place()?;
    Ok(FeatureTile {
        x,
        y,
        depth_fp16: fields.bytes("depth_fp16")?,
        normal_oct: fields.bytes("normal_oct")?,
        motion_i16: fields.bytes("motion_i16")?,
        rough_metal: fields.bytes("rough_metal")?,
        luma_hint: fields.bytes("luma_hint")?,
        codec: fields.codec("compression_algorithm")?,
    })
}

fn enhance_tile(fields: &Fields<'_>) -> Result<EnhanceTile, ReplayError> {
    let (x, y) = fields.place()?;
    Ok(EnhanceTile {
        x,
        y,
        sr_residual: fields.bytes("sr_residual")?,
        sr_codec: fields.codec("sr_residual_compression")?,
        detail_residual: fields.bytes("detail_residual")?,
        detail_codec: fields.codec("detail_residual_compression")?,
    })
}

fn camera(fields: &Fields<'_>) -> Result<CameraBlock, ReplayError> {
    Ok(CameraBlock {
        view: fields.floats("view")?,
        projection: fields.floats("proj")?,
        previous_view_projection: fields.floats("prev_view_proj")?,
        jitter: [fields.float("jitter_x")?, fields.float("jitter_y")?],
    })
}

fn cache_key(fields: &Fields<'_>) -> Result<CacheKey, ReplayError> {
    let hi = fields.required("cache_key_hi", Fields::u32)?;
    let lo = fields.required("cache_key_lo", Fields::u32)?;
    Ok(CacheKey {
        namespace: fields.required("cache_namespace", Fields::u32)?,
        key: u64::from(hi) << 32 | u64::from(lo),
    })
}
