//! The bearer token.

use std::fmt;

use subtle::ConstantTimeEq;
use uuid::Uuid;

/// A bearer token. Compared in constant time, never shown.
#[derive(Clone)]
pub struct HttpToken(String);

impl HttpToken {
    /// A token given from outside.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// A new token of 244 random bits.
    #[must_use]
    pub fn random() -> Self {
        let (first, second) = (Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Self(format!("{first}{second}"))
    }

    /// The text, for those who may call.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a header can have it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.0.contains(char::is_control) && self.0.trim() == self.0
    }

    /// Whether an `Authorization` header has this token. Takes as long for any token of the same length.
    pub(crate) fn admits(&self, authorization: &[u8]) -> bool {
        const SCHEME: &[u8] = b"Bearer ";
        let Some((scheme, token)) = authorization.split_at_checked(SCHEME.len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(SCHEME) && bool::from(self.0.as_bytes().ct_eq(token))
    }
}

impl fmt::Debug for HttpToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_admitted() {
        let token = HttpToken::new("secret");
        assert!(token.admits(b"Bearer secret"));
        assert!(token.admits(b"bearer secret"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secret2",
            "Basic secret",
            "secret",
        ] {
            assert!(!token.admits(wrong.as_bytes()), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "HttpToken(..)");
    }

    #[test]
    fn random_tokens_differ() {
        assert_ne!(HttpToken::random().reveal(), HttpToken::random().reveal());
    }
}
