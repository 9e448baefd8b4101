//! One request, many replies. Times are tested with a clock that tests turn, in `src/client/collector/tests.rs`.
//! spec: nats-micro 10.2

use std::time::Duration;

use futures_util::StreamExt;
use nats_micro::ServiceError;
use nats_micro::client::{Client, End, Limits, OutgoingRequest, Replies, RequestError};

use crate::brokers::{
    Broker, LONG, SHORT, answer, answer_with, on_both_brokers, patient, subscribe,
};

fn texts(payloads: &[&str]) -> Vec<String> {
    payloads.iter().map(|text| (*text).to_owned()).collect()
}

fn payloads(replies: &Replies) -> Vec<&[u8]> {
    let replies = replies.replies.iter();
    replies
        .map(|reply| &reply.as_ref().unwrap().payload[..])
        .collect()
}

/// A client whose requests to `many` get three replies, the second one empty.
async fn three_replies(broker: &Broker) -> Client {
    let connection = broker.connect().await;
    answer_with(&connection, "many", texts(&["1", "", "3"])).await;
    patient(connection)
}

on_both_brokers! {
    async fn replies_come_until_there_are_enough(broker: &Broker) {
        let client = three_replies(broker).await;
        let replies = client.request_many("many", "").max_count(3).await.unwrap();
        assert_eq!(payloads(&replies), [&b"1"[..], b"", b"3"]);
        assert_eq!(replies.end, End::MaxCount);
        let replies = client.request_many("many", "").max_count(2).await.unwrap();
        assert_eq!(payloads(&replies), [&b"1"[..], b""]);
        assert_eq!(replies.end, End::MaxCount);
        let replies = client.request_many("many", "").max_count(0).await.unwrap();
        assert_eq!((replies.replies.len(), replies.end), (0, End::MaxCount));
    }

    async fn an_empty_reply_may_be_the_last(broker: &Broker) {
        let client = three_replies(broker).await;
        let replies = client.request_many("many", "").end_on_empty().await.unwrap();
        assert_eq!(payloads(&replies), [&b"1"[..]]);
        assert_eq!(replies.end, End::Sentinel);
    }

    async fn silence_ends_it(broker: &Broker) {
        let client = three_replies(broker).await;
        let replies = client.request_many("many", "").max_interval(SHORT).await.unwrap();
        assert_eq!(replies.end, End::MaxInterval);
        assert!(!replies.replies.is_empty());
    }

    async fn the_total_time_ends_it(broker: &Broker) {
        let client = three_replies(broker).await;
        let request = OutgoingRequest::new("").with_timeout(SHORT);
        let replies = client.request_many("many", request).await.unwrap();
        assert_eq!(replies.end, End::MaxWait);
        // The client's own, in both forms.
        let impatient = Client::builder(client.connection().clone()).max_wait(SHORT);
        let impatient = impatient.build().unwrap();
        let mut stream = impatient.request_many("many", "").stream().await.unwrap();
        while stream.next().await.is_some() {}
        assert_eq!(stream.end(), Some(End::MaxWait));
    }

    async fn no_time_is_no_wait(broker: &Broker) {
        let connection = broker.connect().await;
        let _silent = subscribe(&connection, "silent").await;
        let many = patient(connection).request_many("silent", "");
        let replies = many.max_wait(Duration::ZERO).await.unwrap();
        assert_eq!((replies.replies.len(), replies.end), (0, End::MaxWait));
    }

    async fn nobody_there_ends_it(broker: &Broker) {
        let replies = broker.client().await.request_many("nobody", "").await.unwrap();
        assert_eq!((replies.replies.len(), replies.end), (0, End::NoResponders));
    }

    async fn bytes_have_a_bound(broker: &Broker) {
        let connection = broker.connect().await;
        answer_with(&connection, "large", vec!["x".repeat(1_000); 5]).await;
        let limits = Limits {
            max_bytes: 3_500,
            max_wait: LONG,
            ..Limits::default()
        };
        let many = patient(connection).request_many("large", "").limits(limits);
        let replies = many.await.unwrap();
        assert_eq!((replies.replies.len(), replies.end), (3, End::MaxBytes));
    }

    async fn error_replies_are_among_the_others(broker: &Broker) {
        let connection = broker.connect().await;
        answer(&connection, "mixed", |connection, request| async move {
            let reply = request.reply.unwrap();
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Service-Error-Code", "500");
            connection.publish(reply.clone(), "1".into()).await.unwrap();
            let error = connection.publish_with_headers(reply.clone(), headers, "".into());
            error.await.unwrap();
            connection.publish(reply.clone(), "2".into()).await.unwrap();
            connection.publish(reply, "".into()).await.unwrap();
        })
        .await;
        let many = patient(connection).request_many("mixed", "").end_on_empty();
        let replies = many.await.unwrap().replies;
        let codes: Vec<_> = replies
            .iter()
            .map(|reply| reply.as_ref().err().and_then(ServiceError::code))
            .collect();
        assert_eq!(codes, [None, Some(500), None]);
    }

    async fn a_dropped_stream_ends_its_subscription(broker: &Broker) {
        let (connection, other) = (broker.connect().await, broker.connect().await);
        let mut requests = subscribe(&connection, "many").await;
        let many = patient(connection.clone()).request_many("many", "");
        let mut stream = many.stream().await.unwrap();
        let inbox = requests.next().await.unwrap().reply.unwrap();
        other.publish(inbox.clone(), "x".into()).await.unwrap();
        assert!(stream.next().await.is_some());
        assert_eq!(stream.end(), None);
        drop(stream);
        no_one_listens(&other, &inbox).await;
    }

    async fn a_stream_that_has_ended_has_no_subscription(broker: &Broker) {
        let (connection, other) = (broker.connect().await, broker.connect().await);
        let mut requests = subscribe(&connection, "many").await;
        let many = patient(connection.clone()).request_many("many", "").max_count(1);
        let mut stream = many.stream().await.unwrap();
        let inbox = requests.next().await.unwrap().reply.unwrap();
        other.publish(inbox.clone(), "x".into()).await.unwrap();
        assert!(stream.next().await.is_some());
        assert_eq!(stream.end(), Some(End::MaxCount));
        no_one_listens(&other, &inbox).await;
        assert!(stream.next().await.is_none());
    }

    async fn a_lost_connection_only_costs_time(broker: &Broker) {
        let client = three_replies(broker).await;
        let many = client.request_many("many", "").max_count(3);
        let first = many.clone().stream().await.unwrap();
        assert_eq!(first.count().await, 3);
        client.connection().force_reconnect().await.unwrap();
        // What was sent into the old connection is lost; the subscription of the script is renewed.
        loop {
            let replies = many.clone().max_wait(SHORT).await;
            if replies.is_ok_and(|replies| replies.end == End::MaxCount) {
                return;
            }
        }
    }
}

/// Waits until a request there is answered by the broker itself.
async fn no_one_listens(connection: &async_nats::Client, subject: &str) {
    let client = patient(connection.clone());
    loop {
        let request = OutgoingRequest::new("").with_timeout(SHORT);
        let answered = client.request(subject, request).await;
        if matches!(answered, Err(RequestError::NoResponders { .. })) {
            return;
        }
    }
}
