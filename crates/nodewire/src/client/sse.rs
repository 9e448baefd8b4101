//! Server-sent events, as bytes arrive.

use bytes::{Buf, BytesMut};
use nodewire_json::Json;

/// What has come and is not a whole event yet.
#[derive(Debug)]
pub(super) struct Events {
    text: BytesMut,
    bytes_max: usize,
    /// Up to where there is no end of an event.
    searched: usize,
}

/// An event that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    TooLong,
    NoJson,
}

impl Events {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            text: BytesMut::new(),
            bytes_max,
            searched: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// The data of the next event that is whole; comments have none.
    pub(super) fn next(&mut self) -> Result<Option<Json>, Unreadable> {
        loop {
            let from = self.searched.saturating_sub(1);
            let end = self.text[from..].windows(2).position(|two| two == b"\n\n");
            let Some(end) = end.map(|end| from + end) else {
                self.searched = self.text.len();
                return if self.text.len() > self.bytes_max {
                    Err(Unreadable::TooLong)
                } else {
                    Ok(None)
                };
            };
            let event = self.text.split_to(end);
            self.text.advance(2);
            self.searched = 0;
            if let Some(data) = data(&event)? {
                return Ok(Some(data));
            }
        }
    }
}

fn data(event: &[u8]) -> Result<Option<Json>, Unreadable> {
    let event = std::str::from_utf8(event).map_err(|_| Unreadable::NoJson)?;
    let lines: Vec<_> = event
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let json = Json::parse(lines.join("\n")).map_err(|_| Unreadable::NoJson)?;
    Ok(Some(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_bytes_are_cut() {
        let text = b":\n\nevent: a\ndata: [1,\ndata: 2]\n\nevent: b\ndata: {}\n\n";
        for at in 0..text.len() {
            let mut events = Events::new(100);
            let mut found = Vec::new();
            for part in [&text[..at], &text[at..]] {
                events.push(part);
                while let Some(event) = events.next().unwrap() {
                    found.push(event.to_string());
                }
            }
            assert_eq!(found, ["[1,\n 2]", "{}"], "{at}");
        }
    }

    #[test]
    fn what_is_too_long_or_no_json_is_refused() {
        let mut events = Events::new(10);
        events.push(b"data: 012345678901");
        assert_eq!(events.next(), Err(Unreadable::TooLong));
        let mut events = Events::new(100);
        events.push(b"data: {\n\n");
        assert_eq!(events.next(), Err(Unreadable::NoJson));
    }
}
