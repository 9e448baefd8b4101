//! Which way is taken, and what is said when there is none.

use std::net::{TcpListener as StdListener, UdpSocket as StdUdp};
use std::time::Duration;

use nnrp::{
    ClientTls, DialError, DialOptions, DialPolicy, Dialer, Endpoint, HandshakeFault, TransportId,
};
use tokio::time::Instant;

use crate::support::{LOCALHOST, Server, Way, certificate, dial, dialer, soon};

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused() {
    for way in [Way::Tls, Way::Quic] {
        let server = Server::start(way).await;
        for stranger in [dialer(&certificate()), Dialer::new(DialOptions::default())] {
            match dial(&stranger, &server.endpoint, way).await {
                Err(DialError::Handshake { reason, source, .. }) => {
                    assert_eq!(reason, HandshakeFault::Untrusted, "{source:?}");
                }
                other => panic!("{way:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_name_can_be_expected_instead_of_the_host() {
    for way in [Way::Tls, Way::Quic] {
        let server = Server::start(way).await;
        let trust = || ClientTls::with_authority(server.made.certificate_pem.as_bytes()).unwrap();
        let named = trust().with_server_name("localhost").unwrap();
        let dialer = Dialer::new(DialOptions::tls(named));
        dial(&dialer, &server.endpoint, way).await.unwrap();
        let other = trust().with_server_name("example.com").unwrap();
        let dialer = Dialer::new(DialOptions::tls(other));
        let refused = dial(&dialer, &server.endpoint, way).await;
        assert!(
            matches!(refused, Err(DialError::Handshake { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn without_verification_only_this_machine_is_dialed() {
    for way in [Way::Tls, Way::Quic] {
        let server = Server::start(way).await;
        let dialer = Dialer::new(DialOptions::tls(ClientTls::insecure()));
        dial(&dialer, &server.endpoint, way).await.unwrap();
        // An address that is nobody's. It is refused before anything is sent.
        let away = Endpoint::tls("192.0.2.1", 1).unwrap();
        let refused = dial(&dialer, &away, way).await;
        assert!(
            matches!(refused, Err(DialError::Insecure { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn another_protocol_is_told_from_ours() {
    let server = Server::start(Way::Tcp).await;
    // Packets are no TLS.
    let endpoint = Endpoint::tls("127.0.0.1", server.address().port()).unwrap();
    let accepting = async {
        let link = server.accept().await;
        drop(link);
    };
    let dialer = server.dialer();
    let (dialed, ()) = tokio::join!(dial(&dialer, &endpoint, Way::Tls), accepting);
    assert!(dialed.is_err());
}

/// A port where datagrams come in and connections are made, and nobody answers.
fn silent_ports() -> (StdListener, StdUdp, Endpoint) {
    let tcp = StdListener::bind(LOCALHOST).unwrap();
    let udp = StdUdp::bind(LOCALHOST).unwrap();
    let port = |address: std::net::SocketAddr| std::num::NonZeroU16::new(address.port()).unwrap();
    let endpoint = Endpoint::tls("127.0.0.1", tcp.local_addr().unwrap().port()).unwrap();
    let endpoint = endpoint.with_quic_port(port(udp.local_addr().unwrap()));
    (tcp, udp, endpoint)
}

#[tokio::test(start_paused = true)]
async fn where_nobody_answers_the_deadline_holds() {
    let (_tcp, _udp, endpoint) = silent_ports();
    let dialer = Dialer::new(DialOptions::tls(ClientTls::insecure()));
    for transport in [TransportId::Tcp, TransportId::Quic] {
        let began = Instant::now();
        let deadline = began + Duration::from_secs(7);
        let dialed = dialer.dial(&endpoint, transport, deadline).await;
        assert!(
            matches!(dialed, Err(DialError::Timeout { .. })),
            "{dialed:?}"
        );
    }
    for policy in [DialPolicy::Auto, DialPolicy::PreferTcp] {
        let deadline = Instant::now() + Duration::from_secs(7);
        let dialed = dialer.dial_by_policy(&endpoint, policy, deadline).await;
        assert!(matches!(dialed, Err(DialError::Both { .. })), "{dialed:?}");
    }
}

#[tokio::test]
async fn a_port_that_is_closed_is_told_at_once() {
    let server = Server::start(Way::Tcp).await;
    let endpoint = server.endpoint.clone();
    drop(server);
    let dialer = Dialer::new(DialOptions::default());
    // The listener's task lets go of the socket in its own time.
    loop {
        match dial(&dialer, &endpoint, Way::Tcp).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => {
                assert!(matches!(error, DialError::Connect { .. }), "{error:?}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn policies_choose_and_fall_back() {
    let server = Server::start(Way::Tls).await;
    let dialer = server.dialer();
    for (policy, transport) in [
        (DialPolicy::ForceQuic, TransportId::Quic),
        (DialPolicy::ForceTcp, TransportId::Tcp),
    ] {
        let dialed = dialer
            .dial_by_policy(&server.endpoint, policy, soon())
            .await;
        assert_eq!(dialed.unwrap().transport(), transport);
    }
    let (_tcp, silent, _) = silent_ports();
    let port = std::num::NonZeroU16::new(silent.local_addr().unwrap().port()).unwrap();
    let without_quic = server.endpoint.clone().with_quic_port(port);
    let dialed = dialer
        .dial_by_policy(&without_quic, DialPolicy::Auto, soon())
        .await;
    assert_eq!(dialed.unwrap().transport(), TransportId::Tcp);

    let gone = StdListener::bind(LOCALHOST)
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let gone = std::num::NonZeroU16::new(gone).unwrap();
    let without_tcp = server.endpoint.clone().with_tcp_port(gone);
    let without_tcp = without_tcp.with_quic_port(server.address().port().try_into().unwrap());
    let dialed = dialer
        .dial_by_policy(&without_tcp, DialPolicy::PreferTcp, soon())
        .await;
    assert_eq!(dialed.unwrap().transport(), TransportId::Quic);

    let plain = Endpoint::plain("127.0.0.1", server.address().port()).unwrap();
    let forced = dialer
        .dial_by_policy(&plain, DialPolicy::ForceQuic, soon())
        .await;
    assert!(
        matches!(forced, Err(DialError::NoSuchTransport { .. })),
        "{forced:?}"
    );
}

#[tokio::test]
async fn names_are_looked_up() {
    let server = Server::start(Way::Tls).await;
    let endpoint = Endpoint::tls("localhost", server.address().port()).unwrap();
    for way in [Way::Tls, Way::Quic] {
        dial(&server.dialer(), &endpoint, way).await.unwrap();
    }
    // Reserved for names that do not exist.
    let nowhere = Endpoint::tls("nowhere.invalid", 1).unwrap();
    let dialed = dial(&server.dialer(), &nowhere, Way::Tls).await;
    assert!(matches!(dialed, Err(DialError::Name { .. })), "{dialed:?}");
}
