//! What is found in a text: parts of it, not copies.

use std::borrow::Cow;

use crate::scan::plain_length;

/// A value found in a text that was checked: a part of that text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueRef<'a> {
    pub(crate) text: &'a str,
    pub(crate) strict: bool,
}

impl<'a> ValueRef<'a> {
    /// The value's text.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether it is standard JSON (see the crate documentation).
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// The string, its escapes resolved (lone surrogates become U+FFFD); `None` if this is no string.
    #[must_use]
    pub fn string(&self) -> Option<Cow<'a, str>> {
        let inside = self.text.strip_prefix('"')?.strip_suffix('"')?;
        let escaped = plain_length(inside.as_bytes()) < inside.len();
        Some(if escaped {
            Cow::Owned(crate::strict::unescape(inside))
        } else {
            Cow::Borrowed(inside)
        })
    }
}

/// A key found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRef<'a> {
    pub(crate) raw: &'a str,
    pub(crate) escaped: bool,
}

impl<'a> KeyRef<'a> {
    /// The key with its escapes resolved; borrowed unless there are any.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(crate::strict::unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// One member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberRef<'a> {
    /// Its key.
    pub key: KeyRef<'a>,
    /// Its value.
    pub value: ValueRef<'a>,
}

impl<'a> MemberRef<'a> {
    /// The key with its escapes resolved; borrowed unless there are any.
    #[must_use]
    pub fn key(&self) -> Cow<'a, str> {
        self.key.name()
    }
}
