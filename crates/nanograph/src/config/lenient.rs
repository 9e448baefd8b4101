//! Plain JSON out of JSON with comments. What is not JSON is blanked out, so that offsets stay the same.

use super::problem::{Position, Problem, Severity};

const REFUSED: &str = "the Python SDK refuses the file because of this";

/// A text whose comments, trailing commas and byte order mark are spaces, and what was found of them.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) text: String,
    pub(super) problems: Vec<Problem>,
}

/// Blanks out what JSON does not know. An unclosed comment is an error.
pub(super) fn blank(source: &str) -> Plain {
    let mut blanker = Blanker {
        bytes: source.as_bytes().to_vec(),
        comments: Vec::new(),
        commas: Vec::new(),
        open: None,
    };
    let bom = source.starts_with('\u{feff}');
    if bom {
        blanker.fill(0, '\u{feff}'.len_utf8());
    }
    blanker.run();
    let mut problems = Vec::new();
    let warning = |what: &str| Problem::file(Severity::Warning, format!("{what}: {REFUSED}"));
    if bom {
        problems.push(warning("a byte order mark at the start"));
    }
    // One of each kind is enough to say.
    for (what, offsets) in [
        ("a comment", &blanker.comments),
        ("a trailing comma", &blanker.commas),
    ] {
        problems.extend(
            offsets
                .first()
                .map(|offset| warning(what).at(position(source, *offset))),
        );
    }
    if let Some(offset) = blanker.open {
        problems.push(
            Problem::file(Severity::Error, "a comment is not closed with */")
                .at(position(source, offset)),
        );
    }
    // Whole comments are blanked, from ASCII to ASCII, so this is still UTF-8.
    let text = String::from_utf8(blanker.bytes).unwrap_or_default();
    Plain { text, problems }
}

/// Line and column of a byte offset.
pub(super) fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

struct Blanker {
    bytes: Vec<u8>,
    comments: Vec<usize>,
    commas: Vec<usize>,
    open: Option<usize>,
}

impl Blanker {
    fn run(&mut self) {
        let mut comma = None;
        let mut pos = 0;
        while let Some(&byte) = self.bytes.get(pos) {
            match (byte, self.bytes.get(pos + 1)) {
                (b'"', _) => {
                    comma = None;
                    pos = self.string_end(pos);
                    continue;
                }
                (b'/', Some(b'/' | b'*')) => {
                    pos = self.comment(pos);
                    continue;
                }
                (b',', _) => comma = Some(pos),
                (b'}' | b']', _) => self.trailing(comma.take()),
                (b' ' | b'\n' | b'\r' | b'\t', _) => {}
                _ => comma = None,
            }
            pos += 1;
        }
    }

    fn trailing(&mut self, comma: Option<usize>) {
        if let Some(comma) = comma {
            self.commas.push(comma);
            self.bytes[comma] = b' ';
        }
    }

    /// The offset after the string that starts at `start`, or the end of the text.
    fn string_end(&self, start: usize) -> usize {
        let mut pos = start + 1;
        while let Some(&byte) = self.bytes.get(pos) {
            match byte {
                b'"' => return pos + 1,
                b'\\' => pos += 2,
                _ => pos += 1,
            }
        }
        self.bytes.len()
    }

    /// Blanks the comment that starts at `start`; the offset after it.
    fn comment(&mut self, start: usize) -> usize {
        self.comments.push(start);
        let rest = &self.bytes[start + 2..];
        let end = if self.bytes[start + 1] == b'/' {
            rest.iter()
                .position(|byte| *byte == b'\n')
                .map_or(self.bytes.len(), |length| start + 2 + length)
        } else if let Some(length) = rest.windows(2).position(|pair| pair == b"*/") {
            start + 2 + length + 2
        } else {
            self.open = Some(start);
            self.bytes.len()
        };
        self.fill(start, end);
        end
    }

    fn fill(&mut self, start: usize, end: usize) {
        for byte in self.bytes[start..end]
            .iter_mut()
            .filter(|byte| !matches!(byte, b'\n' | b'\r'))
        {
            *byte = b' ';
        }
    }
}
