//! Who gets a session. spec: nnrp-session 2.4

use nnrp::server::{HelloHook, Identity, Refusal, Refused, ServerOptions};
use nnrp_wire::{ErrorCode, Message, TransportId};

use crate::support::{Peer, assert_refused, hello, refused, server};

fn with_hook(on_hello: HelloHook) -> ServerOptions {
    ServerOptions {
        on_hello,
        ..ServerOptions::default()
    }
}

#[tokio::test]
async fn the_hook_says_what_holds() {
    let hook = HelloHook::new(|hello| async move {
        assert_eq!(hello.auth(), b"secret");
        assert_eq!(hello.transport, TransportId::Tcp);
        let mut acceptance = hello.accept();
        acceptance.session_id = Some(77);
        acceptance.model = "upscaler".into();
        acceptance.identity = Some(Identity("ann".into()));
        acceptance.ack.max_concurrent_frames = 3;
        Ok(acceptance)
    });
    let (server, mut peer) = server(with_hook(hook));
    let mut hello = hello(1);
    hello.auth = "secret".into();
    peer.send_hello(hello).await;
    let (envelope, message) = peer.next().await;
    let Message::ServerHelloAck(ack) = message else {
        panic!("{message:?}");
    };
    assert_eq!((envelope.session_id, ack.metadata.session_id), (77, 77));
    assert_eq!(ack.payload, "upscaler");
    let session = server.next_session().await.unwrap();
    assert_eq!(session.identity(), Some(&Identity("ann".into())));
    assert_eq!(session.ack().max_concurrent_frames, 3);
}

#[tokio::test]
async fn the_hook_refuses() {
    let hook = HelloHook::new(|_| std::future::ready(Err(Refusal::auth("who are you?"))));
    let (server, mut peer) = server(with_hook(hook));
    peer.send_hello(hello(1)).await;
    refused(&mut peer, ErrorCode::AuthFailed).await;
    assert_refused(&server, Refused::ByHook);
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_takes_too_long_is_dropped() {
    let (dropped, mut is_dropped) = tokio::sync::mpsc::channel::<()>(1);
    let hook = HelloHook::new(move |_| {
        let dropped = dropped.clone();
        async move {
            let _dropped = dropped;
            std::future::pending().await
        }
    });
    let (server, mut peer) = server(with_hook(hook));
    peer.send_hello(hello(1)).await;
    refused(&mut peer, ErrorCode::InvalidState).await;
    assert_refused(&server, Refused::Protocol);
    drop(server);
    assert!(is_dropped.recv().await.is_none());
}

/// The client sees its connection end, and others are served.
#[tokio::test]
async fn a_hook_that_panics_ends_its_connection_only() {
    let hook = HelloHook::new(|hello| async move {
        assert!(hello.auth().is_empty(), "a test of what panics");
        Ok(hello.accept())
    });
    let (server, mut peer) = server(with_hook(hook));
    let mut bad = hello(1);
    bad.auth = "x".into();
    peer.send_hello(bad).await;
    assert_eq!(peer.rest().await, []);
    let mut other = Peer::connect(&server);
    assert_eq!(other.hello(1).await.metadata.session_id, 1);
}
