//! Servers that are not there, go away, or are something else.

use std::net::TcpListener;

use nodewire::RunningServer;
use nodewire::autotrainer::AutotrainerConfig;
use nodewire::capability::Wire;
use nodewire::client::{Call, Remote, RemoteErrorKind, RemoteOptions, Target};
use nodewire::nats::NatsConfig;
use tokio::runtime::Runtime;

use crate::support::{Probe, Served, WIRES, install_tls, patient, soon};

fn hasty() -> RemoteOptions {
    let mut options = RemoteOptions::default();
    options.connect_timeout = std::time::Duration::from_millis(500);
    options.answer_timeout = std::time::Duration::from_millis(500);
    options.heartbeat_timeout = std::time::Duration::from_millis(200);
    options
}

fn target(wire: Wire, port: u16) -> Target {
    let text = if wire == Wire::Autotrainer {
        format!("{port},{port}")
    } else {
        format!("127.0.0.1:{port}")
    };
    Target::parse(wire, &text).unwrap()
}

async fn failure(target: &Target) -> RemoteErrorKind {
    match soon(Remote::connect(target, hasty())).await {
        Ok(remote) => {
            let executed = soon(remote.call(Call::new("echo"))).await.unwrap_err();
            let described = soon(remote.describe()).await.unwrap_err();
            assert_eq!(executed.kind(), described.kind(), "{target}");
            described.kind()
        }
        Err(error) => error.kind(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_there() {
    install_tls();
    for wire in WIRES {
        // Bound, so that nobody else gets it, and closed again.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert_eq!(
            failure(&target(wire, port)).await,
            RemoteErrorKind::Unreachable,
            "{wire}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_is_there_who_says_nothing() {
    install_tls();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for wire in [Wire::Nanograph, Wire::Nats, Wire::Nnrp] {
        assert_eq!(
            failure(&target(wire, port)).await,
            RemoteErrorKind::Unreachable,
            "{wire}"
        );
    }
    let remote = Remote::connect(&target(Wire::Http, port), hasty())
        .await
        .unwrap();
    let error = soon(remote.describe()).await.unwrap_err();
    assert_eq!(error.kind(), RemoteErrorKind::Unreachable);
}

/// A server of which everything ends with its runtime, at once and without a word.
async fn dying(wire: Wire, broker_url: &str) -> (Runtime, RunningServer, Probe) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (builder, probe) = Probe::builder();
    let builder = if wire == Wire::Nats {
        builder.nats(NatsConfig::new("dying", "1.0.0", broker_url))
    } else {
        let mut config = AutotrainerConfig::new("dying");
        (config.event_port, config.command_port) = (0, 0);
        builder.autotrainer(config)
    };
    let server = builder.build().unwrap();
    let starting = runtime.spawn(async move { Box::pin(server.start()).await.unwrap() });
    (runtime, soon(starting).await.unwrap(), probe)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_dies_among_others_fails_the_streams_it_ran() {
    let broker = nats_broker::Broker::builder().start().await.unwrap();
    let url = broker.url();
    let (runtime, server, probe) = dying(Wire::Nats, &url).await;
    let target = Target::parse(Wire::Nats, &format!("{url}/dying")).unwrap();
    let remote = soon(Remote::connect(&target, patient())).await.unwrap();
    let streaming = remote.execute(Call::new("wait/here")).await;
    let cancelled = remote.execute(Call::new("wait/here")).await;
    probe.wait_until_begun(2).await;
    let (other_runtime, other_server, _) = dying(Wire::Nats, &url).await;
    runtime.shutdown_background();
    // Which nobody hears.
    cancelled.cancel();
    for execution in [streaming, cancelled] {
        let error = soon(execution.outcome()).await.unwrap_err();
        assert_eq!(error.kind(), RemoteErrorKind::Lost, "{error}");
    }
    drop((server, other_server));
    other_runtime.shutdown_background();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_fails_what_it_ran() {
    let broker = nats_broker::Broker::builder().start().await.unwrap();
    let url = broker.url();
    for wire in [Wire::Nats, Wire::Autotrainer] {
        let (runtime, server, probe) = dying(wire, &url).await;
        let text = match server.autotrainer_address() {
            Some(address) => format!("{},{}", address.events[0], address.commands[0]),
            None => format!("{url}/dying"),
        };
        let target = Target::parse(wire, &text).unwrap();
        let remote = soon(Remote::connect(&target, patient())).await.unwrap();
        let streaming = remote.execute(Call::new("wait/here")).await;
        let quiet = remote.execute(Call::new("wait/here").quiet()).await;
        probe.wait_until_begun(2).await;
        runtime.shutdown_background();
        for execution in [streaming, quiet] {
            let error = soon(execution.outcome()).await.unwrap_err();
            assert_eq!(error.kind(), RemoteErrorKind::Lost, "{wire}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_fails_what_comes_after() {
    let served = Served::start().await;
    let mut remotes = Vec::new();
    for wire in WIRES {
        let mut options = patient();
        options.cancel_timeout = std::time::Duration::from_millis(100);
        let target = served.target(wire);
        let remote = soon(Remote::connect(&target, options)).await.unwrap();
        soon(remote.call(Call::new("echo").input("text", "a")))
            .await
            .unwrap();
        remotes.push(remote);
    }
    served.stop().await;
    for remote in remotes {
        let mut call = Call::new("echo").input("text", "a");
        call = call.timeout(std::time::Duration::from_secs(2));
        let error = soon(remote.call(call)).await.unwrap_err();
        let kinds = [
            RemoteErrorKind::Unreachable,
            RemoteErrorKind::Lost,
            RemoteErrorKind::Deadline,
            RemoteErrorKind::UnknownNode,
        ];
        assert!(
            kinds.contains(&error.kind()),
            "{}: {error:?}",
            remote.wire()
        );
    }
}
