//! [`Json`]: one value as shared text.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::parts::{MemberRef, ValueRef};
use crate::reader::{Reader, members};
use crate::scan::{self, ScanError, ScanErrorKind};
use crate::strict;

/// One well-formed JSON value, as text; see the crate documentation. Cloning shares the text.
#[derive(Clone)]
pub struct Json {
    text: ByteString,
    strict: bool,
}

/// What sort of value a [`Json`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, or one of the tokens `NaN`, `Infinity`, `-Infinity`.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A value that does not have the shape asked for.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DecodeError(#[from] serde_json::Error);

impl Json {
    /// The value `null`.
    #[must_use]
    pub const fn null() -> Self {
        Self {
            text: ByteString::from_static("null"),
            strict: true,
        }
    }

    /// Checks that `text` is one value and keeps it, without the white space around it.
    ///
    /// # Errors
    /// What is wrong with the text, and where. Its length is not limited here: whoever reads from a peer does that.
    pub fn parse(text: impl Into<ByteString>) -> Result<Self, ScanError> {
        let text = text.into();
        let scanned = scan::scan(&text)?;
        let whole = scanned.start == 0 && scanned.end == text.len();
        let text = if whole {
            text
        } else {
            text.slice_ref(&text[scanned.start..scanned.end])
        };
        Ok(Self {
            text,
            strict: scanned.strict,
        })
    }

    /// As [`Self::parse`], from bytes that should be UTF-8.
    ///
    /// # Errors
    /// As [`Self::parse`]; [`ScanErrorKind::NotUtf8`] too.
    pub fn parse_bytes(bytes: impl Into<Bytes>) -> Result<Self, ScanError> {
        let text = ByteString::try_from(bytes.into()).map_err(|error| ScanError {
            kind: ScanErrorKind::NotUtf8,
            offset: error.valid_up_to(),
        })?;
        Self::parse(text)
    }

    /// The JSON text of a serializable value. Non-finite floats become `null`.
    ///
    /// # Errors
    /// If the value's own `Serialize` fails, or it has map keys that are no strings.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, DecodeError> {
        Ok(Self {
            text: serde_json::to_string(value)?.into(),
            strict: true,
        })
    }

    /// As [`Self::from_serialize`], written in a formatter's way: its white space, its spelling of strings and numbers.
    /// What it writes must be JSON, which is not checked again.
    ///
    /// # Errors
    /// As [`Self::from_serialize`]; and if the formatter writes bytes that are not UTF-8.
    pub fn from_serialize_with<T: Serialize + ?Sized>(
        value: &T,
        formatter: impl Formatter,
    ) -> Result<Self, DecodeError> {
        let mut text = Vec::with_capacity(128);
        value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut text, formatter,
        ))?;
        let text =
            ByteString::try_from(text).map_err(<serde_json::Error as serde::ser::Error>::custom)?;
        Ok(Self { text, strict: true })
    }

    /// An array of these elements, in order.
    #[must_use]
    pub fn array<'a>(elements: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut text = String::new();
        let strict = push_array(&mut text, elements);
        Self {
            text: text.into(),
            strict,
        }
    }

    /// An object of these members, in order.
    #[must_use]
    pub fn object<'a, M: Into<Member>>(members: impl IntoIterator<Item = (&'a str, M)>) -> Self {
        let mut text = String::from("{");
        let mut strict = true;
        for (key, member) in members {
            if text.len() > 1 {
                text.push_str(", ");
            }
            push_string(&mut text, key);
            text.push_str(": ");
            strict &= match member.into() {
                Member::Value(value) => push_value(&mut text, &value),
                Member::List(values) => push_array(&mut text, &values),
            };
        }
        text.push('}');
        Self {
            text: text.into(),
            strict,
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text as shared bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.text.into_bytes()
    }

    /// What sort of value this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.text.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// The string, its escapes resolved (lone surrogates become U+FFFD); `None` if this is no string.
    #[must_use]
    pub fn string(&self) -> Option<Cow<'_, str>> {
        ValueRef {
            text: &self.text,
            strict: self.strict,
        }
        .string()
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// Whether the text is standard JSON.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// This value as standard JSON: `NaN` and infinities become `null`, lone surrogates U+FFFD.
    #[must_use]
    pub fn to_strict(&self) -> Self {
        if self.strict {
            self.clone()
        } else {
            Self {
                text: strict::to_strict(&self.text).into(),
                strict: true,
            }
        }
    }

    /// Decodes the value; what is not standard is replaced as by [`Self::to_strict`].
    ///
    /// # Errors
    /// If the value does not have the shape of `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        Ok(serde_json::from_str(self.strict_text().as_ref())?)
    }

    fn strict_text(&self) -> Cow<'_, str> {
        if self.strict {
            Cow::Borrowed(&self.text)
        } else {
            Cow::Owned(strict::to_strict(&self.text))
        }
    }

    /// The elements of an array, sharing its memory; `None` if this is no array.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Self>> {
        if self.kind() != Kind::Array {
            return None;
        }
        // The text was checked when this value was made, so no item is an error.
        Some(
            scan::elements(&self.text)
                .map_while(Result::ok)
                .map(|(text, strict)| self.part(ValueRef { text, strict }))
                .collect(),
        )
    }

    /// The members of an object in order, sharing its memory, duplicates included; `None` if this is no object.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<(String, Self)>> {
        if self.kind() != Kind::Object {
            return None;
        }
        let entry = |member: MemberRef<'_>| (member.key().into_owned(), self.part(member.value));
        Some(
            members(&self.text)
                .map_while(Result::ok)
                .map(entry)
                .collect(),
        )
    }

    /// The member with this key, the last one if there are several; `None` if there is none or this is no object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Self> {
        if self.kind() != Kind::Object {
            return None;
        }
        let member = members(&self.text)
            .map_while(Result::ok)
            .filter(|member| member.key() == key)
            .last()?;
        Some(self.part(member.value))
    }

    /// Takes this value apart in one pass; [`Self::part`] turns what is found into values.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.text)
    }

    /// A value that was found in this one's text, sharing its memory.
    #[must_use]
    pub fn part(&self, value: ValueRef<'_>) -> Self {
        Self::found_in(&self.text, value)
    }

    /// A part of this value's text, sharing its memory. Other text is copied.
    #[must_use]
    pub fn substring(&self, part: &str) -> ByteString {
        part_of(&self.text, part)
    }

    /// A value that was found in `text`, sharing its memory. A value of another text is copied.
    #[must_use]
    pub fn found_in(text: &ByteString, value: ValueRef<'_>) -> Self {
        Self {
            text: part_of(text, value.text),
            strict: value.strict,
        }
    }
}

fn part_of(text: &ByteString, part: &str) -> ByteString {
    let (whole, range) = (
        text.as_bytes().as_ptr_range(),
        part.as_bytes().as_ptr_range(),
    );
    let inside = whole.start <= range.start && range.end <= whole.end;
    if inside {
        text.slice_ref(part)
    } else {
        ByteString::from(part)
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Equal text: `1` and `1.0` differ, so do other spacings and orders.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Json {}

impl From<&str> for Json {
    fn from(string: &str) -> Self {
        let mut text = String::with_capacity(string.len() + 2);
        push_string(&mut text, string);
        Self {
            text: text.into(),
            strict: true,
        }
    }
}

/// What a member of an object that is put together is; see [`Json::object`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A value.
    Value(Json),
    /// An array of these values.
    List(Vec<Json>),
}

impl From<Json> for Member {
    fn from(value: Json) -> Self {
        Self::Value(value)
    }
}

/// Appends an array; whether it is standard JSON.
fn push_array<'a>(text: &mut String, elements: impl IntoIterator<Item = &'a Json>) -> bool {
    text.push('[');
    let start = text.len();
    let mut strict = true;
    for element in elements {
        if text.len() > start {
            text.push_str(", ");
        }
        strict &= push_value(text, element);
    }
    text.push(']');
    strict
}

/// Appends a value; whether it is standard JSON.
fn push_value(text: &mut String, value: &Json) -> bool {
    text.push_str(&value.text);
    value.strict
}

/// Appends a string with its quotes and escapes.
fn push_string(text: &mut String, string: &str) {
    if scan::is_plain(string) {
        text.push('"');
        text.push_str(string);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(string).to_string());
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Self {
            text: value.to_string().into(),
            strict: true,
        }
    }
}

/// Within `serde_json` the text is passed on as it is, made standard first.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &serde_json::value::RawValue =
            &serde_json::value::RawValue::from_string(self.strict_text().into_owned())
                .map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// Works within `serde_json` only. The tokens beyond the standard are refused there; use [`Json::parse`] for those.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        let text: Box<str> = raw.into();
        Self::parse(String::from(text)).map_err(serde::de::Error::custom)
    }
}
