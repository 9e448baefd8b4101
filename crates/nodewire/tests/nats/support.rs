//! A broker, a server with nodes to try, and a client.

use std::sync::Arc;

use ::bytes::Bytes;
use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures_util::StreamExt;
use nats_broker::{Broker, Limits};
use nodewire::nats::NatsConfig;
use nodewire::prelude::*;
use nodewire::{AssetStore, Executor, NodeServerBuilder, Outputs as CoreOutputs, RunningServer};
use serde_json::Value;

pub(crate) use crate::nodes::{PATIENCE, Probe, stop, until};

/// What reverse gives.
#[derive(Outputs)]
struct Reversed {
    data: Bytes,
    length: usize,
}

/// Bytes in reverse, and something that is none.
#[node]
async fn reverse(
    context: Context,
    data: Bytes,
    suffix: Option<String>,
    #[param(default = false)] preview: bool,
) -> Reversed {
    let mut reversed: Vec<u8> = data.iter().rev().copied().collect();
    if preview {
        let first = Bytes::copy_from_slice(&reversed[..1]);
        context
            .partial(CoreOutputs::new().with("data", first))
            .await;
    }
    reversed.extend(suffix.unwrap_or_default().bytes());
    Reversed {
        length: reversed.len(),
        data: reversed.into(),
    }
}

/// So many bytes.
#[node(output = "data")]
async fn grow(#[param(default = 0)] length: usize) -> Bytes {
    vec![0; length].into()
}

/// A server of the service `nodes`, and what its waiting nodes do.
pub(crate) struct Served {
    pub(crate) server: RunningServer,
    pub(crate) probe: Probe,
}

pub(crate) async fn serve(
    url: &str,
    configure: impl FnOnce(&mut NatsConfig),
    build: impl FnOnce(NodeServerBuilder) -> NodeServerBuilder,
) -> Served {
    let (builder, probe) = Probe::builder();
    let mut config = NatsConfig::new("nodes", "1.2.3", url);
    configure(&mut config);
    let builder = builder
        .node(reverse())
        .node(grow())
        .drain(10 * PATIENCE)
        .nats(config);
    let server = build(builder).build().unwrap().start().await.unwrap();
    Served { server, probe }
}

/// What most tests need.
pub(crate) struct Fixture {
    pub(crate) served: Served,
    pub(crate) client: Client,
    pub(crate) broker: Broker,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(configure: impl FnOnce(&mut NatsConfig)) -> Self {
        let broker = Broker::builder().start().await.unwrap();
        Self::start_on(broker, configure, |builder| builder).await
    }

    pub(crate) async fn start_with_assets(store: Arc<dyn AssetStore>) -> Self {
        let broker = Broker::builder().start().await.unwrap();
        Self::start_on(broker, |_| {}, |builder| builder.assets(store)).await
    }

    /// With messages of 4 MiB.
    pub(crate) async fn start_large() -> Self {
        let limits = Limits {
            payload_bytes_max: 4 << 20,
            ..Limits::default()
        };
        let broker = Broker::builder().limits(limits).start().await.unwrap();
        Self::start_on(broker, |_| {}, |builder| builder).await
    }

    async fn start_on(
        broker: Broker,
        configure: impl FnOnce(&mut NatsConfig),
        build: impl FnOnce(NodeServerBuilder) -> NodeServerBuilder,
    ) -> Self {
        let served = serve(&broker.url(), configure, build).await;
        let client = async_nats::connect(broker.url()).await.unwrap();
        Self {
            served,
            client,
            broker,
        }
    }

    pub(crate) async fn request(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Message {
        request(&self.client, subject, headers, body).await
    }

    /// A request without headers; the outputs, or the error's code and text.
    pub(crate) async fn call(&self, node: &str, body: &str) -> Result<Value, (u32, String)> {
        let reply = self
            .request(&format!("nodes.{node}"), &[], body.to_owned())
            .await;
        outcome(&reply)
    }

    pub(crate) async fn stream(
        &self,
        node: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Replies {
        let inbox = self.client.new_inbox();
        let replies = self.client.subscribe(inbox.clone()).await.unwrap();
        let mut headers = header_map(headers);
        headers.insert("Nodewire-Stream", "1");
        let subject = format!("nodes.{node}");
        let body = body.into();
        self.client
            .publish_with_reply_and_headers(subject, inbox, headers, body)
            .await
            .unwrap();
        Replies(replies)
    }

    pub(crate) fn executor(&self) -> &Executor {
        self.served.server.executor()
    }

    /// Stops the server; everything was counted exactly once.
    pub(crate) async fn stop(self) {
        stop(self.served.server).await;
        self.broker.shutdown().await;
    }
}

pub(crate) async fn request(
    client: &Client,
    subject: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Message {
    let mut request = async_nats::Request::new()
        .payload(body.into())
        .timeout(Some(PATIENCE));
    if !headers.is_empty() {
        request = request.headers(header_map(headers));
    }
    client
        .send_request(subject.to_owned(), request)
        .await
        .unwrap()
}

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    map
}

pub(crate) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    Some(message.headers.as_ref()?.get(name)?.as_str())
}

pub(crate) fn json(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

/// The outputs, or the error's code and text.
pub(crate) fn outcome(reply: &Message) -> Result<Value, (u32, String)> {
    let Some(code) = header(reply, "Nats-Service-Error-Code") else {
        return Ok(json(reply)["outputs"].clone());
    };
    let text = header(reply, "Nats-Service-Error").unwrap();
    Err((code.parse().unwrap(), text.to_owned()))
}

/// The replies of a stream.
pub(crate) struct Replies(Subscriber);

impl Replies {
    pub(crate) async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        next.expect("a reply comes").unwrap()
    }

    /// The event's name and the reply.
    pub(crate) async fn event(&mut self) -> (String, Message) {
        let reply = self.next().await;
        let event = header(&reply, "Nodewire-Event").unwrap_or("none");
        (event.to_owned(), reply)
    }

    /// All up to the end.
    pub(crate) async fn all(mut self) -> Vec<(String, Message)> {
        let mut all = Vec::new();
        loop {
            let (event, reply) = self.event().await;
            let ends = ["completed", "failed", "cancelled", "dropped"].contains(&event.as_str());
            all.push((event, reply));
            if ends {
                return all;
            }
        }
    }
}
