//! Frames and their results. spec: nnrp-session 3, 4.5

use bytes::Bytes;
use nnrp::client::Submit;
use nnrp::server::DropReason;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::ResultWorth;
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{BudgetPolicy, Envelope, FrameSubmit, Message, ResultBody, ResultPush, SubmitBody};
use nodewire_testkit::NnrpTransport;
use serde_json::{Value, json};

use crate::content::Content;
use crate::ours::patient;
use crate::raw::{soon, until};
use crate::support::{
    TheirClient, TheirServer, next_result, next_submit, options, outcome, packet,
};

fn with(mut fields: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    fields.as_object_mut().unwrap().extend(more);
    fields
}

#[tokio::test]
async fn their_frames_are_answered() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        for (frame_id, content) in (1..).zip(Content::ALL) {
            let ids = json!({"frame_id": frame_id, "view_id": 3, "route_id": 4, "trace_id": 5});
            pair.peer.submit(with(content.fields(), ids)).await.unwrap();
            let frame = next_submit(&session).await;
            assert_eq!(
                frame.key,
                FrameKey {
                    frame_id,
                    view_id: 3
                }
            );
            assert_eq!((frame.envelope.route_id, frame.envelope.trace_id), (4, 5));
            content.check_submit(&frame.message);
            frame.answer.complete(content.result()).unwrap();
            let told = pair.peer.receive().await.unwrap();
            content.check_told(&told);
            let ids = ["frame_id", "view_id", "route_id", "trace_id"].map(|id| &told[id]);
            assert_eq!(ids, [&json!(frame_id), &json!(3), &json!(4), &json!(5)]);
        }
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn our_frames_are_answered() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.accept(transport, patient()).await;
        for (frame_id, content) in (1..).zip(Content::ALL) {
            let key = FrameKey {
                frame_id,
                view_id: 3,
            };
            let submit = Submit {
                route_id: 4,
                trace_id: 5,
                ..Submit::new(key, content.submit())
            };
            session.submit(submit).await.unwrap();
            let told = pair.peer.receive().await.unwrap();
            content.check_told(&told);
            let ids = json!({"frame_id": frame_id, "view_id": 3, "route_id": 4, "trace_id": 5});
            for (id, value) in ids.as_object().unwrap() {
                assert_eq!(told[id], *value);
            }
            pair.peer.result(with(content.fields(), ids)).await.unwrap();
            let result = next_result(&session, key).await;
            content.check_result(&result.result);
            assert_eq!((result.envelope.route_id, result.envelope.trace_id), (4, 5));
            assert_eq!(outcome(&session, key).await, FrameOutcome::Complete);
        }
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn their_router_gets_our_results_in_any_order() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        pair.peer.call(json!({"op": "route"})).await.unwrap();
        for view_id in [0, 2] {
            let frames = json!({"frame_id": 815, "count": 3, "view_id": view_id});
            pair.peer.submit(frames).await.unwrap();
            let mut frames = Vec::new();
            for _ in 0..3 {
                frames.push(next_submit(&session).await);
            }
            frames.sort_by_key(|frame| frame.key.frame_id);
            let [first, second, third] = <[_; 3]>::try_from(frames).unwrap();
            second.answer.complete(Content::Tensor.result()).unwrap();
            assert!(third.answer.drop_frame(DropReason::Other));
            first.answer.complete(Content::Typed.result()).unwrap();
            for (frame_id, kind) in [
                (815, "RESULT_PUSH"),
                (816, "RESULT_PUSH"),
                (817, "RESULT_DROP"),
            ] {
                let receive = json!({"op": "receive", "frame_id": frame_id, "view_id": view_id});
                assert_eq!(pair.peer.call(receive).await.unwrap()["type"], kind);
            }
        }
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn our_client_gets_their_results_in_any_order() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.accept(transport, patient()).await;
        for view_id in [0, 2] {
            let keys = [815, 816, 817].map(|frame_id| FrameKey { frame_id, view_id });
            for key in keys {
                let submit = Submit::new(key, Content::Tensor.submit());
                session.submit(submit).await.unwrap();
            }
            let many = json!({"op": "receive_many", "count": 3});
            pair.peer.call(many).await.unwrap();
            let ids = json!({"frame_id": 816, "view_id": view_id});
            let result = with(Content::Tensor.fields(), ids);
            pair.peer.result(result).await.unwrap();
            let drop = json!({"op": "drop", "frame_id": 817, "view_id": view_id});
            pair.peer.call(drop).await.unwrap();
            let ids = json!({"frame_id": 815, "view_id": view_id});
            let result = with(Content::Typed.fields(), ids);
            pair.peer.result(result).await.unwrap();
            for (key, content) in [(keys[0], Content::Typed), (keys[1], Content::Tensor)] {
                content.check_result(&next_result(&session, key).await.result);
                assert_eq!(outcome(&session, key).await, FrameOutcome::Complete);
            }
            assert_eq!(outcome(&session, keys[2]).await, FrameOutcome::Dropped);
        }
        pair.closed(&session).await;
    }
}

/// A result of which one of two tiles is there.
fn partial() -> ResultPush {
    let mut result = Content::Tensor.result();
    let metadata = &mut result.metadata;
    metadata.result_class = ResultWorth::PARTIAL.class;
    metadata.result_flags = ResultWorth::PARTIAL.flags;
    metadata.applied_budget_policy = ResultWorth::PARTIAL.applied_policy;
    (metadata.covered_tile_count, metadata.dropped_tile_count) = (1, 1);
    result
}

fn allowing_partial() -> FrameSubmit {
    let mut submit = Content::Tensor.submit();
    submit.metadata.budget_policy = BudgetPolicy::ALLOW_PARTIAL;
    submit
}

#[tokio::test]
async fn their_frames_get_parts_before_the_last() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        let ids = json!({"frame_id": 7, "budget_policy": "ALLOW_PARTIAL"});
        let frame = with(Content::Tensor.fields(), ids);
        pair.peer.submit(frame).await.unwrap();
        let frame = next_submit(&session).await;
        frame.answer.partial(partial()).await.unwrap();
        let told = pair.peer.receive().await.unwrap();
        assert_eq!(told["metadata"]["result_class"], "PARTIAL");
        assert_eq!(told["flags"], "NONE");
        frame.answer.complete(Content::Tensor.result()).unwrap();
        let told = pair.peer.receive().await.unwrap();
        assert_eq!(told["metadata"]["result_class"], "COMPLETE");
        assert_eq!(told["flags"], "EOS");
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn our_frames_get_parts_before_the_last() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.accept(transport, patient()).await;
        // Partial, then complete.
        let key = FrameKey::new(7);
        let submit = Submit::new(key, allowing_partial());
        session.submit(submit).await.unwrap();
        pair.peer.receive().await.unwrap();
        let part = json!({
            "frame_id": 7, "result_class": "PARTIAL", "result_flags": "PARTIAL",
            "applied_budget_policy": "ALLOW_PARTIAL", "covered_tile_count": 1, "dropped_tile_count": 1,
        });
        pair.peer
            .result(with(Content::Tensor.fields(), part))
            .await
            .unwrap();
        let part = next_result(&session, key).await;
        assert_eq!(part.result.metadata.dropped_tile_count, 1);
        let rest = with(Content::Tensor.fields(), json!({"frame_id": 7}));
        pair.peer.result(rest).await.unwrap();
        let last = next_result(&session, key).await;
        assert_eq!(last.result.metadata.dropped_tile_count, 0);
        assert_eq!(outcome(&session, key).await, FrameOutcome::Complete);
        // A stream of complete ones, to the one with the flag.
        let key = FrameKey::new(8);
        let submit = Submit {
            is_stream: true,
            ..Submit::new(key, Content::Typed.submit())
        };
        session.submit(submit).await.unwrap();
        pair.peer.receive().await.unwrap();
        for flags in ["NONE", "NONE", "EOS"] {
            let ids = json!({"frame_id": 8, "flags": flags});
            let result = with(Content::Typed.fields(), ids);
            pair.peer.result(result).await.unwrap();
            Content::Typed.check_result(&next_result(&session, key).await.result);
        }
        assert_eq!(outcome(&session, key).await, FrameOutcome::Complete);
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn their_cancellation_is_answered_with_a_drop() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        pair.peer.submit(json!({"frame_id": 7})).await.unwrap();
        let frame = next_submit(&session).await;
        let cancel = packet(Envelope::frame(session.id(), 7), Message::FrameCancel);
        pair.peer
            .send_raw("main", "control", &cancel)
            .await
            .unwrap();
        soon("the cancellation", frame.answer.cancelled()).await;
        frame.answer.complete(Content::Tensor.result()).unwrap_err();
        let told = pair.peer.receive().await.unwrap();
        assert_eq!(told["type"], "RESULT_DROP");
        // The next one is answered as any other.
        pair.peer.submit(json!({"frame_id": 8})).await.unwrap();
        let frame = next_submit(&session).await;
        frame.answer.complete(Content::Tensor.result()).unwrap();
        let told = pair.peer.receive().await.unwrap();
        assert_eq!(
            (&told["type"], &told["frame_id"]),
            (&json!("RESULT_PUSH"), &json!(8))
        );
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn our_cancellation_reaches_their_server() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.accept(transport, patient()).await;
        let key = FrameKey::new(7);
        let submit = Submit::new(key, Content::Tensor.submit());
        session.submit(submit).await.unwrap();
        pair.peer.receive().await.unwrap();
        assert!(session.cancel(key));
        assert_eq!(outcome(&session, key).await, FrameOutcome::Cancelled);
        let told = json!({"op": "packet_of", "message_type": "FRAME_CANCEL"});
        assert_eq!(pair.peer.call(told).await.unwrap()["frame_id"], 7);
        assert_eq!(session.counters().frames.cancelling, 1);
        let drop = json!({"op": "drop", "frame_id": 7});
        pair.peer.call(drop).await.unwrap();
        let is_answered = || session.counters().frames.cancelling == 0;
        until("the answer", is_answered).await;
        pair.closed(&session).await;
    }
}

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
        pair.peer
            .submit(with(
                Content::Tensor.fields(),
                json!({"frame_id": 1, "count": FRAMES}),
            ))
            .await
            .unwrap();
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
