//! What `#[service]` makes, served over a real broker.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt;
use nats_micro::document::{Document, EndpointInfo, Info};
use nats_micro::middleware::{Middleware, Next};
use nats_micro::{
    Bytes, Json, Metadata, Reply, Request, Response, Service, ServiceError, schema, service,
};
use nodewire_testkit::NatsServer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Deserialize, JsonSchema)]
struct Division {
    dividend: i64,
    #[serde(default = "one")]
    divisor: i64,
}

fn one() -> i64 {
    1
}

#[derive(Serialize, JsonSchema)]
struct Quotient {
    value: i64,
    remainder: i64,
}

/// Not a [`ServiceError`], but can become one.
struct DividedByZero;

impl From<DividedByZero> for ServiceError {
    fn from(_: DividedByZero) -> Self {
        Self::new(422, "divided by zero").with_payload("0")
    }
}

struct Tag(&'static str);

impl Middleware for Tag {
    async fn handle(&self, request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        if let Some(headers) = response.headers_mut() {
            headers.append("X-Tag", self.0);
        }
        response
    }
}

#[derive(Default)]
struct Calculator {
    calls: AtomicU32,
    limit: usize,
}

/// Calculates
/// for others.
#[service(version = "1.2.0", group = "math", queue_group = "calculators", metadata(team = "a"), middleware = Tag("service"))]
impl Calculator {
    /// Adds numbers.
    #[endpoint(metadata(unit = "m"))]
    async fn add(&self, numbers: Vec<i64>) -> i64 {
        self.calls.fetch_add(1, Ordering::Relaxed);
        numbers.iter().sum()
    }

    /// Said otherwise.
    #[endpoint(
        name = "div", group = "exact.ints", subject = "divide.*", queue_group = "dividers", concurrency = self.limit,
        description = "Divides.", middleware = Tag("outer"), middleware = Tag("inner"),
        metadata("nodewire.schema.request" = "{}"),
    )]
    async fn divide(
        &self,
        division: &Division,
        request: Request,
    ) -> Result<Quotient, DividedByZero> {
        let Division { dividend, divisor } = *division;
        if request.subject().ends_with(".sloppily") {
            return Ok(Quotient {
                value: dividend / divisor.max(1),
                remainder: 0,
            });
        }
        let value = dividend.checked_div(divisor).ok_or(DividedByZero)?;
        Ok(Quotient {
            value,
            remainder: dividend % divisor,
        })
    }

    #[endpoint(no_queue_group)]
    async fn calls(&self) -> Json<u32> {
        Json(self.calls.load(Ordering::Relaxed))
    }

    #[endpoint(schema = false, streaming)]
    async fn count(&self, to: u32, request: &Request) {
        for i in 1..=to {
            request.respond(i.to_string()).await.unwrap();
        }
    }

    #[endpoint]
    fn thread(&self) -> String {
        format!("{:?}", std::thread::current().id())
    }

    #[endpoint(blocking = false)]
    fn thread_in_place(&self) -> String {
        format!("{:?}", std::thread::current().id())
    }

    #[endpoint]
    fn reversed(data: Bytes) -> Vec<u8> {
        data.iter().rev().copied().collect()
    }

    #[endpoint]
    async fn raw(self: Arc<Self>, request: &Request) -> Result<Reply, ServiceError> {
        match request.header("X-Fail") {
            Some(why) => Err(ServiceError::new(499, why)),
            None => Ok(Reply::new("raw").with_header("X-Limit", &self.limit.to_string())),
        }
    }

    #[endpoint]
    async fn forget(&self) -> Result<(), ServiceError> {
        self.calls.store(0, Ordering::Relaxed);
        Ok(())
    }

    #[endpoint]
    fn panics(&self) -> bool {
        self.broken()
    }

    fn broken(&self) -> bool {
        panic!("broken at {}", self.limit)
    }
}

async fn serve() -> (NatsServer, Client, Service) {
    let broker = NatsServer::start().await.unwrap();
    let client = async_nats::connect(broker.url()).await.unwrap();
    let calculator = Calculator {
        limit: 2,
        ..Calculator::default()
    };
    let service = calculator.into_service().start(&client).await.unwrap();
    (broker, client, service)
}

async fn call(
    client: &Client,
    subject: &str,
    body: impl Into<Bytes>,
) -> Result<Value, ServiceError> {
    let reply = client
        .request(subject.to_owned(), body.into())
        .await
        .unwrap();
    match ServiceError::from_reply(&reply) {
        Some(error) => Err(error),
        None => Ok(serde_json::from_slice(&reply.payload).unwrap()),
    }
}

async fn info(client: &Client) -> Info {
    let reply = client
        .request("$SRV.INFO.calculator", Bytes::new())
        .await
        .unwrap();
    Info::parse(&reply.payload).unwrap()
}

fn endpoint<'a>(info: &'a Info, name: &str) -> &'a EndpointInfo {
    info.endpoints
        .iter()
        .find(|endpoint| endpoint.name == name)
        .unwrap()
}

fn parsed(metadata: &Metadata, key: &str) -> Value {
    serde_json::from_str(&metadata[key]).unwrap()
}

#[tokio::test]
async fn info_shows_endpoints_in_source_order() {
    let (_broker, client, service) = serve().await;
    let info = info(&client).await;
    assert_eq!(
        (info.name.as_str(), info.version.as_str()),
        ("calculator", "1.2.0")
    );
    assert_eq!(info.id, service.id());
    assert_eq!(info.description, "Calculates for others.");
    assert_eq!(
        info.metadata,
        Metadata::from([("team".to_owned(), "a".to_owned())])
    );
    let shown: Vec<_> = info
        .endpoints
        .iter()
        .map(|it| {
            (
                it.name.as_str(),
                it.subject.as_str(),
                it.queue_group.as_str(),
            )
        })
        .collect();
    let expected = [
        ("add", "math.add", "calculators"),
        ("div", "math.exact.ints.divide.*", "dividers"),
        ("calls", "math.calls", ""),
        ("count", "math.count", "calculators"),
        ("thread", "math.thread", "calculators"),
        ("thread_in_place", "math.thread_in_place", "calculators"),
        ("reversed", "math.reversed", "calculators"),
        ("raw", "math.raw", "calculators"),
        ("forget", "math.forget", "calculators"),
        ("panics", "math.panics", "calculators"),
    ];
    assert_eq!(shown, expected);
    service.stop().await;
}

#[tokio::test]
async fn metadata_says_what_goes_in_and_out() {
    let (_broker, client, service) = serve().await;
    let info = info(&client).await;

    let add = &endpoint(&info, "add").metadata;
    assert_eq!(add["unit"], "m");
    assert_eq!(add[schema::DESCRIPTION], "Adds numbers.");
    assert_eq!(add[schema::REQUEST_CONTENT_TYPE], "application/json");
    assert_eq!(add[schema::RESPONSE_CONTENT_TYPE], "application/json");
    let numbers = parsed(add, schema::REQUEST_SCHEMA);
    assert_eq!(
        numbers["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(
        (&numbers["type"], &numbers["items"]["format"]),
        (&json!("array"), &json!("int64"))
    );
    assert_eq!(parsed(add, schema::RESPONSE_SCHEMA)["type"], "integer");

    // What the author wrote wins over what the macro found out.
    let div = &endpoint(&info, "div").metadata;
    assert_eq!(div[schema::DESCRIPTION], "Divides.");
    assert_eq!(div[schema::REQUEST_SCHEMA], "{}");
    // In a reply, all is there.
    assert_eq!(
        parsed(div, schema::RESPONSE_SCHEMA)["required"],
        json!(["value", "remainder"])
    );
    // In a request, what has a default may be left out.
    let read: Value = serde_json::from_str(&schema::request::<Division>()).unwrap();
    assert_eq!(read["required"], json!(["dividend"]));

    let keys = |name| {
        endpoint(&info, name)
            .metadata
            .keys()
            .map(String::as_str)
            .collect::<BTreeSet<_>>()
    };
    let described = |keys: &[&'static str]| keys.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(keys("count"), described(&[schema::REQUEST_CONTENT_TYPE]));
    assert_eq!(
        keys("calls"),
        described(&[schema::RESPONSE_CONTENT_TYPE, schema::RESPONSE_SCHEMA])
    );
    assert_eq!(keys("raw"), described(&[]));
    assert_eq!(keys("reversed"), described(&[]));
    service.stop().await;
}

#[tokio::test]
async fn values_travel_as_json() {
    let (_broker, client, service) = serve().await;
    assert_eq!(
        call(&client, "math.add", "[1, 2, 3]").await.unwrap(),
        json!(6)
    );
    assert_eq!(call(&client, "math.add", "[]").await.unwrap(), json!(0));
    assert_eq!(
        call(&client, "math.calls", "not looked at").await.unwrap(),
        json!(2)
    );
    let division = r#"{"dividend": 7, "divisor": 2}"#;
    let quotient = call(&client, "math.exact.ints.divide.exactly", division).await;
    assert_eq!(quotient.unwrap(), json!({"value": 3, "remainder": 1}));
    let quotient = call(&client, "math.exact.ints.divide.sloppily", division).await;
    assert_eq!(quotient.unwrap(), json!({"value": 3, "remainder": 0}));
    // Nothing to say is an answer too.
    assert_eq!(call(&client, "math.forget", "").await.unwrap(), Value::Null);
    assert_eq!(call(&client, "math.calls", "").await.unwrap(), json!(0));
    service.stop().await;
}

#[tokio::test]
async fn errors_have_their_codes() {
    let (_broker, client, service) = serve().await;
    for unreadable in ["", "[1", "[1, \"2\"]", "{}"] {
        let error = call(&client, "math.add", unreadable).await.unwrap_err();
        assert_eq!(error.code(), Some(400), "{error}");
        assert!(
            error
                .description()
                .starts_with("the request cannot be read: "),
            "{error}"
        );
    }
    assert_eq!(
        call(&client, "math.calls", "").await.unwrap(),
        json!(0),
        "called with nothing to add"
    );

    let by_zero = r#"{"dividend": 7, "divisor": 0}"#;
    let error = call(&client, "math.exact.ints.divide.x", by_zero)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "422:divided by zero");
    assert_eq!(&error.payload()[..], b"0");

    let error = call(&client, "math.panics", "").await.unwrap_err();
    assert_eq!(error.to_string(), "500:Internal Server Error");
    let stats = service.stats();
    let panics = stats
        .endpoints
        .iter()
        .find(|it| it.name == "panics")
        .unwrap();
    assert!(
        panics.last_error.contains("broken at 2"),
        "{}",
        panics.last_error
    );
    assert_eq!((panics.num_requests, panics.num_errors), (1, 1));
    service.stop().await;
}

#[tokio::test]
async fn raw_methods_see_requests_and_make_replies() {
    let (_broker, client, service) = serve().await;
    let reply = client.request("math.raw", Bytes::new()).await.unwrap();
    assert_eq!(&reply.payload[..], b"raw");
    let headers = reply.headers.unwrap();
    assert_eq!(headers.get("X-Limit").unwrap().as_str(), "2");

    let mut headers = nats_micro::HeaderMap::new();
    headers.insert("X-Fail", "asked to");
    let reply = client
        .request_with_headers("math.raw", headers, Bytes::new())
        .await
        .unwrap();
    assert_eq!(
        ServiceError::from_reply(&reply).unwrap().to_string(),
        "499:asked to"
    );

    let reply = client
        .request("math.reversed", Bytes::from_static(b"\x00\xff1"))
        .await
        .unwrap();
    assert_eq!(&reply.payload[..], b"1\xff\x00");
    service.stop().await;
}

#[tokio::test]
async fn a_streaming_method_answers_several_times() {
    let (_broker, client, service) = serve().await;
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    client
        .publish_with_reply("math.count", inbox, "3".into())
        .await
        .unwrap();
    for expected in ["1", "2", "3"] {
        let reply = tokio::time::timeout(TIMEOUT, replies.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&reply.payload[..], expected.as_bytes());
    }
    service.stop().await;
}

#[tokio::test]
async fn middleware_of_the_service_is_outside() {
    let (_broker, client, service) = serve().await;
    let body = r#"{"dividend": 7}"#;
    let reply = client
        .request("math.exact.ints.divide.x", body.into())
        .await
        .unwrap();
    let headers = reply.headers.unwrap();
    let tags: Vec<_> = headers.get_all("X-Tag").map(|tag| tag.as_str()).collect();
    // The innermost has the response first.
    assert_eq!(tags, ["inner", "outer", "service"]);
    service.stop().await;
}

/// The test's runtime has one thread, so whatever runs elsewhere is on the blocking pool.
#[tokio::test]
async fn plain_functions_do_not_block_the_endpoints() {
    let (_broker, client, service) = serve().await;
    let this: ThreadId = std::thread::current().id();
    let this = json!(format!("{this:?}"));
    assert_ne!(call(&client, "math.thread", "").await.unwrap(), this);
    assert_eq!(
        call(&client, "math.thread_in_place", "").await.unwrap(),
        this
    );
    service.stop().await;
}

struct Versioned;

#[service]
impl Versioned {
    #[endpoint]
    async fn hello(&self) -> &'static str {
        "hello"
    }
}

#[tokio::test]
async fn what_is_not_said_comes_from_the_package_and_the_builder_can_go_on() {
    let (_broker, client, calculator) = serve().await;
    let shared = Arc::new(Calculator::default());
    let builder = Versioned
        .into_service()
        .description("more")
        .metadata("k", "v");
    let service = builder.group(nats_micro::Group::new("").group(Arc::new(Versioned).to_group()));
    let error = shared.to_service().check().unwrap_err();
    assert_eq!(
        error,
        nats_micro::ConfigError::Concurrency {
            actual: 0,
            max: nats_micro::MAX_CONCURRENCY,
        }
    );
    let service = service.queue_group("hellos").start(&client).await.unwrap();
    let info = service.info();
    assert_eq!(
        (info.name.as_str(), info.version.as_str()),
        ("versioned", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(
        (info.description.as_str(), info.metadata["k"].as_str()),
        ("more", "v")
    );
    let shown: Vec<_> = info
        .endpoints
        .iter()
        .map(|it| (it.name.as_str(), it.queue_group.as_str()))
        .collect();
    assert_eq!(shown, [("hello", "hellos"), ("hello", "hellos")]);
    assert_eq!(call(&client, "hello", "").await.unwrap(), json!("hello"));
    service.stop().await;
    calculator.stop().await;
}

#[tokio::test]
async fn a_group_keeps_what_the_block_says() {
    let (_broker, client, calculator) = serve().await;
    let math = Arc::new(Calculator {
        limit: 1,
        ..Calculator::default()
    });
    let service = Service::builder("school", "1.0.0")
        .group(nats_micro::Group::new("school").group(math.to_group()));
    let service = service.start(&client).await.unwrap();
    let info = service.info();
    let add = endpoint(&info, "add");
    assert_eq!(
        (add.subject.as_str(), add.queue_group.as_str()),
        ("school.math.add", "calculators")
    );
    assert_eq!(
        call(&client, "school.math.add", "[1]").await.unwrap(),
        json!(1)
    );
    // The value is the caller's too.
    assert_eq!(math.add(vec![1, 2]).await, 3);
    assert_eq!(
        call(&client, "school.math.calls", "").await.unwrap(),
        json!(2)
    );
    service.stop().await;
    calculator.stop().await;
}
