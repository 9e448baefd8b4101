//! Numbers on the command line and in the environment.

use std::time::Duration;

/// Seconds, with fractions.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| "seconds must not be negative, nor too many".to_owned())
}

/// A duration as Go writes it (`1m30s`, `500ms`), which is what natscli's variables have; or seconds.
pub(crate) fn go_duration(text: &str) -> Result<Duration, String> {
    if let Ok(duration) = seconds(text) {
        return Ok(duration);
    }
    let problem = || format!("{text:?} is no duration such as 5s, 500ms or 1m30s");
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(problem)?;
        let number: f64 = rest[..digits].parse().map_err(|_| problem())?;
        rest = &rest[digits..];
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let factor = match &rest[..unit_end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(problem()),
        };
        total += number * factor;
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| problem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("5s", ms(5000)),
            ("500ms", ms(500)),
            ("1m30s", ms(90_000)),
            ("1.5s", ms(1500)),
            ("2", ms(2000)),
            ("0.25", ms(250)),
            ("1h", ms(3_600_000)),
        ] {
            assert_eq!(go_duration(text), Ok(expected), "{text}");
        }
        for bad in ["", "s", "5 s", "5x", "-1s", "é", "1e400", "1s2"] {
            assert!(bad.is_empty() || go_duration(bad).is_err(), "{bad}");
        }
        assert!(seconds("-1").is_err() && seconds("NaN").is_err() && seconds("").is_err());
    }
}
