//! A side of a connection that sends the bytes it is told to, over real sockets, and shows every packet that comes.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::{DecodeOptions, Envelope, Message, MessageType, Packet, SplitLimits, Splitter};
use nodewire_testkit::{NnrpTransport, SelfSignedCertificate};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Packets that have come and were not looked at.
const PACKETS_MAX: usize = 1024;

/// Ends a test that would hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What happens within [`LIMIT`], as it must.
pub(crate) fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let future = Box::pin(future);
    async move {
        match tokio::time::timeout(LIMIT, future).await {
            Ok(output) => output,
            Err(_) => panic!("{what} took too long"),
        }
    }
}

/// Waits until this is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    soon(what, waiting).await;
}

/// What has come.
#[derive(Debug)]
enum Incoming {
    Packet(Packet),
    /// The other side ended what it sends, or the connection.
    End,
}

/// Where a packet goes.
#[derive(Debug)]
enum Output {
    Tcp(OwnedWriteHalf),
    Quic {
        connection: quinn::Connection,
        /// Opened with the first packet for it, by whichever side.
        control: Control,
        sender: mpsc::Sender<Incoming>,
        _endpoint: quinn::Endpoint,
    },
}

type Control = Arc<Mutex<Option<quinn::SendStream>>>;

#[derive(Debug)]
pub(crate) struct RawConnection {
    output: Output,
    incoming: mpsc::Receiver<Incoming>,
    /// Those that came while another was waited for.
    aside: VecDeque<Packet>,
}

impl RawConnection {
    /// To a server on this port.
    pub(crate) async fn connect(
        transport: NnrpTransport,
        port: u16,
        certificate: &SelfSignedCertificate,
    ) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match transport {
            NnrpTransport::Tcp => Self::over_tcp(TcpStream::connect(address).await.unwrap()),
            NnrpTransport::Quic => {
                let mut endpoint =
                    quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
                endpoint.set_default_client_config(quic_client_config(certificate));
                let connecting = endpoint.connect(address, "localhost").unwrap();
                let connection = soon("a QUIC handshake", connecting).await.unwrap();
                Self::over_quic(connection, endpoint)
            }
        }
    }

    fn over_tcp(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let (read, write) = stream.into_split();
        let (sender, incoming) = mpsc::channel(PACKETS_MAX);
        tokio::spawn(async move {
            read_packets(read, &sender).await;
            let _ = sender.send(Incoming::End).await;
        });
        Self {
            output: Output::Tcp(write),
            incoming,
            aside: VecDeque::new(),
        }
    }

    fn over_quic(connection: quinn::Connection, endpoint: quinn::Endpoint) -> Self {
        let control = Control::default();
        let (sender, incoming) = mpsc::channel(PACKETS_MAX);
        let reading = read_streams(connection.clone(), Arc::clone(&control), sender.clone());
        tokio::spawn(reading);
        Self {
            output: Output::Quic {
                connection,
                control,
                sender,
                _endpoint: endpoint,
            },
            incoming,
            aside: VecDeque::new(),
        }
    }

    /// Sends a packet by what its type goes by: over QUIC, submits and results have a stream of their own.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let has_own_stream = matches!(bytes.get(6), Some(0x10 | 0x12 | 0x13));
        match &self.output {
            Output::Quic { connection, .. } if has_own_stream => {
                let mut stream = connection.open_uni().await.unwrap();
                stream.write_all(bytes).await.unwrap();
                stream.finish().unwrap();
            }
            Output::Tcp(_) | Output::Quic { .. } => self.send_control(bytes).await,
        }
    }

    /// Sends bytes where control packets go.
    pub(crate) async fn send_control(&mut self, bytes: &[u8]) {
        match &mut self.output {
            Output::Tcp(write) => write.write_all(bytes).await.unwrap(),
            Output::Quic {
                connection,
                control,
                sender,
                ..
            } => {
                let mut control = control.lock().await;
                if control.is_none() {
                    let (send, recv) = connection.open_bi().await.unwrap();
                    *control = Some(send);
                    let sender = sender.clone();
                    tokio::spawn(async move { read_packets(recv, &sender).await });
                }
                let stream = control.as_mut().unwrap();
                stream.write_all(bytes).await.unwrap();
            }
        }
    }

    pub(crate) async fn send_message(&mut self, envelope: Envelope, message: Message) {
        let mut bytes = Vec::new();
        message.encode(&envelope, &mut bytes).unwrap();
        self.send(&bytes).await;
    }

    /// The connection below, where it is QUIC.
    pub(crate) fn quic(&self) -> &quinn::Connection {
        match &self.output {
            Output::Quic { connection, .. } => connection,
            Output::Tcp(_) => panic!("it is TCP"),
        }
    }

    /// The next packet; `None` at the end.
    pub(crate) async fn packet(&mut self) -> Option<Packet> {
        if let Some(packet) = self.aside.pop_front() {
            return Some(packet);
        }
        self.incoming().await
    }

    async fn incoming(&mut self) -> Option<Packet> {
        match soon("a packet", self.incoming.recv()).await {
            Some(Incoming::Packet(packet)) => Some(packet),
            Some(Incoming::End) | None => None,
        }
    }

    /// The next packet of this type; others are kept.
    pub(crate) async fn packet_of(&mut self, message_type: MessageType) -> Packet {
        let is_it = |packet: &Packet| packet.header().message_type == message_type;
        if let Some(place) = self.aside.iter().position(is_it) {
            return self.aside.remove(place).unwrap();
        }
        loop {
            let Some(packet) = self.incoming().await else {
                panic!("the connection ended without {}", message_type.name());
            };
            if is_it(&packet) {
                return packet;
            }
            self.aside.push_back(packet);
        }
    }

    /// What a packet of this type says.
    pub(crate) async fn message_of(&mut self, message_type: MessageType) -> (Envelope, Message) {
        let packet = self.packet_of(message_type).await;
        message(&packet)
    }

    /// All that comes until the end.
    pub(crate) async fn rest(&mut self) -> Vec<Packet> {
        let mut rest = Vec::new();
        while let Some(packet) = self.packet().await {
            rest.push(packet);
        }
        rest
    }

    /// Ends what this side sends.
    pub(crate) async fn finish(&mut self) {
        match &mut self.output {
            // The other side may have ended the connection.
            Output::Tcp(write) => drop(write.shutdown().await),
            Output::Quic { connection, .. } => connection.close(0_u32.into(), b""),
        }
    }
}

/// What a packet says; all extensions are kept.
pub(crate) fn message(packet: &Packet) -> (Envelope, Message) {
    let message = Message::decode(packet, &DecodeOptions::COMPATIBLE).unwrap();
    (Envelope::from(packet.header()), message)
}

/// Where raw connections come in: one port number, on TCP and QUIC.
#[derive(Debug)]
pub(crate) struct RawListener {
    tcp: TcpListener,
    quic: quinn::Endpoint,
}

impl RawListener {
    pub(crate) async fn bind(certificate: &SelfSignedCertificate) -> Self {
        loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = tcp.local_addr().unwrap();
            // The port may be somebody else's on UDP.
            if let Ok(quic) = quinn::Endpoint::server(quic_server_config(certificate), address) {
                return Self { tcp, quic };
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.tcp.local_addr().unwrap().port()
    }

    pub(crate) async fn accept(&self, transport: NnrpTransport) -> RawConnection {
        match transport {
            NnrpTransport::Tcp => {
                let (stream, _) = soon("a connection", self.tcp.accept()).await.unwrap();
                RawConnection::over_tcp(stream)
            }
            NnrpTransport::Quic => {
                let incoming = soon("a connection", self.quic.accept()).await.unwrap();
                let connection = soon("a QUIC handshake", incoming.into_future())
                    .await
                    .unwrap();
                RawConnection::over_quic(connection, self.quic.clone())
            }
        }
    }
}

async fn read_packets(mut read: impl AsyncRead + Unpin, sender: &mpsc::Sender<Incoming>) {
    let mut splitter = Splitter::new(SplitLimits::session(u32::MAX));
    loop {
        let mut bytes = vec![0; 64 << 10];
        let Ok(count) = read.read(&mut bytes).await else {
            return;
        };
        if count == 0 {
            return;
        }
        bytes.truncate(count);
        let mut chunk = Bytes::from(bytes);
        while let Some(packet) = splitter.split(&mut chunk).unwrap() {
            if sender.send(Incoming::Packet(packet)).await.is_err() {
                return;
            }
        }
    }
}

/// Reads all streams that the other side opens. The end comes behind what came before it.
async fn read_streams(
    connection: quinn::Connection,
    control: Control,
    sender: mpsc::Sender<Incoming>,
) {
    let mut readers = JoinSet::new();
    let read = |stream| {
        let sender = sender.clone();
        async move { read_packets(stream, &sender).await }
    };
    loop {
        tokio::select! {
            uni = connection.accept_uni() => match uni {
                Ok(stream) => drop(readers.spawn(read(stream))),
                Err(_) => break,
            },
            bi = connection.accept_bi() => match bi {
                Ok((send, recv)) => {
                    control.lock().await.get_or_insert(send);
                    readers.spawn(read(recv));
                }
                Err(_) => break,
            },
        }
    }
    readers.join_all().await;
    let _ = sender.send(Incoming::End).await;
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificate_der(certificate: &SelfSignedCertificate) -> CertificateDer<'static> {
    CertificateDer::from(certificate.der().to_vec())
}

fn quic_client_config(certificate: &SelfSignedCertificate) -> quinn::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate_der(certificate)).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"nnrp/1".to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

fn quic_server_config(certificate: &SelfSignedCertificate) -> quinn::ServerConfig {
    let key = PrivateKeyDer::from_pem_file(certificate.key_path()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate_der(certificate)], key)
        .unwrap();
    config.alpn_protocols = vec![b"nnrp/1".to_vec()];
    let config = QuicServerConfig::try_from(config).unwrap();
    quinn::ServerConfig::with_crypto(Arc::new(config))
}
