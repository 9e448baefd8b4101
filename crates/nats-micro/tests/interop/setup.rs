//! The two brokers, and our client on one of them.

use std::future::Future;
use std::time::Duration;

use nats_broker::Broker;
use nats_micro::client::Client;
use nodewire_testkit::NatsServer;

/// Ends what hangs.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Longer than any wait that a test does not want to be over.
const LONG: Duration = Duration::from_secs(600);

/// Calls a test with the address of the real nats-server.
pub(crate) async fn on_nats_server<Fut: Future<Output = ()>>(test: impl FnOnce(String) -> Fut) {
    let server = NatsServer::start().await.unwrap();
    in_time(test(server.url())).await;
}

/// Calls a test with the address of our broker.
pub(crate) async fn on_our_broker<Fut: Future<Output = ()>>(test: impl FnOnce(String) -> Fut) {
    let broker = Broker::builder().start().await.unwrap();
    in_time(test(broker.url())).await;
}

async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(TIMEOUT, test).await.unwrap();
}

/// A client that waits long, so that what ends is ended by what a test is about.
pub(crate) async fn client(url: &str) -> Client {
    let connection = async_nats::connect(url).await.unwrap();
    let builder = Client::builder(connection).request_timeout(LONG);
    builder.max_wait(LONG).build().unwrap()
}
