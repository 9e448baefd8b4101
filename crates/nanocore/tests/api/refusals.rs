//! Every refusal is the API's error, whoever refuses.

use nanocore::api::openapi;
use serde_json::Value;

use crate::http::Answer;
use crate::support::{Setup, start};

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
