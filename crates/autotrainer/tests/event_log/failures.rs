//! When events cannot be kept.

use std::time::Duration;

use autotrainer_api::{
    Delivery, EventLogError, EventLogOptions, Gap, Message, OnLogFailure, PublishError, Resume,
    StartError, WhenFull,
};
use tempfile::TempDir;

use crate::support::{
    builder, event, gap, indices, log_in, other, patiently, ports, publish, remote_at, resumed,
    started, until,
};

fn impatient(folder: &TempDir) -> EventLogOptions {
    EventLogOptions {
        lock_wait_ms: 10,
        ..log_in(folder)
    }
}

/// The default: the device goes on.
#[tokio::test]
async fn what_cannot_be_kept_is_published_and_counted() {
    let folder = TempDir::new().unwrap();
    let log = impatient(&folder);
    let service = started(builder(&log)).await;
    let remote = remote_at(ports(&service)).await;
    let mut plain = remote.events().await;
    let mut events = resumed(&remote, Resume::Oldest).await;
    publish(&service, 0..1).await;
    indices(&mut events, 1).await;

    let holder = other(&log.path);
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    publish(&service, 1..4).await;
    // Received all the same.
    assert_eq!(indices(&mut events, 3).await, [1, 2, 3]);
    until(|| service.counts().log_not_kept == 3).await;
    let failure = service.event_log_status().unwrap().failure.unwrap();
    assert!(failure.contains("locked"), "{failure}");
    holder.execute_batch("COMMIT").unwrap();
    publish(&service, 4..6).await;
    assert_eq!(indices(&mut events, 2).await, [4, 5]);
    assert_eq!(service.event_log_status().unwrap().failure, None);
    assert_eq!(service.event_log_status().unwrap().last, 6);

    // Whoever was away is told what is missing.
    let mut later = resumed(&remote, Resume::Oldest).await;
    assert_eq!(gap(&mut later).await, Gap::Sequence { missing: 3 });
    assert_eq!(indices(&mut later, 2).await, [4, 5]);
    while plain.try_next().is_some() {}
    service.stop().await;
    let counts = service.counts();
    assert_eq!((counts.log_kept, counts.log_not_kept), (3, 3));
}

#[tokio::test]
async fn what_cannot_be_kept_is_held_back_where_that_is_chosen() {
    let folder = TempDir::new().unwrap();
    let log = EventLogOptions {
        on_failure: OnLogFailure::HoldBack,
        ..impatient(&folder)
    };
    let builder = builder(&log)
        .when_full(WhenFull::Refuse)
        .queue_max(4, 1 << 20)
        .heartbeat_interval(Duration::from_millis(5));
    let service = started(builder).await;
    let remote = remote_at(ports(&service)).await;
    let mut events = resumed(&remote, Resume::Oldest).await;
    publish(&service, 0..1).await;
    indices(&mut events, 1).await;

    let holder = other(&log.path);
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut accepted = 1;
    let refused = loop {
        match service.publisher().send_event(&event(accepted)).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, PublishError::QueueFull), "{refused:?}");
    // Heartbeats go on, and nothing else does.
    let heartbeats = remote.services().first().map_or(0, |seen| seen.heartbeats);
    until(|| {
        remote
            .services()
            .first()
            .is_some_and(|seen| seen.heartbeats > heartbeats + 3)
    })
    .await;
    assert_eq!(events.try_next(), None);
    holder.execute_batch("COMMIT").unwrap();
    let came: Vec<u64> = (1..accepted).collect();
    assert_eq!(indices(&mut events, came.len()).await, came);

    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    publish(&service, accepted..accepted + 1).await;
    service.stop().await;
    let counts = service.counts();
    assert_eq!((counts.log_kept, counts.log_unpublished), (accepted, 1));
    assert_eq!(counts.log_not_kept, 0);
}

#[tokio::test]
async fn a_full_disk_stops_nothing() {
    let folder = TempDir::new().unwrap();
    let log = EventLogOptions {
        file_bytes_max: 64 << 10,
        ..impatient(&folder)
    };
    let service = started(builder(&log)).await;
    let remote = remote_at(ports(&service)).await;
    let mut events = resumed(&remote, Resume::Oldest).await;
    publish(&service, 0..10).await;
    let came: Vec<u64> = (0..10).collect();
    assert_eq!(indices(&mut events, 10).await, came);
    publish(&service, 10..2000).await;
    // A small batch may still fit where a larger one did not: one at a time, until none does.
    let mut published = 2000;
    let failure = loop {
        until(|| service.counts().log_kept + service.counts().log_not_kept == published).await;
        if let Some(failure) = service.event_log_status().unwrap().failure {
            break failure;
        }
        publish(&service, published..published + 1).await;
        published += 1;
    };
    assert!(failure.contains("full"), "{failure}");
    let counts = service.counts();
    assert!(counts.log_kept > 0 && counts.log_not_kept > 0, "{counts:?}");
    // What is told to be missing and what came is all of them.
    let (mut last, mut missing) = (9, 0);
    while last < published - 1 {
        match patiently(events.next()).await {
            Some(Delivery::Message(Message::Event { event, .. })) => {
                let index = event.index.unwrap();
                assert_eq!(index - last - 1, missing);
                (last, missing) = (index, 0);
            }
            Some(Delivery::Gap(Gap::Sequence { missing: more })) => missing += more,
            other => panic!("{other:?}"),
        }
        if last + missing == published - 1 {
            break;
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn a_service_does_not_start_on_what_is_no_log() {
    let folder = TempDir::new().unwrap();
    let log = impatient(&folder);
    std::fs::write(&log.path, "x".repeat(10_000)).unwrap();
    let service = builder(&log).build();
    let refused = service.start().await.unwrap_err();
    let is_damaged = matches!(
        &refused,
        StartError::EventLog(EventLogError::Damaged { .. })
    );
    assert!(is_damaged, "{refused:?}");
    // It can be started once that is mended.
    std::fs::remove_file(&log.path).unwrap();
    service.start().await.unwrap();
    let second = builder(&log).build().start().await.unwrap_err();
    let is_in_use = matches!(&second, StartError::EventLog(EventLogError::InUse { .. }));
    assert!(is_in_use, "{second:?}");
    service.stop().await;
    // The file is free, but for a process that another test is just starting: it has a copy of every open file.
    started(builder(&log_in(&folder))).await.stop().await;
}

#[tokio::test]
async fn a_service_that_is_dropped_lets_go_of_its_log() {
    let folder = TempDir::new().unwrap();
    let log = log_in(&folder);
    let service = started(builder(&log)).await;
    publish(&service, 0..100).await;
    drop(service);
    let service = started(builder(&log)).await;
    let status = service.event_log_status().unwrap();
    assert_eq!(status.last, status.events);
    service.stop().await;
}

async fn refusal(log: &EventLogOptions) -> EventLogError {
    match builder(log).build().start().await {
        Err(StartError::EventLog(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// By another name it is the same log.
#[cfg(unix)]
#[tokio::test]
async fn a_log_has_one_writer_whatever_it_is_called_by() {
    let folder = TempDir::new().unwrap();
    let log = impatient(&folder);
    let by = |name: &str| EventLogOptions {
        path: folder.path().join(name),
        ..log.clone()
    };
    // Also where the link is made first.
    std::os::unix::fs::symlink(&log.path, by("symbolic.db").path).unwrap();
    let service = started(builder(&by("symbolic.db"))).await;
    let direct = refusal(&log).await;
    assert!(matches!(direct, EventLogError::InUse { .. }), "{direct:?}");
    let same = refusal(&by("symbolic.db")).await;
    assert!(matches!(same, EventLogError::InUse { .. }), "{same:?}");
    std::fs::hard_link(&log.path, by("hard.db").path).unwrap();
    let linked = refusal(&by("hard.db")).await;
    let is_told = matches!(linked, EventLogError::Linked { links: 2, .. });
    assert!(is_told, "{linked:?}");
    std::fs::remove_file(by("hard.db").path).unwrap();
    // Nobody took the locks away that SQLite has on it in this process.
    publish(&service, 0..5).await;
    until(|| service.counts().log_kept == 5).await;
    service.stop().await;
    let service = started(builder(&log_in(&folder))).await;
    assert_eq!(service.event_log_status().unwrap().last, 5);
    service.stop().await;
}

#[tokio::test]
async fn memory_and_uris_are_no_logs() {
    let folder = TempDir::new().unwrap();
    let in_folder = format!("file:{}?mode=memory", folder.path().join("a.db").display());
    for path in [":memory:", "", "file:a.db", &in_folder] {
        let refused = refusal(&EventLogOptions::at(path)).await;
        let is_told = matches!(refused, EventLogError::NotAFile { .. });
        assert!(is_told, "{path:?}: {refused:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Whoever comes around the lock is noticed, and named.
#[tokio::test]
async fn another_writer_is_told_as_such() {
    let folder = TempDir::new().unwrap();
    let log = impatient(&folder);
    let service = started(builder(&log)).await;
    let intruder = other(&log.path);
    let row = "INSERT INTO events VALUES (2, 4001, NULL, NULL, NULL, '{}', 0)";
    intruder.execute(row, []).unwrap();
    publish(&service, 0..2).await;
    until(|| service.counts().log_not_kept > 0).await;
    let failure = service.event_log_status().unwrap().failure.unwrap();
    assert!(failure.contains("another program writes"), "{failure}");
    service.stop().await;
}
