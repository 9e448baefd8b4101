//! Replies that the server takes: it refuses what is longer than its `max_payload`, headers included.

use async_nats::HeaderMap;
use nats_micro::Response;

/// A text is cut after so many bytes where the whole is too long.
pub(super) const TEXT_BYTES_MAX: usize = 512;

/// The headers by which a service tells an error, and what is around all headers.
const ERROR_HEADERS_BYTES: usize =
    "NATS/1.0\r\nNats-Service-Error: \r\nNats-Service-Error-Code: 65535\r\n\r\n".len();

/// How long it is when it is sent, or a little longer.
pub(super) fn size_bytes(response: &Response) -> usize {
    match response {
        Response::Reply(reply) => {
            reply.payload.len() + headers_bytes(&reply.headers) + ERROR_HEADERS_BYTES
        }
        Response::Error(error) => {
            let described = error.description().len() + ERROR_HEADERS_BYTES;
            error.payload().len() + headers_bytes(error.headers()) + described
        }
        Response::Silent => 0,
    }
}

fn headers_bytes(headers: &HeaderMap) -> usize {
    let lines = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values
            .iter()
            .map(move |value| name.len() + value.as_str().len() + ": \r\n".len())
    });
    lines.sum()
}

/// Its beginning, if it is too long.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(TEXT_BYTES_MAX)])
}

#[cfg(test)]
mod tests {
    use nats_micro::{Reply, ServiceError};

    use super::*;

    #[test]
    fn headers_and_descriptions_count() {
        let mut reply = Response::Reply(Reply::new("12345"));
        let plain = size_bytes(&reply);
        reply.headers_mut().unwrap().insert("Name", "value");
        assert_eq!(size_bytes(&reply), plain + "Name: value\r\n".len());
        let error = Response::Error(ServiceError::new(422, "why").with_payload("12345"));
        assert_eq!(size_bytes(&error), plain + "why".len());
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = format!("x{}", "ä".repeat(TEXT_BYTES_MAX));
        let cut = cut(&long);
        assert!(cut.ends_with("ä...") && cut.len() < TEXT_BYTES_MAX + 4);
    }
}
