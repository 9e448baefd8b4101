//! Bytes into operations.

use bytes::{Bytes, BytesMut};
use serde::de::IgnoredAny;

use super::client_op::{ClientOp, Publish, Subscribe};
use super::line::{Arguments, Keyword, Span, keyword, size};
use super::subject::can_publish;

/// What a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The arguments of one operation. 4096 by default.
    pub control_line_bytes_max: usize,
    /// Header block and payload of one message. 1 MiB by default.
    pub payload_bytes_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            control_line_bytes_max: 4096,
            payload_bytes_max: 1 << 20,
        }
    }
}

/// Why a connection cannot go on: after one of these, what follows has no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No operation begins like this, or a body does not end where its size says.
    #[error(
        "unknown operation: check the operation's name and that the body has the announced size"
    )]
    UnknownOperation,
    /// Arguments over [`DecodeLimits::control_line_bytes_max`].
    #[error("the control line is too long: use shorter subjects, or raise the limit")]
    ControlLine,
    /// A body over [`DecodeLimits::payload_bytes_max`].
    #[error("the payload is too large: send less, or raise the limit")]
    Payload,
    /// `HPUB` where [`Decoder::accept_headers`] says that there is none.
    #[error("HPUB needs a CONNECT that announces headers")]
    HeadersRequired,
    /// Too few, too many or malformed arguments.
    #[error("the arguments do not fit the operation: check their number and the sizes")]
    Arguments,
    /// The client sent `-ERR`.
    #[error("the client reported an error")]
    PeerError,
}

/// Messages from here on may be kept as slices of what was read, in the queues of slow clients.
pub(crate) const LARGE_BYTES_MIN: usize = 16 << 10;

/// A buffer that grew beyond this for one message is not kept for the next.
const KEPT_BUFFER_BYTES: usize = 256 << 10;

/// Takes bytes in any cut, gives operations in order. After an error it gives nothing but that error.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// How much memory a slice of the buffer keeps alive.
    allocated_bytes: usize,
    limits: DecodeLimits,
    /// How far the line at the beginning was searched for its end.
    searched: usize,
    /// A publication whose body has not arrived yet.
    head: Option<Head>,
    accepts_headers: bool,
    invalid_subject: bool,
    failed: Option<DecodeError>,
}

/// A publication's control line.
#[derive(Debug)]
struct Head {
    subject: Span,
    reply: Option<Span>,
    size_text: Span,
    header_size_text: Option<Span>,
    body_start: usize,
    header_bytes: usize,
    body_bytes: usize,
    has_valid_subject: bool,
}

impl Decoder {
    /// With an empty buffer.
    #[must_use]
    pub fn new(limits: DecodeLimits) -> Self {
        Self {
            buffer: BytesMut::new(),
            allocated_bytes: 0,
            limits,
            searched: 0,
            head: None,
            accepts_headers: true,
            invalid_subject: false,
            failed: None,
        }
    }

    /// Whether `HPUB` may come, from the next operation on. It may, unless this says otherwise.
    pub fn accept_headers(&mut self, accepts: bool) {
        self.accepts_headers = accepts;
    }

    /// Takes more of what the client sent.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer_mut(bytes.len()).extend_from_slice(bytes);
    }

    /// Where to read into, with room for `bytes`, or for the rest of the message that is arriving.
    pub fn buffer_mut(&mut self, bytes: usize) -> &mut BytesMut {
        let room = bytes.max(self.missing_bytes());
        let is_oversized = self.allocated_bytes > KEPT_BUFFER_BYTES && self.buffer.is_empty();
        let has_room = self.buffer.capacity() - self.buffer.len() >= room;
        if is_oversized || !(has_room || self.buffer.try_reclaim(room)) {
            self.allocated_bytes = self.buffer.len() + room;
            let mut buffer = BytesMut::with_capacity(self.allocated_bytes);
            buffer.extend_from_slice(&self.buffer);
            self.buffer = buffer;
        }
        &mut self.buffer
    }

    /// How many bytes the next operation still needs, where that is known: at most the payload limit.
    fn missing_bytes(&self) -> usize {
        let frame = self.head.as_ref().map_or(0, Head::frame_bytes);
        frame.saturating_sub(self.buffer.len())
    }

    /// The next operation, if it has arrived.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub fn next_op(&mut self) -> Result<Option<ClientOp>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let next = self.decode();
        if let Err(error) = next {
            self.failed = Some(error);
        }
        next
    }

    /// Whether a publication to what is no subject began since this was last asked. Its body may be still to come.
    pub fn take_invalid_subject(&mut self) -> bool {
        std::mem::take(&mut self.invalid_subject)
    }

    fn decode(&mut self) -> Result<Option<ClientOp>, DecodeError> {
        if self.head.is_some() {
            return self.body();
        }
        let Some((keyword, from)) = keyword(&self.buffer)? else {
            return Ok(None);
        };
        let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            self.check_length(from, self.searched)?;
            return Ok(None);
        };
        let end = self.searched + end;
        self.searched = 0;
        self.check_length(from, end)?;
        self.operation(keyword, from, end)
    }

    /// `end` is the line end, or the end of what is there of the line.
    fn check_length(&self, from: usize, end: usize) -> Result<(), DecodeError> {
        let line = without_cr(&self.buffer[..end]);
        if line.len().saturating_sub(from) > self.limits.control_line_bytes_max {
            return Err(DecodeError::ControlLine);
        }
        Ok(())
    }

    fn operation(
        &mut self,
        keyword: Keyword,
        from: usize,
        end: usize,
    ) -> Result<Option<ClientOp>, DecodeError> {
        match keyword {
            Keyword::Publish | Keyword::PublishHeaders => {
                let head = self.head(keyword, from, end)?;
                self.invalid_subject = !head.has_valid_subject;
                self.head = Some(head);
                return self.body();
            }
            Keyword::Err => return Err(DecodeError::PeerError),
            Keyword::Subscribe
            | Keyword::Unsubscribe
            | Keyword::Ping
            | Keyword::Pong
            | Keyword::Connect
            | Keyword::Info
            | Keyword::Ok => {}
        }
        let line = self.buffer.split_to(end + 1).freeze();
        let line = line.slice(..without_cr(&line[..end]).len());
        Ok(Some(match keyword {
            Keyword::Ping => ClientOp::Ping,
            Keyword::Pong => ClientOp::Pong,
            Keyword::Connect => ClientOp::Connect(trimmed(&line, from)),
            Keyword::Subscribe => subscribe(&line, from)?,
            Keyword::Unsubscribe => unsubscribe(&line, from)?,
            Keyword::Info => {
                check_info(&trimmed(&line, from))?;
                ClientOp::Ignored
            }
            Keyword::Ok | Keyword::Err | Keyword::Publish | Keyword::PublishHeaders => {
                ClientOp::Ignored
            }
        }))
    }

    fn head(&self, keyword: Keyword, from: usize, end: usize) -> Result<Head, DecodeError> {
        // Before its arguments are looked at. [obs 2.9.10]
        if keyword == Keyword::PublishHeaders && !self.accepts_headers {
            return Err(DecodeError::HeadersRequired);
        }
        let line = &self.buffer[..end];
        let arguments = Arguments::split(line, from)?;
        let (subject, reply, header_size_text, size_text) = match (keyword, arguments.as_slice()) {
            (Keyword::PublishHeaders, &[subject, header, size]) => {
                (subject, None, Some(header), size)
            }
            (Keyword::PublishHeaders, &[subject, reply, header, size]) => {
                (subject, Some(reply), Some(header), size)
            }
            (Keyword::Publish, &[subject, size]) => (subject, None, None, size),
            (Keyword::Publish, &[subject, reply, size]) => (subject, Some(reply), None, size),
            _ => return Err(DecodeError::Arguments),
        };
        let body_bytes = size(size_text.of(line))?;
        let header_bytes = header_size_text.map_or(Ok(0), |text| size(text.of(line)))?;
        if header_bytes > body_bytes {
            return Err(DecodeError::Arguments);
        }
        if body_bytes > self.limits.payload_bytes_max {
            return Err(DecodeError::Payload);
        }
        Ok(Head {
            subject,
            reply,
            size_text,
            header_size_text,
            body_start: end + 1,
            header_bytes,
            body_bytes,
            has_valid_subject: can_publish(subject.of(line)),
        })
    }

    fn body(&mut self) -> Result<Option<ClientOp>, DecodeError> {
        let Some(head) = self.head.take() else {
            return Ok(None);
        };
        let end = head.frame_bytes();
        let line_end = &self.buffer[self.buffer.len().min(end - 2)..self.buffer.len().min(end)];
        if !b"\r\n".starts_with(line_end) {
            return Err(DecodeError::UnknownOperation);
        }
        if self.buffer.len() < end {
            self.head = Some(head);
            return Ok(None);
        }
        Ok(Some(ClientOp::Publish(Publish {
            frame: self.frame(end),
            subject: head.subject,
            reply: head.reply,
            size_text: head.size_text,
            header_size_text: head.header_size_text,
            body_start: head.body_start,
            header_bytes: head.header_bytes,
            has_valid_subject: head.has_valid_subject,
        })))
    }

    /// A large message that is a small part of the buffer is copied: kept for a slow client, it would hold far more
    /// memory than is counted for it.
    fn frame(&mut self, end: usize) -> Bytes {
        let frame = self.buffer.split_to(end);
        if end >= LARGE_BYTES_MIN && self.allocated_bytes > 2 * end {
            return Bytes::copy_from_slice(&frame);
        }
        frame.freeze()
    }
}

impl Head {
    fn frame_bytes(&self) -> usize {
        self.body_start + self.body_bytes + 2
    }
}

fn subscribe(line: &Bytes, from: usize) -> Result<ClientOp, DecodeError> {
    let arguments = Arguments::split(line, from)?;
    let (subject, queue, sid) = match *arguments.as_slice() {
        [subject, sid] => (subject, None, sid),
        [subject, queue, sid] => (subject, Some(queue), sid),
        _ => return Err(DecodeError::Arguments),
    };
    let slice = |span: Span| line.slice(span.range());
    Ok(ClientOp::Subscribe(Subscribe {
        subject: slice(subject),
        queue: queue.map(slice),
        sid: slice(sid),
    }))
}

fn unsubscribe(line: &Bytes, from: usize) -> Result<ClientOp, DecodeError> {
    let arguments = Arguments::split(line, from)?;
    let (sid, max) = match *arguments.as_slice() {
        [sid] => (sid, None),
        [sid, max] => (sid, Some(max)),
        _ => return Err(DecodeError::Arguments),
    };
    let number = |span: Span| size(span.of(line)).ok();
    Ok(ClientOp::Unsubscribe {
        sid: line.slice(sid.range()),
        max: max
            .and_then(number)
            .filter(|max| *max > 0)
            .map(|max| max as u64),
    })
}

/// It means nothing here, but must be what it should be. [obs 2.9.10]
fn check_info(json: &[u8]) -> Result<(), DecodeError> {
    let object = json.starts_with(b"{") || json == b"null";
    let valid = object && serde_json::from_slice::<IgnoredAny>(json).is_ok();
    valid.then_some(()).ok_or(DecodeError::Arguments)
}

fn trimmed(line: &Bytes, from: usize) -> Bytes {
    let text = line[from.min(line.len())..].trim_ascii();
    line.slice_ref(text)
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
