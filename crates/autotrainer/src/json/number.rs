//! Numbers as peers write them.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Seconds since the epoch, with a fraction: how the wire says when. spec: autotrainer 3.2
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub f64);

impl UnixTime {
    /// The same moment to the microsecond, which is what a float holds; `None` if no calendar has it.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is beyond the integers saturates, and is beyond every calendar too"
    )]
    pub fn to_timestamp(self) -> Option<Timestamp> {
        let microseconds = (self.0 * 1e6).round();
        let exact = microseconds.is_finite().then_some(microseconds as i64)?;
        Timestamp::from_microsecond(exact).ok()
    }
}

impl From<Timestamp> for UnixTime {
    /// To the microsecond, which is what the wire's floats hold.
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of the next 200 years fit into the 53 bits of a float"
    )]
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_microsecond() as f64 / 1e6)
    }
}

/// The integer that this number's text means; `200.0` and `2e2` are integers too. spec: autotrainer 7.2
pub(crate) fn integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| integral(float(text)?))
}

/// The finite number that this text means.
pub(crate) fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|float: &f64| float.is_finite())
}

fn integral(float: f64) -> Option<i64> {
    /// Beyond this, floats skip integers.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let exact = float.fract() == 0.0 && float.abs() <= EXACT_MAX;
    exact.then(|| format!("{float:.0}").parse().ok()).flatten()
}

/// For fields that hold an integer which a peer may have written as a float.
pub(crate) fn deserialize_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<i64, D::Error> {
    struct Integer;
    impl Visitor<'_> for Integer {
        type Value = i64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer")
        }
        fn visit_i64<E>(self, value: i64) -> Result<i64, E> {
            Ok(value)
        }
        fn visit_u64<E: Error>(self, value: u64) -> Result<i64, E> {
            i64::try_from(value).map_err(E::custom)
        }
        fn visit_f64<E: Error>(self, value: f64) -> Result<i64, E> {
            integral(value).ok_or_else(|| E::custom(format_args!("{value} is no integer")))
        }
    }
    deserializer.deserialize_any(Integer)
}

/// For floats: a service writes null for what is not finite. spec: autotrainer 3.2
pub(crate) fn nan_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Option::deserialize(deserializer).map(|value| value.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::{UnixTime, integer};

    #[test]
    fn integers_in_every_spelling() {
        assert_eq!(integer("200"), Some(200));
        assert_eq!(integer("200.0"), Some(200));
        assert_eq!(integer("-2e2"), Some(-200));
        assert_eq!(integer("-0.0"), Some(0));
        assert_eq!(integer("0.5"), None);
        assert_eq!(integer("1e400"), None);
        assert_eq!(integer("\"100\""), None);
        assert_eq!(integer("9223372036854775808"), None);
    }

    #[test]
    fn times_keep_their_microseconds() {
        let time = UnixTime(1_735_787_045.678_901);
        let timestamp = time.to_timestamp().unwrap();
        assert_eq!(timestamp.as_microsecond(), 1_735_787_045_678_901);
        assert_eq!(UnixTime::from(timestamp), time);
        assert_eq!(UnixTime(1e300).to_timestamp(), None);
        assert_eq!(UnixTime(f64::NAN).to_timestamp(), None);
    }
}
