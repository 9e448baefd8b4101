//! The scanner: finds where a value ends, and whether it is well-formed, without building anything.

use crate::parts::{KeyRef, MemberRef, ValueRef};

/// How deep arrays and objects may nest. Deeper text is refused, so that no later recursive decoder overflows its stack.
pub const MAX_DEPTH: usize = 120;

/// Why a text is not one JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct ScanError {
    /// What is wrong.
    pub kind: ScanErrorKind,
    /// Byte offset in the text that was scanned.
    pub offset: usize,
}

/// The kinds of [`ScanError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanErrorKind {
    /// The text ended inside a value.
    #[error("the JSON text ends too early")]
    UnexpectedEnd,
    /// A byte that cannot stand here.
    #[error("unexpected character in JSON text")]
    UnexpectedByte,
    /// Something follows the value.
    #[error("unexpected text after the JSON value")]
    TrailingText,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("JSON text is nested too deeply")]
    TooDeep,
    /// The bytes are not UTF-8.
    #[error("JSON text is not UTF-8")]
    NotUtf8,
    /// The value is not an object where one is needed.
    #[error("expected a JSON object")]
    NotAnObject,
}

/// What a scan learned of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) strict: bool,
}

/// Scans a text that must be exactly one value, white space around it aside.
pub(crate) fn scan(text: &str) -> Result<Scanned, ScanError> {
    let mut scanner = Scanner::new(text);
    scanner.skip_white_space();
    let start = scanner.pos;
    scanner.value(0)?;
    let end = scanner.pos;
    scanner.expect_end()?;
    Ok(Scanned {
        start,
        end,
        strict: scanner.strict,
    })
}

/// Yields the text of each element of the array that `text` is known to be.
pub(crate) fn elements(text: &str) -> impl Iterator<Item = Result<(&str, bool), ScanError>> {
    let mut scanner = Scanner::new(text);
    scanner.pos = 1;
    let mut first = true;
    std::iter::from_fn(move || {
        let item = scanner.next_element(first).transpose();
        first = false;
        item
    })
}

#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    pub(crate) text: &'a str,
    bytes: &'a [u8],
    pub(crate) pos: usize,
    pub(crate) strict: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            pos: 0,
            strict: true,
        }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    pub(crate) fn error(&self, kind: ScanErrorKind) -> ScanError {
        ScanError {
            kind,
            offset: self.pos,
        }
    }

    pub(crate) fn unexpected(&self) -> ScanError {
        let kind = if self.pos < self.bytes.len() {
            ScanErrorKind::UnexpectedByte
        } else {
            ScanErrorKind::UnexpectedEnd
        };
        self.error(kind)
    }

    pub(crate) fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    pub(crate) fn expect_end(&mut self) -> Result<(), ScanError> {
        self.skip_white_space();
        if self.pos == self.bytes.len() {
            Ok(())
        } else {
            Err(self.error(ScanErrorKind::TrailingText))
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// Moves over one value that starts here.
    pub(crate) fn value(&mut self, depth: usize) -> Result<(), ScanError> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'N') => self.non_finite("NaN"),
            Some(b'I') => self.non_finite("Infinity"),
            Some(b'-') if self.bytes.get(self.pos + 1) == Some(&b'I') => {
                self.non_finite("-Infinity")
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected()),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), ScanError> {
        if self.bytes[self.pos..].starts_with(word.as_bytes()) {
            self.pos += word.len();
            return Ok(());
        }
        let common = self.bytes[self.pos..]
            .iter()
            .zip(word.as_bytes())
            .take_while(|(a, b)| a == b)
            .count();
        self.pos += common;
        Err(self.unexpected())
    }

    fn non_finite(&mut self, word: &str) -> Result<(), ScanError> {
        self.strict = false;
        self.literal(word)
    }

    fn number(&mut self) -> Result<(), ScanError> {
        if self.peek() == Some(b'-') {
            self.pos += 1;
        }
        match self.peek() {
            Some(b'0') => self.pos += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.unexpected()),
        }
        if self.peek() == Some(b'.') {
            self.pos += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.pos += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.pos += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        let start = self.pos;
        while let Some(b'0'..=b'9') = self.peek() {
            self.pos += 1;
        }
        if self.pos == start {
            Err(self.unexpected())
        } else {
            Ok(())
        }
    }

    /// Over a string; whether it has escapes.
    fn string(&mut self) -> Result<bool, ScanError> {
        self.pos += 1;
        let mut escaped = false;
        loop {
            self.pos += plain_length(&self.bytes[self.pos..]);
            match self.peek() {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) | None => return Err(self.unexpected()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        self.pos += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.pos += 1;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            _ => Err(self.unexpected()),
        }
    }

    /// At the `u` of `\uXXXX`. A surrogate without its other half is well-formed but not strict.
    fn unicode_escape(&mut self) -> Result<(), ScanError> {
        let unit = self.hex4()?;
        match unit {
            0xD800..0xDC00 if self.bytes[self.pos..].starts_with(b"\\u") => {
                let before = self.pos;
                self.pos += 1;
                let low = self.hex4()?;
                if !(0xDC00..0xE000).contains(&low) {
                    self.strict = false;
                    self.pos = before;
                }
            }
            0xD800..0xE000 => self.strict = false,
            _ => {}
        }
        Ok(())
    }

    fn hex4(&mut self) -> Result<u16, ScanError> {
        self.pos += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit.and_then(|digit| u16::try_from(digit).ok()) else {
                return Err(self.unexpected());
            };
            unit = unit << 4 | digit;
            self.pos += 1;
        }
        Ok(unit)
    }

    fn object(&mut self, depth: usize) -> Result<(), ScanError> {
        self.enter(depth)?;
        let mut first = true;
        while self.member_start(first)?.is_some() {
            self.value(depth)?;
            first = false;
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), ScanError> {
        self.enter(depth)?;
        let mut first = true;
        while self.element_start(first)? {
            self.value(depth)?;
            first = false;
        }
        Ok(())
    }

    /// Over the opening bracket.
    pub(crate) fn enter(&mut self, depth: usize) -> Result<(), ScanError> {
        if depth > MAX_DEPTH {
            return Err(self.error(ScanErrorKind::TooDeep));
        }
        self.pos += 1;
        Ok(())
    }

    /// To the start of the next member's value; its key, or `None` past the closing brace.
    pub(crate) fn member_start(&mut self, first: bool) -> Result<Option<KeyRef<'a>>, ScanError> {
        if !self.separator(first, b'}')? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let start = self.pos + 1;
        let escaped = self.string()?;
        let raw = &self.text[start..self.pos - 1];
        self.skip_white_space();
        self.expect(b':')?;
        self.skip_white_space();
        Ok(Some(KeyRef { raw, escaped }))
    }

    /// To the start of the next element; false past the closing bracket.
    pub(crate) fn element_start(&mut self, first: bool) -> Result<bool, ScanError> {
        self.separator(first, b']')
    }

    /// Over the comma before a further item, or over `close` (then false).
    fn separator(&mut self, first: bool, close: u8) -> Result<bool, ScanError> {
        self.skip_white_space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.pos += 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.pos += 1;
                self.skip_white_space();
                Ok(true)
            }
            Some(_) if first => Ok(true),
            _ => Err(self.unexpected()),
        }
    }

    pub(crate) fn next_member(&mut self, first: bool) -> Result<Option<MemberRef<'a>>, ScanError> {
        let Some(key) = self.member_start(first)? else {
            self.expect_end()?;
            return Ok(None);
        };
        let (value, strict) = self.slice()?;
        Ok(Some(MemberRef {
            key,
            value: ValueRef {
                text: value,
                strict,
            },
        }))
    }

    fn next_element(&mut self, first: bool) -> Result<Option<(&'a str, bool)>, ScanError> {
        if self.element_start(first)? {
            self.slice().map(Some)
        } else {
            Ok(None)
        }
    }

    /// The text of the value that starts here, and whether it is strict.
    fn slice(&mut self) -> Result<(&'a str, bool), ScanError> {
        let start = self.pos;
        self.strict = true;
        self.value(1)?;
        Ok((&self.text[start..self.pos], self.strict))
    }
}

/// Whether this can stand between quotes as it is.
pub(crate) fn is_plain(string: &str) -> bool {
    plain_length(string.as_bytes()) == string.len()
}

/// How many bytes at the start stand for themselves in a string: no quote, backslash or control character.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The high bit of each byte that is zero, and perhaps of ones after the first such.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut length = 0;
    for chunk in bytes.chunks_exact(8) {
        let mut eight = [0; 8];
        eight.copy_from_slice(chunk);
        let word = u64::from_le_bytes(eight);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = control
            | zeros(word ^ (ONES * u64::from(b'"')))
            | zeros(word ^ (ONES * u64::from(b'\\')));
        if special != 0 {
            // The lowest bit is exact: what may be wrong comes after a right one.
            return length + special.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = &bytes[length..];
    length
        + rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
            .unwrap_or(rest.len())
}
