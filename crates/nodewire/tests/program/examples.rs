//! Each example is started, called by a client that is not ours, and stopped.

use nodewire_testkit::{
    AutotrainerClient, AutotrainerVersion, NatsServer, NnrpPeer, NnrpTransport, PythonMicroClient,
    from_hex, to_hex,
};
use serde_json::{Value, json};

use crate::support::{Ready, curl, example};

const GREETING: &str = "Hello, Ada!";

#[test]
fn http_answers_curl() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = example("http", folder.path());
    command
        .env("GREETER_TOKEN", "secret")
        .args(["--http-listen", "127.0.0.1:0"]);
    let server = Ready::start(&mut command);
    let port = server.port("serving plain HTTP", "address");
    let answer = curl(port, "secret");
    assert!(answer.contains(GREETING), "{answer}");
    let refused = curl(port, "another");
    assert!(!refused.contains(GREETING), "{refused}");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_answers_python_on_the_real_broker() {
    let broker = NatsServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = example("nats", folder.path());
    let server = Ready::start(command.args(["--nats-url", &broker.url()]));
    ask_nats(&broker).await;
    server.stop();
}

async fn ask_nats(broker: &NatsServer) {
    let mut client = PythonMicroClient::connect(&broker.url()).await.unwrap();
    let request = r#"{"inputs": {"names": ["Ada"]}}"#;
    let reply = client.request("greeter.greet", request).await.unwrap();
    assert!(reply.to_string().contains(GREETING), "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autotrainer_answers_pyzmq() {
    let folder = tempfile::tempdir().unwrap();
    let ports = ["--autotrainer-event-port=0", "--autotrainer-command-port=0"];
    let server = Ready::start(example("autotrainer", folder.path()).args(ports));
    let port = server.port("serving the Autotrainer wire", "commands");
    let mut client = AutotrainerClient::start(AutotrainerVersion::V0_12_0)
        .await
        .unwrap();
    let endpoint = format!("tcp://127.0.0.1:{port}");
    client.connect("commands", "REQ", &endpoint).await.unwrap();
    let request = json!({"command": 99999, "custom_command": 1001, "nonce": 1,
        "data": {"inputs": {"names": ["Ada"]}}});
    let reply = client.request("commands", &request).await.unwrap();
    assert!(reply.to_string().contains(GREETING), "{reply}");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nnrp_answers_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let listen = ["--nnrp-listen", "127.0.0.1:0"];
    let server = Ready::start(example("nnrp", folder.path()).args(listen));
    let port = server.port("serving the NNRP wire", "address");
    let mut peer = NnrpPeer::client().await.unwrap();
    let options = json!({});
    peer.connect(NnrpTransport::Tcp, port, options)
        .await
        .unwrap();
    let request = to_hex(br#"{"node": "greet", "inputs": {"names": ["Ada"]}}"#);
    let event = json!({"payload_kind": "STRUCTURED_EVENT", "payload": request, "profile_id": 0});
    let frame = json!({"frame_id": 1, "typed_payloads": [event]});
    peer.submit(frame).await.unwrap();
    let result = peer.receive().await.unwrap();
    let payloads: Vec<Value> = result["typed_payloads"].as_array().unwrap().clone();
    let told = from_hex(payloads[0]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(told).unwrap(), GREETING);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wires_is_on_all_of_them() {
    let broker = NatsServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = example("wires", folder.path());
    command
        .args(["--nats-url", &broker.url()])
        .args(["--http-listen=127.0.0.1:0", "--nnrp-listen=127.0.0.1:0"])
        .args(["--autotrainer-event-port=0", "--autotrainer-command-port=0"]);
    let server = Ready::start(&mut command);
    let port = server.port("serving plain HTTP", "address");
    let answer = curl(port, "a secret of yours");
    assert!(answer.contains(GREETING), "{answer}");
    ask_nats(&broker).await;
    for (message, field) in [
        ("serving the Autotrainer wire", "commands"),
        ("serving the NNRP wire", "address"),
    ] {
        assert_ne!(server.port(message, field), 0);
    }
    // Only what was asked for: there is no nanoserver.json, and the code names wires.
    assert!(server.told("serving the Nanograph wire").is_none());
    server.stop();
}
