//! What they do beyond what was agreed on, and ours bears. spec: nnrp-session

use bytes::Bytes;
use nnrp::client::Submit;
use nnrp::server::Session;
use nnrp_wire::FrameSubmit;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::session::{FrameKey, SubmitFault};
use nodewire_testkit::NnrpTransport;
use serde_json::json;

use crate::content::Content;
use crate::ours::patient;
use crate::raw::soon;
use crate::support::{TheirClient, TheirServer, next_submit, options};

/// The codes of errors of frames.
const MALFORMED_BODY: u32 = 5;
const LIMIT_EXCEEDED: u32 = 7;

/// Their client is told about one frame.
async fn check_refusal(pair: &mut TheirClient, frame_id: u32, code: u32) {
    let error = json!({"op": "packet_of", "message_type": "ERROR"});
    let error = pair.peer.call(error).await.unwrap();
    let metadata = &error["metadata"];
    assert_eq!(metadata["error_code"], code, "{error}");
    assert_eq!(metadata["error_scope"], "FRAME", "{error}");
    assert_eq!(metadata["related_frame_id"], frame_id, "{error}");
    assert_eq!(metadata["is_fatal"], 0, "{error}");
}

/// The session is none the worse.
async fn answer_next(pair: &mut TheirClient, session: &Session, frame_id: u32) {
    let submit = json!({"frame_id": frame_id});
    pair.peer.submit(submit).await.unwrap();
    let frame = next_submit(session).await;
    frame.answer.complete(Content::Tensor.result()).unwrap();
    assert_eq!(pair.peer.receive().await.unwrap()["frame_id"], frame_id);
}

#[tokio::test]
async fn their_frames_beyond_the_window_are_refused_one_by_one() {
    let mut strict = options();
    strict.session.capabilities.max_concurrent_frames = 1;
    strict.session.credit_excess_max = 0;
    let mut pair = TheirClient::start_with(strict).await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        let frames = json!({"frame_id": 1, "count": 3});
        pair.peer.submit(frames).await.unwrap();
        let taken = next_submit(&session).await;
        // Over QUIC, any of them may be the first, and the others come in any order.
        let mut told = Vec::new();
        for _ in 0..2 {
            let error = json!({"op": "packet_of", "message_type": "ERROR"});
            let error = pair.peer.call(error).await.unwrap();
            assert_eq!(error["metadata"]["error_code"], LIMIT_EXCEEDED, "{error}");
            told.push(error["frame_id"].as_u64().unwrap());
        }
        told.push(taken.key.frame_id.into());
        told.sort_unstable();
        assert_eq!(told, [1, 2, 3]);
        taken.answer.complete(Content::Tensor.result()).unwrap();
        pair.peer.receive().await.unwrap();
        let tallies = session.counters().tallies;
        assert_eq!(tallies.refused_as(SubmitFault::TooMany), 2);
        answer_next(&mut pair, &session, 4).await;
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn their_frames_that_are_too_large_are_refused_one_by_one() {
    let mut small = options();
    small.session.capabilities.max_body_bytes = 1000;
    let mut pair = TheirClient::start_with(small).await;
    let large = json!([{"payload_kind": "OPAQUE_BYTES", "payload": "00".repeat(2000)}]);
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        let frame = json!({"frame_id": 1, "typed_payloads": large});
        pair.peer.submit(frame).await.unwrap();
        check_refusal(&mut pair, 1, LIMIT_EXCEEDED).await;
        answer_next(&mut pair, &session, 2).await;
        pair.closed(&session).await;
    }
}

/// Their client builds them, and no reader takes them (nnrp-wire Q14; nnrp-session Q-10 would have them taken).
#[tokio::test]
async fn their_frames_of_nothing_are_refused_one_by_one() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        let frame = json!({"frame_id": 1, "payload_kind_bitmap": "TOKEN_CHUNK"});
        pair.peer.submit(frame).await.unwrap();
        check_refusal(&mut pair, 1, MALFORMED_BODY).await;
        answer_next(&mut pair, &session, 2).await;
        pair.closed(&session).await;
    }
}

/// Their server fails as a whole if any stream is reset: ours writes what it has begun, even if nobody wants it any more.
#[tokio::test]
async fn a_session_that_is_dropped_resets_nothing() {
    let mut pair = TheirServer::start().await;
    let (session, _) = pair.accept(NnrpTransport::Quic, patient()).await;
    let payload = Bytes::from(vec![7; 4 << 20]);
    for frame_id in 1..=3 {
        let submit = FrameSubmit::builder().payload(TypedPayload::opaque_bytes(payload.clone()));
        let submit = Submit::new(FrameKey::new(frame_id), submit.build().unwrap());
        soon("a submit", session.submit(submit)).await.unwrap();
    }
    drop(session);
    let end = pair.peer.wait_for_end().await.unwrap();
    assert!(end.kind.ends_with("ConnectionClosedError"), "{end:?}");
    assert!(!end.message.contains("reset"), "{end:?}");
}
