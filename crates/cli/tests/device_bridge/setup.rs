//! A broker, devices, and the bridge between them.

use std::process::Stdio;
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subscriber};
use autotrainer_api::{
    Command as DeviceCommand, CommandRequest, CommandResponse, Deadline, Pending, ResultCode,
    Service, StartError, with_pending,
};
use bytes::Bytes;
use futures_util::StreamExt;
use nodewire_testkit::NatsServer;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Fails a test that waits for something that never comes; nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it comes in time")
}

/// A device of this crate's own: says what it was asked, and by which nonce.
pub(crate) async fn device(identifier: &str) -> Service {
    device_on(identifier, 0, 0).await
}

/// As soon as its ports are free: a process that another test is just starting has a copy of every open socket until it
/// runs its own program.
pub(crate) async fn device_on(identifier: &str, event_port: u16, command_port: u16) -> Service {
    let service = Service::builder()
        .identifier(identifier)
        .heartbeat_interval(Duration::from_millis(50))
        .subscriber_port(event_port)
        .command_port(command_port)
        .deadline(Deadline::Wait)
        .concurrency(8)
        .handler(with_pending(answer))
        .build();
    loop {
        match service.start().await {
            Err(StartError::Bind { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            started => break started.unwrap(),
        }
    }
    service
}

async fn answer(request: CommandRequest, pending: Pending) -> CommandResponse {
    match request.command {
        DeviceCommand::StartAcquisition => {
            let seen = request.data();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(30)).await;
                let _ = pending.complete(CommandResponse::success().with_verbatim_data(seen));
            });
            CommandResponse::new(ResultCode::PendingWithNotification)
        }
        DeviceCommand::StopAcquisition => {
            CommandResponse::new(ResultCode::Failed).with_error(42, "Motor not ready")
        }
        DeviceCommand::EmergencyResume => CommandResponse::unavailable(),
        DeviceCommand::GetConfiguration => std::future::pending().await,
        _ => CommandResponse::success().with_verbatim_data(request.verbatim_data),
    }
}

pub(crate) fn place_of(service: &Service) -> String {
    let (events, commands) = ports_of(service);
    format!("127.0.0.1:{events}:{commands}")
}

pub(crate) fn ports_of(service: &Service) -> (u16, u16) {
    (
        service.event_addresses()[0].port(),
        service.command_addresses()[0].port(),
    )
}

pub(crate) struct Bridge {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
    /// What it has said so far.
    pub(crate) said: Vec<Value>,
}

impl Bridge {
    pub(crate) fn start(server: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nodewire"))
            .args(["device", "bridge", "--json", "--server", server])
            .args(["--reconnect-delay", "0.05"])
            .args(arguments)
            .env_clear()
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            log,
            said: Vec::new(),
        }
    }

    /// Started, and bridging so many devices.
    pub(crate) async fn bridging(server: &str, devices: usize, arguments: &[&str]) -> Self {
        let mut bridge = Self::start(server, arguments);
        for _ in 0..devices {
            bridge.says("bridging").await;
        }
        bridge
    }

    /// Waits for a line of this type.
    pub(crate) async fn says(&mut self, of_type: &str) -> Value {
        self.says_that(|line| line["type"] == of_type).await
    }

    pub(crate) async fn says_that(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = timeout(PATIENCE, self.log.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{:#?}", self.said));
            let line = line.unwrap().unwrap_or_else(|| panic!("{:#?}", self.said));
            let line: Value = serde_json::from_str(&line).unwrap();
            self.said.push(line.clone());
            if wanted(&line) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        nodewire_testkit::signal(self.child.id().unwrap(), signal).unwrap();
    }

    /// Asks it to end, and gives its exit status.
    pub(crate) async fn stop(self) -> Option<i32> {
        self.signal("-TERM");
        self.ended().await
    }

    pub(crate) async fn ended(mut self) -> Option<i32> {
        let rest = async { while let Ok(Some(_)) = self.log.next_line().await {} };
        patiently(rest).await;
        patiently(self.child.wait()).await.unwrap().code()
    }
}

/// A broker and a client of it.
pub(crate) struct Hub {
    pub(crate) broker: NatsServer,
    pub(crate) client: async_nats::Client,
}

impl Hub {
    pub(crate) async fn start() -> Self {
        Self::of(NatsServer::start().await.unwrap()).await
    }

    pub(crate) async fn of(broker: NatsServer) -> Self {
        let client = async_nats::connect(broker.url()).await.unwrap();
        Self { broker, client }
    }

    /// In effect when this returns.
    pub(crate) async fn subscribe(&self, subject: &str) -> Subscriber {
        subscribe(&self.client, subject).await
    }

    pub(crate) async fn ask(&self, subject: &str, payload: &str) -> Message {
        ask(&self.client, subject, payload, &[]).await
    }
}

pub(crate) async fn subscribe(client: &async_nats::Client, subject: &str) -> Subscriber {
    let subscriber = client.subscribe(subject.to_owned()).await.unwrap();
    // The broker answers in order.
    let inbox = client.new_inbox();
    let mut marks = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, "mark".into()).await.unwrap();
    patiently(marks.next()).await.unwrap();
    subscriber
}

pub(crate) async fn ask(
    client: &async_nats::Client,
    subject: &str,
    payload: &str,
    headers: &[(&str, &str)],
) -> Message {
    let mut replies = ask_more(client, subject, payload, headers).await;
    patiently(replies.next()).await.unwrap()
}

/// Replies as they come.
pub(crate) async fn ask_more(
    client: &async_nats::Client,
    subject: &str,
    payload: &str,
    headers: &[(&str, &str)],
) -> Subscriber {
    let inbox = client.new_inbox();
    let replies = client.subscribe(inbox.clone()).await.unwrap();
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        all.insert(*name, *value);
    }
    let payload = Bytes::from(payload.to_owned());
    client
        .publish_with_reply_and_headers(subject.to_owned(), inbox, all, payload)
        .await
        .unwrap();
    replies
}

pub(crate) fn json(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap_or_else(|_| panic!("{message:?}"))
}

pub(crate) fn header<'m>(message: &'m Message, name: &str) -> &'m str {
    let headers = message.headers.as_ref().expect("headers");
    headers
        .get(name)
        .map_or("", async_nats::HeaderValue::as_str)
}

pub(crate) fn error_code(message: &Message) -> &str {
    message
        .headers
        .as_ref()
        .and_then(|headers| headers.get("Nats-Service-Error-Code"))
        .map_or("", async_nats::HeaderValue::as_str)
}

pub(crate) async fn next(subscriber: &mut Subscriber) -> Message {
    patiently(subscriber.next()).await.expect("a message")
}

/// The next one whose subject ends so.
pub(crate) async fn next_on(subscriber: &mut Subscriber, end: &str) -> Message {
    loop {
        let message = next(subscriber).await;
        if message.subject.ends_with(end) {
            return message;
        }
    }
}
