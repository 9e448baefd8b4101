//! How frames end other than well, and many at once.

use std::time::Duration;

use nnrp::client::{FrameItem, Submit};
use nnrp_wire::build::SubmitOptions;
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{ErrorCode, HintReason};
use nodewire::RefusalKind;
use tokio::task::JoinSet;

use crate::support::{
    Holding, LIMIT, Served, asking, event, rest, seen, soon, submit, text, with_options,
};

const HOLD: &str = r#"{"node": "hold"}"#;
const NARROW: &str = r#"{"node": "narrow"}"#;

#[tokio::test]
async fn errors_have_a_code_and_say_what_is_wrong() {
    let served = Served::start().await;
    let session = served.session().await;
    let answer = seen(&session, asking(r#"{"node": "fail"}"#)).await;
    answer.failed(ErrorCode::MalformedBody, "invalid_input: boom: é");
    let answer = seen(
        &session,
        asking(r#"{"node": "echo", "inputs": {"text": 7}}"#),
    )
    .await;
    answer.failed(ErrorCode::MalformedBody, "`text`");
    let answer = seen(&session, asking(r#"{"node": "panic"}"#)).await;
    answer.failed(ErrorCode::InternalError, "internal: ");
    // The session goes on.
    let answer = seen(
        &session,
        asking(r#"{"node": "echo", "inputs": {"text": "a"}}"#),
    )
    .await;
    assert_eq!(answer.result(), [text(1, "> a")]);
    let counters = served.balanced().await;
    assert_eq!((counters.failed, counters.completed), (3, 1));
}

#[tokio::test]
async fn a_cancellation_reaches_the_handler() {
    let served = Served::start().await;
    let session = served.session().await;
    let key = submit(&session, asking(HOLD)).await;
    Holding::one(&served.holding.started).await;
    assert!(session.cancel(key));
    Holding::one(&served.holding.stopped).await;
    assert_eq!(rest(&session, key).await.outcome, FrameOutcome::Cancelled);
    assert_eq!(served.balanced().await.cancelled, 1);
}

#[tokio::test]
async fn the_end_of_a_session_reaches_its_handlers() {
    let served = Served::start().await;
    let session = served.session().await;
    submit(&session, asking(HOLD)).await;
    Holding::one(&served.holding.started).await;
    let closing = tokio::spawn(async move { session.close("gone").await });
    // The client gives frames in flight some time; then it is gone.
    Holding::one(&served.holding.stopped).await;
    soon(closing).await.unwrap();
    assert_eq!(served.balanced().await.cancelled, 1);
}

#[tokio::test]
async fn a_budget_is_a_deadline() {
    let served = Served::start().await;
    let session = served.session().await;
    let options = SubmitOptions {
        latency_budget_ms: 100,
        ..SubmitOptions::default()
    };
    let answer = seen(&session, with_options(options, vec![event(HOLD)])).await;
    assert_eq!(answer.outcome, FrameOutcome::Dropped);
    // Whoever notices first.
    let [hint] = &*answer.hints else {
        panic!("{answer:?}");
    };
    assert_eq!(hint.reason, HintReason::BudgetExceeded);
    // It may have been over before it began.
    let counters = served.balanced().await;
    let ended =
        counters.failed + counters.dropped() + counters.refused_for(RefusalKind::DeadlinePassed);
    assert_eq!((counters.cancelled, counters.completed), (0, 0));
    assert!(ended <= 1);
}

#[tokio::test]
async fn a_timeout_of_the_request_is_a_deadline() {
    let served = Served::start().await;
    let session = served.session().await;
    let answer = seen(&session, asking(r#"{"node": "hold", "timeoutMs": 100}"#)).await;
    if answer.error.is_some() {
        answer.failed(ErrorCode::FrameExpired, "deadline: ");
    } else {
        // On a machine that is so busy, it was over before it began.
        assert_eq!(answer.outcome, FrameOutcome::Dropped);
    }
    let counters = served.balanced().await;
    assert_eq!((counters.cancelled, counters.completed), (0, 0));
    let answer = seen(&session, asking(r#"{"node": "hold", "timeoutMs": 0}"#)).await;
    assert_eq!(answer.outcome, FrameOutcome::Dropped);
    assert_eq!(answer.hints[0].reason, HintReason::BudgetExceeded);
    let refused = served
        .balanced()
        .await
        .refused_for(RefusalKind::DeadlinePassed);
    assert!(refused >= 1);
}

#[tokio::test]
async fn what_is_too_much_is_dropped_and_says_why() {
    let served = Served::start().await;
    let session = served.session().await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(submit(&session, asking(NARROW)).await);
    }
    // Frames of one session are begun side by side, so that it can be any.
    let (refused, reason) = soon(async {
        let mut reason = None;
        loop {
            match session.next().await.unwrap() {
                (_, FrameItem::Hint(hint)) => reason = Some(hint.reason),
                (key, FrameItem::End(end)) => {
                    assert_eq!(end.outcome, FrameOutcome::Dropped);
                    return (key, reason);
                }
                (_, FrameItem::Result(result)) => panic!("{result:?}"),
            }
        }
    })
    .await;
    assert_eq!(reason, Some(HintReason::QueueFull));
    let counters = served.server.executor().counters();
    assert_eq!(counters.refused_for(RefusalKind::QueueFull), 1);
    served.holding.go.add_permits(2);
    for key in keys.into_iter().filter(|key| *key != refused) {
        let answer = rest(&session, key).await;
        assert_eq!(answer.result(), [text(1, "late but there")]);
    }
    assert_eq!(served.balanced().await.completed, 2);
}

#[tokio::test]
async fn many_callers_at_once_get_their_own_answers() {
    let served = Served::start().await;
    let mut callers = JoinSet::new();
    for caller in 0..64 {
        // Eight to a session.
        if caller % 8 == 0 {
            let session = served.session().await;
            for caller in caller..caller + 8 {
                let session = session.clone();
                callers.spawn(async move {
                    let request =
                        format!(r#"{{"node": "echo", "inputs": {{"text": "{caller}"}}}}"#);
                    let answer = seen(&session, asking(&request)).await;
                    let (_, _, told) = &answer.result()[0];
                    assert_eq!(*told, format!("> {caller}"));
                });
            }
        }
    }
    soon(callers.join_all()).await;
    assert_eq!(served.balanced().await.completed, 64);
}

/// Whatever happens to frames, each ends once, and the counters add up.
#[tokio::test]
async fn counters_add_up_under_cancellations_and_ends_of_sessions() {
    let served = Served::start().await;
    let mut clients = JoinSet::new();
    for client in 0..4_u32 {
        let session = served.session().await;
        clients.spawn(async move {
            for turn in 0..24_u32 {
                let node =
                    ["echo", "hold", "progress", "panic", "fail"][(client + turn) as usize % 5];
                let request = format!(r#"{{"node": "{node}", "inputs": {{}}}}"#);
                let key = FrameKey::new(session.next_frame_id());
                let submit = Submit {
                    timeout: Some(LIMIT),
                    ..Submit::new(key, asking(&request))
                };
                soon(session.submit(submit)).await.unwrap();
                if node == "hold" || turn % 3 == 0 {
                    tokio::time::sleep(Duration::from_millis(u64::from(turn % 4))).await;
                    session.cancel(key);
                }
            }
            if client % 2 == 0 {
                session.close("done").await;
            }
        });
    }
    soon(clients.join_all()).await;
    let counters = served.balanced().await;
    assert!(counters.accepted > 0);
    assert_eq!(counters.refused_for(RefusalKind::UnknownNode), 0);
}
