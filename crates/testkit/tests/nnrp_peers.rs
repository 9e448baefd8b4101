//! The harness of the NNRP peer itself: the real client against the real server, over TCP and QUIC.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use nodewire_testkit::{
    NnrpPeer, NnrpServerOptions, NnrpSmokeCommand, NnrpTraceEvent, NnrpTransport,
    SelfSignedCertificate, nnrp_traces,
};
use serde_json::{Value, json};

use NnrpTransport::{Quic, Tcp};

struct Pair {
    client: NnrpPeer,
    server: NnrpPeer,
    certificate: SelfSignedCertificate,
}

impl Pair {
    async fn start() -> Self {
        Self::with(NnrpServerOptions::default()).await
    }

    async fn with(options: NnrpServerOptions<'_>) -> Self {
        let certificate = SelfSignedCertificate::new().unwrap();
        let options = NnrpServerOptions {
            certificate: Some(&certificate),
            ..options
        };
        let (client, server) =
            tokio::try_join!(NnrpPeer::client(), NnrpPeer::server(options)).unwrap();
        Self {
            client,
            server,
            certificate,
        }
    }

    /// A session, and what both sides tell of it.
    async fn connect(
        &mut self,
        transport: NnrpTransport,
        connect: Value,
        accept: Value,
    ) -> (Value, Value) {
        let port = self.server.port(transport).unwrap();
        let client = self.client.connect(transport, port, connect);
        tokio::try_join!(client, self.server.accept(transport, accept)).unwrap()
    }

    /// A session with nothing special.
    async fn connected(transport: NnrpTransport) -> Self {
        let mut pair = Self::start().await;
        pair.connect(transport, json!({}), json!({})).await;
        pair
    }

    async fn closed(&mut self) {
        self.client.close().await.unwrap();
        let end = self.server.wait_for_end().await.unwrap();
        assert!(end.kind.ends_with("ConnectionClosedError"), "{end:?}");
        self.server.close().await.unwrap();
    }
}

fn section(role_id: u16, payloads: &[&str]) -> Value {
    json!({"role_id": role_id, "default_codec_id": 0, "dtype_id": "UINT8", "tile_payloads": payloads})
}

/// spec: nnrp-session 2.2, 2.3
#[tokio::test]
async fn sessions_begin_with_a_hello() {
    let mut pair = Pair::start().await;
    for transport in NnrpTransport::ALL {
        let authority = pair.certificate.certificate_path();
        let connect = json!({
            "requested_session_id": 9, "requested_model": "sr-é", "forced": transport.as_str(),
            "control_extensions": [{"ext_type": 0x7001, "payload": "aabb"}],
            "quic": {"verify": true, "cafile": authority},
        });
        let accept = json!({
            "session_id": 44, "active_model_name": "sr-1",
            "server_profile": {"max_concurrent_frames": 3},
        });
        let (session, hello) = pair.connect(transport, connect, accept).await;
        assert_eq!(session["session_id"], 44);
        assert_eq!(session["transport"], transport.as_str());
        assert_eq!(session["ack_payload"], "73722d31");
        assert_eq!(session["ack"]["metadata"]["max_concurrent_frames"], 3);
        assert_eq!(hello["hello"]["metadata"]["requested_session_id"], 9);
        assert_eq!(hello["auth_block"], "73722dc3a9");
        let types = hello["control_extensions"].as_array().unwrap();
        let types: Vec<_> = types.iter().map(|entry| &entry["ext_type"]).collect();
        assert_eq!(types, [0x0101, 0x7001]);
        pair.closed().await;
    }
}

/// spec: nnrp-session 3.1, 3.2
#[tokio::test]
async fn frames_have_tensors_and_typed_payloads() {
    for transport in NnrpTransport::ALL {
        let mut pair = Pair::connected(transport).await;
        let typed = json!([{"payload_kind": "TOKEN_CHUNK", "payload": "0102", "profile_id": 4}]);
        let tensor =
            json!({"tile_ids": [1, 2], "sections": [section(1, &["aa", "bbcc"])], "view_id": 3});
        let mut mixed = tensor.clone();
        mixed["typed_payloads"] = typed.clone();
        let bodies = [tensor, json!({"typed_payloads": typed}), mixed];
        for (frame_id, body) in (1..).zip(bodies) {
            let mut frame = body.clone();
            frame["frame_id"] = json!(frame_id);
            pair.client.submit(frame.clone()).await.unwrap();
            let submit = pair.server.receive().await.unwrap();
            pair.server.result(frame).await.unwrap();
            let result = pair.client.receive().await.unwrap();
            assert_eq!(submit["type"], "FRAME_SUBMIT");
            assert_eq!(result["type"], "RESULT_PUSH");
            for received in [submit, result] {
                assert_eq!(received["frame_id"], frame_id);
                let or = |value: &Value, other| {
                    if value.is_null() {
                        other
                    } else {
                        value.clone()
                    }
                };
                assert_eq!(received["view_id"], or(&body["view_id"], json!(0)));
                assert_eq!(received["tile_ids"], or(&body["tile_ids"], json!([])));
                let typed = or(&body["typed_payloads"], json!([]));
                assert_eq!(received["typed_payloads"], typed);
                let payloads = &received["sections"][0]["tile_payloads"];
                assert_eq!(*payloads, body["sections"][0]["tile_payloads"]);
            }
        }
        pair.closed().await;
    }
}

/// spec: nnrp-session 3.3
#[tokio::test]
async fn results_come_in_any_order_and_drops_too() {
    for transport in NnrpTransport::ALL {
        let mut pair = Pair::connected(transport).await;
        let Pair { client, server, .. } = &mut pair;
        client.call(json!({"op": "route"})).await.unwrap();
        client
            .submit(json!({"frame_id": 815, "count": 3}))
            .await
            .unwrap();
        let submits = json!({"op": "receive_many", "count": 3});
        let submits = server.call(submits).await.unwrap();
        assert_eq!(submits[2], json!({"frame_id": 817, "view_id": 0}));
        server.result(json!({"frame_id": 816})).await.unwrap();
        server
            .call(json!({"op": "drop", "frame_id": 817}))
            .await
            .unwrap();
        server.result(json!({"frame_id": 815})).await.unwrap();
        for (frame_id, kind) in [
            (815, "RESULT_PUSH"),
            (816, "RESULT_PUSH"),
            (817, "RESULT_DROP"),
        ] {
            let command = json!({"op": "receive", "frame_id": frame_id});
            assert_eq!(client.call(command).await.unwrap()["type"], kind);
        }
        pair.closed().await;
    }
}

/// spec: nnrp-session 4.1
#[tokio::test]
async fn credit_goes_both_ways() {
    for transport in NnrpTransport::ALL {
        let mut pair = Pair::connected(transport).await;
        let Pair { client, server, .. } = &mut pair;
        let update = json!({"op": "flow_update", "session_credit": 3, "flags": "CREDIT_VALID"});
        server.call(update.clone()).await.unwrap();
        client.call(update).await.unwrap();
        let command = json!({"op": "receive_flow_update"});
        let at_client = client.call(command).await.unwrap();
        let at_server = server.call(json!({"op": "packet"})).await.unwrap();
        for received in [at_client, at_server] {
            assert_eq!(received["metadata"]["session_credit"], 3, "{received}");
        }
        let connection = json!({"op": "flow_update", "scope_kind": "CONNECTION"});
        let refused = client.failure(connection).await.unwrap();
        assert_eq!(refused.kind, "ValueError", "{refused:?}");
        pair.closed().await;
    }
}

/// spec: nnrp-session 4.6
#[tokio::test]
async fn sessions_move_to_the_other_transport() {
    for transport in NnrpTransport::ALL {
        let mut pair = Pair::connected(transport).await;
        let Pair { client, server, .. } = &mut pair;
        let other = transport.other();
        let mut migrate =
            json!({"op": "migrate", "to": "new", "last_result_frame_id": 6, "body": "70726f6f66"});
        migrate[other.port_key()] = json!(server.port(other).unwrap());
        let answered = async {
            let open = json!({"op": "open", "on": "new", "transport": other.as_str()});
            server.call(open).await?;
            let answer = json!({"op": "answer_migrate", "on": "new", "old": "main", "resume_from_frame_id": 7});
            server.call(answer).await
        };
        let (outcome, asked) = tokio::try_join!(client.call(migrate), answered).unwrap();
        assert_eq!(outcome["accepted"], true);
        assert_eq!(outcome["resume_from_frame_id"], 7);
        assert_eq!(asked["body"], "70726f6f66");
        assert_eq!(asked["metadata"]["new_transport_id"], other.as_str());
        assert_eq!(asked["metadata"]["last_result_frame_id"], 6);

        let early = json!({"op": "submit", "on": "new", "frame_id": 6});
        assert_eq!(client.failure(early).await.unwrap().kind, "ValueError");
        let submit = json!({"op": "submit", "on": "new", "frame_id": 7});
        client.call(submit).await.unwrap();
        let receive = json!({"op": "receive", "on": "new"});
        assert_eq!(server.call(receive).await.unwrap()["frame_id"], 7);
        let close = json!({"op": "close", "on": "new"});
        client.call(close).await.unwrap();
        pair.closed().await;
    }
}

/// spec: nnrp-session 2.6
#[tokio::test]
async fn probes_choose_a_transport() {
    let mut pair = Pair::start().await;
    let Pair { client, server, .. } = &mut pair;
    let once = json!({"op": "once", "kind": "probe", "transport": "QUIC", "connection_count": 2});
    let quic_port = server.call(once).await.unwrap();
    let tcp_port = server.port(Tcp).unwrap();
    let answered = async {
        for name in ["first", "second"] {
            let open = json!({"op": "open", "transport": "TCP", "on": name});
            server.call(open).await?;
            let answer = json!({"op": "answer_probe", "on": name});
            let probe = server.call(answer).await?;
            assert_eq!(probe["metadata"]["probe_payload_bytes"], 1000);
        }
        server.call(json!({"op": "finished"})).await
    };
    let probe = json!({
        "op": "probe", "tcp_port": tcp_port, "quic_port": quic_port,
        "probe_sample_count": 2, "probe_payload_bytes": 1000,
    });
    let (selection, _) = tokio::try_join!(client.call(probe), answered).unwrap();
    for transport in ["tcp", "quic"] {
        assert_eq!(selection[transport]["success_count"], 2, "{selection}");
        assert_eq!(selection[transport]["failure_count"], 0, "{selection}");
    }
    let selected = selection["selected"].as_str().unwrap();
    assert!(["TCP", "QUIC"].contains(&selected), "{selection}");
}

/// spec: nnrp-session 1.3, 1.4, Q-05
#[tokio::test]
async fn bytes_that_are_no_packet_end_a_connection_locally() {
    for transport in NnrpTransport::ALL {
        for (queue, bytes, said) in [
            ("control", &[b'X'; 40][..], "failed to decode packet"),
            ("submit", b"NNRP", "trailing bytes of an incomplete packet"),
        ] {
            let mut pair = Pair::connected(transport).await;
            let Pair { client, server, .. } = &mut pair;
            client.send_raw("main", queue, bytes).await.unwrap();
            if queue == "submit" && transport == Tcp {
                client.close().await.unwrap();
            }
            let end = server.wait_for_end().await.unwrap();
            assert!(end.kind.ends_with("ProtocolError"), "{end:?}");
            assert!(end.message.contains(said), "{end:?}");
        }
    }
}

/// spec: nnrp-session Q-03
#[tokio::test]
async fn clients_of_tcp_do_not_wait_forever() {
    let mut pair = Pair::start().await;
    let connect = json!({"tcp": {"idle_timeout": 5}});
    pair.connect(Tcp, connect, json!({})).await;
    let end = pair.client.wait_for_end().await.unwrap();
    assert!(
        end.message.contains("idle timeout expired after 5.0s"),
        "{end:?}"
    );
    let submit = json!({"op": "submit", "frame_id": 1});
    let failure = pair.client.failure(submit).await.unwrap();
    assert_eq!(failure.kind, "NnrpTcpConnectionClosedError");
}

/// spec: nnrp-session 5.2
#[tokio::test]
async fn servers_answer_all_and_stop() {
    for transport in NnrpTransport::ALL {
        let mut pair = Pair::connected(transport).await;
        let Pair { client, server, .. } = &mut pair;
        server.call(json!({"op": "answer_all"})).await.unwrap();
        client
            .submit(json!({"frame_id": 1, "count": 64}))
            .await
            .unwrap();
        let results = json!({"op": "receive_many", "count": 64});
        let results = client.call(results).await.unwrap();
        assert_eq!(results.as_array().unwrap().len(), 64);
        pair.client.close().await.unwrap();
        let answered = pair.server.call(json!({"op": "finished"})).await.unwrap();
        assert_eq!(answered, 64);
        pair.server.close().await.unwrap();

        pair.connect(transport, json!({}), json!({})).await;
        pair.server.close().await.unwrap();
        let end = pair.client.wait_for_end().await.unwrap();
        assert!(end.kind.ends_with("ConnectionClosedError"), "{end:?}");
    }
}

/// spec: nnrp-session 8.2, 8.3
#[tokio::test]
async fn smoke_flows_run() {
    let mut pair = Pair::start().await;
    let Pair { client, server, .. } = &mut pair;
    for transport in NnrpTransport::ALL {
        let once = json!({"op": "once", "kind": "smoke", "transport": transport.as_str(), "session_id": 17});
        let port = server.call(once).await.unwrap();
        let smoke = json!({"op": "smoke", "transport": transport.as_str(), "port": port, "requested_session_id": 9, "timeout": 30});
        let transcript = client.call(smoke).await.unwrap();
        let at_server = server.call(json!({"op": "finished"})).await.unwrap();
        for (transcript, role) in [(transcript, "client"), (at_server, "server")] {
            assert_eq!(transcript["role"], role);
            assert_eq!(transcript["requested_session_id"], 9);
            assert_eq!(transcript["negotiated_session_id"], 17);
            assert_eq!(transcript["result_tile_count"], 3);
        }
        let once = json!({"op": "once", "kind": "hello", "transport": transport.as_str()});
        let port = server.call(once).await.unwrap().as_u64().unwrap();
        let port = u16::try_from(port).unwrap();
        let session = client.connect(transport, port, json!({})).await.unwrap();
        assert_eq!(session["session_id"], 7);
        server.call(json!({"op": "finished"})).await.unwrap();
        client.close().await.unwrap();
    }
}

/// spec: nnrp-session 8.5
#[tokio::test]
async fn the_console_command_runs() {
    let certificate = SelfSignedCertificate::new().unwrap();
    let (server, port) = NnrpSmokeCommand::server(&certificate, &["--session-id", "17"]).unwrap();
    let client =
        NnrpSmokeCommand::client(port, Some(&certificate), &["--frame-id", "303"]).unwrap();
    let (client, server) = tokio::try_join!(client.transcript(), server.transcript()).unwrap();
    for (transcript, role) in [(client, "client"), (server, "server")] {
        assert_eq!(transcript["role"], role);
        assert_eq!(transcript["negotiated_session_id"], "17");
        assert_eq!(transcript["frame_id"], "303");
        assert_eq!(transcript["result_stream_id"], "3");
    }
}

#[tokio::test]
async fn failures_tell_what_was_printed() {
    let mut client = NnrpPeer::client().await.unwrap();
    let error = client.close().await.unwrap_err();
    assert!(format!("{error:#}").contains("Traceback"), "{error:#}");
    client.port(Quic).unwrap_err();
}

/// spec: nnrp-session 13
#[test]
fn recorded_exchanges_are_read() {
    for (transport, scenarios, packets) in [(Tcp, 29, 146), (Quic, 8, 40)] {
        let traces = nnrp_traces(transport).unwrap();
        assert_eq!(traces.len(), scenarios);
        let steps = traces.iter().flat_map(|trace| &trace.connections).flatten();
        let is_packet = |event: &NnrpTraceEvent| matches!(event, NnrpTraceEvent::Write { bytes, message, .. } if message != "TRUNCATED" && bytes.starts_with(b"NNRP"));
        assert_eq!(steps.filter(|step| is_packet(&step.event)).count(), packets);
    }
}
