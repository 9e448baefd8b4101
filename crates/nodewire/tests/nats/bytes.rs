//! Bytes as bodies.

use ::bytes::Bytes;
use serde_json::json;

use crate::support::{Fixture, header, outcome};

const OCTETS: &str = "application/octet-stream";

#[tokio::test]
async fn a_mebibyte_goes_in_and_out_as_it_is() {
    let fixture = Fixture::start_large().await;
    let body: Bytes = (0..1 << 20).map(|i: u32| i.to_le_bytes()[1]).collect();
    let headers = [("Content-Type", OCTETS), ("Accept", OCTETS)];
    let reply = fixture
        .request("nodes.reverse", &headers, body.clone())
        .await;
    assert_eq!(header(&reply, "Nats-Service-Error"), None);
    assert_eq!(header(&reply, "Content-Type"), Some(OCTETS));
    assert_eq!(
        header(&reply, "Nodewire-Outputs"),
        Some(r#"{"length": [1048576]}"#)
    );
    assert!(reply.payload.iter().rev().eq(body.iter()));
    fixture.stop().await;
}

#[tokio::test]
async fn other_values_stand_in_headers() {
    let fixture = Fixture::start().await;
    let headers = [
        ("Content-Type", "Application/Octet-Stream; x=y"),
        ("Nodewire-Input-suffix", "!"),
        ("Nodewire-Param-preview", "true"),
    ];
    let reply = fixture.request("nodes.reverse", &headers, "ab").await;
    let outputs = json!({"data": [{"$bytes": "YmEh"}], "length": [3]});
    assert_eq!(outcome(&reply), Ok(outputs));
    fixture.stop().await;
}

#[tokio::test]
async fn bytes_in_json_are_base64() {
    let fixture = Fixture::start().await;
    let request = r#"{"inputs": {"data": {"$bytes": "AP8="}}}"#;
    let outputs = json!({"data": [{"$bytes": "/wA="}], "length": [2]});
    assert_eq!(fixture.call("reverse", request).await, Ok(outputs));
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_without_one_input_of_bytes_takes_json() {
    let fixture = Fixture::start().await;
    let octets = [("Content-Type", OCTETS)];
    let reply = fixture.request("nodes.echo", &octets, "ab").await;
    let (code, text) = outcome(&reply).unwrap_err();
    assert_eq!(code, 400);
    assert!(text.contains("send JSON"), "{text}");
    fixture.stop().await;
}

#[tokio::test]
async fn what_the_broker_does_not_take_is_an_error() {
    let fixture = Fixture::start().await;
    let grow = r#"{"parameters": {"length": 2000000}}"#;
    let (code, text) = fixture.call("grow", grow).await.unwrap_err();
    assert_eq!(code, 500);
    assert!(text.contains("pass them as assets"), "{text}");
    // As large as can be, with headers.
    let accept = [("Accept", OCTETS)];
    let grow = r#"{"parameters": {"length": 1048064}}"#;
    let reply = fixture.request("nodes.grow", &accept, grow).await;
    assert_eq!(reply.payload.len(), 1_048_064);
    fixture.stop().await;
}

#[tokio::test]
async fn previews_are_bytes_too() {
    let fixture = Fixture::start().await;
    let headers = [
        ("Content-Type", OCTETS),
        ("Accept", OCTETS),
        ("Nodewire-Param-preview", "true"),
    ];
    let replies = fixture.stream("reverse", &headers, "ab").await.all().await;
    let told: Vec<_> = replies
        .iter()
        .map(|(event, reply)| (event.as_str(), &reply.payload[..]))
        .collect();
    assert_eq!(
        told,
        [
            ("accepted", &b""[..]),
            ("partial", b"b"),
            ("completed", b"ba")
        ]
    );
    fixture.stop().await;
}
