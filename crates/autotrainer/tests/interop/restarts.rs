//! Services that stop, are killed, and come again.

use std::time::Duration;

use autotrainer_api::zmq::Heartbeats;
use autotrainer_api::{
    CallError, Channel, Command, CommandRequest, CommandResponse, Deadline, Delivery, Gap, Message,
    Remote, RemoteChange, RemoteOptions, Service, SubscribeOptions, Topic,
};
use nodewire_testkit::{AutotrainerService, AutotrainerServiceOptions, AutotrainerVersion};
use tokio::net::TcpListener;

use crate::support::{
    PATIENCE, builder, event, joined, message, options_of, patiently, ports, python,
    python_options, remote_of, started, until,
};

async fn success(_: CommandRequest) -> CommandResponse {
    CommandResponse::success()
}

/// On these ports, as soon as they are free.
async fn started_at((events, commands): (u16, u16)) -> Service {
    let again = async {
        loop {
            let builder = builder().subscriber_port(events).command_port(commands);
            let service = builder.handler(success).build();
            if service.start().await.is_ok() {
                return service;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    patiently(again).await
}

/// A port where nobody listens.
async fn free_ports() -> (u16, u16) {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    (port(&first), port(&second))
}

#[tokio::test]
async fn what_cannot_be_sent_in_time_is_never_sent() {
    let (events, commands) = free_ports().await;
    let options = RemoteOptions::ports("127.0.0.1", events, commands);
    let remote = Remote::connect(options).await.unwrap();
    let mut changes = remote.changes();
    let stop = remote.command(Command::EmergencyStop);
    let error = stop
        .timeout(Duration::from_millis(20))
        .send()
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    assert!(error.is_unsent());
    let probe = remote.probe(Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(probe, CallError::Unreachable { .. }), "{probe}");

    let service = started_at((events, commands)).await;
    let waiting = remote.command(Command::GetStatus).timeout(PATIENCE);
    waiting.send().await.unwrap();
    assert!(remote.is_connected(Channel::Commands));
    // Only the second command has come.
    let requests = service.counts().requests;
    let total: u64 = requests.iter().map(|row| row.2).sum();
    assert_eq!(total, 1, "{requests:?}");
    let connected = async {
        loop {
            let change = changes.next().await.unwrap();
            if matches!(
                change,
                RemoteChange::Connected {
                    channel: Channel::Commands,
                    ..
                }
            ) {
                return;
            }
        }
    };
    patiently(connected).await;
    service.stop().await;
}

#[tokio::test]
async fn subscriptions_and_commands_come_back() {
    let service = started(builder().handler(success)).await;
    let remote = remote_of(&service).await;
    let mut events = remote.events().await;
    joined(&remote, &service).await;
    let ports = ports(&service);
    drop(service);
    let gap = patiently(events.next()).await;
    assert_eq!(gap, Some(Delivery::Gap(Gap::Interrupted)));

    let service = started_at(ports).await;
    joined(&remote, &service).await;
    service.publisher().send_event(&event(1)).await.unwrap();
    assert!(matches!(message(&mut events).await, Message::Event { .. }));
    remote.command(Command::GetStatus).send().await.unwrap();
    assert!(remote.counts().interruptions >= 1);
    service.stop().await;
}

#[tokio::test]
async fn a_lost_connection_ends_what_was_sent_and_idempotent_commands_are_sent_again() {
    let never = async |_: CommandRequest| std::future::pending::<CommandResponse>().await;
    let service = started(builder().handler(never).deadline(Deadline::Wait)).await;
    let remote = remote_of(&service).await;
    let ports = ports(&service);
    let once = remote.command(Command::EmergencyStop).send();
    let again = remote
        .command(Command::GetStatus)
        .retry_idempotent(50)
        .send();
    let restart = async {
        until(&remote, |counts| counts.requests == 2).await;
        drop(service);
        started_at(ports).await
    };
    let (once, again, service) = tokio::join!(once, again, restart);
    let once = once.unwrap_err();
    assert!(matches!(once, CallError::ConnectionLost), "{once}");
    assert!(!once.is_unsent());
    again.unwrap();
    let requests = service.counts().requests;
    assert!(
        requests.iter().all(|row| row.0 == Command::GetStatus),
        "{requests:?}"
    );
    service.stop().await;
}

/// Kills and restarts the service under command load: each command has an answer or a typed error, and none hangs.
#[tokio::test]
async fn fifty_restarts_under_load() {
    const CYCLES: usize = 50;
    let mut service = started(builder().handler(success)).await;
    let ports = ports(&service);
    let options = RemoteOptions {
        timeout: Duration::from_secs(5),
        ..options_of(&service)
    };
    let remote = Remote::connect(options).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (remote, stop) = (remote.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut answered, mut lost) = (0_u64, 0_u64);
                while !stop.is_cancelled() {
                    match remote.command(Command::GetStatus).send().await {
                        Ok(_) => answered += 1,
                        Err(CallError::ConnectionLost | CallError::TimedOut) => lost += 1,
                        Err(CallError::Unreachable { .. }) => lost += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                (answered, lost)
            })
        })
        .collect();
    for _ in 0..CYCLES {
        let before = remote.counts().answers;
        until(&remote, |counts| counts.answers > before + 20).await;
        drop(service);
        service = started_at(ports).await;
    }
    let before = remote.counts().answers;
    until(&remote, |counts| counts.answers > before + 20).await;
    stop.cancel();
    let (mut answered, mut lost) = (0, 0);
    for caller in callers {
        let (its_answered, its_lost) = patiently(caller).await.unwrap();
        answered += its_answered;
        lost += its_lost;
    }
    let counts = remote.counts();
    assert_eq!(counts.answers, answered);
    let errors = counts.connection_lost + counts.timeouts + counts.unsent;
    assert_eq!(errors, lost, "{counts:?}");
    assert_eq!(
        counts.requests + counts.unsent,
        answered + lost,
        "{counts:?}"
    );
    assert!(counts.rebuilt >= CYCLES as u64 / 2, "{counts:?}");
    service.stop().await;
}

async fn survives_the_end_of(version: AutotrainerVersion) {
    let (event_port, command_port) = free_ports().await;
    let start = || {
        let options = AutotrainerServiceOptions {
            event_port,
            command_port,
            heartbeat_interval_s: 0.1,
            ..AutotrainerServiceOptions::default()
        };
        AutotrainerService::start(version, options)
    };
    let mut service = start().await.unwrap();
    let options = RemoteOptions {
        timeout: PATIENCE,
        ..RemoteOptions::ports("127.0.0.1", event_port, command_port)
    };
    let remote = Remote::connect(options).await.unwrap();
    remote.wait_for_heartbeat(PATIENCE).await.unwrap();
    remote.command(Command::GetStatus).send().await.unwrap();

    // Two frames: the delegate runs, then the service thread dies (Q16). Later requests are never answered.
    let two = [
        bytes::Bytes::from_static(b"{\"command\":400}"),
        bytes::Bytes::new(),
    ];
    let died = remote.call_raw(&two, Duration::from_secs(1)).await;
    assert!(matches!(died, Err(CallError::TimedOut)), "{died:?}");
    let unanswered = async {
        while remote.counts().rebuilt == 0 {
            let call = remote.command(Command::GetStatus);
            let dead = call.timeout(Duration::from_secs(1)).send().await;
            assert!(matches!(dead, Err(CallError::TimedOut)), "{dead:?}");
        }
    };
    patiently(unanswered).await;
    assert_eq!(remote.counts().timeouts, 4);
    service.kill().await.unwrap();
    let mut again = start().await.unwrap();
    let answer = remote.command(Command::GetStatus).send().await.unwrap();
    assert!(answer.answer.result.is_positive());
    assert!(remote.probe(PATIENCE).await.unwrap().is_some());
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_0_9_11_service_that_died_of_a_request_and_was_started_again() {
    survives_the_end_of(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn a_0_12_0_service_that_died_of_a_request_and_was_started_again() {
    survives_the_end_of(AutotrainerVersion::V0_12_0).await;
}

/// A machine that has stopped says nothing: only signs of life tell, and after it goes on everything comes back.
async fn a_halt_is_noticed(version: AutotrainerVersion) {
    let mut service = python(version, 0.05).await;
    let often = Heartbeats {
        interval: Duration::from_millis(50),
        // Longer than a busy machine keeps the service from answering.
        timeout: Duration::from_secs(5),
    };
    let mut options = python_options(&service);
    options.socket_options.heartbeats = Some(often);
    let remote = Remote::connect(options).await.unwrap();
    let mut heartbeats = remote
        .subscribe(SubscribeOptions::topics(&[Topic::HEARTBEAT]))
        .await;
    for _ in 0..20 {
        assert!(matches!(
            message(&mut heartbeats).await,
            Message::Heartbeat(_)
        ));
    }
    remote.command(Command::GetStatus).send().await.unwrap();
    assert_eq!(remote.counts().interruptions + remote.counts().rebuilt, 0);

    service.process().signal("STOP").unwrap();
    until(&remote, |counts| {
        counts.interruptions > 0 && counts.rebuilt > 0
    })
    .await;
    service.process().signal("CONT").unwrap();
    remote.command(Command::GetStatus).send().await.unwrap();
    while patiently(heartbeats.next()).await != Some(Delivery::Gap(Gap::Interrupted)) {}
    while !matches!(
        patiently(heartbeats.next()).await,
        Some(Delivery::Message(_))
    ) {}
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_halt_of_both_releases_is_noticed() {
    for version in AutotrainerVersion::ALL {
        a_halt_is_noticed(version).await;
    }
}
