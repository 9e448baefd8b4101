//! The two brokers, and services that answer by script.

use std::future::Future;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use nats_micro::client::Client;
use nodewire_testkit::NatsServer;

/// Ends what hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Longer than any wait that a test does not want to be over.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// For what will not come.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

pub(crate) enum Broker {
    Real(Box<NatsServer>),
    Ours(nats_broker::Broker),
}

impl Broker {
    pub(crate) async fn real() -> Self {
        Self::Real(Box::new(NatsServer::start().await.unwrap()))
    }

    pub(crate) async fn ours() -> Self {
        Self::Ours(nats_broker::Broker::builder().start().await.unwrap())
    }

    pub(crate) async fn connect(&self) -> async_nats::Client {
        let url = match self {
            Self::Real(server) => server.url(),
            Self::Ours(broker) => broker.url(),
        };
        async_nats::connect(url).await.unwrap()
    }

    /// A client that waits long, so that what ends is ended by what the test is about.
    pub(crate) async fn client(&self) -> Client {
        patient(self.connect().await)
    }
}

pub(crate) fn patient(connection: async_nats::Client) -> Client {
    let builder = Client::builder(connection).request_timeout(LONG);
    builder.max_wait(LONG).build().unwrap()
}

/// One test for each broker.
macro_rules! on_both_brokers {
    ($($(#[$attribute:meta])* async fn $name:ident($broker:ident: &Broker) $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$attribute])*
            async fn check($broker: &Broker) $body

            #[tokio::test]
            async fn on_nats_server() {
                crate::brokers::in_time(check(&Broker::real().await)).await;
            }

            #[tokio::test]
            async fn on_our_broker() {
                crate::brokers::in_time(check(&Broker::ours().await)).await;
            }
        }
    )*};
}
pub(crate) use on_both_brokers;

pub(crate) async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(TIMEOUT, test).await.unwrap();
}

/// Answers every message on a subject. The same connection must send the requests, so that they come later.
pub(crate) async fn answer<F, Fut>(connection: &async_nats::Client, subject: &str, script: F)
where
    F: Fn(async_nats::Client, Message) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let mut requests = subscribe(connection, subject).await;
    let connection = connection.clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            script(connection.clone(), request).await;
        }
    });
}

/// Answers every message with the same payloads.
pub(crate) async fn answer_with(
    connection: &async_nats::Client,
    subject: &str,
    payloads: Vec<String>,
) {
    answer(connection, subject, move |connection, request| {
        let payloads = payloads.clone();
        async move {
            for payload in payloads {
                let reply = request.reply.clone().unwrap();
                connection.publish(reply, payload.into()).await.unwrap();
            }
        }
    })
    .await;
}

pub(crate) async fn subscribe(connection: &async_nats::Client, subject: &str) -> Subscriber {
    connection.subscribe(subject.to_owned()).await.unwrap()
}
