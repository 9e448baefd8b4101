//! The run context, with the real broker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::future::pending;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt;
use nats_micro::{
    AddServiceError, ConnectOptions, ConnectionEvent, ConnectionEvents, Context, ContextClosed,
    Endpoint, Request, RunError, Service, ServiceBuilder, Signals, run,
};
use nodewire_testkit::NatsServer;
use tokio::time::timeout;

/// Ends what hangs; nothing waits for so long.
const HANG: Duration = Duration::from_secs(60);

fn echo(name: &str) -> ServiceBuilder {
    let echo = Endpoint::new(format!("echo-{name}"), |request: Request| async move {
        request.payload().clone()
    });
    Service::builder(name, "1.0.0").endpoint(echo)
}

/// The client's options for a broker that may go away: quick, and not for ever.
fn impatient(reconnects: usize) -> async_nats::ConnectOptions {
    async_nats::ConnectOptions::new()
        .max_reconnects(reconnects)
        .reconnect_delay_callback(|_| Duration::from_millis(20))
}

async fn event(events: &mut ConnectionEvents, wanted: &ConnectionEvent) {
    timeout(HANG, async {
        while events.next().await.as_ref().expect("the events end") != wanted {}
    })
    .await
    .expect("no such event");
}

async fn answers(client: &Client, subject: &str) -> bool {
    client.request(subject.to_owned(), "x".into()).await.is_ok()
}

/// What happened, in order.
#[derive(Debug, Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn leaving_undoes_the_newest_first_and_drains_the_connection_last() {
    let broker = NatsServer::start().await.unwrap();
    let observer = async_nats::connect(broker.url()).await.unwrap();
    let context = Context::connect(ConnectOptions::new(), broker.url())
        .await
        .unwrap();
    let diary = Diary::default();
    let mut events = context.events();

    let first = context.add_service(echo("first")).await.unwrap();
    let (notes, client) = (diary.clone(), observer.clone());
    let own = context.client().clone();
    context
        .push(move || async move {
            let (first, second) = (
                answers(&client, "echo-first").await,
                answers(&client, "echo-second").await,
            );
            // The connection is still good for callbacks.
            own.publish("goodbye", "".into()).await.unwrap();
            notes.note(format!("first {first}, second {second}"));
        })
        .unwrap();
    context
        .push(|| async { panic!("a callback's panic stops nothing") })
        .unwrap();
    let second = context.add_service(echo("second")).await.unwrap();
    let mut goodbyes = observer.subscribe("goodbye").await.unwrap();
    observer.flush().await.unwrap();

    assert!(!context.is_cancelled() && context.wait_for(async { 7 }).await == Some(7));
    let waiting = tokio::spawn({
        let context = context.clone();
        async move { context.wait_for(pending::<()>()).await }
    });
    timeout(HANG, context.close()).await.unwrap();
    assert_eq!(waiting.await.unwrap(), None, "dropped by the cancellation");
    assert_eq!(diary.entries(), ["first true, second false"]);
    assert!(first.is_stopping() && second.is_stopping());
    assert!(!answers(&observer, "echo-first").await);
    assert!(goodbyes.next().await.is_some());
    event(&mut events, &ConnectionEvent::Closed).await;
    assert_eq!(events.next().await, None);

    // From now on nothing is added, and closing again does nothing.
    assert_eq!(context.push(|| async {}), Err(ContextClosed));
    let refused = context.add_service(echo("late")).await;
    assert!(
        matches!(
            refused,
            Err(AddServiceError::Start(_) | AddServiceError::Closed(_))
        ),
        "{refused:?}"
    );
    timeout(HANG, context.close()).await.unwrap();
    assert_eq!(context.events().next().await, Some(ConnectionEvent::Closed));
}

#[tokio::test]
async fn a_connection_of_somebody_else_stays_open() {
    let broker = NatsServer::start().await.unwrap();
    let client = async_nats::connect(broker.url()).await.unwrap();
    let context = Context::new(client.clone());
    context.add_service(echo("guest")).await.unwrap();
    assert!(answers(&client, "echo-guest").await);
    timeout(HANG, context.close()).await.unwrap();
    assert!(!answers(&client, "echo-guest").await);
    client.flush().await.unwrap();
}

#[tokio::test]
async fn a_signal_answers_what_was_taken_and_ends_with_success() {
    let broker = NatsServer::start().await.unwrap();
    let client = async_nats::connect(broker.url()).await.unwrap();
    let (running, mut taken) = tokio::sync::mpsc::channel(1);
    let slow = Endpoint::new("slow", move |request: Request| {
        let running = running.clone();
        async move {
            running.send(()).await.unwrap();
            // The signal has come when this returns.
            request.stopping().await;
            "answered"
        }
    });
    let program = tokio::spawn(run(
        ConnectOptions::new(),
        broker.url(),
        Signals::Terminate,
        |context: Context| async move {
            let service = Service::builder("slow", "1.0.0").endpoint(slow);
            context.add_service(service).await.map(drop)
        },
    ));
    let ready = async {
        while !answers(&client, "$SRV.PING.slow").await {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG, ready).await.unwrap();
    let request = tokio::spawn({
        let client = client.clone();
        async move { client.request("slow", "".into()).await }
    });
    taken.recv().await.unwrap();
    let pid = std::process::id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    timeout(HANG, program).await.unwrap().unwrap().unwrap();
    let reply = request.await.unwrap().unwrap();
    assert_eq!(&reply.payload[..], b"answered");
    assert!(!answers(&client, "slow").await);
}

#[tokio::test]
async fn a_connection_that_closes_for_good_is_a_failure() {
    let mut broker = NatsServer::start().await.unwrap();
    let (started, mut has_started) = tokio::sync::mpsc::channel(1);
    let diary = Diary::default();
    let notes = diary.clone();
    let program = tokio::spawn(run(
        ConnectOptions::from(impatient(3)),
        broker.url(),
        Signals::Ignore,
        async move |context: Context| {
            context.add_service(echo("lonely")).await?;
            context
                .push(move || async move { notes.note("left") })
                .unwrap();
            started.send(()).await.unwrap();
            Ok::<_, AddServiceError>(())
        },
    ));
    has_started.recv().await.unwrap();
    broker.kill().await.unwrap();
    let failed = timeout(HANG, program).await.unwrap().unwrap();
    assert!(
        matches!(failed, Err(RunError::ConnectionClosed)),
        "{failed:?}"
    );
    assert_eq!(diary.entries(), ["left"]);
}

#[tokio::test]
async fn a_reconnect_is_told_and_resets_if_wanted() {
    for reset in [true, false] {
        let mut broker = NatsServer::start().await.unwrap();
        let diary = Diary::default();
        let notes = diary.clone();
        let options = ConnectOptions::from(impatient(0))
            .reset_on_reconnect(reset)
            .on_event(move |event| notes.note(event.to_string()));
        let context = Context::connect(options, broker.url()).await.unwrap();
        let mut events = context.events();
        let service = context.add_service(echo("counting")).await.unwrap();
        assert!(answers(context.client(), "echo-counting").await);
        let counted = || service.stats().endpoints[0].num_requests;
        let has_counted = async {
            while counted() == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(HANG, has_counted).await.unwrap();
        broker.restart().await.unwrap();
        event(&mut events, &ConnectionEvent::Disconnected).await;
        event(&mut events, &ConnectionEvent::Reconnected).await;
        assert_eq!(counted(), u64::from(!reset));
        let serves_again = async { while !answers(context.client(), "echo-counting").await {} };
        timeout(HANG, serves_again).await.unwrap();
        let counts = context.connection_counts();
        assert_eq!((counts.disconnects, counts.reconnects), (1, 1));
        timeout(HANG, context.close()).await.unwrap();
        assert_eq!(
            diary.entries(),
            ["connected", "disconnected", "reconnected", "closed"]
        );
    }
}

#[tokio::test]
async fn a_lame_duck_is_told_and_may_end_the_program() {
    let broker = NatsServer::start().await.unwrap();
    let context = Context::connect(ConnectOptions::new(), broker.url())
        .await
        .unwrap();
    let mut events = context.events();
    let (started, mut has_started) = tokio::sync::mpsc::channel(1);
    let program = tokio::spawn(run(
        ConnectOptions::new().cancel_on_lame_duck(true),
        broker.url(),
        Signals::Ignore,
        async move |context: Context| {
            context.add_service(echo("duck")).await?;
            started.send(()).await.unwrap();
            Ok::<_, AddServiceError>(())
        },
    ));
    has_started.recv().await.unwrap();
    broker.lame_duck().unwrap();
    event(&mut events, &ConnectionEvent::LameDuck).await;
    assert!(!context.is_cancelled());
    timeout(HANG, program).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn setup_services_and_handlers_can_fail_a_program() {
    let broker = NatsServer::start().await.unwrap();
    let failed = run(
        ConnectOptions::new(),
        broker.url(),
        Signals::Ignore,
        |_| async { Err("no licence") },
    )
    .await;
    assert_eq!(failed.unwrap_err().to_string(), "setup failed: no licence");

    let failed = run(
        ConnectOptions::new(),
        broker.url(),
        Signals::Ignore,
        async |context: Context| {
            let service = context.add_service(echo("broken")).await?;
            tokio::spawn(async move { service.stop_with("the disk is full").await });
            Ok::<_, AddServiceError>(())
        },
    )
    .await;
    assert_eq!(
        failed.unwrap_err().to_string(),
        "service broken: the service was stopped: the disk is full"
    );

    let failed = run(
        ConnectOptions::new(),
        broker.url(),
        Signals::Ignore,
        async |context: Context| {
            context.cancel_with("out of work");
            Ok::<_, AddServiceError>(())
        },
    )
    .await;
    assert!(matches!(failed, Err(RunError::Cancelled(_))), "{failed:?}");
}

#[tokio::test]
async fn connecting_is_tried_as_often_as_the_options_say() {
    let port = nodewire_testkit::free_port().unwrap();
    let url = format!("nats://127.0.0.1:{port}");
    let once = Context::connect(ConnectOptions::new(), &url).await;
    assert_eq!(once.unwrap_err().kind(), async_nats::ConnectErrorKind::Io);

    let patient = ConnectOptions::new().connect_attempts(100_000, Duration::from_millis(10));
    let waiting = tokio::spawn(Context::connect(patient, url));
    let broker = NatsServer::start_on(port).await.unwrap();
    let context = timeout(HANG, waiting).await.unwrap().unwrap().unwrap();
    assert!(!context.is_cancelled());
    drop(broker);
}

#[tokio::test]
async fn credentials_may_stand_in_the_address_and_wrong_ones_are_not_tried_again() {
    let broker = NatsServer::options()
        .user("us er", "p@ss")
        .start()
        .await
        .unwrap();
    let address = format!("127.0.0.1:{}", broker.port());
    let url = format!("nats://us%20er:p%40ss@{address}");
    Context::connect(ConnectOptions::new(), url).await.unwrap();
    let patient = ConnectOptions::new().connect_attempts(100_000, Duration::from_millis(10));
    let refused = Context::connect(patient, format!("nats://us%20er:wrong@{address}")).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        async_nats::ConnectErrorKind::AuthorizationViolation
    );

    let broker = NatsServer::options().token("tok").start().await.unwrap();
    let url = format!("nats://tok@127.0.0.1:{}", broker.port());
    Context::connect(ConnectOptions::new(), url).await.unwrap();
}
