use proptest::prelude::*;

use super::*;

fn key(instance_id: &'static str, node_id: u64) -> Key {
    Key {
        instance_id: instance_id.into(),
        node_id: NodeId::from(node_id),
    }
}

fn status(text: &str) -> Status {
    Status::from_json(Json::parse(text.to_owned()).expect("JSON"))
}

fn running() -> Status {
    status(r#"{"type": "running"}"#)
}

/// One execution is outstanding; what the statuses in turn mean.
fn verdicts(statuses: &[&str]) -> (Outstanding<u64>, Vec<Verdict<u64>>) {
    let now = Instant::now();
    let mut table = Outstanding::new(10);
    table.insert(key("a", 1), 7, None, now).expect("room");
    let verdicts = statuses
        .iter()
        .map(|text| table.on_status(&key("a", 1), status(text), now))
        .collect();
    (table, verdicts)
}

fn failed(message: &str) -> Verdict<u64> {
    Verdict::End(
        7,
        Err(ExecutionError::Failed {
            message: message.to_owned(),
        }),
    )
}

#[test]
fn the_first_final_status_wins() {
    let (table, told) = verdicts(&[
        r#"{"type": "running"}"#,
        r#"{"type": "error", "message": "first"}"#,
        r#"{"type": "complete", "outputs": {}}"#,
        r#"{"type": "running"}"#,
    ]);
    assert_eq!(told[0], Verdict::Forward(7, running()));
    assert_eq!(
        told[1..],
        [failed("first"), Verdict::Dropped, Verdict::Dropped]
    );
    assert_eq!(
        (table.counters().failed, table.counters().late_statuses),
        (1, 2)
    );
}

#[test]
fn outputs_are_an_object_in_the_end() {
    for (outputs, expected) in [(r#"{"x": [NaN]}"#, r#"{"x": [NaN]}"#), ("null", "{}")] {
        let (_, mut told) =
            verdicts(&[&format!(r#"{{"type": "complete", "outputs": {outputs}}}"#)]);
        let Some(Verdict::End(7, Ok(completion))) = told.pop() else {
            panic!("{told:?}")
        };
        assert_eq!(completion.outputs.as_str(), expected);
    }
    for outputs in ["[1]", "1", "\"x\"", "true"] {
        let (table, told) =
            verdicts(&[&format!(r#"{{"type": "complete", "outputs": {outputs}}}"#)]);
        assert!(
            matches!(
                told[0],
                Verdict::End(7, Err(ExecutionError::InvalidOutputs { .. }))
            ),
            "{told:?}"
        );
        assert_eq!(table.counters().failed, 1);
    }
}

#[test]
fn a_complete_without_outputs_waits_for_them() {
    let bare = r#"{"type": "complete", "message": "early"}"#;
    let (table, told) = verdicts(&[
        bare,
        bare,
        r#"{"type": "running"}"#,
        r#"{"type": "complete", "outputs": {"x": 1}}"#,
    ]);
    assert_eq!(
        told[..3],
        [Verdict::Hold, Verdict::Hold, Verdict::Forward(7, running())]
    );
    assert!(
        matches!(&told[3], Verdict::End(7, Ok(completion)) if completion.outputs.as_str() == r#"{"x": 1}"#)
    );
    assert_eq!(table.next_deadline(), None);

    let (mut table, told) = verdicts(&[bare]);
    assert_eq!(told, [Verdict::Hold]);
    let deadline = table.next_deadline().expect("the grace");
    assert!(
        table
            .on_time(deadline - Duration::from_millis(1))
            .is_empty()
    );
    let ends = table.on_time(deadline);
    let [(7, Ok(completion))] = &ends[..] else {
        panic!("{ends:?}")
    };
    assert_eq!(
        (
            completion.outputs.as_str(),
            completion.status.message.as_deref()
        ),
        ("{}", Some("early"))
    );
    assert!(table.is_empty());
}

#[test]
fn errors_have_a_message_and_follow_a_stop() {
    let (_, told) = verdicts(&[r#"{"type": "error", "message": ""}"#]);
    assert_eq!(told, [failed("node failed without a message")]);

    let now = Instant::now();
    let mut table = Outstanding::new(10);
    for (instance_id, waiter) in [("wf", 1), ("wf-7", 2)] {
        table
            .insert(key(instance_id, 1), waiter, None, now)
            .expect("room");
    }
    table.stopping("wf");
    let cancelled = || status(r#"{"type": "error", "message": "Execution cancelled"}"#);
    let told = [("wf", true), ("wf-7", false)].map(|(instance_id, stopped)| {
        let verdict = table.on_status(&key(instance_id, 1), cancelled(), now);
        matches!(
            verdict,
            Verdict::End(_, Err(ExecutionError::Stopped { .. }))
        ) == stopped
    });
    assert_eq!(told, [true, true]);
}

#[test]
fn refusals_leave_no_trace() {
    let now = Instant::now();
    let mut table = Outstanding::new(1);
    table.insert(key("a", 1), 1, None, now).expect("room");
    assert!(matches!(
        table.insert(key("a", 2), 2, None, now),
        Err(ExecuteError::TooManyOutstanding { limit: 1 })
    ));
    let mut table = Outstanding::new(2);
    let ticket = table.insert(key("a", 1), 1, None, now).expect("room");
    assert!(matches!(
        table.insert(key("a", 1), 2, None, now),
        Err(ExecuteError::Duplicate { .. })
    ));
    assert_eq!(table.counters().accepted, 1);
    table.abandon(&key("a", 1), ticket + 1);
    assert_eq!(table.counters().abandoned, 0, "another execution's ticket");
    table.abandon(&key("a", 1), ticket);
    assert!(table.is_empty() && !table.mark_sent(&key("a", 1), ticket));
    assert_eq!(
        table.on_status(&key("b", 1), running(), now),
        Verdict::Dropped
    );
    assert_eq!(
        (
            table.counters().abandoned,
            table.counters().unknown_statuses
        ),
        (1, 1)
    );
}

#[test]
fn a_loss_says_what_was_sent() {
    let now = Instant::now();
    let mut table = Outstanding::new(2);
    let ticket = table.insert(key("a", 1), 1, None, now).expect("room");
    table
        .insert(key("a", 2), 2, Some(Duration::from_secs(1)), now)
        .expect("room");
    assert!(table.mark_sent(&key("a", 1), ticket));
    let mut ends = table.on_loss("gone");
    ends.sort_by_key(|(waiter, _)| *waiter);
    let lost = |sent| {
        Err(ExecutionError::ServerLost {
            reason: "gone".to_owned(),
            sent,
        })
    };
    assert_eq!(ends, [(1, lost(true)), (2, lost(false))]);
    assert_eq!((table.next_deadline(), table.counters().lost), (None, 2));
}

#[derive(Debug, Clone)]
enum Step {
    Insert {
        node_id: u64,
        timeout_ms: Option<u64>,
    },
    Status {
        node_id: u64,
        text: &'static str,
    },
    Stop,
    Abandon {
        node_id: u64,
    },
    Wait {
        ms: u64,
    },
    Loss,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let statuses = prop::sample::select(vec![
        r#"{"type": "running", "outputs": {}}"#,
        r#"{"type": "idle"}"#,
        r#"{"type": "complete"}"#,
        r#"{"type": "complete", "outputs": {"x": 1}}"#,
        r#"{"type": "complete", "outputs": 5}"#,
        r#"{"type": "error"}"#,
        "7",
    ]);
    prop_oneof![
        4 => (0..6_u64, prop::option::of(0..3000_u64)).prop_map(|(node_id, timeout_ms)| Step::Insert { node_id, timeout_ms }),
        8 => (0..6_u64, statuses).prop_map(|(node_id, text)| Step::Status { node_id, text }),
        1 => Just(Step::Stop),
        2 => (0..6_u64).prop_map(|node_id| Step::Abandon { node_id }),
        2 => (0..2000_u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Loss),
        1 => Just(Step::Close),
    ]
}

/// What a caller knows of its executions, to compare the table with.
#[derive(Default)]
struct Callers {
    /// Ticket by waiter; waiters are numbered as they come.
    open: HashMap<u64, (Key, Ticket)>,
    next: u64,
}

impl Callers {
    fn ended(&mut self, ends: impl IntoIterator<Item = u64>) {
        for waiter in ends {
            assert!(self.open.remove(&waiter).is_some(), "{waiter} ended twice");
        }
    }
}

proptest! {
    #[test]
    fn every_execution_ends_once(steps in prop::collection::vec(step(), 1..200)) {
        let mut now = Instant::now();
        let mut table = Outstanding::new(4);
        let mut callers = Callers::default();
        for step in steps {
            match step {
                Step::Insert { node_id, timeout_ms } => {
                    let timeout = timeout_ms.map(Duration::from_millis);
                    if let Ok(ticket) = table.insert(key("a", node_id), callers.next, timeout, now) {
                        callers.open.insert(callers.next, (key("a", node_id), ticket));
                        callers.next += 1;
                    }
                }
                Step::Status { node_id, text } => match table.on_status(&key("a", node_id), status(text), now) {
                    Verdict::Forward(waiter, _) => prop_assert!(callers.open.contains_key(&waiter)),
                    Verdict::End(waiter, _) => callers.ended([waiter]),
                    Verdict::Hold | Verdict::Dropped => {}
                },
                Step::Stop => table.stopping("a"),
                Step::Abandon { node_id } => {
                    let found = callers.open.iter().find(|(_, (key, _))| key.node_id == NodeId::from(node_id));
                    if let Some((waiter, (key, ticket))) = found.map(|(waiter, found)| (*waiter, found.clone())) {
                        table.abandon(&key, ticket);
                        callers.ended([waiter]);
                    }
                }
                Step::Wait { ms } => {
                    now += Duration::from_millis(ms);
                    callers.ended(table.on_time(now).into_iter().map(|(waiter, _)| waiter));
                    prop_assert!(table.next_deadline().is_none_or(|deadline| deadline > now));
                }
                Step::Loss => callers.ended(table.on_loss("gone").into_iter().map(|(waiter, _)| waiter)),
                Step::Close => callers.ended(table.on_close().into_iter().map(|(waiter, _)| waiter)),
            }
            let counters = table.counters();
            let ClientCounters { completed, failed, stopped, timed_out, lost, closed, abandoned, outstanding, .. } = counters;
            prop_assert_eq!(outstanding, callers.open.len() as u64);
            let accounted = completed + failed + stopped + timed_out + lost + closed + abandoned + outstanding;
            prop_assert_eq!(counters.accepted, accounted);
        }
    }
}
