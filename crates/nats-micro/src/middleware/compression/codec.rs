//! The encodings.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// The most that snappy's densest element, a copy, makes of a byte: 64 bytes out of 3, rounded up.
const SNAPPY_EXPANSION_MAX: usize = 22;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Snappy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecodeError {
    TooLarge,
    Malformed,
}

impl Codec {
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("gzip") || is("x-gzip") {
            return Some(Self::Gzip);
        }
        is("snappy").then_some(Self::Snappy)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
        }
    }

    /// Never makes more than the limit, and one byte.
    pub(super) fn decode(self, encoded: &[u8], bytes_max: usize) -> Result<Bytes, DecodeError> {
        let decoded = match self {
            Self::Gzip => gunzip(encoded, bytes_max)?,
            Self::Snappy => unsnap(encoded, bytes_max)?,
        };
        Ok(Bytes::from(decoded))
    }

    /// `None` if it cannot be encoded: snappy ends at 4 GiB.
    pub(super) fn encode(self, plain: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Gzip => {
                // The endpoint's other requests wait meanwhile.
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).ok()?;
                encoder.finish().ok()
            }
            Self::Snappy => snap::raw::Encoder::new().compress_vec(plain).ok(),
        }
    }
}

fn gunzip(encoded: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoded = Vec::new();
    // One more, to see whether there is more.
    let limit = u64::try_from(bytes_max)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    MultiGzDecoder::new(encoded)
        .take(limit)
        .read_to_end(&mut decoded)
        .map_err(|_| DecodeError::Malformed)?;
    if decoded.len() > bytes_max {
        return Err(DecodeError::TooLarge);
    }
    Ok(decoded)
}

/// The block says its length first, which is checked before anything is allocated for it.
fn unsnap(encoded: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
    let length = snap::raw::decompress_len(encoded).map_err(|_| DecodeError::Malformed)?;
    if length > encoded.len().saturating_mul(SNAPPY_EXPANSION_MAX) {
        return Err(DecodeError::Malformed);
    }
    if length > bytes_max {
        return Err(DecodeError::TooLarge);
    }
    snap::raw::Decoder::new()
        .decompress_vec(encoded)
        .map_err(|_| DecodeError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Codec, DecodeError};

    proptest! {
        #[test]
        fn what_is_encoded_can_be_decoded(plain: Vec<u8>, repeats in 0..200_usize) {
            let plain = plain.repeat(repeats);
            for codec in [Codec::Gzip, Codec::Snappy] {
                let encoded = codec.encode(&plain).unwrap();
                assert_eq!(codec.decode(&encoded, plain.len()).unwrap(), plain);
                if !plain.is_empty() {
                    let less = codec.decode(&encoded, plain.len() - 1);
                    assert_eq!(less, Err(DecodeError::TooLarge));
                }
            }
        }

        #[test]
        fn any_input_is_decoded_or_refused(encoded: Vec<u8>, bytes_max in any::<u16>()) {
            for codec in [Codec::Gzip, Codec::Snappy] {
                if let Ok(decoded) = codec.decode(&encoded, bytes_max.into()) {
                    assert!(decoded.len() <= bytes_max.into());
                }
            }
        }
    }

    #[test]
    fn a_length_that_cannot_be_true_is_refused_before_it_is_allocated() {
        // 1 GiB in five bytes of length and nothing else.
        let lie = [0x80, 0x80, 0x80, 0x80, 0x04];
        assert_eq!(
            Codec::Snappy.decode(&lie, usize::MAX),
            Err(DecodeError::Malformed)
        );
    }

    #[test]
    fn what_snappy_compresses_best_is_within_the_expansion() {
        let plain = vec![0; 1 << 20];
        let encoded = Codec::Snappy.encode(&plain).unwrap();
        assert_eq!(Codec::Snappy.decode(&encoded, plain.len()).unwrap(), plain);
    }

    #[test]
    fn a_gzip_bomb_is_refused() {
        let encoded = Codec::Gzip.encode(&vec![0; 8 << 20]).unwrap();
        assert!(encoded.len() < 64 << 10);
        assert_eq!(
            Codec::Gzip.decode(&encoded, 1 << 20),
            Err(DecodeError::TooLarge)
        );
    }
}
