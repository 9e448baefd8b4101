//! Stopping, and not starting.

use std::time::Duration;

use futures_util::future::join_all;
use nanograph::config::{ConfigFile, ServerConfig};
use nats_broker::Broker;
use nodewire::nanograph::NanographConfig;
use nodewire::nats::{NatsConfig, NatsError};
use nodewire::{NodeDefinition, NodeServer, NodeServerBuilder, Outputs, ServeError, node_fn};
use serde_json::json;

use crate::support::{Fixture, outcome, serve, stop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_answers_arrive() {
    let fixture = Fixture::start().await;
    let client = fixture.client.clone();
    let probe = fixture.served.probe.clone();
    let waiting = crate::support::request(&client, "nodes.wait_here", &[], "");
    let stopping = async {
        probe.wait_until_begun(1).await;
        let stopping = tokio::spawn(stop(fixture.served.server));
        // New requests go to nobody at last.
        let nobody = async { while client.request("nodes.about", "".into()).await.is_ok() {} };
        let nobody = tokio::time::timeout(crate::support::PATIENCE, nobody).await;
        nobody.expect("the server leaves");
        probe.open();
        stopping.await.unwrap();
    };
    let (reply, ()) = tokio::join!(waiting, stopping);
    assert_eq!(outcome(&reply), Ok(json!({"done": ["yes"]})));
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_cancelled_and_told_so() {
    let broker = Broker::builder().start().await.unwrap();
    let drain = Duration::from_millis(50);
    let served = serve(&broker.url(), |_| {}, |builder| builder.drain(drain)).await;
    let client = async_nats::connect(broker.url()).await.unwrap();
    let probe = served.probe.clone();
    let waiting = crate::support::request(&client, "nodes.wait_here", &[], "");
    let stopping = async {
        probe.wait_until_begun(1).await;
        stop(served.server).await;
    };
    let (reply, ()) = tokio::join!(waiting, stopping);
    let (code, _) = outcome(&reply).unwrap_err();
    assert_eq!(code, 499);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_when_one_of_two_servers_leaves() {
    let fixture = Fixture::start().await;
    let other = serve(&fixture.broker.url(), |_| {}, |builder| builder).await;
    let callers = (0..8).map(|_| async {
        for _ in 0..200 {
            let outputs = fixture.call("echo", r#"{"inputs": {"text": "a"}}"#).await;
            assert_eq!(outputs, Ok(json!({"text": ["> a"]})));
        }
    });
    let leaving = async {
        crate::support::until("it has load", || {
            other.server.executor().counters().completed > 10
        })
        .await;
        stop(other.server).await;
    };
    tokio::join!(join_all(callers), leaving);
    fixture.stop().await;
}

fn nanograph_on(port: u16) -> NanographConfig {
    let file = r#"{"serverUid": "s", "serverPackageId": "p", "port": 3999}"#;
    let config = ServerConfig::resolve(ConfigFile::parse(file).unwrap(), |name| {
        (name == "PORT").then(|| port.to_string())
    });
    NanographConfig::new(config.unwrap())
}

#[tokio::test]
async fn several_wires_are_one_server() {
    let broker = Broker::builder().start().await.unwrap();
    let (told, stopped) = tokio::sync::oneshot::channel();
    let both = |builder: NodeServerBuilder| {
        builder
            .nanograph(nanograph_on(0))
            .on_shutdown("fails", async { Err("in vain".into()) })
            .on_shutdown("panics", async { panic!("a defect") })
            .on_shutdown("tells", async {
                told.send(()).map_err(|()| "nobody listens".into())
            })
    };
    let served = serve(&broker.url(), |_| {}, both).await;
    let address = served.server.nanograph_address().unwrap();
    tokio::net::TcpStream::connect(address).await.unwrap();
    let client = async_nats::connect(broker.url()).await.unwrap();
    let reply = crate::support::request(&client, "nodes.about", &[], "").await;
    assert!(outcome(&reply).is_ok());
    stop(served.server).await;
    stopped.await.unwrap();
    let refused = tokio::net::TcpStream::connect(address).await;
    assert!(refused.is_err(), "the Nanograph wire still listens");
    broker.shutdown().await;
}

#[tokio::test]
async fn a_wire_that_cannot_start_stops_the_others() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let server = NodeServer::builder()
        .nanograph(nanograph_on(address.port()))
        .nats(NatsConfig::new("nodes", "1.0.0", "nats://127.0.0.1:1"));
    let error = server.build().unwrap().start().await.unwrap_err();
    assert!(
        matches!(error, ServeError::Nats(NatsError::Connect(_))),
        "{error:?}"
    );
    let refused = tokio::net::TcpStream::connect(address).await;
    assert!(refused.is_err(), "the Nanograph wire still listens");
}

#[tokio::test]
async fn a_server_has_a_wire() {
    let error = NodeServer::builder().build().unwrap().start().await;
    assert!(matches!(error.unwrap_err(), ServeError::NoWire));
}

#[tokio::test]
async fn what_cannot_be_a_service_is_told() {
    let broker = Broker::builder().start().await.unwrap();
    let node = |uid: &str| {
        let definition = NodeDefinition::builder(uid).build().unwrap();
        node_fn(definition, async |_| Ok(Outputs::new()))
    };
    let same = NodeServer::builder()
        .node(node("a.b"))
        .node(node("a/b"))
        .nats(NatsConfig::new("nodes", "1.0.0", broker.url()));
    let error = same.build().unwrap().start().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "nodes `a.b` and `a/b` would both be served on \"nodes.a_b\"; give one another uid"
    );
    let version = NodeServer::builder().nats(NatsConfig::new("nodes", "1", broker.url()));
    let error = version.build().unwrap().start().await.unwrap_err();
    assert!(
        format!("{error:?}").contains("Semantic Versioning"),
        "{error:?}"
    );
    broker.shutdown().await;
}
