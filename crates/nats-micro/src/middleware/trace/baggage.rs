//! The header `baggage`: what a user of the trace wants to travel along. It is passed on unchanged.

use std::sync::Arc;

/// As the specification says.
const BYTES_MAX: usize = 8192;

/// As the specification says.
const MEMBERS_MAX: usize = 64;

/// Several headers are one list. `None` if it is malformed or too large.
pub(super) fn joined(values: &[&str]) -> Option<Arc<str>> {
    let bytes: usize = values.iter().map(|value| value.len() + 1).sum();
    if bytes > BYTES_MAX + 1 {
        return None;
    }
    let list = values.join(",");
    let printable = list.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let fits = list.split(',').count() <= MEMBERS_MAX;
    let pairs = list.split(',').all(|member| member.contains('='));
    (printable && fits && pairs).then(|| list.into())
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn lists_are_joined_and_checked() {
        let too_large = format!("a={}", "v".repeat(8191));
        let too_many = vec!["a=1"; 65];
        for (values, expected) in [
            (
                &["user=7;p=1, shop=x%20y"][..],
                Some("user=7;p=1, shop=x%20y"),
            ),
            (&["a=1", "b=2"], Some("a=1,b=2")),
            (&["a"], None),
            (&["a=\u{e9}"], None),
            (&[&*too_large], None),
            (&too_many, None),
        ] {
            assert_eq!(joined(values).as_deref(), expected, "{values:?}");
        }
    }
}
