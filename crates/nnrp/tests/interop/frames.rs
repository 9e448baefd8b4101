//! Frames and their results. spec: nnrp-session 3, 4.5

use nnrp::client::Submit;
use nnrp::server::DropReason;
use nnrp_wire::build::ResultWorth;
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{BudgetPolicy, Envelope, FrameSubmit, Message, ResultPush};
use nodewire_testkit::NnrpTransport;
use serde_json::{Value, json};

use crate::content::Content;
use crate::ours::patient;
use crate::raw::{soon, until};
use crate::support::{TheirClient, TheirServer, next_result, next_submit, outcome, packet};

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
