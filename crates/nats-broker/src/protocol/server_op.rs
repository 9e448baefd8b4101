//! What servers say. `MSG` and `HMSG` are written where the queues of clients are, since large bodies are shared there.

use serde::Serialize;

/// `+OK`
pub const OK: &[u8] = b"+OK\r\n";
/// `PING`
pub const PING: &[u8] = b"PING\r\n";
/// `PONG`
pub const PONG: &[u8] = b"PONG\r\n";

/// The document of `INFO`. No `jetstream` key: there is none. spec: nats-micro 15.4
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Unique per broker.
    pub server_id: String,
    /// A name for people.
    pub server_name: String,
    /// `major.minor.patch-nodewire`; clients look at the first three.
    pub version: String,
    /// 1
    pub proto: u8,
    /// The address it listens on.
    pub host: String,
    /// The port it listens on.
    pub port: u16,
    /// Header blocks are passed on.
    pub headers: bool,
    /// The largest message.
    pub max_payload: usize,
    /// The number of this connection.
    pub client_id: u64,
    /// The address that the client comes from.
    pub client_ip: String,
    /// `CONNECT` needs credentials.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// The broker is about to end: clients should go elsewhere.
    #[serde(rename = "ldm", skip_serializing_if = "is_false")]
    pub lame_duck: bool,
}

impl Info {
    /// The line, with the space that nats-server puts before its end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = b"INFO ".to_vec();
        // Strings and numbers always serialise; an empty document would still be a valid one.
        line.extend(serde_json::to_vec(self).unwrap_or_else(|_| b"{}".to_vec()));
        line.extend_from_slice(b" \r\n");
        line
    }
}

/// `-ERR 'text'`
#[must_use]
pub fn err(text: &str) -> Vec<u8> {
    format!("-ERR '{text}'\r\n").into_bytes()
}

/// The header block that says that nobody got a request.
pub const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\n\r\n";

/// The same for requests to the JetStream API: a description that clients show in their errors.
pub const NO_JETSTREAM: &[u8] = b"NATS/1.0 503 JetStream not enabled\r\n\r\n";

/// What the subjects of the JetStream API begin with.
pub const JETSTREAM_API: &[u8] = b"$JS.API.";

/// Appends `HMSG subject sid n n` with a header block and no payload.
pub fn write_status(out: &mut Vec<u8>, subject: &[u8], sid: &[u8], block: &[u8]) {
    let size = block.len().to_string();
    let size = size.as_bytes();
    for word in [b"HMSG", subject, sid, size] {
        out.extend_from_slice(word);
        out.push(b' ');
    }
    out.extend_from_slice(size);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(block);
    out.extend_from_slice(b"\r\n");
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}
