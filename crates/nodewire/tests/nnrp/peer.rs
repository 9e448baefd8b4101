//! The unmodified client of the reference, over plain TCP and over QUIC.

use nnrp::{ListenerOptions, ServerTls};
use nnrp_wire::{DecodeOptions, Envelope, ErrorCode, Message};
use nodewire::RunningServer;
use nodewire::nnrp::NnrpConfig;
use nodewire_testkit::{NnrpPeer, NnrpTransport, SelfSignedCertificate, from_hex, to_hex};
use serde_json::{Value, json};

use crate::support::{Holding, nodes, soon};

async fn serve() -> (RunningServer, Holding, SelfSignedCertificate) {
    let certificate = SelfSignedCertificate::new().unwrap();
    let tls = ServerTls::from_files(certificate.certificate_path(), certificate.key_path());
    let address = ([127, 0, 0, 1], 0).into();
    let listener = ListenerOptions::plain_and_quic(address, tls.unwrap());
    let (builder, holding) = nodes();
    let server = builder.nnrp(NnrpConfig::with_listener(listener)).build();
    (server.unwrap().start().await.unwrap(), holding, certificate)
}

fn payload(kind: &str, content: &[u8]) -> Value {
    json!({"payload_kind": kind, "payload": to_hex(content), "profile_id": 0})
}

fn request(frame_id: u32, request: &str) -> Value {
    let event = payload("STRUCTURED_EVENT", request.as_bytes());
    json!({"frame_id": frame_id, "typed_payloads": [event]})
}

/// The kind, the profile and the content of each payload of a result.
fn told(result: &Value) -> Vec<(&str, u64, Vec<u8>)> {
    let payloads = result["typed_payloads"].as_array().unwrap();
    let told = payloads.iter().map(|each| {
        let kind = each["payload_kind"].as_str().unwrap();
        let content = from_hex(each["payload"].as_str().unwrap()).unwrap();
        (kind, each["profile_id"].as_u64().unwrap(), content)
    });
    told.collect()
}

#[tokio::test]
async fn the_reference_runs_nodes() {
    let (server, holding, _certificate) = serve().await;
    let port = server.nnrp_address().unwrap().port();
    for transport in NnrpTransport::ALL {
        let mut peer = NnrpPeer::client().await.unwrap();
        let options = json!({"requested_model": "echo"});
        let session = peer.connect(transport, port, options).await.unwrap();
        assert_eq!(session["ack_payload"], to_hex(b"echo"));

        let chunks = [
            payload("TOKEN_CHUNK", b"a"),
            payload("TOKEN_CHUNK", "é".as_bytes()),
        ];
        let frame = json!({"frame_id": 1, "typed_payloads": chunks});
        peer.submit(frame).await.unwrap();
        let result = peer.receive().await.unwrap();
        let wanted = [
            ("TOKEN_CHUNK", 1, b"> a".to_vec()),
            ("TOKEN_CHUNK", 1, "> é".as_bytes().to_vec()),
        ];
        assert_eq!(told(&result), wanted);

        // Bytes, by a request.
        let mut frame = request(2, r#"{"node": "pass"}"#);
        let bytes = vec![0xab; 1 << 10];
        let all = frame["typed_payloads"].as_array_mut().unwrap();
        all.push(payload("OPAQUE_BYTES", &bytes));
        peer.submit(frame).await.unwrap();
        let result = peer.receive().await.unwrap();
        assert_eq!(told(&result), [("OPAQUE_BYTES", 1, bytes)]);

        // Progress, a partial result and the last one.
        let mut frame = request(3, r#"{"node": "progress"}"#);
        frame["budget_policy"] = json!("ALLOW_PARTIAL");
        peer.submit(frame).await.unwrap();
        let mut results = Vec::new();
        for _ in 0..5 {
            results.push(peer.receive().await.unwrap());
        }
        // Over QUIC each has a stream of its own.
        let has = |wanted: (&str, u64, Vec<u8>)| {
            let mut all = results.iter().flat_map(told);
            assert!(all.any(|payload| payload == wanted), "{results:?}");
        };
        has(("TOKEN_CHUNK", 1, b"so far".to_vec()));
        has(("STRUCTURED_EVENT", 1, b"3".to_vec()));

        // A cancellation reaches the handler, and is answered with a drop.
        peer.submit(request(4, r#"{"node": "hold"}"#))
            .await
            .unwrap();
        Holding::one(&holding.started).await;
        let session_id = session["session_id"].as_u64().unwrap();
        let envelope = Envelope::frame(u32::try_from(session_id).unwrap(), 4);
        let mut cancel = Vec::new();
        Message::FrameCancel.encode(&envelope, &mut cancel).unwrap();
        peer.send_raw("main", "control", &cancel).await.unwrap();
        Holding::one(&holding.stopped).await;
        let result = peer.receive().await.unwrap();
        assert_eq!(result["frame_id"], 4);
        assert_eq!(result["type"], "RESULT_DROP");

        // An error comes by the control path, behind keep-alives.
        peer.submit(request(5, r#"{"node": "fail"}"#))
            .await
            .unwrap();
        let error = soon(async {
            loop {
                let packet = peer.packet("main", "control").await.unwrap();
                let read = Message::decode_bytes(packet.into(), &DecodeOptions::STRICT);
                if let Message::Error(error) = read.unwrap().1 {
                    return error;
                }
            }
        })
        .await;
        assert_eq!(error.metadata.known_code(), Some(ErrorCode::MalformedBody));
        assert_eq!(error.diagnostic, "invalid_input: boom: é");
        peer.close().await.unwrap();
    }
    let counters = server.executor().counters();
    assert!(counters.is_balanced());
    assert_eq!(
        (counters.completed, counters.cancelled, counters.failed),
        (6, 2, 2)
    );
}
