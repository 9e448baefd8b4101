//! Stopping. spec: nanograph 2.3

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::backend::TestServer;
use crate::client::{request, started};

#[tokio::test]
async fn sockets_are_closed_and_then_the_handlers_run_in_order() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut options = TestServer::options();
    options.limits.shutdown_handler_timeout = Duration::from_millis(100);
    let note = |name: &'static str| {
        let log = Arc::clone(&log);
        async move { log.lock().unwrap().push(name) }
    };
    let (first, failing, panicking, endless, last) = (
        note("first"),
        note("failing"),
        note("panicking"),
        note("endless"),
        note("last"),
    );
    let mut server = TestServer::start_server(options, |server| {
        server.on_shutdown("first", async {
            first.await;
            Ok(())
        });
        server.on_shutdown("failing", async {
            failing.await;
            Err("as told".into())
        });
        server.on_shutdown("panicking", async {
            panicking.await;
            panic!("as told")
        });
        server.on_shutdown("endless", async {
            endless.await;
            std::future::pending().await
        });
        server.on_shutdown("last", async {
            last.await;
            Ok(())
        });
    })
    .await;
    let mut clients = [server.client().await, server.client().await];
    // An execution that still runs gets no status any more.
    clients[0].send(request("wf-sd", "3", "sleep", "{}")).await;
    clients[0].expect(&started("wf-sd", "3")).await;
    server.begin_stop();
    for client in &mut clients {
        client.expect_close(CloseCode::Normal).await;
        assert!(client.next().await.is_none());
    }
    let (address, stats) = (server.address.clone(), Arc::clone(&server.stats));
    server.stop().await;
    assert_eq!(
        *log.lock().unwrap(),
        ["first", "failing", "panicking", "endless", "last"]
    );
    assert_eq!(stats.snapshot().shutdown_failures, 3);
    assert_eq!(stats.snapshot().connections_ended, 2);
    tokio::net::TcpStream::connect(&address)
        .await
        .expect_err("nobody listens any more");
}

#[tokio::test]
async fn clients_that_take_no_part_do_not_hold_it_up() {
    let server =
        TestServer::start_with(|options| options.limits.close_timeout = Duration::from_millis(50))
            .await;
    let _websocket = server.client().await;
    let _http = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    server
        .wait_for(|stats| stats.connections_accepted == 2)
        .await;
    server.stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = TestServer::start().await;
    let backend = server.nodes.clone();
    let error = nanograph::server::Server::bind(&server.address, TestServer::options(), backend)
        .await
        .unwrap_err();
    let told = format!("cannot listen on {};", server.address);
    assert!(error.to_string().starts_with(&told), "{error}");
    // The cause is told by whoever writes the chain, once.
    let cause = std::error::Error::source(&error).unwrap();
    assert!(!error.to_string().contains(&cause.to_string()), "{error}");
}
