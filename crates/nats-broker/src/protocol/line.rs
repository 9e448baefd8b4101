//! One control line: the operation's name, and its arguments.

use super::DecodeError;

/// The operations that a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Publish,
    PublishHeaders,
    Subscribe,
    Unsubscribe,
    Ping,
    Pong,
    Connect,
    Info,
    Ok,
    Err,
}

/// Names, and whether whitespace must follow. [obs 2.9.10] `PINGX` is a ping, `SUBX` is nothing.
const KEYWORDS: [(&[u8], Keyword, bool); 10] = [
    (b"PUB", Keyword::Publish, true),
    (b"HPUB", Keyword::PublishHeaders, true),
    (b"PING", Keyword::Ping, false),
    (b"PONG", Keyword::Pong, false),
    (b"SUB", Keyword::Subscribe, true),
    (b"UNSUB", Keyword::Unsubscribe, true),
    (b"CONNECT", Keyword::Connect, false),
    (b"INFO", Keyword::Info, false),
    (b"+OK", Keyword::Ok, false),
    (b"-ERR", Keyword::Err, true),
];

/// The operation that a line begins with, and where its arguments begin. `None` when too little of it is there.
pub(super) fn keyword(line: &[u8]) -> Result<Option<(Keyword, usize)>, DecodeError> {
    let mut partial = false;
    for (name, keyword, separated) in KEYWORDS {
        let present = line.len().min(name.len());
        if !line[..present].eq_ignore_ascii_case(&name[..present]) {
            continue;
        }
        match line.get(name.len()) {
            Some(b' ' | b'\t') => return Ok(Some((keyword, name.len() + 1))),
            Some(_) if separated => {}
            Some(_) => return Ok(Some((keyword, name.len()))),
            None => partial = true,
        }
    }
    if partial {
        Ok(None)
    } else {
        Err(DecodeError::UnknownOperation)
    }
}

/// A range of a frame. Frames are bounded far below 4 GiB ([`super::DecodeLimits`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn of(self, frame: &[u8]) -> &[u8] {
        &frame[self.start as usize..self.end as usize]
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// At most five arguments; one more than any operation has, so that too many are seen as such.
pub(super) struct Arguments {
    spans: [Span; Self::MAX],
    count: usize,
}

impl Arguments {
    const MAX: usize = 5;

    /// Splits `line[from..]` at whitespace.
    pub(super) fn split(line: &[u8], from: usize) -> Result<Self, DecodeError> {
        let mut arguments = Self {
            spans: [Span { start: 0, end: 0 }; Self::MAX],
            count: 0,
        };
        let mut start = None;
        for at in from..=line.len() {
            let blank = line
                .get(at)
                .is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
            match (blank, start) {
                (false, None) => start = Some(at),
                (true, Some(begin)) => {
                    arguments.push(begin, at)?;
                    start = None;
                }
                (false, Some(_)) | (true, None) => {}
            }
        }
        Ok(arguments)
    }

    fn push(&mut self, start: usize, end: usize) -> Result<(), DecodeError> {
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) else {
            return Err(DecodeError::ControlLine);
        };
        let slot = self.spans.get_mut(self.count);
        *slot.ok_or(DecodeError::Arguments)? = Span { start, end };
        self.count += 1;
        Ok(())
    }

    pub(super) fn as_slice(&self) -> &[Span] {
        &self.spans[..self.count]
    }
}

/// A size as the wire writes it: one to nine digits. [obs 2.9.10] Signs are refused, leading zeros are not.
pub(super) fn size(text: &[u8]) -> Result<usize, DecodeError> {
    if text.is_empty() || text.len() > 9 {
        return Err(DecodeError::Arguments);
    }
    text.iter().try_fold(0, |size, byte| match byte {
        b'0'..=b'9' => Ok(size * 10 + usize::from(byte - b'0')),
        _ => Err(DecodeError::Arguments),
    })
}
