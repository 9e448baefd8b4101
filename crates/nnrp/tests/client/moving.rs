//! Sessions that move to another transport, and sessions that follow lost ones.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nnrp::Link;
use nnrp::client::{
    ConnectOptions, Connector, FrameItem, MigrateError, ReconnectOptions, Session, SessionEnd,
    SessionEvent, Submit, SubmitError, WatchOptions,
};
use nnrp::server::{Server, ServerOptions};
use nnrp_wire::metadata::SessionMigrateAckMetadata;
use nnrp_wire::session::{FrameOutcome, MigrateMisuse, MigrationFailure, MonitorOptions};
use nnrp_wire::{
    ControlExtension, ControlExtensionFlags, Envelope, HeaderFlags, Message, MessageType,
    ServerHelloAck, SessionMigrate, SessionMigrateAck, TransportId,
};
use tokio::sync::mpsc;

use super::peer::{LONG, Peer, SESSION, ack, connected, result_of, submit, until_idle};

/// A connection that counts as QUIC, and its server's end.
fn other_way() -> (Link, Peer) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let link = Link::from_stream(near).counted_as(TransportId::Quic);
    (link, Peer::new(far))
}

fn migrate_ack(accept_code: u32, resume_from_frame_id: u64) -> Message {
    Message::SessionMigrateAck(SessionMigrateAck {
        metadata: SessionMigrateAckMetadata {
            accept_code,
            resume_from_frame_id,
            grace_window_ms: 1000,
            server_migrate_ts_us: 0,
        },
        body: bytes::Bytes::new(),
    })
}

async fn asked_to_move(peer: &mut Peer) -> SessionMigrate {
    match peer.expect(MessageType::SessionMigrate).await {
        (envelope, Message::SessionMigrate(migrate)) => {
            assert_eq!(envelope.session_id, SESSION);
            migrate
        }
        other => panic!("{other:?}"),
    }
}

/// What was received, by frame: results, and ends.
type Seen = BTreeMap<u32, (usize, Vec<FrameOutcome>)>;

async fn receive_next(session: &Session, seen: &mut Seen) {
    let next = tokio::time::timeout(LONG, session.next()).await;
    let (key, item) = next.expect("nothing comes").unwrap();
    let frame = seen.entry(key.frame_id).or_default();
    match item {
        FrameItem::Result(_) => frame.0 += 1,
        FrameItem::Hint(_) => {}
        FrameItem::End(end) => frame.1.push(end.outcome),
    }
}

fn ends(seen: &Seen) -> usize {
    seen.values().map(|(_, ends)| ends.len()).sum()
}

/// To the end of so many frames.
async fn received(session: &Session, frames: usize) -> Seen {
    let mut seen = Seen::new();
    while ends(&seen) < frames {
        receive_next(session, &mut seen).await;
    }
    seen
}

#[tokio::test]
async fn the_token_of_the_hello_proves_whose_session_it_is() {
    let (near, far) = tokio::io::duplex(4096);
    let mut peer = Peer::new(far);
    let token = ControlExtension {
        ext_type: 0xf0a6,
        flags: ControlExtensionFlags::empty(),
        payload: vec![9; 32].into(),
    };
    let hello = ServerHelloAck::new(ack(16)).with_extension(token);
    let connecting = Session::over(Link::from_stream(near), ConnectOptions::default());
    let (session, _) = tokio::join!(connecting, peer.accept_as(hello));
    let session = session.unwrap();
    // It is nobody's business.
    assert!(session.established().unwrap().extensions.is_empty());
    let (link, mut other) = other_way();
    let served = async {
        let migrate = asked_to_move(&mut other).await;
        assert_eq!(migrate.body, vec![9; 32]);
        other
            .send(Envelope::session(SESSION), migrate_ack(0, 1))
            .await;
    };
    let (moved, ()) = tokio::join!(session.migrate(link), served);
    assert_eq!(moved.unwrap().transport, TransportId::Quic);
    assert_eq!(session.transport(), TransportId::Quic);
    session.submit(submit(1)).await.unwrap();
    other.submitted().await;
}

#[tokio::test]
async fn frames_that_the_server_has_not_got_are_submitted_again() {
    let (session, mut peer) = connected(16).await;
    for id in 1..=4 {
        session.submit(submit(id)).await.unwrap();
    }
    let mut old = Vec::new();
    for _ in 1..=4 {
        old.push(peer.submitted().await);
    }
    let (link, mut other) = other_way();
    let served = async {
        asked_to_move(&mut other).await;
        // As if the last two had not come.
        other
            .send(Envelope::session(SESSION), migrate_ack(0, 3))
            .await;
        for id in 3..=4 {
            let again = other.submitted().await;
            assert_eq!(again.frame_id, id);
            assert!(again.flags.contains(HeaderFlags::RETRANSMIT));
            other
                .answer(&Envelope {
                    flags: HeaderFlags::empty(),
                    ..again
                })
                .await;
        }
    };
    let (moved, ()) = tokio::join!(session.migrate(link), served);
    assert_eq!(moved.unwrap().resubmitted, 2);
    // What the old connection says of them is not counted.
    for envelope in &old {
        peer.answer(envelope).await;
    }
    let seen = received(&session, 4).await;
    assert_eq!(seen.len(), 4);
    assert!(
        seen.values()
            .all(|frame| *frame == (1, vec![FrameOutcome::Complete])),
        "{seen:?}"
    );
    while session.counters().packets.duplicate + session.counters().packets.late < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(session.counters().migrations, 1);
    let error = session.submit(submit(2)).await.unwrap_err();
    assert!(
        matches!(error, SubmitError::Refused(_)),
        "ids must grow: {error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_fails_leaves_the_session_where_it_was() {
    let (session, mut peer) = connected(16).await;
    let mut events = session.events();

    let (link, mut other) = other_way();
    let served = async {
        asked_to_move(&mut other).await;
        other
            .send(Envelope::session(SESSION), migrate_ack(2, 0))
            .await;
        other.ended().await;
    };
    let (moved, ()) = tokio::join!(session.migrate(link), served);
    let refused = MigrationFailure::Refused { accept_code: 2 };
    assert!(matches!(moved, Err(MigrateError::Failed(failure)) if failure == refused));

    let (link, other) = other_way();
    drop(other);
    let error = session.migrate(link).await.unwrap_err();
    assert!(
        matches!(error, MigrateError::Failed(MigrationFailure::Path(_))),
        "{error:?}"
    );

    // Nobody answers.
    let (link, _silent) = other_way();
    let error = session.migrate(link).await.unwrap_err();
    assert!(
        matches!(error, MigrateError::Failed(MigrationFailure::Timeout)),
        "{error:?}"
    );

    let (near, _far) = tokio::io::duplex(64);
    let error = session.migrate(Link::from_stream(near)).await.unwrap_err();
    assert!(
        matches!(error, MigrateError::Misuse(_)),
        "it is on TCP: {error:?}"
    );
    let error = session.migrate_to(TransportId::Quic).await.unwrap_err();
    assert!(matches!(error, MigrateError::CannotDial), "{error:?}");

    assert_eq!(session.transport(), TransportId::Tcp);
    session.submit(submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    peer.answer(&envelope).await;
    received(&session, 1).await;
    for _ in 0..3 {
        let event = events.next().await.unwrap();
        assert!(
            matches!(event, SessionEvent::MigrationFailed(_)),
            "{event:?}"
        );
    }
}

/// A connection to a real server, which counts as that transport.
fn link_to(server: &Server, transport: TransportId) -> Link {
    let (near, far) = tokio::io::duplex(8 << 10);
    server.adopt_link(Link::from_stream(far).counted_as(transport));
    Link::from_stream(near).counted_as(transport)
}

/// Answers each frame when 32 are behind it; after the last one, all.
async fn answer_late(session: nnrp::server::Session) {
    let mut waiting = VecDeque::new();
    while let Some(frame) = session.next_submit().await {
        let is_last = frame.envelope.trace_id == LAST;
        waiting.push_back(frame);
        while waiting.len() > 32 || (is_last && !waiting.is_empty()) {
            let frame = waiting.pop_front().unwrap();
            frame.answer.complete(result_of(500)).unwrap();
        }
    }
}

const LAST: u64 = 77;

/// Moves as soon as the last move is over.
async fn move_to(session: &Session, server: &Server, transport: TransportId) {
    loop {
        match session.migrate(link_to(server, transport)).await {
            Ok(moved) => {
                assert_eq!(moved.transport, transport);
                return;
            }
            Err(MigrateError::Misuse(MigrateMisuse::UnderWay))
            | Err(MigrateError::Failed(MigrationFailure::Refused { .. })) => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// 64 frames in flight while the session moves there and back, with a server that answers late.
#[tokio::test]
async fn none_of_64_frames_is_lost_or_comes_twice_when_the_session_moves() {
    let mut options = ServerOptions::default();
    options.session.capabilities.max_concurrent_frames = 64;
    options.session.migration_grace = Duration::from_millis(20);
    let server = Server::new(options);
    let link = link_to(&server, TransportId::Tcp);
    let (session, serving) = tokio::join!(
        Session::over(link, ConnectOptions::default()),
        server.next_session()
    );
    let session = session.unwrap();
    tokio::spawn(answer_late(serving.unwrap()));
    let has_moved = Cell::new(false);
    let submitting = async {
        loop {
            let is_last = has_moved.get();
            let id = session.next_frame_id();
            let frame = super::peer::submit_of(id, 500);
            let trace_id = if is_last { LAST } else { 0 };
            session.submit(Submit { trace_id, ..frame }).await.unwrap();
            if is_last {
                return id;
            }
        }
    };
    let moving = async {
        for transport in [TransportId::Quic, TransportId::Tcp, TransportId::Quic] {
            while session.counters().frames.in_flight < 32 {
                tokio::task::yield_now().await;
            }
            move_to(&session, &server, transport).await;
        }
        has_moved.set(true);
    };
    let frames = Cell::new(None);
    let submitting = async { frames.set(Some(submitting.await)) };
    let receiving = async {
        let mut seen = Seen::new();
        while frames
            .get()
            .is_none_or(|frames| ends(&seen) < frames as usize)
        {
            receive_next(&session, &mut seen).await;
        }
        seen
    };
    let ((), (), seen) = tokio::join!(submitting, moving, receiving);
    let frames = frames.get().unwrap();
    assert_eq!(seen.len(), frames as usize);
    assert!(
        seen.values()
            .all(|frame| *frame == (1, vec![FrameOutcome::Complete])),
        "{seen:?}"
    );
    let counters = session.counters();
    assert_eq!(counters.migrations, 3);
    assert_eq!(
        counters.frames.done_as(FrameOutcome::Complete),
        u64::from(frames)
    );
}

#[derive(Debug, thiserror::Error)]
#[error("nobody is there")]
struct Nobody;

/// Makes connections whose other ends come out here; none, once that is closed.
fn connector() -> (Connector, mpsc::Receiver<(Option<TransportId>, Peer)>) {
    let (sender, peers) = mpsc::channel(16);
    let connector = Connector::new(move |wanted| {
        let sender = sender.clone();
        async move {
            let (near, far) = tokio::io::duplex(64 << 10);
            let offered = sender.send((wanted.transport, Peer::new(far))).await;
            offered.map_err(|_| Nobody)?;
            let transport = wanted.transport.unwrap_or(TransportId::Tcp);
            Ok::<_, Nobody>(Link::from_stream(near).counted_as(transport))
        }
    });
    (connector, peers)
}

fn reconnecting(attempts_max: u32) -> ConnectOptions {
    ConnectOptions::default().with_reconnect(ReconnectOptions {
        attempts_max: Some(attempts_max),
        ..ReconnectOptions::default()
    })
}

async fn accepted(peers: &mut mpsc::Receiver<(Option<TransportId>, Peer)>) -> Peer {
    let (_, mut peer) = peers.recv().await.unwrap();
    peer.accept(16).await;
    peer
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_followed_by_a_new_one() {
    let (connector, mut peers) = connector();
    let connecting = Session::connect_with(connector, reconnecting(10));
    let (session, mut peer) = tokio::join!(connecting, accepted(&mut peers));
    let session = session.unwrap();
    let mut events = session.events();
    session.submit(submit(1)).await.unwrap();
    session.submit(submit(2)).await.unwrap();
    let first = peer.submitted().await;
    peer.answer(&first).await;
    peer.submitted().await;
    drop(peer);

    // Each ends once, as what it was.
    let seen = received(&session, 2).await;
    assert_eq!(seen[&1], (1, vec![FrameOutcome::Complete]));
    assert_eq!(seen[&2], (0, vec![FrameOutcome::ConnectionLost]));
    assert!(matches!(
        events.next().await,
        Some(SessionEvent::Lost(SessionEnd::Failed(_)))
    ));
    let refused = session.try_submit(submit(3)).unwrap_err();
    assert!(
        matches!(refused.why, SubmitError::Connecting),
        "{refused:?}"
    );

    // What is submitted meanwhile waits; the first new one breaks before there is a session.
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.call(submit(3)).await }
    });
    let (_, mut broken) = peers.recv().await.unwrap();
    broken.hello().await;
    drop(broken);
    let mut peer = accepted(&mut peers).await;
    let third = peer.submitted().await;
    peer.answer(&third).await;
    waiting.await.unwrap().unwrap();
    assert!(matches!(
        events.next().await,
        Some(SessionEvent::Reconnected(_))
    ));
    let counters = session.counters();
    assert_eq!((counters.reconnects, counters.frames.submitted), (1, 3));
    assert_eq!(counters.frames.done_total(), 3);

    let served = async {
        let (envelope, _) = peer.expect(MessageType::Close).await;
        peer.send(envelope, Message::Close("".into())).await;
        peer.ended().await;
    };
    let (end, ()) = tokio::join!(session.close(""), served);
    assert!(matches!(end, SessionEnd::Closed), "{end:?}");
    drop(session);
    assert!(
        peers.recv().await.is_none(),
        "one that was closed is not followed"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_not_tried_for_ever() {
    let (connector, mut peers) = connector();
    let connecting = Session::connect_with(connector, reconnecting(3));
    let (session, peer) = tokio::join!(connecting, accepted(&mut peers));
    let session = session.unwrap();
    let waiting = tokio::spawn({
        let session = session.clone();
        async move {
            while session
                .submit(submit(session.next_frame_id()))
                .await
                .is_ok()
            {
                until_idle().await;
            }
            session.submit(submit(session.next_frame_id())).await
        }
    });
    peers.close();
    drop(peer);
    let end = session.closed().await;
    assert!(
        matches!(end, SessionEnd::NotReconnected { attempts: 3, .. }),
        "{end:?}"
    );
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, SubmitError::Over(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_search_for_a_new_session() {
    let (connector, mut peers) = connector();
    let connecting = Session::connect_with(connector, reconnecting(3));
    let (session, peer) = tokio::join!(connecting, accepted(&mut peers));
    let session = session.unwrap();
    let mut events = session.events();
    drop(peer);
    assert!(matches!(events.next().await, Some(SessionEvent::Lost(_))));
    let (_, _silent) = peers.recv().await.unwrap();
    let end = session.close("").await;
    assert!(matches!(end, SessionEnd::Closed), "{end:?}");
    assert!(matches!(events.next().await, Some(SessionEvent::Ended(_))));
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_bad_connection_is_left() {
    let (connector, mut peers) = connector();
    let options = ConnectOptions::default().with_watch(WatchOptions {
        monitor: MonitorOptions {
            window: 2,
            degraded_max: 1,
            ..MonitorOptions::default()
        },
        migrates: true,
        ..WatchOptions::default()
    });
    let connecting = Session::connect_with(connector, options);
    let (session, mut peer) = tokio::join!(connecting, accepted(&mut peers));
    let session = session.unwrap();
    let mut events = session.events();
    // It answers, and then does not any more.
    let (ping, _) = peer.expect(MessageType::Ping).await;
    peer.send(ping, Message::Pong).await;
    let moved = tokio::spawn(async move {
        let (transport, mut other) = peers.recv().await.unwrap();
        assert_eq!(transport, Some(TransportId::Quic));
        asked_to_move(&mut other).await;
        other
            .send(Envelope::session(SESSION), migrate_ack(0, 1))
            .await;
        other
    });
    assert!(matches!(
        events.next().await,
        Some(SessionEvent::Degraded(_))
    ));
    assert!(matches!(
        events.next().await,
        Some(SessionEvent::Migrated(_))
    ));
    assert_eq!(session.transport(), TransportId::Quic);
    drop(moved.await.unwrap());
}
