//! Lines that should be messages: read within a bound, and looked at before anything else is.
//!
//! rmcp's own reader passes over what is no JSON, and over lines that are too long, without a word to the client, who then
//! waits for an answer that never comes.

use rmcp::ErrorData;
use rmcp::model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Some programs begin what they write with it; JSON has no place for it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What came.
#[derive(Debug)]
pub(super) enum Came {
    Message(Box<ClientJsonRpcMessage>),
    Refused(Refused),
}

/// Why a line is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is no JSON.
    NoJson,
    /// It is JSON, but no message of MCP. With its id, if it has one.
    NoMessage(Option<RequestId>),
    /// It has more bytes than this.
    TooLong(usize),
}

/// How many lines were not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RefusedCounts {
    pub(super) no_json: u64,
    pub(super) no_message: u64,
    pub(super) too_long: u64,
}

impl Refused {
    /// What the client is told. Nothing of the line is in it, but its id.
    pub(super) fn answer(self) -> ServerJsonRpcMessage {
        let (error, id) = match self {
            Self::NoJson => (ErrorData::parse_error("the line is no JSON", None), None),
            Self::NoMessage(id) => {
                let text = "the line is JSON, but no message of MCP";
                (ErrorData::invalid_request(text, None), id)
            }
            Self::TooLong(bytes_max) => {
                let text = format!("the line has more than {bytes_max} bytes, which is the most");
                (ErrorData::invalid_request(text, None), None)
            }
        };
        ServerJsonRpcMessage::error(error, id)
    }
}

impl RefusedCounts {
    pub(super) fn add(&mut self, refused: &Refused) {
        let count = match refused {
            Refused::NoJson => &mut self.no_json,
            Refused::NoMessage(_) => &mut self.no_message,
            Refused::TooLong(_) => &mut self.too_long,
        };
        *count += 1;
    }
}

/// The lines of a stream.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: BufReader<R>,
    /// The part of a line that was read so far.
    begun: Vec<u8>,
    bytes_max: usize,
    /// The rest of a line that was refused is still to be read.
    is_passing_over: bool,
}

/// A line of which it is known only that it is too long.
struct TooLong;

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most so many bytes, without their ends.
    pub(super) fn new(input: R, bytes_max: usize) -> Self {
        Self {
            input: BufReader::new(input),
            begun: Vec::new(),
            bytes_max,
            is_passing_over: false,
        }
    }

    /// The next line that says anything. `None` at the end of the input; what has no line's end by then is cut off, and
    /// counts as nothing.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Came> {
        loop {
            let Ok(line) = self.line().await? else {
                return Some(Came::Refused(Refused::TooLong(self.bytes_max)));
            };
            if let Some(came) = look_at(&line) {
                return Some(came);
            }
        }
    }

    async fn line(&mut self) -> Option<Result<Vec<u8>, TooLong>> {
        loop {
            let there = match self.input.fill_buf().await {
                Ok([]) => return None,
                Ok(there) => there,
                Err(error) => {
                    tracing::warn!(%error, "the input of MCP cannot be read any more");
                    return None;
                }
            };
            let end = there.iter().position(|byte| *byte == b'\n');
            let piece = &there[..end.unwrap_or(there.len())];
            let was_passing_over = self.is_passing_over;
            let fits = self.begun.len() + piece.len() <= self.bytes_max;
            if fits && !was_passing_over {
                self.begun.extend_from_slice(piece);
            }
            let read = piece.len() + usize::from(end.is_some());
            // From here on nothing waits, so that nothing is read twice.
            self.input.consume(read);
            self.is_passing_over = (was_passing_over || !fits) && end.is_none();
            if was_passing_over {
                continue;
            }
            if !fits {
                self.begun = Vec::new();
                return Some(Err(TooLong));
            }
            if end.is_some() {
                return Some(Ok(std::mem::take(&mut self.begun)));
            }
        }
    }
}

/// `None` if nobody is to be told anything about it.
fn look_at(line: &[u8]) -> Option<Came> {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    if let Ok(message) = serde_json::from_slice(line) {
        return Some(Came::Message(Box::new(message)));
    }
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        return Some(Came::Refused(Refused::NoJson));
    };
    if wants_no_answer(&value) {
        tracing::debug!("a notification or an answer over MCP cannot be read");
        return None;
    }
    Some(Came::Refused(Refused::NoMessage(id(&value))))
}

/// JSON-RPC has no answers to notifications, and none to answers: two that did not understand each other would go on for
/// ever.
fn wants_no_answer(value: &Value) -> bool {
    let is_json_rpc = value.get("jsonrpc").and_then(Value::as_str) == Some("2.0");
    let is_notification = value.get("id").is_none() && value["method"].is_string();
    let has_end = value.get("result").is_some() || value.get("error").is_some();
    let is_answer = has_end && value.get("method").is_none();
    is_json_rpc && (is_notification || is_answer)
}

fn id(value: &Value) -> Option<RequestId> {
    serde_json::from_value(value.get("id")?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &[u8], bytes_max: usize) -> Vec<Came> {
        let mut lines = Lines::new(text, bytes_max);
        let mut all = Vec::new();
        while let Some(came) = lines.next().await {
            all.push(came);
        }
        all
    }

    async fn refused(text: &[u8], bytes_max: usize) -> Vec<Refused> {
        let only = |came| match came {
            Came::Refused(refused) => Some(refused),
            Came::Message(_) => None,
        };
        all(text, bytes_max)
            .await
            .into_iter()
            .filter_map(only)
            .collect()
    }

    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

    #[tokio::test]
    async fn what_is_no_message_is_refused_by_what_it_is() {
        let no_message = |id: Option<i64>| Refused::NoMessage(id.map(RequestId::Number));
        for (line, expected) in [
            ("hello", Refused::NoJson),
            ("{\"jsonrpc\": ", Refused::NoJson),
            ("{} {}", Refused::NoJson),
            ("{}", no_message(None)),
            ("[]", no_message(None)),
            ("null", no_message(None)),
            (r#"{"method": "ping"}"#, no_message(None)),
            (
                r#"{"jsonrpc": "1.0", "id": 7, "method": "ping"}"#,
                no_message(Some(7)),
            ),
            (
                r#"{"jsonrpc": "2.0", "id": 7, "method": 5}"#,
                no_message(Some(7)),
            ),
            (
                r#"{"jsonrpc": "2.0", "id": {}, "method": "ping"}"#,
                no_message(None),
            ),
        ] {
            let refused = refused(format!("{line}\r\n").as_bytes(), 1_000).await;
            assert_eq!(refused, [expected], "{line}");
        }
        assert_eq!(refused(b"\xff\xfe\n", 9).await, [Refused::NoJson]);
    }

    #[tokio::test]
    async fn nobody_is_told_about_empty_lines_notifications_and_answers() {
        for line in [
            "",
            " \t",
            r#"{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": 5}"#,
            r#"{"jsonrpc": "2.0", "id": 1, "error": "what?"}"#,
        ] {
            assert!(
                refused(format!("{line}\n").as_bytes(), 1_000)
                    .await
                    .is_empty(),
                "{line}"
            );
        }
    }

    #[tokio::test]
    async fn a_line_may_have_so_many_bytes_and_no_more() {
        let text = format!("{PING}\n{PING} \n{}{PING}\n", "\u{feff}");
        let exact = all(text.as_bytes(), PING.len()).await;
        assert!(matches!(
            exact.as_slice(),
            [
                Came::Message(_),
                Came::Refused(Refused::TooLong(_)),
                Came::Refused(Refused::TooLong(_))
            ]
        ));
        assert_eq!(all(text.as_bytes(), PING.len() + 3).await.len(), 3);
        // However long it is, it is told once, and not kept.
        let long = format!("{}\n{PING}\n", "x".repeat(100_000));
        let came = all(long.as_bytes(), 50).await;
        assert!(matches!(
            came.as_slice(),
            [Came::Refused(Refused::TooLong(50)), Came::Message(_)]
        ));
        assert!(all(b"no end", 50).await.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_the_line_after_it_is_read(garbage: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut text = garbage;
            text.push(b'\n');
            text.extend_from_slice(PING.as_bytes());
            text.push(b'\n');
            let last = runtime.block_on(all(&text, 64)).pop();
            proptest::prop_assert!(matches!(last, Some(Came::Message(_))));
        }
    }
}
