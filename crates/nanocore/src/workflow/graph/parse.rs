//! Reading a graph. Everything that is wrong is reported at once.

use nodewire_json::{Json, Kind};

use super::exec::{CacheMode, Exec, MAX_TIME, OnError};
use super::node::{GraphNode, GraphParam, SavedPort};
use super::reader::Reader;
use super::{Graph, Link};
use crate::workflow::problem::{InvalidGraph, ProblemCode};

/// The most nodes a graph may have.
pub const MAX_NODES: usize = 100_000;
/// The most links a graph may have.
pub const MAX_LINKS: usize = 1_000_000;
const MAX_RETRIES: u32 = 100;
const MAX_BACKOFF: f64 = 1_000.0;

/// Keys of a graph file that mean something here; any other key is kept.
pub const GRAPH_KEYS: &[&str] = &["uid", "type", "meta", "nodes", "links"];
/// Keys of `nodes[]` that mean something here; any other key is kept.
pub const NODE_KEYS: &[&str] = &[
    "id",
    "uid",
    "type",
    "name",
    "version",
    "inputs",
    "outputs",
    "params",
    "parameters",
    "values",
    "pin",
    "muted",
    "active",
    "serverUid",
    "serverPackageId",
    "exec",
];
/// Keys of `nodes[].inputs[]` and `nodes[].outputs[]` that mean something here.
pub const PORT_KEYS: &[&str] = &["name", "type"];
/// Keys of `nodes[].params[]` that mean something here.
pub const PARAM_KEYS: &[&str] = &["name", "type", "value"];
/// Keys of `links[]` that mean something here.
pub const LINK_KEYS: &[&str] = &["id", "link"];
/// Keys of `nodes[].exec`; others are refused, so that no misspelt limit is ignored.
pub const EXEC_KEYS: &[&str] = &[
    "retries",
    "retryDelay",
    "retryBackoff",
    "retryMaxDelay",
    "timeout",
    "idleTimeout",
    "startTimeout",
    "onError",
    "cache",
    "idempotent",
];

/// Reads a graph.
pub(super) fn graph(json: &Json) -> Result<Graph, InvalidGraph> {
    let mut reader = Reader::default();
    let graph = root(&mut reader, json);
    let problems = reader.into_problems();
    if problems.is_empty() {
        Ok(graph)
    } else {
        Err(InvalidGraph { problems })
    }
}

fn root(reader: &mut Reader, json: &Json) -> Graph {
    let mut graph = Graph::default();
    let mut has_nodes = false;
    for (key, value) in reader.object(json).unwrap_or_default() {
        reader.key(&key.clone(), |reader| match key.as_str() {
            "uid" => graph.uid = reader.optional_string(&value),
            "type" if value.is_null() => {}
            "type" => drop(reader.word(&value, &[("nanograph", ())])),
            "meta" => graph.meta = value,
            "nodes" => {
                has_nodes = true;
                graph.nodes = bounded(reader, &value, MAX_NODES, node);
            }
            "links" => graph.links = bounded(reader, &value, MAX_LINKS, link),
            _ => graph.extra.push((key, value)),
        });
    }
    if !has_nodes && json.kind() == Kind::Object {
        reader.wrong("a graph needs \"nodes\", an array");
    }
    graph
}

fn bounded<T>(
    reader: &mut Reader,
    json: &Json,
    max: usize,
    mut read: impl FnMut(&mut Reader, &Json) -> Option<T>,
) -> Vec<T> {
    let mut count = 0;
    let items = reader.each(json, |reader, item| {
        count += 1;
        if count <= max {
            read(reader, item)
        } else {
            None
        }
    });
    if count > max {
        reader.wrong(format!("{count} items; at most {max} are allowed"));
    }
    items
}

fn node(reader: &mut Reader, json: &Json) -> Option<GraphNode> {
    let mut node = GraphNode::new(0, "");
    let mut id = None;
    let mut uid = None;
    for (key, value) in reader.object(json)? {
        reader.key(&key.clone(), |reader| match key.as_str() {
            "id" => id = Some(node_id(reader, &value)),
            "uid" => uid = Some(reader.string(&value)),
            "type" => node.client = client(reader, &value),
            "name" => node.name = reader.optional_string(&value),
            "version" => node.version = reader.optional_string(&value),
            "inputs" => node.inputs = reader.each(&value, port),
            "outputs" => node.outputs = reader.each(&value, port),
            "params" | "parameters" => node.params.extend(params(reader, &value)),
            "values" => node.values = reader.object(&value).unwrap_or_default(),
            "pin" => node.pin = pin(reader, &value),
            "muted" => node.muted = reader.boolean(&value).unwrap_or_default(),
            "active" => node.active = reader.boolean(&value).unwrap_or_default(),
            "serverUid" => node.server_uid = reader.optional_string(&value),
            "serverPackageId" => node.server_package_id = reader.optional_string(&value),
            "exec" => node.exec = exec(reader, &value),
            _ => node.extra.push((key, value)),
        });
    }
    if id.is_none() {
        reader.wrong_as(
            ProblemCode::BadNodeId,
            "a node needs an \"id\", an integer of at least 0",
        );
    }
    if uid.is_none() {
        reader.wrong("a node needs a \"uid\", the definition's");
    }
    node.id = id??;
    node.uid = uid??;
    Some(node)
}

// spec: nanograph 14.2
fn node_id(reader: &mut Reader, json: &Json) -> Option<u64> {
    let id = json.as_str().parse().ok();
    if id.is_none() {
        let message = format!(
            "a node id must be an integer of at least 0, found {}",
            head(json)
        );
        reader.wrong_as(ProblemCode::BadNodeId, message);
    }
    id
}

fn head(json: &Json) -> String {
    json.as_str().chars().take(40).collect()
}

fn client(reader: &mut Reader, json: &Json) -> bool {
    !json.is_null()
        && reader
            .word(json, &[("server", false), ("client", true)])
            .unwrap_or_default()
}

/// `null` is none.
fn pin(reader: &mut Reader, json: &Json) -> Option<Json> {
    let is_object = !json.is_null() && reader.object(json).is_some();
    is_object.then(|| json.clone())
}

fn port(reader: &mut Reader, json: &Json) -> Option<SavedPort> {
    let mut port = SavedPort {
        name: String::new(),
        kind: String::new(),
        extra: Vec::new(),
    };
    let mut name = None;
    for (key, value) in reader.object(json)? {
        reader.key(&key.clone(), |reader| match key.as_str() {
            "name" => name = Some(reader.string(&value)),
            "type" => port.kind = reader.optional_string(&value).unwrap_or_default(),
            _ => port.extra.push((key, value)),
        });
    }
    port.name = required(reader, name, "name")?;
    Some(port)
}

/// A list of `{name, type, value}`, or an object from name to value.
fn params(reader: &mut Reader, json: &Json) -> Vec<GraphParam> {
    if json.kind() != Kind::Object {
        return reader.each(json, param);
    }
    let from_entry = |(name, value)| GraphParam {
        name,
        kind: None,
        value,
        extra: Vec::new(),
    };
    json.entries()
        .unwrap_or_default()
        .into_iter()
        .map(from_entry)
        .collect()
}

fn param(reader: &mut Reader, json: &Json) -> Option<GraphParam> {
    let mut param = GraphParam {
        name: String::new(),
        kind: None,
        value: Json::null(),
        extra: Vec::new(),
    };
    let mut name = None;
    for (key, value) in reader.object(json)? {
        reader.key(&key.clone(), |reader| match key.as_str() {
            "name" => name = Some(reader.string(&value)),
            "type" => param.kind = reader.optional_string(&value),
            "value" => param.value = value,
            _ => param.extra.push((key, value)),
        });
    }
    param.name = required(reader, name, "name")?;
    Some(param)
}

/// `None` was absent, `Some(None)` was wrong and is reported already.
fn required<T>(reader: &mut Reader, value: Option<Option<T>>, key: &str) -> Option<T> {
    if value.is_none() {
        reader.wrong(format!("\"{key}\" is missing"));
    }
    value.flatten()
}

fn link(reader: &mut Reader, json: &Json) -> Option<Link> {
    let mut id = None;
    let mut ends = None;
    let mut extra = Vec::new();
    for (key, value) in reader.object(json)? {
        reader.key(&key.clone(), |reader| match key.as_str() {
            "id" => id = Some(reader.integer(&value)),
            "link" => ends = Some(link_ends(reader, &value)),
            _ => extra.push((key, value)),
        });
    }
    let id = required(reader, id, "id");
    let (source, output, target, input) = required(reader, ends, "link")?;
    Some(Link {
        id: id?,
        source,
        output,
        target,
        input,
        extra,
    })
}

fn link_ends(reader: &mut Reader, json: &Json) -> Option<(u64, String, u64, String)> {
    let parts = reader.array(json)?;
    let [source, output, target, input] = parts.as_slice() else {
        reader.wrong("a link is [source id, output name, target id, input name]");
        return None;
    };
    let source = reader.index(0, |reader| node_id(reader, source));
    let output = reader.index(1, |reader| reader.string(output));
    let target = reader.index(2, |reader| node_id(reader, target));
    let input = reader.index(3, |reader| reader.string(input));
    Some((source?, output?, target?, input?))
}

// spec: nanograph 16.2
fn exec(reader: &mut Reader, json: &Json) -> Exec {
    let mut exec = Exec::default();
    let entries = if json.is_null() {
        Vec::new()
    } else {
        reader.object(json).unwrap_or_default()
    };
    for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
        reader.key(key, |reader| exec_key(reader, &mut exec, key, value));
    }
    exec
}

fn exec_key(reader: &mut Reader, exec: &mut Exec, key: &str, value: &Json) {
    match key {
        "retries" => exec.retries = reader.count(value, MAX_RETRIES),
        "retryDelay" => exec.retry_delay = reader.seconds(value, MAX_TIME),
        "retryBackoff" => {
            exec.retry_backoff_milli = reader.number(value, 1.0, MAX_BACKOFF).map(thousandths)
        }
        "retryMaxDelay" => exec.retry_max_delay = reader.seconds(value, MAX_TIME),
        "timeout" => exec.timeout = reader.seconds(value, MAX_TIME),
        "idleTimeout" => exec.idle_timeout = reader.seconds(value, MAX_TIME),
        "startTimeout" => exec.start_timeout = reader.seconds(value, MAX_TIME),
        "onError" => exec.on_error = reader.word(value, OnError::WORDS),
        "cache" => exec.cache = reader.word(value, CacheMode::WORDS),
        "idempotent" => exec.idempotent = reader.boolean(value),
        _ => reader.wrong(format!(
            "unknown setting; known are {}",
            EXEC_KEYS.join(", ")
        )),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within 1 to MAX_BACKOFF"
)]
fn thousandths(number: f64) -> u32 {
    (number * 1_000.0).round() as u32
}
