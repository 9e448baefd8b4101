//! A client that says exactly what it is told, and brokers to say it to.

#![allow(dead_code, reason = "each test program uses a part")]

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use nats_broker::{Broker, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What ends a wait for something that does not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How the connection's end is written in what was received.
pub(crate) const CLOSED: &str = "<closed>";

pub(crate) const CONNECT: &str =
    "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// A broker with its defaults.
pub(crate) async fn broker() -> Broker {
    Broker::builder().start().await.unwrap()
}

/// A broker with other limits.
pub(crate) async fn limited(change: impl FnOnce(&mut Limits)) -> Broker {
    let mut limits = Limits::default();
    change(&mut limits);
    Broker::builder().limits(limits).start().await.unwrap()
}

/// A broker where one was before. Meanwhile, some client may have the port for its own end of a connection.
pub(crate) async fn again_on(address: SocketAddr) -> Broker {
    let start = async {
        loop {
            match Broker::builder().listen(address).start().await {
                Ok(broker) => return broker,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, start).await.unwrap()
}

/// A connection without a client library.
pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
    pub(crate) info: String,
    received: Vec<u8>,
}

impl Raw {
    /// Connects and reads `INFO`.
    pub(crate) async fn open(port: u16) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let mut raw = Self {
            socket,
            info: String::new(),
            received: Vec::new(),
        };
        raw.info = raw.read_until("INFO", "\r\n").await?;
        Ok(raw)
    }

    /// The same, and says who it is.
    pub(crate) async fn connected(port: u16) -> anyhow::Result<Self> {
        let mut raw = Self::open(port).await?;
        assert_eq!(raw.answer_to(CONNECT).await?, "");
        Ok(raw)
    }

    /// Sends; a connection that is closed already is no error here.
    pub(crate) async fn send(&mut self, text: &str) {
        let _ = self.try_send(text).await;
    }

    pub(crate) async fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.socket.write_all(text.as_bytes()).await
    }

    /// Sends something and a `PING`: what comes before the answer to that, which came because of it, or before the end.
    pub(crate) async fn answer_to(&mut self, text: &str) -> anyhow::Result<String> {
        self.send(text).await;
        self.send("PING\r\n").await;
        let pings = text.to_ascii_uppercase().matches("PING\r\n").count();
        let mut answer = String::new();
        for _ in 0..=pings {
            answer += &self.read_until("an answer", "PONG\r\n").await?;
            if answer.ends_with(CLOSED) {
                break;
            }
        }
        Ok(answer
            .strip_suffix("PONG\r\n")
            .unwrap_or(&answer)
            .to_owned())
    }

    /// What comes until the end of the connection.
    pub(crate) async fn rest(&mut self) -> anyhow::Result<String> {
        self.read_until("the end", CLOSED).await
    }

    /// Up to and with a text, or until the end.
    pub(crate) async fn read_until(&mut self, what: &str, end: &str) -> anyhow::Result<String> {
        let read = async {
            // What was searched already is not searched again: some of this is long.
            let mut searched = 0;
            loop {
                let mut windows = self.received[searched..].windows(end.len());
                if let Some(at) = windows.position(|window| window == end.as_bytes()) {
                    let rest = self.received.split_off(searched + at + end.len());
                    return text(std::mem::replace(&mut self.received, rest));
                }
                searched = self.received.len().saturating_sub(end.len() - 1);
                self.received.reserve(1 << 16);
                match self.socket.read_buf(&mut self.received).await {
                    Ok(bytes) if bytes > 0 => {}
                    Ok(_) | Err(_) => {
                        self.received.extend_from_slice(CLOSED.as_bytes());
                        return text(std::mem::take(&mut self.received));
                    }
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, read).await;
        waited.with_context(|| format!("waited for {what}"))
    }
}

fn text(bytes: Vec<u8>) -> String {
    bytes.into_iter().map(char::from).collect()
}

/// Waits for a condition that nothing announces.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, wait).await.is_ok(),
        "waited in vain: {what}"
    );
}
