//! Server-sent events, as the daemon streams what happens and what servers write. spec: nanograph 19.3

use bytes::BytesMut;
use reqwest::Response;

use crate::failure::{Failure, chain};

/// Longest line read, in bytes. The daemon's own events are far shorter.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Reads a stream of events, or of JSON lines.
#[derive(Debug)]
pub(super) struct Events {
    answer: Response,
    buffer: BytesMut,
    data: String,
}

impl Events {
    pub(super) fn new(answer: Response) -> Self {
        Self {
            answer,
            buffer: BytesMut::new(),
            data: String::new(),
        }
    }

    /// The data of the next event; `None` at the end of the stream, an error if it breaks.
    ///
    /// Cancel safety: nothing is lost if dropped.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            while let Some(line) = take_line(&mut self.buffer) {
                if let Some(data) = event(&mut self.data, &line) {
                    return Ok(Some(data));
                }
            }
            if self.buffer.len() + self.data.len() > LINE_BYTES_MAX {
                return Err(Failure::failed(format!(
                    "an event of the daemon is longer than {LINE_BYTES_MAX} bytes"
                )));
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => return Ok(None),
                Err(error) => {
                    return Err(Failure::servers(format!(
                        "the connection to the daemon broke: {}",
                        chain(&error)
                    )));
                }
            }
        }
    }
}

fn take_line(buffer: &mut BytesMut) -> Option<String> {
    let end = buffer.iter().position(|byte| *byte == b'\n')?;
    let line = buffer.split_to(end + 1);
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Some(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
}

/// Takes a line in; the data of an event if it ends with this line.
fn event(data: &mut String, line: &str) -> Option<String> {
    if line.is_empty() {
        return Some(std::mem::take(data)).filter(|data| !data.is_empty());
    }
    if let Some(text) = line.strip_prefix("data:") {
        if !data.is_empty() {
            data.push('\n');
        }
        data.push_str(text.strip_prefix(' ').unwrap_or(text));
    }
    // Comments keep the connection alive; ids and names are in the data, too.
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_from_lines() {
        let mut buffer = BytesMut::from(
            &b": hello\r\n\r\nid: 7\nevent: x\ndata: {\"a\":\ndata:1}\n\ndata: half"[..],
        );
        let mut data = String::new();
        let mut seen = Vec::new();
        while let Some(line) = take_line(&mut buffer) {
            seen.extend(event(&mut data, &line));
        }
        assert_eq!(seen, ["{\"a\":\n1}"]);
        assert_eq!(&buffer[..], b"data: half");
    }
}
