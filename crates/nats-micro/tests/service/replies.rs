//! What callers get. spec: nats-micro 5

use nats_micro::{Endpoint, Reply, Request, RespondError, ServiceError, header};
use serde::{Deserialize, Serialize};

use crate::support::{self, TestBroker, ask, counted, demo, echo, on_both_brokers};

on_both_brokers! {
    errors_have_headers_and_a_body
    typed_handlers_speak_json
    zero_one_or_many_replies
    a_panic_is_an_internal_error
    too_large_replies_become_errors
    one_error_for_a_reply_that_was_too_large
    a_reply_is_an_error_only_if_it_says_so
    blocking_and_spawned_handlers_answer
}

async fn errors_have_headers_and_a_body(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let returned = Endpoint::new("returned", |_: Request| async {
        Err::<(), _>(
            ServiceError::new(404, "not\r\nfound")
                .with_payload(r#"{"k":1}"#)
                .with_header("X-A", "1")
                .with_header(header::ERROR_CODE, "999"),
        )
    });
    let said = Endpoint::new("said", |request: Request| async move {
        let reply = Reply::new(r#"{"k":1}"#)
            .with_header("X-A", "1")
            .with_header(header::ERROR_CODE, "999");
        let _ = request.respond_error(404, "not\r\nfound", reply).await;
    });
    let internal = Endpoint::new("internal", |_: Request| async {
        Err::<(), _>(ServiceError::internal("the database is away"))
    });
    let _service = demo()
        .endpoint(returned)
        .endpoint(said)
        .endpoint(internal)
        .start(&client)
        .await
        .unwrap();
    for subject in ["returned", "said"] {
        let reply = client.request(subject, "".into()).await.unwrap();
        assert_eq!(support::header(&reply, header::ERROR), Some("not  found"));
        assert_eq!(support::header(&reply, header::ERROR_CODE), Some("404"));
        assert_eq!(support::header(&reply, "X-A"), Some("1"));
        assert_eq!(reply.payload, r#"{"k":1}"#);
        let error = ServiceError::from_reply(&reply).unwrap();
        assert_eq!(error.code(), Some(404));
    }
    let reply = client.request("internal", "".into()).await.unwrap();
    assert_eq!(
        support::header(&reply, header::ERROR),
        Some("Internal Server Error")
    );
    assert_eq!(support::header(&reply, header::ERROR_CODE), Some("500"));
    assert!(reply.payload.is_empty());
}

#[derive(Deserialize)]
struct Sum {
    numbers: Vec<i64>,
}

#[derive(Serialize)]
struct Total {
    total: i64,
}

async fn typed_handlers_speak_json(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let sum = Endpoint::json("sum", |sum: Sum| async move {
        if sum.numbers.is_empty() {
            return Err(ServiceError::bad_request("give at least one number"));
        }
        Ok(Total {
            total: sum.numbers.iter().sum(),
        })
    });
    let _service = demo().endpoint(sum).start(&client).await.unwrap();
    let ask = async |payload: &'static str| client.request("sum", payload.into()).await.unwrap();
    let reply = ask(r#"{"numbers": [1, 2, 3]}"#).await;
    assert_eq!(
        (&reply.payload[..], reply.headers),
        (&br#"{"total":6}"#[..], None)
    );
    for (payload, description) in [
        (r#"{"numbers": []}"#, "give at least one number"),
        (r#"{"numbers": ["#, "cannot be read"),
        ("", "cannot be read"),
    ] {
        let reply = ask(payload).await;
        let error = ServiceError::from_reply(&reply).unwrap();
        assert_eq!(error.code(), Some(400), "{payload}");
        assert!(error.description().contains(description), "{error}");
    }
}

async fn zero_one_or_many_replies(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let silent = Endpoint::new("silent", |_: Request| async {});
    let many = Endpoint::new("many", |request: Request| async move {
        for text in ["1", "2"] {
            request.respond(text).await?;
        }
        let created = Reply::new("3").with_header("X-B", "2");
        request.respond_success(201, created).await?;
        Ok::<_, ServiceError>("4")
    });
    let _service = demo()
        .endpoint(silent)
        .endpoint(many)
        .endpoint(echo("echo"))
        .start(&client)
        .await
        .unwrap();
    ask(&client, "silent", "")
        .await
        .assert_no_more(&client, "echo")
        .await;
    let mut replies = ask(&client, "many", "").await;
    for expected in ["1", "2", "3", "4"] {
        let reply = replies.next().await;
        assert_eq!(reply.payload, expected);
        let created = (expected == "3").then_some("201");
        assert_eq!(support::header(&reply, header::SUCCESS_CODE), created);
        assert_eq!(reply.headers.is_some(), expected == "3");
    }
    replies.assert_no_more(&client, "echo").await;
    // Nobody waits: the handler runs, its answer goes nowhere.
    client.publish("many", "".into()).await.unwrap();
    client.request("echo", "".into()).await.unwrap();
}

async fn a_panic_is_an_internal_error(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let early = Endpoint::new("early", |request: Request| {
        assert!(request.payload().is_empty(), "wanted by the test");
        async { "fine" }
    });
    let late = Endpoint::new("late", |request: Request| async move {
        tokio::task::yield_now().await;
        assert!(request.payload().is_empty(), "wanted by the test");
        "fine"
    });
    let service = demo()
        .endpoint(early)
        .endpoint(late)
        .start(&client)
        .await
        .unwrap();
    for subject in ["early", "late"] {
        let reply = client.request(subject, "x".into()).await.unwrap();
        assert_eq!(
            support::header(&reply, header::ERROR),
            Some("Internal Server Error")
        );
        assert_eq!(support::header(&reply, header::ERROR_CODE), Some("500"));
        let reply = client.request(subject, "".into()).await.unwrap();
        assert_eq!(reply.payload, "fine");
    }
    counted(&service, 4).await;
    for endpoint in service.stats().endpoints {
        assert!(
            endpoint.last_error.contains("wanted by the test"),
            "{endpoint:?}"
        );
    }
}

async fn too_large_replies_become_errors(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let max = client.max_payload();
    let large = Endpoint::new("large", move |request: Request| async move {
        let sent = request.respond(vec![b'x'; max + 1]).await;
        assert!(
            matches!(sent, Err(RespondError::TooLarge { .. })),
            "{sent:?}"
        );
    });
    let fits = Endpoint::new("fits", move |_: Request| async move { vec![b'x'; max] });
    let headers = Endpoint::new("headers", move |_: Request| async move {
        Reply::new(vec![b'x'; max]).with_header("X", "y")
    });
    let service = demo()
        .endpoint(large)
        .endpoint(fits)
        .endpoint(headers)
        .start(&client)
        .await
        .unwrap();
    let reply = client.request("fits", "".into()).await.unwrap();
    assert_eq!(reply.payload.len(), max);
    for subject in ["large", "headers"] {
        let reply = client.request(subject, "".into()).await.unwrap();
        let error = ServiceError::from_reply(&reply).unwrap();
        assert_eq!(error.to_string(), "500:Response too large", "{subject}");
    }
    counted(&service, 3).await;
    let errors: Vec<_> = service
        .stats()
        .endpoints
        .iter()
        .map(|e| e.num_errors)
        .collect();
    assert_eq!(errors, [1, 0, 1]);
}

async fn one_error_for_a_reply_that_was_too_large(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let max = client.max_payload();
    let large = Endpoint::new("large", move |request: Request| async move {
        request.respond(vec![b'x'; max + 1]).await?;
        Ok::<_, ServiceError>(())
    });
    let service = demo()
        .endpoint(large)
        .endpoint(echo("echo"))
        .start(&client)
        .await
        .unwrap();
    let mut replies = ask(&client, "large", "").await;
    let error = ServiceError::from_reply(&replies.next().await).unwrap();
    assert_eq!(error.to_string(), "500:Response too large");
    replies.assert_no_more(&client, "echo").await;
    counted(&service, 2).await;
    let stats = service.stats().endpoints.remove(0);
    assert_eq!((stats.num_requests, stats.num_errors), (1, 1), "{stats:?}");
}

async fn a_reply_is_an_error_only_if_it_says_so(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let good = Endpoint::new("good", |_: Request| async {
        Reply::new("fine")
            .with_header(header::ERROR_CODE, "404")
            .with_header("nats-service-error", "no")
            .with_header("X", "kept")
    });
    let bad = Endpoint::new("bad", |_: Request| async {
        ServiceError::new(404, "no").with_header("nats-service-error-code", "200")
    });
    let service = demo()
        .endpoint(good)
        .endpoint(bad)
        .start(&client)
        .await
        .unwrap();
    let reply = client.request("good", "".into()).await.unwrap();
    assert!(
        ServiceError::from_reply(&reply).is_none(),
        "{:?}",
        reply.headers
    );
    assert_eq!(support::header(&reply, "X"), Some("kept"));
    let reply = client.request("bad", "".into()).await.unwrap();
    let headers = reply.headers.as_ref().unwrap();
    assert_eq!(headers.len(), 2, "{headers:?}");
    counted(&service, 2).await;
    assert_eq!(service.stats().endpoints[0].num_errors, 0);
}

async fn blocking_and_spawned_handlers_answer(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let blocking = Endpoint::blocking("blocking", |request: Request| {
        assert!(request.payload() != "panic", "wanted by the test");
        std::thread::sleep(std::time::Duration::from_millis(1));
        request.payload().clone()
    });
    let spawned = Endpoint::new("spawned", |request: Request| async move {
        assert!(request.payload() != "panic", "wanted by the test");
        request.payload().clone()
    })
    .spawn();
    let service = demo()
        .endpoint(blocking)
        .endpoint(spawned)
        .start(&client)
        .await
        .unwrap();
    for subject in ["blocking", "spawned"] {
        let reply = client.request(subject, "hi".into()).await.unwrap();
        assert_eq!(reply.payload, "hi");
        let reply = client.request(subject, "panic".into()).await.unwrap();
        assert_eq!(ServiceError::from_reply(&reply).unwrap().code(), Some(500));
    }
    counted(&service, 4).await;
    for endpoint in service.stats().endpoints {
        assert_eq!(
            (endpoint.num_requests, endpoint.num_errors),
            (2, 1),
            "{endpoint:?}"
        );
    }
}
