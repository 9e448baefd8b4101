//! Times by a clock that only moves when everything waits. spec: nats-micro 10.2

use async_nats::{HeaderMap, Message, StatusCode};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{Collector, End, Limits};

fn reply(payload: &'static str) -> Message {
    Message {
        subject: "inbox".into(),
        reply: None,
        payload: Bytes::from_static(payload.as_bytes()),
        headers: None,
        status: None,
        description: None,
        length: payload.len() + "inbox".len(),
    }
}

fn no_responders() -> Message {
    Message {
        status: Some(StatusCode::NO_RESPONDERS),
        ..reply("")
    }
}

fn error_reply() -> Message {
    let mut headers = HeaderMap::new();
    headers.insert(crate::header::ERROR_CODE, "404");
    Message {
        headers: Some(headers),
        ..reply("")
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn limits(max_wait: Duration, max_interval: Option<Duration>) -> Limits {
    Limits {
        max_wait,
        max_interval,
        ..Limits::default()
    }
}

/// Replies that come so long after each other; the stream stays open.
fn replies(pauses: &'static [u64]) -> impl Stream<Item = Message> + Unpin {
    let (sender, mut receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        for pause in pauses {
            sleep(ms(*pause)).await;
            if sender.send(reply("x")).await.is_err() {
                return;
            }
        }
        sender.closed().await;
    });
    futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))
}

/// What was collected: how many, why it ended and when.
async fn collect<S>(mut collector: Collector<S>) -> (usize, End, Duration)
where
    S: Stream<Item = Message> + Unpin,
{
    let started = Instant::now();
    let mut count = 0;
    while collector.next().await.is_some() {
        count += 1;
        collector.count_one();
    }
    let end = collector.end().unwrap();
    assert!(collector.messages.is_none(), "the subscription is kept");
    (count, end, started.elapsed())
}

async fn timed(pauses: &'static [u64], limits: Limits) -> (usize, End, Duration) {
    let collector = Collector::new(replies(pauses), limits, false, Instant::now());
    let (count, end, took) = collect(collector).await;
    // The timer of tokio has whole milliseconds.
    (count, end, ms(u64::try_from(took.as_millis()).unwrap()))
}

#[tokio::test(start_paused = true)]
async fn the_total_time_ends_it() {
    let wait = limits(ms(500), None);
    assert_eq!(timed(&[], wait).await, (0, End::MaxWait, ms(500)));
    assert_eq!(
        timed(&[100, 100, 400], wait).await,
        (2, End::MaxWait, ms(500))
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_wait_has_the_total_time_only() {
    let limits = limits(ms(500), Some(ms(50)));
    let ended = timed(&[400], limits).await;
    assert_eq!(ended, (1, End::MaxInterval, ms(450)));
}

#[tokio::test(start_paused = true)]
async fn the_interval_restarts_at_each_reply() {
    let limits = limits(ms(2_000), Some(ms(100)));
    let ten = timed(&[90; 10], limits).await;
    assert_eq!(ten, (10, End::MaxInterval, ms(1_000)));
    let gap = timed(&[90, 90, 110, 90], limits).await;
    assert_eq!(gap, (2, End::MaxInterval, ms(280)));
}

#[tokio::test(start_paused = true)]
async fn the_total_time_wins_over_the_interval() {
    let limits = limits(ms(500), Some(ms(100)));
    let ended = timed(&[90; 10], limits).await;
    assert_eq!(ended, (5, End::MaxWait, ms(500)));
}

#[tokio::test(start_paused = true)]
async fn no_time_is_no_wait() {
    let ended = timed(&[10], limits(Duration::ZERO, None)).await;
    assert_eq!(ended, (0, End::MaxWait, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_time_beyond_the_clock_is_a_long_time() {
    let forever = limits(Duration::MAX, Some(Duration::MAX));
    let enough = Limits {
        max_count: 2,
        ..forever
    };
    let ended = timed(&[1_000, 1_000], enough).await;
    assert_eq!(ended, (2, End::MaxCount, ms(2_000)));
}

#[tokio::test(start_paused = true)]
async fn enough_replies_end_it_at_once() {
    for (max_count, took) in [(0, 0), (1, 10), (2, 20)] {
        let limits = Limits {
            max_count,
            ..Limits::default()
        };
        let ended = timed(&[10, 10, 10], limits).await;
        assert_eq!(ended, (max_count, End::MaxCount, ms(took)));
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_are_looked_at_late_came_in_time() {
    let limits = limits(ms(100), Some(ms(10)));
    let mut collector = Collector::new(replies(&[1, 1, 1]), limits, false, Instant::now());
    assert!(collector.next().await.is_some());
    sleep(ms(1_000)).await;
    assert!(collector.next().await.is_some());
    assert!(collector.next().await.is_some());
    assert!(collector.next().await.is_none());
    assert_eq!(collector.end(), Some(End::MaxWait));
}

async fn of(messages: Vec<Message>, end_on_empty: bool, limits: Limits) -> (usize, End) {
    let messages = futures_util::stream::iter(messages);
    let collector = Collector::new(messages, limits, end_on_empty, Instant::now());
    let (count, end, _) = collect(collector).await;
    (count, end)
}

#[tokio::test(start_paused = true)]
async fn some_replies_are_the_end() {
    let usual = Limits::default();
    let empty = || vec![reply("a"), reply(""), reply("b")];
    assert_eq!(of(empty(), false, usual).await, (3, End::Closed));
    assert_eq!(of(empty(), true, usual).await, (1, End::Sentinel));
    let errors = vec![error_reply(), reply("")];
    assert_eq!(of(errors, true, usual).await, (1, End::Sentinel));
    let nobody = vec![no_responders()];
    assert_eq!(of(nobody, false, usual).await, (0, End::NoResponders));
}

#[tokio::test(start_paused = true)]
async fn bytes_have_a_bound() {
    let limits = Limits {
        max_bytes: 2 * reply("ab").length,
        ..Limits::default()
    };
    let three = vec![reply("ab"); 3];
    assert_eq!(of(three, false, limits).await, (2, End::MaxBytes));
}
