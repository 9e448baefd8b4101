//! Groups, queue groups, endpoints added and removed. spec: nats-micro 2.4, checklist 4, 5

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::RequestErrorKind;
use nats_micro::{AddError, ConfigError, Endpoint, Group, Request, StartError};

use crate::support::{LoadOf, TestBroker, ask, demo, echo, on_both_brokers, until};

on_both_brokers! {
    groups_prefix_subjects
    one_name_in_two_groups_is_two_endpoints
    queue_groups_are_inherited
    without_a_queue_group_every_instance_answers
    overlapping_wildcards_share_a_queue_group
    endpoints_come_while_running
    endpoints_go_without_losing_a_request
    nothing_of_a_bad_service_starts
    several_services_share_a_connection
}

async fn groups_prefix_subjects(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let inner = Group::new("b").endpoint(echo("e").subject("c.*"));
    let service = demo()
        .group(Group::new("a").group(inner))
        .group(Group::new("").endpoint(echo("plain")))
        .start(&client)
        .await
        .unwrap();
    let subjects: Vec<_> = service
        .info()
        .endpoints
        .into_iter()
        .map(|e| e.subject)
        .collect();
    assert_eq!(subjects, ["a.b.c.*", "plain"]);
    for subject in ["a.b.c.x", "plain"] {
        let reply = client.request(subject, "hi".into()).await.unwrap();
        assert_eq!(reply.payload, "hi");
    }
}

async fn one_name_in_two_groups_is_two_endpoints(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo()
        .group(Group::new("a").endpoint(echo("same")))
        .group(Group::new("b").endpoint(echo("same")))
        .start(&client)
        .await
        .unwrap();
    client.request("b.same", "".into()).await.unwrap();
    let counts = || {
        let endpoints = service.stats().endpoints;
        let counts = endpoints
            .into_iter()
            .map(|e| (e.name, e.subject, e.num_requests));
        counts.collect::<Vec<_>>()
    };
    until("counted", || counts()[1].2 == 1).await;
    assert_eq!(counts()[0], ("same".to_owned(), "a.same".to_owned(), 0));
}

async fn queue_groups_are_inherited(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo()
        .queue_group("service")
        .endpoint(echo("one"))
        .endpoint(echo("two").queue_group("own"))
        .group(
            Group::new("g")
                .no_queue_group()
                .queue_group("loses")
                .endpoint(echo("three"))
                .endpoint(echo("four").queue_group("inner"))
                .group(Group::new("h").endpoint(echo("five"))),
        )
        .start(&client)
        .await
        .unwrap();
    let groups: Vec<_> = service
        .info()
        .endpoints
        .into_iter()
        .map(|e| e.queue_group)
        .collect();
    assert_eq!(groups, ["service", "own", "", "inner", ""]);
    let plain = demo().endpoint(echo("e")).start(&client).await.unwrap();
    assert_eq!(plain.info().endpoints[0].queue_group, "q");
}

async fn without_a_queue_group_every_instance_answers(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let start = async || {
        let builder = demo()
            .endpoint(echo("all").no_queue_group())
            .endpoint(echo("one"));
        builder.start(&broker.connect().await).await.unwrap()
    };
    let _services = [start().await, start().await];
    let mut replies = ask(&client, "all", "x").await;
    replies.next().await;
    replies.next().await;
    let mut replies = ask(&client, "one", "x").await;
    replies.next().await;
    replies.assert_no_more(&client, "one").await;
}

async fn overlapping_wildcards_share_a_queue_group(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = |name: &str| {
        let handled = Arc::clone(&handled);
        Endpoint::new(name, move |_: Request| {
            handled.fetch_add(1, Ordering::SeqCst);
            async { "counted" }
        })
    };
    let _service = demo()
        .endpoint(counting("wild").subject("a.*"))
        .endpoint(counting("plain").subject("a.b"))
        .start(&client)
        .await
        .unwrap();
    for _ in 0..20 {
        client.request("a.b", "".into()).await.unwrap();
    }
    assert_eq!(handled.load(Ordering::SeqCst), 20);
}

async fn endpoints_come_while_running(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let other = broker.connect().await;
    let service = demo().start(&client).await.unwrap();
    assert!(service.info().endpoints.is_empty());
    for round in 0..20 {
        let name = format!("e-{round}");
        service.add_endpoint(echo(&name)).await.unwrap();
        // From another connection, at once.
        other.request(name, "".into()).await.unwrap();
    }
    let info = client.request("$SRV.INFO.demo", "".into()).await.unwrap();
    assert!(String::from_utf8_lossy(&info.payload).contains("e-19"));
    let bad = service.add_endpoint(echo("a b")).await.unwrap_err();
    assert!(
        matches!(bad, AddError::Config(ConfigError::EndpointName(_))),
        "{bad}"
    );
    service.stop().await;
    let late = service.add_endpoint(echo("late")).await.unwrap_err();
    assert!(matches!(late, AddError::Stopping), "{late}");
}

async fn endpoints_go_without_losing_a_request(broker: &mut TestBroker) {
    let steady = demo()
        .endpoint(echo("echo"))
        .start(&broker.connect().await)
        .await
        .unwrap();
    let service = demo().start(&broker.connect().await).await.unwrap();
    let load = LoadOf::start(broker, "echo", 64).await;
    for _ in 0..20 {
        let before = load.answered();
        let added = service.add_endpoint(echo("echo")).await.unwrap();
        until("requests go on", || load.answered() > before + 100).await;
        assert!(service.remove_endpoint(added).await);
        assert!(!service.remove_endpoint(added).await, "it is gone");
        assert!(service.info().endpoints.is_empty());
    }
    let (answered, lost) = load.end().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} lost: {lost:?}",
        lost.len()
    );
    steady.stop().await;
}

async fn nothing_of_a_bad_service_starts(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let bad = demo()
        .endpoint(echo("good"))
        .endpoint(echo("bad").subject("a.>.b"));
    let error = bad.start(&client).await.unwrap_err();
    assert!(
        matches!(error, StartError::Config(ConfigError::Subject { .. })),
        "{error}"
    );
    for subject in ["good", "$SRV.PING.demo"] {
        let error = client.request(subject, "".into()).await.unwrap_err();
        assert_eq!(error.kind(), RequestErrorKind::NoResponders, "{subject}");
    }
}

async fn several_services_share_a_connection(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let one = demo().endpoint(echo("one")).start(&client).await.unwrap();
    let two = demo().endpoint(echo("two")).start(&client).await.unwrap();
    assert_ne!(one.id(), two.id());
    one.stop().await;
    client.request("two", "".into()).await.unwrap();
    let gone = client.request("one", "".into()).await.unwrap_err();
    assert_eq!(gone.kind(), RequestErrorKind::NoResponders);
}
