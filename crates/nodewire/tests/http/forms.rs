//! `multipart/form-data`.

use ::bytes::Bytes;
use hyper::http::request;
use serde_json::{Value, json};

use crate::support::Fixture;

/// Names, with further headers, and contents.
type Parts<'a> = [(&'a str, &'a [u8])];

const BOUNDARY: &str = "a-boundary-of-tests";

/// A form of parts: their headers after the name, and their bodies.
fn form(parts: &Parts<'_>) -> Bytes {
    let mut body = Vec::new();
    for (name_and_more, content) in parts {
        let head =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name={name_and_more}\r\n\r\n");
        body.extend(head.bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body.into()
}

fn execute(node: &str) -> request::Builder {
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    Fixture::execute(node).header("Content-Type", content_type)
}

async fn call(fixture: &Fixture, node: &str, parts: &Parts<'_>) -> (u16, Value) {
    fixture.ask(execute(node), form(parts)).await
}

#[tokio::test]
async fn a_file_of_a_mebibyte_arrives_whole() {
    let fixture = Fixture::start().await;
    let file: Vec<u8> = (0..1_u32 << 20).map(|i| (i % 251) as u8).collect();
    let parts: [(&str, &[u8]); 2] = [
        ("\"data\"; filename=\"a.bin\"", &file),
        ("\"parameters\"", br#"{"suffix": "!"}"#),
    ];
    let request = execute("reverse").header("Accept", "application/octet-stream");
    let (head, reversed) = fixture.send(request, form(&parts)).await.whole().await;
    assert_eq!(head.status, 200);
    let mut expected = file;
    expected.reverse();
    expected.push(b'!');
    assert!(reversed == expected, "{} bytes differ", reversed.len());
    fixture.stop().await;
}

#[tokio::test]
async fn parts_are_what_their_input_takes() {
    let fixture = Fixture::start().await;
    let echo = call(&fixture, "echo", &[("text", b"7"), ("text", b"[1]")]).await;
    assert_eq!(echo, (200, json!({"outputs": {"text": ["> 7", "> [1]"]}})));
    let json_type = "text\r\nContent-Type: application/json";
    let echo = call(&fixture, "echo", &[(json_type, br#"["a", "b"]"#)]).await;
    assert_eq!(echo, (200, json!({"outputs": {"text": ["> a", "> b"]}})));
    let reverse = call(&fixture, "reverse", &[("data", b"\xfe\x00")]).await;
    assert_eq!(
        reverse.1,
        json!({"outputs": {"data": [{"$bytes": "AP4="}]}})
    );
    fixture.stop().await;
}

#[tokio::test]
async fn forms_that_cannot_be_read_are_refused() {
    let narrow = |config: &mut nodewire::http::HttpConfig| config.parts_max = 2;
    let fixture = Fixture::start_with(narrow, |builder| builder).await;
    let part: (&str, &[u8]) = ("text", b"a");
    let json_type = "text\r\nContent-Type: application/json";
    let cases: [(&Parts<'_>, &str); 4] = [
        (&[part, part, part], "more than 2 parts"),
        (&[("parameters", b"[]")], "`parameters` must be an object"),
        (&[("text", b"\xff")], "no UTF-8"),
        (&[(json_type, b"{")], "no JSON"),
    ];
    for (parts, expected) in cases {
        let (status, answer) = call(&fixture, "echo", parts).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(status, 400, "{message}");
        assert!(message.contains(expected), "{message}");
    }
    let cut = form(&[part]).slice(..40);
    let (status, _) = fixture.ask(execute("echo"), cut).await;
    assert_eq!(status, 400);
    let unbounded = Fixture::execute("echo").header("Content-Type", "multipart/form-data");
    let (status, _) = fixture.ask(unbounded, "").await;
    assert_eq!(status, 400);
    fixture.stop().await;
}
