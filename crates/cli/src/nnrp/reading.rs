//! Bytes of a file or of standard input, as they are or as hex digits.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::ValueEnum;

use crate::failure::Failure;

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Hex if the first character that is no space is a hex digit, which no packet begins with; else raw.
    Auto,
    /// As they are.
    Raw,
    /// Hex digits; spaces and line ends anywhere.
    Hex,
}

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A file, or standard input for `-`.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(Box::new(file))
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", path.display()))
}

/// All of a file that is not longer than this.
pub(super) fn read_whole(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes);
    read.map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > bytes_max {
        let path = path.display();
        return Err(Failure::usage(format!(
            "{path} is longer than {bytes_max} bytes"
        )));
    }
    Ok(bytes)
}

/// The bytes of a stream, piece by piece.
pub(super) struct Chunks {
    path: PathBuf,
    input: Box<dyn Read>,
    format: Format,
    digits: Digits,
    buffer: Vec<u8>,
}

impl Chunks {
    pub(super) fn open(path: &Path, format: Format) -> Result<Self, Failure> {
        Ok(Self {
            path: path.to_owned(),
            input: open(path)?,
            format,
            digits: Digits::default(),
            buffer: vec![0; CHUNK_BYTES],
        })
    }

    /// Some more bytes, maybe none yet; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let read = loop {
            match self.input.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read.map_err(|error| unreadable(&self.path, &error))?,
            }
        };
        let chunk = self.buffer.get(..read).unwrap_or_default();
        if chunk.is_empty() {
            return match self.digits.half {
                Some(_) => Err(Failure::failed("the input ends after half a byte of hex")),
                None => Ok(None),
            };
        }
        if self.format == Format::Auto {
            self.format = detect(chunk);
        }
        if self.format == Format::Hex {
            let bytes = self.digits.decode(chunk);
            return bytes.map(|bytes| Some(bytes.into())).map_err(|(at, byte)| {
                let byte = char::from(byte).escape_default();
                Failure::failed(format!(
                    "'{byte}' at byte {at} of the input is no hex digit; --format raw reads it as it is"
                ))
            });
        }
        Ok(Some(Bytes::copy_from_slice(chunk)))
    }
}

/// What a stream that begins like this is written in.
pub(super) fn detect(chunk: &[u8]) -> Format {
    let first = chunk.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(byte) if !byte.is_ascii_hexdigit() => Format::Raw,
        _ => Format::Hex,
    }
}

/// Hex digits whose pairs may be cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Digits {
    half: Option<u8>,
    seen: u64,
    whole: usize,
}

impl Digits {
    /// The bytes, or where a byte is that is no digit.
    pub(super) fn decode(&mut self, text: &[u8]) -> Result<Vec<u8>, (u64, u8)> {
        let mut bytes = Vec::with_capacity(text.len() / 2 + 1);
        for byte in text {
            let at = self.seen;
            self.seen += 1;
            if byte.is_ascii_whitespace() {
                continue;
            }
            let digit = char::from(*byte).to_digit(16);
            let digit = digit.and_then(|digit| u8::try_from(digit).ok());
            let digit = digit.ok_or((at, *byte))?;
            match self.half.take() {
                None => self.half = Some(digit),
                Some(half) => {
                    self.whole += 1;
                    bytes.push(half << 4 | digit);
                }
            }
        }
        Ok(bytes)
    }

    /// How many bytes came.
    pub(super) const fn whole_bytes(&self) -> usize {
        self.whole
    }

    /// Whether the last byte is there to its half only.
    pub(super) const fn has_half(&self) -> bool {
        self.half.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Digits, Format, detect};

    #[test]
    fn formats_are_told_by_the_first_character() {
        assert_eq!(detect(b"NNRP\x01"), Format::Raw);
        assert_eq!(detect(b" \r\n\t4e4E"), Format::Hex);
        assert_eq!(detect(b"\0"), Format::Raw);
        assert_eq!(detect(b"\n\n"), Format::Hex);
    }

    #[test]
    fn pairs_of_digits_may_be_cut_anywhere() {
        let mut digits = Digits::default();
        let mut bytes = Vec::new();
        for part in ["4", "e 4", "\n", "E5", "250"] {
            bytes.extend(digits.decode(part.as_bytes()).unwrap());
        }
        assert_eq!(bytes, b"NNRP");
        assert!(!digits.has_half());
        assert_eq!(digits.decode(b"4 x"), Err((12, b'x')));
    }
}
