//! The asset client against a recording server: what it sends equals what the Python SDKs send, and faults end in errors.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt};
use nanograph::assets::{
    AssetClient, AssetClientConfig, AssetError, AssetFilter, AssetRef, Resource, Upload,
};
use nodewire_json::Json;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const UUID: &str = "nanocore://any.domain:80/asset/0b5a3c1e-1111-4222-8333-444455556666";

fn hash() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

fn asset(text: &str) -> AssetRef {
    text.parse().expect("reference")
}

/// One request as the server saw it.
#[derive(Debug, Clone)]
struct Seen {
    method: String,
    target: String,
    headers: http::HeaderMap,
    body: Bytes,
}

type Answer = Arc<dyn Fn() -> Response + Send + Sync>;

struct Stub {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    async fn answering(answer: impl Fn() -> Response + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let state: (Arc<Mutex<Vec<Seen>>>, Answer) = (Arc::clone(&seen), Arc::new(answer));
        let app = axum::Router::new().fallback(record).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("listener");
        let address = format!("http://{}", listener.local_addr().expect("address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    async fn json(value: Value) -> Self {
        Self::answering(move || axum::Json(value.clone()).into_response()).await
    }

    fn only_request(&self) -> Seen {
        let seen = self.seen.lock().expect("lock");
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

async fn record(
    State((seen, answer)): State<(Arc<Mutex<Vec<Seen>>>, Answer)>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 256 << 20)
        .await
        .unwrap_or_default();
    let target = head
        .uri
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    seen.lock().expect("lock").push(Seen {
        method: head.method.to_string(),
        target,
        headers: head.headers,
        body,
    });
    answer()
}

fn client(stub: &Stub) -> AssetClient {
    client_with(stub, |_| {})
}

fn client_with(stub: &Stub, change: impl FnOnce(&mut AssetClientConfig)) -> AssetClient {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The slash is one of the things that must not matter.
    let mut config = AssetClientConfig::new(format!("{}/", stub.address), "tok123");
    change(&mut config);
    AssetClient::new(config).expect("client")
}

/// Part of a recorded request: name, file name, content type, body.
type Part = (String, Option<String>, Option<String>, String);

fn parts(seen: &Seen) -> Vec<Part> {
    let content_type = seen.headers["content-type"].to_str().expect("text");
    let boundary = content_type
        .strip_prefix("multipart/form-data; boundary=")
        .expect("multipart");
    let body = String::from_utf8(seen.body.to_vec()).expect("text parts");
    let body = body
        .strip_suffix(&format!("\r\n--{boundary}--\r\n"))
        .expect("end")
        .to_owned();
    let delimiter = format!("--{boundary}\r\n");
    let parts = body
        .split(&delimiter)
        .skip(1)
        .map(|part| part.strip_suffix("\r\n").unwrap_or(part));
    parts
        .map(|part| parse_part(part.split_once("\r\n\r\n").expect("part")))
        .collect()
}

fn parse_part((head, body): (&str, &str)) -> Part {
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let disposition = header("content-disposition").expect("disposition");
    let field = |name: &str| {
        let rest = disposition.split(&format!("; {name}=\"")).nth(1)?;
        rest.split('"').next().map(str::to_owned)
    };
    (
        field("name").expect("name"),
        field("filename"),
        header("content-type"),
        body.to_owned(),
    )
}

/// What the trace file has for this SDK call: the request, and its parts in the form of [`parts`].
fn traced(sdk: &str, call: &str) -> (Value, Vec<Part>) {
    let path = nodewire_testkit::vector_path("nanograph-traces.json");
    let file: Value =
        serde_json::from_slice(&std::fs::read(path).expect("trace file")).expect("trace file");
    let calls = file["asset_http"].as_array().expect("asset_http");
    let entry = calls
        .iter()
        .find(|entry| entry["sdk"] == sdk && entry["call"] == call)
        .expect("call");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let part = |part: &Value| {
        let body = text(&part["body"]).unwrap_or_default();
        (
            text(&part["name"]).expect("name"),
            text(&part["filename"]),
            text(&part["headers"]["Content-Type"]),
            body,
        )
    };
    let parts = entry["request"]["parts"]
        .as_array()
        .map(|list| list.iter().map(part).collect())
        .unwrap_or_default();
    (entry["request"].clone(), parts)
}

fn assert_as_traced(seen: &Seen, traced: &Value) {
    assert_eq!(seen.method, traced["method"]);
    assert_eq!(seen.target, traced["target"]);
    assert_eq!(
        seen.headers["authorization"],
        traced["headers"]["Authorization"].as_str().expect("token")
    );
    assert_eq!(seen.headers["accept"], "*/*");
    if let Some(content_type) = traced["headers"]["Content-Type"].as_str() {
        let kind = content_type.split(';').next().expect("kind");
        assert!(
            seen.headers["content-type"]
                .to_str()
                .expect("text")
                .starts_with(kind)
        );
        assert!(
            seen.headers.contains_key("content-length"),
            "the length is known"
        );
    }
}

#[tokio::test]
async fn reading_calls_are_those_of_the_sdks() {
    for (sdk, reference) in [("0.1.22", UUID.to_owned()), ("0.2.3", hash())] {
        let reference = asset(&reference);
        let stub = Stub::answering(|| "asset bytes".into_response()).await;
        let bytes = client(&stub)
            .resolve_bytes(&reference, 100)
            .await
            .expect("bytes");
        assert_eq!(bytes, "asset bytes");
        assert_as_traced(
            &stub.only_request(),
            &traced(sdk, "resolve_asset(ref, as_buffer)").0,
        );

        let stub = Stub::json(json!({"url": "http://x/y", "expiresIn": 60})).await;
        let presigned = client(&stub).presigned_url(&reference).await.expect("url");
        assert_eq!(
            (presigned.url.as_str(), presigned.expires_in),
            ("http://x/y", Some(Json::from(json!(60))))
        );
        assert_as_traced(
            &stub.only_request(),
            &traced(sdk, "get_asset_presigned_url(ref)").0,
        );

        let stub = Stub::json(
            json!([{"uuid": "1", "hash": hash(), "name": "n", "type": "image", "size": 5}, {}]),
        )
        .await;
        let assets = client(&stub)
            .list(&AssetFilter::default())
            .await
            .expect("assets");
        assert_eq!(
            (assets.len(), assets[0].size, assets[1].size),
            (2, Some(5), None)
        );
        assert_eq!(
            assets[0].reference("d").map(|r| r.to_string()).as_deref(),
            Some("nanocore://d/asset/1")
        );
        assert_as_traced(&stub.only_request(), &traced(sdk, "list_assets()").0);

        let stub = Stub::json(json!([])).await;
        let filter = AssetFilter {
            kind: Some("image".to_owned()),
            hash: Some(hash()),
        };
        assert!(
            client(&stub)
                .list(&filter)
                .await
                .expect("assets")
                .is_empty()
        );
        assert_as_traced(
            &stub.only_request(),
            &traced(sdk, "list_assets(type, hash)").0,
        );
    }
    let stub = Stub::json(json!({"exists": true})).await;
    assert!(client(&stub).exists(&asset(&hash())).await.expect("answer"));
    assert_as_traced(&stub.only_request(), &traced("0.2.3", "asset_exists").0);
    assert_eq!(
        client(&stub).download_url(&asset(UUID)),
        format!("{}/assets/{}/download", stub.address, asset(UUID).id())
    );
}

#[tokio::test]
async fn uploads_are_those_of_the_sdks() {
    let answer = json!({"uuid": "u-1", "uri": UUID, "name": "n", "alreadyExists": true});

    let stub = Stub::json(answer.clone()).await;
    let stored = client(&stub)
        .upload(Upload::bytes("hello"))
        .await
        .expect("stored");
    assert_eq!(
        (stored.reference("d"), stored.already_exists),
        (Some(asset(UUID)), Some(true))
    );
    let (request, traced_parts) = traced("0.1.22", "upload_asset(bytes)");
    assert_as_traced(&stub.only_request(), &request);
    assert_eq!(parts(&stub.only_request()), traced_parts);

    let stub = Stub::json(answer.clone()).await;
    let upload = Upload::bytes("hello").named("a é.png").of_type("image");
    let upload = upload
        .with_content_type("application/octet-stream")
        .with_meta(Json::from(json!({"k": "v"})));
    client(&stub).upload(upload).await.expect("stored");
    let (request, mut traced_parts) = traced("0.2.3", "upload_asset(bytes, type, filename, meta)");
    traced_parts[2].3 = r#"{"k":"v"}"#.to_owned(); // JSON where the SDK has Python syntax (quirk N15)
    assert_as_traced(&stub.only_request(), &request);
    assert_eq!(parts(&stub.only_request()), traced_parts);

    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("f.txt");
    std::fs::write(&path, "file!").expect("file");
    let stub = Stub::json(answer.clone()).await;
    client(&stub)
        .upload(Upload::path(&path))
        .await
        .expect("stored");
    let (request, traced_parts) = traced("0.1.22", "upload_asset(path)");
    assert_as_traced(&stub.only_request(), &request);
    assert_eq!(parts(&stub.only_request()), traced_parts);

    let stub = Stub::json(answer).await;
    let stream = futures_util::stream::iter([Ok(Bytes::from("z")), Ok(Bytes::from("z"))]);
    client(&stub)
        .upload(Upload::stream(stream, Some(2)).named("z.bin"))
        .await
        .expect("stored");
    let (request, traced_parts) = traced("0.1.22", "upload_asset(file object, filename)");
    assert_as_traced(&stub.only_request(), &request);
    assert_eq!(parts(&stub.only_request()), traced_parts);
}

#[tokio::test]
async fn the_type_of_an_upload_is_guessed_from_its_name() {
    let stub = Stub::json(json!({})).await;
    client(&stub)
        .upload(Upload::bytes("x").named("a.png"))
        .await
        .expect("stored");
    assert_eq!(
        parts(&stub.only_request())[0].2.as_deref(),
        Some("image/png")
    );
    let refused = client(&stub)
        .upload(Upload::bytes("x").with_content_type("no type"))
        .await;
    assert!(matches!(
        refused,
        Err(AssetError::InvalidContentType { .. })
    ));
}

#[tokio::test]
async fn resources_are_those_of_the_sdk() {
    let stub = Stub::json(json!({"ok": true})).await;
    let resource = Resource {
        resource_id: "res-1".to_owned(),
        kind: "model".to_owned(),
        name: "SDXL".to_owned(),
        vram_usage: Some(123_456),
        metadata: Json::from(json!({"a": 1})),
    };
    let answer = client(&stub)
        .allocate_resource("trace-server", &resource)
        .await
        .expect("answer");
    assert_eq!(answer.as_str(), r#"{"ok":true}"#);
    client(&stub)
        .free_resource("trace-server", "res-1")
        .await
        .expect("answer");
    for (seen, call) in stub
        .seen
        .lock()
        .expect("lock")
        .iter()
        .zip(["allocate_resource", "free_resource"])
    {
        let (request, _) = traced("0.1.22", call);
        assert_as_traced(seen, &request);
        let ours: Value = serde_json::from_slice(&seen.body).expect("JSON");
        let theirs: Value =
            serde_json::from_str(request["body"].as_str().expect("text")).expect("JSON");
        assert_eq!(ours, theirs);
    }
}

#[tokio::test]
async fn a_large_file_and_an_unsized_stream_arrive_whole() {
    let content: Vec<u8> = (0..3_000_000_u32)
        .map(|n| b'a' + u8::try_from(n % 26).expect("small"))
        .collect();
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("big");
    std::fs::write(&path, &content).expect("file");
    let stub = Stub::json(json!({})).await;
    client(&stub)
        .upload(Upload::path(&path))
        .await
        .expect("stored");
    let pieces: Vec<_> = content
        .chunks(70_000)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    client(&stub)
        .upload(Upload::stream(futures_util::stream::iter(pieces), None))
        .await
        .expect("stored");
    for seen in stub.seen.lock().expect("lock").iter() {
        assert_eq!(parts(seen)[0].3.as_bytes(), content);
    }
}

#[tokio::test]
async fn refusals_carry_status_and_bounded_text() {
    let stub = Stub::answering(|| {
        (StatusCode::INTERNAL_SERVER_ERROR, "x".repeat(100_000)).into_response()
    })
    .await;
    let error = client(&stub)
        .resolve(&asset(UUID))
        .await
        .expect_err("refused");
    let AssetError::Status { status: 500, body } = error else {
        panic!("{error:?}")
    };
    assert_eq!(body.len(), 2048);
    let stub = Stub::answering(|| (StatusCode::NOT_FOUND, "no such asset").into_response()).await;
    assert!(
        !client(&stub)
            .exists(&asset(UUID))
            .await
            .expect("404 means no")
    );
    let error = client(&stub)
        .upload(Upload::bytes("x"))
        .await
        .expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the asset server answered 404: no such asset"
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_given_up() {
    let endless = || {
        Body::from_stream(futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from(vec![0; 8192]))
        }))
    };
    let stub = Stub::answering(move || endless().into_response()).await;
    let refused = client(&stub).resolve_bytes(&asset(UUID), 100_000).await;
    assert!(
        matches!(refused, Err(AssetError::TooLarge { limit: 100_000 })),
        "{refused:?}"
    );
    let small = client_with(&stub, |config| config.max_answer_bytes = 10_000);
    assert!(matches!(
        small.list(&AssetFilter::default()).await,
        Err(AssetError::TooLarge { limit: 10_000 })
    ));
    let stub = Stub::answering(|| vec![0; 5000].into_response()).await;
    assert!(matches!(
        client(&stub).resolve_bytes(&asset(UUID), 4999).await,
        Err(AssetError::TooLarge { .. })
    ));
    assert_eq!(
        client(&stub)
            .resolve_bytes(&asset(UUID), 5000)
            .await
            .expect("fits")
            .len(),
        5000
    );
}

#[tokio::test]
async fn answers_that_stop_are_errors() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("listener");
    let address = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("connection");
        let mut request = [0; 4096];
        assert!(socket.read(&mut request).await.expect("request") > 0);
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nstart")
            .await
            .expect("half an answer");
    });
    let stub = Stub {
        address,
        seen: Arc::default(),
    };
    let refused = client(&stub).resolve_bytes(&asset(UUID), 100).await;
    assert!(
        matches!(refused, Err(AssetError::Interrupted { .. })),
        "{refused:?}"
    );

    let stuck = || {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("start"))]);
        Body::from_stream(first.chain(futures_util::stream::pending())).into_response()
    };
    let stub = Stub::answering(stuck).await;
    // Enough for the head, however busy the machine.
    let impatient = client_with(&stub, |config| config.idle_timeout = Duration::from_secs(3));
    let chunks: Result<Vec<_>, _> = impatient
        .resolve(&asset(UUID))
        .await
        .expect("head")
        .try_collect()
        .await;
    assert!(
        matches!(chunks, Err(AssetError::TimedOut { .. })),
        "{chunks:?}"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("listener");
    let address = format!("http://{}", listener.local_addr().expect("address"));
    let stub = Stub {
        address,
        seen: Arc::default(),
    };
    let impatient = client_with(&stub, |config| {
        config.idle_timeout = Duration::from_millis(500)
    });
    let refused = impatient.resolve(&asset(UUID)).await;
    assert!(
        matches!(refused, Err(AssetError::TimedOut { .. })),
        "{refused:?}"
    );
    let refused = impatient
        .upload(Upload::bytes(vec![b'x'; 50_000_000]))
        .await;
    assert!(
        matches!(refused, Err(AssetError::TimedOut { .. })),
        "{refused:?}"
    );
    drop(listener);
    let refused = impatient.list(&AssetFilter::default()).await;
    assert!(
        matches!(refused, Err(AssetError::Unreachable { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn answers_of_another_shape_are_errors() {
    for answer in ["", "{", "7", "\"x\"", "[1]"] {
        let stub = Stub::answering(move || answer.into_response()).await;
        let client = client(&stub);
        let invalid = |result: Result<(), AssetError>| {
            assert!(
                matches!(result, Err(AssetError::InvalidAnswer { .. })),
                "{answer:?}: {result:?}"
            );
        };
        invalid(client.list(&AssetFilter::default()).await.map(drop));
        invalid(client.exists(&asset(UUID)).await.map(drop));
        invalid(client.presigned_url(&asset(UUID)).await.map(drop));
        invalid(client.upload(Upload::bytes("x")).await.map(drop));
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_before_anything_is_sent() {
    let stub = Stub::json(json!({})).await;
    let client = client(&stub);
    for source in [Upload::path("/no/such/file"), Upload::path("/")] {
        assert!(matches!(
            client.upload(source).await,
            Err(AssetError::File { .. })
        ));
    }
    assert!(stub.seen.lock().expect("lock").is_empty());
    for endpoint in ["", "127.0.0.1:1", "ftp://x", "http://x?y"] {
        let made = AssetClient::new(AssetClientConfig::new(endpoint, "t"));
        assert!(
            matches!(made, Err(AssetError::InvalidEndpoint { .. })),
            "{endpoint}"
        );
    }
    let made = AssetClient::new(AssetClientConfig::new("http://x", "a\nb"));
    assert!(matches!(made, Err(AssetError::InvalidToken)));
    let missing = AssetClientConfig::from_variables(|name| {
        (name == "NANOCORE_HTTP_ENDPOINT").then(|| "http://x".to_owned())
    });
    assert!(matches!(
        missing,
        Err(AssetError::NotConfigured {
            variable: "NANOCORE_TOKEN"
        })
    ));
    assert!(
        !format!("{client:?}").contains("tok123"),
        "the token does not show"
    );
}
