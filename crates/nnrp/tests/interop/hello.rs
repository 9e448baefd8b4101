//! Who gets a session, and what both sides say then. spec: nnrp-session 2

use nnrp::DialPolicy;
use nnrp::client::{ConnectError, Session, Submit};
use nnrp::server::{HelloHook, Refusal, ServerOptions};
use nnrp_wire::session::{AckFault, Failure, FrameKey};
use nnrp_wire::{ControlExtension, ControlExtensionFlags};
use nodewire_testkit::NnrpTransport;
use serde_json::{Value, json};

use crate::content::Content;
use crate::ours::{dialer, endpoint, patient, session_over, transport_id};
use crate::raw::soon;
use crate::support::{TheirClient, TheirServer, next_result, options};

fn types(extensions: &Value) -> Vec<u64> {
    let extensions = extensions.as_array().unwrap().iter();
    let types = extensions.map(|extension| extension["ext_type"].as_u64().unwrap());
    types.collect()
}

/// Gives a session to all but those who say `wrong`, and says which model there is to those who ask for one.
fn hook() -> HelloHook {
    HelloHook::new(|hello| {
        let mut acceptance = hello.accept();
        let decision = match hello.auth() {
            b"wrong" => Err(Refusal::auth("who are you?")),
            b"override" => {
                acceptance.session_id = Some(44);
                Ok(acceptance)
            }
            b"" => Ok(acceptance),
            model => {
                acceptance.model = format!("{} it is", String::from_utf8_lossy(model));
                Ok(acceptance)
            }
        };
        std::future::ready(decision)
    })
}

#[tokio::test]
async fn their_hellos_get_sessions() {
    let mut pair = TheirClient::start_with(ServerOptions {
        on_hello: hook(),
        ..options()
    })
    .await;
    for transport in NnrpTransport::ALL {
        // Nothing special.
        let (session, told) = pair.connect(transport, json!({})).await;
        assert_eq!((session.id(), &told["session_id"]), (1, &json!(1)));
        assert_eq!(told["ack"]["session_id"], 1);
        assert_eq!(told["ack"]["metadata"]["session_id"], 1);
        assert_eq!(told["ack_payload"], "");
        // The token for migrations is nothing that it would mind.
        assert_eq!(types(&told["ack_extensions"]), [0xF0A6]);
        assert_eq!(session.transport(), transport_id(transport));

        // The same id while it is taken.
        let second = json!({"on": "second"});
        let (other, told) = pair.connect(transport, second).await;
        assert_ne!(other.id(), 1);
        assert_eq!(told["session_id"], other.id());
        pair.peer
            .call(json!({"op": "close", "on": "second"}))
            .await
            .unwrap();
        soon("the end", other.ended()).await;
        pair.closed(&session).await;

        // No id; one of the server's; a model.
        let (session, told) = pair
            .connect(transport, json!({"requested_session_id": 0}))
            .await;
        assert_ne!(session.id(), 0);
        assert_eq!(told["session_id"], session.id());
        pair.closed(&session).await;
        let auth = nodewire_testkit::to_hex(b"override");
        let (session, told) = pair.connect(transport, json!({"auth_block": auth})).await;
        assert_eq!((session.id(), &told["session_id"]), (44, &json!(44)));
        pair.closed(&session).await;
        let (session, told) = pair
            .connect(transport, json!({"requested_model": "sr-é"}))
            .await;
        let model = nodewire_testkit::to_hex("sr-é it is".as_bytes());
        assert_eq!(told["ack_payload"], model);
        pair.closed(&session).await;

        // What is preferred, or forced, is answered; what is unknown is not, and does no harm. The certificate is verified.
        let authority = pair.ours.certificate.certificate_path();
        for choice in ["selected", "forced"] {
            let mut connect = json!({
                "control_extensions": [{"ext_type": 0x7001, "payload": "aabb"}],
                "quic": {"verify": true, "cafile": authority},
            });
            connect[choice] = json!(transport.as_str());
            let (session, told) = pair.connect(transport, connect).await;
            assert_eq!(types(&told["ack_extensions"]), [0x0102, 0xF0A6], "{told}");
            pair.closed(&session).await;
        }
    }
}

#[tokio::test]
async fn their_hellos_are_refused() {
    let mut pair = TheirClient::start_with(ServerOptions {
        on_hello: hook(),
        ..options()
    })
    .await;
    let port = pair.ours.port();
    for transport in NnrpTransport::ALL {
        let wrong = json!({"auth_block": nodewire_testkit::to_hex(b"wrong")});
        let unknown = json!({"control_extensions": [
            {"ext_type": 0x7001, "ext_flags": "CRITICAL", "payload": "aabb"},
        ]});
        for mut connect in [wrong, unknown] {
            connect["op"] = json!("connect");
            connect[transport.port_key()] = json!(port);
            let failure = pair.peer.failure(connect).await.unwrap();
            assert_eq!(failure.message, "expected SERVER_HELLO_ACK, got ERROR");
        }
    }
    assert_eq!(pair.ours.server.totals().sessions, 0);
}

#[tokio::test]
async fn our_hellos_get_sessions() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        // Nothing special.
        let (session, told) = pair.accept(transport, patient()).await;
        assert_eq!((session.id(), &told["session_id"]), (1, &json!(1)));
        assert_eq!(told["auth_block"], "");
        assert_eq!(types(&told["control_extensions"]), [0_u64; 0]);
        assert_eq!(session.established().unwrap().ack.max_concurrent_frames, 8);
        pair.closed(&session).await;

        // Another id than asked for, a model, an extension.
        let extension = ControlExtension {
            ext_type: 0x7001,
            flags: ControlExtensionFlags::empty(),
            payload: "ab".into(),
        };
        let options = patient()
            .with_requested_session_id(9)
            .with_requested_model("sr-é")
            .with_extension(extension);
        let accept = json!({"session_id": 44, "active_model_name": "sr-1"});
        let (session, told) = pair.accept_with(transport, options, accept).await;
        let session = session.unwrap();
        assert_eq!(session.id(), 44);
        assert_eq!(session.established().unwrap().payload, "sr-1");
        assert_eq!(told["hello"]["metadata"]["requested_session_id"], 9);
        assert_eq!(told["auth_block"], "73722dc3a9");
        assert_eq!(types(&told["control_extensions"]), [0x7001]);
        assert_eq!(told["control_extensions"][0]["payload"], "6162");
        pair.closed(&session).await;

        // Their server gives out the id that was asked for, even where that is none.
        let none = patient().with_requested_session_id(0).with_auth("secret");
        let (session, told) = pair.accept_with(transport, none, json!({})).await;
        assert_eq!(told["auth_block"], nodewire_testkit::to_hex(b"secret"));
        match session {
            Err(ConnectError::Failed(failure)) => {
                assert_eq!(*failure, Failure::Ack(AckFault::NoSession));
            }
            other => panic!("{other:?}"),
        }
        pair.peer.wait_for_end().await.unwrap();
        pair.peer.close().await.unwrap();

        // Their smoke server leaves the header's session open.
        let once = json!({"op": "once", "kind": "smoke", "transport": transport.as_str()});
        let port = pair.peer.call(once).await.unwrap().as_u64().unwrap();
        let port = u16::try_from(port).unwrap();
        let session = session_over(transport, port, &pair.certificate, patient()).await;
        let session = session.unwrap();
        assert_eq!(session.id(), 7);
        let key = FrameKey::new(1);
        let submit = Submit::new(key, Content::Tensor.submit());
        session.submit(submit).await.unwrap();
        let result = next_result(&session, key).await;
        assert_eq!(result.result.metadata.tile_count, 3);
        pair.peer.call(json!({"op": "finished"})).await.unwrap();
    }
}

#[tokio::test]
async fn our_dial_policies_are_told() {
    let mut pair = TheirServer::start().await;
    let (tcp, quic) = (
        pair.port(NnrpTransport::Tcp),
        pair.port(NnrpTransport::Quic),
    );
    let (dialer, endpoint) = (dialer(&pair.certificate), endpoint(tcp, quic));
    // Of the extension 0x0101: the policy, and the transport.
    for (policy, transport, number) in [
        (DialPolicy::PreferTcp, NnrpTransport::Tcp, 2),
        (DialPolicy::ForceTcp, NnrpTransport::Tcp, 4),
        (DialPolicy::ForceQuic, NnrpTransport::Quic, 3),
    ] {
        let mut options = patient();
        options.policy = policy;
        let session = Session::connect(&dialer, &endpoint, options);
        let told = pair.peer.accept(transport, json!({}));
        let (session, told) = tokio::join!(session, told);
        let (session, told) = (session.unwrap(), told.unwrap());
        assert_eq!(session.transport(), transport_id(transport));
        assert_eq!(types(&told["control_extensions"]), [0x0101]);
        let payload = told["control_extensions"][0]["payload"].as_str().unwrap();
        let payload = nodewire_testkit::from_hex(payload).unwrap();
        assert_eq!(payload[0], number, "{payload:?}");
        pair.closed(&session).await;
    }
    let mut options = patient();
    options.policy = DialPolicy::ForceQuic;
    let plain = nnrp::Endpoint::plain("127.0.0.1", tcp).unwrap();
    let refused = Session::connect(&dialer, &plain, options).await;
    assert!(matches!(refused, Err(ConnectError::Dial(_))), "{refused:?}");
}
