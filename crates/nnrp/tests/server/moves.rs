//! Sessions that move to another connection. spec: nnrp-session 4.6, A-6

use std::time::Duration;

use bytes::Bytes;
use nnrp::server::{Refused, Server, ServerOptions, Session};
use nnrp_wire::session::{FrameOutcome, MigrateRefusal, SubmitFault};
use nnrp_wire::{
    Envelope, ErrorCode, Message, ServerHelloAck, SessionMigrate, SessionMigrateAck, TransportId,
};

use crate::support::{Peer, result, submit};

struct Moving {
    server: Server,
    session: Session,
    old: Peer,
    token: Bytes,
}

/// The only extension of the answer.
fn token(ack: &ServerHelloAck) -> Bytes {
    assert_eq!(ack.extensions.len(), 1);
    ack.extensions[0].payload.clone()
}

/// A session with frame 7 in flight.
async fn moving(options: ServerOptions) -> (Moving, nnrp::server::Submitted) {
    let server = Server::new(options);
    let mut old = Peer::connect(&server);
    let ack = old.hello(1).await;
    let session = server.next_session().await.unwrap();
    old.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    let token = token(&ack);
    let moving = Moving {
        server,
        session,
        old,
        token,
    };
    (moving, frame)
}

impl Moving {
    /// Asks to move over another connection.
    async fn ask(
        &self,
        (from, to): (TransportId, TransportId),
        session_id: u32,
        body: Bytes,
    ) -> (Peer, SessionMigrateAck) {
        let mut peer = Peer::connect_as(&self.server, to);
        let migrate = SessionMigrate::new(from, to, 0, 5).unwrap().with_body(body);
        let message = Message::SessionMigrate(migrate);
        peer.send(Envelope::session(session_id), message).await;
        let (envelope, message) = peer.next().await;
        assert_eq!(envelope.session_id, session_id);
        let Message::SessionMigrateAck(ack) = message else {
            panic!("{message:?}");
        };
        (peer, ack)
    }

    async fn ask_rightly(&self) -> (Peer, SessionMigrateAck) {
        let transports = (TransportId::Tcp, TransportId::Quic);
        self.ask(transports, 1, self.token.clone()).await
    }
}

/// A result that has come for this frame.
async fn pushed(peer: &mut Peer, frame_id: u32) {
    let (envelope, message) = peer.next().await;
    assert!(matches!(message, Message::ResultPush(_)), "{message:?}");
    assert_eq!(envelope.frame_id, frame_id);
}

#[tokio::test(start_paused = true)]
async fn a_session_moves() {
    let (mut moving, seventh) = moving(ServerOptions::default()).await;
    let (mut new, ack) = moving.ask_rightly().await;
    assert_eq!(ack.metadata.accept_code, 0);
    assert_eq!(ack.metadata.resume_from_frame_id, 8);
    assert_eq!(ack.metadata.grace_window_ms, 2000);
    assert_eq!(moving.session.transport(), TransportId::Quic);

    // What went by the old connection is answered there, what goes by the new one here.
    new.submit(1, 8, submit()).await;
    let eighth = moving.session.next_submit().await.unwrap();
    eighth.answer.complete(result()).unwrap();
    pushed(&mut new, 8).await;
    seventh.answer.complete(result()).unwrap();
    pushed(&mut moving.old, 7).await;

    // The old one takes nothing that belongs to the new one, and is closed when the grace is over.
    moving.old.submit(1, 9, submit()).await;
    assert_eq!(moving.old.rest().await, []);
    let tallies = moving.session.counters().tallies;
    assert_eq!(tallies.refused_as(SubmitFault::OldPath), 1);
    new.ping(1).await;
    assert_eq!(moving.server.totals().migrations, 1);
    assert_eq!(tallies.migrations, 1);
}

/// A frame whose result takes longer than the grace is answered on the new connection.
#[tokio::test(start_paused = true)]
async fn results_follow_when_the_old_connection_is_gone() {
    let (mut moving, seventh) = moving(ServerOptions::default()).await;
    let (mut new, _) = moving.ask_rightly().await;
    assert_eq!(moving.old.rest().await, []);
    seventh.answer.complete(result()).unwrap();
    let is_push = |message: &Message| matches!(message, Message::ResultPush(_));
    let (envelope, _) = new.wait_for(is_push).await;
    assert_eq!(envelope.frame_id, 7);
    let frames = moving.session.counters().frames;
    assert_eq!(frames.done_as(FrameOutcome::Complete), 1);
}

/// The same if the old connection breaks before.
#[tokio::test]
async fn results_follow_when_the_old_connection_breaks() {
    let (moving, seventh) = moving(ServerOptions::default()).await;
    let (mut new, _) = moving.ask_rightly().await;
    drop(moving.old);
    // Once that is known, frame 7 goes by the new one. Until then, its result may be lost with the old one.
    for frame_id in 8..20 {
        new.submit(1, frame_id, submit()).await;
        let frame = moving.session.next_submit().await.unwrap();
        frame.answer.complete(result()).unwrap();
        pushed(&mut new, frame_id).await;
    }
    seventh.answer.complete(result()).unwrap();
    pushed(&mut new, 7).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_moves_there_and_back() {
    let (mut moving, seventh) = moving(ServerOptions::default()).await;
    seventh.answer.complete(result()).unwrap();
    pushed(&mut moving.old, 7).await;
    let (mut new, _) = moving.ask_rightly().await;
    // It cannot move on while it still moves.
    let back = (TransportId::Quic, TransportId::Tcp);
    let (mut refused, ack) = moving.ask(back, 1, moving.token.clone()).await;
    assert_eq!(ack.metadata.accept_code, MigrateRefusal::Busy.accept_code());
    assert_eq!(refused.rest().await, []);
    assert_eq!(moving.old.rest().await, []);

    let (mut last, ack) = moving.ask(back, 1, moving.token.clone()).await;
    assert_eq!(ack.metadata.accept_code, 0);
    assert_eq!(
        new.rest()
            .await
            .iter()
            .filter(|message| is_end(message))
            .count(),
        0
    );
    last.submit(1, 8, submit()).await;
    let eighth = moving.session.next_submit().await.unwrap();
    eighth.answer.complete(result()).unwrap();
    let is_push = |message: &Message| matches!(message, Message::ResultPush(_));
    last.wait_for(is_push).await;
}

fn is_end(message: &Message) -> bool {
    matches!(message, Message::ResultPush(_) | Message::ResultDrop)
}

/// The session stays where it is, and the connection ends.
async fn stays(mut moving: Moving, refused: (Peer, SessionMigrateAck), why: MigrateRefusal) {
    let (mut peer, ack) = refused;
    assert_eq!(ack.metadata.accept_code, why.accept_code());
    assert_eq!(ack.metadata.resume_from_frame_id, 0);
    assert_eq!(peer.rest().await, []);
    assert_eq!(
        moving.server.totals().refused(),
        [(Refused::Migration(why), 1)]
    );
    assert_eq!(moving.session.transport(), TransportId::Tcp);
    moving.old.submit(1, 100, submit()).await;
    let frame = moving.session.next_submit().await.unwrap();
    frame.answer.complete(result()).unwrap();
    let is_push = |message: &Message| matches!(message, Message::ResultPush(_));
    let (envelope, _) = moving.old.wait_for(is_push).await;
    assert_eq!(envelope.frame_id, 100);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_session_does_not_move() {
    let (moving, _frame) = moving(ServerOptions::default()).await;
    let transports = (TransportId::Tcp, TransportId::Quic);
    let refused = moving.ask(transports, 2, moving.token.clone()).await;
    stays(moving, refused, MigrateRefusal::UnknownSession).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_session_does_not_move() {
    let transports = (TransportId::Tcp, TransportId::Quic);
    for proof in ["", "x", "just as long as the token is, bytes"] {
        let (moving, _frame) = moving(ServerOptions::default()).await;
        let refused = moving.ask(transports, 1, proof.into()).await;
        stays(moving, refused, MigrateRefusal::NotAllowed).await;
    }
    // Another session's token is none.
    let (moving, _frame) = moving(ServerOptions::default()).await;
    let mut other = Peer::connect(&moving.server);
    let other = token(&other.hello(2).await);
    let refused = moving.ask(transports, 1, other).await;
    stays(moving, refused, MigrateRefusal::NotAllowed).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_does_not_move_from_where_it_is_not() {
    let (moving, _frame) = moving(ServerOptions::default()).await;
    let transports = (TransportId::Quic, TransportId::Tcp);
    let refused = moving.ask(transports, 1, moving.token.clone()).await;
    stays(moving, refused, MigrateRefusal::WrongTransport).await;
}

/// Clients of the reference cannot prove anything.
#[tokio::test]
async fn without_a_proof_if_that_is_allowed() {
    let options = ServerOptions {
        allows_unproven_migration: true,
        ..ServerOptions::default()
    };
    let transports = (TransportId::Tcp, TransportId::Quic);
    let (moving, _frame) = moving(options).await;
    // A wrong proof is worse than none.
    let (_, ack) = moving.ask(transports, 1, "x".into()).await;
    assert_eq!(
        ack.metadata.accept_code,
        MigrateRefusal::NotAllowed.accept_code()
    );
    let (_new, ack) = moving.ask(transports, 1, Bytes::new()).await;
    assert_eq!(ack.metadata.accept_code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_does_not_move() {
    let (moving, _frame) = moving(ServerOptions::default()).await;
    moving.session.close("");
    let (_, ack) = moving.ask_rightly().await;
    assert_eq!(ack.metadata.accept_code, MigrateRefusal::Busy.accept_code());
}

/// Cached objects and settings belong to the session, and the second connection is no second hello.
#[tokio::test]
async fn a_hello_on_the_new_connection_is_fatal() {
    let (moving, _frame) = moving(ServerOptions::default()).await;
    let (mut new, _) = moving.ask_rightly().await;
    new.send_hello(crate::support::hello(3)).await;
    let told = new.error().await;
    assert_eq!((told.code, told.is_fatal), (ErrorCode::InvalidState, true));
}

/// In the middle of many frames, none is lost and none comes twice.
#[tokio::test(start_paused = true)]
async fn a_move_in_the_middle_of_many_frames() {
    let mut options = ServerOptions::default();
    options.session.migration_grace = Duration::from_millis(50);
    let (mut moving, seventh) = moving(options).await;
    let mut frames = vec![seventh];
    for frame_id in 8..40 {
        moving.old.submit(1, frame_id, submit()).await;
        frames.push(moving.session.next_submit().await.unwrap());
    }
    let (mut new, ack) = moving.ask_rightly().await;
    assert_eq!(ack.metadata.resume_from_frame_id, 40);
    for frame_id in 40..70 {
        new.submit(1, frame_id, submit()).await;
        frames.push(moving.session.next_submit().await.unwrap());
    }
    for (count, frame) in frames.into_iter().enumerate() {
        if count % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        frame.answer.complete(result()).unwrap();
    }
    let old = moving.old.rest().await;
    moving.session.close("");
    new.finish().await;
    let new = new.rest().await;
    let count = |messages: &[Message]| messages.iter().filter(|message| is_end(message)).count();
    assert_eq!(count(&old) + count(&new), 63);
    assert!(count(&old) > 0 && count(&new) >= 30);
    let frames = moving.session.counters().frames;
    assert_eq!(frames.done_as(FrameOutcome::Complete), 63);
}
