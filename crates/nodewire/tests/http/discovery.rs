//! What the wire tells of its nodes.

use nodewire::{NodeDefinition, NodeServerBuilder, Outputs, node_fn};
use serde_json::{Value, json};

use crate::support::Fixture;

async fn get(fixture: &Fixture, path: &str) -> Value {
    let (status, body) = fixture.ask(Fixture::get(path), "").await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn nodes_are_described() {
    let fixture = Fixture::start().await;
    let all = get(&fixture, "/nodes").await;
    let uids: Vec<_> = all["nodes"].as_array().unwrap().iter().collect();
    let uids: Vec<_> = uids
        .iter()
        .map(|node| node["definition"]["uid"].as_str().unwrap())
        .collect();
    assert_eq!(
        uids.len(),
        fixture.executor().registry().definitions().len()
    );
    assert!(uids.contains(&"wait/here"));
    let echo = get(&fixture, "/nodes/echo").await;
    assert_eq!(echo["definition"]["inputs"][0]["name"], "text");
    assert_eq!(echo["schema"]["required"], json!(["inputs"]));
    assert_eq!(echo["capabilities"]["deadline"], "full");
    assert_eq!(
        echo["capabilities"]["cancel"],
        "as: the end of the connection"
    );
    assert_eq!(
        get(&fixture, "/nodes/wait%2Fhere").await["definition"]["uid"],
        "wait/here"
    );
    let (status, _) = fixture.ask(Fixture::get("/nodes/nobody"), "").await;
    assert_eq!(status, 404);
    fixture.stop().await;
}

#[tokio::test]
async fn the_server_is_named_as_its_builder_says() {
    let named = |builder: NodeServerBuilder| builder.name("greeter").version("1.2.3");
    let fixture = Fixture::start_with(|_| {}, named).await;
    let document = get(&fixture, "/openapi.json").await;
    assert_eq!(document["info"]["title"], "greeter");
    assert_eq!(document["info"]["version"], "1.2.3");
    let software = concat!("nodewire ", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        get(&fixture, "/nodes").await["server"],
        json!({"name": "greeter", "version": "1.2.3", "software": software})
    );
    fixture.stop().await;
    let nobody = Fixture::start().await;
    let document = get(&nobody, "/openapi.json").await;
    assert_eq!(document["info"]["title"], "node-server");
    assert_eq!(document["info"]["version"], "0.0.0");
    nobody.stop().await;
}

#[tokio::test]
async fn the_document_names_every_node_also_a_later_one() {
    let fixture = Fixture::start().await;
    let later = NodeDefinition::builder("later").build().unwrap();
    let later = node_fn(later, async |_| Ok(Outputs::new()));
    fixture.executor().registry().insert(later).unwrap();
    let document = get(&fixture, "/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["security"], json!([{"token": []}]));
    let paths = document["paths"].as_object().unwrap();
    for definition in fixture.executor().registry().definitions() {
        let uid = definition.uid.replace('/', "%2F");
        let execute = &paths[&format!("/nodes/{uid}/execute")]["post"];
        assert_eq!(
            execute["operationId"],
            format!("execute {}", definition.uid)
        );
        let schema = &execute["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(schema["properties"]["node"]["const"], *definition.uid);
    }
    let reverse = &paths["/nodes/reverse/execute"]["post"]["responses"]["200"]["content"];
    assert!(reverse.get("application/octet-stream").is_some());
    let (status, _) = fixture.call("later", "").await;
    assert_eq!(status, 200);
    fixture.stop().await;
}

#[tokio::test]
async fn everything_is_counted() {
    let fixture = Fixture::start().await;
    fixture.call("about", "").await;
    fixture.call("progress", "").await;
    fixture.call("nobody", "").await;
    let stats = get(&fixture, "/stats").await;
    assert_eq!(stats["executor"]["completed"], 2);
    assert_eq!(stats["nodes"]["about"]["completed"], 1);
    assert_eq!(stats["http"]["requestsAnswered"], 3);
    assert_eq!(stats["http"]["errors"]["404"], 1);
    assert_eq!(stats["lost"], json!({"progress": 1, "partial_outputs": 1}));
    fixture.stop().await;
}
