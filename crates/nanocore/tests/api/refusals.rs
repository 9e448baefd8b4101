//! Every refusal is the API's error, whoever refuses.

use std::time::Duration;

use nanocore::api::openapi;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::Answer;
use crate::support::{LIMIT, Setup, start, start_with};

/// A request that is to be refused.
struct Refused {
    method: String,
    path: String,
    content_type: &'static str,
    body: &'static str,
    status: u16,
    /// What the message names.
    names: String,
}

impl Refused {
    fn new(method: &str, path: String, status: u16) -> Self {
        Self {
            method: method.to_owned(),
            path,
            content_type: "application/json",
            body: "",
            status,
            names: String::new(),
        }
    }

    async fn check(&self, setup: &Setup) {
        let headers = [("Content-Type", self.content_type)];
        let body = self.body.as_bytes();
        let client = &setup.client;
        let answer = client.send(&self.method, &self.path, &headers, body).await;
        let message = is_error(&answer);
        let what = format!("{} {} {}", self.method, self.path, self.body);
        assert_eq!(answer.status, self.status, "{what}: {message}");
        assert!(message.contains(&self.names), "{what}: {message}");
        if answer.status == 405 {
            assert!(!answer.headers["allow"].is_empty(), "{what}");
        }
    }
}

/// The message of an answer, which must be an error as the document has it.
fn is_error(answer: &Answer) -> String {
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(!answer.error_code().is_empty());
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!message.is_empty());
    message
}

/// What is refused for one operation of the document.
fn refused(path: &str, method: &str, operation: &Value) -> Vec<Refused> {
    let with = |parameter: &str| {
        let fill = |part: &str| {
            let is_parameter = part.starts_with('{');
            (if is_parameter { parameter } else { part }).to_owned()
        };
        path.split('/').map(fill).collect::<Vec<_>>().join("/")
    };
    let method = method.to_uppercase();
    let mut all = vec![Refused::new("BREW", with("1"), 405)];
    if path.contains('{') {
        all.push(Refused::new(&method, with("%ff"), 404));
    }
    for parameter in operation["parameters"].as_array().unwrap() {
        let schema = parameter["schema"]["type"].to_string();
        let is_typed = schema.contains("integer") || schema.contains("boolean");
        if parameter["in"] == "query" && is_typed {
            let name = parameter["name"].as_str().unwrap();
            let mut refused = Refused::new(&method, format!("{}?{name}=abc", with("1")), 400);
            refused.names = name.to_owned();
            all.push(refused);
        }
    }
    if operation["requestBody"]["content"]["application/json"].is_object() {
        let mut other = Refused::new(&method, with("1"), 415);
        (other.content_type, other.body) = ("text/plain", "{}");
        let mut broken = Refused::new(&method, with("1"), 400);
        (broken.content_type, broken.body) = ("application/json; charset=utf-8", "{");
        all.extend([other, broken]);
    }
    all
}

#[tokio::test]
async fn what_every_address_refuses_is_told_as_json() {
    let setup = start().await;
    let document = openapi();
    let (mut queries, mut bodies) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for refused in refused(path, method, operation) {
                queries += usize::from(refused.path.contains('?'));
                bodies += usize::from(refused.status == 415);
                refused.check(&setup).await;
            }
        }
    }
    assert!(queries > 5 && bodies > 5, "{queries}, {bodies}");
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn what_the_libraries_refuse_keeps_its_status() {
    let setup = start().await;
    let client = &setup.client;
    let answer = client.get("/assets/1/download?exp=abc&sig=1").await;
    assert_eq!(answer.status, 403);
    assert!(is_error(&answer).contains("altered"));
    // No WebSocket is asked for.
    let answer = client.get("/api/v1/ws").await;
    assert!(matches!(answer.status, 400 | 426), "{}", answer.status);
    is_error(&answer);
    let form = [("Content-Type", "multipart/form-data")];
    let answer = client.send("POST", "/assets", &form, b"x").await;
    assert_eq!(answer.status, 400);
    is_error(&answer);
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let setup = start().await;
    let told = async |method: &str, path: &str, body: &str| {
        let headers = [("Content-Type", "application/json")];
        let client = &setup.client;
        let answer = client.send(method, path, &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{path} {body}");
        is_error(&answer)
    };
    let run = json!({"graph": crate::support::texts("a"), "priority": 9_999, "retries": 9_999,
                     "timeout": -1, "traceparent": "x"});
    let types = json!({"priority": "high", "durable": 1, "colour": "red"});
    let paths = json!({"graph": crate::support::texts("a"), "params": {"9.text": "a", "text": "b"},
                       "values": {"2.value": 1}});
    let cases: [(&str, &str, String, &[&str]); 8] = [
        (
            "GET",
            "/api/v1/runs?status=odd&cursor=x",
            String::new(),
            &["status", "cursor"],
        ),
        (
            "GET",
            "/assets?order=odd&hash=x&cursor=y",
            String::new(),
            &["order", "hash", "cursor"],
        ),
        (
            "GET",
            "/api/v1/servers/1/logs?tail=x&follow=y",
            String::new(),
            &["tail", "follow"],
        ),
        (
            "POST",
            "/api/v1/runs",
            run.to_string(),
            &["priority", "retries", "timeout", "traceparent"],
        ),
        (
            "POST",
            "/api/v1/runs",
            types.to_string(),
            &["priority", "durable", "colour"],
        ),
        (
            "POST",
            "/api/v1/runs",
            paths.to_string(),
            &["9.text", "\"text\"", "2.value"],
        ),
        (
            "POST",
            "/api/v1/queue",
            json!({"clear": 1, "delete": 2}).to_string(),
            &["clear", "delete"],
        ),
        (
            "POST",
            "/resources",
            json!({"serverUid": 1, "action": 2}).to_string(),
            &["serverUid", "action"],
        ),
    ];
    for (method, path, body, names) in cases {
        let message = told(method, path, &body).await;
        for name in names {
            assert!(message.contains(name), "{path} {body}: {name}: {message}");
        }
    }
    setup.daemon.shutdown().await;
}

/// What is answered to a head that announces so many bytes, of which none comes.
async fn announced(setup: &Setup, (method, path): (&str, &str), bytes: u64) -> Answer {
    let mut stream = TcpStream::connect(setup.daemon.address()).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: {bytes}\r\n\r\n",
        setup.client.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    tokio::time::timeout(LIMIT, reading)
        .await
        .expect("it is refused and closed")
        .unwrap();
    crate::http::parse(&answer)
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_unread() {
    let setup = start().await;
    for address in [
        ("POST", "/api/v1/runs"),
        ("POST", "/resources"),
        ("PATCH", "/assets/00000000-0000-4000-8000-000000000000"),
    ] {
        let answer = announced(&setup, address, 1 << 40).await;
        assert_eq!(answer.status, 413, "{address:?}");
        assert_eq!(answer.error_code(), "too_large");
    }
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_only_so_long() {
    let setup = start_with(|options| options.api.body_timeout = Duration::from_millis(100)).await;
    for address in [
        ("POST", "/api/v1/runs"),
        ("POST", "/resources"),
        ("PATCH", "/assets/00000000-0000-4000-8000-000000000000"),
    ] {
        let answer = announced(&setup, address, 10).await;
        assert_eq!(answer.status, 408, "{address:?}");
        assert_eq!(answer.error_code(), "body_timeout");
    }
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_body_that_does_not_say_what_it_is_is_taken_for_json() {
    let setup = start().await;
    let client = &setup.client;
    for headers in [&[][..], &[("Content-Type", "application/merge+json")]] {
        let answer = client.send("POST", "/api/v1/queue", headers, b"{}").await;
        assert!(!matches!(answer.status, 415), "{}", answer.status);
        let answer = client.send("POST", "/resources", headers, b"{}").await;
        assert_eq!(answer.status, 400, "it lacks all fields");
    }
    setup.daemon.shutdown().await;
}
