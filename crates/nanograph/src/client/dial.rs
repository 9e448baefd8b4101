//! Opening a connection, up to the handshake.

use bytestring::ByteString;
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

use super::{ClientConfig, ConnectError};
use crate::message::{Handshake, ServerMessage};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects, and waits for the first frame a node server sends. spec: nanograph 5.1, 13.1
pub(super) async fn dial(
    url: &str,
    config: &ClientConfig,
) -> Result<(Socket, Handshake), ConnectError> {
    check_url(url)?;
    let after = config.connect_timeout;
    let opening = open(url, config);
    let timed_out = |_| ConnectError::TimedOut {
        url: url.to_owned(),
        after,
    };
    let mut socket = tokio::time::timeout(after, opening)
        .await
        .map_err(timed_out)??;
    let after = config.handshake_timeout;
    let timed_out = |_| ConnectError::NoHandshake {
        url: url.to_owned(),
        after,
    };
    let handshake = tokio::time::timeout(after, first_handshake(url, &mut socket))
        .await
        .map_err(timed_out)??;
    match &config.expected_server_uid {
        Some(expected) if *expected != handshake.server_uid => Err(ConnectError::WrongServer {
            url: url.to_owned(),
            expected: expected.clone(),
            found: handshake.server_uid,
        }),
        _ => Ok((socket, handshake)),
    }
}

fn check_url(url: &str) -> Result<(), ConnectError> {
    let scheme = Url::parse(url)
        .ok()
        .filter(Url::has_host)
        .map(|url| url.scheme().to_owned());
    match scheme.as_deref() {
        Some("ws") => Ok(()),
        // Without a provider rustls would panic.
        Some("wss") if rustls::crypto::CryptoProvider::get_default().is_none() => {
            Err(ConnectError::NoTlsProvider {
                url: url.to_owned(),
            })
        }
        Some("wss") => Ok(()),
        _ => Err(ConnectError::InvalidUrl {
            url: url.to_owned(),
        }),
    }
}

/// tungstenite sends `Connection: Upgrade` and offers no extensions, as quirk N5 and spec 13.1 want.
async fn open(url: &str, config: &ClientConfig) -> Result<Socket, ConnectError> {
    let limits = WebSocketConfig::default()
        .max_message_size(Some(config.max_message_bytes))
        .max_frame_size(Some(config.max_message_bytes));
    let opened = tokio_tungstenite::connect_async_with_config(url, Some(limits), true).await;
    opened.map(|(socket, _)| socket).map_err(|error| {
        let url = url.to_owned();
        if let tungstenite::Error::Http(answer) = &error {
            return ConnectError::NotWebSocket {
                url,
                status: answer.status().as_u16(),
            };
        }
        ConnectError::Unreachable {
            url,
            source: error.into(),
        }
    })
}

async fn first_handshake(url: &str, socket: &mut Socket) -> Result<Handshake, ConnectError> {
    let closed = |reason: String| ConnectError::ClosedEarly {
        url: url.to_owned(),
        reason,
    };
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match parse(text) {
                Some(ServerMessage::Handshake(handshake)) => return Ok(handshake),
                _ => tracing::debug!(url, "something else came before the handshake"),
            },
            Some(Ok(Message::Close(frame))) => return Err(closed(close_reason(frame.as_ref()))),
            Some(Ok(
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
            )) => {}
            Some(Err(error)) => return Err(closed(error.to_string())),
            None => return Err(closed("no reason given".to_owned())),
        }
    }
}

/// The message in a text frame, if it is one of this wire.
pub(super) fn parse(text: Utf8Bytes) -> Option<ServerMessage> {
    let text = ByteString::try_from(bytes::Bytes::from(text)).ok()?;
    ServerMessage::parse(text)
        .inspect_err(|error| tracing::debug!(%error, "a message is ignored"))
        .ok()
}

pub(super) fn close_reason(frame: Option<&tungstenite::protocol::CloseFrame>) -> String {
    match frame {
        Some(frame) if frame.reason.is_empty() => {
            format!("the server closed with code {}", u16::from(frame.code))
        }
        Some(frame) => format!(
            "the server closed with code {}: {}",
            u16::from(frame.code),
            frame.reason
        ),
        None => "the server closed without a code".to_owned(),
    }
}
