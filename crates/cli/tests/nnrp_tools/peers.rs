//! Against the real `nnrp-py` 1.0.0rc2.

use nodewire_testkit::{
    NnrpPeer, NnrpServerOptions, NnrpSmokeCommand, NnrpTransport, SelfSignedCertificate,
};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::support::{Folder, PATIENT, Running};

#[test]
fn our_smoke_client_and_their_server() {
    let (folder, runtime) = (Folder::new(), Runtime::new().unwrap());
    let certificate = SelfSignedCertificate::new().unwrap();
    let _inside = runtime.enter();
    let (server, port) = NnrpSmokeCommand::server(&certificate, &["--session-id", "17"]).unwrap();
    let (port, ca) = (port.to_string(), certificate.certificate_path());
    let client = [
        "smoke",
        "client",
        "--port",
        &port,
        "--frame-id",
        "303",
        "--ca",
    ];
    let client = [&client[..], &[ca.to_str().unwrap()], &PATIENT].concat();
    let client = folder.run(&client).succeeds();
    let theirs = runtime.block_on(server.transcript()).unwrap();
    let ours: Vec<_> = client.stdout.lines().collect();
    assert_eq!(theirs["role"], "server");
    for (key, value) in theirs.iter().filter(|(key, _)| *key != "role") {
        assert!(
            ours.contains(&&*format!("{key}={value}")),
            "{key}: {ours:?}"
        );
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn their_smoke_client_and_our_server() {
    let (folder, runtime) = (Folder::new(), Runtime::new().unwrap());
    let certificate = SelfSignedCertificate::new().unwrap();
    let mut server = folder.nnrp(&["smoke", "server", "--session-id", "17"]);
    server
        .arg("--certificate")
        .arg(certificate.certificate_path());
    server.arg("--private-key").arg(certificate.key_path());
    let mut server = Running::start(server.args(PATIENT));
    let port = server.err.with("listening on");
    let port = port.rsplit_once(':').unwrap().1.parse().unwrap();
    let _inside = runtime.enter();
    let client = NnrpSmokeCommand::client(port, Some(&certificate), &["--frame-id", "303"]);
    let theirs = runtime.block_on(client.unwrap().transcript()).unwrap();
    assert!(server.wait().success());
    let ours = server.out.rest();
    assert_eq!(theirs["negotiated_session_id"], "17");
    for (key, value) in theirs.iter().filter(|(key, _)| *key != "role") {
        assert!(ours.contains(&format!("{key}={value}")), "{key}: {ours:?}");
    }
}

/// A server of theirs that sends back what it gets, on both transports.
async fn answering() -> (NnrpPeer, SelfSignedCertificate) {
    let certificate = SelfSignedCertificate::new().unwrap();
    let options = NnrpServerOptions {
        certificate: Some(&certificate),
        ..NnrpServerOptions::default()
    };
    let peer = NnrpPeer::server(options).await.unwrap();
    (peer, certificate)
}

#[test]
fn our_bench_through_our_recorder_against_their_server_and_replayed_there() {
    let (folder, runtime) = (Folder::new(), Runtime::new().unwrap());
    let (mut peer, certificate) = runtime.block_on(answering());
    let ports = [NnrpTransport::Tcp, NnrpTransport::Quic].map(|of| peer.port(of).unwrap());
    let to = format!("nnrp+tcp://127.0.0.1:{}?quic={}", ports[0], ports[1]);
    let ca = certificate.certificate_path();
    let ca = ca.to_str().unwrap();
    let out = ["--out", "session.jsonl", "--connections", "1"];
    let recorder = ["record", "--to", &to, "--ca", ca];
    let mut recorder = folder.server("record", &[&recorder[..], &out].concat());
    let bench = folder.nnrp(&["bench", &recorder.endpoint, "--transport", "quic", "--json"]);
    let bench = start(bench, &["--frames", "20", "--ca", "record.pem"]);
    serve_one(&runtime, &mut peer, NnrpTransport::Quic);
    let answer = bench.out.rest().concat();
    let said = bench.err.rest();
    assert!(answer.contains("\"answered\":20"), "{answer} {said:?}");
    assert!(recorder.running.wait().success());

    let replay = folder.nnrp(&["replay", "session.jsonl", "--to", &to, "--ca", ca]);
    let mut replay = start(replay, &["--as-fast-as-possible", "--bytes", "--json"]);
    runtime
        .block_on(peer.call(json!({"op": "close", "on": "main"})))
        .unwrap();
    serve_one(&runtime, &mut peer, NnrpTransport::Quic);
    let replayed = replay.out.object("replayed");
    assert_eq!(replayed["same"], true, "{replayed}");
    assert!(replay.wait().success());
}

fn start(mut command: std::process::Command, arguments: &[&str]) -> Running {
    Running::start(command.args(arguments).args(PATIENT))
}

/// Their server takes one session at a time, when it is told to.
fn serve_one(runtime: &Runtime, peer: &mut NnrpPeer, transport: NnrpTransport) {
    let profile = json!({"server_profile": {"max_concurrent_frames": 8}});
    runtime.block_on(async {
        peer.accept(transport, profile).await.unwrap();
        peer.call(json!({"op": "answer_all"})).await.unwrap();
    });
}
