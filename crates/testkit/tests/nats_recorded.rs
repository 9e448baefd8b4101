//! The services here answer byte for byte as those that were recorded, so what holds of one holds of the other.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::HashMap;

use nodewire_testkit::{
    NatsJs, NatsLibrary, NatsServer, OfficialNatsPy, PeerService, PythonMicro, vector_path,
};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Header block, if any, and payload.
type Reply = (Option<String>, String);

/// A client that knows the protocol's lines and nothing else.
struct RawClient {
    stream: BufReader<TcpStream>,
    replies: HashMap<String, Vec<Reply>>,
}

impl RawClient {
    async fn connect(broker: &NatsServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", broker.port()))
            .await
            .unwrap();
        let mut client = Self {
            stream: BufReader::new(stream),
            replies: HashMap::new(),
        };
        let hello = r#"CONNECT {"verbose":false,"headers":true,"no_responders":true}"#;
        client.send(&format!("{hello}\r\nSUB inbox.> 1\r\n")).await;
        client
    }

    async fn send(&mut self, text: &str) {
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .await
            .unwrap();
    }

    /// Sends a recorded request, with the id of the instance here.
    async fn request(&mut self, request: &Value, inbox: &str, id: (&str, &str)) {
        let text = |key| {
            request[key]
                .as_str()
                .map(|text: &str| text.replace(id.0, id.1))
        };
        let (subject, payload) = (text("subject").unwrap(), text("payload").unwrap());
        let inbox = text("reply").map_or("", |_| inbox);
        let message = match text("headers_raw") {
            Some(headers) => format!(
                "HPUB {subject} {inbox} {} {}\r\n{headers}{payload}\r\n",
                headers.len(),
                headers.len() + payload.len()
            ),
            None => format!("PUB {subject} {inbox} {}\r\n{payload}\r\n", payload.len()),
        };
        self.send(&message).await;
    }

    /// Reads until an inbox has as many replies as it should.
    async fn read_until(&mut self, inbox: &str, count: usize) {
        while self.replies.get(inbox).map_or(0, Vec::len) < count {
            self.read_one().await;
        }
    }

    /// Reads all that the broker has sent until it answers.
    async fn flush(&mut self) {
        self.send("PING\r\n").await;
        while self.read_one().await != "PONG" {}
    }

    async fn read_one(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        assert!(!line.is_empty() && !line.starts_with("-ERR"), "{line:?}");
        let words: Vec<_> = line.split_whitespace().collect();
        let (headers_len, total): (usize, usize) = match words.as_slice() {
            ["MSG", _, _, total] => (0, total.parse().unwrap()),
            ["HMSG", _, _, headers, total] => (headers.parse().unwrap(), total.parse().unwrap()),
            _ => return line.trim_end().to_owned(),
        };
        let mut body = vec![0; total + "\r\n".len()];
        self.stream.read_exact(&mut body).await.unwrap();
        body.truncate(total);
        let payload = String::from_utf8(body.split_off(headers_len)).unwrap();
        let headers = (headers_len > 0).then(|| String::from_utf8(body).unwrap());
        let replies = self.replies.entry(words[1].to_owned()).or_default();
        replies.push((headers, payload));
        line
    }
}

/// Replays the exchanges recorded with a library, but those that a test does not take.
async fn replay<L: NatsLibrary>(recorded: &str, takes: impl Fn(&str) -> bool) {
    let text = std::fs::read_to_string(vector_path("nats-micro-traces.json")).unwrap();
    let traces: Value = serde_json::from_str(&text).unwrap();
    let exchanges = traces["services"][recorded]["exchanges"]
        .as_array()
        .unwrap();
    let recorded_id = recorded_id(exchanges);

    let broker = NatsServer::start().await.unwrap();
    let service = PeerService::<L>::start(&broker.url()).await.unwrap();
    let mut client = RawClient::connect(&broker).await;
    let mut expected = HashMap::new();
    for exchange in exchanges {
        let name = exchange["name"].as_str().unwrap();
        // Their times differ.
        if name.starts_with("stats") || !takes(name) {
            continue;
        }
        let inbox = format!("inbox.{name}");
        let id = (recorded_id.as_str(), service.id());
        client.request(&exchange["request"], &inbox, id).await;
        let replies = replies_of(exchange, id);
        client.read_until(&inbox, replies.len()).await;
        if !replies.is_empty() {
            expected.insert(inbox, replies);
        }
    }
    client.flush().await;
    assert!(
        expected.len() > 10,
        "too few are compared: {}",
        expected.len()
    );
    for (inbox, replies) in &client.replies {
        assert_eq!(expected.get(inbox), Some(replies), "{inbox}");
    }
}

fn recorded_id(exchanges: &[Value]) -> String {
    let ping = exchanges[0]["replies"][0]["payload"].as_str().unwrap();
    let ping: Value = serde_json::from_str(ping).unwrap();
    ping["id"].as_str().unwrap().to_owned()
}

fn replies_of(exchange: &Value, id: (&str, &str)) -> Vec<Reply> {
    let replies = exchange["replies"].as_array().unwrap().iter();
    replies
        .map(|reply| {
            let text = |key| {
                reply[key]
                    .as_str()
                    .map(|text: &str| text.replace(id.0, id.1))
            };
            (text("headers_raw"), text("payload").unwrap())
        })
        .collect()
}

#[tokio::test]
async fn nats_micro_for_python() {
    replay::<PythonMicro>("nats-micro-0.0.5", |_| true).await;
}

#[tokio::test]
async fn nats_py() {
    replay::<OfficialNatsPy>("nats-py-2.16.0-micro", |_| true).await;
}

#[tokio::test]
async fn nats_js() {
    // The service here has more endpoints, and a header of its own beside the error.
    let takes = |name: &str| !name.starts_with("info") && name != "err";
    replay::<NatsJs>("nats.js-services", takes).await;
}
