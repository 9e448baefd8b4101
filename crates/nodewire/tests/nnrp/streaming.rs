//! Progress and partial outputs.

use bytes::Bytes;
use nnrp_wire::FlowReason;
use nnrp_wire::HintPolicy;
use nnrp_wire::body::PayloadKind;
use nnrp_wire::metadata::FlowUpdateMetadata;
use nnrp_wire::session::FrameOutcome;
use nodewire::capability::Feature;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{BURST, Served, asking, rest, seen, soon, streaming, submit, text, until};

const REQUEST: &str = r#"{"node": "progress"}"#;

fn three() -> (PayloadKind, u16, Bytes) {
    (PayloadKind::StructuredEvent, 1, Bytes::from_static(b"3"))
}

#[tokio::test]
async fn who_takes_partial_results_gets_progress_and_partial_outputs() {
    let served = Served::start().await;
    let session = served.session().await;
    let answer = seen(&session, streaming(REQUEST)).await;
    assert_eq!(answer.outcome, FrameOutcome::Complete);
    let [one, two, third, partial, last] = &*answer.results else {
        panic!("{answer:?}");
    };
    for (step, told) in (1..).zip([one, two, third]) {
        let [(PayloadKind::StructuredEvent, 0, told)] = &**told else {
            panic!("{told:?}");
        };
        let told: Value = serde_json::from_slice(told).unwrap();
        let message = format!("step {step}");
        let wanted = json!({"event": "progress", "step": step, "total": 3, "message": message});
        assert_eq!(told, wanted);
    }
    assert_eq!(**partial, [text(1, "so far")]);
    assert_eq!(**last, [three()]);
    assert!(answer.hints.is_empty());
    assert!(served.server.lost().is_empty());
}

#[tokio::test]
async fn who_does_not_gets_a_hint_and_the_loss_is_counted() {
    let served = Served::start().await;
    let session = served.session().await;
    let answer = seen(&session, asking(REQUEST)).await;
    assert_eq!(answer.result(), [three()]);
    let [hint] = &*answer.hints else {
        panic!("{answer:?}");
    };
    assert_eq!(hint.applied_budget_policy, HintPolicy::Full);
    assert_eq!(served.lost(Feature::Progress), 1);
    assert_eq!(served.lost(Feature::PartialOutputs), 1);
}

/// A handler with partial outputs waits for a client that takes none, and loses none.
#[tokio::test]
async fn partial_outputs_wait_for_the_client() {
    let served = Served::start().await;
    let session = served.session().await;
    let pause = FlowUpdateMetadata::session(FlowReason::Pause);
    soon(session.flow_update(pause)).await.unwrap();
    let key = submit(&session, streaming(REQUEST)).await;
    // Progress has no room, and is left out, by which it can be seen that the handler has come so far.
    until(|| {
        let stats = served.server.executor().registry().stats();
        let stats = stats.iter().find(|stats| stats.uid == "progress").unwrap();
        stats.running == 1
    })
    .await;
    assert_eq!(served.server.executor().counters().in_flight, 1);
    let resume = FlowUpdateMetadata {
        credit_epoch: 1,
        ..FlowUpdateMetadata::session(FlowReason::Resume)
    };
    soon(session.flow_update(resume)).await.unwrap();
    let answer = rest(&session, key).await;
    assert_eq!(answer.outcome, FrameOutcome::Complete);
    let partial = answer.results.iter().rev().nth(1).unwrap();
    assert_eq!(**partial, [text(1, "so far")]);
    assert_eq!(served.lost(Feature::PartialOutputs), 0);
    served.balanced().await;
}

/// Where there is little room and many want it, each gets its turn.
#[tokio::test]
async fn no_partial_output_is_lost_for_want_of_room() {
    let served = Served::start_with(|config| {
        config.server.session.transmits_max = 2;
        config.server.session.transmits_bytes_max = 20 << 10;
    })
    .await;
    let session = served.session().await;
    let mut frames = JoinSet::new();
    for _ in 0..8 {
        let session = session.clone();
        let request = streaming(r#"{"node": "burst"}"#);
        frames.spawn(async move { seen(&session, request).await.results.len() });
    }
    let counts = soon(frames.join_all()).await;
    assert_eq!(counts, [BURST + 1; 8]);
    assert!(served.server.lost().is_empty());
    served.balanced().await;
}
