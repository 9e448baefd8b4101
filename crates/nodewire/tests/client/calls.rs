//! Executions on every wire.

use std::sync::atomic::Ordering;

use ::bytes::Bytes;
use nodewire::capability::Wire;
use nodewire::client::{Call, Remote, RemoteErrorKind, RemoteEvent};
use nodewire::{Json, RefusalKind, Value};

use crate::support::{Served, WIRES, all, soon, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_and_parameters_come_out_on_every_wire() {
    let served = Served::start().await;
    for wire in WIRES {
        let remote = served.remote(wire).await;
        let texts = vec![Value::from("a"), Value::from("é\n")];
        for call in [
            Call::new("echo").input("text", texts.clone()),
            Call::new("echo").input("text", texts.clone()).quiet(),
        ] {
            let outputs = soon(remote.call(call.clone())).await.unwrap();
            let expected = [Value::from("> a"), Value::from("> é\n")];
            assert_eq!(outputs.get("text").unwrap().values(), expected, "{wire}");
            let call = call.parameter("prefix", "= ");
            let events = all(remote.execute(call).await).await;
            let [RemoteEvent::Completed(outputs)] = events.as_slice() else {
                panic!("{wire}: {events:?}");
            };
            assert_eq!(outputs.first("text"), Some(&Value::from("= a")), "{wire}");
        }
        soon(remote.close()).await;
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_node_does_not_have_is_refused_by_name_but_on_nanograph() {
    let served = Served::start().await;
    for (wire, refused) in WIRES.into_iter().zip(0..) {
        let remote = served.remote(wire).await;
        let misspelt = Call::new("echo").input("text", "a").input("txet", "b");
        let called = soon(remote.call(misspelt)).await;
        if wire == Wire::Nanograph {
            called.unwrap();
            continue;
        }
        let error = called.unwrap_err();
        assert_eq!(error.kind(), RemoteErrorKind::InvalidInput, "{wire}");
        let told = "node `echo` has no input `txet`; it has `text`";
        assert!(error.message().contains(told), "{wire}: {error}");
        let counters = served.executor().counters();
        assert_eq!(
            counters.refused_for(RefusalKind::InvalidInput),
            refused,
            "{wire}"
        );
        soon(remote.close()).await;
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_come_back_but_on_nanograph() {
    let served = Served::start().await;
    for wire in WIRES {
        let remote = served.remote(wire).await;
        let call = Call::new("reverse").input("data", Bytes::from_static(b"\x00\x01\xff"));
        let outcome = soon(remote.call(call)).await;
        if wire == Wire::Nanograph {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), RemoteErrorKind::Unsupported, "{error}");
        } else {
            let expected = Value::Bytes(Bytes::from_static(b"\xff\x01\x00"));
            assert_eq!(outcome.unwrap().first("data"), Some(&expected), "{wire}");
        }
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_their_kind_where_the_wire_tells_it() {
    let served = Served::start().await;
    for wire in WIRES {
        let remote = served.remote(wire).await;
        let kind_of = |call: Call| {
            let remote = remote.clone();
            async move { soon(remote.call(call)).await.unwrap_err() }
        };
        let missing = kind_of(Call::new("echo")).await;
        let panicked = kind_of(Call::new("panic")).await;
        let told = (missing.kind(), panicked.kind());
        let expected = if wire == Wire::Nanograph {
            (RemoteErrorKind::Failed, RemoteErrorKind::Failed)
        } else {
            (RemoteErrorKind::InvalidInput, RemoteErrorKind::Internal)
        };
        assert_eq!(told, expected, "{wire}: {missing}, {panicked}");
        assert!(missing.message().contains("text"), "{wire}: {missing}");
        let events = all(remote.execute(Call::new("panic")).await).await;
        assert!(
            matches!(events.as_slice(), [RemoteEvent::Failed(_)]),
            "{wire}: {events:?}"
        );
        let unknown = kind_of(Call::new("no-such-node")).await;
        assert_eq!(
            unknown.kind(),
            RemoteErrorKind::UnknownNode,
            "{wire}: {unknown}"
        );
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_and_partial_outputs_come_before_the_end() {
    let served = Served::start().await;
    for wire in WIRES {
        let remote = served.remote(wire).await;
        // A device has to know of the subscription first, and publishes nothing of what was before.
        let mut events = all(remote.execute(Call::new("progress")).await).await;
        while wire == Wire::Autotrainer && events.len() < 5 {
            events = all(remote.execute(Call::new("progress")).await).await;
        }
        let steps: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                RemoteEvent::Progress(progress) => Some((progress.step, progress.message.as_str())),
                RemoteEvent::Partial(_)
                | RemoteEvent::Completed(_)
                | RemoteEvent::Failed(_)
                | RemoteEvent::Cancelled
                | RemoteEvent::Dropped { .. } => None,
            })
            .collect();
        let expected = [
            (Some(1), "step 1"),
            (Some(2), "step 2"),
            (Some(3), "step 3"),
        ];
        assert_eq!(steps, expected, "{wire}");
        let n = |text: &'static str| Some(Value::Json(Json::parse(text).unwrap()));
        let [.., RemoteEvent::Partial(some), RemoteEvent::Completed(end)] = events.as_slice()
        else {
            panic!("{wire}: {events:?}");
        };
        assert_eq!(some.first("n").cloned(), n("2"), "{wire}");
        assert_eq!(end.first("n").cloned(), n("3"), "{wire}");
        let events = all(remote.execute(Call::new("progress").quiet()).await).await;
        if !matches!(wire, Wire::Nanograph) {
            assert_eq!(events.len(), 1, "{wire}: {events:?}");
        }
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_reaches_the_handler_and_so_does_a_drop() {
    let served = Served::start().await;
    let told = |count: usize| {
        let told = &served.probe.told_to_stop;
        until("the handler is told to stop", move || {
            told.load(Ordering::SeqCst) >= count
        })
    };
    let mut begun = 0;
    for wire in WIRES {
        let remote = served.remote(wire).await;
        for call in [Call::new("wait/here"), Call::new("wait/here").quiet()] {
            let mut execution = remote.execute(call.clone()).await;
            begun += 1;
            served.probe.wait_until_begun(begun).await;
            execution.cancel();
            let end = loop {
                let event = soon(execution.next()).await.unwrap();
                if event.is_terminal() {
                    break event;
                }
            };
            assert!(matches!(end, RemoteEvent::Cancelled), "{wire}: {end:?}");
            assert!(soon(execution.next()).await.is_none());
            told(begun).await;

            let execution = remote.execute(call).await;
            begun += 1;
            served.probe.wait_until_begun(begun).await;
            drop(execution);
            told(begun).await;
        }
        // A caller that gives up cancels too.
        let waiting = tokio::spawn({
            let remote = remote.clone();
            async move { remote.call(Call::new("wait/here")).await }
        });
        begun += 1;
        served.probe.wait_until_begun(begun).await;
        waiting.abort();
        told(begun).await;
    }
    until("nothing is in flight", || {
        served.executor().counters().in_flight == 0
    })
    .await;
    assert_eq!(served.executor().counters().cancelled, begun as u64);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_is_over_ends_executions_on_every_wire() {
    let served = Served::start().await;
    for wire in WIRES {
        let remote = served.remote(wire).await;
        let call = Call::new("wait/here").timeout(std::time::Duration::from_millis(100));
        let error = soon(remote.call(call)).await.unwrap_err();
        assert_eq!(error.kind(), RemoteErrorKind::Deadline, "{wire}: {error}");
    }
    until("nothing is in flight", || {
        served.executor().counters().in_flight == 0
    })
    .await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_told_apart() {
    let served = Served::start().await;
    for wire in WIRES {
        let remote = served.remote(wire).await;
        let calls = (0..64).map(|number| {
            let remote = remote.clone();
            async move {
                let text = format!("number {number}");
                let call = Call::new("echo").input("text", text.as_str());
                let outputs = soon(remote.call(call)).await.unwrap();
                let expected = format!("> {text}");
                assert_eq!(
                    outputs.first("text"),
                    Some(&Value::from(expected.as_str())),
                    "{wire}"
                );
            }
        });
        futures_util::future::join_all(calls).await;
    }
    assert_eq!(
        served.executor().counters().completed,
        64 * WIRES.len() as u64
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executions_beyond_the_bound_wait() {
    let served = Served::start().await;
    let mut options = crate::support::patient();
    options.executions_max = 1;
    for wire in WIRES {
        let remote = soon(Remote::connect(&served.target(wire), options.clone()))
            .await
            .unwrap();
        let first = remote.execute(Call::new("wait/here")).await;
        let second = remote.execute(Call::new("echo").input("text", "a"));
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending(), "{wire}");
        first.cancel();
        let second = tokio::time::timeout(crate::support::PATIENCE, second).await;
        let second = second.unwrap_or_else(|_| panic!("{wire}: the first has no end"));
        assert!(soon(second.outcome()).await.is_ok(), "{wire}");
    }
    served.probe.open();
    served.stop().await;
}
