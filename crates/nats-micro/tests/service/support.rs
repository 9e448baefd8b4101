//! Brokers to test on, and what tests ask of services.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Message, RequestErrorKind};
use futures_util::StreamExt;
use nats_broker::Broker;
use nats_micro::{Endpoint, Request, Service, ServiceBuilder};
use nodewire_testkit::NatsServer;
use tokio::task::JoinHandle;

/// Longer than anything takes; only a hang runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) enum TestBroker {
    Real(Box<NatsServer>),
    Embedded(Broker),
}

impl TestBroker {
    pub(crate) async fn real() -> Self {
        Self::Real(Box::new(NatsServer::start().await.unwrap()))
    }

    pub(crate) async fn embedded() -> Self {
        Self::Embedded(Broker::builder().start().await.unwrap())
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Real(server) => server.url(),
            Self::Embedded(broker) => broker.url(),
        }
    }

    /// A connection of its own, with time for a busy machine.
    pub(crate) async fn connect(&self) -> Client {
        let options = ConnectOptions::new().request_timeout(Some(PATIENCE));
        options.connect(self.url()).await.unwrap()
    }
}

/// A test function for each broker.
macro_rules! on_both_brokers {
    ($($(#[$attribute:meta])* $name:ident)*) => {
        mod on_nats_server {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&mut crate::support::TestBroker::real().await).await;
            })*
        }
        mod on_embedded_broker {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&mut crate::support::TestBroker::embedded().await).await;
            })*
        }
    };
}
pub(crate) use on_both_brokers;

/// With all the time that a busy machine needs to stop: beyond it, requests are cut off.
pub(crate) fn demo() -> ServiceBuilder {
    Service::builder("demo", "1.0.0").stop_timeout(10 * PATIENCE)
}

pub(crate) fn echo(name: &str) -> Endpoint {
    Endpoint::new(
        name,
        |request: Request| async move { request.payload().clone() },
    )
}

/// An endpoint that says so when it begins, and ends when it is let go.
pub(crate) fn gated(name: &str) -> (Endpoint, Gate) {
    let gate = Gate::default();
    let inside = gate.clone();
    let endpoint = Endpoint::new(name, move |request: Request| {
        let gate = inside.clone();
        async move {
            gate.begun.fetch_add(1, Ordering::SeqCst);
            let _ = gate.open.acquire().await;
            request.payload().clone()
        }
    });
    (endpoint, gate)
}

#[derive(Clone)]
pub(crate) struct Gate {
    begun: Arc<AtomicUsize>,
    open: Arc<tokio::sync::Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            begun: Arc::default(),
            open: Arc::new(tokio::sync::Semaphore::new(0)),
        }
    }
}

impl Gate {
    pub(crate) async fn wait_until_begun(&self, requests: usize) {
        until("the handler has begun", || {
            self.begun.load(Ordering::SeqCst) >= requests
        })
        .await;
    }

    /// Lets everything through, from now on.
    pub(crate) fn open(&self) {
        self.open.close();
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

/// Waits until all endpoints together have counted so many requests: a caller has its reply a moment before.
pub(crate) async fn counted(service: &Service, requests: u64) {
    until("all are counted", || {
        let endpoints = service.stats().endpoints;
        endpoints.iter().map(|each| each.num_requests).sum::<u64>() == requests
    })
    .await;
}

/// Sends a request whose replies come to a subscription.
pub(crate) async fn ask(client: &Client, subject: &str, payload: &'static str) -> Replies {
    let inbox = client.new_inbox();
    let replies = client.subscribe(inbox.clone()).await.unwrap();
    client
        .publish_with_reply(subject.to_owned(), inbox, payload.into())
        .await
        .unwrap();
    client.flush().await.unwrap();
    Replies(replies)
}

pub(crate) struct Replies(async_nats::Subscriber);

impl Replies {
    pub(crate) async fn next(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.0.next())
            .await
            .expect("no reply came")
            .expect("the connection closed")
    }

    /// That nothing more came before a later request was answered.
    pub(crate) async fn assert_no_more(mut self, client: &Client, fence: &str) {
        client.request(fence.to_owned(), "".into()).await.unwrap();
        let more = tokio::time::timeout(Duration::from_millis(1), self.0.next()).await;
        assert!(more.is_err(), "one reply too many: {more:?}");
    }
}

pub(crate) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let value = message.headers.as_ref()?.get(name)?;
    Some(value.as_str())
}

/// Callers that ask one endpoint without pause.
pub(crate) struct LoadOf {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<Vec<String>>>,
}

impl LoadOf {
    pub(crate) async fn start(broker: &TestBroker, subject: &str, callers: usize) -> Self {
        let client = broker.connect().await;
        let over = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let callers = (0..callers).map(|_| {
            let (client, subject) = (client.clone(), subject.to_owned());
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut lost = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    match client.request(subject.clone(), "x".into()).await {
                        Ok(reply) if reply.headers.is_none() => {
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(reply) => lost.push(format!("{:?}", reply.headers)),
                        Err(error) => {
                            // Nobody is lost to "no responders": the caller is told at once.
                            let kind = error.kind();
                            lost.push(format!("{kind:?}"));
                            if kind == RequestErrorKind::TimedOut {
                                break;
                            }
                        }
                    }
                }
                lost
            })
        });
        Self {
            callers: callers.collect(),
            over,
            answered,
        }
    }

    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Ends the load: how many requests were answered, and what happened to the others.
    pub(crate) async fn end(self) -> (usize, Vec<String>) {
        self.over.store(true, Ordering::SeqCst);
        let mut lost = Vec::new();
        for caller in self.callers {
            lost.extend(caller.await.unwrap());
        }
        (self.answered.load(Ordering::SeqCst), lost)
    }
}
