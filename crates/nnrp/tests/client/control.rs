//! What a client asks of the server beside frames.

use std::time::Duration;

use nnrp::client::{RequestError, SessionEvent};
use nnrp_wire::body::ObjectReference;
use nnrp_wire::metadata::{CacheAckMetadata, CacheInvalidateMetadata, TransportProbeAckMetadata};
use nnrp_wire::session::{PatchRules, Patching};
use nnrp_wire::{
    CachePut, CacheStatus, FlowReason, Message, MessageType, ObjectKind, SessionPatch,
};

use super::peer::{ack, connected, flow, until_idle};

fn put(key: u64) -> CachePut {
    let reference = ObjectReference::new(ObjectKind::CameraBlock, 0, key);
    CachePut::new(&reference, 0, "object").unwrap()
}

#[tokio::test]
async fn pings_are_shared_and_counted() {
    let (session, mut peer) = connected(1).await;
    let other = session.clone();
    let served = async {
        let (envelope, _) = peer.expect(MessageType::Ping).await;
        until_idle().await;
        peer.send(envelope, Message::Pong).await;
    };
    let (one, two, ()) = tokio::join!(session.ping(), other.ping(), served);
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(session.counters().round_trips.count, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_not_waited_for_forever() {
    let (session, mut peer) = connected(1).await;
    let error = session.ping().await.unwrap_err();
    assert!(
        matches!(error, RequestError::Unanswered { .. }),
        "{error:?}"
    );
    let error = session.patch(SessionPatch::new(0)).await.unwrap_err();
    assert!(
        matches!(error, RequestError::Unanswered { .. }),
        "{error:?}"
    );
    let error = session.put(put(1)).await.unwrap_err();
    assert!(
        matches!(error, RequestError::Unanswered { .. }),
        "{error:?}"
    );
    let error = session.probe(100).await.unwrap_err();
    assert!(
        matches!(error, RequestError::Unanswered { .. }),
        "{error:?}"
    );
    for expected in [
        MessageType::Ping,
        MessageType::SessionPatch,
        MessageType::CachePut,
        MessageType::TransportProbe,
    ] {
        peer.expect(expected).await;
    }
}

#[tokio::test]
async fn patches_go_one_by_one_and_say_what_holds() {
    let (session, mut peer) = connected(1).await;
    let served = async {
        let mut patching = Patching::new(PatchRules::default(), &ack(1));
        for _ in 0..2 {
            let (envelope, message) = peer.expect(MessageType::SessionPatch).await;
            let Message::SessionPatch(patch) = message else {
                panic!("{message:?}");
            };
            until_idle().await;
            let answer = patching.apply(&patch, Duration::ZERO);
            peer.send(envelope, Message::SessionPatchAck(answer)).await;
        }
        peer
    };
    let first = SessionPatch::new(0).with_quality_tier(5);
    let second = SessionPatch::new(0).with_target_cadence_x100(3000);
    let (first, second, mut peer) =
        tokio::join!(session.patch(first), session.patch(second), served);
    assert_eq!(first.unwrap().metadata.effective_quality_tier, 5);
    assert_eq!(second.unwrap().metadata.effective_target_cadence_x100, 3000);
    let settings = session.settings().unwrap();
    assert_eq!(
        (settings.quality_tier, settings.target_cadence_x100),
        (5, 3000)
    );

    // One that nobody waits for any more is answered nevertheless, and the next one gets its own answer.
    let abandoned = tokio::spawn({
        let session = session.clone();
        async move {
            session
                .patch(SessionPatch::new(0).with_quality_tier(1))
                .await
        }
    });
    let (envelope, _) = peer.expect(MessageType::SessionPatch).await;
    abandoned.abort();
    let _ = abandoned.await;
    let next = session.patch(SessionPatch::new(0).with_quality_tier(3));
    let served = async {
        let mut patching = Patching::new(PatchRules::default(), &ack(1));
        let late = SessionPatch::new(0).with_quality_tier(1);
        let late = patching.apply(&late, Duration::ZERO);
        peer.send(envelope, Message::SessionPatchAck(late)).await;
        let (envelope, message) = peer.expect(MessageType::SessionPatch).await;
        let Message::SessionPatch(patch) = message else {
            panic!("{message:?}");
        };
        let answer = patching.apply(&patch, Duration::ZERO);
        peer.send(envelope, Message::SessionPatchAck(answer)).await;
    };
    let (next, ()) = tokio::join!(next, served);
    assert_eq!(next.unwrap().metadata.effective_quality_tier, 3);
}

#[tokio::test]
async fn puts_are_answered_by_key() {
    let (session, mut peer) = connected(1).await;
    let served = async {
        let mut puts = Vec::new();
        for _ in 0..2 {
            match peer.expect(MessageType::CachePut).await {
                (envelope, Message::CachePut(put)) => puts.push((envelope, put)),
                other => panic!("{other:?}"),
            }
        }
        let statuses = [CacheStatus::Rejected, CacheStatus::Accepted];
        for ((envelope, put), status) in puts.into_iter().rev().zip(statuses) {
            let ack = CacheAckMetadata::to(&put.metadata, status);
            peer.send(envelope, Message::CacheAck(ack)).await;
        }
        peer
    };
    let (one, two, mut peer) = tokio::join!(session.put(put(1)), session.put(put(2)), served);
    assert_eq!(one.unwrap().status, CacheStatus::Accepted);
    assert_eq!(two.unwrap().status, CacheStatus::Rejected);

    let which = CacheInvalidateMetadata::session(0);
    session.invalidate(which).await.unwrap();
    peer.expect(MessageType::CacheInvalidate).await;
    session
        .flow_update(flow(FlowReason::Grant, 3, 1))
        .await
        .unwrap();
    peer.expect(MessageType::FlowUpdate).await;
    let wrong = nnrp_wire::metadata::FlowUpdateMetadata {
        operation_id: 9,
        ..flow(FlowReason::Grant, 3, 1)
    };
    let error = session.flow_update(wrong).await.unwrap_err();
    assert!(matches!(error, RequestError::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn a_probe_measures_the_session() {
    let (session, mut peer) = connected(1).await;
    let served = async {
        let (_, message) = peer.expect(MessageType::TransportProbe).await;
        let Message::TransportProbe(probe) = message else {
            panic!("{message:?}");
        };
        assert_eq!(probe.payload.len(), 1000);
        let ack = TransportProbeAckMetadata::new(probe.metadata.probe_id, 0);
        peer.send(
            nnrp_wire::Envelope::default(),
            Message::TransportProbeAck(ack),
        )
        .await;
    };
    let (sample, ()) = tokio::join!(session.probe(1000), served);
    assert!(sample.unwrap().round_trip_us >= 1);
}

#[tokio::test]
async fn events_tell_what_the_server_says() {
    let (session, mut peer) = connected(1).await;
    let mut events = session.events();
    peer.flow(FlowReason::Grant, 3, 1).await;
    let which = CacheInvalidateMetadata::session(0);
    peer.send(
        nnrp_wire::Envelope::session(super::peer::SESSION),
        Message::CacheInvalidate(which),
    )
    .await;
    peer.send(
        nnrp_wire::Envelope::session(super::peer::SESSION),
        Message::Close("bye".into()),
    )
    .await;
    drop(peer);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(event);
    }
    assert!(
        matches!(
            &seen[..],
            [
                SessionEvent::Flow(_),
                SessionEvent::CacheInvalidated(_),
                SessionEvent::CloseReceived(reason),
                SessionEvent::Ended(nnrp::client::SessionEnd::ClosedByServer { .. })
            ] if reason == "bye"
        ),
        "{seen:?}"
    );
}
