//! The exchange with fixed content. spec: nnrp-session 8

use std::collections::BTreeMap;

use nnrp::Link;
use nnrp::tools::{SmokeClientOptions, SmokeTranscript, smoke_client, smoke_server};
use nnrp_wire::body::TensorSection;
use nnrp_wire::build::{ResultWorth, TensorOutput, Tiles};
use nnrp_wire::{DType, ResultPush};
use nodewire_testkit::{NnrpSmokeCommand, NnrpTransport, SelfSignedCertificate};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::ours::{dialer, endpoint, link, transport_id};
use crate::raw::{LIMIT, soon};
use crate::support::{TheirClient, TheirServer, next_submit};

/// What all of them say of the exchange, beside streams.
fn check(transcript: &Value, session_id: u32) {
    assert_eq!(transcript["requested_session_id"], 9, "{transcript}");
    assert_eq!(transcript["negotiated_session_id"], session_id);
    assert_eq!(transcript["frame_id"], 303);
    assert_eq!(transcript["submit_tile_count"], 3);
    assert_eq!(transcript["result_tile_count"], 3);
}

const CLIENT: SmokeClientOptions = SmokeClientOptions {
    requested_session_id: 9,
    frame_id: 303,
};

/// What ours says, by their names.
fn told(ours: &SmokeTranscript) -> Value {
    json!({
        "requested_session_id": ours.hello.requested_session_id,
        "negotiated_session_id": ours.hello.negotiated_session_id,
        "control_stream_id": ours.hello.control_stream_id,
        "frame_id": ours.frame_id,
        "submit_stream_id": ours.submit_stream_id,
        "result_stream_id": ours.result_stream_id,
        "submit_tile_count": ours.submit_tile_count,
        "result_tile_count": ours.result_tile_count,
    })
}

/// Both sides are of the same opinion.
fn check_both(ours: &SmokeTranscript, theirs: &Value) {
    let ours = told(ours);
    for transcript in [&ours, theirs] {
        check(transcript, 17);
    }
    for (name, value) in ours.as_object().unwrap() {
        assert_eq!(theirs[name], *value, "{name}");
    }
}

#[tokio::test]
async fn our_smoke_client_and_their_smoke_server() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let once = json!({"op": "once", "kind": "smoke", "transport": transport.as_str(), "session_id": 17});
        let port = pair.peer.call(once).await.unwrap().as_u64().unwrap();
        let link = link(transport, u16::try_from(port).unwrap(), &pair.certificate).await;
        let ours = soon("the exchange", smoke_client(link, CLIENT)).await;
        let theirs = pair.peer.call(json!({"op": "finished"})).await.unwrap();
        check_both(&ours.unwrap(), &theirs);
    }
}

/// A server that takes one connection.
async fn listen(certificate: &SelfSignedCertificate) -> nnrp::Listener {
    let tls = nnrp::ServerTls::from_files(certificate.certificate_path(), certificate.key_path());
    let address = ([127, 0, 0, 1], 0).into();
    let options = nnrp::ListenerOptions::plain_and_quic(address, tls.unwrap());
    nnrp::Listener::bind(options).await.unwrap()
}

async fn serve(listener: &nnrp::Listener) -> SmokeTranscript {
    let link: Link = soon("a connection", listener.accept()).await.unwrap();
    soon("the exchange", smoke_server(link, 17)).await.unwrap()
}

fn smoke(transport: NnrpTransport, port: u16) -> Value {
    json!({
        "op": "smoke", "transport": transport.as_str(), "port": port,
        "requested_session_id": 9, "frame_id": 303, "timeout": 30,
    })
}

#[tokio::test]
async fn their_smoke_client_and_our_smoke_server() {
    let certificate = SelfSignedCertificate::new().unwrap();
    let listener = listen(&certificate).await;
    let port = listener.local_addr().port();
    let mut peer = nodewire_testkit::NnrpPeer::client().await.unwrap();
    for transport in NnrpTransport::ALL {
        let theirs = peer.call(smoke(transport, port));
        let (ours, theirs) = tokio::join!(serve(&listener), theirs);
        check_both(&ours, &theirs.unwrap());
    }
}

/// The tiles that the smoke client expects.
fn result() -> ResultPush {
    let payloads = ["ra", "rb", "rc"].map(Into::into);
    let sections = [TensorSection::new(100, DType::UInt8, &payloads)];
    let builder = ResultPush::builder(ResultWorth::COMPLETE).tensor(TensorOutput {
        tiles: Tiles::raw(&[0, 1, 2]),
        sections: &sections,
        dropped_tile_count: 0,
    });
    builder.build().unwrap()
}

#[tokio::test]
async fn their_smoke_client_and_our_sessions() {
    let mut pair = TheirClient::start().await;
    let port = pair.ours.port();
    for transport in NnrpTransport::ALL {
        let theirs = pair.peer.call(smoke(transport, port));
        let served = async {
            let session = pair.ours.session().await;
            let frame = next_submit(&session).await;
            assert_eq!(frame.message.metadata.tile_count, 3);
            frame.answer.complete(result()).unwrap();
            session
        };
        let (theirs, session) = tokio::join!(theirs, served);
        check(&theirs.unwrap(), 9);
        soon("the end", session.ended()).await;
    }
}

/// What the console command prints, as they say it otherwise.
fn printed(transcript: &BTreeMap<String, String>) -> Value {
    let fields = transcript.iter().map(|(name, value)| {
        let value = value
            .parse::<u64>()
            .map_or_else(|_| json!(value), |number| json!(number));
        (name.clone(), value)
    });
    Value::Object(fields.collect())
}

#[tokio::test]
async fn their_console_client_and_our_servers() {
    let certificate = SelfSignedCertificate::new().unwrap();
    let listener = listen(&certificate).await;
    let port = listener.local_addr().port();
    let arguments = ["--requested-session-id", "9", "--frame-id", "303"];
    let theirs = NnrpSmokeCommand::client(port, Some(&certificate), &arguments).unwrap();
    let (ours, theirs) = tokio::join!(serve(&listener), theirs.transcript());
    check_both(&ours, &printed(&theirs.unwrap()));
}

#[tokio::test]
async fn our_smoke_client_and_their_console_server() {
    let certificate = SelfSignedCertificate::new().unwrap();
    let (theirs, port) = NnrpSmokeCommand::server(&certificate, &["--session-id", "17"]).unwrap();
    let ours = async {
        let (dialer, endpoint) = (dialer(&certificate), endpoint(port, port));
        // It does not say when it listens.
        let link = loop {
            let deadline = Instant::now() + LIMIT;
            let dialed = dialer.dial(&endpoint, transport_id(NnrpTransport::Quic), deadline);
            match dialed.await {
                Ok(link) => break link,
                Err(error) => eprintln!("not yet: {error}"),
            }
        };
        soon("the exchange", smoke_client(link, CLIENT))
            .await
            .unwrap()
    };
    let (ours, theirs) = tokio::join!(ours, theirs.transcript());
    check_both(&ours, &printed(&theirs.unwrap()));
}
