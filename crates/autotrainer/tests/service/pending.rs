//! Commands that take long. spec: autotrainer 5.5, 8.5

use std::sync::Arc;
use std::time::Duration;

use autotrainer_api::{
    Command, CommandRequest, CommandResponse, Deadline, Pending, ResultCode, Service, Topic,
    blocking, with_pending,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::clients::{Client, Subscriber, builder, started};

const SOON: Duration = Duration::from_millis(1);

/// Waits for the gate if it is an emergency stop.
fn gated(gate: &Arc<Semaphore>) -> impl autotrainer_api::Handler {
    let gate = Arc::clone(gate);
    move |request: CommandRequest| {
        let gate = Arc::clone(&gate);
        async move {
            if request.command == Command::EmergencyStop {
                gate.acquire().await.unwrap().forget();
            }
            CommandResponse::success().with_data(&json!({"final_value": 3}))
        }
    }
}

fn stop_command(nonce: u64) -> Value {
    json!({"command": 200, "nonce": nonce})
}

fn count_of(service: &Service, command: Command, result: ResultCode) -> u64 {
    let counts = service.counts().requests;
    let found = counts
        .iter()
        .find(|each| (each.0, each.1) == (command, result));
    found.map_or(0, |each| each.2)
}

#[tokio::test]
async fn a_slow_command_is_made_pending_and_its_result_follows() {
    let gate = Arc::new(Semaphore::new(0));
    let builder = builder()
        .handler(gated(&gate))
        .deadline(Deadline::PendingAfter(SOON));
    let service = started(builder).await;
    let results = Subscriber::of(&service, Topic::COMMAND_RESULT).await;
    let client = Client::of(&service).await;
    let answer = client.ask(&stop_command(77)).await;
    assert_eq!(
        (&answer["nonce"], &answer["result"]),
        (&json!(77), &json!(201))
    );
    // Others are served meanwhile.
    client.assert_served(78).await;
    gate.add_permits(1);
    let (topic, result) = results.next_json().await;
    let expected = json!({"result": 100, "data": {"finalValue": 3}, "errorCode": 0, "errorMessage": null,
        "command": 200, "nonce": 77, "sequence": 1});
    assert_eq!((topic, result), (Topic::COMMAND_RESULT, expected));
    assert_eq!(service.counts().made_pending, 1);
    service.stop().await;
    assert_eq!(service.counts().late_results, 1);
}

#[tokio::test]
async fn the_choice_is_made_per_command() {
    let gate = Arc::new(Semaphore::new(0));
    let builder = builder()
        .handler(gated(&gate))
        .deadline(Deadline::Wait)
        .deadline_of(Command::EmergencyStop, Deadline::FailAfter(SOON));
    let service = started(builder).await;
    let client = Client::of(&service).await;
    let answer = client.ask(&stop_command(1)).await;
    assert_eq!(
        (&answer["nonce"], &answer["result"]),
        (&json!(1), &json!(400))
    );
    assert_eq!(service.counts().timed_out, 1);
    client.assert_served(2).await;
    service.stop().await;
}

#[tokio::test]
async fn a_blocking_handler_is_made_pending_too() {
    let (release, released) = std::sync::mpsc::sync_channel(1);
    let released = std::sync::Mutex::new(released);
    let handler = blocking(move |request: CommandRequest| {
        if request.command == Command::EmergencyStop {
            let () = released.lock().unwrap().recv().unwrap();
        }
        CommandResponse::success()
    });
    let service = started(
        builder()
            .handler(handler)
            .deadline(Deadline::Wait)
            .deadline_of(Command::EmergencyStop, Deadline::PendingAfter(SOON)),
    )
    .await;
    let results = Subscriber::of(&service, Topic::COMMAND_RESULT).await;
    let client = Client::of(&service).await;
    assert_eq!(client.ask(&stop_command(1)).await["result"], 201);
    client.assert_served(2).await;
    release.send(()).unwrap();
    assert_eq!(results.next_json().await.1["nonce"], 1);
    service.stop().await;
}

#[tokio::test]
async fn a_result_that_is_there_before_the_answer_is_published_after_it() {
    let handler = with_pending(async |_: CommandRequest, pending: Pending| {
        pending.complete(CommandResponse::success()).unwrap();
        tokio::task::yield_now().await;
        CommandResponse::new(ResultCode::PendingWithNotification)
    });
    let service = started(builder().handler(handler)).await;
    let results = Subscriber::of(&service, Topic::COMMAND_RESULT).await;
    let client = Client::of(&service).await;
    for nonce in 1..=100 {
        client.send(&stop_command(nonce)).await;
        let (_, result) = results.next_json().await;
        assert_eq!(
            (&result["nonce"], &result["result"]),
            (&json!(nonce), &json!(100))
        );
        // The reply was handed to the transport before.
        let answered = count_of(
            &service,
            Command::EmergencyStop,
            ResultCode::PendingWithNotification,
        );
        assert_eq!(answered, nonce);
        assert_eq!(client.reply().await["nonce"], nonce);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_pending_that_is_let_go_is_told_as_failed() {
    let handler = with_pending(async |_: CommandRequest, pending: Pending| {
        drop(pending);
        CommandResponse::new(ResultCode::PendingWithNotification)
    });
    let service = started(builder().handler(handler)).await;
    let results = Subscriber::of(&service, Topic::COMMAND_RESULT).await;
    let client = Client::of(&service).await;
    assert_eq!(client.ask(&stop_command(4)).await["result"], 201);
    let (_, result) = results.next_json().await;
    assert_eq!(
        (&result["nonce"], &result["result"]),
        (&json!(4), &json!(400))
    );
    assert_eq!(service.counts().late_results_given_up, 1);
    service.stop().await;
}

#[tokio::test]
async fn pending_commands_beyond_the_limit_hold_up_others() {
    let gate = Arc::new(Semaphore::new(0));
    let builder = builder()
        .handler(gated(&gate))
        .deadline(Deadline::PendingAfter(SOON))
        .pending_max(1);
    let service = started(builder).await;
    let results = Subscriber::of(&service, Topic::COMMAND_RESULT).await;
    let client = Client::of(&service).await;
    assert_eq!(client.ask(&stop_command(1)).await["result"], 201);
    assert_eq!(client.ask(&stop_command(2)).await["result"], 201);
    client.send(&json!({"command": 400, "nonce": 3})).await;
    // The third can only be answered once the second is done.
    gate.add_permits(2);
    assert_eq!(results.next_json().await.1["nonce"], 1);
    assert_eq!(results.next_json().await.1["nonce"], 2);
    assert_eq!(client.reply().await["nonce"], 3);
    service.stop().await;
}

#[tokio::test]
async fn a_stop_tells_what_it_cuts_off_in_the_order_in_which_it_came() {
    let gate = Arc::new(Semaphore::new(0));
    let builder = builder()
        .handler(gated(&gate))
        .deadline(Deadline::PendingAfter(SOON))
        .linger(Duration::from_millis(200));
    let service = started(builder).await;
    let results = Subscriber::of(&service, Topic::COMMAND_RESULT).await;
    let client = Client::of(&service).await;
    for nonce in 1..=20 {
        assert_eq!(client.ask(&stop_command(nonce)).await["result"], 201);
    }
    service.stop().await;
    for nonce in 1..=20 {
        let (_, result) = results.next_json().await;
        assert_eq!(
            (&result["nonce"], &result["result"]),
            (&json!(nonce), &json!(9999))
        );
    }
    assert_eq!(service.counts().late_results_given_up, 20);
}
