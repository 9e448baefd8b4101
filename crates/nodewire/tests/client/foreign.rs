//! Servers that others wrote, with their own packages.

use nodewire::capability::Wire;
use nodewire::client::{Call, Remote, RemoteErrorKind, Target};
use nodewire_testkit::{NnrpPeer, NnrpServerOptions, NnrpTransport, PythonNodeServer, SdkVersion};

use crate::support::{install_tls, patient, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_node_server_is_described_and_called() {
    install_tls();
    for version in SdkVersion::ALL {
        let server = PythonNodeServer::start(version).await.unwrap();
        let target = Target::parse(Wire::Nanograph, &server.url()).unwrap();
        let remote = soon(Remote::connect(&target, patient())).await.unwrap();
        let servers = soon(remote.describe()).await.unwrap();
        assert!(servers[0].round_trip.is_some() && servers[0].is_callable);
        let echo = servers[0]
            .nodes
            .iter()
            .find(|node| node.uid.contains("echo"))
            .unwrap();
        let port = echo.inputs.as_ref().unwrap()[0].name.clone();
        let call = Call::new(echo.uid.as_str()).input(port, "hello");
        let outputs = soon(remote.call(call)).await.unwrap();
        assert!(format!("{outputs:?}").contains("hello"), "{outputs:?}");
        let error = soon(remote.call(Call::new("no-such-node")))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), RemoteErrorKind::UnknownNode);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_nnrp_py_is_seen() {
    install_tls();
    let mut peer = NnrpPeer::server(NnrpServerOptions::default())
        .await
        .unwrap();
    let port = peer.port(NnrpTransport::Tcp).unwrap();
    let target = Target::parse(Wire::Nnrp, &format!("nnrp+tcp://127.0.0.1:{port}")).unwrap();
    let connecting = tokio::spawn(async move {
        let mut options = patient();
        options.answer_timeout = std::time::Duration::from_secs(1);
        Remote::connect(&target, options).await
    });
    soon(peer.accept(NnrpTransport::Tcp, serde_json::json!({})))
        .await
        .unwrap();
    let remote = soon(connecting).await.unwrap().unwrap();
    let servers = soon(remote.describe()).await.unwrap();
    assert_eq!(servers.len(), 1);
    assert_eq!(servers[0].name, format!("127.0.0.1:{port}"));
    assert!(!servers[0].is_callable && servers[0].nodes.is_empty());
}
