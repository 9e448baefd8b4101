//! Handlers: one at a time, several, panicking, replaced. spec: autotrainer 8, 9, 11

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use autotrainer_api::{
    Command, CommandRequest, CommandResponse, Deadline, DefaultHandler, ResultCode, blocking,
};
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use crate::clients::{Client, builder, serving, started, until};

#[tokio::test]
async fn the_handler_sees_the_request_and_the_client_its_answer() {
    let service = serving(async |request: CommandRequest| {
        assert_eq!(request.command, Command::UserDefined);
        assert_eq!(request.raw_command.as_str(), "12345");
        CommandResponse::success().with_data(&json!({"got_it": request.data()}))
    })
    .await;
    let client = Client::of(&service).await;
    let request = json!({"command": 12345, "nonce": 9, "data": {"camelKey": "A b_C"}});
    let answer = client.ask(&request).await;
    let expected = json!({"nonce": 9, "command": 99999, "result": 100,
        "data": {"gotIt": {"camelKey": "A b_C"}}, "errorKind": 0, "errorCode": 0, "errorMessage": null});
    assert_eq!(answer, expected);
    let counts = service.counts();
    let expected = [(Command::UserDefined, ResultCode::Success, 1)];
    assert_eq!(counts.requests, expected);
    assert_eq!(counts.durations.iter().sum::<u64>(), 1);
    service.stop().await;
}

#[tokio::test]
async fn none_reaches_the_handler_and_the_default_one_answers_success() {
    let service = serving(DefaultHandler).await;
    let client = Client::of(&service).await;
    let answer = client.ask(&json!({"command": 0, "nonce": 5})).await;
    assert_eq!(
        (&answer["nonce"], &answer["result"]),
        (&json!(5), &json!(100))
    );
    let answer = client.ask(&json!({"command": 400, "nonce": 6})).await;
    assert_eq!(
        (&answer["nonce"], &answer["result"]),
        (&json!(6), &json!(0))
    );
    service.stop().await;
}

#[tokio::test]
async fn panics_and_errors_are_exceptions_and_the_next_request_is_served() {
    let service = serving(async |request: CommandRequest| {
        match request.command {
            Command::EmergencyStop => panic!("secret"),
            Command::EmergencyResume => return Err("motor not ready"),
            _ => {}
        }
        Ok(CommandResponse::success())
    })
    .await;
    let client = Client::of(&service).await;
    let answer = client.ask(&json!({"command": 200, "nonce": 1})).await;
    assert_eq!(
        (&answer["result"], &answer["errorKind"]),
        (&json!(500), &json!(0))
    );
    assert!(!answer.to_string().contains("secret"));
    let answer = client.ask(&json!({"command": 210, "nonce": 2})).await;
    assert_eq!(
        (&answer["result"], &answer["errorKind"]),
        (&json!(500), &json!(0))
    );
    assert_eq!(answer["errorMessage"], "motor not ready");
    client.assert_served(3).await;
    service.stop().await;
}

#[tokio::test]
async fn a_blocking_handler_may_panic_too() {
    let handler = blocking(|request: CommandRequest| {
        assert_ne!(request.command, Command::EmergencyStop);
        CommandResponse::success()
    });
    let service = serving(handler).await;
    let client = Client::of(&service).await;
    let answer = client.ask(&json!({"command": 200, "nonce": 1})).await;
    assert_eq!(answer["result"], 500);
    client.assert_served(2).await;
    service.stop().await;
}

#[tokio::test]
async fn handlers_run_one_at_a_time_and_each_client_is_answered_in_order() {
    let (running, seen_max) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let of_handler = (Arc::clone(&running), Arc::clone(&seen_max));
    let service = serving(move |_: CommandRequest| {
        let (running, seen_max) = of_handler.clone();
        async move {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            seen_max.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            CommandResponse::success()
        }
    })
    .await;
    let clients = [Client::of(&service).await, Client::of(&service).await];
    for nonce in 1..=50 {
        for client in &clients {
            client.send(&json!({"command": 400, "nonce": nonce})).await;
        }
    }
    for client in &clients {
        for nonce in 1..=50 {
            assert_eq!(client.reply().await["nonce"], nonce);
        }
    }
    assert_eq!(seen_max.load(Ordering::SeqCst), 1);
    service.stop().await;
}

#[tokio::test]
async fn with_concurrency_a_slow_command_does_not_hold_up_another() {
    let gate = Arc::new(Semaphore::new(0));
    let of_handler = Arc::clone(&gate);
    let handler = move |request: CommandRequest| {
        let gate = Arc::clone(&of_handler);
        async move {
            if request.command == Command::EmergencyStop {
                gate.acquire().await.unwrap().forget();
            }
            CommandResponse::success()
        }
    };
    let builder = builder()
        .handler(handler)
        .concurrency(2)
        .deadline(Deadline::Wait);
    let service = started(builder).await;
    let (slow, quick) = (Client::of(&service).await, Client::of(&service).await);
    slow.send(&json!({"command": 200, "nonce": 1})).await;
    for nonce in 2..10 {
        quick.assert_served(nonce).await;
    }
    gate.add_permits(1);
    assert_eq!(slow.reply().await["nonce"], 1);
    service.stop().await;
}

#[tokio::test]
async fn what_cannot_wait_is_refused_at_once_per_client_and_in_all() {
    let (gate, started_one) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let of_handler = (Arc::clone(&gate), Arc::clone(&started_one));
    let handler = move |_: CommandRequest| {
        let (gate, started_one) = of_handler.clone();
        async move {
            started_one.notify_one();
            gate.acquire().await.unwrap().forget();
            CommandResponse::success()
        }
    };
    let builder = builder()
        .handler(handler)
        .waiting_max(2, 3)
        .deadline(Deadline::Wait);
    let service = started(builder).await;
    let (flooder, other, third) = (
        Client::of(&service).await,
        Client::of(&service).await,
        Client::of(&service).await,
    );
    flooder.send(&json!({"command": 400, "nonce": 1})).await;
    started_one.notified().await;
    // Two wait; two are refused, and that is told before the others are done.
    for nonce in 2..=5 {
        flooder.send(&json!({"command": 400, "nonce": nonce})).await;
    }
    for nonce in 4..=5 {
        let answer = flooder.reply().await;
        assert_eq!(
            (&answer["nonce"], &answer["result"]),
            (&json!(nonce), &json!(9999))
        );
    }
    // There is room for one more, of another client.
    other.send(&json!({"command": 400, "nonce": 6})).await;
    other.send(&json!({"command": 400, "nonce": 7})).await;
    assert_eq!(other.reply().await["nonce"], 7);
    let answer = third.ask(&json!({"command": 400, "nonce": 8})).await;
    assert_eq!(answer["result"], 9999);
    let counts = service.counts();
    assert_eq!((counts.refused_per_client, counts.refused_in_all), (2, 2));

    // The other's turn comes before the flooder's second.
    gate.add_permits(4);
    assert_eq!(other.reply().await["nonce"], 6);
    for nonce in 1..=3 {
        let answer = flooder.reply().await;
        assert_eq!(
            (&answer["nonce"], &answer["result"]),
            (&json!(nonce), &json!(100))
        );
    }
    service.stop().await;
}

#[tokio::test]
async fn the_handler_can_be_replaced_and_taken_away() {
    let service = serving(async |_: CommandRequest| CommandResponse::success()).await;
    let client = Client::of(&service).await;
    client.assert_served(1).await;
    service
        .set_handler(async |_: CommandRequest| CommandResponse::new(ResultCode::Failed))
        .unwrap();
    let answer = client.ask(&json!({"command": 400, "nonce": 2})).await;
    assert_eq!(answer["result"], 400);
    service.clear_handler().unwrap();
    let answer = client.ask(&json!({"command": 400, "nonce": 3})).await;
    assert_eq!(answer["result"], 9999);
    service.stop().await;
    assert!(service.set_handler(DefaultHandler).is_err());
    assert!(service.clear_handler().is_err());
}

#[tokio::test]
async fn a_client_that_is_gone_before_its_reply_is_counted_and_the_next_is_served() {
    let (gate, started_one) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let of_handler = (Arc::clone(&gate), Arc::clone(&started_one));
    let handler = move |request: CommandRequest| {
        let (gate, started_one) = of_handler.clone();
        async move {
            if request.command == Command::EmergencyStop {
                started_one.notify_one();
                gate.acquire().await.unwrap().forget();
            }
            CommandResponse::success()
        }
    };
    let service = started(builder().handler(handler).deadline(Deadline::Wait)).await;
    let client = Client::of(&service).await;
    client.send(&json!({"command": 200, "nonce": 1})).await;
    started_one.notified().await;
    client.0.close().await;
    until(&service, |counts| counts.command_connections.closed == 1).await;
    gate.add_permits(1);
    let next = Client::of(&service).await;
    next.assert_served(2).await;
    assert_eq!(service.counts().replies_gone, 1);
    service.stop().await;
}
