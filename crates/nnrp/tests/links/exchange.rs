//! Packets between our own ends.

use nnrp::TransportId;
use nnrp::tools::{RawLink, RawReader, RawWriter};
use nnrp_wire::MessageType;
use nnrp_wire::session::PathEnd;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{LIMIT, Server, WAYS, Way, next, packet, quic_client, raw, send};

#[tokio::test]
async fn packets_come_back_as_they_were_sent() {
    for way in WAYS {
        let server = Server::start(way).await;
        let (mut near, mut far) = server.connect(way).await;
        assert_eq!(near.transport(), way.transport());
        assert_eq!(far.transport(), way.transport());
        for bytes in [0, 1000, 100_000, 1 << 20] {
            for message_type in [MessageType::CachePut, MessageType::FrameSubmit] {
                let sent = packet(message_type, 7, bytes);
                let (received, ()) = tokio::join!(next(&mut far), send(&mut near, &sent));
                assert_eq!(received, sent, "{way:?}");
                let answer = packet(MessageType::ResultPush, 7, bytes);
                let (received, ()) = tokio::join!(next(&mut near), send(&mut far, &answer));
                assert_eq!(received, answer, "{way:?}");
            }
        }
    }
}

#[tokio::test]
async fn both_transports_have_the_port_that_was_found() {
    let server = Server::start(Way::Tls).await;
    for way in [Way::Tls, Way::Quic] {
        let (near, far) = server.connect(way).await;
        assert_eq!(near.remote(), Some(server.address()));
        assert!(far.remote().is_some());
    }
    let stats = server.listener.stats();
    assert_eq!((stats.accepted_tcp, stats.accepted_quic), (1, 1));
}

async fn write_all(writer: &mut RawWriter, message_type: MessageType, count: u32, bytes: usize) {
    let mut packet_at = 0;
    while packet_at < count {
        while writer.has_room() && packet_at < count {
            writer.queue(&packet(message_type, packet_at, bytes));
            packet_at += 1;
        }
        writer.flush().await.unwrap();
    }
}

async fn read_all(reader: &mut RawReader, count: u32, bytes: usize) {
    let mut seen = vec![false; count as usize];
    for _ in 0..count {
        let packet = reader.next().await.unwrap();
        assert_eq!(packet.body().len(), bytes);
        let place = packet.header().frame_id as usize;
        assert!(!std::mem::replace(&mut seen[place], true), "twice: {place}");
    }
}

#[tokio::test]
async fn both_sides_send_a_lot_at_the_same_time() {
    for way in WAYS {
        for (count, bytes) in [(16, 1 << 20), (3000, 1000)] {
            let server = Server::start(way).await;
            let (near, far) = server.connect(way).await;
            let (mut near_reader, mut near_writer) = near.into_halves();
            let (mut far_reader, mut far_writer) = far.into_halves();
            let all = async {
                tokio::join!(
                    write_all(&mut near_writer, MessageType::FrameSubmit, count, bytes),
                    write_all(&mut far_writer, MessageType::ResultPush, count, bytes),
                    read_all(&mut near_reader, count, bytes),
                    read_all(&mut far_reader, count, bytes),
                )
            };
            timeout(LIMIT, all).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_end_is_told_after_all_that_was_sent() {
    for way in WAYS {
        let server = Server::start(way).await;
        let (near, mut far) = server.connect(way).await;
        let (mut reader, mut writer) = near.into_halves();
        let sending = async {
            write_all(&mut writer, MessageType::FrameSubmit, 50, 20_000).await;
            writer.finish().await.unwrap();
        };
        let receiving = async {
            for _ in 0..50 {
                next(&mut far).await;
            }
            assert_eq!(far.next().await, Err(PathEnd::Finished), "{way:?}");
        };
        timeout(LIMIT, async { tokio::join!(sending, receiving) })
            .await
            .unwrap();
        far.close(LIMIT).await;
        let end = timeout(LIMIT, reader.next()).await.unwrap();
        assert_eq!(end, Err(PathEnd::Finished), "{way:?}");
    }
}

async fn expect_three_pings(mut link: RawLink) {
    for frame_id in 0..3 {
        let ping = next(&mut link).await;
        assert_eq!(ping.header().message_type, MessageType::Ping);
        assert_eq!(ping.header().frame_id, frame_id);
    }
}

#[tokio::test]
async fn writes_of_seven_bytes_are_put_together() {
    let bytes = (0..3).flat_map(|at| packet(MessageType::Ping, at, 0).encode());
    let bytes = bytes.collect::<Vec<_>>();

    let server = Server::start(Way::Tcp).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for chunk in bytes.chunks(7) {
        stream.write_all(chunk).await.unwrap();
    }
    expect_three_pings(raw(server.accept().await)).await;

    let server = Server::start(Way::Quic).await;
    let (_endpoint, connection) = quic_client(&server, "nnrp/1").await;
    let (mut send, _recv) = connection.unwrap().open_bi().await.unwrap();
    let link = raw(server.accept().await);
    assert_eq!(link.transport(), TransportId::Quic);
    for chunk in bytes.chunks(7) {
        send.write_all(chunk).await.unwrap();
        tokio::task::yield_now().await;
    }
    expect_three_pings(link).await;
}
