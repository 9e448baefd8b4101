//! The header `tracestate`: a list of members for whoever passes a trace on. It is checked and passed on unchanged.

use std::sync::Arc;

/// As the specification says.
const MEMBERS_MAX: usize = 32;

/// The specification asks for 512 at least.
const BYTES_MAX: usize = 4096;

/// Several headers are one list. `None` if it is malformed or too large.
pub(super) fn joined(values: &[&str]) -> Option<Arc<str>> {
    let bytes: usize = values.iter().map(|value| value.len() + 1).sum();
    if bytes > BYTES_MAX + 1 {
        return None;
    }
    let list = values.join(",");
    let members = list
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty());
    let mut count = 0;
    for member in members {
        count += 1;
        if count > MEMBERS_MAX || !is_member(member) {
            return None;
        }
    }
    (count > 0).then(|| list.into())
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else {
        return false;
    };
    let key_byte =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let value_byte = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=' && byte != b',';
    let begins_well = key
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit());
    begins_well
        && key.len() <= 256
        && key.bytes().all(key_byte)
        && (1..=256).contains(&value.len())
        && value.bytes().all(value_byte)
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn lists_are_joined_and_checked() {
        let too_many = vec!["a=1"; 33];
        let too_long = format!("a={}", "v".repeat(257));
        for (values, expected) in [
            (&["a=1"][..], Some("a=1")),
            (&["a=1, b@c=x y", "d=2"], Some("a=1, b@c=x y,d=2")),
            (&["a=1,,"], Some("a=1,,")),
            (&["A=1"], None),
            (&["a"], None),
            (&["a=1=2"], None),
            (&["a=\u{e9}"], None),
            (&["", " "], None),
            (&too_many[1..], Some(&*vec!["a=1"; 32].join(","))),
            (&too_many, None),
            (&[&*too_long], None),
        ] {
            assert_eq!(joined(values).as_deref(), expected, "{values:?}");
        }
    }
}
