//! Who is let in.

use nanocore::api::openapi;
use serde_json::Value;

use crate::support::{Setup, register_javascript, start, start_with};

/// Every method and address of the document, with something in the place of parameters.
fn operations() -> Vec<(String, String)> {
    let document = openapi();
    let paths = document["paths"].as_object().unwrap().clone();
    let methods = |(path, item): (String, Value)| {
        let filled: Vec<_> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part })
            .collect();
        let filled = filled.join("/");
        let methods: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
        methods
            .into_iter()
            .map(move |method| (method.to_uppercase(), filled.clone()))
    };
    paths.into_iter().flat_map(methods).collect()
}

#[tokio::test]
async fn every_address_but_health_wants_the_token() {
    let setup = start().await;
    let operations = operations();
    assert!(operations.len() > 25, "{operations:?}");
    for (method, path) in &operations {
        let bare = setup.client.send_bare(method, path, &[], b"").await;
        if path == "/health" {
            assert_eq!(bare.status, 200);
            continue;
        }
        let authorization = [("Authorization", "Bearer wrong")];
        let wrong = setup
            .client
            .send_bare(method, path, &authorization, b"")
            .await;
        for answer in [bare, wrong] {
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.error_code(), "unauthorized", "{method} {path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn the_token_of_a_server_opens_assets_and_resources_only() {
    let setup = start_with(register_javascript).await;
    let tokens = setup.daemon.tokens();
    let authorization = |uid: &str| format!("Bearer {}", tokens.for_server(uid).reveal());
    let (known, unknown) = (authorization("counting-server"), authorization("other"));
    let ask = async |method: &str, path: &str, authorization: &str| {
        let headers = [("Authorization", authorization)];
        setup
            .client
            .send_bare(method, path, &headers, b"")
            .await
            .status
    };
    for (method, path) in operations() {
        if path.starts_with("/api") || path == "/metrics" {
            assert_eq!(ask(&method, &path, &known).await, 403, "{method} {path}");
            assert_eq!(ask(&method, &path, &unknown).await, 401, "{method} {path}");
        }
    }
    assert_eq!(ask("GET", "/assets", &known).await, 200);
    assert_eq!(ask("GET", "/assets", &unknown).await, 401);
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn only_streams_take_the_token_from_the_address() {
    let setup = start_with(register_javascript).await;
    let ask = async |path: &str, token: &str| {
        let path = format!("{path}?tail=1&token={token}");
        setup.client.send_bare("GET", &path, &[], b"").await.status
    };
    let token = setup.client.token.clone();
    let logs = "/api/v1/servers/counting-server/logs";
    assert_eq!(ask(logs, &token).await, 200);
    assert_eq!(ask(logs, "wrong").await, 401);
    assert_eq!(ask("/api/v1/info", &token).await, 401);
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_foreign_name_does_not_lead_to_loopback() {
    let setup = start().await;
    let host = async |name: &str| {
        let headers = [("Host", name)];
        setup
            .client
            .send("GET", "/api/v1/info", &headers, b"")
            .await
            .status
    };
    assert_eq!(host("localhost:3001").await, 200);
    assert_eq!(host("evil.example").await, 403);
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_refused_as_everything_is() {
    let setup = start().await;
    let nothing = setup.client.get("/api/v1/nothing").await;
    assert_eq!(
        (nothing.status, nothing.error_code().as_str()),
        (404, "not_found")
    );
    let method = setup.client.send("PUT", "/api/v1/runs", &[], b"").await;
    assert_eq!(method.error_code(), "method_not_allowed");
    setup.daemon.shutdown().await;
}

async fn from_page(setup: &Setup, method: &str, origin: &str) -> (u16, Option<String>) {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
    ];
    let answer = setup
        .client
        .send(method, "/api/v1/info", &headers, b"")
        .await;
    let allowed = answer.headers.get("access-control-allow-origin").cloned();
    (answer.status, allowed)
}

#[tokio::test]
async fn pages_of_other_origins_see_nothing_unless_they_are_allowed() {
    let page = "https://ui.example";
    let setup = start().await;
    assert_eq!(from_page(&setup, "GET", page).await, (200, None));
    assert_eq!(from_page(&setup, "OPTIONS", page).await, (405, None));
    setup.daemon.shutdown().await;
    let setup = start_with(|options| options.api.allow_origins = vec![page.to_owned()]).await;
    let allowed = Some(page.to_owned());
    assert_eq!(from_page(&setup, "GET", page).await, (200, allowed.clone()));
    assert_eq!(from_page(&setup, "OPTIONS", page).await, (204, allowed));
    let other = from_page(&setup, "GET", "https://other.example").await;
    assert_eq!(other, (200, None));
    setup.daemon.shutdown().await;
}
