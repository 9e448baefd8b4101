//! Our own client, over TLS and QUIC. spec: nnrp-session 4.6, A-6

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nnrp::client::{ConnectOptions, MigrateError, Session, Submit};
use nnrp::server::{Handler, HelloHook, Identity, ServeOptions, Server, ServerOptions, Submitted};
use nnrp::{
    ClientTls, DialOptions, DialPolicy, Dialer, Endpoint, Listener, ListenerOptions, SelfSigned,
    ServerTls, TransportId,
};
use nnrp_wire::session::{FrameKey, FrameOutcome, MigrateRefusal, MigrationFailure};
use tokio::time::{Instant, timeout};

use crate::support::{result, submit};

const LONG: Duration = Duration::from_secs(60);

fn certificate() -> SelfSigned {
    ServerTls::self_signed(["127.0.0.1"]).unwrap()
}

/// A server on a port of this machine, that knows clients by their certificates if there are some.
struct World {
    server: Server,
    endpoint: Endpoint,
    own: SelfSigned,
    serving: tokio::task::JoinHandle<()>,
}

async fn world(options: ServerOptions, clients: &[&SelfSigned], handler: impl Handler) -> World {
    let own = certificate();
    let mut tls = own.tls.clone();
    let authorities: String = clients
        .iter()
        .map(|client| client.certificate_pem.as_str())
        .collect();
    if !clients.is_empty() {
        tls = tls.with_client_authority(authorities.as_bytes()).unwrap();
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(ListenerOptions::tls(any, tls))
        .await
        .unwrap();
    let endpoint = Endpoint::tls("127.0.0.1", listener.local_addr().port()).unwrap();
    let server = Server::new(options);
    let serving = server.clone();
    let serving = tokio::spawn(async move {
        serving
            .serve(&listener, handler, ServeOptions::default())
            .await;
    });
    World {
        server,
        endpoint,
        own,
        serving,
    }
}

impl World {
    fn dialer(&self, client: Option<&SelfSigned>) -> Dialer {
        let tls = ClientTls::with_authority(self.own.certificate_pem.as_bytes()).unwrap();
        let tls = match client {
            None => tls,
            Some(client) => {
                let (chain, key) = (client.certificate_pem.as_bytes(), client.key_pem.as_bytes());
                tls.with_certificate(chain, key).unwrap()
            }
        };
        Dialer::new(DialOptions::tls(tls))
    }

    async fn connect(&self, client: Option<&SelfSigned>, policy: DialPolicy) -> Session {
        let options = ConnectOptions {
            policy,
            ..ConnectOptions::default()
        };
        let dialer = self.dialer(client);
        let session = Session::connect(&dialer, &self.endpoint, options);
        timeout(LONG, session).await.unwrap().unwrap()
    }

    /// Asks to move without a token: by who it is, or not at all.
    async fn move_as(&self, session: &Session, client: &SelfSigned) -> Result<(), MigrateError> {
        let dialer = self.dialer(Some(client));
        let deadline = Instant::now() + LONG;
        let link = dialer.dial(&self.endpoint, TransportId::Tcp, deadline);
        let link = link.await.unwrap();
        session.migrate_with(link, Bytes::new()).await.map(drop)
    }
}

async fn answer(frame: Submitted) {
    frame.answer.complete(result()).unwrap();
}

async fn call(session: &Session) {
    let key = FrameKey::new(session.next_frame_id());
    let called = session.call(Submit::new(key, submit()));
    let answer = timeout(LONG, called).await.unwrap().unwrap();
    assert_eq!(answer.outcome, FrameOutcome::Complete);
}

#[tokio::test]
async fn a_listener_is_served_over_both_transports() {
    let world = world(ServerOptions::default(), &[], answer).await;
    for (policy, transport) in [
        (DialPolicy::ForceTcp, TransportId::Tcp),
        (DialPolicy::ForceQuic, TransportId::Quic),
    ] {
        let session = world.connect(None, policy).await;
        assert_eq!(session.transport(), transport);
        for _ in 0..10 {
            call(&session).await;
        }
        timeout(LONG, session.close("")).await.unwrap();
    }
    let stopped = timeout(LONG, world.server.stop("", LONG)).await.unwrap();
    assert_eq!(stopped.cut, 0);
    timeout(LONG, world.serving).await.unwrap().unwrap();
    let totals = world.server.totals();
    assert_eq!((totals.sessions, totals.ended), (2, 2));
    assert_eq!(totals.frames.done_as(FrameOutcome::Complete), 20);
    assert_eq!(totals.refused(), []);
}

#[tokio::test]
async fn sessions_are_accepted_from_a_listener() {
    let own = certificate();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ListenerOptions::tls(any, own.tls.clone());
    let listener = Listener::bind(options).await.unwrap();
    let endpoint = Endpoint::tls("127.0.0.1", listener.local_addr().port()).unwrap();
    let tls = ClientTls::with_authority(own.certificate_pem.as_bytes()).unwrap();
    let dialer = Dialer::new(DialOptions::tls(tls));
    let server = Server::new(ServerOptions::default());
    let connecting = Session::connect(&dialer, &endpoint, ConnectOptions::default());
    let (client, session) = tokio::join!(connecting, server.accept(&listener));
    let (client, session) = (client.unwrap(), session.unwrap());
    assert_eq!(client.id(), session.id());
    assert!(session.remote().unwrap().ip().is_loopback());
    listener.close();
    assert!(server.accept(&listener).await.is_none());
}

#[tokio::test]
async fn a_token_moves_a_session_there_and_back() {
    let mut options = ServerOptions::default();
    options.session.migration_grace = Duration::from_millis(50);
    let world = world(options, &[], answer).await;
    let session = world.connect(None, DialPolicy::ForceQuic).await;
    call(&session).await;
    session.migrate_to(TransportId::Tcp).await.unwrap();
    call(&session).await;
    // The way back is open when the old connection is gone on both sides.
    let back = async {
        while let Err(error) = session.migrate_to(TransportId::Quic).await {
            assert!(is_busy(&error), "{error:?}");
        }
    };
    timeout(LONG, back).await.unwrap();
    assert_eq!(session.transport(), TransportId::Quic);
    call(&session).await;
    assert_eq!(world.server.totals().migrations, 2);
}

fn refused_as(error: &MigrateError) -> Option<u32> {
    let MigrateError::Failed(MigrationFailure::Refused { accept_code }) = error else {
        return None;
    };
    Some(*accept_code)
}

/// The session still moves, on either side.
fn is_busy(error: &MigrateError) -> bool {
    let busy = MigrateRefusal::Busy.accept_code();
    refused_as(error) == Some(busy) || matches!(error, MigrateError::Misuse(_))
}

#[tokio::test]
async fn a_certificate_moves_a_session() {
    let (ann, bob) = (certificate(), certificate());
    let hook = HelloHook::new(|hello| async move {
        let mut acceptance = hello.accept();
        acceptance.identity = Some(Identity(format!("{:?}", hello.certificates[0])));
        Ok(acceptance)
    });
    let options = ServerOptions {
        on_hello: hook,
        moves_by_certificate: true,
        ..ServerOptions::default()
    };
    let seen = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let handler = {
        let seen = Arc::clone(&seen);
        move |frame: Submitted| {
            let seen = Arc::clone(&seen);
            async move {
                seen.lock().await.push(frame.answer.identity().cloned());
                answer(frame).await;
            }
        }
    };
    let world = world(options, &[&ann, &bob], handler).await;
    let session = world.connect(Some(&ann), DialPolicy::ForceQuic).await;
    call(&session).await;

    let refused = world.move_as(&session, &bob).await.unwrap_err();
    let not_allowed = MigrateRefusal::NotAllowed.accept_code();
    assert_eq!(refused_as(&refused), Some(not_allowed), "{refused:?}");
    call(&session).await;

    world.move_as(&session, &ann).await.unwrap();
    assert_eq!(session.transport(), TransportId::Tcp);
    call(&session).await;
    let seen = seen.lock().await;
    assert_eq!(seen.len(), 3);
    assert!(seen[0].is_some() && seen.iter().all(|identity| *identity == seen[0]));
}

/// Devices may share a certificate, so that it is not enough unless that is wanted.
#[tokio::test]
async fn a_certificate_moves_nothing_unless_that_is_wanted() {
    let ann = certificate();
    let world = world(ServerOptions::default(), &[&ann], answer).await;
    let session = world.connect(Some(&ann), DialPolicy::ForceQuic).await;
    let refused = world.move_as(&session, &ann).await.unwrap_err();
    let not_allowed = MigrateRefusal::NotAllowed.accept_code();
    assert_eq!(refused_as(&refused), Some(not_allowed), "{refused:?}");
    call(&session).await;
}
