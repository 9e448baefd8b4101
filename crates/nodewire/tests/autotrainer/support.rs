//! A server on free ports, and a client for it.

use std::time::Duration;

use autotrainer_api::{
    Command, CommandAnswer, CommandResult, Delivery, Limits, Message, PendingResult,
    PropertyChange, Remote, RemoteOptions, ResultCode, SubscribeOptions, Subscription, Topic,
};
use nodewire::autotrainer::{AutotrainerConfig, AutotrainerCounts};
use nodewire::{Json, NodeServer, NodeServerBuilder, RunningServer};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::nodes::{self, Waiting};

/// Fails a test that waits for something that never comes; nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The number of the node `echo`, which is registered first.
pub(crate) const ECHO: i64 = 1000;

pub(crate) struct Served {
    pub(crate) server: RunningServer,
    pub(crate) remote: Remote,
    /// Changes of properties from the start on.
    pub(crate) changes: Subscription,
    pub(crate) waiting: Waiting,
}

/// Free ports, and heartbeats only where a test asks for them.
pub(crate) fn config() -> AutotrainerConfig {
    let mut config = AutotrainerConfig::new("test-device");
    config.event_port = 0;
    config.command_port = 0;
    config.heartbeat_interval = Duration::from_secs(3600);
    config
}

pub(crate) fn builder(config: AutotrainerConfig, waiting: &Waiting) -> NodeServerBuilder {
    NodeServer::builder()
        .node(nodes::echo())
        .node(nodes::blip())
        .node(nodes::steps())
        .node(nodes::panic())
        .node(nodes::reverse())
        .node(nodes::tell())
        .node(nodes::long())
        .node(nodes::grow())
        .node(waiting.narrow())
        .node(waiting.wide())
        .autotrainer(config)
}

pub(crate) async fn start(builder: NodeServerBuilder) -> RunningServer {
    builder.build().unwrap().start().await.unwrap()
}

/// Where commands and events are.
pub(crate) fn ports(server: &RunningServer) -> (u16, u16) {
    let address = server.autotrainer_address().unwrap();
    (address.commands[0].port(), address.events[0].port())
}

impl Served {
    pub(crate) async fn new(config: AutotrainerConfig) -> Self {
        let waiting = Waiting::default();
        let server = start(builder(config, &waiting)).await;
        Self::of(server, waiting).await
    }

    pub(crate) async fn of(server: RunningServer, waiting: Waiting) -> Self {
        let (commands, events) = ports(&server);
        let mut options = RemoteOptions::ports("127.0.0.1", events, commands);
        // Client and server share a thread, which may be busy for longer than a heartbeat allows.
        options.socket_options.heartbeats = None;
        let remote = Remote::connect(RemoteOptions {
            timeout: PATIENCE,
            event_channel_wait: PATIENCE,
            limits: Limits {
                frame_bytes_max: 16 << 20,
                ..Limits::default()
            },
            ..options
        });
        let remote = remote.await.unwrap();
        let changes = joined(&remote).await;
        Self {
            server,
            remote,
            changes,
            waiting,
        }
    }

    pub(crate) fn counts(&self) -> AutotrainerCounts {
        self.server.autotrainer_counts().unwrap()
    }

    /// Runs a node to its end.
    pub(crate) async fn run(&self, data: Value) -> CommandResult {
        let mut pending = self.begin(data).await;
        pending.result(PATIENCE).await.unwrap()
    }

    /// Starts to run a node that is answered as pending.
    pub(crate) async fn begin(&self, data: Value) -> PendingResult {
        let call = self.remote.command(Command::UserDefined);
        let answered = call.verbatim_data(Json::from(data)).send().await.unwrap();
        let answer = &answered.answer;
        assert_eq!(
            answer.result,
            ResultCode::PendingWithNotification,
            "{answer:?}"
        );
        answered.pending.unwrap()
    }

    /// Sends what is answered at once.
    pub(crate) async fn ask(&self, custom: Option<i64>, data: Value) -> CommandAnswer {
        let call = match custom {
            Some(number) => self.remote.custom_command(number),
            None => self.remote.command(Command::UserDefined),
        };
        let answered = call.verbatim_data(Json::from(data)).send().await.unwrap();
        assert!(answered.pending.is_none(), "{:?}", answered.answer);
        answered.answer
    }

    pub(crate) async fn cancel(&self, nonce: u64) -> CommandAnswer {
        self.ask(Some(2), json!({"nonce": nonce})).await
    }

    /// The next change of a property that tells of this execution.
    pub(crate) async fn change_of(&mut self, nonce: u64) -> PropertyChange {
        loop {
            let delivery = timeout(PATIENCE, self.changes.next()).await.unwrap();
            let change = change(delivery.unwrap());
            if change.new_value.get("nonce").unwrap().as_str() == nonce.to_string() {
                return change;
            }
        }
    }

    /// Stops, after a look at the sums.
    pub(crate) async fn finish(self) {
        let executor = self.server.executor().clone();
        self.server.stop().await;
        let counters = executor.counters();
        assert!(counters.is_balanced(), "{counters:?}");
        assert_eq!(counters.in_flight, 0);
        self.remote.close().await;
    }
}

/// Waits until what the client subscribed to so far is in effect: subscriptions arrive in order.
pub(crate) async fn joined(remote: &Remote) -> Subscription {
    let topics = SubscribeOptions::topics(&[Topic::PROPERTY_CHANGE]);
    let mut changes = remote.subscribe(topics).await;
    let arrives = async {
        loop {
            let blip = Json::from(json!({"node": "blip"}));
            let call = remote.command(Command::UserDefined).verbatim_data(blip);
            call.send().await.unwrap();
            // Only how often it is tried depends on this time.
            if let Ok(arrived) = timeout(Duration::from_millis(50), changes.next()).await {
                break arrived.unwrap();
            }
        }
    };
    change(timeout(PATIENCE, arrives).await.unwrap());
    changes
}

fn change(delivery: Delivery) -> PropertyChange {
    let told = format!("{delivery:?}");
    let Delivery::Message(Message::Event { topic, event, .. }) = delivery else {
        panic!("no change of a property but {told}");
    };
    assert_eq!((topic, event.kind_number), (Topic::PROPERTY_CHANGE, 501));
    event.context.decode().unwrap()
}

pub(crate) fn data(json: &Json) -> Value {
    json.decode().unwrap()
}

/// How it went, and why.
pub(crate) fn outcome(result: &CommandResult) -> (ResultCode, i64, &str) {
    let message = result.error_message.as_deref().unwrap_or_default();
    (result.result, result.error_code, message)
}

/// How a command that was answered at once went.
pub(crate) fn answered(answer: &CommandAnswer) -> (ResultCode, i64) {
    (answer.result, answer.error_code)
}
