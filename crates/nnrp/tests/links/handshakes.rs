//! Who gets in, and who keeps nobody out.

use std::sync::Arc;

use nnrp::{
    ClientTls, DialError, DialOptions, Dialer, HandshakeFault, Listener, ListenerError,
    ListenerOptions, ServerTls,
};
use nnrp_wire::MessageType;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{
    LIMIT, LOCALHOST, Server, Way, certificate, client_config, dial, dialer, next, packet,
    quic_client, raw, send, until,
};

#[tokio::test]
async fn clients_without_our_protocol_are_refused() {
    let server = Server::start(Way::Tls).await;
    for (failures, alpn) in [(1, "h2"), (2, "nnrp/1"), (3, "NNRP/1-TCP")] {
        let config = Arc::new(client_config(&server.made, &[alpn]));
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        assert!(
            TlsConnector::from(config)
                .connect(name, stream)
                .await
                .is_err()
        );
        until("it is counted", || {
            server.listener.stats().failed_handshakes == failures
        })
        .await;
    }
    // A client that offers nothing has its handshake, and nothing after it.
    let config = Arc::new(client_config(&server.made, &[]));
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .unwrap();
    let end = timeout(LIMIT, stream.read(&mut [0])).await.unwrap();
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    until("it is counted", || {
        server.listener.stats().failed_handshakes == 4
    })
    .await;
    assert_eq!(server.listener.stats().accepted_tcp, 0);
}

#[tokio::test]
async fn quic_clients_without_our_protocol_are_refused() {
    let server = Server::start(Way::Quic).await;
    for alpn in ["NNRP/1", "nnrp/1-tcp", "nnrp/0-test"] {
        let (_endpoint, connection) = quic_client(&server, alpn).await;
        let Err(quinn::ConnectionError::ConnectionClosed(close)) = connection else {
            panic!("{connection:?}");
        };
        // No application protocol in common. spec: nnrp-session 1.4
        assert_eq!(u64::from(close.error_code), 376);
    }
    assert_eq!(server.listener.stats().accepted_quic, 0);
    server.connect(Way::Quic).await;
}

#[tokio::test]
async fn silence_and_garbage_keep_nobody_out() {
    let server = Server::start_with(Way::Tls, |options| options.handshakes_max = 8).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.address()).await.unwrap());
    }
    until("the oldest have given way", || {
        server.listener.stats().displaced_handshakes == 12
    })
    .await;
    for _ in 0..20 {
        let mut garbage = TcpStream::connect(server.address()).await.unwrap();
        garbage.write_all(&[b'x'; 1000]).await.unwrap();
    }
    let garbage = UdpSocket::bind(LOCALHOST).await.unwrap();
    for length in 1..200 {
        let bytes = vec![0xC3; length * 7];
        garbage.send_to(&bytes, server.address()).await.unwrap();
    }
    for way in [Way::Tls, Way::Quic] {
        let (mut near, mut far) = server.connect(way).await;
        send(&mut near, &packet(MessageType::Ping, 5, 0)).await;
        assert_eq!(next(&mut far).await.header().frame_id, 5);
    }
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_go_on_ends_in_time() {
    let server = Server::start(Way::Tls).await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    let end = silent.read(&mut [0]).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    assert_eq!(server.listener.stats().slow_handshakes, 1);
}

#[tokio::test]
async fn another_certificate_can_be_shown_without_losing_a_connection() {
    for way in [Way::Tls, Way::Quic] {
        let server = Server::start(way).await;
        let (mut near, mut far) = server.connect(way).await;
        let other = certificate();
        let (chain, key) = (other.certificate_pem.as_bytes(), other.key_pem.as_bytes());
        server.made.tls.reload(chain, key).unwrap();
        assert!(
            server
                .made
                .tls
                .reload(chain, server.made.key_pem.as_bytes())
                .is_err()
        );

        send(&mut near, &packet(MessageType::Ping, 1, 0)).await;
        assert_eq!(next(&mut far).await.header().frame_id, 1);
        assert!(dial(&server.dialer(), &server.endpoint, way).await.is_err());
        let dialer = dialer(&other);
        let (near, far) = tokio::join!(dial(&dialer, &server.endpoint, way), server.accept());
        let (mut near, mut far) = (raw(near.unwrap()), raw(far));
        send(&mut near, &packet(MessageType::Ping, 2, 0)).await;
        assert_eq!(next(&mut far).await.header().frame_id, 2);
    }
}

#[tokio::test]
async fn clients_can_be_asked_for_certificates() {
    let client = ServerTls::self_signed(["client"]).unwrap();
    let authority = client.certificate_pem.as_bytes();
    for way in [Way::Tls, Way::Quic] {
        let server = Server::start_with(way, |options| {
            let tls = options.tls.take().unwrap();
            options.tls = Some(tls.with_client_authority(authority).unwrap());
        })
        .await;
        let trust = ClientTls::with_authority(server.made.certificate_pem.as_bytes()).unwrap();
        let tls = trust
            .with_certificate(authority, client.key_pem.as_bytes())
            .unwrap();
        let dialer = Dialer::new(DialOptions::tls(tls));
        let (near, far) = tokio::join!(dial(&dialer, &server.endpoint, way), server.accept());
        assert_eq!(near.unwrap().peer_certificates().len(), 1);
        assert_eq!(far.peer_certificates().len(), 1);

        // Without one, the connection ends before it is a link.
        let near = dial(&server.dialer(), &server.endpoint, way).await;
        if let Ok(near) = near {
            assert!(timeout(LIMIT, raw(near).next()).await.unwrap().is_err());
        }
        until("it is counted", || {
            server.listener.stats().failed_handshakes == 1
        })
        .await;
    }
}

#[tokio::test]
async fn there_are_only_so_many_connections() {
    for way in [Way::Tcp, Way::Tls, Way::Quic] {
        let server = Server::start_with(way, |options| options.connections_max = 1).await;
        let (near, far) = server.connect(way).await;
        assert_eq!(server.listener.stats().connections, 1);
        if let Ok(refused) = dial(&server.dialer(), &server.endpoint, way).await {
            assert!(timeout(LIMIT, raw(refused).next()).await.unwrap().is_err());
        }
        until("it is counted", || {
            server.listener.stats().refused_connections == 1
        })
        .await;
        drop((near, far));
        until("there is room", || server.listener.stats().connections == 0).await;
        server.connect(way).await;
    }
}

#[tokio::test]
async fn a_closed_listener_takes_no_more_and_ends_nothing() {
    for way in [Way::Tls, Way::Quic] {
        let server = Server::start(way).await;
        let (mut near, mut far) = server.connect(way).await;
        server.listener.close();
        let accepted = timeout(LIMIT, server.listener.accept()).await.unwrap();
        assert!(
            matches!(accepted, Err(ListenerError::Closed)),
            "{accepted:?}"
        );
        assert!(dial(&server.dialer(), &server.endpoint, way).await.is_err());
        send(&mut near, &packet(MessageType::Ping, 1, 0)).await;
        assert_eq!(next(&mut far).await.header().frame_id, 1);
    }
}

#[tokio::test]
async fn options_that_make_no_listener_say_so() {
    let mut nothing = ListenerOptions::plain(LOCALHOST);
    nothing.tcp = None;
    let bound = Listener::bind(nothing).await;
    assert!(matches!(bound, Err(ListenerError::Nothing)), "{bound:?}");
    let mut without = ListenerOptions::tls(LOCALHOST, certificate().tls);
    without.tls = None;
    let bound = Listener::bind(without).await;
    assert!(
        matches!(bound, Err(ListenerError::NoCertificate)),
        "{bound:?}"
    );
    let taken = Server::start(Way::Tcp).await;
    let bound = Listener::bind(ListenerOptions::plain(taken.address())).await;
    assert!(
        matches!(bound, Err(ListenerError::Bind { .. })),
        "{bound:?}"
    );
}

/// As `openssl req -x509` makes them.
#[tokio::test]
async fn a_certificate_that_is_an_authority_is_trusted_as_itself() {
    let make = || {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let (certificate, key) = make();
    let (other, _) = make();
    let tls = ServerTls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let listener = Listener::bind(ListenerOptions::tls(LOCALHOST, tls)).await;
    let listener = Arc::new(listener.unwrap());
    let port = listener.local_addr().port();
    let accepting = Arc::clone(&listener);
    let _accepting = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut links = Vec::new();
        while let Ok(link) = accepting.accept().await {
            links.push(link);
        }
    }));
    for (name, trusted, is_taken) in [
        ("localhost", &certificate, true),
        // It has no such name.
        ("127.0.0.1", &certificate, false),
        ("localhost", &other, false),
    ] {
        let tls = ClientTls::with_authority(trusted.as_bytes()).unwrap();
        let dialer = Dialer::new(DialOptions::tls(tls));
        let endpoint = nnrp::Endpoint::tls(name, port).unwrap();
        for way in [Way::Tls, Way::Quic] {
            let dialed = timeout(LIMIT, dial(&dialer, &endpoint, way)).await.unwrap();
            let is_refused = matches!(
                &dialed,
                Err(DialError::Handshake {
                    reason: HandshakeFault::Untrusted,
                    ..
                })
            );
            assert_eq!(
                (dialed.is_ok(), is_refused),
                (is_taken, !is_taken),
                "{dialed:?}"
            );
        }
    }
}
