//! A service on free ports, and what talks to it.

use std::net::SocketAddr;
use std::time::Duration;

use autotrainer_api::zmq::{EventSocket, RequestSocket, SocketOptions};
use autotrainer_api::{
    Deadline, Handler, Service, ServiceBuilder, ServiceCounts, StartError, Topic,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Fails a test that waits for something that never comes; nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Heartbeats come only where a test asks for them, however long it takes.
const NO_HEARTBEATS: Duration = Duration::from_secs(3600);

pub(crate) fn builder() -> ServiceBuilder {
    let builder = Service::builder().subscriber_port(0).command_port(0);
    builder.heartbeat_interval(NO_HEARTBEATS)
}

/// As soon as its ports are free: a process that another test is just starting has a copy of every open socket until it
/// runs its own program.
pub(crate) async fn started(builder: ServiceBuilder) -> Service {
    let service = builder.build();
    loop {
        match service.start().await {
            Err(StartError::Bind { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            started => break started.unwrap(),
        }
    }
    service
}

/// Waits for its handler, however busy the machine: what is answered before is another matter.
pub(crate) async fn serving(handler: impl Handler) -> Service {
    started(builder().deadline(Deadline::Wait).handler(handler)).await
}

pub(crate) fn command_address(service: &Service) -> SocketAddr {
    service.command_addresses()[0]
}

pub(crate) fn event_address(service: &Service) -> SocketAddr {
    service.event_addresses()[0]
}

pub(crate) struct Client(pub(crate) RequestSocket);

impl Client {
    pub(crate) async fn of(service: &Service) -> Self {
        Self::at(command_address(service), &SocketOptions::default()).await
    }

    pub(crate) async fn at(address: SocketAddr, options: &SocketOptions) -> Self {
        let socket = RequestSocket::new(options).unwrap();
        socket.connect(&format!("tcp://{address}")).await.unwrap();
        Self(socket)
    }

    pub(crate) async fn send(&self, request: &Value) {
        let frame = Bytes::from(request.to_string());
        self.0.send(frame).await.unwrap();
    }

    pub(crate) async fn reply_frame(&self) -> Bytes {
        let reply = timeout(PATIENCE, self.0.receive()).await;
        let frames = reply.expect("a reply").unwrap();
        assert_eq!(frames.len(), 1);
        frames[0].clone()
    }

    pub(crate) async fn reply(&self) -> Value {
        serde_json::from_slice(&self.reply_frame().await).unwrap()
    }

    pub(crate) async fn ask(&self, request: &Value) -> Value {
        self.send(request).await;
        self.reply().await
    }

    pub(crate) async fn ask_frames(&self, frames: &[Bytes]) -> Bytes {
        self.0.send_frames(frames).await.unwrap();
        self.reply_frame().await
    }

    /// Asks for something with this nonce.
    pub(crate) async fn assert_served(&self, nonce: u64) {
        let answer = self.ask(&json!({"command": 400, "nonce": nonce})).await;
        assert_eq!(
            (&answer["nonce"], &answer["result"]),
            (&json!(nonce), &json!(100))
        );
    }
}

pub(crate) struct Subscriber(EventSocket);

/// What is published until it arrives, so that the subscription is known to be there.
const PROBE: &[u8] = b"\"probe\"";

impl Subscriber {
    pub(crate) async fn of(service: &Service, topic: Topic) -> Self {
        let socket = EventSocket::new(&SocketOptions::default()).unwrap();
        let endpoint = format!("tcp://{}", event_address(service));
        socket.connect(&endpoint).await.unwrap();
        socket.subscribe(topic).await.unwrap();
        let subscriber = Self(socket);
        let arrived = timeout(PATIENCE, subscriber.probe(service, topic)).await;
        arrived.expect("a subscription");
        subscriber
    }

    async fn probe(&self, service: &Service, topic: Topic) {
        loop {
            let probe = Bytes::from_static(PROBE);
            service.publisher().publish(topic, probe).await.unwrap();
            // Only how often it is tried depends on this time.
            if timeout(Duration::from_millis(20), self.0.receive())
                .await
                .is_ok()
            {
                return;
            }
        }
    }

    /// The next message, probes aside.
    pub(crate) async fn next(&self) -> (Topic, Bytes) {
        loop {
            let frames = timeout(PATIENCE, self.0.receive()).await;
            let frames = frames.expect("a message").unwrap();
            assert_eq!(frames.len(), 2);
            if frames[1] != PROBE {
                return (Topic::from_frame(&frames[0]).unwrap(), frames[1].clone());
            }
        }
    }

    pub(crate) async fn next_json(&self) -> (Topic, Value) {
        let (topic, payload) = self.next().await;
        (topic, serde_json::from_slice(&payload).unwrap())
    }
}

/// Waits until the counts are so.
pub(crate) async fn until(service: &Service, is_so: impl Fn(&ServiceCounts) -> bool) {
    let poll = async {
        while !is_so(&service.counts()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if timeout(PATIENCE, poll).await.is_err() {
        panic!("never so: {:?}", service.counts());
    }
}
