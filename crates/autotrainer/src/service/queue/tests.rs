use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;

use super::{Draft, Outgoing, Payload, Queue, QueueLimits, WhenFull};
use crate::service::counters::Counters;
use crate::service::publisher::PublishError;
use crate::topic::Topic;

fn queue(when_full: WhenFull) -> Queue {
    let limits = QueueLimits {
        messages_max: 3,
        bytes_max: 100,
        payload_bytes_max: 60,
        when_full,
        numbered: vec![Topic::EMERGENCY, Topic::EVENT],
    };
    let queue = Queue::new(limits, Arc::new(Counters::default()));
    queue.open(7);
    queue
}

fn of_size(topic: Topic, bytes: usize) -> Draft {
    Draft {
        topic,
        then: None,
        payload: Payload::Verbatim(Bytes::from(vec![b'x'; bytes])),
    }
}

fn event(bytes: usize) -> Draft {
    of_size(Topic::EVENT, bytes)
}

/// The lengths of all that waits.
async fn lengths(queue: &Queue) -> Vec<usize> {
    let mut batch = Vec::new();
    assert!(queue.take(&mut batch, 64).await);
    batch.iter().map(|each| each.payload.len()).collect()
}

#[tokio::test]
async fn refuses_when_full() {
    let queue = queue(WhenFull::Refuse);
    for bytes in 1..=3 {
        queue.put(event(bytes)).await.unwrap();
    }
    let refused = queue.put(event(4)).await;
    assert!(matches!(refused, Err(PublishError::QueueFull)));
    assert_eq!(queue.counters.snapshot().refused_publications, 1);
    assert_eq!(lengths(&queue).await, [1, 2, 3]);
    queue.put(event(4)).await.unwrap();
}

#[tokio::test]
async fn drops_the_oldest_but_no_emergency_and_no_result() {
    let queue = queue(WhenFull::DropOldest);
    queue.put(of_size(Topic::EMERGENCY, 1)).await.unwrap();
    queue.put(event(2)).await.unwrap();
    queue.put(of_size(Topic::COMMAND_RESULT, 3)).await.unwrap();
    queue.put(event(4)).await.unwrap();
    assert_eq!(queue.counters.snapshot().dropped, 1);
    queue.put(of_size(Topic::EMERGENCY, 5)).await.unwrap();
    // Nothing is left that may be dropped: the new one is refused, and told.
    let refused = queue.put(of_size(Topic::EMERGENCY, 6)).await;
    assert!(matches!(refused, Err(PublishError::QueueFull)));
    assert_eq!(queue.counters.snapshot().dropped, 2);
    assert_eq!(lengths(&queue).await, [1, 3, 5]);
}

#[tokio::test]
async fn blocks_until_there_is_room_or_it_closes() {
    let queue = queue(WhenFull::Block);
    for bytes in 1..=3 {
        queue.put(event(bytes)).await.unwrap();
    }
    let mut waiting = std::pin::pin!(queue.put(event(4)));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(matches!(
        queue.try_put(event(5)),
        Err(PublishError::QueueFull)
    ));
    assert_eq!(lengths(&queue).await, [1, 2, 3]);
    waiting.await.unwrap();
    assert_eq!(lengths(&queue).await, [4]);

    for bytes in 1..=3 {
        queue.put(event(bytes)).await.unwrap();
    }
    let mut waiting = std::pin::pin!(queue.put(event(4)));
    assert!(waiting.as_mut().now_or_never().is_none());
    queue.close();
    assert!(matches!(waiting.await, Err(PublishError::Stopped)));
    // What was accepted is still taken.
    assert_eq!(lengths(&queue).await, [1, 2, 3]);
    assert!(!queue.take(&mut Vec::new(), 64).await);
}

#[tokio::test]
async fn bytes_are_bounded_too() {
    let queue = queue(WhenFull::Refuse);
    let too_long = queue.put(event(61)).await;
    assert!(matches!(
        too_long,
        Err(PublishError::TooLong {
            bytes: 61,
            bytes_max: 60
        })
    ));
    queue.put(event(60)).await.unwrap();
    assert!(matches!(
        queue.put(event(41)).await,
        Err(PublishError::QueueFull)
    ));
    queue.put(event(40)).await.unwrap();
    assert_eq!(lengths(&queue).await, [60, 40]);
}

#[tokio::test]
async fn refuses_before_it_is_open() {
    let limits = queue(WhenFull::Block).limits;
    let queue = Queue::new(limits, Arc::new(Counters::default()));
    assert!(matches!(
        queue.put(event(1)).await,
        Err(PublishError::NotStarted)
    ));
}

fn object(topics: &[Topic]) -> Draft {
    Draft {
        topic: topics[0],
        then: topics.get(1).copied(),
        payload: Payload::Object(r#"{"kind": 1}"#.to_owned()),
    }
}

async fn sequences(queue: &Queue) -> Vec<Option<u64>> {
    let mut batch: Vec<Outgoing> = Vec::new();
    assert!(queue.take(&mut batch, 64).await);
    batch.iter().map(|each| each.sequence).collect()
}

#[tokio::test]
async fn numbers_in_order_and_leaves_no_hole_for_what_was_refused() {
    let queue = queue(WhenFull::Refuse);
    queue.put(object(&[Topic::EVENT])).await.unwrap();
    queue.put(event(60)).await.unwrap();
    let refused = queue.put(object(&[Topic::EVENT])).await;
    assert!(matches!(refused, Err(PublishError::QueueFull)));
    assert_eq!(sequences(&queue).await, [Some(7), None]);
    let both = [Topic::EMERGENCY, Topic::EVENT];
    queue.put(object(&both)).await.unwrap();
    queue.put(object(&[Topic(77)])).await.unwrap();
    let mut batch = Vec::new();
    assert!(queue.take(&mut batch, 64).await);
    assert_eq!(batch[0].payload, r#"{"kind": 1, "sequence": 8}"#);
    assert_eq!((batch[0].topic, batch[0].then), (both[0], Some(both[1])));
    assert_eq!(batch[1].payload, r#"{"kind": 1}"#);
}

#[tokio::test]
async fn what_is_dropped_leaves_a_hole() {
    let queue = queue(WhenFull::DropOldest);
    for _ in 0..4 {
        queue.put(object(&[Topic::EVENT])).await.unwrap();
    }
    assert_eq!(sequences(&queue).await, [Some(8), Some(9), Some(10)]);
}

#[tokio::test]
async fn tells_when_half_of_it_is_free() {
    let queue = queue(WhenFull::Block);
    queue.put(event(10)).await.unwrap();
    assert!(queue.has_spare_room());
    queue.put(event(10)).await.unwrap();
    assert!(!queue.has_spare_room());
    let mut waiting = std::pin::pin!(queue.spare_room());
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(lengths(&queue).await, [10, 10]);
    waiting.await;
    // By bytes too, and never after the end.
    queue.put(event(60)).await.unwrap();
    assert!(!queue.has_spare_room());
    queue.close();
    assert!(queue.has_spare_room());
}
