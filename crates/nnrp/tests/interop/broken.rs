//! What is no packet, and what comes in part. spec: nnrp-session 1.4, Q-05, Q-17

use nnrp::client::{SessionEnd, Submit};
use nnrp_wire::session::{Failure, FrameKey, FrameOutcome, PathEnd};
use nnrp_wire::{ClientHello, Envelope, Message, MessageType};
use nodewire_testkit::{NnrpTransport, SelfSignedCertificate};
use serde_json::json;

use crate::content::Content;
use crate::ours::{OurServer, patient, session_over};
use crate::raw::{RawConnection, RawListener, message, soon};
use crate::support::{
    TheirClient, TheirServer, next_result, next_submit, options, outcome, packet,
};

const GARBAGE: [u8; 64] = [b'X'; 64];

#[tokio::test]
async fn their_garbage_ends_our_session() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        pair.peer
            .send_raw("main", "control", &GARBAGE)
            .await
            .unwrap();
        // The word may be lost with the connection there; the recorded exchange shows it.
        let end = pair.peer.wait_for_end().await.unwrap();
        assert!(end.kind.ends_with("ConnectionClosedError"), "{end:?}");
        let end = soon("the end", session.ended()).await;
        assert!(
            matches!(
                end,
                nnrp::server::SessionEnd::Failed(Failure::Path(PathEnd::Framing(_)))
            ),
            "{end:?}"
        );
        pair.peer.close().await.unwrap();
    }
}

#[tokio::test]
async fn their_garbage_ends_our_client() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.accept(transport, patient()).await;
        let key = FrameKey::new(1);
        let submit = Submit::new(key, Content::Tensor.submit());
        session.submit(submit).await.unwrap();
        pair.peer
            .send_raw("main", "control", &GARBAGE)
            .await
            .unwrap();
        match soon("the end", session.closed()).await {
            SessionEnd::Failed(failure) => assert!(
                matches!(*failure, Failure::Path(PathEnd::Framing(_))),
                "{failure:?}"
            ),
            other => panic!("{other:?}"),
        }
        assert_eq!(outcome(&session, key).await, FrameOutcome::ConnectionLost);
        pair.peer.wait_for_end().await.unwrap();
        pair.peer.close().await.unwrap();
    }
}

/// A part of a packet.
fn stump() -> Vec<u8> {
    let mut submit = packet(Envelope::frame(1, 9), Content::Tensor.submit());
    submit.truncate(70);
    submit
}

#[tokio::test]
async fn their_stumps_end_a_stream_or_a_session() {
    let mut pair = TheirClient::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        pair.peer
            .send_raw("main", "submit", &stump())
            .await
            .unwrap();
        if transport == NnrpTransport::Quic {
            // One packet is lost, and nothing else.
            pair.peer.submit(json!({"frame_id": 10})).await.unwrap();
            let frame = next_submit(&session).await;
            assert_eq!(frame.key.frame_id, 10);
            frame.answer.complete(Content::Tensor.result()).unwrap();
            pair.peer.receive().await.unwrap();
        }
        pair.peer.close().await.unwrap();
        let end = soon("the end", session.ended()).await;
        let is_lost = matches!(
            end,
            nnrp::server::SessionEnd::Failed(Failure::Path(PathEnd::Lost))
        );
        assert_eq!(is_lost, transport == NnrpTransport::Tcp, "{end:?}");
    }
}

#[tokio::test]
async fn stumps_of_their_server_end_a_stream_or_a_session() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.accept(transport, patient()).await;
        let keys = [9, 10].map(FrameKey::new);
        for key in keys {
            let submit = Submit::new(key, Content::Tensor.submit());
            session.submit(submit).await.unwrap();
            pair.peer.receive().await.unwrap();
        }
        pair.peer
            .send_raw("main", "result", &stump())
            .await
            .unwrap();
        if transport == NnrpTransport::Quic {
            pair.peer.result(json!({"frame_id": 10})).await.unwrap();
            next_result(&session, keys[1]).await;
            assert_eq!(outcome(&session, keys[1]).await, FrameOutcome::Complete);
        }
        pair.peer.close().await.unwrap();
        let end = soon("the end", session.closed()).await;
        let is_lost = match &end {
            SessionEnd::Failed(failure) => matches!(**failure, Failure::Path(PathEnd::Lost)),
            _ => false,
        };
        assert_eq!(is_lost, transport == NnrpTransport::Tcp, "{end:?}");
        let first = outcome(&session, keys[0]).await;
        assert_eq!(first, FrameOutcome::ConnectionLost);
    }
}

/// Begins a packet on a stream of its own, and resets that.
async fn reset_a_stream(raw: &RawConnection) {
    let mut stream = raw.quic().open_uni().await.unwrap();
    stream.write_all(&stump()).await.unwrap();
    stream.reset(0_u32.into()).unwrap();
}

/// The reference fails as a whole there, and has no call to do it.
#[tokio::test]
async fn a_stream_that_is_reset_is_the_loss_of_one_packet_for_our_server() {
    let server = OurServer::start(options()).await;
    let connecting =
        RawConnection::connect(NnrpTransport::Quic, server.port(), &server.certificate);
    let mut raw = connecting.await;
    let hello = ClientHello::new(nnrp_wire::session::REFERENCE_HELLO);
    raw.send_message(Envelope::default(), Message::ClientHello(hello))
        .await;
    let (_, ack) = raw.message_of(MessageType::ServerHelloAck).await;
    let Message::ServerHelloAck(ack) = ack else {
        panic!("{ack:?}");
    };
    let session = server.session().await;
    for frame_id in 1..=3 {
        reset_a_stream(&raw).await;
        let submit = packet(
            Envelope::frame(ack.metadata.session_id, frame_id),
            Content::Tensor.submit(),
        );
        raw.send(&submit).await;
        let frame = next_submit(&session).await;
        assert_eq!(frame.key.frame_id, frame_id);
        frame.answer.complete(Content::Tensor.result()).unwrap();
        let result = raw.packet_of(MessageType::ResultPush).await;
        assert_eq!(result.header().frame_id, frame_id);
    }
    raw.finish().await;
    soon("the end", session.ended()).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_is_the_loss_of_one_packet_for_our_client() {
    let certificate = SelfSignedCertificate::new().unwrap();
    let listener = RawListener::bind(&certificate).await;
    let session = session_over(
        NnrpTransport::Quic,
        listener.port(),
        &certificate,
        patient(),
    );
    let answered = async {
        let mut raw = listener.accept(NnrpTransport::Quic).await;
        let (_, hello) = message(&raw.packet().await.unwrap());
        let Message::ClientHello(hello) = hello else {
            panic!("{hello:?}");
        };
        let capabilities = nnrp_wire::session::ServerCapabilities::default();
        let ack = nnrp_wire::ServerHelloAck::new(capabilities.negotiate(&hello).unwrap());
        let envelope = Envelope::session(ack.metadata.session_id);
        raw.send_message(envelope, Message::ServerHelloAck(ack))
            .await;
        raw
    };
    let (session, mut raw) = tokio::join!(session, answered);
    let session = session.unwrap();
    for frame_id in 1..=3 {
        let key = FrameKey::new(frame_id);
        let submit = Submit::new(key, Content::Tensor.submit());
        session.submit(submit).await.unwrap();
        raw.packet_of(MessageType::FrameSubmit).await;
        reset_a_stream(&raw).await;
        let envelope = Envelope::frame(session.id(), frame_id);
        raw.send(&packet(envelope, Content::Tensor.result())).await;
        next_result(&session, key).await;
        assert_eq!(outcome(&session, key).await, FrameOutcome::Complete);
    }
    raw.finish().await;
    soon("the end", session.closed()).await;
}
