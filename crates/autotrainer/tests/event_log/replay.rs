//! Asking for what was kept, with our client and with others.

use autotrainer_api::zmq::{RequestSocket, SocketOptions};
use autotrainer_api::{
    Command, CommandRequest, CommandResponse, Delivery, Event, EventLogOptions, Gap, Message,
    Pending, PropertyChange, Remote, RemoteOptions, ReplayError, ReplayPage, ReplayRequest,
    ResultCode, Resume, Service, SubscribeOptions, Topic, UnixTime, with_pending,
};
use bytes::Bytes;
use nodewire_testkit::{
    AutotrainerClient, AutotrainerService, AutotrainerServiceOptions, AutotrainerVersion,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{
    PATIENCE, builder, log_in, patiently, ports, publish, remote_at, resumed, started, until,
};

#[tokio::test]
async fn everything_typed_is_kept_as_it_was_published() {
    let folder = TempDir::new().unwrap();
    let service = started(builder(&log_in(&folder))).await;
    let remote = remote_at(ports(&service)).await;
    let options = SubscribeOptions {
        verbatim: true,
        ..SubscribeOptions::topics(&[Topic::ANY])
    };
    let mut live = remote.subscribe(options).await;
    let publisher = service.publisher();
    until(|| {
        publisher.try_publish(Topic(77), Bytes::new()).unwrap();
        live.try_next().is_some()
    })
    .await;
    let stop = Event::numbered(101, UnixTime(1.5), 7);
    publisher.send_event(&stop).await.unwrap();
    let change = json!({"target": 3, "name": "speed", "newValue": {"aB": 2}});
    let change: PropertyChange = serde_json::from_value(change).unwrap();
    publisher.send_property_change(&change).await.unwrap();
    publisher
        .publish(Topic::EVENT, stop.to_payload())
        .await
        .unwrap();
    let dict = json!({"kind": 201, "some_key": "Größe"});
    publisher.send_event_dict(&dict).await.unwrap();

    let page = until_kept(&remote, 3).await;
    let topics: Vec<Topic> = page.events.iter().map(|event| event.topic).collect();
    let kept = [Topic::EVENT, Topic::PROPERTY_CHANGE, Topic::EVENT];
    assert_eq!(topics, kept);
    for event in &page.events {
        let payload = loop {
            match patiently(live.next()).await {
                Some(Delivery::Message(Message::Other { topic, payload }))
                    if topic == event.topic =>
                {
                    let value: Value = serde_json::from_slice(&payload).unwrap();
                    if value["sequence"] == event.sequence {
                        break payload;
                    }
                }
                // The same event once more, as bytes, has the index of an older one.
                Some(Delivery::Message(_) | Delivery::Gap(Gap::IndexWentBack { .. })) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(event.payload.as_ref(), Some(&payload));
    }
    service.stop().await;
    let counts = service.counts();
    assert_eq!((counts.log_kept, counts.log_not_kept), (3, 0));
}

async fn until_kept(remote: &Remote, events: u64) -> ReplayPage {
    loop {
        let page = remote.replay_page(&ReplayRequest::default()).await.unwrap();
        if page.next >= events {
            return page;
        }
    }
}

#[tokio::test]
async fn a_long_replay_comes_in_pages() {
    let folder = TempDir::new().unwrap();
    let service = started(builder(&log_in(&folder))).await;
    publish(&service, 0..1234).await;
    let remote = remote_at(ports(&service)).await;
    until(|| service.counts().log_kept == 1234).await;
    let mut replay = remote.replay(ReplayRequest {
        after: 100,
        ..ReplayRequest::default()
    });
    let mut sequences = Vec::new();
    let mut pages = 0;
    while let Some(page) = replay.next_page().await.unwrap() {
        pages += 1;
        sequences.extend(page.events.iter().map(|event| event.sequence));
    }
    assert_eq!(pages, 3);
    assert_eq!(sequences, (101..=1234).collect::<Vec<u64>>());
    assert_eq!(service.counts().replayed_events, 1134);
    service.stop().await;
}

/// It came when the client was away.
#[tokio::test]
async fn a_late_result_reaches_a_client_that_was_away() {
    let folder = TempDir::new().unwrap();
    let (sender, mut pending) = tokio::sync::mpsc::channel(1);
    let handler = with_pending(move |_: CommandRequest, pending: Pending| {
        let sender = sender.clone();
        async move {
            sender.send(pending).await.unwrap();
            CommandResponse::new(ResultCode::PendingWithNotification)
        }
    });
    let service = started(builder(&log_in(&folder)).handler(handler)).await;
    let (events, commands) = ports(&service);
    let deaf = RemoteOptions {
        event_channel_wait: std::time::Duration::ZERO,
        ..RemoteOptions::endpoints("tcp://127.0.0.1:9", format!("tcp://127.0.0.1:{commands}"))
    };
    let away = Remote::connect(deaf).await.unwrap();
    let answer = away
        .command(Command::EmergencyStop)
        .timeout(PATIENCE)
        .send()
        .await
        .unwrap();
    let nonce = answer.pending.unwrap().nonce();
    away.close().await;
    pending
        .recv()
        .await
        .unwrap()
        .complete(CommandResponse::success())
        .unwrap();

    let back = remote_at((events, commands)).await;
    let results = SubscribeOptions::topics(&[Topic::COMMAND_RESULT]);
    let mut results = back.subscribe(results.resuming(Resume::Oldest)).await;
    match patiently(results.next()).await {
        Some(Delivery::Message(Message::Result(result))) => {
            assert_eq!(result.nonce_number(), Some(nonce));
        }
        other => panic!("{other:?}"),
    }
    service.stop().await;
}

/// Whoever can send a command can have a replay.
#[tokio::test]
async fn a_plain_client_of_python_replays() {
    let folder = TempDir::new().unwrap();
    let service = started(builder(&log_in(&folder))).await;
    publish(&service, 0..3).await;
    let remote = remote_at(ports(&service)).await;
    until_kept(&remote, 3).await;
    let (events, commands) = ports(&service);
    for version in AutotrainerVersion::ALL {
        let mut client = AutotrainerClient::start(version).await.unwrap();
        let endpoint = format!("tcp://127.0.0.1:{commands}");
        client.connect("commands", "REQ", &endpoint).await.unwrap();
        let request = br#"{"command": 99999, "custom_command": "events.replay", "nonce": 7, "data": {"after": 1, "limit": 1}}"#;
        let reply = client.exchange("commands", request).await.unwrap();
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(
            (&reply["nonce"], &reply["result"]),
            (&json!(7), &json!(100))
        );
        let data = &reply["data"];
        assert_eq!((&data["first"], &data["next"]), (&json!(1), &json!(2)));
        assert!(data["last"].as_u64() >= Some(3), "{data}");
        assert_eq!(data["isComplete"], false);
        let kept = json!([{"sequence": 2, "topic": 4001, "payload":
            {"kind": 201, "when": 1.5, "index": 1, "context": null, "sequence": 2}}]);
        assert_eq!(data["events"], kept);
        for wrong in [
            &br#"{"command": 99999, "custom_command": "events.replay", "nonce": 8, "data": {"after": "x"}}"#[..],
            br#"{"command": 99999, "custom_command": "events.replay", "nonce": 8, "data": {"topics": 5}}"#,
        ] {
            let reply = client.exchange("commands", wrong).await.unwrap();
            let reply: Value = serde_json::from_slice(&reply).unwrap();
            assert_eq!((&reply["result"], &reply["errorCode"]), (&json!(400), &json!(2)));
        }
        // Events with a number are events to it.
        let endpoint = format!("tcp://127.0.0.1:{events}");
        let prefix = Topic::EVENT.to_frame();
        client
            .connect_subscriber("events", &endpoint, &[&prefix])
            .await
            .unwrap();
        let message = patiently(async {
            loop {
                publish(&service, 9..10).await;
                let come = client.receive_within("events", 1, 0.02).await.unwrap();
                if let Some(message) = come.into_iter().next() {
                    return message;
                }
            }
        })
        .await;
        let event: Value = serde_json::from_slice(&message[1]).unwrap();
        assert!(event["sequence"].is_u64() && event["index"] == 9, "{event}");
    }
    assert_eq!(service.counts().replays_refused, 4);
    service.stop().await;
}

#[tokio::test]
async fn a_service_without_a_log_says_so_and_gaps_are_told() {
    let service = Service::builder().subscriber_port(0).command_port(0);
    let answers = [
        service.handler(async |_: CommandRequest| CommandResponse::success()),
        Service::builder().subscriber_port(0).command_port(0),
    ];
    for builder in answers {
        let service = started(builder).await;
        let remote = remote_at(ports(&service)).await;
        let refused = remote.replay_page(&ReplayRequest::default()).await;
        assert!(
            matches!(refused, Err(ReplayError::NotOffered)),
            "{refused:?}"
        );
        let mut events = resumed(&remote, Resume::Oldest).await;
        let told = patiently(events.next()).await;
        assert_eq!(told, Some(Delivery::Gap(Gap::Interrupted)));
        assert_eq!(events.position(), None);
        service.stop().await;
    }
}

#[tokio::test]
async fn a_python_service_offers_no_replay_and_takes_no_harm() {
    for version in AutotrainerVersion::ALL {
        let options = AutotrainerServiceOptions::default();
        let service = AutotrainerService::start(version, options).await.unwrap();
        let options = RemoteOptions {
            timeout: PATIENCE,
            ..RemoteOptions::endpoints(service.event_endpoint(), service.command_endpoint())
        };
        let remote = Remote::connect(options).await.unwrap();
        for _ in 0..2 {
            let refused = remote.replay_page(&ReplayRequest::default()).await;
            assert!(
                matches!(refused, Err(ReplayError::NotOffered)),
                "{refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn only_what_is_chosen_is_kept_and_numbered() {
    let folder = TempDir::new().unwrap();
    let log = EventLogOptions {
        topics: vec![Topic::PROPERTY_CHANGE],
        ..log_in(&folder)
    };
    let service = started(builder(&log)).await;
    let change = json!({"target": 3, "name": "speed", "newValue": 1});
    let change: PropertyChange = serde_json::from_value(change).unwrap();
    publish(&service, 0..3).await;
    service
        .publisher()
        .send_property_change(&change)
        .await
        .unwrap();
    let remote = remote_at(ports(&service)).await;
    let page = until_kept(&remote, 1).await;
    assert_eq!((page.first, page.last), (1, 1));
    assert_eq!(page.events[0].topic, Topic::PROPERTY_CHANGE);
    service.stop().await;
}

const REPLAY: &str =
    r#"{"command":99999,"custom_command":"events.replay","nonce":1,"data":{"after":0}}"#;

/// Asks for so many replays at once; how many were refused.
async fn refused_of(socket: &RequestSocket, replays: usize) -> usize {
    for _ in 0..replays {
        socket.send(Bytes::from(REPLAY)).await.unwrap();
    }
    let mut refused = 0;
    for _ in 0..replays {
        let frames = patiently(socket.receive()).await.unwrap();
        let answer: Value = serde_json::from_slice(&frames[0]).unwrap();
        refused += usize::from(answer["result"] == 9999);
    }
    refused
}

/// However many one client asks for, there is room for the others'.
#[tokio::test]
async fn one_client_cannot_deny_replays_to_others() {
    let folder = TempDir::new().unwrap();
    let service = started(builder(&log_in(&folder))).await;
    publish(&service, 0..1000).await;
    until(|| service.counts().log_kept == 1000).await;
    let (_, commands) = ports(&service);
    let endpoint = format!("tcp://127.0.0.1:{commands}");
    let greedy = RequestSocket::new(&SocketOptions::default()).unwrap();
    greedy.connect(&endpoint).await.unwrap();
    let enough = CancellationToken::new();
    let is_enough = enough.clone();
    let flood = tokio::spawn(async move {
        let mut refused = 0;
        while !is_enough.is_cancelled() || refused == 0 {
            refused += refused_of(&greedy, 300).await;
        }
        refused
    });
    let remote = remote_at(ports(&service)).await;
    for _ in 0..20 {
        let page = remote.replay_page(&ReplayRequest::default()).await.unwrap();
        assert_eq!(page.events.len(), 500);
    }
    enough.cancel();
    let refused = patiently(flood).await.unwrap();
    assert_eq!(service.counts().replays_refused, refused as u64);
    service.stop().await;
}
