//! What middleware sees and does, whatever it is.

use std::sync::{Arc, Mutex};

use nats_micro::middleware::{Middleware, Next};
use nats_micro::{Endpoint, Group, Handler, Reply, Request, Response, ServiceError, header};

use crate::{Mark, code, echo, panics, serve, service};

/// Notes when a request comes and when its response goes.
struct Note {
    name: &'static str,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Middleware for Note {
    async fn handle(&self, request: Request, next: Next) -> Response {
        self.notes.lock().unwrap().push(format!("{} in", self.name));
        let response = next.run(request).await;
        let said = match &response {
            Response::Reply(reply) => format!("{:?}", reply.payload),
            Response::Error(error) => error.to_string(),
            Response::Silent => "silence".to_owned(),
        };
        self.notes
            .lock()
            .unwrap()
            .push(format!("{} out: {said}", self.name));
        response
    }
}

/// Makes notes in one list.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, name: &'static str) -> Note {
        Note {
            name,
            notes: Arc::clone(&self.0),
        }
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[tokio::test]
async fn outer_levels_are_outermost_and_the_first_added_is() {
    let notes = Notes::default();
    let endpoint = echo()
        .middleware(notes.note("endpoint 1"))
        .middleware(notes.note("endpoint 2"));
    let inner = Group::new("inner")
        .middleware(notes.note("inner group"))
        .endpoint(endpoint);
    let outer = Group::new("outer")
        .group(inner)
        .middleware(notes.note("outer group"));
    let harness = serve(
        service()
            .middleware(notes.note("service 1"))
            .group(outer)
            .middleware(notes.note("service 2")),
    )
    .await;
    harness.request("outer.inner.echo", "x").await.unwrap();
    let expected = [
        "service 1",
        "service 2",
        "outer group",
        "inner group",
        "endpoint 1",
        "endpoint 2",
    ];
    let comes = expected.iter().map(|name| format!("{name} in"));
    let goes = expected
        .iter()
        .rev()
        .map(|name| format!("{name} out: b\"x\""));
    assert_eq!(notes.taken(), comes.chain(goes).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_endpoint_added_later_has_the_services_middleware() {
    let harness = serve(service().middleware(Mark("service"))).await;
    let added = echo().middleware(Mark("endpoint"));
    harness.service().add_endpoint(added).await.unwrap();
    let reply = harness.request("echo", "x").await.unwrap();
    assert_eq!(reply.header("X-Order"), Some("endpoint>service>"));
}

#[tokio::test]
async fn of_several_responses_the_last_is_published_once() {
    let notes = Notes::default();
    let twice = Endpoint::new("twice", |request: Request| async move {
        request.respond("1").await.unwrap();
        request.respond("2").await.unwrap();
    });
    let harness = serve(service().endpoint(twice.middleware(notes.note("m")))).await;
    let mut replies = harness.replies("twice", "").unwrap();
    harness.handled("twice", 1).await.unwrap();
    let received = replies.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].payload(), "2");
    assert_eq!(notes.taken(), ["m in", "m out: b\"2\""]);
}

#[tokio::test]
async fn what_is_returned_wins_over_what_was_said_before() {
    let both = Endpoint::new("both", |request: Request| async move {
        request.respond("said").await.unwrap();
        "returned"
    });
    let harness = serve(service().endpoint(both.middleware(Mark("m")))).await;
    let mut replies = harness.replies("both", "").unwrap();
    harness.handled("both", 1).await.unwrap();
    let received = replies.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].payload(), "returned");
}

#[tokio::test]
async fn without_middleware_every_response_goes_out() {
    let twice = Endpoint::new("twice", |request: Request| async move {
        request.respond("1").await.unwrap();
        request.respond("2").await.unwrap();
    });
    let harness = serve(service().endpoint(twice)).await;
    let mut replies = harness.replies("twice", "").unwrap();
    harness.handled("twice", 1).await.unwrap();
    assert_eq!(replies.received().len(), 2);
}

#[tokio::test]
async fn successes_and_errors_that_are_said_are_seen_with_their_headers() {
    let success = Endpoint::new("success", |request: Request| async move {
        let reply = Reply::new("made").with_header("X-B", "2");
        request.respond_success(201, reply).await.unwrap();
    });
    let error = Endpoint::new("error", |request: Request| async move {
        let body = Reply::new("details").with_header("X-B", "3");
        request.respond_error(409, "conflict", body).await.unwrap();
    });
    let notes = Notes::default();
    let harness = serve(
        service()
            .middleware(Mark("m"))
            .middleware(notes.note("n"))
            .endpoint(success)
            .endpoint(error),
    )
    .await;

    let reply = harness.request("success", "").await.unwrap();
    assert_eq!(reply.success_code(), Some(201));
    assert_eq!(reply.header("X-B"), Some("2"));
    assert_eq!(reply.header("X-Order"), Some("m>"));
    assert_eq!(notes.taken(), ["n in", "n out: b\"made\""]);

    let reply = harness.request("error", "").await.unwrap();
    assert_eq!(code(&reply), Some(409));
    assert_eq!(reply.payload(), "details");
    assert_eq!(reply.header("X-B"), Some("3"));
    assert_eq!(reply.header("X-Order"), Some("m>"));
    assert_eq!(notes.taken(), ["n in", "n out: 409:conflict"]);

    let stats = harness.stats().await.unwrap();
    assert_eq!(stats.endpoints[0].num_errors, 0);
    assert_eq!(stats.endpoints[1].num_errors, 1);
    assert_eq!(stats.endpoints[1].last_error, "409:conflict");
}

/// Answers itself.
struct Refuse;

impl Middleware for Refuse {
    async fn handle(&self, _: Request, _: Next) -> Response {
        Response::Error(ServiceError::new(403, "no"))
    }
}

#[tokio::test]
async fn middleware_that_answers_itself_keeps_the_handler_out() {
    let never = Endpoint::new("never", |_: Request| async {
        panic!("the handler was called");
        #[expect(unreachable_code, reason = "says what the handler returns")]
        ""
    });
    let never = never.middleware(Mark("outer")).middleware(Refuse);
    let harness = serve(service().endpoint(never)).await;
    let reply = harness.request("never", "").await.unwrap();
    assert_eq!(code(&reply), Some(403));
    assert_eq!(reply.header("X-Order"), Some("outer>"));
    let stats = harness.stats().await.unwrap();
    assert_eq!(stats.endpoints[0].last_error, "403:no");
}

#[tokio::test]
async fn a_returned_error_goes_through_middleware_which_may_turn_it() {
    struct Mend;
    impl Middleware for Mend {
        async fn handle(&self, request: Request, next: Next) -> Response {
            match next.run(request).await {
                Response::Error(error) if error.code() == Some(404) => {
                    Response::Reply(Reply::new("default"))
                }
                other @ (Response::Error(_) | Response::Reply(_) | Response::Silent) => other,
            }
        }
    }
    let lookup = Endpoint::new("lookup", |_: Request| async {
        Err::<(), _>(ServiceError::new(404, "not found"))
    });
    let harness = serve(service().endpoint(lookup.middleware(Mend))).await;
    let reply = harness.request("lookup", "").await.unwrap();
    assert_eq!(reply.payload(), "default");
    let stats = harness.stats().await.unwrap();
    assert_eq!(stats.endpoints[0].num_errors, 0);
}

#[tokio::test]
async fn a_panic_passes_middleware_and_is_a_500() {
    let notes = Notes::default();
    let boom = |name| Endpoint::new(name, |_: Request| async { panics() });
    let blocking = Endpoint::blocking("blocking", |_: Request| panics());
    let harness = serve(
        service()
            .middleware(notes.note("m"))
            .endpoint(boom("boom"))
            .endpoint(boom("spawned").spawn())
            .endpoint(blocking),
    )
    .await;
    for endpoint in ["boom", "spawned", "blocking"] {
        let reply = harness.request(endpoint, "").await.unwrap();
        let error = reply.error().unwrap();
        assert_eq!(error.to_string(), "500:Internal Server Error", "{endpoint}");
        assert_eq!(notes.taken(), ["m in"], "{endpoint}");
    }
    for endpoint in harness.stats().await.unwrap().endpoints {
        assert_eq!((endpoint.num_requests, endpoint.num_errors), (1, 1));
        assert!(endpoint.last_error.contains("kaboom"));
    }
}

#[tokio::test]
async fn a_panic_of_middleware_is_a_500() {
    struct Boom;
    impl Middleware for Boom {
        async fn handle(&self, request: Request, next: Next) -> Response {
            let _ = next.run(request).await;
            panic!("middleware kaboom")
        }
    }
    let harness = serve(service().endpoint(echo().middleware(Boom))).await;
    let reply = harness.request("echo", "x").await.unwrap();
    assert_eq!(code(&reply), Some(500));
    assert_eq!(reply.payload(), "");
}

#[tokio::test]
async fn silence_stays_silence() {
    let notes = Notes::default();
    let silent = Endpoint::new("silent", |_: Request| async {});
    let harness = serve(service().endpoint(silent.middleware(notes.note("m")))).await;
    let mut replies = harness.replies("silent", "").unwrap();
    harness.handled("silent", 1).await.unwrap();
    assert!(replies.received().is_empty());
    assert_eq!(notes.taken(), ["m in", "m out: silence"]);
    let stats = harness.stats().await.unwrap();
    assert_eq!(stats.endpoints[0].num_errors, 0);
}

#[tokio::test]
async fn middleware_may_silence_a_reply() {
    struct Mute;
    impl Middleware for Mute {
        async fn handle(&self, request: Request, next: Next) -> Response {
            let _ = next.run(request).await;
            Response::Silent
        }
    }
    let said = Endpoint::new("said", |request: Request| async move {
        request.respond("said").await.unwrap();
    });
    let harness = serve(service().middleware(Mute).endpoint(echo()).endpoint(said)).await;
    for endpoint in ["echo", "said"] {
        let mut replies = harness.replies(endpoint, "x").unwrap();
        harness.handled(endpoint, 1).await.unwrap();
        assert!(replies.received().is_empty(), "{endpoint}");
    }
}

#[tokio::test]
async fn a_streaming_endpoint_answers_at_once() {
    let notes = Notes::default();
    let count = Endpoint::new("count", |request: Request| async move {
        for number in ["1", "2"] {
            request.respond(number).await.unwrap();
        }
        "end"
    });
    let count = count.streaming().middleware(notes.note("m"));
    let harness = serve(service().endpoint(count)).await;
    let mut replies = harness.replies("count", "").unwrap();
    harness.handled("count", 1).await.unwrap();
    let received = replies.received();
    let bodies: Vec<_> = received.iter().map(|reply| reply.text().unwrap()).collect();
    assert_eq!(bodies, ["1", "2", "end"]);
    assert_eq!(notes.taken(), ["m in", "m out: b\"end\""]);
}

#[tokio::test]
async fn middleware_changes_request_and_response() {
    #[derive(Clone)]
    struct Extra(&'static str);
    struct Change;
    impl Middleware for Change {
        async fn handle(&self, mut request: Request, next: Next) -> Response {
            request.extensions_mut().insert(Extra("extra"));
            request.set_payload("changed");
            header::remove(request.headers_mut(), "x-secret");
            let mut response = next.run(request).await;
            if let Some(headers) = response.headers_mut() {
                header::remove(headers, "X-Internal");
            }
            response
        }
    }
    let endpoint = Endpoint::new("e", |request: Request| async move {
        assert_eq!(request.header("X-Secret"), None);
        let extra = request.extension::<Extra>().unwrap().0;
        Reply::new([request.payload(), extra.as_bytes()].concat()).with_header("X-Internal", "1")
    });
    let harness = serve(service().endpoint(endpoint.middleware(Change))).await;
    let headers = crate::headers(&[("X-Secret", "s"), ("x-secret", "t")]);
    let reply = harness.request_with_headers("e", headers, "x").await;
    let reply = reply.unwrap();
    assert_eq!(reply.payload(), "changedextra");
    // Without headers there is no header block either. spec: nats-micro 11
    assert!(reply.headers().is_none());
}

/// A handler of a type of its own, that says its answer.
struct Sayer(&'static str);

impl Handler for Sayer {
    async fn handle(&self, request: Request) -> Response {
        let _ = request.respond(self.0).await;
        Response::Silent
    }
}

#[tokio::test]
async fn what_a_handler_of_its_own_type_says_is_captured_too() {
    let endpoint = Endpoint::from_handler("sayer", Sayer("said")).middleware(Mark("m"));
    let harness = serve(service().endpoint(endpoint)).await;
    let mut replies = harness.replies("sayer", "").unwrap();
    harness.handled("sayer", 1).await.unwrap();
    let received = replies.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].header("X-Order"), Some("m>"));
}
