//! Large frames, and many. spec: nnrp-session 3.1, Q-22

use bytes::Bytes;
use nnrp::client::Submit;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::ResultWorth;
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{FrameSubmit, ResultBody, ResultPush, SubmitBody};
use nodewire_testkit::NnrpTransport;
use serde_json::{Value, json};

use crate::content::Content;
use crate::ours::patient;
use crate::support::{TheirClient, TheirServer, next_result, next_submit, options, outcome};

const LARGE_BYTES: usize = 1 << 20;

fn large() -> Bytes {
    (0..=250).cycle().take(LARGE_BYTES).collect()
}

fn opaque() -> TypedPayload {
    TypedPayload::opaque_bytes(large())
}

/// The same for them.
fn told_opaque() -> Value {
    let payload = nodewire_testkit::to_hex(&large());
    json!({"frame_id": 1, "typed_payloads": [{"payload_kind": "OPAQUE_BYTES", "payload": payload}]})
}

#[tokio::test]
async fn their_large_frames_come_whole() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        pair.peer.submit(told_opaque()).await.unwrap();
        let submitted = next_submit(&session).await;
        let SubmitBody::Composed(body) = &submitted.message.body else {
            panic!("it has a typed payload");
        };
        assert!(body.body().typed.iter().eq([opaque()]));
        let result = ResultPush::builder(ResultWorth::COMPLETE).payload(opaque());
        submitted.answer.complete(result.build().unwrap()).unwrap();
        let told = pair.peer.receive().await.unwrap();
        let payload = &told["typed_payloads"][0]["payload"];
        assert!(*payload == told_opaque()["typed_payloads"][0]["payload"]);
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn our_large_frames_come_whole() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.accept(transport, patient()).await;
        let key = FrameKey::new(1);
        let submit = FrameSubmit::builder().payload(opaque()).build().unwrap();
        session.submit(Submit::new(key, submit)).await.unwrap();
        let told = pair.peer.receive().await.unwrap();
        let payload = &told["typed_payloads"][0]["payload"];
        assert!(*payload == told_opaque()["typed_payloads"][0]["payload"]);
        pair.peer.result(told_opaque()).await.unwrap();
        let result = next_result(&session, key).await.result;
        let ResultBody::Composed(body) = &result.body else {
            panic!("it has a typed payload");
        };
        assert!(body.body().typed.iter().eq([opaque()]));
        assert_eq!(outcome(&session, key).await, FrameOutcome::Complete);
        pair.closed(&session).await;
    }
}

const FRAMES: u32 = 64;

#[tokio::test]
async fn many_of_their_frames_are_in_flight() {
    let mut many = options();
    many.session.capabilities.max_concurrent_frames = 64;
    let mut pair = TheirClient::start_with(many).await;
    for transport in NnrpTransport::ALL {
        let (session, told) = pair.connect(transport, json!({})).await;
        assert_eq!(told["ack"]["metadata"]["max_concurrent_frames"], 64);
        let mut many = Content::Tensor.fields();
        (many["frame_id"], many["count"]) = (json!(1), json!(FRAMES));
        pair.peer.submit(many).await.unwrap();
        let mut frames = Vec::new();
        for _ in 0..FRAMES {
            frames.push(next_submit(&session).await);
        }
        for frame in frames.into_iter().rev() {
            frame.answer.complete(Content::Tensor.result()).unwrap();
        }
        let many = json!({"op": "receive_many", "count": FRAMES});
        let told = pair.peer.call(many).await.unwrap();
        let told = told.as_array().unwrap().iter();
        let mut ids: Vec<_> = told
            .map(|told| told["frame_id"].as_u64().unwrap())
            .collect();
        ids.sort_unstable();
        assert!(ids.into_iter().eq(1..=u64::from(FRAMES)));
        let frames = session.counters().frames;
        assert_eq!(frames.submitted, 64);
        assert_eq!(frames.done_as(FrameOutcome::Complete), 64);
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn many_of_our_frames_are_in_flight() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let accept = json!({"server_profile": {"max_concurrent_frames": FRAMES}});
        let (session, _) = pair.accept_with(transport, patient(), accept).await;
        let session = session.unwrap();
        for frame_id in 1..=FRAMES {
            let submit = Submit::new(FrameKey::new(frame_id), Content::Tensor.submit());
            session.try_submit(submit).unwrap();
        }
        let frames = session.counters().frames;
        assert_eq!((frames.submitted, frames.in_flight), (64, 64));
        pair.peer.call(json!({"op": "answer_all"})).await.unwrap();
        for frame_id in 1..=FRAMES {
            let key = FrameKey::new(frame_id);
            Content::Tensor.check_result(&next_result(&session, key).await.result);
            assert_eq!(outcome(&session, key).await, FrameOutcome::Complete);
        }
        let finished = json!({"op": "finished"});
        assert_eq!(pair.closed_after(&session, finished).await, FRAMES);
    }
}
