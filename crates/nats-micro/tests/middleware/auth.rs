//! `Auth`.

use nats_micro::middleware::{Auth, BearerIdentity};
use nats_micro::testing::RequestStub;
use nats_micro::{Request, ServiceError};

use crate::{code, echo, serve, service};

async fn caller(request: Request) -> String {
    let identity = request.extension::<BearerIdentity>();
    identity.unwrap().name().to_owned()
}

#[tokio::test]
async fn a_bearer_token_says_who_the_caller_is() {
    let auth = Auth::bearer([("billing", "s3cret"), ("web", "t0ken"), ("nobody", "")]);
    for (value, expected) in [
        ("Bearer s3cret", Some("billing")),
        ("bearer t0ken", Some("web")),
        ("BEARER  t0ken ", Some("web")),
        ("Bearer s3cre", None),
        ("Bearer s3cret2", None),
        ("Bearer S3cret", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic s3cret", None),
        ("s3cret", None),
        ("", None),
    ] {
        let stub = RequestStub::new("who").header("Authorization", value);
        let reply = stub.call_middleware(auth.clone(), caller).await.unwrap();
        match expected {
            Some(name) => assert_eq!(reply.text().unwrap(), name, "{value:?}"),
            None => {
                let error = reply.error().unwrap();
                assert_eq!(error.to_string(), "401:Unauthorized", "{value:?}");
                assert_eq!(reply.payload(), "");
            }
        }
    }
    let without = RequestStub::new("who");
    let reply = without.call_middleware(auth.clone(), caller).await.unwrap();
    assert_eq!(code(&reply), Some(401));
    assert_eq!(auth.refused(), 9);
}

#[test]
fn tokens_are_not_shown() {
    let auth = Auth::bearer([("billing", "s3cret")]);
    let tokens = nats_micro::middleware::BearerTokens::new([("billing", "s3cret")]);
    assert!(!format!("{auth:?}").contains("s3cret"));
    assert_eq!(format!("{tokens:?}"), r#"BearerTokens(["billing"])"#);
}

#[tokio::test]
async fn an_async_function_decides() {
    #[derive(Clone)]
    struct Tenant(String);

    let auth = Auth::from_fn(|request: &Request| {
        let tenant = request.header("X-Tenant").map(str::to_owned);
        async move {
            // As if it asked somebody else.
            tokio::task::yield_now().await;
            match tenant.as_deref() {
                None => Err(ServiceError::new(401, "which tenant?")),
                Some("evil") => Err(ServiceError::new(403, "not you").with_payload("why")),
                Some(name) => Ok(Tenant(name.to_owned())),
            }
        }
    });
    let handler =
        |request: Request| async move { request.extension::<Tenant>().unwrap().0.clone() };
    let call = async |tenant: Option<&str>| {
        let stub = RequestStub::new("e");
        let stub = tenant
            .into_iter()
            .fold(stub, |stub, tenant| stub.header("X-Tenant", tenant));
        stub.call_middleware(auth.clone(), handler).await.unwrap()
    };
    assert_eq!(call(Some("good")).await.payload(), "good");
    assert_eq!(code(&call(None).await), Some(401));
    let refused = call(Some("evil")).await;
    assert_eq!(code(&refused), Some(403));
    assert_eq!(refused.payload(), "why");
    assert_eq!(auth.refused(), 2);
}

#[tokio::test]
async fn what_is_refused_counts_as_failed() {
    let auth = Auth::bearer([("me", "token")]);
    let harness = serve(service().middleware(auth).endpoint(echo())).await;
    let reply = harness.request("echo", "x").await.unwrap();
    assert_eq!(code(&reply), Some(401));
    let stats = harness.stats().await.unwrap();
    assert_eq!(stats.endpoints[0].num_errors, 1);
}
