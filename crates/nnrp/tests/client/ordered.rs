//! Results in the order of their frames.

use std::sync::Arc;
use std::time::Duration;

use nnrp::OrderedResults;
use nnrp_wire::session::OrderOptions;

use super::peer::{key, until_idle};

fn strict(gap_timeout: Option<Duration>) -> OrderOptions {
    OrderOptions {
        start: Some(1),
        gap_timeout,
        ..OrderOptions::default()
    }
}

#[tokio::test]
async fn in_strict_order_each_waits_for_the_one_before() {
    let ordered = Arc::new(OrderedResults::new(strict(None)));
    let reading = tokio::spawn({
        let ordered = Arc::clone(&ordered);
        async move {
            let mut ids = Vec::new();
            while let Some((key, ())) = ordered.next().await {
                ids.push(key.frame_id);
            }
            ids
        }
    });
    for id in [3, 2] {
        ordered.add(key(id), ()).unwrap();
        ordered.finish(id);
        until_idle().await;
        assert_eq!(ordered.peek_next_frame_id(), None);
    }
    ordered.add(key(1), ()).unwrap();
    ordered.finish(1);
    until_idle().await;
    assert!(ordered.is_empty());
    // What is behind a gap goes out at the end.
    ordered.add(key(9), ()).unwrap();
    until_idle().await;
    assert_eq!(ordered.len(), 1);
    ordered.close();
    assert_eq!(reading.await.unwrap(), [1, 2, 3, 9]);
    assert!(ordered.add(key(10), ()).is_err());
    assert!(ordered.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_waited_for_no_longer_than_asked() {
    let ordered = OrderedResults::new(strict(Some(Duration::from_secs(3))));
    ordered.add(key(5), "late").unwrap();
    assert_eq!(ordered.pop_next(None), None);
    assert_eq!(ordered.next().await, Some((key(5), "late")));
    assert_eq!(ordered.skipped(), 4);
    ordered.add(key(7), "ahead").unwrap();
    ordered.skip(6);
    assert_eq!(ordered.pop_next(Some(7)), Some((key(7), "ahead")));
}

#[tokio::test]
async fn waiting_for_a_frame_takes_it_out_of_turn() {
    let ordered = Arc::new(OrderedResults::new(OrderOptions::default()));
    let third = tokio::spawn({
        let ordered = Arc::clone(&ordered);
        async move { ordered.wait_for_frame(3).await }
    });
    until_idle().await;
    ordered.add(key(1), 10).unwrap();
    ordered.add(key(3), 30).unwrap();
    assert_eq!(third.await.unwrap(), Some((key(3), 30)));
    assert_eq!(ordered.next().await, Some((key(1), 10)));
    ordered.close();
    assert_eq!(ordered.wait_for_frame(4).await, None);
}

/// Wake-ups that come between looking and waiting are what the reference loses.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_sleeps_while_there_is_something() {
    const ITEMS: u32 = 20_000;
    let ordered = Arc::new(OrderedResults::new(OrderOptions::default()));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let ordered = Arc::clone(&ordered);
            tokio::spawn(async move {
                let mut count = 0;
                while ordered.next().await.is_some() {
                    count += 1;
                }
                count
            })
        })
        .collect();
    for id in 0..ITEMS {
        while ordered.add(key(id), ()).is_err() {
            tokio::task::yield_now().await;
        }
    }
    while !ordered.is_empty() {
        tokio::task::yield_now().await;
    }
    ordered.close();
    let mut total = 0;
    for reader in readers {
        let read = tokio::time::timeout(super::peer::LONG, reader).await;
        total += read.expect("a reader sleeps").unwrap();
    }
    assert_eq!(total, ITEMS);
}
