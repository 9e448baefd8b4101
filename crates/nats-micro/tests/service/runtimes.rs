//! A service belongs to the runtime that it was started in, whoever stops it from where.

use async_nats::RequestErrorKind;
use nats_micro::StopReason;
use tokio::runtime::Runtime;

use crate::support::{PATIENCE, TestBroker, demo, echo};

/// Not `#[tokio::test]`: these make their runtimes themselves.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn the_last_handle_may_be_dropped_anywhere() {
    let runtime = runtime();
    let broker = runtime.block_on(TestBroker::embedded());
    let client = runtime.block_on(broker.connect());
    let service = runtime
        .block_on(demo().endpoint(echo("echo")).start(&client))
        .unwrap();
    let stopped = service.stopped();
    // On a thread that knows no runtime.
    std::thread::spawn(move || drop(service)).join().unwrap();
    runtime.block_on(async {
        assert!(
            tokio::time::timeout(PATIENCE, stopped)
                .await
                .unwrap()
                .is_requested()
        );
        let gone = client.request("echo", "".into()).await.unwrap_err();
        assert_eq!(gone.kind(), RequestErrorKind::NoResponders);
    });
}

#[test]
fn a_stop_outlives_the_runtime_that_asked_for_it() {
    let home = runtime();
    let broker = home.block_on(TestBroker::embedded());
    let client = home.block_on(broker.connect());
    let service = home
        .block_on(demo().endpoint(echo("echo")).start(&client))
        .unwrap();
    let other = runtime();
    let asking = service.clone();
    other.spawn(async move { asking.stop().await });
    while !service.is_stopping() {
        std::thread::yield_now();
    }
    other.shutdown_background();
    let reason = home.block_on(async {
        tokio::time::timeout(PATIENCE, service.stopped())
            .await
            .unwrap()
    });
    assert!(reason.is_requested());
}

#[test]
fn a_runtime_that_goes_down_is_told() {
    let watching = runtime();
    let broker = watching.block_on(TestBroker::embedded());
    let home = runtime();
    let client = home.block_on(broker.connect());
    let service = home
        .block_on(demo().endpoint(echo("echo")).start(&client))
        .unwrap();
    home.shutdown_background();
    let reason = watching.block_on(async {
        tokio::time::timeout(PATIENCE, service.stopped())
            .await
            .unwrap()
    });
    assert!(
        matches!(
            &*reason,
            StopReason::Interrupted | StopReason::ConnectionClosed
        ),
        "{reason}"
    );
    let again = watching.block_on(service.stop());
    assert_eq!(again.to_string(), reason.to_string());
}
