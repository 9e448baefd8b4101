//! Objects that a client has the server keep. spec: nnrp-session 4.4

use nnrp::server::{ServerOptions, Session};
use nnrp_wire::body::{ObjectReference, TypedPayload};
use nnrp_wire::metadata::{CacheAckMetadata, CacheInvalidateMetadata};
use nnrp_wire::session::{CacheLimits, SubmitFault};
use nnrp_wire::{
    CachePut, CacheStatus, Envelope, ErrorCode, ErrorScope, FrameSubmit, Message, ObjectKind,
};

use crate::support::{Peer, result, session};

fn reference(key: u64) -> ObjectReference {
    ObjectReference::new(ObjectKind::PayloadLayoutTemplate, 1, key)
}

fn referring(key: u64) -> FrameSubmit {
    FrameSubmit::builder()
        .payload(TypedPayload::token_chunk("in"))
        .reference(reference(key))
        .build()
        .unwrap()
}

async fn put(peer: &mut Peer, key: u64, object: &'static str) -> CacheAckMetadata {
    let put = CachePut::new(&reference(key), 0, object).unwrap();
    let message = Message::CachePut(put);
    peer.send(Envelope::session(1), message).await;
    let (_, message) = peer.next().await;
    let Message::CacheAck(ack) = message else {
        panic!("{message:?}");
    };
    assert_eq!((ack.cache_namespace, u64::from(ack.cache_key_lo)), (1, key));
    ack
}

/// A frame that refers to this is not answered but with CACHE_MISS.
async fn assert_missing(session: &Session, peer: &mut Peer, frame_id: u32, key: u64) {
    let before = session
        .counters()
        .tallies
        .refused_as(SubmitFault::CacheMiss);
    peer.submit(1, frame_id, referring(key)).await;
    let told = peer.error().await;
    assert_eq!(
        (told.code, told.scope),
        (ErrorCode::CacheMiss, ErrorScope::Frame)
    );
    assert_eq!((told.is_fatal, told.frame_id), (false, frame_id));
    assert_eq!(told.envelope.frame_id, frame_id);
    let after = session
        .counters()
        .tallies
        .refused_as(SubmitFault::CacheMiss);
    assert_eq!(after, before + 1);
}

/// A handler sees the object, and the frame is answered.
async fn assert_there(
    session: &Session,
    peer: &mut Peer,
    frame_id: u32,
    (key, object): (u64, &str),
) {
    peer.submit(1, frame_id, referring(key)).await;
    let frame = session.next_submit().await.unwrap();
    assert_eq!(frame.objects.len(), 1);
    let (found, bytes) = &frame.objects[0];
    assert_eq!(
        (found, bytes.as_ref()),
        (&reference(key), object.as_bytes())
    );
    frame.answer.complete(result()).unwrap();
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::ResultPush(_)), "{message:?}");
}

#[tokio::test]
async fn put_reference_replace_invalidate_miss() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    assert_missing(&session, &mut peer, 1, 7).await;
    let ack = put(&mut peer, 7, "first").await;
    assert_eq!(ack.status, CacheStatus::Accepted);
    assert_there(&session, &mut peer, 2, (7, "first")).await;
    let ack = put(&mut peer, 7, "second").await;
    assert_eq!(ack.status, CacheStatus::Replaced);
    assert_there(&session, &mut peer, 3, (7, "second")).await;

    let invalidate = CacheInvalidateMetadata::object(&reference(7), 0);
    let message = Message::CacheInvalidate(invalidate);
    peer.send(Envelope::session(1), message).await;
    assert_missing(&session, &mut peer, 4, 7).await;
}

#[tokio::test]
async fn the_server_forgets_and_says_so() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    put(&mut peer, 7, "x").await;
    let invalidate = CacheInvalidateMetadata::namespace(1, 3);
    session.invalidate(invalidate).await.unwrap();
    let (_, message) = peer.next().await;
    assert_eq!(message, Message::CacheInvalidate(invalidate));
    assert_missing(&session, &mut peer, 1, 7).await;
}

/// What was not used for longest gives way.
#[tokio::test]
async fn the_cache_is_bounded() {
    let mut options = ServerOptions::default();
    options.session.capabilities.cache = CacheLimits {
        entries_max: 2,
        object_bytes_max: 8,
        ..CacheLimits::default()
    };
    let (_server, session, mut peer) = session(options).await;
    put(&mut peer, 1, "one").await;
    put(&mut peer, 2, "two").await;
    assert_there(&session, &mut peer, 1, (1, "one")).await;
    put(&mut peer, 3, "three").await;
    assert_missing(&session, &mut peer, 2, 2).await;
    assert_there(&session, &mut peer, 3, (1, "one")).await;
    assert_there(&session, &mut peer, 4, (3, "three")).await;

    let ack = put(&mut peer, 4, "more than 8").await;
    assert_eq!(ack.status, CacheStatus::Rejected);
    assert_eq!(ack.detail_code, ErrorCode::LimitExceeded.number());
    assert_missing(&session, &mut peer, 5, 4).await;
}

/// A frame that came before keeps what it refers to.
#[tokio::test]
async fn a_frame_keeps_its_objects() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    put(&mut peer, 7, "first").await;
    peer.submit(1, 1, referring(7)).await;
    put(&mut peer, 7, "second").await;
    let frame = session.next_submit().await.unwrap();
    assert_eq!(frame.objects[0].1, "first");
    frame.answer.complete(result()).unwrap();
}

#[tokio::test]
async fn without_a_cache_nothing_is_kept() {
    let mut options = ServerOptions::default();
    options.session.capabilities.cache = CacheLimits::NONE;
    let (_server, session, mut peer) = session(options).await;
    let ack = put(&mut peer, 7, "x").await;
    assert_eq!(ack.status, CacheStatus::Rejected);
    assert_missing(&session, &mut peer, 1, 7).await;
}
