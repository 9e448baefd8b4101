//! Writing JSON objects out of parts that are JSON already.

use nodewire_json::{Json, ScanError};

/// An object under construction; values are spliced in as they are.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    text: String,
}

impl ObjectWriter {
    pub(crate) fn new() -> Self {
        Self {
            text: String::from("{"),
        }
    }

    /// With room for a text of about `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let mut text = String::with_capacity(capacity);
        text.push('{');
        Self { text }
    }

    pub(crate) fn member(&mut self, key: &str, value: &Json) -> &mut Self {
        self.text_member(key, value.as_str())
    }

    pub(crate) fn string(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        push_string(&mut self.text, value);
        self
    }

    pub(crate) fn optional_string(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.string(key, value),
            None => self,
        }
    }

    /// A value whose text is known to be one well-formed value.
    pub(crate) fn text_member(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        self.text.push_str(value);
        self
    }

    /// Starts a member whose value the caller appends to the text.
    pub(crate) fn open(&mut self, key: &str) -> &mut String {
        self.key(key);
        &mut self.text
    }

    fn key(&mut self, key: &str) {
        if self.text.len() > 1 {
            self.text.push_str(", ");
        }
        push_string(&mut self.text, key);
        self.text.push_str(": ");
    }

    /// Ends the object; its text, to be spliced into another.
    pub(crate) fn into_text(mut self) -> String {
        self.text.push('}');
        self.text
    }

    /// Ends the object.
    ///
    /// # Errors
    /// If the parts together are nested too deeply.
    pub(crate) fn finish(self) -> Result<Json, ScanError> {
        Json::parse(self.into_text())
    }
}

/// Appends a string literal.
pub(crate) fn push_string(text: &mut String, value: &str) {
    let plain = value
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(Json::from(value).as_str());
    }
}

/// Appends an array whose elements are written one by one.
pub(crate) fn push_array<T>(
    text: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    text.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        write(text, item);
    }
    text.push(']');
}
