//! What a client says about itself.

use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The document of `CONNECT`. Keys may have any case, keys that are not listed are ignored, `null` and absent keys
/// change nothing. [obs 2.9.10]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// `+OK` after each operation. Default: true. [obs 2.9.10]
    pub verbose: bool,
    /// It is told when it publishes to what is no subject. Default: true. [obs 2.9.10]
    pub pedantic: bool,
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
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            protocol: 0,
            name: None,
            user: None,
            pass: None,
            auth_token: None,
        }
    }
}

impl ConnectOptions {
    /// Reads the document of a first `CONNECT`.
    ///
    /// # Errors
    /// It is not JSON, or a value has the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut options = Self::default();
        options.update(json)?;
        Ok(options)
    }

    /// Reads the document of one more `CONNECT`: what it does not mention stays. [obs 2.9.10]
    ///
    /// # Errors
    /// It is not JSON, or a value has the wrong type. Some of it may have been taken.
    pub fn update(&mut self, json: &[u8]) -> Result<(), serde_json::Error> {
        let json = String::from_utf8_lossy(json);
        let document: Option<Document> = serde_json::from_str(&json)?;
        for (key, value) in document.into_iter().flat_map(|document| document.0) {
            if !value.is_null() {
                self.set(&key, value)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value) -> Result<(), serde_json::Error> {
        match key.to_ascii_lowercase().as_str() {
            "verbose" => self.verbose = typed(value)?,
            "pedantic" => self.pedantic = typed(value)?,
            "echo" => self.echo = typed(value)?,
            "headers" => self.headers = typed(value)?,
            "no_responders" => self.no_responders = typed(value)?,
            "protocol" => self.protocol = typed(value)?,
            "name" => self.name = typed(value)?,
            "user" => self.user = typed(value)?,
            "pass" => self.pass = typed(value)?,
            "auth_token" => self.auth_token = typed(value)?,
            // Only their types count. [obs 2.9.10]
            "tls_required" | "new_account" => drop(typed::<bool>(value)?),
            "lang" | "version" | "account" | "nkey" | "jwt" | "sig" => {
                drop(typed::<String>(value)?);
            }
            _ => {}
        }
        Ok(())
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(value)
}

/// The members in their order: of a key that comes twice, the last one counts. [obs 2.9.10]
struct Document(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Document(members))
    }
}
