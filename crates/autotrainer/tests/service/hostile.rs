//! Peers that break the protocol, or its limits. spec: autotrainer 14 (Q28), 16.1, 17 (8)

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use autotrainer_api::zmq::SocketOptions;
use autotrainer_api::{Command, CommandRequest, CommandResponse, Deadline, Service, Topic};
use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clients::{
    Client, PATIENCE, Subscriber, builder, command_address, event_address, serving, started, until,
};

async fn success(_: CommandRequest) -> CommandResponse {
    CommandResponse::success()
}

/// The greeting of version 3.0 without security. spec: autotrainer 16.1
pub(crate) fn greeting() -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0];
    bytes.extend(b"NULL");
    bytes.resize(64, 0);
    bytes
}

pub(crate) fn ready(socket_type: &str) -> Vec<u8> {
    let mut body = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    body.push(u8::try_from(socket_type.len()).unwrap());
    body.extend(socket_type.as_bytes());
    let mut bytes = vec![4, u8::try_from(body.len()).unwrap()];
    bytes.extend(body);
    bytes
}

/// A peer that has shaken hands, written by hand.
async fn raw_peer(address: SocketAddr, socket_type: &str) -> TcpStream {
    raw_peer_saying(address, &ready(socket_type)).await
}

async fn raw_peer_saying(address: SocketAddr, ready: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&greeting()).await.unwrap();
    stream.write_all(ready).await.unwrap();
    stream.read_exact(&mut [0; 64]).await.unwrap();
    let mut header = [0; 2];
    stream.read_exact(&mut header).await.unwrap();
    stream
        .read_exact(&mut vec![0; header[1].into()])
        .await
        .unwrap();
    stream
}

/// Reads until the service closes the connection.
async fn assert_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("an end");
}

#[tokio::test]
async fn a_frame_of_a_tebibyte_ends_the_connection_on_both_ports() {
    let service = serving(success).await;
    let ports = [
        (event_address(&service), "SUB"),
        (command_address(&service), "DEALER"),
    ];
    for (address, socket_type) in ports {
        for flags in [2, 3, 6] {
            let mut stream = raw_peer(address, socket_type).await;
            let mut header = vec![flags];
            header.extend((1_u64 << 40).to_be_bytes());
            stream.write_all(&header).await.unwrap();
            stream.write_all(&[0; 100]).await.unwrap();
            assert_closed(stream).await;
        }
    }
    until(&service, |counts| {
        counts.event_connections.broken == 3 && counts.command_connections.broken == 3
    })
    .await;
    Client::of(&service).await.assert_served(1).await;
    service.stop().await;
}

#[tokio::test]
async fn garbage_is_counted_and_the_next_client_is_served() {
    let service = serving(success).await;
    let garbage: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: device\r\n\r\n",
        &[0xff; 200],
        &[0; 64],
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05",
    ];
    for address in [event_address(&service), command_address(&service)] {
        for bytes in garbage.iter().cycle().take(40) {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The service may have closed it already.
            let _ = stream.write_all(bytes).await;
            drop(stream);
        }
    }
    until(&service, |counts| {
        counts.event_connections.handshakes_failed >= 40
            && counts.command_connections.handshakes_failed >= 40
    })
    .await;
    Client::of(&service).await.assert_served(1).await;
    Subscriber::of(&service, Topic::EVENT).await;
    service.stop().await;
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed_and_do_not_keep_others_out() {
    let options = SocketOptions {
        // Enough for the handshake of the one that speaks, however busy the machine.
        handshake_timeout: Duration::from_secs(3),
        ..SocketOptions::default()
    };
    let service = started(builder().handler(success).socket_options(options)).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(command_address(&service)).await.unwrap());
    }
    Client::of(&service).await.assert_served(1).await;
    for stream in silent {
        assert_closed(stream).await;
    }
    service.stop().await;
}

#[tokio::test]
async fn a_message_of_100_mib_is_refused() {
    let service = serving(success).await;
    let options = SocketOptions {
        message_bytes_max: usize::MAX / 2,
        ..SocketOptions::default()
    };
    let big = Client::at(command_address(&service), &options).await;
    // Connected: what is sent during a handshake that takes too long is lost with it.
    big.assert_served(0).await;
    big.0
        .send(Bytes::from(vec![b' '; 100 << 20]))
        .await
        .unwrap();
    until(&service, |counts| counts.command_connections.broken >= 1).await;
    Client::of(&service).await.assert_served(1).await;
    service.stop().await;
}

#[tokio::test]
async fn a_message_just_beyond_the_limit_is_answered() {
    let service = serving(success).await;
    let options = SocketOptions {
        message_bytes_max: 4 << 20,
        ..SocketOptions::default()
    };
    let client = Client::at(command_address(&service), &options).await;
    let mut text = json!({"command": 400, "nonce": 1}).to_string();
    text.push_str(&" ".repeat((1 << 20) + 1 - text.len()));
    client.0.send(text.into()).await.unwrap();
    assert_eq!(client.reply().await["nonce"], 0);
    assert_eq!(service.counts().malformed, [("too_long", 1)]);
    service.stop().await;
}

#[tokio::test]
async fn two_hundred_connections_come_and_go() {
    let service = serving(success).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(Client::of(&service).await);
    }
    for (nonce, client) in (1..).zip(&clients) {
        client.assert_served(nonce).await;
    }
    for client in clients {
        client.0.close().await;
    }
    until(&service, |counts| {
        let connections = counts.command_connections;
        (connections.opened, connections.closed) == (200, 200)
    })
    .await;
    Client::of(&service).await.assert_served(1).await;
    service.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_until_there_is_room() {
    let options = SocketOptions {
        connections_max: 2,
        ..SocketOptions::default()
    };
    let service = started(builder().handler(success).socket_options(options)).await;
    let (first, second) = (Client::of(&service).await, Client::of(&service).await);
    first.assert_served(1).await;
    second.assert_served(2).await;
    let stream = raw_peer(command_address(&service), "DEALER").await;
    assert_closed(stream).await;
    until(&service, |counts| counts.command_connections.refused == 1).await;
    first.assert_served(3).await;
    first.0.close().await;
    until(&service, |counts| counts.command_connections.closed == 2).await;
    Client::of(&service).await.assert_served(4).await;
    service.stop().await;
}

#[tokio::test]
async fn a_message_without_an_empty_frame_is_dropped_and_counted() {
    let service = serving(success).await;
    let mut stream = raw_peer(command_address(&service), "DEALER").await;
    stream.write_all(b"\0\x0b{\"command\":").await.unwrap();
    stream.write_all(b"\x01\x02ab\0\x02cd").await.unwrap();
    // Then one that can be answered; more frames before the empty one come back.
    let mut message = b"\x01\x02id\x01\0".to_vec();
    let request = br#"{"command":400,"nonce":7}"#;
    message.extend([0, u8::try_from(request.len()).unwrap()]);
    message.extend(request);
    stream.write_all(&message).await.unwrap();
    let mut envelope = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut envelope))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&envelope, b"\x01\x02id\x01\0");
    assert_eq!(service.counts().undelimited, 2);
    service.stop().await;
}

/// A peer that calls itself so.
async fn named_peer(service: &Service, name: &str) -> TcpStream {
    let mut named = ready("DEALER");
    named.extend(b"\x08Identity\0\0\0");
    named.push(u8::try_from(name.len()).unwrap());
    named.extend(name.as_bytes());
    named[1] = u8::try_from(named.len() - 2).unwrap();
    raw_peer_saying(command_address(service), &named).await
}

/// Asks with this nonce, of one digit, and reads the answer.
async fn assert_raw_peer_served(stream: &mut TcpStream, nonce: u8) {
    let request = format!(r#"{{"command":400,"nonce":{nonce}}}"#);
    let mut message = vec![1, 0, 0, u8::try_from(request.len()).unwrap()];
    message.extend(request.as_bytes());
    stream.write_all(&message).await.unwrap();
    let mut header = [0; 4];
    let read = timeout(PATIENCE, stream.read_exact(&mut header)).await;
    read.expect("an answer").unwrap();
    let mut answer = vec![0; header[3].into()];
    stream.read_exact(&mut answer).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["nonce"], nonce);
}

/// Peers may choose their own identity; the first has it until it goes.
#[tokio::test]
async fn an_identity_cannot_be_taken_over() {
    let service = serving(success).await;
    let mut first = named_peer(&service, "same").await;
    assert_raw_peer_served(&mut first, 1).await;
    assert_closed(named_peer(&service, "same").await).await;
    until(&service, |counts| {
        counts.command_connections.handshakes_failed == 1
    })
    .await;
    assert_raw_peer_served(&mut first, 2).await;
    let mut other = named_peer(&service, "other").await;
    assert_raw_peer_served(&mut other, 3).await;
    drop(first);
    until(&service, |counts| counts.command_connections.closed >= 1).await;
    let mut again = named_peer(&service, "same").await;
    assert_raw_peer_served(&mut again, 4).await;
    service.stop().await;
}

#[tokio::test]
async fn long_subscriptions_are_not_admitted() {
    let service = serving(success).await;
    let mut stream = raw_peer(event_address(&service), "SUB").await;
    for _ in 0..100 {
        stream.write_all(b"\0\x06\x01abcde").await.unwrap();
    }
    until(&service, |counts| {
        counts.event_connections.subscriptions_refused == 100
    })
    .await;
    service.stop().await;
}

/// Asks for more than the sockets' buffers hold, and never reads.
async fn flood(service: &Service) -> TcpStream {
    let mut stream = raw_peer(command_address(service), "DEALER").await;
    let nonce = "n".repeat(60_000);
    let request = json!({"command": 400, "nonce": nonce}).to_string();
    let mut message = vec![1, 0, 2];
    message.extend((request.len() as u64).to_be_bytes());
    message.extend(request.as_bytes());
    for _ in 0..500 {
        stream.write_all(&message).await.unwrap();
    }
    stream
}

#[tokio::test]
async fn a_client_that_never_reads_loses_its_replies_and_delays_nobody() {
    let options = SocketOptions {
        high_water_mark: 10,
        subscriber_bytes_max: 1 << 20,
        ..SocketOptions::default()
    };
    let service = started(builder().handler(success).socket_options(options)).await;
    let flooder = timeout(PATIENCE, flood(&service))
        .await
        .expect("a service that reads");
    Client::of(&service).await.assert_served(1).await;
    until(&service, |counts| counts.replies_not_read > 0).await;
    drop(flooder);
    Client::of(&service).await.assert_served(2).await;
    service.stop().await;
}

fn answered(service: &Service) -> u64 {
    let requests = service.counts().requests;
    requests.iter().map(|row| row.2).sum()
}

/// It has no turn meanwhile, and more to ask than may wait.
#[tokio::test]
async fn refusals_that_nobody_reads_are_not_even_written() {
    let options = SocketOptions {
        high_water_mark: 10,
        subscriber_bytes_max: 1 << 20,
        ..SocketOptions::default()
    };
    let never = async |_: CommandRequest| std::future::pending::<CommandResponse>().await;
    let builder = builder().handler(never).deadline(Deadline::Wait);
    let builder = builder.waiting_max(1, 4096).socket_options(options);
    let service = started(builder.linger(Duration::ZERO)).await;
    let flooder = timeout(PATIENCE, flood(&service)).await.unwrap();
    // One has its turn, one waits.
    until(&service, |counts| counts.refused_per_client == 498).await;
    let not_read = service.counts().replies_not_read;
    assert!(not_read > 1, "{:?}", service.counts());
    assert_eq!(answered(&service) + not_read - 1, 498);
    drop(flooder);
    service.stop().await;
}

/// Handlers that are done at once leave time to take in what others ask.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_of_one_client_hides_no_request_of_another() {
    const FLOOD: usize = 4000;
    let (gate, handled) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let is_served = Arc::new(AtomicBool::new(false));
    let (its_gate, its_handled, served) = (gate.clone(), handled.clone(), is_served.clone());
    let handler = move |request: CommandRequest| {
        let (gate, handled, is_served) = (its_gate.clone(), its_handled.clone(), served.clone());
        async move {
            if request.command == Command::EmergencyStop {
                gate.acquire().await.unwrap().forget();
                handled.fetch_add(1, Ordering::SeqCst);
                if !is_served.load(Ordering::SeqCst) {
                    // Time for the other's request to come in; without waiting, so that the next step is ready.
                    std::thread::sleep(Duration::from_millis(1));
                }
            } else {
                is_served.store(gate.available_permits() > 0, Ordering::SeqCst);
            }
            CommandResponse::success()
        }
    };
    let builder = builder().handler(handler).deadline(Deadline::Wait);
    let service = started(builder.waiting_max(FLOOD, 2 * FLOOD)).await;
    let (flooder, other) = (Client::of(&service).await, Client::of(&service).await);
    other.assert_served(1).await;
    for nonce in 0..FLOOD + 5 {
        flooder.send(&json!({"command": 200, "nonce": nonce})).await;
    }
    until(&service, |counts| counts.refused_per_client == 4).await;
    gate.add_permits(2 * FLOOD);
    other.assert_served(2).await;
    let before = handled.load(Ordering::SeqCst);
    assert!(before < FLOOD, "{before}");
    service.stop().await;
}
