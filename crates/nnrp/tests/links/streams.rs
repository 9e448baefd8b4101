//! QUIC streams that are not as they should be. spec: nnrp-session 1.4

use nnrp_wire::MessageType;
use nnrp_wire::session::PathEnd;
use tokio::time::timeout;

use crate::support::{LIMIT, Server, Way, next, packet, quic_client, raw, send};

#[tokio::test]
async fn a_stream_that_is_cut_or_reset_is_the_loss_of_one_packet() {
    let server = Server::start(Way::Quic).await;
    let (_endpoint, connection) = quic_client(&server, "nnrp/1").await;
    let connection = connection.unwrap();
    let link = server.accept().await;
    let stats = link.stats();
    let mut link = raw(link);
    let submit = packet(MessageType::FrameSubmit, 1, 1000).encode();

    let mut reset = connection.open_uni().await.unwrap();
    reset.write_all(&submit[..500]).await.unwrap();
    // The other side sees a reset once it has seen the stream.
    let mut whole = connection.open_uni().await.unwrap();
    whole.write_all(&submit).await.unwrap();
    whole.finish().unwrap();
    assert_eq!(next(&mut link).await.header().frame_id, 1);
    reset.reset(0_u32.into()).unwrap();

    let mut cut = connection.open_uni().await.unwrap();
    cut.write_all(&submit[..500]).await.unwrap();
    cut.finish().unwrap();

    let mut control = connection.open_bi().await.unwrap();
    let ping = packet(MessageType::Ping, 2, 0).encode();
    control.0.write_all(&ping).await.unwrap();
    assert_eq!(next(&mut link).await.header().frame_id, 2);

    let mut whole = connection.open_uni().await.unwrap();
    whole.write_all(&submit).await.unwrap();
    whole.finish().unwrap();
    assert_eq!(next(&mut link).await.header().frame_id, 1);
    connection.close(0_u32.into(), b"");
    let end = timeout(LIMIT, link.next()).await.unwrap();
    assert_eq!(end, Err(PathEnd::Finished));
    assert_eq!(stats.lost_packets(), 2);
}

#[tokio::test]
async fn several_packets_may_come_on_one_stream() {
    let server = Server::start(Way::Quic).await;
    let (_endpoint, connection) = quic_client(&server, "nnrp/1").await;
    let connection = connection.unwrap();
    let mut link = raw(server.accept().await);
    let mut stream = connection.open_uni().await.unwrap();
    for (message_type, frame_id) in [
        (MessageType::FrameSubmit, 1),
        (MessageType::FrameSubmit, 2),
        (MessageType::Ping, 3),
    ] {
        let bytes = packet(message_type, frame_id, 0).encode();
        stream.write_all(&bytes).await.unwrap();
    }
    for frame_id in 1..=3 {
        assert_eq!(next(&mut link).await.header().frame_id, frame_id);
    }
}

#[tokio::test]
async fn a_control_stream_that_ends_is_no_end_of_the_link() {
    let server = Server::start(Way::Quic).await;
    let (_endpoint, connection) = quic_client(&server, "nnrp/1").await;
    let connection = connection.unwrap();
    let mut link = raw(server.accept().await);
    let (mut send_half, mut recv_half) = connection.open_bi().await.unwrap();
    let ping = packet(MessageType::Ping, 1, 0).encode();
    send_half.write_all(&ping).await.unwrap();
    send_half.finish().unwrap();
    assert_eq!(next(&mut link).await.header().frame_id, 1);
    let pong = packet(MessageType::Pong, 1, 0);
    send(&mut link, &pong).await;
    let mut answer = [0; 40];
    timeout(LIMIT, recv_half.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.as_slice(), pong.encode());
}

/// The connection lives on, and so does a stream that has come in part.
async fn control_stream_is_lost(lose: impl FnOnce(&mut quinn::SendStream)) {
    let server = Server::start(Way::Quic).await;
    let (_endpoint, connection) = quic_client(&server, "nnrp/1").await;
    let connection = connection.unwrap();
    let mut link = raw(server.accept().await);
    let (mut control, _recv) = connection.open_bi().await.unwrap();
    let ping = packet(MessageType::Ping, 1, 0).encode();
    control.write_all(&ping).await.unwrap();
    assert_eq!(next(&mut link).await.header().frame_id, 1);
    let submit = packet(MessageType::FrameSubmit, 2, 1000).encode();
    let mut part = connection.open_uni().await.unwrap();
    part.write_all(&submit[..500]).await.unwrap();
    control.write_all(&ping[..20]).await.unwrap();
    let mut whole = connection.open_uni().await.unwrap();
    whole.write_all(&submit).await.unwrap();
    assert_eq!(next(&mut link).await.header().frame_id, 2);
    lose(&mut control);
    for _ in 0..2 {
        let end = timeout(LIMIT, link.next()).await.unwrap();
        assert_eq!(end, Err(PathEnd::Lost));
    }
    assert!(connection.close_reason().is_none());
}

#[tokio::test]
async fn a_control_stream_that_is_reset_is_the_end_of_the_link() {
    control_stream_is_lost(|control| control.reset(0_u32.into()).unwrap()).await;
}

#[tokio::test]
async fn a_control_stream_that_ends_inside_a_packet_is_the_end_of_the_link() {
    control_stream_is_lost(|control| control.finish().unwrap()).await;
}

#[tokio::test]
async fn what_is_no_packet_ends_the_link_after_what_was() {
    let server = Server::start(Way::Quic).await;
    let (_endpoint, connection) = quic_client(&server, "nnrp/1").await;
    let connection = connection.unwrap();
    let mut link = raw(server.accept().await);
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    let mut bytes = packet(MessageType::Ping, 1, 0).encode();
    bytes.extend_from_slice(&[b'x'; 40]);
    send.write_all(&bytes).await.unwrap();
    assert_eq!(next(&mut link).await.header().frame_id, 1);
    let end = timeout(LIMIT, link.next()).await.unwrap();
    assert!(matches!(end, Err(PathEnd::Framing(_))), "{end:?}");
}

#[tokio::test]
async fn how_the_connection_ended_is_told() {
    for (code, expected) in [(0_u32, PathEnd::Finished), (1, PathEnd::Lost)] {
        let server = Server::start(Way::Quic).await;
        let (_endpoint, connection) = quic_client(&server, "nnrp/1").await;
        let mut link = raw(server.accept().await);
        connection.unwrap().close(code.into(), b"");
        let end = timeout(LIMIT, link.next()).await.unwrap();
        assert_eq!(end, Err(expected));
    }
}

#[tokio::test]
async fn a_peer_that_allows_few_streams_and_reads_none_holds_up_no_control_packet() {
    let server =
        Server::start_with(Way::Quic, |options| options.quic_options.streams_max = 2).await;
    let dialer = server.dialer();
    let (near, far) = tokio::join!(
        crate::support::dial(&dialer, &server.endpoint, Way::Quic),
        server.accept()
    );
    let (mut near, _far) = (raw(near.unwrap()), far);
    // Nobody reads at the other end: of twenty submits, two get a stream.
    for frame_id in 0..20 {
        send(&mut near, &packet(MessageType::FrameSubmit, frame_id, 100)).await;
    }
    send(&mut near, &packet(MessageType::Ping, 99, 0)).await;
    let mut far = raw(_far);
    let mut seen = Vec::new();
    for _ in 0..21 {
        seen.push(next(&mut far).await.header().frame_id);
    }
    // The ping is there with the first look.
    let place = seen.iter().position(|frame_id| *frame_id == 99).unwrap();
    assert!(place <= 2, "{seen:?}");
    seen.sort_unstable();
    assert_eq!(seen, (0..20).chain([99]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_peer_that_begins_too_much_is_given_up() {
    let server = Server::start_with(Way::Quic, |options| {
        options.quic_options.begun_bytes_max = 100_000;
    })
    .await;
    let (_endpoint, connection) = quic_client(&server, "nnrp/1").await;
    let connection = connection.unwrap();
    let link = server.accept().await;
    let stats = link.stats();
    let mut link = raw(link);
    let submit = packet(MessageType::FrameSubmit, 1, 60_000).encode();
    let mut begun = Vec::new();
    for _ in 0..2 {
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(&submit[..59_000]).await.unwrap();
        begun.push(stream);
    }
    let end = timeout(LIMIT, link.next()).await.unwrap();
    assert_eq!(end, Err(PathEnd::Lost));
    assert_eq!(stats.given_up(), 1);
}

#[tokio::test]
async fn a_control_stream_that_begins_too_much_is_given_up() {
    let server = Server::start_with(Way::Quic, |options| {
        options.quic_options.begun_bytes_max = 1000;
    })
    .await;
    let (_endpoint, connection) = quic_client(&server, "nnrp/1").await;
    let connection = connection.unwrap();
    let mut link = raw(server.accept().await);
    let (mut control, _recv) = connection.open_bi().await.unwrap();
    let submit = packet(MessageType::FrameSubmit, 1, 60_000).encode();
    control.write_all(&submit[..5000]).await.unwrap();
    let end = timeout(LIMIT, link.next()).await.unwrap();
    assert_eq!(end, Err(PathEnd::Lost));
}
