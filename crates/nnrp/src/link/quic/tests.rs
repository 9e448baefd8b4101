//! Two ends of a connection over loopback.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::session::PathEnd;
use nnrp_wire::session::{PathId, Transmit};
use nnrp_wire::{Envelope, FrameSubmit, Message, MessageType, SplitLimits};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig};
use rustls::RootCertStore;
use tokio::time::timeout;

use super::backlog::{Backlog, Waiting};
use super::outgoing::Outgoing;
use crate::link::{Link, Patience, QuicOptions};

/// Ends a test that would hang.
const LIMIT: Duration = Duration::from_secs(60);

async fn pair(transport: impl Fn(&mut TransportConfig)) -> (Link, Link, [Endpoint; 2]) {
    let ((near, client), (far, server)) = connections(transport).await;
    let near = Link::from_quic(&near, &QuicOptions::default());
    let far = Link::from_quic(&far, &QuicOptions::default());
    (near, far, [client, server])
}

async fn connections(
    transport: impl Fn(&mut TransportConfig),
) -> ((Connection, Endpoint), (Connection, Endpoint)) {
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
    ((near.unwrap(), client), (far.unwrap(), server))
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

/// Narrow, so that the control stream has to wait all the time, and each time is written just when more comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn control_packets_that_wait_for_the_stream_all_go_out() {
    const COUNT: usize = 5000;
    let (mut near, mut far, _endpoints) = pair(|transport| {
        transport.stream_receive_window(500_u32.into());
    })
    .await;
    let sending = tokio::spawn(async move {
        for _ in 0..COUNT {
            send(&mut near, &control(Message::Ping)).await;
        }
        near.writer.finish().await.unwrap();
        near
    });
    let receive = async {
        for _ in 0..COUNT {
            let ping = far.reader.next().await.unwrap();
            assert_eq!(ping.header().message_type, MessageType::Ping);
        }
    };
    timeout(LIMIT, receive).await.unwrap();
    timeout(LIMIT, sending).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_control_stream_that_was_given_back_is_not_pushed_behind() {
    let (near, far) = connections(|transport| {
        transport.stream_receive_window(10_u32.into());
    })
    .await;
    let mut backlog = Backlog::new(near.0.clone());
    let (stream, _recv) = near.0.open_bi().await.unwrap();
    let outgoing = || Outgoing::new(Bytes::from_static(&[7; 100]));
    backlog.push(Waiting::Control(stream, outgoing()));
    backlog.push_behind_control(outgoing()).unwrap();
    let (_send, mut recv) = far.0.accept_bi().await.unwrap();
    recv.read_exact(&mut [0; 200]).await.unwrap();
    timeout(LIMIT, backlog.emptied()).await.unwrap();
    let stream = loop {
        match backlog.take_control() {
            Some(stream) => break stream,
            None => tokio::task::yield_now().await,
        }
    };
    let outgoing = backlog.push_behind_control(outgoing()).unwrap_err();
    backlog.push(Waiting::Control(stream, outgoing));
    recv.read_exact(&mut [0; 100]).await.unwrap();
    timeout(LIMIT, backlog.emptied()).await.unwrap();
    far.0.close(0_u32.into(), b"");
}

/// Whoever sends may do so in a runtime of their own, which ends.
#[test]
fn what_waits_is_written_by_the_runtime_of_the_link() {
    let own = tokio::runtime::Runtime::new().unwrap();
    let (mut near, mut far, _endpoints) = own.block_on(pair(|transport| {
        transport.stream_receive_window(1000_u32.into());
    }));
    let other = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    other.block_on(send(&mut near, &submit(1, 10_000)));
    drop(other);
    own.block_on(async {
        let receive = receive_frames(&mut far.reader, 2, 10_000);
        let first = submit(0, 10_000);
        let send = send(&mut near, &first);
        timeout(LIMIT, async { tokio::join!(receive, send) })
            .await
            .unwrap();
    });
}

/// The window holds one packet, so that each that is read has to make room for the next.
#[tokio::test]
async fn there_is_progress_as_the_other_side_reads() {
    const COUNT: u32 = 10;
    let (mut near, mut far, _endpoints) = pair(|transport| {
        transport.receive_window(20_000_u32.into());
    })
    .await;
    send_frames(&mut near.writer, COUNT, 20_000).await;
    let before = near.writer.progress();
    let receive = receive_frames(&mut far.reader, COUNT, 20_000);
    timeout(LIMIT, receive).await.unwrap();
    assert!(near.writer.progress() >= before + u64::from(COUNT - 1));
    timeout(LIMIT, near.writer.finish()).await.unwrap().unwrap();
}

#[tokio::test]
async fn whoever_reads_nothing_is_not_waited_for() {
    let (mut near, _far, _endpoints) = pair(|transport| {
        transport.receive_window(20_000_u32.into());
    })
    .await;
    send(&mut near, &submit(1, 100_000)).await;
    let finish = async { Patience::begin().finish(&mut near.writer).await };
    let end = timeout(LIMIT, finish).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}
