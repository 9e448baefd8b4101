//! One value to a Rust type and back.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use nodewire_json::{DecodeError, Json, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::value::{AssetRef, Value};

/// How one value becomes a `T` and back.
///
/// `Codec::<T>::decode` and `Codec::<T>::encode` exist for every type, if [`DecodeJson`] and [`EncodeJson`] are in
/// scope: those of [`Bytes`], [`AssetRef`], [`Json`] and [`Value`] are inherent and so come before serde's.
#[derive(Debug)]
pub struct Codec<T>(PhantomData<T>);

/// Decodes whatever serde can.
pub trait DecodeJson<T> {
    /// The value as a `T`.
    ///
    /// # Errors
    /// If it does not have the shape of `T`, or is no JSON.
    fn decode(value: &Value) -> Result<T, Mismatch>
    where
        T: DeserializeOwned;
}

/// Encodes whatever serde can.
pub trait EncodeJson<T> {
    /// `value` as JSON.
    ///
    /// # Errors
    /// If the type's own `Serialize` fails.
    fn encode(value: T) -> Result<Value, DecodeError>
    where
        T: Serialize;
}

impl<T> DecodeJson<T> for Codec<T> {
    fn decode(value: &Value) -> Result<T, Mismatch>
    where
        T: DeserializeOwned,
    {
        match value {
            Value::Json(json) => {
                decode_json(json).map_err(|error| Mismatch::new(value).because(&error))
            }
            Value::Asset(asset) => {
                decode_json(&Json::from(asset.as_str())).map_err(|_| Mismatch::new(value))
            }
            Value::Bytes(_) => Err(Mismatch::new(value)),
        }
    }
}

impl<T> EncodeJson<T> for Codec<T> {
    fn encode(value: T) -> Result<Value, DecodeError>
    where
        T: Serialize,
    {
        Json::from_serialize(&value).map(Value::Json)
    }
}

/// `$type` goes out as it is, and comes in by `$decode`, which gives back what it cannot take.
macro_rules! codec {
    ($type:ty, $variant:path, $decode:expr) => {
        impl Codec<$type> {
            /// See [`DecodeJson::decode`].
            ///
            /// # Errors
            /// If the value is something else.
            pub fn decode(value: &Value) -> Result<$type, Mismatch> {
                let decode: fn(&Value) -> Option<$type> = $decode;
                decode(value).ok_or_else(|| Mismatch::new(value))
            }

            /// See [`EncodeJson::encode`].
            ///
            /// # Errors
            /// None.
            pub fn encode(value: $type) -> Result<Value, DecodeError> {
                Ok($variant(value))
            }
        }
    };
}

codec!(Value, std::convert::identity, |value| Some(value.clone()));
codec!(Bytes, Value::Bytes, |value| match value {
    Value::Bytes(bytes) => Some(bytes.clone()),
    Value::Json(_) | Value::Asset(_) => None,
});
codec!(Json, Value::Json, |value| match value {
    Value::Json(json) => Some(json.clone()),
    Value::Asset(asset) => Some(Json::from(asset.as_str())),
    Value::Bytes(_) => None,
});
codec!(AssetRef, Value::Asset, |value| match value {
    Value::Asset(asset) => Some(asset.clone()),
    Value::Json(json) if json.kind() == Kind::String => json.decode().ok(),
    Value::Json(_) | Value::Bytes(_) => None,
});

/// A value that does not become the type asked for: what came, and why it does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    got: String,
    got_kind: Option<Kind>,
    reason: String,
}

impl Mismatch {
    /// Bytes of a value that are shown in a message.
    const EXCERPT_LENGTH_MAX: usize = 60;

    fn new(value: &Value) -> Self {
        let (got, got_kind) = match value {
            Value::Json(json) => (excerpt(json.as_str()), Some(json.kind())),
            Value::Bytes(bytes) => (format!("{} bytes of binary data", bytes.len()), None),
            Value::Asset(asset) => (format!("the asset {}", excerpt(asset.as_str())), None),
        };
        Self {
            got,
            got_kind,
            reason: String::new(),
        }
    }

    fn because(mut self, error: &DecodeError) -> Self {
        let text = error.to_string();
        // Lines and columns count within this one value, which the reader does not see.
        let reason = text
            .rfind(" at line ")
            .map_or(text.as_str(), |end| &text[..end]);
        self.reason = excerpt_of(reason, 4 * Self::EXCERPT_LENGTH_MAX);
        self
    }

    /// The message for a place of the port type `expected`.
    pub(super) fn expecting<'a>(&'a self, expected: &'a str) -> Expecting<'a> {
        Expecting {
            mismatch: self,
            expected,
        }
    }
}

/// A [`Mismatch`] together with what its place takes.
pub(super) struct Expecting<'a> {
    mismatch: &'a Mismatch,
    expected: &'a str,
}

impl fmt::Display for Expecting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch {
            got,
            got_kind,
            reason,
        } = self.mismatch;
        write!(f, "expected {}, got {got}", self.expected)?;
        let obvious = scalar_kind(self.expected).is_some_and(|kind| *got_kind != Some(kind));
        if obvious || reason.is_empty() {
            Ok(())
        } else {
            write!(f, ": {reason}")
        }
    }
}

fn scalar_kind(port_kind: &str) -> Option<Kind> {
    match port_kind {
        "string" => Some(Kind::String),
        "number" => Some(Kind::Number),
        "boolean" => Some(Kind::Bool),
        _ => None,
    }
}

/// Python and JavaScript editors send `3.0` for whole numbers, which serde refuses for integers.
fn decode_json<T: DeserializeOwned>(json: &Json) -> Result<T, DecodeError> {
    json.decode().or_else(|error| {
        whole_number(json)
            .and_then(|whole| whole.decode().ok())
            .ok_or(error)
    })
}

fn whole_number(json: &Json) -> Option<Json> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if json.kind() != Kind::Number || !json.as_str().contains(['.', 'e', 'E']) {
        return None;
    }
    let number = json.decode::<f64>().ok()?;
    let whole = number.fract() == 0.0 && number.abs() <= EXACT_MAX;
    whole
        .then(|| Json::parse(format!("{number:.0}")).ok())
        .flatten()
}

fn excerpt(text: &str) -> String {
    excerpt_of(text, Mismatch::EXCERPT_LENGTH_MAX)
}

fn excerpt_of(text: &str, length_max: usize) -> String {
    if text.len() <= length_max {
        return text.to_owned();
    }
    let ends = text
        .char_indices()
        .map(|(start, character)| start + character.len_utf8());
    let end = ends
        .take_while(|end| *end <= length_max)
        .last()
        .unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &'static str) -> Value {
        Value::Json(Json::parse(text).unwrap())
    }

    fn message<T: fmt::Debug>(result: Result<T, Mismatch>, expected: &str) -> String {
        result.unwrap_err().expecting(expected).to_string()
    }

    #[test]
    fn serde_types_decode_from_json() {
        assert_eq!(
            Codec::<String>::decode(&json(r#""a\nb""#)),
            Ok("a\nb".to_owned())
        );
        assert_eq!(Codec::<u8>::decode(&json("255")), Ok(255));
        assert_eq!(
            Codec::<Vec<Option<f64>>>::decode(&json("[1, null, NaN]")),
            Ok(vec![Some(1.0), None, None])
        );
    }

    #[test]
    fn whole_floats_are_integers_and_others_are_not() {
        assert_eq!(Codec::<u32>::decode(&json("3.0")), Ok(3));
        assert_eq!(Codec::<i64>::decode(&json("-2e3")), Ok(-2000));
        assert!(Codec::<u32>::decode(&json("2.5")).is_err());
        assert!(Codec::<u32>::decode(&json("-1.0")).is_err());
        assert!(Codec::<u64>::decode(&json("1e300")).is_err());
        assert_eq!(Codec::<f64>::decode(&json("2.5")), Ok(2.5));
    }

    #[test]
    fn a_value_of_another_kind_is_told_without_detail() {
        assert_eq!(
            message(Codec::<String>::decode(&json("5")), "string"),
            "expected string, got 5"
        );
        assert_eq!(
            message(Codec::<u32>::decode(&json("\"5\"")), "number"),
            "expected number, got \"5\""
        );
        let bytes = Value::Bytes(Bytes::from_static(b"abc"));
        assert_eq!(
            message(Codec::<String>::decode(&bytes), "string"),
            "expected string, got 3 bytes of binary data"
        );
        assert_eq!(
            message(Codec::<Json>::decode(&bytes), "any"),
            "expected any, got 3 bytes of binary data"
        );
    }

    #[test]
    fn a_value_of_the_right_kind_is_told_with_detail() {
        assert_eq!(
            message(Codec::<u8>::decode(&json("300")), "number"),
            "expected number, got 300: invalid value: integer `300`, expected u8"
        );
        assert_eq!(
            message(Codec::<(u8, u8)>::decode(&json("[1]")), "array"),
            "expected array, got [1]: invalid length 1, expected a tuple of size 2"
        );
    }

    #[test]
    fn messages_stay_short() {
        let long = Value::from("ä".repeat(10_000).as_str());
        let text = message(Codec::<u32>::decode(&long), "number");
        assert!(text.len() < 100, "{text}");
        assert!(text.ends_with('…'), "{text}");
        let detailed = message(Codec::<Kindless>::decode(&long), "object");
        assert!(detailed.len() < 400, "{detailed}");
    }

    #[derive(Debug, serde::Deserialize)]
    enum Kindless {}

    #[test]
    fn assets_are_references_or_texts() {
        let asset = AssetRef::new("sha256:00");
        assert_eq!(
            Codec::<AssetRef>::decode(&Value::Asset(asset.clone())),
            Ok(asset.clone())
        );
        assert_eq!(
            Codec::<AssetRef>::decode(&json("\"sha256:00\"")),
            Ok(asset.clone())
        );
        assert_eq!(
            Codec::<String>::decode(&Value::Asset(asset.clone())),
            Ok("sha256:00".to_owned())
        );
        assert_eq!(
            Codec::<Json>::decode(&Value::Asset(asset.clone())),
            Ok(Json::from("sha256:00"))
        );
        assert_eq!(
            message(Codec::<AssetRef>::decode(&json("5")), "asset:image"),
            "expected asset:image, got 5"
        );
        assert_eq!(
            message(Codec::<u32>::decode(&Value::Asset(asset)), "number"),
            "expected number, got the asset sha256:00"
        );
    }

    #[test]
    fn bytes_come_only_as_bytes() {
        let bytes = Bytes::from_static(&[0, 255]);
        assert_eq!(
            Codec::<Bytes>::decode(&Value::Bytes(bytes.clone())),
            Ok(bytes)
        );
        assert_eq!(
            message(Codec::<Bytes>::decode(&json("\"AP8=\"")), "bytes"),
            "expected bytes, got \"AP8=\""
        );
    }

    #[test]
    fn raw_json_keeps_its_text() {
        let value = json("[NaN, 1.00]");
        assert_eq!(Codec::<Value>::decode(&value), Ok(value.clone()));
        let kept = Codec::<Json>::decode(&value).unwrap();
        assert_eq!(kept.as_str(), "[NaN, 1.00]");
        assert_eq!(Codec::<Json>::encode(kept).unwrap(), value);
    }

    #[test]
    fn types_encode_by_what_they_are() {
        assert_eq!(Codec::<u8>::encode(5).unwrap(), json("5"));
        assert_eq!(
            Codec::<Bytes>::encode(Bytes::new()).unwrap(),
            Value::Bytes(Bytes::new())
        );
        assert_eq!(
            Codec::<AssetRef>::encode(AssetRef::new("x")).unwrap(),
            Value::Asset(AssetRef::new("x"))
        );
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(Codec::<std::collections::BTreeMap<(u8, u8), u8>>::encode(keys).is_err());
    }
}
