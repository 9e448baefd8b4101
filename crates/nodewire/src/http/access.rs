//! Who may call over HTTP.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};

use super::error::{HttpError, Problem};
use super::token::HttpToken;

/// Who may call, over plain HTTP or MCP. A token is made into it by `into()`.
#[derive(Debug, Clone)]
pub enum Access {
    /// Those who know this token, which must not be empty.
    Token(HttpToken),
    /// Everybody who reaches the port, except for pages in a browser that are not allowed expressly.
    Open,
}

impl Access {
    /// Those who get to know a new random token: give it to them ([`Self::token`], [`HttpToken::reveal`]).
    #[must_use]
    pub fn random() -> Self {
        Self::Token(HttpToken::random())
    }

    /// The token that requests must have, if they must.
    #[must_use]
    pub const fn token(&self) -> Option<&HttpToken> {
        match self {
            Self::Token(token) => Some(token),
            Self::Open => None,
        }
    }

    /// # Errors
    /// The token is empty, or no header can have it.
    pub(crate) fn check_token(&self) -> Result<(), HttpError> {
        match self.token() {
            Some(token) if token.is_empty() => Err(HttpError::EmptyToken),
            Some(token) if !token.is_usable() => Err(HttpError::UnusableToken),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a request with these headers has what it must.
    ///
    /// # Errors
    /// It has not.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = self.token() else {
            return Ok(());
        };
        let given = headers.get(AUTHORIZATION);
        if given.is_some_and(|given| token.admits(given.as_bytes())) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send the server's token: `Authorization: Bearer <token>`",
        ))
    }
}

impl From<HttpToken> for Access {
    fn from(token: HttpToken) -> Self {
        Self::Token(token)
    }
}
