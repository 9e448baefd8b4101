//! Plain HTTP, with a connection for each call.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{End, lost, text, words};

#[derive(Debug)]
pub(super) struct Caller {
    address: SocketAddr,
    token: String,
}

#[derive(Debug)]
pub(super) struct Call {
    answer: JoinHandle<Result<End, Error>>,
}

#[derive(Debug)]
enum Error {
    Connect(std::io::Error),
    Http(hyper::Error),
    Request(hyper::http::Error),
}

impl Caller {
    pub(super) fn new(address: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            address: text(address, "address").parse()?,
            token: text(address, "token").to_owned(),
        })
    }

    pub(super) fn begin(&self, node: &str, inputs: &Value) -> Call {
        let request = Request::post(format!("/nodes/{node}/execute"))
            .header("Host", self.address.to_string())
            .header("Content-Type", "application/json")
            .header("Authorization", format!("Bearer {}", self.token))
            .body(Full::new(Bytes::from(
                json!({"inputs": inputs}).to_string(),
            )));
        Call::begin(self.address, request, ended)
    }
}

/// What an answer says.
type Read = fn(StatusCode, &Bytes) -> End;

/// Dropping this closes the connection.
async fn ask(
    address: SocketAddr,
    request: hyper::http::Result<Request<Full<Bytes>>>,
    read: Read,
) -> Result<End, Error> {
    let request = request.map_err(Error::Request)?;
    let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(Error::Http)?;
    let asking = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, hyper::Error>(read(head.status, &body))
    };
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        end = asking => end.map_err(Error::Http),
        closed = &mut connection => match closed {
            Err(error) => Err(Error::Http(error)),
            Ok(()) => Ok(End::Lost("the server closed the connection".to_owned())),
        },
    }
}

fn ended(status: StatusCode, body: &Bytes) -> End {
    if status == StatusCode::OK {
        return End::Completed;
    }
    End::Told(format!("{status}: {}", String::from_utf8_lossy(body)))
}

impl Call {
    pub(super) fn begin(
        address: SocketAddr,
        request: hyper::http::Result<Request<Full<Bytes>>>,
        read: Read,
    ) -> Self {
        Self {
            answer: tokio::spawn(ask(address, request, read)),
        }
    }

    /// Leaves, which is how this wire cancels.
    pub(super) fn cancel(&self) {
        self.answer.abort();
    }

    pub(super) async fn end(mut self) -> End {
        match (&mut self.answer).await {
            Ok(Ok(end)) => end,
            Ok(Err(Error::Connect(error))) => lost(&error),
            Ok(Err(Error::Http(error))) => lost(&error),
            Ok(Err(Error::Request(error))) => lost(&error),
            // The one who leaves hears no more.
            Err(error) if error.is_cancelled() => End::Told("left".to_owned()),
            Err(error) => End::Lost(words(&error)),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.answer.abort();
    }
}
