//! Servers to try.

use std::sync::{Arc, Mutex};

use nanograph::config::{ConfigFile, ServerConfig};
use nodewire::http::{Access, HttpConfig};
use nodewire::nanograph::NanographConfig;
use nodewire::telemetry::TraceParent;
use nodewire::{Context, NodeDefinition, NodeServerBuilder, Outputs, node_fn};
use serde_json::json;

/// The traces that a node was called in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<TraceParent>>>);

impl Seen {
    /// A node that notes them.
    pub(crate) fn add_to(&self, builder: NodeServerBuilder, uid: &str) -> NodeServerBuilder {
        let seen = self.clone();
        let definition = NodeDefinition::builder(uid).build().unwrap();
        builder.node(node_fn(definition, move |context: Context| {
            let parent = context.trace_parent().and_then(TraceParent::parse);
            seen.0.lock().unwrap().extend(parent);
            std::future::ready(Ok(Outputs::new()))
        }))
    }

    pub(crate) fn take(&self) -> Vec<TraceParent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Serves over Nanograph, and over plain HTTP without a token, on free ports.
pub(crate) fn on_two_wires(builder: NodeServerBuilder, uid: &str) -> NodeServerBuilder {
    let file = json!({"serverUid": uid, "serverPackageId": uid}).to_string();
    let port = |name: &str| (name == "PORT").then(|| "0".to_owned());
    let config = ServerConfig::resolve(ConfigFile::parse(&file).unwrap(), port).unwrap();
    builder
        .nanograph(NanographConfig::new(config))
        .http(HttpConfig::new().access(Access::Open))
}
