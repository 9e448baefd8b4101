//! Writing a graph back.

use std::time::Duration;

use nodewire_json::Json;

use super::exec::Exec;
use super::node::{GraphNode, GraphParam, SavedPort};
use super::{Graph, Link};
use crate::workflow::object::{ObjectWriter, push_array};

/// The text of the whole file.
pub(super) fn graph(graph: &Graph) -> Json {
    let mut object = ObjectWriter::new();
    object
        .optional_string("uid", graph.uid.as_deref())
        .string("type", "nanograph");
    if !graph.meta.is_null() {
        object.member("meta", &graph.meta);
    }
    push_array(object.open("nodes"), &graph.nodes, |text, item| {
        text.push_str(&node(item))
    });
    push_array(object.open("links"), &graph.links, |text, item| {
        text.push_str(&link(item))
    });
    extra(&mut object, &graph.extra);
    // A graph is read from a value no deeper than the limit, and written no deeper than it was read.
    object.finish().unwrap_or_default()
}

fn node(node: &GraphNode) -> String {
    let mut object = ObjectWriter::new();
    object
        .text_member("id", &node.id.to_string())
        .string("uid", &node.uid);
    if node.client {
        object.string("type", "client");
    }
    object
        .optional_string("name", node.name.as_deref())
        .optional_string("version", node.version.as_deref());
    push_array(object.open("inputs"), &node.inputs, |text, item| {
        text.push_str(&port(item))
    });
    push_array(object.open("outputs"), &node.outputs, |text, item| {
        text.push_str(&port(item))
    });
    push_array(object.open("params"), &node.params, |text, item| {
        text.push_str(&param(item))
    });
    if !node.values.is_empty() {
        let mut values = ObjectWriter::new();
        extra(&mut values, &node.values);
        object.text_member("values", &values.into_text());
    }
    if let Some(pin) = &node.pin {
        object.member("pin", pin);
    }
    if node.muted {
        object.text_member("muted", "true");
    }
    if !node.active {
        object.text_member("active", "false");
    }
    object.optional_string("serverUid", node.server_uid.as_deref());
    object.optional_string("serverPackageId", node.server_package_id.as_deref());
    if node.exec != Exec::default() {
        object.text_member("exec", &exec(&node.exec));
    }
    extra(&mut object, &node.extra);
    object.into_text()
}

fn port(port: &SavedPort) -> String {
    let mut object = ObjectWriter::new();
    object.string("name", &port.name);
    if !port.kind.is_empty() {
        object.string("type", &port.kind);
    }
    extra(&mut object, &port.extra);
    object.into_text()
}

fn param(param: &GraphParam) -> String {
    let mut object = ObjectWriter::new();
    object
        .string("name", &param.name)
        .optional_string("type", param.kind.as_deref())
        .member("value", &param.value);
    extra(&mut object, &param.extra);
    object.into_text()
}

fn link(link: &Link) -> String {
    let mut object = ObjectWriter::new();
    let ends = [
        Json::from(serde_json::Value::from(link.source)),
        Json::from(link.output.as_str()),
        Json::from(serde_json::Value::from(link.target)),
        Json::from(link.input.as_str()),
    ];
    object
        .text_member("id", &link.id.to_string())
        .member("link", &Json::array(&ends));
    extra(&mut object, &link.extra);
    object.into_text()
}

fn exec(exec: &Exec) -> String {
    let mut object = ObjectWriter::new();
    let mut number = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            object.text_member(key, &value);
        }
    };
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64().to_string());
    number("retries", exec.retries.map(|retries| retries.to_string()));
    number("retryDelay", seconds(exec.retry_delay));
    number(
        "retryBackoff",
        exec.retry_backoff_milli
            .map(|milli| (f64::from(milli) / 1_000.0).to_string()),
    );
    number("retryMaxDelay", seconds(exec.retry_max_delay));
    number("timeout", seconds(exec.timeout));
    number("idleTimeout", seconds(exec.idle_timeout));
    number("startTimeout", seconds(exec.start_timeout));
    number(
        "idempotent",
        exec.idempotent.map(|idempotent| idempotent.to_string()),
    );
    let on_error = exec
        .on_error
        .and_then(|value| word(super::OnError::WORDS, value));
    let cache = exec
        .cache
        .and_then(|value| word(super::CacheMode::WORDS, value));
    object
        .optional_string("onError", on_error)
        .optional_string("cache", cache);
    object.into_text()
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> Option<&'static str> {
    words
        .iter()
        .find(|(_, candidate)| *candidate == value)
        .map(|(word, _)| *word)
}

fn extra(object: &mut ObjectWriter, entries: &[(String, Json)]) {
    for (key, value) in entries {
        object.member(key, value);
    }
}
