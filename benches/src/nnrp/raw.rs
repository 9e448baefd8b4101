//! The bare transports: whole messages are echoed, and nothing else is done with them.

mod many;
mod quic;
mod stream;

use std::any::Any;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::pki_types::ServerName;
use tokio::io;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::site::{SERVER_NAME, tls_client, tls_server};
use super::{Carrier, FanOut, Idle, Load, Outcome, Transport};

/// How messages lie in a QUIC connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// All in one stream each way.
    One,
    /// Each in one of its own, as NNRP has them.
    PerMessage,
}

/// A bare transport.
#[derive(Debug, Clone, Copy)]
pub struct Raw {
    /// Over QUIC.
    pub streams: Streams,
    /// Of datagrams over QUIC.
    pub mtu: u16,
}

impl Carrier for Raw {
    async fn serve(
        &self,
        transport: Transport,
        certificate: &Path,
        announce: impl FnOnce(&str),
    ) -> anyhow::Result<()> {
        match transport {
            Transport::Tcp => {
                let (listener, _) = (listen(announce).await?, certificate);
                loop {
                    let (reader, writer) = accept(&listener).await?.into_split();
                    tokio::spawn(stream::echo(reader, writer));
                }
            }
            Transport::Tls => {
                let acceptor = TlsAcceptor::from(Arc::new(tls_server(certificate)?));
                let listener = listen(announce).await?;
                loop {
                    let secured = acceptor.accept(accept(&listener).await?).await?;
                    let (reader, writer) = io::split(secured);
                    tokio::spawn(stream::echo(reader, writer));
                }
            }
            Transport::Quic => quic::serve(*self, certificate, announce).await,
        }
    }

    async fn load(&self, load: &Load) -> anyhow::Result<Outcome> {
        let meter = match load.transport {
            Transport::Tcp => {
                let (reader, writer) = connect(&load.address).await?.into_split();
                stream::load(reader, writer, load).await
            }
            Transport::Tls => {
                let (reader, writer) = io::split(secure(&load.address, &load.certificate).await?);
                stream::load(reader, writer, load).await
            }
            Transport::Quic => quic::load(*self, load).await,
        }?;
        meter.outcome().context("no message came back")
    }

    async fn open_idle(&self, idle: &Idle) -> anyhow::Result<Box<dyn Any>> {
        many::open_idle(*self, idle).await
    }

    async fn publish(&self, fan_out: &FanOut, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
        many::publish(*self, fan_out, announce).await
    }

    async fn receive(&self, fan_out: &FanOut) -> anyhow::Result<Vec<u64>> {
        many::receive(*self, fan_out).await
    }
}

async fn listen(announce: impl FnOnce(&str)) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    announce(&listener.local_addr()?.to_string());
    Ok(listener)
}

async fn accept(listener: &TcpListener) -> anyhow::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn secure(address: &str, certificate: &Path) -> anyhow::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(tls_client(certificate)?));
    let name = ServerName::try_from(SERVER_NAME)?;
    Ok(connector.connect(name, connect(address).await?).await?)
}
