//! Which subjects are subjects. spec: nats-micro 15.4
//!
//! A subject is tokens joined by dots. `*` and `>` are wildcards only as whole tokens: `a*b` is a literal. [obs 2.9.10]

/// Whether one can subscribe to it: no token is empty, and `>` is the last if it is there.
#[must_use]
pub fn can_subscribe(subject: &[u8]) -> bool {
    let mut tokens = tokens(subject).peekable();
    while let Some(token) = tokens.next() {
        if token.is_empty() || (token == b">" && tokens.peek().is_some()) {
            return false;
        }
    }
    true
}

/// Whether one can publish to it: no token is empty or a wildcard.
#[must_use]
pub fn can_publish(subject: &[u8]) -> bool {
    // One pass over bytes: this runs for every message. `start` is true where a token begins.
    let mut start = true;
    for (at, &byte) in subject.iter().enumerate() {
        let ends = subject.get(at + 1).is_none_or(|&next| next == b'.');
        match byte {
            b'.' if start => return false,
            b'*' | b'>' if start && ends => return false,
            _ => start = byte == b'.',
        }
    }
    !start
}

/// Whether a token of it is empty: nobody gets what is published to that. [obs 2.9.10]
#[must_use]
pub fn has_empty_token(subject: &[u8]) -> bool {
    tokens(subject).any(<[u8]>::is_empty)
}

/// Whether a token of it is a wildcard.
#[must_use]
pub fn has_wildcard(subject: &[u8]) -> bool {
    tokens(subject).any(|token| matches!(token, b"*" | b">"))
}

/// Its tokens.
pub fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|&byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_whole_tokens() {
        for (subject, subscribes, publishes) in [
            ("a", true, true),
            ("a.b.c", true, true),
            ("a.*.b", true, false),
            ("a.>", true, false),
            (">", true, false),
            ("*", true, false),
            ("a*b", true, true),
            ("a.>b", true, true),
            ("*a.b*", true, true),
            ("**", true, true),
            ("a.>.b", false, false),
            ("a..b", false, false),
            (".a", false, false),
            ("a.", false, false),
            (".", false, false),
            ("", false, false),
        ] {
            assert_eq!(can_subscribe(subject.as_bytes()), subscribes, "{subject}");
            assert_eq!(can_publish(subject.as_bytes()), publishes, "{subject}");
            let publishes =
                !has_empty_token(subject.as_bytes()) && !has_wildcard(subject.as_bytes());
            assert_eq!(can_publish(subject.as_bytes()), publishes, "{subject}");
        }
        assert!(has_wildcard(b"a.*") && has_wildcard(b">") && !has_wildcard(b"a*.b>"));
    }
}
