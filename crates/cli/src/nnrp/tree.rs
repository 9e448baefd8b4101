//! A packet as a tree, for people.

use nnrp_wire::inspect::{from_hex, metadata_fields};
use nnrp_wire::{Header, Message, Packet, WireError};
use serde_json::{Map, Value};

use super::names;
use super::output::{Output, Stop};

/// What is shown.
pub(super) struct Shown<'s> {
    pub(super) packet: &'s Packet,
    pub(super) message: &'s Message,
    /// As JSON.
    pub(super) body: &'s Value,
    /// Where the packet stands in the stream.
    pub(super) at: u64,
    /// What the strict rules say, if they refuse it.
    pub(super) strictly: Option<WireError>,
    /// Without limits.
    pub(super) full: bool,
}

/// Bytes of a payload, and items of a list, that are shown.
const SHOWN_MAX: usize = 48;

pub(super) fn print(shown: &Shown<'_>, output: &mut Output) -> Result<(), Stop> {
    let header = shown.packet.header();
    output.line(&format!(
        "packet at byte {}: {}, {} bytes: {} header, {} metadata, {} body",
        shown.at,
        header.message_type.name(),
        shown.packet.bytes(),
        Header::BYTES,
        header.meta_len,
        header.body_len,
    ))?;
    output.line(&header_line(header))?;
    let mut tree = Tree {
        output,
        full: shown.full,
    };
    if let Some((structure, fields)) = metadata_fields(shown.message) {
        tree.line(1, &format!("metadata: {structure}"))?;
        for (field, number) in fields {
            let number = names::with_name(structure, field, number);
            tree.line(2, &format!("{field}: {number}"))?;
        }
    } else if !shown.packet.metadata().is_empty() {
        let bytes = tree.bytes(shown.packet.metadata());
        tree.line(1, &format!("metadata: {bytes}"))?;
    }
    let shape = shown.body["shape"].as_str().unwrap_or_default();
    if shape != "empty" {
        tree.line(1, &format!("body: {shape}"))?;
        if let Some(body) = shown.body.as_object() {
            tree.members(2, shape, body)?;
        }
    }
    match &shown.strictly {
        Some(error) => tree.line(1, &format!("strict rules refuse it: {error}")),
        None => Ok(()),
    }
}

fn header_line(header: &Header) -> String {
    format!(
        "  header: version {}, flags {}, session {}, frame {}, view {}, route {}, trace {}",
        header.version_major,
        names::with_name("header", "flags", u64::from(header.flags.bits())),
        header.session_id,
        header.frame_id,
        header.view_id,
        header.route_id,
        header.trace_id
    )
}

struct Tree<'t> {
    output: &'t mut Output,
    full: bool,
}

impl Tree<'_> {
    fn line(&mut self, depth: usize, text: &str) -> Result<(), Stop> {
        self.output.line(&format!("{:1$}{text}", "", 2 * depth))
    }

    /// The members of an object that is called so.
    fn members(
        &mut self,
        depth: usize,
        called: &str,
        object: &Map<String, Value>,
    ) -> Result<(), Stop> {
        for key in names::in_order(object) {
            let value = object.get(key).unwrap_or(&Value::Null);
            self.member(depth, called, key, value)?;
        }
        Ok(())
    }

    fn member(&mut self, depth: usize, parent: &str, key: &str, value: &Value) -> Result<(), Stop> {
        if let Some(text) = self.on_a_line(parent, key, value) {
            return self.line(depth, &format!("{key}: {text}"));
        }
        self.line(depth, &format!("{key}:"))?;
        match value {
            Value::Object(object) => self.members(depth + 1, key, object),
            Value::Array(items) => self.items(depth + 1, key, items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn items(&mut self, depth: usize, called: &str, items: &[Value]) -> Result<(), Stop> {
        let shown = if self.full { items.len() } else { SHOWN_MAX };
        for (place, item) in items.iter().take(shown).enumerate() {
            match self.on_a_line(called, called, item) {
                Some(text) => self.line(depth, &format!("[{place}] {text}"))?,
                None => {
                    self.line(depth, &format!("[{place}]"))?;
                    if let Some(object) = item.as_object() {
                        self.members(depth + 1, called, object)?;
                    }
                }
            }
        }
        match items.len().saturating_sub(shown) {
            0 => Ok(()),
            more => self.line(depth, &format!("... {more} more; --full shows all")),
        }
    }

    /// Single values, lists of numbers, and objects of single values.
    fn on_a_line(&self, parent: &str, key: &str, value: &Value) -> Option<String> {
        match value {
            Value::Array(items) if items.is_empty() => Some("none".to_owned()),
            Value::Array(items) if items.iter().all(Value::is_number) => Some(self.numbers(items)),
            Value::Object(object) if !object.values().any(is_nested) => {
                let members = names::in_order(object).into_iter().map(|member| {
                    let value = object.get(member).unwrap_or(&Value::Null);
                    format!("{member}={}", self.single(key, member, value))
                });
                Some(members.collect::<Vec<_>>().join(" "))
            }
            Value::Array(_) | Value::Object(_) => None,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Some(self.single(parent, key, value))
            }
        }
    }

    fn numbers(&self, items: &[Value]) -> String {
        let shown = if self.full { items.len() } else { SHOWN_MAX };
        let mut text: Vec<_> = items.iter().take(shown).map(Value::to_string).collect();
        if items.len() > shown {
            text.push(format!("... ({} in all)", items.len()));
        }
        text.join(", ")
    }

    fn single(&self, parent: &str, key: &str, value: &Value) -> String {
        match value {
            Value::Null => "-".to_owned(),
            Value::Number(number) => number.as_u64().map_or_else(
                || number.to_string(),
                |number| names::with_name(parent, key, number),
            ),
            // All of them are bytes.
            Value::String(hex) => match from_hex(hex) {
                Some(bytes) => self.bytes(&bytes),
                None => hex.escape_debug().to_string(),
            },
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        }
    }

    /// Text where it is text; nothing that steers a terminal.
    fn bytes(&self, bytes: &[u8]) -> String {
        let count = bytes.len();
        if count == 0 {
            return "empty".to_owned();
        }
        let is_cut = !self.full && count > SHOWN_MAX;
        let more = if is_cut { "..." } else { "" };
        let plural = if count == 1 { "" } else { "s" };
        let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        match std::str::from_utf8(bytes) {
            Ok(text) if text.chars().all(is_text) => {
                let end = if is_cut {
                    text.floor_char_boundary(SHOWN_MAX)
                } else {
                    count
                };
                let text = text.get(..end).unwrap_or(text).escape_debug();
                format!("{count} byte{plural} \"{text}\"{more}")
            }
            _ => {
                let shown = bytes.get(..SHOWN_MAX).filter(|_| is_cut).unwrap_or(bytes);
                let hex = nnrp_wire::inspect::to_hex(shown);
                format!("{count} byte{plural} {hex}{more}")
            }
        }
    }
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_where_they_are_text_and_never_steer() {
        let mut output = Output::new();
        let tree = Tree {
            output: &mut output,
            full: false,
        };
        assert_eq!(tree.bytes(b""), "empty");
        assert_eq!(tree.bytes("é\n".as_bytes()), "3 bytes \"é\\n\"");
        assert_eq!(tree.bytes(b"\x1b[31m"), "5 bytes 1b5b33316d");
        assert_eq!(tree.bytes("\u{9b}31m".as_bytes()), "5 bytes c29b33316d");
        // Turns what follows around.
        assert_eq!(
            tree.bytes("\u{202e}ab".as_bytes()),
            "5 bytes \"\\u{202e}ab\""
        );
        assert_eq!(tree.bytes(&[0xff]), "1 byte ff");
        let long = tree.bytes("é".repeat(100).as_bytes());
        assert_eq!(long, format!("200 bytes \"{}\"...", "é".repeat(24)));
        let long = tree.bytes(&[0; 100]);
        assert_eq!(long, format!("100 bytes {}...", "00".repeat(48)));
    }
}
