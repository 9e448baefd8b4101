//! Credit, pings and cached objects. spec: nnrp-session 4.1, 4.2, 4.4

use bytes::Bytes;
use nnrp::client::Submit;
use nnrp_wire::body::{ObjectReference, TensorSection};
use nnrp_wire::build::{TensorInput, Tiles};
use nnrp_wire::metadata::{CacheAckMetadata, CacheInvalidateMetadata, FlowUpdateMetadata};
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{
    CachePut, CacheStatus, DType, Envelope, FlowReason, FrameSubmit, Message, ObjectKind,
};
use nodewire_testkit::NnrpTransport;
use serde_json::json;

use crate::content::Content;
use crate::ours::patient;
use crate::raw::soon;
use crate::support::{TheirClient, TheirServer, next_result, next_submit, outcome, packet};

#[tokio::test]
async fn credit_goes_both_ways_with_their_client() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        session.grant(3).await.unwrap();
        let told = json!({"op": "receive_flow_update"});
        let told = pair.peer.call(told).await.unwrap();
        assert_eq!(told["metadata"]["session_credit"], 3);
        assert_eq!(told["metadata"]["flags"], "CREDIT_VALID");

        // A client that takes no results now gets no partial ones.
        let pause =
            json!({"op": "flow_update", "update_reason": "PAUSE", "backpressure_level": "HARD"});
        pair.peer.call(pause).await.unwrap();
        let frame = json!({"frame_id": 1, "budget_policy": "ALLOW_PARTIAL"});
        pair.peer.submit(frame).await.unwrap();
        let frame = next_submit(&session).await;
        // Over QUIC the frame may be ahead of the update.
        let ping = packet(Envelope::session(session.id()), Message::Ping);
        pair.peer.send_raw("main", "control", &ping).await.unwrap();
        let pong = json!({"op": "packet_of", "message_type": "PONG"});
        pair.peer.call(pong).await.unwrap();
        let result = Content::Tensor.result();
        let mut partial = Box::pin(frame.answer.partial(result.clone()));
        assert!(futures_util::poll!(&mut partial).is_pending());
        assert_eq!(session.counters().tallies.stalls, 1);
        let resume = json!({"op": "flow_update", "update_reason": "RESUME"});
        pair.peer.call(resume).await.unwrap();
        soon("room", &mut partial).await.unwrap();
        drop(partial);
        frame.answer.complete(result).unwrap();
        for flags in ["NONE", "EOS"] {
            assert_eq!(pair.peer.receive().await.unwrap()["flags"], flags);
        }
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn credit_goes_both_ways_with_their_server() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.accept(transport, patient()).await;
        let update = FlowUpdateMetadata::session(FlowReason::Grant).with_credit(5, 1);
        session.flow_update(update).await.unwrap();
        let told = json!({"op": "packet_of", "message_type": "FLOW_UPDATE"});
        let told = pair.peer.call(told).await.unwrap();
        assert_eq!(told["metadata"]["session_credit"], 5);

        // One frame may be in flight, so that the second waits until the first has ended; then two.
        let mut events = session.events();
        let credit = |credit: u16, epoch: u32| {
            json!({
                "op": "flow_update", "update_reason": "REDUCE", "flags": "CREDIT_VALID",
                "session_credit": credit, "credit_epoch": epoch,
            })
        };
        pair.peer.call(credit(1, 1)).await.unwrap();
        soon("the update", events.next()).await.unwrap();
        let submit = |frame_id| Submit::new(FrameKey::new(frame_id), Content::Tensor.submit());
        session.try_submit(submit(1)).unwrap();
        session.try_submit(submit(2)).unwrap_err();
        let second = session.submit(submit(2));
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        let answer = json!({"frame_id": 1});
        pair.peer.receive().await.unwrap();
        pair.peer.result(answer).await.unwrap();
        soon("credit", second).await.unwrap();
        session.try_submit(submit(3)).unwrap_err();
        pair.peer.call(credit(2, 2)).await.unwrap();
        soon("credit", session.submit(submit(3))).await.unwrap();
        assert_eq!(session.counters().frames.in_flight, 2);
        pair.peer.call(json!({"op": "answer_all"})).await.unwrap();
        for frame_id in [1, 2, 3] {
            let key = FrameKey::new(frame_id);
            next_result(&session, key).await;
            assert_eq!(outcome(&session, key).await, FrameOutcome::Complete);
        }
        let finished = json!({"op": "finished"});
        // The first one was answered before.
        assert_eq!(pair.closed_after(&session, finished).await, 2);
    }
}

#[tokio::test]
async fn their_pings_are_answered_and_ours_need_not_be() {
    let (mut client, mut server) = tokio::join!(TheirClient::start(), TheirServer::start());
    for transport in NnrpTransport::ALL {
        let (session, _) = client.connect(transport, json!({})).await;
        let ping = Envelope {
            route_id: 4,
            trace_id: 5,
            ..Envelope::session(session.id())
        };
        let ping = packet(ping, Message::Ping);
        client
            .peer
            .send_raw("main", "control", &ping)
            .await
            .unwrap();
        let pong = json!({"op": "packet_of", "message_type": "PONG"});
        let pong = client.peer.call(pong).await.unwrap();
        assert_eq!(
            (&pong["route_id"], &pong["trace_id"]),
            (&json!(4), &json!(5))
        );
        client.closed(&session).await;

        let (session, _) = server.accept(transport, patient()).await;
        let asking = tokio::spawn({
            let session = session.clone();
            async move { session.ping().await }
        });
        let ping = json!({"op": "packet_of", "message_type": "PING"});
        let ping = server.peer.call(ping).await.unwrap();
        let pong = Envelope {
            trace_id: ping["trace_id"].as_u64().unwrap(),
            ..Envelope::session(session.id())
        };
        let pong = packet(pong, Message::Pong);
        server
            .peer
            .send_raw("main", "control", &pong)
            .await
            .unwrap();
        soon("the answer", asking).await.unwrap().unwrap();
        server.closed(&session).await;
    }
}

const CAMERA: ObjectReference = ObjectReference::new(ObjectKind::CameraBlock, 1, 0x10_0000_0002);

/// A frame whose camera is in the cache.
fn referencing() -> FrameSubmit {
    let payloads = [Bytes::from_static(b"\xaa")];
    let sections = [TensorSection::new(1, DType::UInt8, &payloads)];
    let tensor = TensorInput {
        tiles: Tiles::raw(&[3]),
        sections: &sections,
        ..TensorInput::default()
    };
    let builder = FrameSubmit::builder().tensor(tensor).reference(CAMERA);
    builder.build().unwrap()
}

#[tokio::test]
async fn our_server_keeps_their_objects() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        let envelope = Envelope::session(session.id());
        let ack = json!({"op": "packet_of", "message_type": "CACHE_ACK"});
        for status in [CacheStatus::Accepted, CacheStatus::Replaced] {
            let put = CachePut::new(&CAMERA, 0, "camera!!").unwrap();
            let put = packet(envelope, put);
            pair.peer.send_raw("main", "control", &put).await.unwrap();
            let told = pair.peer.call(ack.clone()).await.unwrap();
            let bytes = nodewire_testkit::from_hex(told["hex"].as_str().unwrap()).unwrap();
            let told = nnrp_wire::Packet::decode(bytes.into()).unwrap();
            let (_, Message::CacheAck(told)) = crate::raw::message(&told) else {
                panic!("{told:?}");
            };
            assert_eq!(told.status, status);
        }
        // Their own client makes the reference.
        let reference = json!({
            "object_kind": "CAMERA_BLOCK", "ref_flags": 0, "cache_namespace": 1, "cache_key_hi": 0x10, "cache_key_lo": 2,
        });
        let mut frame = Content::Tensor.fields();
        frame["submit_mode"] = json!("MIXED");
        frame["object_ref_mask"] = json!(1);
        frame["camera_reference"] = reference;
        frame["frame_id"] = json!(1);
        pair.peer.submit(frame.clone()).await.unwrap();
        let submitted = next_submit(&session).await;
        assert_eq!(submitted.objects, [(CAMERA, Bytes::from("camera!!"))]);
        submitted.answer.complete(Content::Tensor.result()).unwrap();
        pair.peer.receive().await.unwrap();
        // Then it is forgotten. A PING that is answered shows that this has been seen.
        let forget = Message::CacheInvalidate(CacheInvalidateMetadata::object(&CAMERA, 0));
        for message in [forget, Message::Ping] {
            let message = packet(envelope, message);
            pair.peer
                .send_raw("main", "control", &message)
                .await
                .unwrap();
        }
        let pong = json!({"op": "packet_of", "message_type": "PONG"});
        pair.peer.call(pong).await.unwrap();
        frame["frame_id"] = json!(2);
        pair.peer.submit(frame).await.unwrap();
        let told = json!({"op": "packet_of", "message_type": "ERROR"});
        let told = pair.peer.call(told).await.unwrap();
        assert_eq!(told["metadata"]["error_code"], 10, "{told}");
        assert_eq!(told["metadata"]["related_frame_id"], 2);
        pair.closed(&session).await;
    }
}

#[tokio::test]
async fn our_client_has_their_server_keep_objects() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let mut options = patient();
        // It says that it keeps nothing.
        options.session.puts_without_cache = true;
        let (session, _) = pair.accept(transport, options).await;
        let putting = tokio::spawn({
            let session = session.clone();
            let put = CachePut::new(&CAMERA, 0, "camera!!").unwrap();
            async move { session.put(put).await }
        });
        let told = json!({"op": "packet_of", "message_type": "CACHE_PUT"});
        let told = pair.peer.call(told).await.unwrap();
        assert_eq!(told["body"], nodewire_testkit::to_hex(b"camera!!"));
        let put = CachePut::new(&CAMERA, 0, "camera!!").unwrap();
        let ack = CacheAckMetadata::to(&put.metadata, CacheStatus::Accepted);
        let ack = packet(Envelope::session(session.id()), ack);
        pair.peer.send_raw("main", "control", &ack).await.unwrap();
        let ack = soon("the answer", putting).await.unwrap().unwrap();
        assert_eq!(ack.status, CacheStatus::Accepted);
        let key = FrameKey::new(1);
        let submit = Submit::new(key, referencing());
        session.submit(submit).await.unwrap();
        let told = pair.peer.receive().await.unwrap();
        assert_eq!(told["request"]["submit_mode"], "MIXED");
        let reference = &told["request"]["camera_reference"];
        assert_eq!(reference["cache_key_hi"], 0x10, "{told}");
        pair.peer.result(json!({"frame_id": 1})).await.unwrap();
        next_result(&session, key).await;
        assert_eq!(outcome(&session, key).await, FrameOutcome::Complete);
        session
            .invalidate(CacheInvalidateMetadata::object(&CAMERA, 0))
            .await
            .unwrap();
        let told = json!({"op": "packet_of", "message_type": "CACHE_INVALIDATE"});
        pair.peer.call(told).await.unwrap();
        pair.closed(&session).await;
    }
}
