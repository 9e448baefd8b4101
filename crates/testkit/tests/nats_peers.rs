//! The harnesses of the NATS peers themselves: each service answers each client as it did when it was recorded.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use nodewire_testkit::{
    JsClient, JsService, NatsClientLibrary, NatsJs, NatsLibrary, NatsServer, OfficialNatsPy,
    OfficialNatsPyService, PeerClient, PeerProcess, PeerService, PythonMicro, PythonMicroClient,
    PythonMicroService, python_micro_cli, python_micro_scripts,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// Ends what hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A broker with a service and a client.
async fn connected<S: NatsLibrary, C: NatsClientLibrary>()
-> (NatsServer, PeerService<S>, PeerClient<C>) {
    let broker = NatsServer::start().await.unwrap();
    let service = PeerService::start(&broker.url()).await.unwrap();
    let client = PeerClient::connect(&broker.url()).await.unwrap();
    (broker, service, client)
}

async fn finds_and_asks<S: NatsLibrary, C: NatsClientLibrary>() {
    let (_broker, service, mut client) = connected::<S, C>().await;
    let instance = json!({"op": "ping", "service": "demo-service", "instance": service.id()});
    for command in [
        json!({"op": "ping"}),
        json!({"op": "ping", "service": "demo-service"}),
    ] {
        let found = client.call(command).await.unwrap();
        assert_eq!(found["ok"].as_array().map(Vec::len), Some(1), "{found}");
        assert_eq!(found["ok"][0]["id"], service.id());
    }
    let found = client.call(instance).await.unwrap();
    assert_eq!(found["ok"]["metadata"], json!({"team": "a"}), "{found}");

    let reply = client.request("demo.ECHO", "grüß").await.unwrap();
    assert_eq!(reply, json!({"ok": {"data": "grüß", "headers": {}}}));
    let reply = client.request("demo.sub.err", "").await.unwrap();
    let error = &reply["error"];
    assert_eq!(error["type"], "ServiceError", "{reply}");
    assert_eq!(error["code"], 404, "{reply}");
    assert_eq!(error["description"], "not found", "{reply}");
    assert_eq!(error["data"], r#"{"k":1}"#, "{reply}");
    assert_eq!(error["headers"]["X-A"], "1", "{reply}");
}

#[tokio::test]
async fn nats_micro_finds_and_asks_itself() {
    finds_and_asks::<PythonMicro, PythonMicro>().await;
}

#[tokio::test]
async fn nats_micro_finds_and_asks_nats_py() {
    finds_and_asks::<OfficialNatsPy, PythonMicro>().await;
}

#[tokio::test]
async fn nats_micro_finds_and_asks_nats_js() {
    finds_and_asks::<NatsJs, PythonMicro>().await;
}

#[tokio::test]
async fn nats_js_finds_and_asks_itself() {
    finds_and_asks::<NatsJs, NatsJs>().await;
}

#[tokio::test]
async fn nats_js_finds_and_asks_nats_py() {
    finds_and_asks::<OfficialNatsPy, NatsJs>().await;
}

#[tokio::test]
async fn nats_js_finds_and_asks_nats_micro() {
    finds_and_asks::<PythonMicro, NatsJs>().await;
}

fn names(found: &Value) -> Vec<&str> {
    let found = found["ok"].as_array().unwrap().iter();
    let mut names: Vec<_> = found.map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

/// All three beside each other, under names of their own.
#[tokio::test]
async fn several_services_are_found_in_every_form() {
    let broker = NatsServer::start().await.unwrap();
    let url = broker.url();
    let one = PythonMicroService::start_as(&url, "one").await.unwrap();
    let _two = OfficialNatsPyService::start_as(&url, "two").await.unwrap();
    let _three = JsService::start_as(&url, "three").await.unwrap();
    let mut python = PythonMicroClient::connect(&url).await.unwrap();
    let mut js = JsClient::connect(&url).await.unwrap();

    let all = json!({"op": "ping", "max_wait_s": 60, "max_count": 3});
    assert_eq!(
        names(&python.call(all.clone()).await.unwrap()),
        ["one", "three", "two"]
    );
    assert_eq!(names(&js.call(all).await.unwrap()), ["one", "three", "two"]);
    let iterated = json!({"op": "ping", "max_wait_s": 60, "max_count": 3, "iter": true});
    assert_eq!(
        names(&python.call(iterated).await.unwrap()),
        ["one", "three", "two"]
    );

    for (verb, key) in [("info", "description"), ("stats", "started")] {
        let by_name = json!({"op": verb, "service": "one", "max_count": 1});
        let mut by_instance = by_name.clone();
        by_instance["instance"] = json!(one.id());
        let mut iterated = by_name.clone();
        iterated["iter"] = json!(true);
        let found = python.call(by_name.clone()).await.unwrap();
        let document = &found["ok"][0];
        assert!(document[key].is_string(), "{found}");
        assert_eq!(document["endpoints"][1]["subject"], "demo.ECHO");
        assert_eq!(
            python.call(by_instance.clone()).await.unwrap()["ok"],
            *document
        );
        assert_eq!(python.call(iterated).await.unwrap()["ok"][0], *document);
        assert_eq!(js.call(by_name).await.unwrap()["ok"][0][key], document[key]);
        assert_eq!(
            js.call(by_instance).await.unwrap()["ok"][key],
            document[key]
        );
    }
}

/// spec: nats-micro 4.4
#[tokio::test]
async fn decoders_tell_what_they_cannot_read() {
    let (_broker, service, mut client) = connected::<NatsJs, PythonMicro>().await;
    let found = client
        .call(json!({"op": "stats", "service": "demo-service", "instance": service.id()}))
        .await
        .unwrap();
    assert_eq!(found["error"]["type"], "TypeError", "{found}");

    let ping = json!({"name": "a", "id": "b", "version": "1.0.0", "metadata": {}});
    for library in ["nats-micro", "nats-py"] {
        let decoded = decode(&mut client, library, "ping", &ping).await;
        assert_eq!(decoded["ok"]["type"], "io.nats.micro.v1.ping_response");
    }
    let mut stats = ping.clone();
    stats["endpoints"] = json!([]);
    stats["started"] = json!("2026-01-02T03:04:05.123456Z");
    let decoded = decode(&mut client, "nats-py", "stats", &stats).await;
    assert_eq!(decoded["ok"]["started"], "2026-01-02T03:04:05.123Z");
    stats["started"] = json!("2026-01-02T03:04:05.123456789Z");
    let decoded = decode(&mut client, "nats-py", "stats", &stats).await;
    assert_eq!(decoded["error"]["type"], "ValueError", "{decoded}");
}

async fn decode(
    client: &mut PythonMicroClient,
    library: &str,
    kind: &str,
    document: &Value,
) -> Value {
    let command = json!({
        "op": "decode", "library": library, "kind": kind, "document": document.to_string(),
    });
    client.call(command).await.unwrap()
}

async fn stops_and_is_gone<S: NatsLibrary>() {
    let (_broker, mut service, mut client) = connected::<S, PythonMicro>().await;
    service.stop().await.unwrap();
    let reply = client.request("echo", "").await.unwrap();
    assert_eq!(reply["error"]["type"], "NoRespondersError", "{reply}");
}

#[tokio::test]
async fn services_stop_when_told() {
    stops_and_is_gone::<PythonMicro>().await;
    stops_and_is_gone::<OfficialNatsPy>().await;
    stops_and_is_gone::<NatsJs>().await;
}

async fn survives_the_broker<S: NatsLibrary, C: NatsClientLibrary>() {
    let (mut broker, _service, mut client) = connected::<S, C>().await;
    broker.restart().await.unwrap();
    let ask = json!({"op": "request", "subject": "echo", "data": "again", "timeout_s": 0.5});
    let reconnected = async {
        // Until both have reconnected there are errors.
        while client.call(ask.clone()).await.unwrap()["ok"]["data"] != "again" {}
    };
    tokio::time::timeout(TIMEOUT, reconnected).await.unwrap();
}

#[tokio::test]
async fn services_and_clients_survive_the_broker() {
    survives_the_broker::<PythonMicro, PythonMicro>().await;
    survives_the_broker::<OfficialNatsPy, PythonMicro>().await;
    survives_the_broker::<NatsJs, NatsJs>().await;
}

#[tokio::test]
async fn users_and_tokens_stand_in_the_address() {
    let user = NatsServer::options()
        .user("ann", "secret")
        .start()
        .await
        .unwrap();
    let token = NatsServer::options().token("s3cret").start().await.unwrap();
    for (broker, who) in [(&user, "ann:secret"), (&token, "s3cret")] {
        let url = format!("nats://{who}@127.0.0.1:{}", broker.port());
        let _one = PythonMicroService::start_as(&url, "one").await.unwrap();
        let _two = OfficialNatsPyService::start_as(&url, "two").await.unwrap();
        let _three = JsService::start_as(&url, "three").await.unwrap();
        let mut python = PythonMicroClient::connect(&url).await.unwrap();
        let mut js = JsClient::connect(&url).await.unwrap();
        let all = json!({"op": "ping", "max_wait_s": 60, "max_count": 3});
        assert_eq!(names(&python.call(all.clone()).await.unwrap()).len(), 3);
        assert_eq!(names(&js.call(all).await.unwrap()).len(), 3);
    }
}

#[tokio::test]
async fn the_result_of_a_dropped_call_is_skipped() {
    let (_broker, _service, mut client) = connected::<PythonMicro, PythonMicro>().await;
    {
        let slow = client.request("demo.sub.slow", "");
        let mut slow = std::pin::pin!(slow);
        // Polled once: the command is on its way, its result is not.
        std::future::poll_fn(|context| {
            assert!(slow.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    }
    let reply = client.request("echo", "mine").await.unwrap();
    assert_eq!(reply["ok"]["data"], "mine");
}

#[tokio::test]
async fn a_client_without_its_process_says_so() {
    let (_broker, _service, mut client) = connected::<NatsJs, NatsJs>().await;
    client.process().signal("KILL").unwrap();
    let error = loop {
        // What is written before it has ended may be taken.
        if let Err(error) = client.request("echo", "").await {
            break error;
        }
    };
    assert!(error.to_string().contains("has ended"), "{error}");
}

#[tokio::test]
async fn the_command_line_of_nats_micro_works() {
    let broker = NatsServer::start().await.unwrap();
    let micro = |task: &[&str]| {
        let mut command = Command::new(python_micro_cli().unwrap());
        command.args(task).args(["-s", &broker.url()]);
        command
    };
    let mut run = micro(&["run"]);
    run.arg(python_micro_scripts().join("service.py"));
    let mut service = PeerProcess::spawn(run).unwrap();
    service.wait_for_output("READY", TIMEOUT).await.unwrap();

    let output = micro(&["ping"]).args(["-c", "1"]).output().await.unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found[0]["name"], "demo-service");
    service.signal("TERM").unwrap();
    assert!(service.wait(TIMEOUT).await.unwrap().success());
}
