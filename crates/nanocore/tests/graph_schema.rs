//! The JSON Schema of graph files is generated from a description of the format that is kept here, and compared with
//! the checked-in file, with the parser's keys, and with every graph of the examples.
//!
//! After a change of the format: `UPDATE_SCHEMA=1 cargo test -p nanocore --test graph_schema`.

#![expect(
    dead_code,
    reason = "the types describe a format; nothing reads their fields"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nanocore::workflow::Graph;
use nanocore::workflow::graph::{
    EXEC_KEYS, GRAPH_KEYS, LINK_KEYS, NODE_KEYS, PARAM_KEYS, PORT_KEYS,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

/// A workflow: nodes, and links from outputs to inputs. Keys that are not described here are kept.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "Nodewire graph")]
struct GraphFile {
    /// Identifies the graph across versions; usually a UUID.
    uid: Option<String>,
    /// The format.
    r#type: Option<FileType>,
    /// About the graph.
    meta: Option<Meta>,
    /// The placed nodes; at most 100 000.
    #[schemars(length(max = 100_000))]
    nodes: Vec<Node>,
    /// The links; at most 1 000 000.
    #[schemars(length(max = 1_000_000))]
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize, JsonSchema)]
enum FileType {
    #[serde(rename = "nanograph")]
    Nanograph,
}

/// About the graph.
#[derive(Deserialize, JsonSchema)]
struct Meta {
    /// For people.
    name: Option<String>,
    /// For people.
    version: Option<String>,
}

/// A placed node.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Node {
    /// Unique in the graph.
    id: u64,
    /// The definition's uid.
    uid: String,
    /// `client` for a node that a user interface shows and no server runs.
    r#type: Option<NodeType>,
    /// A label of this placed node, for people and for `nodewire run --input NAME=VALUE`.
    name: Option<String>,
    /// The definition's version when the graph was saved.
    version: Option<String>,
    /// Input ports when the graph was saved; the server's definition wins.
    #[serde(default)]
    inputs: Vec<Port>,
    /// Output ports when the graph was saved; the server's definition wins.
    #[serde(default)]
    outputs: Vec<Port>,
    /// Parameter values.
    #[serde(default)]
    params: Params,
    /// The same as `params`.
    #[serde(default)]
    parameters: Params,
    /// Constants for inputs without link: port to list.
    #[serde(default)]
    values: BTreeMap<String, Value>,
    /// Outputs that count instead of executing the node: port to list.
    pin: Option<BTreeMap<String, Value>>,
    /// The node does not run and passes its inputs on.
    #[serde(default)]
    muted: bool,
    /// Whether the node takes part; true by default.
    #[serde(default = "yes")]
    active: bool,
    /// The server it was placed from; `builtin` for nodes that need none.
    server_uid: Option<String>,
    /// That server's package.
    server_package_id: Option<String>,
    /// How it is executed.
    exec: Option<Exec>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum NodeType {
    Server,
    Client,
}

/// A port.
#[derive(Deserialize, JsonSchema)]
struct Port {
    /// What links call it.
    name: String,
    /// Such as `string`, `number`, `any`, `asset:image`.
    r#type: Option<String>,
}

/// Parameter values: a list, or an object from name to value.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Params {
    List(Vec<Param>),
    Object(BTreeMap<String, Value>),
}

impl Default for Params {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// A parameter's value.
#[derive(Deserialize, JsonSchema)]
struct Param {
    /// The parameter's name.
    name: String,
    /// The parameter's kind when the graph was saved.
    r#type: Option<String>,
    /// Its value.
    #[serde(default)]
    value: Value,
}

/// How a node is executed. Times are seconds.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Exec {
    /// Further attempts after an error of the node; 0 by default.
    #[schemars(range(max = 100))]
    retries: Option<u32>,
    /// Wait before the first further attempt; 1 by default.
    #[schemars(range(min = 0, max = 2_592_000))]
    retry_delay: Option<f64>,
    /// Factor from one wait to the next; 2 by default.
    #[schemars(range(min = 1, max = 1_000))]
    retry_backoff: Option<f64>,
    /// The longest wait before a further attempt; 60 by default.
    #[schemars(range(min = 0, max = 2_592_000))]
    retry_max_delay: Option<f64>,
    /// Limit of one attempt, from dispatch; none by default.
    #[schemars(range(min = 0, max = 2_592_000))]
    timeout: Option<f64>,
    /// Limit between two statuses; none by default.
    #[schemars(range(min = 0, max = 2_592_000))]
    idle_timeout: Option<f64>,
    /// Limit until the first status, while the server does nothing else; 60 by default.
    #[schemars(range(min = 0, max = 2_592_000))]
    start_timeout: Option<f64>,
    /// What the node's failure means: nothing new is dispatched; running nodes are stopped too; or only what depends on
    /// it is skipped.
    on_error: Option<OnError>,
    /// Whether results may be reused.
    cache: Option<Cache>,
    /// Whether the node may be executed again after its server was lost; true by default.
    idempotent: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OnError {
    Stop,
    Abort,
    Continue,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Cache {
    Auto,
    Use,
    Off,
}

/// A link from an output to an input.
#[derive(Deserialize, JsonSchema)]
struct Link {
    /// Unique in the graph; links into one input are joined in this order.
    id: i64,
    /// Source node, its output, target node, its input.
    link: (u64, String, u64, String),
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_schema_file_is_up_to_date() {
    let mut text = serde_json::to_string_pretty(&schema_for!(GraphFile)).unwrap();
    text.push('\n');
    let path = repository().join("docs/schemas/graph.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        text,
        "run this test with UPDATE_SCHEMA=1"
    );
}

#[test]
fn the_schema_has_the_keys_of_the_parser() {
    let schema = serde_json::to_value(schema_for!(GraphFile)).unwrap();
    let keys = |object: &Value| {
        object["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    let parsed = |keys: &[&str]| {
        keys.iter()
            .map(|key| (*key).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(keys(&schema), parsed(GRAPH_KEYS));
    for (name, known) in [
        ("Node", NODE_KEYS),
        ("Port", PORT_KEYS),
        ("Param", PARAM_KEYS),
        ("Link", LINK_KEYS),
        ("Exec", EXEC_KEYS),
    ] {
        assert_eq!(keys(&schema["$defs"][name]), parsed(known), "{name}");
    }
}

#[test]
fn the_parser_and_the_schema_accept_and_refuse_the_same() {
    let everything = r#"{"uid": "u", "type": "nanograph", "meta": {"name": "n", "version": "1"}, "other": 1,
        "nodes": [{"id": 1, "uid": "n", "type": "client", "name": "label", "version": "1", "inputs": [{"name": "a", "type": "any"}],
            "outputs": [{"name": "b"}], "params": [{"name": "p", "type": "text", "value": 1}], "parameters": {"q": 2},
            "values": {"a": [1]}, "pin": {"b": [1]}, "muted": true, "active": false, "serverUid": "s", "serverPackageId": "p", "pos": [1, 2],
            "exec": {"retries": 1, "retryDelay": 0.5, "retryBackoff": 1.5, "retryMaxDelay": 9, "timeout": 1, "idleTimeout": 2,
                "startTimeout": 3, "onError": "abort", "cache": "use", "idempotent": false}}],
        "links": [{"id": -1, "link": [1, "b", 1, "a"], "color": "red"}]}"#;
    agree(everything, true);
    agree(r#"{"nodes": []}"#, true);
    agree(
        r#"{"type": null, "nodes": [{"id": 0, "uid": "n", "name": null, "exec": {"timeout": null}}]}"#,
        true,
    );
    for (from, to) in [
        (r#""nanograph""#, r#""litegraph""#),
        (r#""id": 1,"#, r#""id": -1,"#),
        (r#""id": 1,"#, r#""id": "1","#),
        (r#""id": 1, "uid": "n","#, r#""id": 1,"#),
        (r#""pin": {"b": [1]}"#, r#""pin": [1]"#),
        (r#""type": "client""#, r#""type": "other""#),
        (r#""muted": true"#, r#""muted": 1"#),
        (r#""onError": "abort""#, r#""onError": "ignore""#),
        (r#""timeout": 1"#, r#""timeOut": 1"#),
        (r#"{"name": "b"}"#, r#"{"type": "any"}"#),
        (r#"[1, "b", 1, "a"]"#, r#"[1, "b", 1]"#),
        (r#""id": -1,"#, ""),
    ] {
        assert!(everything.contains(from), "{from}");
        agree(&everything.replacen(from, to, 1), false);
    }
}

fn agree(text: &str, accepted: bool) {
    assert_eq!(Graph::parse(text).is_ok(), accepted, "parser: {text}");
    assert_eq!(
        serde_json::from_str::<GraphFile>(text).is_ok(),
        accepted,
        "schema: {text}"
    );
}

#[test]
fn the_graphs_of_the_examples_fit() {
    let mut graphs = 0;
    for example in std::fs::read_dir(repository().join("examples")).unwrap() {
        let path = example.unwrap().path().join("graph.json");
        if let Ok(text) = std::fs::read_to_string(&path) {
            agree(&text, true);
            graphs += 1;
        }
    }
    assert!(graphs > 0, "no example has a graph.json");
}
