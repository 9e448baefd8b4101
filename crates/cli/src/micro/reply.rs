//! How replies are printed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::IsTerminal;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nats_micro::{HeaderMap, Reply, ServiceError};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::terminal;

/// Prints replies of one request.
#[derive(Debug)]
pub(super) struct Printer<'a> {
    /// Where the request goes.
    pub(super) subject: &'a str,
    pub(super) raw: bool,
    pub(super) show_headers: bool,
    pub(super) json: bool,
}

impl Printer<'_> {
    pub(super) fn print(&self, reply: &Reply) -> Result<(), Failure> {
        if self.json {
            terminal::json(self.object(&reply.headers, &reply.payload, None));
            return Ok(());
        }
        self.say_headers(&reply.headers);
        self.print_body(&reply.payload)
    }

    /// The body of an error reply, if it has one; all of it with `--json`.
    pub(super) fn print_error(&self, error: &ServiceError) -> Result<(), Failure> {
        if self.json {
            terminal::json(self.object(error.headers(), error.payload(), Some(error)));
            return Ok(());
        }
        self.say_headers(error.headers());
        if error.payload().is_empty() {
            return Ok(());
        }
        self.print_body(error.payload())
    }

    fn say_headers(&self, headers: &HeaderMap) {
        let lines = headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}")));
        for line in lines.filter(|_| self.show_headers) {
            terminal::say(terminal::plain(&line));
        }
    }

    fn print_body(&self, body: &[u8]) -> Result<(), Failure> {
        if self.raw {
            terminal::result_bytes(body);
            return Ok(());
        }
        terminal::result_bytes(&shown(body, std::io::stdout().is_terminal())?);
        Ok(())
    }

    fn object(&self, headers: &HeaderMap, body: &[u8], error: Option<&ServiceError>) -> String {
        let values = |values: &'_ [async_nats::HeaderValue]| {
            values.iter().map(ToString::to_string).collect()
        };
        let text = std::str::from_utf8(body).ok();
        let object = Printed {
            subject: self.subject,
            headers: headers
                .iter()
                .map(|(name, all)| (name.to_string(), values(all)))
                .collect(),
            data: text,
            data_base64: text.is_none().then(|| BASE64_STANDARD.encode(body)),
            error: error.map(|error| PrintedError {
                code: code(error),
                description: error.description(),
            }),
        };
        // Texts and numbers under keys that are texts can be written.
        serde_json::to_string(&object).unwrap_or_default()
    }
}

/// A reply with `--json`.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    subject: &'a str,
    headers: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<PrintedError<'a>>,
}

#[derive(Debug, Serialize)]
struct PrintedError<'a> {
    code: Value,
    description: &'a str,
}

/// A number if it is one, as the peer wrote it if not, null if it wrote none.
fn code(error: &ServiceError) -> Value {
    match (error.code(), error.code_text()) {
        (Some(code), _) => code.into(),
        (None, "") => Value::Null,
        (None, text) => text.into(),
    }
}

/// Text gets a line end, and on a terminal cannot steer it; bytes that are none are not for terminals.
fn shown(body: &[u8], to_terminal: bool) -> Result<Cow<'_, [u8]>, Failure> {
    let line = |text: &str| Ok(format!("{text}\n").into_bytes().into());
    match (std::str::from_utf8(body), to_terminal) {
        (Ok(text), true) => line(&terminal::plain(text)),
        (Ok(text), false) => line(text),
        (Err(_), false) => Ok(body.into()),
        (Err(_), true) => Err(Failure::failed(format!(
            "the reply has {} bytes that are no UTF-8 text; write it to a file or a pipe, or give --raw or --json",
            body.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_gets() {
        assert_eq!(*shown(b"a\x1b[2J", false).unwrap(), *b"a\x1b[2J\n");
        assert_eq!(
            *shown(b"a\x1b[2J", true).unwrap(),
            *"a\u{fffd}[2J\n".as_bytes()
        );
        assert_eq!(*shown(b"\xff\0", false).unwrap(), *b"\xff\0");
        assert!(shown(b"\xff\0", true).is_err());
    }
}
