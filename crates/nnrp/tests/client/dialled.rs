//! Sessions with a real server, over TLS and QUIC on loopback.

use std::collections::BTreeSet;
use std::time::Duration;

use nnrp::client::{ConnectOptions, FrameItem, ReconnectOptions, Session, SessionEvent, Submit};
use nnrp::server::{ServeOptions, Server, ServerOptions, Submitted};
use nnrp::{
    ClientTls, DialOptions, DialPolicy, Dialer, Endpoint, Listener, ListenerOptions, ProbeOptions,
    ServerTls, TransportId,
};
use nnrp_wire::session::{FrameKey, FrameOutcome};
use tokio::task::JoinHandle;

use super::peer::{LONG, result_of, submit_of};

struct Served {
    server: Server,
    task: JoinHandle<()>,
    dialer: Dialer,
    endpoint: Endpoint,
}

async fn served() -> Served {
    let own = ServerTls::self_signed(["localhost"]).unwrap();
    let options = ListenerOptions::tls("127.0.0.1:0".parse().unwrap(), own.tls);
    let listener = Listener::bind(options).await.unwrap();
    let port = listener.local_addr().port();
    let mut options = ServerOptions::default();
    options.session.capabilities.max_concurrent_frames = 64;
    let server = Server::new(options);
    let serving = server.clone();
    let echo = |frame: Submitted| async move {
        // Where it is cancelled, nobody waits for it.
        let _ = frame.answer.complete(result_of(1000));
    };
    let task = tokio::spawn(async move {
        serving
            .serve(&listener, echo, ServeOptions::default())
            .await;
    });
    let tls = ClientTls::with_authority(own.certificate_pem.as_bytes()).unwrap();
    Served {
        server,
        task,
        dialer: Dialer::new(DialOptions::tls(tls)),
        endpoint: Endpoint::tls("localhost", port).unwrap(),
    }
}

impl Served {
    async fn connect(&self, options: ConnectOptions) -> Session {
        let connecting = Session::connect(&self.dialer, &self.endpoint, options);
        tokio::time::timeout(LONG, connecting)
            .await
            .unwrap()
            .unwrap()
    }
}

#[tokio::test]
async fn each_transport_carries_a_session() {
    let served = served().await;
    for (policy, transport) in [
        (DialPolicy::ForceQuic, TransportId::Quic),
        (DialPolicy::ForceTcp, TransportId::Tcp),
    ] {
        let session = served
            .connect(ConnectOptions::default().with_policy(policy))
            .await;
        assert_eq!(session.transport(), transport);
        let key = FrameKey::new(session.next_frame_id());
        let answer = session
            .call(submit_of(key.frame_id, 100_000))
            .await
            .unwrap();
        assert_eq!(answer.outcome, FrameOutcome::Complete);
        session.ping().await.unwrap();
        let end = session.close("done").await;
        assert_eq!(end.to_string(), "the session was closed");
    }
    served.server.stop("done", Duration::from_secs(10)).await;
    served.task.await.unwrap();
}

#[tokio::test]
async fn probing_chooses_before_the_session_begins() {
    let served = served().await;
    let options = ConnectOptions::default().with_probe(ProbeOptions::default());
    let session = served.connect(options).await;
    assert_ne!(session.transport(), TransportId::Unspecified);
    let id = session.next_frame_id();
    session.call(submit_of(id, 10)).await.unwrap();
}

#[tokio::test]
async fn frames_in_flight_survive_a_move_from_quic_to_tcp_and_back() {
    const FRAMES: usize = 600;
    let served = served().await;
    let options = ConnectOptions::default().with_policy(DialPolicy::PreferQuic);
    let session = served.connect(options).await;
    let first = session.transport();
    let submitting = async {
        for _ in 0..FRAMES {
            let id = session.next_frame_id();
            session.submit(submit_of(id, 2000)).await.unwrap();
        }
    };
    let other = match first {
        TransportId::Quic => TransportId::Tcp,
        TransportId::Tcp | TransportId::Unspecified => TransportId::Quic,
    };
    let moving = async {
        let moved = session.migrate_to(other).await.unwrap();
        assert_eq!(moved.transport, other);
    };
    let receiving = async {
        let mut ended = BTreeSet::new();
        let mut results = 0;
        while ended.len() < FRAMES {
            let next = tokio::time::timeout(LONG, session.next()).await;
            let (key, item) = next.expect("nothing comes").unwrap();
            match item {
                FrameItem::Result(_) => results += 1,
                FrameItem::Hint(_) => {}
                FrameItem::End(end) => {
                    assert_eq!(end.outcome, FrameOutcome::Complete, "{end:?}");
                    assert!(ended.insert(key), "{key:?} ended twice");
                }
            }
        }
        results
    };
    let ((), (), results) = tokio::join!(submitting, moving, receiving);
    assert_eq!(results, FRAMES);
    assert_eq!(session.transport(), other);
}

#[tokio::test]
async fn a_session_whose_server_goes_is_followed_where_it_comes_back() {
    let served = served().await;
    let options = ConnectOptions::default()
        .with_policy(DialPolicy::ForceTcp)
        .with_reconnect(ReconnectOptions {
            backoff_min: Duration::from_millis(1),
            backoff_max: Duration::from_millis(20),
            attempts_max: None,
        });
    let session = served.connect(options).await;
    let mut events = session.events();
    session.call(submit_of(1, 10)).await.unwrap();
    let sessions: Vec<_> = (0..3)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move {
                let id = session.next_frame_id() + 10;
                session
                    .call(Submit {
                        trace_id: 5,
                        ..submit_of(id, 10)
                    })
                    .await
            })
        })
        .collect();
    for call in sessions {
        call.await.unwrap().unwrap();
    }
    served.server.stop("restart", Duration::from_secs(10)).await;
    let lost = tokio::time::timeout(LONG, async {
        while !matches!(events.next().await, Some(SessionEvent::Lost(_))) {}
    });
    lost.await.expect("it is not noticed");
    let end = tokio::time::timeout(LONG, session.close("")).await.unwrap();
    assert_eq!(end.to_string(), "the session was closed");
}
