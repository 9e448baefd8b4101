//! What every wire tells of one server.

use nodewire::capability::Wire;
use nodewire::client::{Call, Remote, RemoteErrorKind, Target};

use crate::support::{Served, WIRES, patient, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_tells_of_the_server_and_its_nodes() {
    let served = Served::start().await;
    for wire in WIRES {
        let remote = served.remote(wire).await;
        soon(remote.call(Call::new("echo").input("text", "a")))
            .await
            .unwrap();
        let servers = soon(remote.describe()).await.unwrap();
        let [server] = servers.as_slice() else {
            panic!("{wire}: {servers:?}");
        };
        assert_eq!((server.wire, server.is_callable), (wire, true));
        assert!(server.round_trip.is_some(), "{wire}");
        let name = match wire {
            Wire::Nanograph | Wire::Nats => "served",
            Wire::Autotrainer => "device",
            Wire::Nnrp | Wire::Http | Wire::Mcp => "greeter",
        };
        assert_eq!(server.name, name, "{wire}");
        if wire == Wire::Nanograph {
            // That of the software: the protocol has no place for the server's.
            let version = server.version.as_deref().unwrap_or_default();
            assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
        } else {
            assert_eq!(server.version.as_deref(), Some("1.2.3"), "{wire}");
        }
        let address = match wire {
            Wire::Http => served.server.http_address(),
            Wire::Nnrp => served.server.nnrp_address(),
            Wire::Nanograph | Wire::Nats | Wire::Autotrainer | Wire::Mcp => None,
        };
        if let Some(port) = address.map(|address| address.port()) {
            let instance = server.instance.as_deref().unwrap_or_default();
            assert!(instance.ends_with(&format!(":{port}")), "{instance}");
        }
        let mut uids: Vec<_> = server.nodes.iter().map(|node| node.uid.as_str()).collect();
        uids.sort_unstable();
        let all = [
            "about",
            "echo",
            "narrow",
            "panic",
            "progress",
            "reverse",
            "wait/here",
        ];
        assert_eq!(uids, all, "{wire}");
        let echo = server.nodes.iter().find(|node| node.uid == "echo").unwrap();
        if wire == Wire::Nanograph {
            assert!(echo.load.is_none() && echo.schema.is_none());
        } else {
            let load = echo.load.unwrap();
            assert_eq!(
                (load.running, load.waiting, load.dropped),
                (Some(0), Some(0), Some(0)),
                "{wire}"
            );
            assert!(
                load.completed.unwrap() >= 1 && load.run_p99_us.is_some(),
                "{wire}: {load:?}"
            );
            assert!(echo.schema.is_some(), "{wire}");
        }
        assert_eq!(echo.input_kind("text").as_deref(), Some("string"), "{wire}");
        soon(remote.close()).await;
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_told() {
    let served = Served::start().await;
    let Target::Http { url, .. } = served.target(Wire::Http) else {
        panic!("another target");
    };
    let remote = Remote::connect(&Target::Http { url, token: None }, patient())
        .await
        .unwrap();
    let error = soon(remote.describe()).await.unwrap_err();
    assert_eq!(error.kind(), RemoteErrorKind::Unauthorized);
    let error = soon(remote.call(Call::new("echo"))).await.unwrap_err();
    assert_eq!(error.kind(), RemoteErrorKind::Unauthorized);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_service_is_left_out() {
    let served = Served::start().await;
    let mut target = served.target(Wire::Nats);
    let Target::Nats { service, .. } = &mut target else {
        panic!("another target");
    };
    *service = Some("elsewhere".to_owned());
    let remote = Remote::connect(&target, patient()).await.unwrap();
    assert_eq!(soon(remote.describe()).await.unwrap(), []);
    let error = soon(remote.call(Call::new("echo"))).await.unwrap_err();
    assert_eq!(error.kind(), RemoteErrorKind::UnknownNode);
    served.stop().await;
}
