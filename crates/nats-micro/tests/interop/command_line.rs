//! The command `micro` of nats-micro for Python against our service. spec: nats-micro 12

use std::process::Output;

use nodewire_testkit::python_micro_cli;
use serde_json::Value;
use tokio::process::Command;

use crate::our_service;
use crate::setup::{client, on_nats_server, on_our_broker};

async fn micro(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(python_micro_cli().unwrap());
    command.args(arguments).args(["-s", url]);
    command.kill_on_drop(true).output().await.unwrap()
}

async fn works(url: String) {
    let ours = client(&url).await;
    let service = our_service::start(ours.connection()).await;
    let (ping, info, stats) = (service.ping(), service.info(), service.stats());
    let expected = [
        ("ping", serde_json::to_value(&ping).unwrap()),
        ("info", serde_json::to_value(&info).unwrap()),
        ("stats", serde_json::to_value(&stats).unwrap()),
    ];
    for (verb, document) in expected {
        for scope in [None, Some("demo-service")] {
            let mut arguments = vec![verb];
            arguments.extend(scope);
            arguments.extend(["-c", "1", "-t", "60"]);
            let output = micro(&url, &arguments).await;
            assert!(output.status.success(), "{output:?}");
            let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(printed.as_array().map(Vec::len), Some(1));
            for key in ["name", "id", "version", "metadata", "endpoints", "type"] {
                assert_eq!(printed[0][key], document[key], "{verb} {key}");
            }
        }
    }
    let output = micro(&url, &["request", "demo.ECHO", "hello"]).await;
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(0), &b"hello\n"[..])
    );
    let output = micro(&url, &["request", "demo.sub.err", "x"]).await;
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("not found"), "{printed}");
}

#[tokio::test]
async fn on_the_nats_server() {
    on_nats_server(works).await;
}

#[tokio::test]
async fn on_the_broker_of_ours() {
    on_our_broker(works).await;
}
