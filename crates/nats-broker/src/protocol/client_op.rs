//! What clients say.

use bytes::Bytes;

use super::line::Span;

/// One operation of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOp {
    /// `CONNECT {json}`: the text after the name, not looked into yet.
    Connect(Bytes),
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
    /// `SUB subject [queue] sid`
    Subscribe(Subscribe),
    /// `UNSUB sid [max]`
    Unsubscribe {
        /// Which subscription.
        sid: Bytes,
        /// After how many messages, counted from its beginning. A maximum that is no positive number is none. [obs
        /// 2.9.10]
        max: Option<u64>,
    },
    /// `PUB` and `HPUB`
    Publish(Publish),
    /// `INFO` or `+OK`: servers say that. It is taken and means nothing. [obs 2.9.10]
    Ignored,
}

/// `SUB subject [queue] sid`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// As written; not checked yet.
    pub subject: Bytes,
    /// The queue group's name.
    pub queue: Option<Bytes>,
    /// The client's name for the subscription: any text.
    pub sid: Bytes,
}

/// `PUB subject [reply] size` or `HPUB subject [reply] header-size size`, with what follows. One slice of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The control line, and the body with its line end.
    pub(super) frame: Bytes,
    pub(super) subject: Span,
    pub(super) reply: Option<Span>,
    /// The sizes as the client wrote them, since they are passed on like that. [obs 2.9.10]
    pub(super) size_text: Span,
    pub(super) header_size_text: Option<Span>,
    pub(super) body_start: usize,
    pub(super) header_bytes: usize,
    pub(super) has_valid_subject: bool,
}

impl Publish {
    /// Where to; see [`Self::has_valid_subject`].
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        self.subject.of(&self.frame)
    }

    /// Whether one [can publish](super::subject::can_publish) to it.
    #[must_use]
    pub fn has_valid_subject(&self) -> bool {
        self.has_valid_subject
    }

    /// Where answers go. Not checked: servers pass on anything.
    #[must_use]
    pub fn reply(&self) -> Option<&[u8]> {
        self.reply.map(|reply| reply.of(&self.frame))
    }

    /// Whether it was an `HPUB`.
    #[must_use]
    pub fn is_hpub(&self) -> bool {
        self.header_size_text.is_some()
    }

    /// How many bytes of the body are the header block.
    #[must_use]
    pub fn header_bytes(&self) -> usize {
        self.header_bytes
    }

    /// Header block and payload.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.frame[self.body_start..self.frame.len() - 2]
    }

    /// Header block, payload and line end, as they are written to subscribers; without copying.
    pub(crate) fn shared_body_line(&self, skip_bytes: usize) -> Bytes {
        self.frame.slice(self.body_start + skip_bytes..)
    }

    /// The same, borrowed.
    pub(crate) fn body_line(&self, skip_bytes: usize) -> &[u8] {
        &self.frame[self.body_start + skip_bytes..]
    }

    pub(crate) fn size_text(&self) -> &[u8] {
        self.size_text.of(&self.frame)
    }

    pub(crate) fn header_size_text(&self) -> Option<&[u8]> {
        self.header_size_text.map(|size| size.of(&self.frame))
    }

    /// All its bytes.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.frame.len()
    }
}

impl ClientOp {
    /// Appends the operation as a client writes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Connect(json) => line(out, &[b"CONNECT", json]),
            Self::Ping => line(out, &[b"PING"]),
            Self::Pong => line(out, &[b"PONG"]),
            Self::Subscribe(Subscribe {
                subject,
                queue,
                sid,
            }) => match queue {
                Some(queue) => line(out, &[b"SUB", subject, queue, sid]),
                None => line(out, &[b"SUB", subject, sid]),
            },
            Self::Unsubscribe { sid, max } => match max {
                Some(max) => line(out, &[b"UNSUB", sid, max.to_string().as_bytes()]),
                None => line(out, &[b"UNSUB", sid]),
            },
            Self::Publish(publish) => out.extend_from_slice(&publish.frame),
            Self::Ignored => line(out, &[b"+OK"]),
        }
    }
}

fn line(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(&words.join(&b' '));
    out.extend_from_slice(b"\r\n");
}
