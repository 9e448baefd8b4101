//! Bytes on their way to a socket.

use std::collections::VecDeque;
use std::io::{IoSlice, Result};

use bytes::Bytes;

use crate::protocol::{LARGE_BYTES_MIN, Publish};

/// Bodies from here on are shared among the queues of all subscribers; smaller ones are copied, which costs less.
const SHARED_BODY_BYTES_MIN: usize = LARGE_BYTES_MIN;

/// A queue that grew beyond this gives its memory back when it is empty.
const KEPT_CAPACITY_BYTES: usize = 256 << 10;

/// How many pieces one write takes.
const WRITE_PIECES_MAX: usize = 32;

/// Small messages one after the other in one buffer, large bodies shared.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// Complete pieces, before `tail`.
    pieces: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// How much of the first piece, or of `tail` without pieces, was written.
    written: usize,
    /// What is not written yet.
    bytes: usize,
}

impl Segments {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.bytes += bytes.len();
    }

    /// `MSG` or `HMSG` for one subscription. A client without headers gets the payload alone.
    pub(super) fn push_message(&mut self, publish: &Publish, sid: &[u8], headers: bool) {
        let before = self.tail.len();
        let skipped = if headers { 0 } else { publish.header_bytes() };
        write_head(&mut self.tail, publish, sid, skipped);
        if publish.body().len() - skipped < SHARED_BODY_BYTES_MIN {
            self.tail.extend_from_slice(publish.body_line(skipped));
            self.bytes += self.tail.len() - before;
            return;
        }
        self.bytes += self.tail.len() - before;
        let body = publish.shared_body_line(skipped);
        self.bytes += body.len();
        self.pieces
            .push_back(Bytes::from(std::mem::take(&mut self.tail)));
        self.pieces.push_back(body);
    }

    /// Writes once. `write` gets the pieces and says how many bytes it took.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize>,
    ) -> Result<usize> {
        let mut slices = [IoSlice::new(&[]); WRITE_PIECES_MAX];
        let mut count = 0;
        let pieces = self.pieces.iter().map(|piece| &piece[..]);
        let mut skip = self.written;
        for piece in pieces.chain([&self.tail[..]]).take(WRITE_PIECES_MAX) {
            slices[count] = IoSlice::new(&piece[skip..]);
            skip = 0;
            count += 1;
        }
        let taken = write(&slices[..count])?;
        self.advance(taken);
        Ok(taken)
    }

    fn advance(&mut self, taken: usize) {
        self.bytes -= taken;
        self.written += taken;
        while let Some(first) = self.pieces.front() {
            if self.written < first.len() {
                return;
            }
            self.written -= first.len();
            self.pieces.pop_front();
        }
        if self.bytes == 0 {
            self.clear();
        }
    }

    /// Empties it, keeping a moderate buffer.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.tail.clear();
        self.tail.shrink_to(KEPT_CAPACITY_BYTES);
        self.written = 0;
        self.bytes = 0;
    }
}

fn write_head(out: &mut Vec<u8>, publish: &Publish, sid: &[u8], skipped: usize) {
    let header_size = publish.header_size_text();
    let with_block = publish.header_bytes() > 0 && skipped == 0;
    out.extend_from_slice(if with_block { &b"HMSG "[..] } else { b"MSG " });
    let words = [Some(publish.subject()), Some(sid), publish.reply()];
    for word in words.into_iter().flatten() {
        out.extend_from_slice(word);
        out.push(b' ');
    }
    match header_size {
        Some(header_size) if with_block => {
            out.extend_from_slice(header_size);
            out.push(b' ');
            out.extend_from_slice(publish.size_text());
        }
        // The size without the block, which the client did not write.
        Some(_) => out.extend_from_slice((publish.body().len() - skipped).to_string().as_bytes()),
        None => out.extend_from_slice(publish.size_text()),
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{ClientOp, DecodeLimits, Decoder};

    fn publish(header_bytes: usize, body_bytes: usize) -> Publish {
        let body: Vec<_> = (0..=250u8).cycle().take(body_bytes).collect();
        let head = format!("HPUB a r {header_bytes} {body_bytes}\r\n");
        let mut decoder = Decoder::new(DecodeLimits::default());
        decoder.extend(&[head.as_bytes(), &body, b"\r\n"].concat());
        match decoder.next_op() {
            Ok(Some(ClientOp::Publish(publish))) => publish,
            other => panic!("{other:?}"),
        }
    }

    fn expected(publish: &Publish, headers: bool) -> Vec<u8> {
        let header_bytes = publish.header_bytes();
        let body = &publish.body()[if headers { 0 } else { header_bytes }..];
        let head = match header_bytes {
            1.. if headers => format!("HMSG a 7 r {header_bytes} {}\r\n", body.len()),
            _ => format!("MSG a 7 r {}\r\n", body.len()),
        };
        [head.as_bytes(), body, b"\r\n"].concat()
    }

    /// Body sizes on both sides of where bodies are shared.
    fn body_bytes() -> impl Strategy<Value = usize> {
        let limit = SHARED_BODY_BYTES_MIN;
        prop_oneof![0..100usize, limit - 30..limit + 30]
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            messages in prop::collection::vec((any::<bool>(), 0..20usize, body_bytes(), any::<bool>()), 1..60),
            takes in prop::collection::vec(1..40_000usize, 1..20),
        ) {
            let mut segments = Segments::default();
            let (mut put, mut written) = (Vec::new(), Vec::new());
            let mut takes = takes.iter().cycle();
            for (headers, header_bytes, body_bytes, writes) in messages {
                let publish = publish(header_bytes.min(body_bytes), body_bytes);
                segments.push_message(&publish, b"7", headers);
                put.extend(expected(&publish, headers));
                segments.push(b"PING\r\n");
                put.extend_from_slice(b"PING\r\n");
                if writes {
                    write(&mut segments, *takes.next().unwrap_or(&1), &mut written);
                }
                prop_assert_eq!(segments.bytes(), put.len() - written.len());
            }
            while !segments.is_empty() {
                write(&mut segments, *takes.next().unwrap_or(&1), &mut written);
            }
            prop_assert!(written == put);
            prop_assert!(segments.pieces.is_empty() && segments.tail.is_empty());
        }
    }

    /// A socket that takes so many bytes.
    fn write(segments: &mut Segments, take: usize, written: &mut Vec<u8>) {
        let taken = segments.write(|pieces| {
            let before = written.len();
            for piece in pieces {
                let room = take - (written.len() - before);
                written.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            Ok(written.len() - before)
        });
        assert!(taken.is_ok());
    }
}
