//! Many connections with one server.

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use quinn::Connection;
use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval};

use super::{Raw, TlsAcceptor, accept, connect, listen, quic, secure};
use crate::nnrp::site::{SERVER_NAME, quic_client, quic_server, tls_server};
use crate::nnrp::{FanOut, Idle, Transport};

/// What keeps the connections open.
pub(super) async fn open_idle(raw: Raw, idle: &Idle) -> anyhow::Result<Box<dyn Any>> {
    let (address, certificate) = (&idle.address, &idle.certificate);
    let mut open: Vec<Box<dyn Any>> = Vec::new();
    let endpoint = quic_client(certificate, raw.mtu)?;
    for _ in 0..idle.sessions {
        open.push(match idle.transport {
            Transport::Tcp => Box::new(connect(address).await?),
            Transport::Tls => Box::new(secure(address, certificate).await?),
            Transport::Quic => Box::new(endpoint.connect(address.parse()?, SERVER_NAME)?.await?),
        });
    }
    open.push(Box::new(endpoint));
    Ok(Box::new(open))
}

/// To where a receiver's messages go.
enum Receiver {
    Stream(Box<dyn AsyncWrite + Unpin>),
    Quic(Connection),
}

impl Receiver {
    async fn send(&mut self, message: Bytes) -> anyhow::Result<()> {
        match self {
            Self::Stream(stream) => {
                stream.write_all(&message).await?;
                stream.flush().await?;
            }
            Self::Quic(connection) => {
                let mut stream = connection.open_uni().await?;
                stream.write_chunk(message).await?;
                stream.finish()?;
            }
        }
        Ok(())
    }
}

/// Sends once all receivers are there.
pub(super) async fn publish(
    raw: Raw,
    fan_out: &FanOut,
    announce: impl FnOnce(&str),
) -> anyhow::Result<()> {
    let mut receivers = gather(raw, fan_out, announce).await?;
    let mut ticks = interval(Duration::from_secs(1) / fan_out.per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..fan_out.messages {
        ticks.tick().await;
        let mut message = vec![0x5a; fan_out.payload_bytes];
        message[..FanOut::STAMP_BYTES].copy_from_slice(&FanOut::stamp()?);
        let message = Bytes::from(message);
        for receiver in &mut receivers {
            receiver.send(message.clone()).await?;
        }
    }
    // The receivers leave when they have everything; until then connections stay open.
    std::future::pending().await
}

async fn gather(
    raw: Raw,
    fan_out: &FanOut,
    announce: impl FnOnce(&str),
) -> anyhow::Result<Vec<Receiver>> {
    let mut receivers = Vec::new();
    if fan_out.transport == Transport::Quic {
        let endpoint = quic_server(&fan_out.certificate, raw.mtu)?;
        announce(&endpoint.local_addr()?.to_string());
        while receivers.len() < fan_out.receivers
            && let Some(incoming) = endpoint.accept().await
        {
            receivers.push(Receiver::Quic(incoming.await?));
        }
        return Ok(receivers);
    }
    let listener = listen(announce).await?;
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(tls_server(&fan_out.certificate)?));
    while receivers.len() < fan_out.receivers {
        let stream = accept(&listener).await?;
        receivers.push(Receiver::Stream(if fan_out.transport == Transport::Tls {
            Box::new(acceptor.accept(stream).await?)
        } else {
            Box::new(stream)
        }));
    }
    Ok(receivers)
}

/// The times that all messages took, in ns.
pub(super) async fn receive(raw: Raw, fan_out: &FanOut) -> anyhow::Result<Vec<u64>> {
    let (address, certificate) = (&fan_out.address, &fan_out.certificate);
    let endpoint = quic_client(certificate, raw.mtu)?;
    let mut receiving = Vec::new();
    for _ in 0..fan_out.receivers {
        receiving.push(match fan_out.transport {
            Transport::Tcp => spawn_stream(connect(address).await?, fan_out),
            Transport::Tls => spawn_stream(secure(address, certificate).await?, fan_out),
            Transport::Quic => {
                let connection = endpoint.connect(address.parse()?, SERVER_NAME)?.await?;
                tokio::spawn(receive_streams(connection, fan_out.messages))
            }
        });
    }
    let ages_ns: anyhow::Result<Vec<_>> = try_join_all(receiving).await?.into_iter().collect();
    Ok(ages_ns?.concat())
}

type Receiving = tokio::task::JoinHandle<anyhow::Result<Vec<u64>>>;

fn spawn_stream(stream: impl AsyncRead + Unpin + Send + 'static, fan_out: &FanOut) -> Receiving {
    let (messages, payload_bytes) = (fan_out.messages, fan_out.payload_bytes);
    tokio::spawn(async move {
        let mut stream = io::BufReader::new(stream);
        let mut message = vec![0; payload_bytes];
        let mut ages_ns = Vec::with_capacity(messages);
        for _ in 0..messages {
            stream.read_exact(&mut message).await?;
            ages_ns.push(FanOut::age_ns(&message)?);
        }
        Ok(ages_ns)
    })
}

async fn receive_streams(connection: Connection, messages: usize) -> anyhow::Result<Vec<u64>> {
    let mut ages_ns = Vec::with_capacity(messages);
    for _ in 0..messages {
        let message = quic::read_to_end(connection.accept_uni().await?).await?;
        let first = message.first().map_or(&[][..], |first| first);
        ages_ns.push(FanOut::age_ns(first)?);
    }
    Ok(ages_ns)
}
