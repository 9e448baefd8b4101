//! The header `Accept-Encoding`.

use super::codec::Codec;

/// The encoding that a caller likes best of those that are known; of equals the first. `*` names none: a caller that
/// wants a reply compressed says how.
pub(super) fn preferred<'a>(values: impl Iterator<Item = &'a str>) -> Option<Codec> {
    let mut best: Option<(Codec, u16)> = None;
    for item in values.flat_map(|value| value.split(',')) {
        let mut parts = item.split(';');
        let Some(codec) = parts.next().and_then(Codec::named) else {
            continue;
        };
        let weight = parts.find_map(weight).unwrap_or(1000);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((codec, weight));
        }
    }
    best.map(|(codec, _)| codec)
}

/// In thousandths; what cannot be read is 0.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{fraction:0<3}").parse::<u16>();
    Some(match (whole, digits, thousandths) {
        ("0", true, Ok(thousandths)) => thousandths,
        ("1", true, Ok(0)) => 1000,
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::preferred;

    #[test]
    fn the_heaviest_known_encoding_is_taken() {
        for (values, expected) in [
            (&["snappy"][..], Some("snappy")),
            (&["gzip, snappy"], Some("gzip")),
            (&["gzip;q=0.5, snappy"], Some("snappy")),
            (&["gzip;q=0.5", "SNAPPY; Q=0.8"], Some("snappy")),
            (&["x-gzip"], Some("gzip")),
            (&["br, zstd"], None),
            (&["*"], None),
            (&["identity"], None),
            (&["gzip;q=0"], None),
            (&["gzip;q=0.000"], None),
            (&["gzip;q=x, snappy;q=0.001"], Some("snappy")),
            (&["gzip;q=2"], None),
            (&[""], None),
            (&[], None),
        ] {
            let codec = preferred(values.iter().copied());
            assert_eq!(codec.map(|codec| codec.name()), expected, "{values:?}");
        }
    }
}
