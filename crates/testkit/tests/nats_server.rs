//! The harness of `nats-server` itself.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::time::Duration;

use nodewire_testkit::NatsServer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Connects and returns the greeting and the lines after it.
async fn connect(server: &NatsServer) -> (String, Lines<BufReader<TcpStream>>) {
    let stream = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    let mut lines = BufReader::new(stream).lines();
    let greeting = next_line(&mut lines).await.unwrap();
    (greeting, lines)
}

/// The next line; none when the server has closed the connection.
async fn next_line(lines: &mut Lines<BufReader<TcpStream>>) -> Option<String> {
    let line = tokio::time::timeout(TIMEOUT, lines.next_line());
    line.await.expect("the server is silent").unwrap_or(None)
}

async fn send(lines: &mut Lines<BufReader<TcpStream>>, text: &str) {
    let stream = lines.get_mut().get_mut();
    stream.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn starts_answers_and_keeps_its_port_over_restarts() {
    let mut server = NatsServer::start().await.unwrap();
    let port = server.port();
    assert_eq!(server.url(), format!("nats://127.0.0.1:{port}"));
    for kill in [true, false] {
        let (greeting, mut lines) = connect(&server).await;
        assert!(greeting.contains(r#""headers":true"#), "{greeting}");
        send(&mut lines, "CONNECT {\"verbose\":false}\r\nPING\r\n").await;
        assert_eq!(next_line(&mut lines).await.as_deref(), Some("PONG"));
        if kill {
            server.kill().await.unwrap();
            assert_eq!(next_line(&mut lines).await, None);
        }
        server.restart().await.unwrap();
        assert_eq!(server.port(), port);
    }
    server.stop().await.unwrap();
    assert!(
        server.logs().contains("Server Exiting"),
        "{}",
        server.logs()
    );
}

#[tokio::test]
async fn a_port_can_be_given_and_a_taken_one_is_refused() {
    let first = NatsServer::start().await.unwrap();
    let error = NatsServer::start_on(first.port()).await.unwrap_err();
    assert!(
        error.to_string().contains("address already in use"),
        "{error}"
    );
    let port = first.port();
    drop(first);
    let mut second = loop {
        // The first may take a moment to go.
        match NatsServer::start_on(port).await {
            Ok(server) => break server,
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
    };
    assert_eq!(second.port(), port);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn users_tokens_and_limits_hold() {
    let server = NatsServer::options()
        .user("ann", "secret")
        .start()
        .await
        .unwrap();
    assert_eq!(
        after_connect(&server, r#""user":"ann","pass":"secret""#).await,
        "PONG"
    );
    assert!(
        after_connect(&server, r#""user":"ann","pass":"x""#)
            .await
            .starts_with("-ERR")
    );

    let server = NatsServer::options()
        .token("s3cret")
        .max_payload_bytes(1000);
    let server = server.start().await.unwrap();
    assert_eq!(
        after_connect(&server, r#""auth_token":"s3cret""#).await,
        "PONG"
    );
    assert!(
        after_connect(&server, r#""auth_token":"x""#)
            .await
            .starts_with("-ERR")
    );
    let (greeting, _) = connect(&server).await;
    assert!(greeting.contains(r#""max_payload":1000"#), "{greeting}");
}

async fn after_connect(server: &NatsServer, credentials: &str) -> String {
    let (_, mut lines) = connect(server).await;
    let connect = format!("CONNECT {{\"verbose\":false,{credentials}}}\r\nPING\r\n");
    send(&mut lines, &connect).await;
    next_line(&mut lines).await.unwrap()
}

#[tokio::test]
async fn a_lame_duck_warns_its_clients_and_ends() {
    let mut server = NatsServer::start().await.unwrap();
    let (_, mut lines) = connect(&server).await;
    // Protocol 1 means that it understands an INFO that comes later.
    let hello = "CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n";
    send(&mut lines, hello).await;
    assert_eq!(next_line(&mut lines).await.as_deref(), Some("PONG"));
    server.lame_duck().unwrap();
    let warning = loop {
        let line = next_line(&mut lines).await.expect("a warning");
        if line.contains("ldm") {
            break line;
        }
    };
    assert!(
        warning.starts_with("INFO ") && warning.contains(r#""ldm":true"#),
        "{warning}"
    );
    server.process().wait(TIMEOUT).await.unwrap();
}
