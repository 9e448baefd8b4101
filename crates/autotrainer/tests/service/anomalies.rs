//! Messages as a 0.9.11 service can publish them, through the socket. spec: autotrainer 2.3

use autotrainer_api::zmq::{EventSocket, SocketOptions};
use autotrainer_api::{Anomaly, Limits, Received, Topic};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::clients::PATIENCE;
use crate::hostile::{greeting, ready};

/// A publisher written by hand, with its first subscriber.
async fn publisher(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(&greeting()).await.unwrap();
    stream.write_all(&ready("PUB")).await.unwrap();
    stream.read_exact(&mut [0; 64]).await.unwrap();
    stream
}

async fn send(stream: &mut TcpStream, frames: &[&[u8]]) {
    for (place, frame) in frames.iter().enumerate() {
        let has_more = u8::from(place + 1 < frames.len());
        let length = u8::try_from(frame.len()).unwrap();
        stream.write_all(&[has_more, length]).await.unwrap();
        stream.write_all(frame).await.unwrap();
    }
}

/// Frames, and how they are classified.
type Expectation<'f> = (&'f [&'f [u8]], Topic, Result<Option<Anomaly>, Anomaly>);

#[tokio::test]
async fn stale_topics_and_lone_payloads_arrive_and_are_classified() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = EventSocket::new(&SocketOptions::default()).unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    socket.connect(&endpoint).await.unwrap();
    socket.subscribe(Topic::ANY).await.unwrap();
    let mut stream = publisher(&listener).await;

    let (event, heartbeat) = (Topic::EVENT.to_frame(), Topic::HEARTBEAT.to_frame());
    let event_payload: &[u8] = br#"{"kind": 201}"#;
    let heartbeat_payload: &[u8] = br#"{"identifier": "a", "version": "0.9.11", "timestamp": 1.5}"#;
    let surplus = Ok(Some(Anomaly::SurplusFrames));
    let alone = Ok(Some(Anomaly::TopicMissing));
    let messages: [Expectation<'_>; 7] = [
        (&[&event, event_payload], Topic::EVENT, Ok(None)),
        (&[&event, &heartbeat, event_payload], Topic::EVENT, surplus),
        (
            &[&event, &heartbeat, heartbeat_payload],
            Topic::HEARTBEAT,
            surplus,
        ),
        (
            &[&heartbeat, &event, heartbeat_payload],
            Topic::HEARTBEAT,
            surplus,
        ),
        (&[event_payload], Topic::EVENT, alone),
        (&[heartbeat_payload], Topic::HEARTBEAT, alone),
        (&[b"no payload"], Topic::ANY, Err(Anomaly::Unclassifiable)),
    ];
    for (frames, _, _) in &messages {
        send(&mut stream, frames).await;
    }
    for (frames, topic, anomaly) in messages {
        let arrived = timeout(PATIENCE, socket.receive()).await.unwrap().unwrap();
        assert_eq!(arrived, frames);
        let received = Received::from_frames(&arrived, &Limits::default());
        match anomaly {
            Ok(anomaly) => {
                let received = received.unwrap();
                assert_eq!((received.topic, received.anomaly), (topic, anomaly));
            }
            Err(anomaly) => assert_eq!(received, Err(anomaly)),
        }
    }
}
