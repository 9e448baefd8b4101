//! Single requests. spec: nats-micro 5

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use futures_util::StreamExt;
use nats_micro::client::{Client, OutgoingRequest, RequestError, RequestJsonError};
use nats_micro::{Endpoint, Json, Reply, Request, Service, ServiceError};
use serde_json::{Value, json};

use crate::brokers::{
    Broker, LONG, SHORT, answer, answer_with, on_both_brokers, patient, subscribe,
};

type Headers = &'static [(&'static str, &'static str)];

/// What is an error: headers of the reply; code, code as it was sent, and description.
const ERRORS: &[(Headers, Option<u32>, &str, &str)] = &[
    (
        &[
            ("Nats-Service-Error-Code", "404"),
            ("Nats-Service-Error", "not found"),
        ],
        Some(404),
        "404",
        "not found",
    ),
    (
        &[("Nats-Service-Error-Code", "404")],
        Some(404),
        "404",
        "404",
    ),
    (
        &[("Nats-Service-Error", "not found")],
        None,
        "",
        "not found",
    ),
    (
        &[
            ("Nats-Service-Error-Code", "E_GONE"),
            ("Nats-Service-Error", "gone"),
        ],
        None,
        "E_GONE",
        "gone",
    ),
    (
        &[
            ("nats-service-error-code", "409"),
            ("nats-service-error", "conflict"),
        ],
        Some(409),
        "409",
        "conflict",
    ),
    (
        // The exact name comes first.
        &[
            ("NATS-SERVICE-ERROR-CODE", "1"),
            ("Nats-Service-Error-Code", "2"),
        ],
        Some(2),
        "2",
        "2",
    ),
    (
        // The first value of a name.
        &[
            ("Nats-Service-Error-Code", "3"),
            ("Nats-Service-Error-Code", "4"),
        ],
        Some(3),
        "3",
        "3",
    ),
];

const NO_ERRORS: &[Headers] = &[
    &[],
    &[("Nats-Service-Success-Code", "201")],
    &[("X-Nats-Service-Error", "not ours"), ("Status", "500")],
];

fn header_map(headers: Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, *value);
    }
    map
}

async fn answer_with_headers(connection: &async_nats::Client, subject: &str, headers: Headers) {
    answer(connection, subject, move |connection, request| async move {
        let (reply, headers) = (request.reply.unwrap(), header_map(headers));
        let sent = connection.publish_with_headers(reply, headers, "body".into());
        sent.await.unwrap();
    })
    .await;
}

on_both_brokers! {
    async fn errors_are_told_from_replies(broker: &Broker) {
        let connection = broker.connect().await;
        let client = patient(connection.clone());
        for (index, (headers, code, code_text, description)) in ERRORS.iter().enumerate() {
            let subject = format!("error.{index}");
            answer_with_headers(&connection, &subject, headers).await;
            let error = client.request(&subject, "").await.unwrap_err();
            let RequestError::Service(error) = error else {
                panic!("{headers:?}: {error}");
            };
            assert_eq!(error.code(), *code, "{headers:?}");
            assert_eq!(error.code_text(), *code_text, "{headers:?}");
            assert_eq!(error.description(), *description, "{headers:?}");
            assert_eq!(&error.payload()[..], b"body");
            assert_eq!(error.headers(), &header_map(headers));
        }
        for (index, headers) in NO_ERRORS.iter().enumerate() {
            let subject = format!("reply.{index}");
            answer_with_headers(&connection, &subject, headers).await;
            let reply = client.request(&subject, "").await.unwrap();
            assert_eq!(&reply.payload[..], b"body");
            assert_eq!(reply.headers, header_map(headers));
        }
    }

    async fn headers_travel_both_ways(broker: &Broker) {
        let connection = broker.connect().await;
        answer(&connection, "mirror", |connection, request| async move {
            let headers = request.headers.unwrap();
            let sent = connection.publish_with_headers(request.reply.unwrap(), headers, request.payload);
            sent.await.unwrap();
        })
        .await;
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = OutgoingRequest::new("x")
            .with_header("traceparent", traceparent)
            .with_header("X-Many", "1")
            .with_header("X-Many", "2\r\n3");
        let reply = patient(connection).request("mirror", request).await.unwrap();
        assert_eq!(reply.header("Traceparent"), Some(traceparent));
        let many: Vec<_> = reply.headers.get_all("X-Many").map(|value| value.as_str()).collect();
        assert_eq!(many, ["1", "2  3"]);
    }

    async fn a_request_without_headers_has_no_header_block(broker: &Broker) {
        let connection = broker.connect().await;
        let mut requests = subscribe(&connection, "plain").await;
        let client = patient(connection);
        let asked = tokio::spawn(async move { client.request("plain", "x").await });
        assert_eq!(requests.next().await.unwrap().headers, None);
        asked.abort();
    }

    async fn nobody_there_is_said_at_once(broker: &Broker) {
        let error = broker.client().await.request("nobody", "").await.unwrap_err();
        assert!(matches!(&error, RequestError::NoResponders { subject } if subject == "nobody"));
        let forwarded = ServiceError::from(error);
        assert_eq!(forwarded.code(), Some(503));
    }

    async fn silence_ends_by_time(broker: &Broker) {
        let connection = broker.connect().await;
        let _silent = subscribe(&connection, "silent").await;
        let client = Client::builder(connection).request_timeout(SHORT).build().unwrap();
        let error = client.request("silent", "").await.unwrap_err();
        assert!(matches!(error, RequestError::TimedOut { after, .. } if after == SHORT));
        // The time of the request wins over that of the client.
        let client = patient(client.connection().clone());
        let request = OutgoingRequest::new("").with_timeout(SHORT);
        let error = client.request("silent", request).await.unwrap_err();
        assert!(matches!(error, RequestError::TimedOut { after, .. } if after == SHORT));
        assert_eq!(ServiceError::from(error).code(), Some(504));
    }

    async fn what_the_broker_would_not_take_is_not_sent(broker: &Broker) {
        let connection = broker.connect().await;
        answer(&connection, "size", |connection, request| async move {
            let size = request.payload.len().to_string();
            connection.publish(request.reply.unwrap(), size.into()).await.unwrap();
        })
        .await;
        let client = patient(connection);
        let max = client.connection().max_payload();
        let reply = client.request("size", vec![0; max]).await.unwrap();
        assert_eq!(reply.decode::<usize>().unwrap(), max);

        let too_large = client.request("size", vec![0; max + 1]).await.unwrap_err();
        assert!(matches!(
            too_large,
            RequestError::TooLarge { actual_bytes, max_bytes }
                if actual_bytes == max + 1 && max_bytes == max
        ));
        let block = "NATS/1.0\r\nA: b\r\n\r\n".len();
        let fits = OutgoingRequest::new(vec![0; max - block]).with_header("A", "b");
        let mut too_large = fits.clone();
        too_large.payload = vec![0; max - block + 1].into();
        assert!(client.request("size", fits).await.is_ok());
        let error = client.request("size", too_large.clone()).await.unwrap_err();
        assert!(matches!(error, RequestError::TooLarge { .. }));
        let error = client.request_many("size", too_large).await.unwrap_err();
        assert!(matches!(error, RequestError::TooLarge { .. }));
    }

    async fn subjects_are_checked(broker: &Broker) {
        let client = broker.client().await;
        for subject in ["", "a b", "a\r\nPUB x 0", "a..b", ".a", "a.", "*", "a.>", "a.*.b", "a\tb", "a\0"] {
            let single = client.request(subject, "").await.unwrap_err();
            let many = client.request_many(subject, "").await.unwrap_err();
            for error in [single, many] {
                assert!(
                    matches!(&error, RequestError::InvalidSubject { subject: of, .. } if of == subject),
                    "{subject:?}: {error}"
                );
            }
        }
        // Only whole tokens are wildcards.
        assert!(matches!(
            client.request("a*b.c>", "").await,
            Err(RequestError::NoResponders { .. })
        ));
    }

    async fn a_closed_connection_is_said(broker: &Broker) {
        let client = broker.client().await;
        client.connection().drain().await.unwrap();
        let closed = async {
            // Until the connection has closed, requests may still go out.
            loop {
                let request = OutgoingRequest::new("").with_timeout(LONG);
                if let Err(RequestError::Closed) = client.request("nobody", request).await {
                    return;
                }
            }
        };
        closed.await;
        assert!(matches!(client.ping().await, Err(RequestError::Closed)));
        assert!(matches!(client.request_many("a", "").await, Err(RequestError::Closed)));
    }

    async fn values_travel_as_json(broker: &Broker) {
        let connection = broker.connect().await;
        let sum = Endpoint::json("sum", |numbers: Vec<i64>| async move {
            Ok::<_, ServiceError>(numbers.iter().sum::<i64>())
        });
        let service = Service::builder("calculator", "1.0.0").endpoint(sum);
        let service = service.start(&connection).await.unwrap();
        let client = patient(connection);
        let sum: i64 = client.request_json("sum", &[1, 2]).await.unwrap();
        assert_eq!(sum, 3);

        let unreadable = client.request_json::<_, String>("sum", &[1, 2]).await.unwrap_err();
        assert!(matches!(
            &unreadable,
            RequestJsonError::Unreadable { reply, .. } if &reply.payload[..] == b"3"
        ));
        let refused = client.request_json::<_, i64>("sum", "text").await.unwrap_err();
        assert_eq!(ServiceError::from(refused).code(), Some(400));
        let no_key = BTreeMap::from([([1, 2], 3)]);
        let unwritable = client.request_json::<_, i64>("sum", &no_key).await.unwrap_err();
        assert!(matches!(unwritable, RequestJsonError::Unwritable(_)));
        service.stop().await;
    }

    async fn a_service_passes_on_what_another_answers(broker: &Broker) {
        let connection = broker.connect().await;
        let inner = Endpoint::new("inner", |request: Request| async move {
            match &request.payload()[..] {
                b"fail" => Err(ServiceError::new(418, "teapot").with_payload("cup").with_header("X-A", "1")),
                _ => Ok(Reply::new("tea").with_header("X-A", "2").with_success_code(203)),
            }
        });
        let client = patient(connection.clone());
        let outer = Endpoint::new("outer", move |request: Request| {
            let client = client.clone();
            async move {
                let reply = client.request("inner", request.payload().clone()).await?;
                Ok::<_, ServiceError>(reply)
            }
        });
        let missing_client = patient(connection.clone());
        let missing = Endpoint::new("missing", move |_: Request| {
            let client = missing_client.clone();
            async move {
                let value: Value = client.request_json("nobody", &json!(1)).await?;
                Ok::<_, ServiceError>(Json(value))
            }
        });
        let service = Service::builder("kitchen", "1.0.0");
        let service = service.endpoint(inner).endpoint(outer).endpoint(missing);
        let service = service.start(&connection).await.unwrap();

        let client = patient(connection);
        let reply = client.request("outer", "").await.unwrap();
        assert_eq!((&reply.payload[..], reply.header("X-A")), (&b"tea"[..], Some("2")));
        assert_eq!(reply.success_code(), Some(203));
        let Err(RequestError::Service(error)) = client.request("outer", "fail").await else {
            panic!("the error is lost");
        };
        assert_eq!(error.to_string(), "418:teapot");
        assert_eq!(&error.payload()[..], b"cup");
        assert_eq!(error.headers().get("X-A").map(|value| value.as_str()), Some("1"));
        let Err(RequestError::Service(error)) = client.request("missing", "").await else {
            panic!("the error is lost");
        };
        assert_eq!(error.to_string(), "503:Service Unavailable");
        service.stop().await;
    }

    /// The first reply is the reply.
    async fn later_replies_are_dropped(broker: &Broker) {
        let connection = broker.connect().await;
        answer_with(&connection, "twice", vec!["1".to_owned(), "2".to_owned()]).await;
        let client = patient(connection);
        for _ in 0..3 {
            let reply = client.request("twice", "").await.unwrap();
            assert_eq!(&reply.payload[..], b"1");
        }
    }
}
