//! The examples as processes, so that they stay true: each serves or shows what it says, and ends at a signal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use std::time::Duration;

use nats_micro::ServiceError;
use nats_micro::client::{Client, OutgoingRequest};
use nodewire_testkit::{NatsServer, PeerProcess};
use tokio::process::Command;

/// Longer than anything takes; only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cargo builds a package's examples together with its tests.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        program.exists(),
        "{} is missing; run `cargo build -p nats-micro --all-features --examples`",
        program.display()
    );
    program
}

fn start(name: &str, url: &str) -> PeerProcess {
    let mut command = Command::new(example(name));
    command.arg(url).env_clear();
    PeerProcess::spawn(command).unwrap()
}

/// A running example and who calls it.
struct Scene {
    example: PeerProcess,
    client: Client,
    server: NatsServer,
}

impl Scene {
    /// Starts an example and waits until its service answers.
    async fn with(name: &str, service: &str) -> Self {
        let server = NatsServer::start().await.unwrap();
        let connection = async_nats::connect(server.url()).await.unwrap();
        let client = Client::new(connection);
        let mut example = start(name, &server.url());
        let found = async {
            loop {
                let ping = client.service(service).ping().max_count(1);
                if !ping.await.unwrap().documents.is_empty() {
                    break;
                }
                assert!(example.is_running(), "it ended: {}", example.logs());
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("no {service}: {}", example.logs()));
        Self {
            example,
            client,
            server,
        }
    }

    async fn ask(&self, subject: &str, request: OutgoingRequest) -> Result<String, ServiceError> {
        let reply = self.client.request(subject, request).await?;
        Ok(String::from_utf8(reply.payload.to_vec()).unwrap())
    }

    /// Ends it as a person or a supervisor would.
    async fn end(mut self, signal: &str) {
        self.example.signal(signal).unwrap();
        let status = self.example.wait(PATIENCE).await.unwrap();
        assert!(status.success(), "{status}: {}", self.example.logs());
    }
}

#[tokio::test]
async fn echo_echoes() {
    let scene = Scene::with("echo", "echo").await;
    assert_eq!(scene.ask("echo", "hello".into()).await.unwrap(), "hello");
    scene.end("TERM").await;
}

#[tokio::test]
async fn the_calculator_calculates() {
    let scene = Scene::with("calculator", "calculator").await;
    assert_eq!(
        scene.ask("math.add", "[1, 2, 3]".into()).await.unwrap(),
        "6"
    );
    let division = r#"{"dividend": 7, "divisor": 2}"#;
    let quotient = scene.ask("math.div", division.into()).await.unwrap();
    assert_eq!(quotient, r#"{"value":3,"remainder":1}"#);
    let by_zero = r#"{"dividend": 7, "divisor": 0}"#;
    let error = scene.ask("math.div", by_zero.into()).await.unwrap_err();
    assert_eq!(error.code(), Some(422));
    assert_eq!(scene.ask("math.factor", "91".into()).await.unwrap(), "7");
    scene.end("INT").await;
}

#[tokio::test]
async fn middleware_lets_the_right_ones_through() {
    let scene = Scene::with("middleware", "shop").await;
    let stranger = scene.ask("orders.get", "7".into()).await.unwrap_err();
    assert_eq!(stranger.code(), Some(401));
    let request = OutgoingRequest::new("7").with_header("Authorization", "Bearer s3cret");
    let order = scene.ask("orders.get", request).await;
    assert!(order.is_ok(), "{order:?}");
    scene.end("INT").await;
}

#[tokio::test]
async fn discover_lists_what_is_there() {
    let scene = Scene::with("calculator", "calculator").await;
    let mut discover = start("discover", &scene.server.url());
    let status = discover.wait(PATIENCE).await.unwrap();
    discover.wait_for_end_of_output(PATIENCE).await.unwrap();
    let listed = discover.logs();
    assert!(status.success(), "{listed}");
    assert!(listed.contains("  add on math.add\n"), "{listed}");
    scene.end("TERM").await;
}
