//! The port as plain HTTP sees it. spec: nanograph 3, 4

use nanograph::server::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backend::TestServer;
use crate::traces;

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// Sends a request of `head` lines and reads the answer to its end, or to the end of its head after an upgrade.
async fn ask(address: &str, request_line: &str, headers: &[(String, String)]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut text = format!("{request_line} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| name == "Connection") {
        text.push_str("Connection: close\r\n");
    }
    stream
        .write_all(format!("{text}\r\n").as_bytes())
        .await
        .unwrap();
    read_answer(&mut stream, request_line.starts_with("HEAD")).await
}

async fn read_answer(stream: &mut TcpStream, head_only: bool) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer {
        status,
        head,
        body: String::new(),
    };
    let length = answer
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    if !head_only {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        answer.body = String::from_utf8(body).unwrap();
    }
    answer
}

#[tokio::test]
async fn recorded_http_requests() {
    let scenarios: Vec<_> = traces::load()
        .into_iter()
        .filter(|scenario| scenario.name == "http_get")
        .collect();
    assert_eq!(scenarios.len(), 2);
    let server = TestServer::start().await;
    let mut page = String::new();
    for exchange in scenarios.iter().flat_map(|scenario| &scenario.http) {
        let (request, response) = (&exchange["request"], &exchange["response"]);
        let line = format!(
            "{} {}",
            request["method"].as_str().unwrap(),
            request["target"].as_str().unwrap()
        );
        let headers = request["headers"].as_object().unwrap().iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let answer = ask(&server.address, &line, &headers).await;
        if headers
            .iter()
            .any(|(_, value)| value == "keep-alive, Upgrade")
        {
            // N5: the list names the upgrade, so it is one.
            assert_eq!(answer.status, 101);
            assert_eq!(
                answer.header("sec-websocket-accept"),
                Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            );
            continue;
        }
        let expected_header = |name: &str| {
            response["headers"]
                .get(name)
                .and_then(|value| value.as_str())
        };
        assert_eq!(
            u64::from(answer.status),
            response["status"].as_u64().unwrap(),
            "{line}"
        );
        assert_eq!(
            answer.header("content-type"),
            expected_header("content-type"),
            "{line}"
        );
        assert_eq!(answer.header("allow"), expected_header("allow"), "{line}");
        match response["body"].as_str().unwrap() {
            "(same as the first)" => assert_eq!(answer.body, page),
            "" => assert_eq!(
                answer.header("content-length"),
                Some(page.len().to_string().as_str())
            ),
            body if body.starts_with('{') => {
                // The recorded server had been reloaded, so its nodes differ from ours.
                let start = body.find("\"loadedNodes\"").unwrap();
                assert_eq!(answer.body[..start], body[..start]);
                assert!(
                    answer.body[start..]
                        .starts_with(r#""loadedNodes": 22, "nodeUIDs": ["static-node", "fail","#)
                );
                page = answer.body;
            }
            body => assert_eq!(answer.body, body, "{line}"),
        }
    }
}

#[tokio::test]
async fn one_connection_serves_several_requests_and_then_an_upgrade() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    for _ in 0..3 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(read_answer(&mut stream, false).await.status, 200);
    }
    let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    // A masked, empty text frame in the same segment as the request must not be lost.
    let early = [upgrade.as_bytes(), &[0x89, 0x80, 0, 0, 0, 0]].concat();
    stream.write_all(&early).await.unwrap();
    let answer = read_answer(&mut stream, true).await;
    assert_eq!(
        (answer.status, answer.header("sec-websocket-extensions")),
        (101, None)
    );
    let mut opcodes = Vec::new();
    for _ in 0..2 {
        opcodes.push(stream.read_u8().await.unwrap() & 0xf);
        let length = match stream.read_u8().await.unwrap() {
            126 => usize::from(stream.read_u16().await.unwrap()),
            short => usize::from(short),
        };
        stream.read_exact(&mut vec![0; length]).await.unwrap();
    }
    opcodes.sort_unstable();
    assert_eq!(
        opcodes,
        [0x1, 0xA],
        "the handshake, and the pong to the early ping"
    );
}

#[tokio::test]
async fn bad_upgrades_are_refused() {
    let server = TestServer::start().await;
    let upgrade = |key: &str, version: &str| {
        let pairs = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", version),
            ("Sec-WebSocket-Key", key),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let answer = ask(&server.address, "GET /", &upgrade("short==", "13")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (400, "Handshake error: 'short=='")
    );
    let answer = ask(
        &server.address,
        "GET /",
        &upgrade("dGhlIHNhbXBsZSBub25jZQ==", "8"),
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("sec-websocket-version")),
        (400, Some("13"))
    );
    let answer = ask(
        &server.address,
        "GET /elsewhere",
        &upgrade("dGhlIHNhbXBsZSBub25jZQ==", "13"),
    )
    .await;
    assert_eq!(answer.status, 404);
    let stats = server.stats.snapshot();
    assert_eq!((stats.http_requests, stats.http_refused), (3, 3));
}

#[tokio::test]
async fn a_token_is_asked_for_if_there_is_one() {
    let server = TestServer::start_with(|options| options.token = Some(Token::new("s3cret"))).await;
    for (authorization, status) in [
        (None, 401),
        (Some("Bearer s3cre"), 401),
        (Some("Bearer s3cret!"), 401),
        (Some("Bearer s3cret"), 200),
    ] {
        let headers: Vec<_> = authorization
            .map(|value| ("Authorization".to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        assert_eq!(
            ask(&server.address, "GET /", &headers).await.status,
            status,
            "{authorization:?}"
        );
    }
    assert_eq!(format!("{:?}", Token::new("s3cret")), "Token(..)");
}

#[tokio::test]
async fn heads_have_a_limit() {
    let server = TestServer::start().await;
    let long = [("X-Long".to_owned(), "a".repeat(20_000))];
    assert_eq!(ask(&server.address, "GET /", &long).await.status, 431);
}

#[tokio::test]
async fn a_request_that_never_ends_is_given_up_on() {
    let limit = std::time::Duration::from_millis(50);
    let server = TestServer::start_with(|options| options.limits.header_timeout = limit).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}
