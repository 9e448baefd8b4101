//! Two ends of a connection over loopback.

use std::sync::Arc;

use bytes::Bytes;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::session::PathEnd;
use nnrp_wire::session::{PathId, Transmit};
use nnrp_wire::{Envelope, FrameSubmit, Message, MessageType, SplitLimits};
use quinn::{ClientConfig, Endpoint, ServerConfig, TransportConfig};
use rustls::RootCertStore;

use crate::link::{Link, QuicOptions};

async fn pair(transport: impl Fn(&mut TransportConfig)) -> (Link, Link, [Endpoint; 2]) {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = certified.cert.der().clone();
    let mut config = TransportConfig::default();
    transport(&mut config);
    let config = Arc::new(config);
    let mut server_config = ServerConfig::with_single_cert(
        vec![certificate.clone()],
        certified.signing_key.serialize_der().try_into().unwrap(),
    )
    .unwrap();
    server_config.transport_config(Arc::clone(&config));
    let server = Endpoint::server(server_config, "127.0.0.1:0".parse().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut client_config = ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
    client_config.transport_config(config);
    let client = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.local_addr().unwrap();
    let near = client
        .connect_with(client_config, address, "localhost")
        .unwrap();
    let far = async { server.accept().await.unwrap().await };
    let (near, far) = tokio::join!(near, far);
    let near = Link::from_quic(&near.unwrap(), &QuicOptions::default());
    let far = Link::from_quic(&far.unwrap(), &QuicOptions::default());
    (near, far, [client, server])
}

fn submit(frame_id: u32, bytes: usize) -> Transmit {
    let payload = Bytes::from(vec![7; bytes]);
    let submit = FrameSubmit::builder()
        .payload(TypedPayload::opaque_bytes(payload))
        .build()
        .unwrap();
    Transmit {
        path: PathId(1),
        envelope: Envelope::frame(1, frame_id),
        message: Message::FrameSubmit(submit),
    }
}

fn control(message: Message) -> Transmit {
    Transmit {
        path: PathId(1),
        envelope: Envelope::session(1),
        message,
    }
}

async fn send(link: &mut Link, transmit: &Transmit) {
    link.writer.queue(transmit).unwrap();
    link.writer.flush().await.unwrap();
}

#[tokio::test]
async fn control_and_frames_go_both_ways() {
    let (mut near, mut far, _endpoints) = pair(|_| {}).await;
    send(&mut near, &control(Message::Ping)).await;
    let ping = far.reader.next().await.unwrap();
    assert_eq!(ping.header().message_type, MessageType::Ping);
    send(&mut far, &control(Message::Pong)).await;
    let pong = near.reader.next().await.unwrap();
    assert_eq!(pong.header().message_type, MessageType::Pong);
    for frame_id in 0..300 {
        send(&mut near, &submit(frame_id, 1000)).await;
        let packet = far.reader.next().await.unwrap();
        assert_eq!(packet.header().frame_id, frame_id);
    }
}

#[tokio::test]
async fn the_server_may_speak_first() {
    let (mut near, mut far, _endpoints) = pair(|_| {}).await;
    send(&mut far, &control(Message::Ping)).await;
    let ping = near.reader.next().await.unwrap();
    assert_eq!(ping.header().message_type, MessageType::Ping);
    send(&mut near, &control(Message::Pong)).await;
    let pong = far.reader.next().await.unwrap();
    assert_eq!(pong.header().message_type, MessageType::Pong);
}

async fn send_frames(link: &mut crate::link::Writer, count: u32, bytes: usize) {
    for frame_id in 0..count {
        while !link.has_room() {
            link.flush().await.unwrap();
        }
        link.queue(&submit(frame_id, bytes)).unwrap();
    }
    link.flush().await.unwrap();
}

async fn receive_frames(link: &mut crate::link::Reader, count: u32, bytes: usize) {
    link.set_limits(SplitLimits::session(0));
    let mut seen = vec![false; count as usize];
    for _ in 0..count {
        let packet = link.next().await.unwrap();
        assert!(packet.body().len() >= bytes);
        let frame_id = packet.header().frame_id as usize;
        assert!(!std::mem::replace(&mut seen[frame_id], true));
    }
}

async fn exchange(count: u32, bytes: usize, transport: impl Fn(&mut TransportConfig)) {
    let (mut near, mut far, _endpoints) = pair(transport).await;
    // Neither side may be finished before it has read: that closes the connection.
    tokio::join!(
        send_frames(&mut near.writer, count, bytes),
        send_frames(&mut far.writer, count, bytes),
        receive_frames(&mut near.reader, count, bytes),
        receive_frames(&mut far.reader, count, bytes),
    );
    near.writer.finish().await.unwrap();
    assert_eq!(far.reader.next().await, Err(PathEnd::Finished));
}

#[tokio::test]
async fn both_sides_send_at_the_same_time() {
    exchange(16, 1 << 20, |_| {}).await;
}

#[tokio::test]
async fn small_windows_and_few_streams_only_slow_it_down() {
    let narrow = |transport: &mut TransportConfig| {
        transport.max_concurrent_uni_streams(3_u32.into());
        transport.stream_receive_window(2000_u32.into());
        transport.receive_window(5000_u32.into());
    };
    exchange(100, 1000, narrow).await;
    exchange(20, 10_000, narrow).await;
}

#[tokio::test]
async fn what_is_sent_arrives_before_the_end() {
    for (count, bytes) in [(500, 1000), (16, 1 << 20)] {
        let (mut near, mut far, _endpoints) = pair(|_| {}).await;
        let receive = async {
            receive_frames(&mut far.reader, count, bytes).await;
            assert_eq!(far.reader.next().await, Err(PathEnd::Finished));
        };
        let send = async {
            send_frames(&mut near.writer, count, bytes).await;
            near.writer.finish().await.unwrap();
        };
        tokio::join!(send, receive);
    }
}
