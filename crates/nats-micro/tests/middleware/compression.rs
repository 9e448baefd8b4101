//! `Compression`.

use std::io::{Read, Write};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use nats_micro::middleware::Compression;
use nats_micro::testing::{RequestStub, TestReply};
use nats_micro::{Endpoint, Reply, Request, ServiceError};

use crate::{code, echo, headers, serve, service};

const LIMIT: usize = 100_000;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn snappy(plain: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(plain).unwrap()
}

fn decoded(reply: &TestReply) -> Vec<u8> {
    let payload = reply.payload();
    match reply.header("Content-Encoding") {
        None => payload.to_vec(),
        Some("gzip") => {
            let mut plain = Vec::new();
            GzDecoder::new(&payload[..])
                .read_to_end(&mut plain)
                .unwrap();
            plain
        }
        Some("snappy") => snap::raw::Decoder::new().decompress_vec(payload).unwrap(),
        Some(other) => panic!("{other}"),
    }
}

/// Says how long the body is and which encoding it has.
async fn look(request: Request) -> String {
    format!(
        "{} {:?}",
        request.payload().len(),
        request.header("Content-Encoding")
    )
}

async fn looked(encoding: &str, payload: Vec<u8>) -> TestReply {
    let compression = Compression::new().decoded_bytes_max(LIMIT);
    let stub = RequestStub::new("look")
        .header("Content-Encoding", encoding)
        .payload(payload);
    stub.call_middleware(compression, look).await.unwrap()
}

#[tokio::test]
async fn requests_are_decompressed() {
    let plain = vec![b'x'; LIMIT];
    for (encoding, payload) in [
        ("gzip", gzip(&plain)),
        ("GZIP", gzip(&plain)),
        ("x-gzip", [gzip(&plain[1..]), gzip(&plain[..1])].concat()),
        ("snappy", snappy(&plain)),
        ("identity", plain),
    ] {
        let reply = looked(encoding, payload).await;
        assert_eq!(reply.text().unwrap(), format!("{LIMIT} None"), "{encoding}");
    }
}

#[tokio::test]
async fn more_than_the_limit_is_413() {
    let plain = vec![b'x'; LIMIT + 1];
    // A bomb: a gigabyte in a megabyte.
    let bomb = gzip(&vec![0; 1 << 20]).repeat(1 << 10);
    for (encoding, payload) in [
        ("gzip", gzip(&plain)),
        ("snappy", snappy(&plain)),
        ("gzip", bomb),
    ] {
        let reply = looked(encoding, payload).await;
        let error = reply.error().unwrap();
        assert_eq!(error.to_string(), "413:Payload Too Large", "{encoding}");
    }
}

#[tokio::test]
async fn what_is_not_in_its_encoding_is_400() {
    let whole = gzip(b"whole");
    for (encoding, payload) in [
        ("gzip", b"plain".to_vec()),
        ("gzip", whole[..whole.len() - 1].to_vec()),
        ("gzip", [&whole[..], b"more"].concat()),
        ("snappy", b"\xff\xff\xff\xff\xff".to_vec()),
        ("snappy", Vec::new()),
        ("gzip", Vec::new()),
    ] {
        let reply = looked(encoding, payload.clone()).await;
        assert_eq!(code(&reply), Some(400), "{encoding} {payload:?}");
    }
}

#[tokio::test]
async fn unknown_encodings_are_415_and_counted() {
    let compression = Compression::new();
    for encoding in ["br", "gzip, gzip", "snappy, gzip", "deflate"] {
        let stub = RequestStub::new("look").header("Content-Encoding", encoding);
        let reply = stub
            .call_middleware(compression.clone(), look)
            .await
            .unwrap();
        let error = reply.error().unwrap();
        assert_eq!(error.to_string(), "415:Unsupported Media Type");
        assert_eq!(reply.header("Accept-Encoding"), Some("gzip, snappy"));
    }
    let twice = RequestStub::new("look")
        .header("Content-Encoding", "gzip")
        .header("Content-Encoding", "gzip");
    let reply = twice
        .call_middleware(compression.clone(), look)
        .await
        .unwrap();
    assert_eq!(code(&reply), Some(415));
    let refusals = compression.refusals();
    assert_eq!(refusals.unknown_encoding, 5);
    assert_eq!((refusals.too_large, refusals.malformed), (0, 0));
}

#[tokio::test]
async fn replies_are_compressed_for_those_who_ask() {
    let plain = "compress me ".repeat(1000);
    let harness = serve(service().middleware(Compression::new()).endpoint(echo())).await;
    for (accept, expected) in [
        ("gzip", Some("gzip")),
        ("snappy", Some("snappy")),
        ("br, gzip;q=0.1, snappy;q=0.9", Some("snappy")),
        ("br", None),
        ("gzip;q=0", None),
    ] {
        let headers = headers(&[("accept-encoding", accept)]);
        let reply = harness.request_with_headers("echo", headers, plain.clone());
        let reply = reply.await.unwrap();
        assert_eq!(reply.header("Content-Encoding"), expected, "{accept}");
        assert_eq!(decoded(&reply), plain.as_bytes());
        assert_eq!(reply.payload().len() < plain.len() / 4, expected.is_some());
    }
    let reply = harness.request("echo", plain.clone()).await.unwrap();
    assert_eq!(reply.headers(), None);
}

#[tokio::test]
async fn a_request_and_its_reply_may_both_be_compressed() {
    let plain = "both ways ".repeat(1000);
    let harness = serve(service().middleware(Compression::new()).endpoint(echo())).await;
    let headers = headers(&[("Content-Encoding", "snappy"), ("Accept-Encoding", "gzip")]);
    let reply = harness.request_with_headers("echo", headers, snappy(plain.as_bytes()));
    assert_eq!(decoded(&reply.await.unwrap()), plain.as_bytes());
}

#[tokio::test]
async fn what_would_not_gain_stays_as_it_is() {
    let encoded = Endpoint::new("encoded", |_: Request| async {
        Reply::new("x".repeat(5000)).with_header("content-encoding", "br")
    });
    let silent = Endpoint::new("silent", |_: Request| async {});
    let noise = Endpoint::new("noise", |_: Request| async {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let noise = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()
        });
        noise.take(250).flatten().collect::<Vec<_>>()
    });
    let harness = serve(
        service()
            .middleware(Compression::new().encoded_bytes_min(100))
            .endpoint(encoded)
            .endpoint(noise)
            .endpoint(silent)
            .endpoint(echo()),
    )
    .await;
    let accept = headers(&[("Accept-Encoding", "snappy")]);
    let request = async |subject: &str, payload: String| {
        let reply = harness.request_with_headers(subject, accept.clone(), payload);
        reply.await.unwrap()
    };
    let reply = request("encoded", String::new()).await;
    assert_eq!(reply.payload().len(), 5000);
    assert_eq!(request("echo", "x".repeat(99)).await.headers(), None);
    let reply = request("echo", "x".repeat(100)).await;
    assert_eq!(reply.header("Content-Encoding"), Some("snappy"));
    assert_eq!(request("noise", String::new()).await.payload().len(), 2000);
    let mut replies = harness
        .replies_with_headers("silent", accept.clone(), "")
        .unwrap();
    harness.handled("silent", 1).await.unwrap();
    assert!(replies.received().is_empty());
}

#[tokio::test]
async fn the_body_of_an_error_is_compressed_too() {
    let fails = Endpoint::new("fails", |_: Request| async {
        Err::<(), _>(ServiceError::new(422, "no").with_payload("why ".repeat(1000)))
    });
    let harness = serve(service().middleware(Compression::new()).endpoint(fails)).await;
    let accept = headers(&[("Accept-Encoding", "gzip")]);
    let reply = harness.request_with_headers("fails", accept, "").await;
    let reply = reply.unwrap();
    assert_eq!(code(&reply), Some(422));
    assert_eq!(reply.header("Content-Encoding"), Some("gzip"));
    assert_eq!(decoded(&reply), "why ".repeat(1000).as_bytes());
}

#[tokio::test]
async fn twice_around_a_handler_it_decompresses_once() {
    let harness = serve(
        service()
            .middleware(Compression::new())
            .endpoint(echo().middleware(Compression::new())),
    )
    .await;
    let plain = "once ".repeat(1000);
    let headers = headers(&[("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")]);
    let reply = harness.request_with_headers("echo", headers, gzip(plain.as_bytes()));
    assert_eq!(decoded(&reply.await.unwrap()), plain.as_bytes());
}
