//! W3C trace context: the value of `traceparent`.

use std::fmt;

/// Which trace, and which of its spans is the parent: `00-<trace id>-<span id>-<flags>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: TraceId,
    span_id: SpanId,
    is_sampled: bool,
}

/// Names a trace; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// Names a span within a trace; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// Characters of version 00, and of what later versions begin with.
const LENGTH: usize = 55;
const SAMPLED: u8 = 0x01;

impl TraceParent {
    /// A new trace. Its ids are random, but can be guessed by whoever knows others: they are names, not secrets.
    #[must_use]
    pub fn new_trace(is_sampled: bool) -> Self {
        Self {
            trace_id: TraceId(fastrand::u128(1..)),
            span_id: SpanId::random(),
            is_sampled,
        }
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span_id: SpanId::random(),
            ..*self
        }
    }

    /// The same, with another mark of whether the trace is recorded.
    #[must_use]
    pub const fn sampled(self, is_sampled: bool) -> Self {
        Self { is_sampled, ..self }
    }

    /// What the text of a header or member says. `None` if it is none of the standard, which is to be treated as if there
    /// was none. Of versions beyond 00, what 00 has.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let (head, rest) = text.split_at_checked(LENGTH)?;
        let mut parts = head.split('-');
        let version = hex(parts.next()?, 2)?;
        let is_whole = rest.is_empty() || (version > 0 && rest.starts_with('-'));
        if version == 0xff || !is_whole {
            return None;
        }
        let trace_id = hex(parts.next()?, 32).filter(|id| *id != 0)?;
        let span_id = hex(parts.next()?, 16).filter(|id| *id != 0)?;
        let flags = hex(parts.next()?, 2)?;
        Some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(u64::try_from(span_id).ok()?),
            is_sampled: flags & u128::from(SAMPLED) != 0,
        })
    }

    /// The trace.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The span.
    #[must_use]
    pub const fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Whether whoever made it records the trace.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.is_sampled
    }
}

impl TraceId {
    /// The number that it is.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.0
    }
}

impl SpanId {
    /// The number that it is.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    fn random() -> Self {
        Self(fastrand::u64(1..))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled) * SAMPLED;
        write!(f, "00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// So many digits, in lower case only.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == digits && text.bytes().all(is_digit);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TraceParent;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    proptest! {
        #[test]
        fn nothing_that_comes_in_is_a_panic(text in "\\PC*", at in 0..56_usize, with in any::<char>()) {
            let _ = TraceParent::parse(&text);
            let mut changed: Vec<char> = PARENT.chars().collect();
            if let Some(place) = changed.get_mut(at) {
                *place = with;
            }
            let _ = TraceParent::parse(&changed.into_iter().collect::<String>());
        }
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let parent = TraceParent::parse(PARENT).unwrap();
        assert!(parent.is_sampled());
        assert_eq!(parent.to_string(), PARENT);
        for new in [TraceParent::new_trace(true), TraceParent::new_trace(false)] {
            assert_eq!(TraceParent::parse(&new.to_string()), Some(new));
            let child = new.child();
            assert_eq!(child.trace_id(), new.trace_id());
            assert_ne!(child.span_id(), new.span_id());
            assert_eq!(child.is_sampled(), new.is_sampled());
        }
    }

    #[test]
    fn later_versions_are_read_by_what_they_begin_with() {
        let later = PARENT.replacen("00", "cc", 1);
        for text in [
            later.clone(),
            format!("{later}-more"),
            format!(" {PARENT}\t"),
        ] {
            assert!(TraceParent::parse(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_not_of_the_standard_is_none() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.",
            "00-0af7651916cd43dd8448eb211c80319cb7ad6b7169203331--01",
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }
}
