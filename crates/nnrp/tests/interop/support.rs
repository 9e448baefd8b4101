//! One of them and one of ours.

use nnrp::client::{ConnectError, ConnectOptions, FrameItem, FrameResult};
use nnrp::server::{ServerOptions, Submitted};
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{Envelope, Message};
use nodewire_testkit::{NnrpPeer, NnrpServerOptions, NnrpTransport, SelfSignedCertificate};
use serde_json::{Value, json};

use crate::ours::{OurServer, session_over};
use crate::raw::soon;

/// Their client, and our server.
pub(crate) struct TheirClient {
    pub(crate) peer: NnrpPeer,
    pub(crate) ours: OurServer,
}

impl TheirClient {
    pub(crate) async fn start() -> Self {
        Self::start_with(options()).await
    }

    pub(crate) async fn start_with(options: ServerOptions) -> Self {
        let peer = NnrpPeer::client();
        let (peer, ours) = tokio::join!(peer, OurServer::start(options));
        Self {
            peer: peer.unwrap(),
            ours,
        }
    }

    /// A session, and what their client tells of it.
    pub(crate) async fn connect(
        &mut self,
        transport: NnrpTransport,
        connect: Value,
    ) -> (nnrp::server::Session, Value) {
        let port = self.ours.port();
        let connected = self.peer.connect(transport, port, connect);
        let (connected, session) = tokio::join!(connected, self.ours.session());
        (session, connected.unwrap())
    }

    /// Their client closes, and our session ends.
    pub(crate) async fn closed(&mut self, session: &nnrp::server::Session) {
        self.peer.close().await.unwrap();
        soon("the end", session.ended()).await;
    }
}

/// Times that a busy machine does not reach, and no keep-alive in between.
pub(crate) fn options() -> ServerOptions {
    let mut options = ServerOptions::default();
    options.session.liveness.keep_alive = None;
    options.session.hello_timeout = crate::raw::LIMIT;
    options.session.drain_timeout = crate::raw::LIMIT;
    options
}

/// Their server, and a place for our client.
pub(crate) struct TheirServer {
    pub(crate) peer: NnrpPeer,
    pub(crate) certificate: SelfSignedCertificate,
}

impl TheirServer {
    pub(crate) async fn start() -> Self {
        Self::start_with_idle_timeout(120.0).await
    }

    pub(crate) async fn start_with_idle_timeout(idle_timeout_s: f64) -> Self {
        let certificate = SelfSignedCertificate::new().unwrap();
        let options = NnrpServerOptions {
            certificate: Some(&certificate),
            port: 0,
            tcp_idle_timeout_s: idle_timeout_s,
            quic_idle_timeout_s: idle_timeout_s,
        };
        let peer = NnrpPeer::server(options).await.unwrap();
        Self { peer, certificate }
    }

    pub(crate) fn port(&self, transport: NnrpTransport) -> u16 {
        self.peer.port(transport).unwrap()
    }

    /// A session that may have 8 frames in flight, and what their server tells of it.
    pub(crate) async fn accept(
        &mut self,
        transport: NnrpTransport,
        options: ConnectOptions,
    ) -> (nnrp::client::Session, Value) {
        let accept = json!({"server_profile": {"max_concurrent_frames": 8}});
        let (session, told) = self.accept_with(transport, options, accept).await;
        (session.unwrap(), told)
    }

    pub(crate) async fn accept_with(
        &mut self,
        transport: NnrpTransport,
        options: ConnectOptions,
        accept: Value,
    ) -> (Result<nnrp::client::Session, ConnectError>, Value) {
        let port = self.port(transport);
        let session = session_over(transport, port, &self.certificate, options);
        let (session, told) = tokio::join!(session, self.peer.accept(transport, accept));
        (session, told.unwrap())
    }

    /// Our client closes, and then they do, who say how the connection ended.
    pub(crate) async fn closed(&mut self, session: &nnrp::client::Session) {
        let end = self.closed_after(session, json!({"op": "end"})).await;
        let kind = end["type"].as_str().unwrap();
        assert!(kind.ends_with("ConnectionClosedError"), "{end}");
    }

    /// The same, with another command that ends with the connection. Ours waits for a while for them to close, too.
    pub(crate) async fn closed_after(
        &mut self,
        session: &nnrp::client::Session,
        command: Value,
    ) -> Value {
        let theirs = async {
            let told = self.peer.call(command).await.unwrap();
            self.peer.close().await.unwrap();
            told
        };
        let closed = soon("the end", session.close(""));
        tokio::join!(closed, theirs).1
    }
}

/// The next frame of our session.
pub(crate) async fn next_submit(session: &nnrp::server::Session) -> Submitted {
    soon("a submit", session.next_submit()).await.unwrap()
}

/// The next result of a frame of our client.
pub(crate) async fn next_result(session: &nnrp::client::Session, key: FrameKey) -> FrameResult {
    match soon("a result", session.receive(key)).await.unwrap() {
        FrameItem::Result(result) => result,
        other => panic!("{other:?}"),
    }
}

/// How a frame of our client has ended, which is the next that is told of it.
pub(crate) async fn outcome(session: &nnrp::client::Session, key: FrameKey) -> FrameOutcome {
    match soon("the end of a frame", session.receive(key))
        .await
        .unwrap()
    {
        FrameItem::End(end) => end.outcome,
        other => panic!("{other:?}"),
    }
}

/// A packet as it is on the wire.
pub(crate) fn packet(envelope: Envelope, message: impl Into<Message>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.into().encode(&envelope, &mut bytes).unwrap();
    bytes
}
