//! What a client says about itself.

use serde::Deserialize;

/// The document of `CONNECT`. Keys that are not listed are ignored; `null` and absent keys take the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// `+OK` after each operation. Default: true. [obs 2.9.10]
    pub verbose: bool,
    /// Its own messages are delivered back to it. Default: true.
    pub echo: bool,
    /// It understands header blocks. Default: false.
    pub headers: bool,
    /// It wants to know when nobody got its request. Default: false.
    pub no_responders: bool,
    /// 0 or 1; 1 understands an `INFO` at any time.
    pub protocol: i64,
    /// The client's name, for logs.
    pub name: Option<String>,
    /// Credentials.
    pub user: Option<String>,
    /// Credentials.
    pub pass: Option<String>,
    /// Credentials.
    pub auth_token: Option<String>,
}

impl Default for ConnectOptions {
    /// As before any `CONNECT`. [obs 2.9.10]
    fn default() -> Self {
        Self::from(Document::default())
    }
}

impl ConnectOptions {
    /// Reads the document.
    ///
    /// # Errors
    /// It is not JSON, or a value has the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Option<Document> = serde_json::from_slice(json)?;
        Ok(Self::from(document.unwrap_or_default()))
    }
}

#[derive(Default, Deserialize)]
struct Document {
    verbose: Option<bool>,
    echo: Option<bool>,
    headers: Option<bool>,
    no_responders: Option<bool>,
    protocol: Option<i64>,
    name: Option<String>,
    user: Option<String>,
    pass: Option<String>,
    auth_token: Option<String>,
}

impl From<Document> for ConnectOptions {
    fn from(document: Document) -> Self {
        Self {
            verbose: document.verbose.unwrap_or(true),
            echo: document.echo.unwrap_or(true),
            headers: document.headers.unwrap_or(false),
            no_responders: document.no_responders.unwrap_or(false),
            protocol: document.protocol.unwrap_or(0),
            name: document.name,
            user: document.user,
            pass: document.pass,
            auth_token: document.auth_token,
        }
    }
}
