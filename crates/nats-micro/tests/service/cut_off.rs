//! What a stop does that takes too long. spec: nats-micro 8

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nats_micro::{Endpoint, Request, RespondError, ServiceBuilder, ServiceError};

use crate::support::{TestBroker, ask, demo, echo, gated, on_both_brokers, until};

on_both_brokers! {
    a_request_has_one_end
    blocking_work_that_had_not_begun_does_not_begin
    a_future_that_panics_when_dropped_holds_nobody_up
    a_handler_that_blocks_does_not_hold_up_the_stop
    what_came_while_a_handler_blocked_is_told
}

/// Keeps the rest of a runtime awake whose worker is blocked: it may be the one that waits for sockets and timers, and the
/// others only look after those when they have something to do.
struct Awake(Arc<AtomicBool>);

impl Awake {
    fn keep() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (until, runtime) = (Arc::clone(&over), tokio::runtime::Handle::current());
        std::thread::spawn(move || {
            while !until.load(Ordering::SeqCst) {
                runtime.spawn(async {});
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self(over)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn impatient() -> ServiceBuilder {
    demo().stop_timeout(Duration::from_millis(50))
}

/// Told 503, and nothing afterwards, though the handler goes on.
async fn a_request_has_one_end(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let go_on = Arc::new(AtomicBool::new(false));
    let refused = Arc::new(AtomicUsize::new(0));
    let computing = {
        let (go_on, refused) = (Arc::clone(&go_on), Arc::clone(&refused));
        Endpoint::blocking("blocking", move |request: Request| {
            while !go_on.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let said = tokio::runtime::Handle::current().block_on(request.respond("late"));
            if said == Err(RespondError::Ended) {
                refused.fetch_add(1, Ordering::SeqCst);
            }
            "later"
        })
    };
    let service = impatient()
        .endpoint(computing)
        .start(&client)
        .await
        .unwrap();
    let mut replies = ask(&client, "blocking", "").await;
    until("it runs", || service.snapshots()[0].in_flight == 1).await;
    service.stop().await;
    let error = ServiceError::from_reply(&replies.next().await).unwrap();
    assert_eq!(error.to_string(), "503:Service Unavailable");
    go_on.store(true, Ordering::SeqCst);
    until("it tried to answer", || refused.load(Ordering::SeqCst) == 1).await;
    let _fence = demo().endpoint(echo("fence")).start(&client).await.unwrap();
    replies.assert_no_more(&client, "fence").await;
    let stats = service.stats().endpoints.remove(0);
    assert_eq!((stats.num_requests, stats.num_errors), (1, 1));
}

async fn blocking_work_that_had_not_begun_does_not_begin(broker: &mut TestBroker) {
    /// More than tokio's blocking pool has threads.
    const REQUESTS: usize = 600;
    let client = broker.connect().await;
    let begun = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let endpoint = {
        let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
        Endpoint::blocking("blocking", move |_: Request| {
            begun.fetch_add(1, Ordering::SeqCst);
            let (open, opened) = &*gate;
            drop(
                opened
                    .wait_while(open.lock().unwrap(), |open| !*open)
                    .unwrap(),
            );
        })
    };
    let service = impatient()
        .endpoint(endpoint.concurrency(REQUESTS))
        .start(&client)
        .await
        .unwrap();
    for _ in 0..REQUESTS {
        client.publish("blocking", "".into()).await.unwrap();
    }
    until("all are taken", || {
        service.snapshots()[0].in_flight == REQUESTS
    })
    .await;
    service.stop().await;
    let before = begun.load(Ordering::SeqCst);
    assert!(before < REQUESTS, "the pool had room for all: {before}");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    // Whatever still waits for a thread would get one now; this comes after it.
    tokio::task::spawn_blocking(|| ()).await.unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), before);
    assert_eq!(service.stats().endpoints[0].num_requests, REQUESTS as u64);
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("wanted by the test");
    }
}

async fn a_future_that_panics_when_dropped_holds_nobody_up(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let bad = Endpoint::new("bad", |_: Request| async {
        let _bad = PanicsWhenDropped;
        std::future::pending::<()>().await;
    });
    let service = impatient().endpoint(bad).start(&client).await.unwrap();
    let mut asked = vec![ask(&client, "bad", "").await, ask(&client, "bad", "").await];
    until("both run", || service.snapshots()[0].in_flight == 2).await;
    service.stop().await;
    for replies in &mut asked {
        let error = ServiceError::from_reply(&replies.next().await).unwrap();
        assert_eq!(error.code(), Some(503));
    }
    let snapshot = service.snapshots().remove(0);
    assert_eq!((snapshot.num_requests, snapshot.in_flight), (2, 0));
}

async fn a_handler_that_blocks_does_not_hold_up_the_stop(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let go_on = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicBool::new(false));
    let endpoint = {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        Endpoint::new("rude", move |_: Request| {
            begun.store(true, Ordering::SeqCst);
            let _awake = Awake::keep();
            while !go_on.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            async {}
        })
    };
    let service = impatient().endpoint(endpoint).start(&client).await.unwrap();
    client.publish("rude", "".into()).await.unwrap();
    until("it blocks", || begun.load(Ordering::SeqCst)).await;
    // Without a bound this would never return.
    service.stop().await;
    assert!(!go_on.swap(true, Ordering::SeqCst));
    // Its connection is another's too.
    let (again, gate) = gated("again");
    gate.open();
    let again = demo().endpoint(again).start(&client).await.unwrap();
    client.request("again", "".into()).await.unwrap();
    again.stop().await;
}

async fn what_came_while_a_handler_blocked_is_told(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let caller = broker.connect().await;
    let go_on = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicBool::new(false));
    let endpoint = {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        Endpoint::new("rude", move |_: Request| {
            begun.store(true, Ordering::SeqCst);
            let _awake = Awake::keep();
            while !go_on.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            async { "done" }
        })
    };
    let service = impatient().endpoint(endpoint).start(&client).await.unwrap();
    let mut first = ask(&caller, "rude", "").await;
    until("it blocks", || begun.load(Ordering::SeqCst)).await;
    let mut others = vec![
        ask(&caller, "rude", "").await,
        ask(&caller, "rude", "").await,
    ];
    service.stop().await;
    go_on.store(true, Ordering::SeqCst);
    // It was at its end before anybody could cut it off.
    assert_eq!(first.next().await.payload, "done");
    for replies in &mut others {
        let reply = replies.next().await;
        let told = ServiceError::from_reply(&reply).map(|error| error.to_string());
        let answered =
            reply.payload == "done" || told.as_deref() == Some("503:Service Unavailable");
        assert!(answered, "{reply:?}");
    }
}
