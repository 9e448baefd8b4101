use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{EventLoop, Outlet};
use crate::heartbeat::Heartbeat;
use crate::json::Limits;
use crate::sequence;
use crate::service::counters::Counters;
use crate::service::observed::Observed;
use crate::service::queue::{Draft, Payload, Queue, QueueLimits, WhenFull};
use crate::service::source::Source;
use crate::topic::Topic;
use crate::zmq::ZmqError;

/// Tells what was sent when, and takes its time for everything but heartbeats.
struct Recorder {
    sent: mpsc::Sender<(Topic, Bytes, Duration)>,
    start: Instant,
    takes: Duration,
}

impl Outlet for Recorder {
    async fn send(&mut self, topic: Topic, payload: Bytes) -> Result<(), ZmqError> {
        let at = self.start.elapsed();
        self.sent.send((topic, payload, at)).await.unwrap();
        if topic != Topic::HEARTBEAT {
            tokio::time::sleep(self.takes).await;
        }
        Ok(())
    }
}

type Sent = mpsc::Receiver<(Topic, Bytes, Duration)>;

fn started(takes: Duration) -> (Arc<Queue>, Sent) {
    let counters = Arc::new(Counters::default());
    let limits = QueueLimits {
        messages_max: 10,
        bytes_max: 100,
        payload_bytes_max: 10,
        when_full: WhenFull::Block,
        numbered: Vec::new(),
    };
    let queue = Arc::new(Queue::new(limits, Arc::clone(&counters)));
    queue.open(1);
    let (sender, receiver) = mpsc::channel(100);
    let event_loop = EventLoop {
        outlet: Recorder {
            sent: sender,
            start: Instant::now(),
            takes,
        },
        source: Source::Queue(Arc::clone(&queue)),
        counters,
        observed: Observed::default(),
        identifier: "box".to_owned(),
        version: "0.12.0+test".to_owned(),
        heartbeat_interval: Duration::from_secs(1),
        sequence: Some(41),
    };
    tokio::spawn(event_loop.run());
    (queue, receiver)
}

async fn next_heartbeat_ms(sent: &mut Sent) -> u128 {
    loop {
        let (topic, _, at) = sent.recv().await.unwrap();
        if topic == Topic::HEARTBEAT {
            return at.as_millis();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_heartbeat_comes_after_one_interval_and_none_drifts() {
    let (_queue, mut sent) = started(Duration::ZERO);
    for second in 1..=100 {
        assert_eq!(next_heartbeat_ms(&mut sent).await, second * 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn late_heartbeats_do_not_shift_the_schedule_and_missed_ones_are_left_out() {
    let (queue, mut sent) = started(Duration::from_millis(2500));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let draft = Draft {
        topic: Topic::EVENT,
        then: None,
        payload: Payload::Verbatim(Bytes::from_static(b"slow")),
    };
    queue.put(draft).await.unwrap();
    // It is sent from 0.1 to 2.6 s.
    let mut heartbeats_ms = Vec::new();
    for _ in 0..4 {
        heartbeats_ms.push(next_heartbeat_ms(&mut sent).await);
    }
    assert_eq!(heartbeats_ms, [2600, 3000, 4000, 5000]);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_says_who_publishes() {
    let (_queue, mut sent) = started(Duration::ZERO);
    let (topic, payload, _) = sent.recv().await.unwrap();
    assert_eq!(topic, Topic::HEARTBEAT);
    let heartbeat = Heartbeat::parse(&payload, &Limits::default()).unwrap();
    assert_eq!(heartbeat.identifier, "box");
    assert_eq!(heartbeat.version, "0.12.0+test");
    assert!(heartbeat.timestamp.0 > 1.7e9);
    let last = sequence::of_payload(&payload, &Limits::default());
    assert_eq!(last, Some(41));
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_sent_after_the_queue_is_closed() {
    let (queue, mut sent) = started(Duration::ZERO);
    for _ in 0..10 {
        let draft = Draft {
            topic: Topic::EMERGENCY,
            then: Some(Topic::EVENT),
            payload: Payload::Verbatim(Bytes::from_static(b"stop")),
        };
        queue.put(draft).await.unwrap();
    }
    queue.close();
    let mut topics = Vec::new();
    while let Some((topic, _, _)) = sent.recv().await {
        topics.push(topic);
    }
    assert_eq!(topics, [Topic::EMERGENCY, Topic::EVENT].repeat(10));
}
