//! W3C trace context: the value of `tracestate`.

use std::fmt;
use std::sync::Arc;

/// What tracing systems add to a trace for themselves. It is passed on as it came, beside the [`TraceParent`] that it
/// belongs to, and says nothing without one.
///
/// [`TraceParent`]: crate::TraceParent
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceState(Arc<str>);

impl TraceState {
    /// The longest that is passed on, in bytes: what the standard asks of everybody.
    pub const LENGTH_MAX: usize = 512;

    /// What the text of a header or member says. `None` if it is empty, too long, or has characters that no header can
    /// have: it is then left out, as the standard allows. Its members are not looked at.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let is_shown = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let fits = !text.is_empty() && text.len() <= Self::LENGTH_MAX && text.bytes().all(is_shown);
        fits.then(|| Self(text.into()))
    }

    /// What several headers say together, in their order.
    #[must_use]
    pub fn join<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let texts: Vec<_> = texts.into_iter().collect();
        Self::parse(&texts.join(","))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::TraceState;

    #[test]
    fn it_is_passed_on_as_it_came_or_not_at_all() {
        let state = TraceState::parse(" a=1,b@c=2;x ").unwrap();
        assert_eq!(state.as_str(), "a=1,b@c=2;x");
        let longest = "x".repeat(TraceState::LENGTH_MAX);
        assert_eq!(TraceState::parse(&longest).unwrap().as_str(), longest);
        let too_long = format!("{longest}x");
        for none in [
            "",
            " \t",
            "a=1\r\nb: 2",
            "a=ä",
            "a=\u{7f}",
            too_long.as_str(),
        ] {
            assert_eq!(TraceState::parse(none), None, "{none:?}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        assert_eq!(
            TraceState::join(["a=1", "b=2"]).unwrap().as_str(),
            "a=1,b=2"
        );
        assert_eq!(TraceState::join([]), None);
    }
}
