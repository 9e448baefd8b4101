//! How an asset is named: by uuid or by content hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The SHA-256 of an asset's bytes; shown as `sha256:<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

/// Text that names no asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a uuid nor sha256:<64 hex digits>")]
pub struct BadId;

impl ContentHash {
    pub(crate) fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    pub(crate) fn first_byte(&self) -> u8 {
        self.0[0]
    }

    /// The 64 lower-case digits without the prefix.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

/// The bytes that pairs of hexadecimal digits stand for.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// With or without `sha256:`, digits in any case.
impl FromStr for ContentHash {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let bytes = from_hex(digits).ok_or(BadId)?;
        Ok(Self(bytes.try_into().map_err(|_| BadId)?))
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Either name of an asset; both lead to the same entry. spec: nanograph 19.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssetId {
    /// The identifier of the 0.1.x generation.
    Uuid(Uuid),
    /// The identifier of the 0.2.x generation.
    Hash(ContentHash),
}

/// A uuid with hyphens, or a hash with its prefix; in any case.
impl FromStr for AssetId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        if text.starts_with("sha256:") {
            return text.parse().map(Self::Hash);
        }
        if text.len() != 36 {
            return Err(BadId);
        }
        Uuid::try_parse(text).map(Self::Uuid).map_err(|_| BadId)
    }
}

impl From<ContentHash> for AssetId {
    fn from(hash: ContentHash) -> Self {
        Self::Hash(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn both_kinds_are_read_in_any_case() {
        let hash: ContentHash = HEX.parse().unwrap();
        assert_eq!(hash.to_string(), format!("sha256:{HEX}"));
        assert_eq!(
            format!("sha256:{}", HEX.to_uppercase()).parse(),
            Ok(AssetId::Hash(hash))
        );
        let uuid = "0D0B3A3E-6d1c-4a8e-9b62-3f1f5f0e9a77";
        assert_eq!(
            uuid.parse(),
            Ok(AssetId::Uuid(Uuid::try_parse(uuid).unwrap()))
        );
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "sha256:",
            HEX,
            "../etc/passwd",
            "sha256:zz",
            "0d0b3a3e6d1c4a8e9b623f1f5f0e9a77",
            "sha256:é",
        ] {
            assert_eq!(text.parse::<AssetId>(), Err(BadId), "{text}");
        }
        assert_eq!(format!("{HEX}00").parse::<ContentHash>(), Err(BadId));
    }
}
