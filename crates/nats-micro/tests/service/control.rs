//! Control subjects. spec: nats-micro 3, checklist 3

use async_nats::RequestErrorKind;
use nats_micro::document::{Document, Info, Ping, Stats};
use serde_json::Value;

use crate::support::{TestBroker, ask, demo, echo, on_both_brokers};

on_both_brokers! {
    all_nine_subjects_answer
    every_instance_answers
    requests_without_a_reply_subject_do_no_harm
    what_does_not_match_is_nobody
    the_prefix_can_be_another
    documents_have_all_keys
}

async fn all_nine_subjects_answer(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo()
        .id("i-1")
        .endpoint(echo("echo"))
        .start(&client)
        .await
        .unwrap();
    for verb in ["PING", "INFO", "STATS"] {
        for subject in [
            format!("$SRV.{verb}"),
            format!("$SRV.{verb}.demo"),
            format!("$SRV.{verb}.demo.i-1"),
        ] {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Accept-Encoding", "snappy");
            let request = async_nats::Request::new()
                .headers(headers)
                .payload("{}".into());
            let reply = client.send_request(subject.clone(), request).await.unwrap();
            assert_eq!(reply.headers, None, "{subject}: plain replies");
            let document: Value = serde_json::from_slice(&reply.payload).unwrap();
            assert_eq!(document["id"], "i-1", "{subject}");
            let kind = format!("io.nats.micro.v1.{}_response", verb.to_lowercase());
            assert_eq!(document["type"], kind, "{subject}");
        }
    }
    let reply = client.request("$SRV.INFO.demo", "".into()).await.unwrap();
    assert_eq!(Info::parse(&reply.payload).unwrap(), service.info());
    let reply = client.request("$SRV.STATS.demo", "".into()).await.unwrap();
    assert_eq!(Stats::parse(&reply.payload).unwrap(), service.stats());
}

async fn every_instance_answers(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let _one = demo().id("one").start(&client).await.unwrap();
    let _two = demo()
        .id("two")
        .start(&broker.connect().await)
        .await
        .unwrap();
    let mut replies = ask(&client, "$SRV.PING.demo", "").await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(Ping::parse(&replies.next().await.payload).unwrap().id);
    }
    ids.sort();
    assert_eq!(ids, ["one", "two"]);
}

async fn requests_without_a_reply_subject_do_no_harm(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let _service = demo().start(&client).await.unwrap();
    for subject in ["$SRV.PING", "$SRV.INFO", "$SRV.STATS"] {
        client.publish(subject, "".into()).await.unwrap();
    }
    client.request("$SRV.PING.demo", "".into()).await.unwrap();
}

async fn what_does_not_match_is_nobody(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let _service = demo().start(&client).await.unwrap();
    for subject in [
        "$SRV.ping",
        "$SRV.PING.DEMO",
        "$SRV.PING.demo.nope",
        "$SRV.SCHEMA.demo",
    ] {
        let error = client.request(subject, "".into()).await.unwrap_err();
        assert_eq!(error.kind(), RequestErrorKind::NoResponders, "{subject}");
    }
}

async fn the_prefix_can_be_another(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let _service = demo()
        .control_prefix("acc.B.$SRV")
        .start(&client)
        .await
        .unwrap();
    client
        .request("acc.B.$SRV.PING.demo", "".into())
        .await
        .unwrap();
    let error = client
        .request("$SRV.PING.demo", "".into())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);
}

async fn documents_have_all_keys(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let clock = || "2026-11-20T16:58:37.26Z".parse().unwrap();
    let _service = demo()
        .id("i")
        .clock(clock)
        .endpoint(echo("echo").no_queue_group())
        .start(&client)
        .await
        .unwrap();
    let text = async |subject: &'static str| {
        let reply = client.request(subject, "".into()).await.unwrap();
        String::from_utf8(reply.payload.to_vec()).unwrap()
    };
    assert_eq!(
        text("$SRV.PING").await,
        r#"{"name":"demo","id":"i","version":"1.0.0","metadata":{},"type":"io.nats.micro.v1.ping_response"}"#
    );
    assert_eq!(
        text("$SRV.INFO").await,
        concat!(
            r#"{"name":"demo","id":"i","version":"1.0.0","description":"","metadata":{},"endpoints":["#,
            r#"{"name":"echo","subject":"echo","metadata":{},"queue_group":""}],"#,
            r#""type":"io.nats.micro.v1.info_response"}"#
        )
    );
    assert_eq!(
        text("$SRV.STATS").await,
        concat!(
            r#"{"name":"demo","id":"i","version":"1.0.0","started":"2026-11-20T16:58:37.260000Z","endpoints":["#,
            r#"{"name":"echo","subject":"echo","num_requests":0,"num_errors":0,"last_error":"","#,
            r#""processing_time":0,"average_processing_time":0,"queue_group":"","data":{}}],"#,
            r#""metadata":{},"type":"io.nats.micro.v1.stats_response"}"#
        )
    );
}
